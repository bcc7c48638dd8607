//! Base64 without a second copy: files in JSON are larger than anything else that is held.

use std::ops::Range;

/// Characters decoded at once: a multiple of four.
const STEP: usize = 4 * 1024;

/// Characters of so many bytes.
pub(super) const fn encoded(bytes: usize) -> usize {
    bytes.div_ceil(3).saturating_mul(4)
}

/// The bytes of the base64 text in `range` of `buffer`, in the same buffer. `None` if it is none.
pub(super) fn decode_in_place(mut buffer: Vec<u8>, range: Range<usize>) -> Option<Vec<u8>> {
    let text_end = range.end.min(buffer.len());
    let (mut from, mut to) = (range.start, 0_usize);
    while from < text_end {
        let end = from.saturating_add(STEP).min(text_end);
        // Only the last part may be padded.
        let decoded = conclave_proto::base64::decode(buffer.get(from..end)?)?;
        if end < text_end && decoded.len() != STEP / 4 * 3 {
            return None;
        }
        // Three bytes come out of four characters: what is written is never ahead of what is read.
        buffer.get_mut(to..to.checked_add(decoded.len())?)?.copy_from_slice(&decoded);
        (from, to) = (end, to.saturating_add(decoded.len()));
    }
    buffer.truncate(to);
    Some(buffer)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n * 7 % 251) as u8).collect()
    }

    #[test]
    fn a_text_is_decoded_where_it_lies_and_what_is_none_is_refused() {
        for length in [0, 1, 2, 3, 3_072, 3_073, 10_001] {
            let text = STANDARD.encode(bytes(length));
            assert_eq!(text.len(), encoded(length));
            let buffer = format!("before{text}behind").into_bytes();
            let range = 6..6 + text.len();
            assert_eq!(decode_in_place(buffer, range), Some(bytes(length)), "{length}");
        }
        for wrong in ["AA=A".to_owned(), "!!!!".to_owned(), format!("{}AA==AAAA", "A".repeat(STEP - 4))] {
            let range = 0..wrong.len();
            assert_eq!(decode_in_place(wrong.into_bytes(), range), None);
        }
    }
}
