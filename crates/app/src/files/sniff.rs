//! What the bytes of a file are, of the few kinds that a browser may play. What its sender says it is decides nothing: a page that
//! calls itself a video stays a page.

use conclave_client::media;

/// As many bytes from the beginning as have to be looked at.
pub(super) const ENOUGH: u64 = 512;

/// The type of a sound or a video; `None` for everything else.
pub(super) fn playable(start: &[u8]) -> Option<&'static str> {
    Some(match media::content_type(start)? {
        "audio/mpeg" => "audio/mpeg",
        "audio/mp4" => "audio/mp4",
        "audio/aac" => "audio/aac",
        "audio/ogg" => "audio/ogg",
        "audio/wav" => "audio/wav",
        "audio/flac" => "audio/flac",
        // What telephones write is the same, under names that browsers do not know.
        "video/mp4" | "video/quicktime" | "video/x-m4v" | "video/3gpp" => "video/mp4",
        "video/webm" => "video/webm",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sounds_and_videos_are_known_by_their_bytes() {
        let ogg = |packet: &[u8]| [b"OggS", [0; 24].as_slice(), packet].concat();
        for (start, kind) in [
            (b"\0\0\0\x20ftypisom\0\0\0\0".to_vec(), "video/mp4"),
            (b"\0\0\0\x14ftypqt  \0\0\0\0".to_vec(), "video/mp4"),
            (b"\0\0\0\x20ftypM4A \0\0\0\0".to_vec(), "audio/mp4"),
            (b"RIFF\x10\0\0\0WAVEfmt ".to_vec(), "audio/wav"),
            (ogg(b"OpusHead"), "audio/ogg"),
            (b"fLaC\0\0\0\x22".to_vec(), "audio/flac"),
            (b"ID3\x04\0\0\0\0\0\0".to_vec(), "audio/mpeg"),
            (b"\xff\xfb\x90\x44".to_vec(), "audio/mpeg"),
            (b"\xff\xf1\x50\x80".to_vec(), "audio/aac"),
        ] {
            assert_eq!(playable(&start), Some(kind), "{start:?}");
        }
    }

    #[test]
    fn nothing_else_is_played_whatever_it_is_called() {
        for other in [
            b"".as_slice(),
            b"\xff",
            b"<!doctype html><script>alert(1)</script>",
            b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
            b"%PDF-1.7",
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff\xe0",
            b"GIF89a",
            b"RIFF\0\0\0\0WEBPVP8 ",
            b"\0\0\0\x20ftypavif",
            b"\0\0\0\x20ftypheic",
            b"\xff\xfe<\0h\0t\0m\0l\0",
            b"MZ\x90\0",
        ] {
            assert_eq!(playable(other), None, "{other:?}");
        }
    }
}
