//! Pictures and recordings of strangers.

use conclave_media::{content_type, listen, preview, strip, voice};

/// Decoding a picture: what comes out is as small as was asked for, and a picture.
pub fn picture_preview(bytes: &[u8]) {
    if let Ok(small) = preview(bytes, 64) {
        assert!(small.width.max(small.height) <= 64);
        assert_eq!(content_type(&small.bytes), Some(small.content_type));
        assert!(preview(&small.bytes, 64).is_ok(), "what was written is read");
    }
}

/// Taking out of a picture what it says of whoever took it: it stays what it was, and nothing is left to take out.
pub fn picture_strip(bytes: &[u8]) {
    if let Ok(stripped) = strip(bytes) {
        assert_eq!(content_type(&stripped.bytes), Some(stripped.content_type));
        assert!(stripped.bytes.len() <= bytes.len() + 64);
        assert_eq!(strip(&stripped.bytes).as_ref(), Ok(&stripped));
    }
}

/// Listening to a recording, and making a voice message of it.
pub fn voice_message(bytes: &[u8]) {
    if let Ok(sound) = listen(bytes, 16) {
        assert!(sound.waveform.is_empty() || sound.waveform.len() == 16);
    }
    if let Ok(message) = voice(bytes) {
        assert!(matches!(message.content_type, "audio/mpeg" | "audio/mp4"));
        assert!(listen(&message.bytes, 1).is_ok(), "what was written is read");
    }
}
