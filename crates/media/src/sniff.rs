//! What bytes are, by themselves.

/// The MIME type of a file's beginning (some hundred bytes suffice); `None` for what has no mark of its own, such as plain text.
///
/// Types are called by the names other programs of the protocol know: `audio/mpeg`, `audio/mp4`, `audio/wav`.
#[must_use]
pub fn content_type(bytes: &[u8]) -> Option<&'static str> {
    let found = infer::get(bytes).map(|kind| kind.mime_type());
    match found {
        Some("audio/m4a") => Some("audio/mp4"),
        Some("audio/x-wav") => Some("audio/wav"),
        Some("audio/x-flac") => Some("audio/flac"),
        Some("audio/opus") => Some("audio/ogg"),
        Some(found) => Some(found),
        None => is_mpeg_audio(bytes).then_some("audio/mpeg"),
    }
}

/// The first bytes of a frame of MPEG audio, layer III, that have no other meaning. (ISO 11172-3, 2.4.1.3)
fn is_mpeg_audio(bytes: &[u8]) -> bool {
    let Some([sync, version_and_layer, rates, ..]) = bytes.first_chunk::<4>() else { return false };
    let is_layer_three = version_and_layer & 0b1110_0110 == 0b1110_0010;
    let has_version = version_and_layer & 0b0001_1000 != 0b0000_1000;
    let has_rates = rates >> 4 != 0 && rates >> 4 != 15 && rates & 0b1100 != 0b1100;
    *sync == 0xff && is_layer_three && has_version && has_rates
}

/// What names of files of a type end in, without the dot; `None` for types that nothing here makes or takes.
#[must_use]
pub fn extension(content_type: &str) -> Option<&'static str> {
    Some(match content_type {
        "image/png" => "png",
        "image/jpeg" => "jpg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "audio/mpeg" => "mp3",
        "audio/mp4" => "m4a",
        "audio/aac" => "aac",
        "audio/ogg" => "ogg",
        "audio/wav" => "wav",
        "audio/flac" => "flac",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_known_by_bytes_and_called_by_the_names_of_the_protocol() {
        let known: &[(&[u8], &str)] = &[
            (b"\x89PNG\r\n\x1a\n", "image/png"),
            (b"\xff\xd8\xff\xe0", "image/jpeg"),
            (b"GIF89a", "image/gif"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
            (b"ID3\x04\0\0\0\0\0\0", "audio/mpeg"),
            (b"\xff\xfb\x90\x00", "audio/mpeg"),
            (b"\xff\xfa\x90\x00", "audio/mpeg"),
            (b"\xff\xe3\x40\x00", "audio/mpeg"),
            (b"\xff\xf1\x50\x80", "audio/aac"),
            (b"\0\0\0\x1cftypM4A \0\0\0\0", "audio/mp4"),
            (b"\0\0\0\x1cftypisom\0\0\0\0", "video/mp4"),
            (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
            (b"fLaC\0\0\0\x22", "audio/flac"),
            (b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x1e\x01vorbis", "audio/ogg"),
            (b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x13OpusHead", "audio/ogg"),
            (b"%PDF-1.7", "application/pdf"),
        ];
        for (bytes, kind) in known {
            assert_eq!(content_type(bytes), Some(*kind), "{bytes:?}");
        }
        for bytes in [&b""[..], b"a", b"hello, world", b"\xff\xff\xff\xff", b"\xff\xfb"] {
            assert_eq!(content_type(bytes), None, "{bytes:?}");
        }
        let svg = br#"<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>"#;
        assert!(!content_type(svg).is_some_and(|kind| kind.starts_with("image/")));
    }
}
