//! MP3: its frames alone, and frames made of samples. Facts: ISO 11172-3, 2.4.1 and 2.4.2; ISO 13818-3, 2.4.2.

use rusty_mp3::{Mp3Encoder, Mp3EncoderConfig};

use crate::MediaError;
use crate::guard::guarded;

/// Kilobits a second of a voice: no more is heard of one channel of speech, and twenty minutes are below what may be sent.
const BITRATE: u32 = 64;
/// The same, where there are fewer than 32,000 samples a second.
const LOW_BITRATE: u32 = 40;
/// Samples a second that frames may have.
const RATES: [u32; 6] = [16_000, 22_050, 24_000, 32_000, 44_100, 48_000];
/// What other rates become.
const USUAL_RATE: u32 = 44_100;

/// What the four bytes before a frame say.
#[derive(Clone, Copy)]
struct Head {
    /// Version and samples a second, which all frames of a file have in common.
    kind: (u8, u8),
    /// Bytes of the whole frame.
    length: usize,
}

impl Head {
    fn read(bytes: &[u8]) -> Option<Self> {
        const KBPS_1: [usize; 16] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0];
        const KBPS_2: [usize; 16] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0];
        let [0xff, second, third, _] = *bytes.first_chunk::<4>()? else { return None };
        if second & 0b1110_0110 != 0b1110_0010 {
            return None;
        }
        let version = (second >> 3) & 3;
        let (kbps, samples, divisor) = match version {
            3 => (KBPS_1, 144, 1),
            2 => (KBPS_2, 72, 2),
            0 => (KBPS_2, 72, 4),
            _ => return None,
        };
        let kbps = *kbps.get(usize::from(third >> 4))?;
        let rate = [44_100, 48_000, 32_000].get(usize::from((third >> 2) & 3))? / divisor;
        let padding = usize::from((third >> 1) & 1);
        let length = samples * kbps * 1000 / rate + padding;
        (kbps > 0).then_some(Self { kind: (version, (third >> 2) & 3), length })
    }
}

/// The frames of a file, and nothing that stands before, between and behind them: tags of any kind.
pub(super) fn frames(bytes: &[u8]) -> Result<Vec<u8>, MediaError> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut kind = None;
    let mut rest = skip_id3(bytes);
    while !rest.is_empty() {
        let frame = Head::read(rest).filter(|head| kind.is_none_or(|kind| kind == head.kind));
        let frame = frame.and_then(|head| Some((head, rest.split_at_checked(head.length)?)));
        match frame {
            // One alone may be chance; another one behind it, or the end, is none.
            Some((head, (frame, behind)))
                if kind.is_some() || Head::read(behind).is_some_and(|next| next.kind == head.kind) =>
            {
                kind = Some(head.kind);
                out.extend_from_slice(frame);
                rest = behind;
            }
            _ => rest = rest.get(1..).unwrap_or_default(),
        }
    }
    if out.is_empty() { Err(MediaError::damaged("it has no frames of sound")) } else { Ok(out) }
}

/// Jumps over tags at the beginning, in whose pictures something may look like frames.
fn skip_id3(mut bytes: &[u8]) -> &[u8] {
    while let Some([b'I', b'D', b'3', _, _, flags, a, b, c, d]) = bytes.first_chunk::<10>() {
        let length = [a, b, c, d].iter().fold(0, |sum, part| (sum << 7) | usize::from(**part & 0x7f));
        let footer = if flags & 0x10 != 0 { 10 } else { 0 };
        bytes = bytes.get(10 + length + footer..).unwrap_or_default();
    }
    bytes
}

/// Makes frames of samples.
#[derive(Default)]
pub(super) struct Encoder {
    encoder: Option<Mp3Encoder>,
    out: Vec<u8>,
    /// The last sample of the piece before, and how far into this one the next sample is, where the rate changes.
    before: f32,
    place: f64,
}

impl Encoder {
    /// Takes samples of one channel, of which there are `rate` a second; the same each time.
    pub(super) fn put(&mut self, samples: &[f32], rate: u32) -> Result<(), MediaError> {
        if RATES.contains(&rate) {
            return self.encode(samples, rate);
        }
        let changed = self.at_usual_rate(samples, rate);
        self.encode(&changed, USUAL_RATE)
    }

    fn encode(&mut self, samples: &[f32], rate: u32) -> Result<(), MediaError> {
        let config = Mp3EncoderConfig {
            bitrate_kbps: if rate < 32_000 { LOW_BITRATE } else { BITRATE },
            vbr_quality: None,
        };
        let encoder = self.encoder.get_or_insert_with(|| Mp3Encoder::new(config));
        guarded(|| {
            encoder.push_pcm_f32(samples, 1, rate).map_err(|error| MediaError::Damaged(error.to_string()))
        })?;
        take_packets(encoder, &mut self.out);
        Ok(())
    }

    /// Samples between samples, on straight lines. That is enough for speech.
    fn at_usual_rate(&mut self, samples: &[f32], rate: u32) -> Vec<f32> {
        let step = f64::from(rate) / f64::from(USUAL_RATE);
        let mut changed = Vec::with_capacity((samples.len() as f64 / step) as usize + 2);
        // Sample 0 is the last one of the piece before.
        let at = |place: usize| if place == 0 { Some(self.before) } else { samples.get(place - 1).copied() };
        while let (Some(left), Some(right)) = (at(self.place as usize), at(self.place as usize + 1)) {
            let between = self.place.fract() as f32;
            changed.push(left + (right - left) * between);
            self.place += step;
        }
        self.place -= samples.len() as f64;
        self.before = samples.last().copied().unwrap_or(self.before);
        changed
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        if let Some(mut encoder) = self.encoder {
            let finished = guarded(|| {
                encoder.finish();
                Ok(())
            });
            if finished.is_ok() {
                take_packets(&mut encoder, &mut self.out);
            }
        }
        self.out
    }
}

/// Takes the frames that are ready. The first has no sound but counts the others; it is left out: at the lower rates not every
/// program reads it as this encoder means it, and where all frames are of one length nobody needs it.
fn take_packets(encoder: &mut Mp3Encoder, out: &mut Vec<u8>) {
    while let Ok(packet) = encoder.next_packet() {
        let counts =
            |name: &[u8]| packet.get(4..48).is_some_and(|head| head.windows(4).any(|window| window == name));
        if !out.is_empty() || !(counts(b"Info") || counts(b"Xing")) {
            out.extend_from_slice(&packet);
        }
    }
}
