//! Bytes that nobody has seen before.

use crate::support::samples;
use conclave_media::{content_type, listen, preview, strip, voice};
use proptest::prelude::*;

/// What all four say; that they come back at all is the promise.
fn tried(bytes: &[u8]) {
    if let Ok(stripped) = strip(bytes) {
        assert_eq!(content_type(&stripped.bytes), Some(stripped.content_type));
        assert!(stripped.bytes.len() <= bytes.len() + 64);
        assert_eq!(strip(&stripped.bytes).as_ref(), Ok(&stripped), "there is nothing left to take out");
    }
    if let Ok(small) = preview(bytes, 32) {
        assert!(small.width.max(small.height) <= 32 && small.bytes.len() < 16_384);
    }
    if let Ok(sound) = listen(bytes, 16) {
        assert!(sound.waveform.is_empty() || sound.waveform.len() == 16);
    }
    if let Ok(message) = voice(bytes) {
        assert!(matches!(message.content_type, "audio/mpeg" | "audio/mp4"));
    }
}

/// The beginnings by which decoders are chosen.
const BEGINNINGS: [&[u8]; 11] = [
    b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR",
    b"\xff\xd8\xff\xe0",
    b"\xff\xd8\xff\xc0",
    b"GIF89a",
    b"RIFF\xff\0\0\0WEBPVP8X",
    b"RIFF\xff\0\0\0WAVEfmt \x10\0\0\0",
    b"fLaC\0\0\0\x22",
    b"OggS\0\x02",
    b"ID3\x04\0\0\0\0\0\0\xff\xfb\x90\0",
    b"\0\0\0\x10ftypM4A \0\0\0\0\0\0\0\x40moov",
    b"\xff\xf1\x50\x80",
];

proptest! {
    #[test]
    fn arbitrary_bytes_are_an_answer_or_an_error(
        beginning in prop::sample::select(&BEGINNINGS[..]), rest in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        tried(&rest);
        tried(&[beginning, &rest].concat());
    }

    #[test]
    fn pictures_and_recordings_with_some_bytes_changed_are_an_answer_or_an_error(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        front in any::<bool>(),
    ) {
        let samples = samples();
        let mut bytes = samples[which.index(samples.len())].1.clone();
        // Heads and tables decide most.
        let reach = if front { bytes.len().min(200) } else { bytes.len() };
        for (place, value) in changes {
            let place = place.index(reach);
            bytes[place] = value;
        }
        tried(&bytes);
    }
}
