//! The paddings that hide how long a message is: 160 bytes for one-to-one and community messages
//! (client-messages 3.2), 256 for group messages (3.4).

/// One-to-one and community content grows to a multiple of this.
pub const CONTENT_BLOCK: usize = 160;

/// Encrypted group messages have a multiple of this many bytes.
pub const GROUP_BLOCK: usize = 256;

/// Ends the content; zeros follow.
const TERMINATOR: u8 = 0x80;

/// The padded length of content: always at least one byte more, and a whole block more when the
/// terminator would just fill a block, as the current core does.
pub const fn padded_content_length(content: usize) -> usize {
    ((content + 1) / CONTENT_BLOCK + 1) * CONTENT_BLOCK
}

/// Content, 0x80, zeros up to [`padded_content_length`].
pub fn pad_content(content: &[u8]) -> Vec<u8> {
    let length = padded_content_length(content.len());
    let mut padded = Vec::with_capacity(length);
    padded.extend_from_slice(content);
    padded.push(TERMINATOR);
    padded.resize(length, 0);
    padded
}

/// The content within padded bytes of any length, since senders differ in how much they pad.
///
/// Bytes whose last non-zero byte is not 0x80 are taken as not padded and come back whole. (The
/// current core drops their zeros, which changes content that happens to end in zeros.)
pub fn unpad_content(padded: &[u8]) -> &[u8] {
    match strip_zeros(padded).split_last() {
        Some((&TERMINATOR, content)) => content,
        _ => padded,
    }
}

/// Appends zeros until `bytes` and `overhead` together are a multiple of [`GROUP_BLOCK`]; nothing
/// if they are already.
pub fn pad_group_message(bytes: &mut Vec<u8>, overhead: usize) {
    let length = (bytes.len() + overhead).next_multiple_of(GROUP_BLOCK) - overhead;
    bytes.resize(length, 0);
}

/// Without the zeros at the end.
pub fn strip_zeros(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.split_at(length).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminator_on_the_border_costs_a_block() {
        assert_eq!(padded_content_length(158), 160);
        assert_eq!(padded_content_length(159), 320);
        assert_eq!(padded_content_length(160), 320);
    }

    #[test]
    fn content_that_ends_like_padding_survives() {
        for content in [&b"x\x80\0\0"[..], b"\x80", b"\0\0", b""] {
            assert_eq!(unpad_content(&pad_content(content)), content);
        }
    }

    #[test]
    fn bytes_without_terminator_stay_whole() {
        assert_eq!(unpad_content(b"ab\0\0"), b"ab\0\0");
        assert_eq!(unpad_content(b"\0\0"), b"\0\0");
    }

    #[test]
    fn group_padding_counts_the_overhead_and_adds_nothing_to_a_full_block() {
        let mut bytes = vec![1; GROUP_BLOCK - 40];
        pad_group_message(&mut bytes, 40);
        assert_eq!(bytes.len(), GROUP_BLOCK - 40);
        bytes.push(1);
        pad_group_message(&mut bytes, 40);
        assert_eq!(bytes.len(), 2 * GROUP_BLOCK - 40);
    }
}
