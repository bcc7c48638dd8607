//! What is made of files to be looked at: pictures, decoded here under limits and made anew, and what sounds look like. The browser
//! never sees the bytes of a picture that somebody sent.
//!
//! Making one takes some memory and time, and a page that is scrolled wants the same again and again: the newest are kept, as long
//! as the page shows its profile.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use conclave_client::media;
use conclave_client::types::MessageId;
use serde_json::json;

/// Bytes of what is kept for a page.
const KEPT: usize = 16 * 1024 * 1024;
/// Parts of a sound that are told apart.
const BARS: usize = 48;

/// What was made, and its MIME type.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) bytes: Bytes,
    pub(super) content_type: &'static str,
}

/// What to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A picture of at most so many pixels a side.
    Picture(u32),
    /// How long a sound is, and how loud along its way: `{"seconds","bars"}`, bars from 0 to 1, none where the codec is not decoded.
    Sound,
}

impl Wanted {
    /// Makes it; `None` if nothing can be made of these bytes.
    pub(super) fn make(self, bytes: &[u8]) -> Option<Made> {
        match self {
            Self::Picture(side) => {
                let preview = media::preview(bytes, side).ok()?;
                Some(Made { bytes: Bytes::from(preview.bytes), content_type: preview.content_type })
            }
            Self::Sound => {
                let sound = media::listen(bytes, BARS).ok()?;
                let loudest = f64::from(sound.waveform.iter().copied().max().unwrap_or(0).max(1));
                let bar = |level: &u8| (f64::from(*level) / loudest * 100.0).round() / 100.0;
                let bars: Vec<f64> = sound.waveform.iter().map(bar).collect();
                #[expect(clippy::cast_precision_loss, reason = "a sound is no longer than an hour")]
                let seconds = sound.duration_ms as f64 / 1_000.0;
                let told = json!({ "seconds": seconds, "bars": bars }).to_string();
                Some(Made { bytes: Bytes::from(told), content_type: "application/json" })
            }
        }
    }
}

type Key = (MessageId, u32, Wanted);

/// See the module.
#[derive(Default)]
pub(crate) struct Kept(Mutex<VecDeque<(Key, Made)>>);

impl Kept {
    pub(super) fn find(&self, key: &Key) -> Option<Made> {
        self.all().iter().find(|(kept, _)| kept == key).map(|(_, made)| made.clone())
    }

    pub(super) fn keep(&self, key: Key, made: Made) {
        let mut all = self.all();
        all.retain(|(kept, _)| *kept != key);
        all.push_back((key, made));
        let mut size: usize = all.iter().map(|(_, made)| made.bytes.len()).sum();
        while size > KEPT
            && let Some((_, oldest)) = all.pop_front()
        {
            size -= oldest.bytes.len();
        }
    }

    pub(crate) fn clear(&self) {
        self.all().clear();
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<(Key, Made)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_no_more_than_fits() {
        let kept = Kept::default();
        let key = |n: u32| (MessageId::parse(&"0".repeat(32)).unwrap(), n, Wanted::Picture(800));
        let made = |size| Made { bytes: Bytes::from(vec![0; size]), content_type: "image/jpeg" };
        for n in 0..5 {
            kept.keep(key(n), made(KEPT / 4));
        }
        let here: Vec<bool> = (0..5).map(|n| kept.find(&key(n)).is_some()).collect();
        assert_eq!(here, [false, true, true, true, true]);
        assert!(kept.find(&(key(1).0, 1, Wanted::Sound)).is_none());
        kept.keep(key(9), made(KEPT + 1));
        assert!((0..10).all(|n| kept.find(&key(n)).is_none()), "what is too large alone is not kept");
    }

    #[test]
    fn nothing_is_made_of_what_is_no_picture_and_no_sound() {
        for bytes in [b"".as_slice(), b"<svg/>", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WAVE"] {
            assert!(Wanted::Picture(64).make(bytes).is_none(), "{bytes:?}");
            assert!(Wanted::Sound.make(bytes).is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn a_sound_is_as_long_and_as_loud_as_it_is() {
        let samples: Vec<i16> =
            (0..16_000).map(|n| if n < 8_000 { 0 } else { (n % 2 * 2 - 1) * 16_000 }).collect();
        let made = Wanted::Sound.make(&media::wav(&samples, 16_000)).unwrap();
        let told: serde_json::Value = serde_json::from_slice(&made.bytes).unwrap();
        assert_eq!(told["seconds"], 1.0);
        assert_eq!(told["bars"].as_array().map(Vec::len), Some(BARS));
        assert_eq!((&told["bars"][2], &told["bars"][BARS - 2]), (&json!(0.0), &json!(1.0)));
    }
}
