//! Sound: how long it is, what it looks like, and a voice message made of it.

mod decode;
mod mp3;
mod mp4;

use decode::{Codec, decode};

use crate::{MAX_SOUND_BYTES, MAX_VOICE_BYTES, MediaError, content_type};

/// Points of a waveform kept while the length of a sound is not known yet; there are always at least half as many.
const FINE_POINTS: usize = 4096;

/// What is heard in a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    /// Its MIME type.
    pub content_type: &'static str,
    /// How long it is, in milliseconds, rounded.
    pub duration_ms: u64,
    /// How loud it is in each of as many parts of equal length as were asked for: 0 for silence, 255 for the loudest there can be.
    /// Empty if this program does not decode the codec (Opus).
    pub waveform: Vec<u8>,
}

/// A voice message, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voice {
    /// The recording, with nothing beside the sound.
    pub bytes: Vec<u8>,
    /// `audio/mpeg` or `audio/mp4`.
    pub content_type: &'static str,
    /// What its name should end in, without the dot.
    pub extension: &'static str,
    /// How long it is, in milliseconds, rounded.
    pub duration_ms: u64,
}

/// Listens to a recording: how long it is, and how loud in each of `points` parts.
///
/// # Errors
/// [`MediaError`]: the bytes are no recording, or damaged, or a limit of this crate stands against it.
pub fn listen(bytes: &[u8], points: usize) -> Result<Sound, MediaError> {
    let kind = kind_of(bytes)?;
    let mut loudness = Loudness::new();
    let heard = decode(bytes, kind, |samples, _| {
        samples.iter().for_each(|sample| loudness.add(*sample));
        Ok(())
    })?;
    let waveform = if heard.is_decoded { loudness.points(points) } else { Vec::new() };
    Ok(Sound { content_type: kind.content_type(), duration_ms: heard.duration_ms, waveform })
}

/// Makes a voice message of a recording: one that every program of the protocol plays (decision 0016). MP3 and AAC in MP4 are sent
/// as they are, without what they say beside the sound (titles, places, dates, pictures); all else is decoded and becomes MP3.
///
/// # Errors
/// [`MediaError`], as for [`listen`]; also for what is longer than a voice message may be, and for codecs that are not decoded.
pub fn voice(bytes: &[u8]) -> Result<Voice, MediaError> {
    let kind = kind_of(bytes)?;
    let (bytes, sent, duration_ms) = match kind {
        Kind::Mp3 => {
            let frames = mp3::frames(bytes)?;
            let heard = decode(&frames, kind, |_, _| Ok(()))?;
            (frames, kind, heard.duration_ms)
        }
        Kind::Mp4 => {
            let stripped = mp4::strip(bytes)?;
            let heard = decode(&stripped, kind, |_, _| Ok(()))?;
            if heard.codec == Codec::Aac {
                (stripped, kind, heard.duration_ms)
            } else {
                encoded(bytes, kind)?
            }
        }
        _ => encoded(bytes, kind)?,
    };
    if duration_ms == 0 {
        return Err(MediaError::damaged("nothing is to be heard in it"));
    }
    MediaError::within("bytes as a voice message", bytes.len() as u64, MAX_VOICE_BYTES as u64)?;
    let content_type = sent.content_type();
    let extension = crate::extension(content_type).unwrap_or("mp3");
    Ok(Voice { bytes, content_type, extension, duration_ms })
}

/// A WAV file of what a microphone gave: one channel, so many samples a second.
#[must_use]
pub fn wav(samples: &[i16], rate: u32) -> Vec<u8> {
    let data = u32::try_from(samples.len() * 2).unwrap_or(u32::MAX);
    let mut file = Vec::with_capacity(44 + samples.len() * 2);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&data.saturating_add(36).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend_from_slice(&rate.to_le_bytes());
    file.extend_from_slice(&rate.saturating_mul(2).to_le_bytes());
    file.extend_from_slice(b"\x02\0\x10\0data");
    file.extend_from_slice(&data.to_le_bytes());
    samples.iter().for_each(|sample| file.extend_from_slice(&sample.to_le_bytes()));
    file
}

fn encoded(bytes: &[u8], kind: Kind) -> Result<(Vec<u8>, Kind, u64), MediaError> {
    let mut encoder = mp3::Encoder::default();
    let heard = decode(bytes, kind, |samples, rate| encoder.put(samples, rate))?;
    if !heard.is_decoded {
        return Err(MediaError::Unsupported { doing: "making a voice message", found: "Opus" });
    }
    Ok((encoder.finish(), Kind::Mp3, heard.duration_ms))
}

/// A type of recordings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mp3,
    /// Perhaps with a film in it.
    Mp4,
    Adts,
    Ogg,
    Wav,
    Flac,
}

impl Kind {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Mp3 => "audio/mpeg",
            Self::Mp4 => "audio/mp4",
            Self::Adts => "audio/aac",
            Self::Ogg => "audio/ogg",
            Self::Wav => "audio/wav",
            Self::Flac => "audio/flac",
        }
    }
}

fn kind_of(bytes: &[u8]) -> Result<Kind, MediaError> {
    MediaError::within("bytes", bytes.len() as u64, MAX_SOUND_BYTES as u64)?;
    Ok(match content_type(bytes) {
        Some("audio/mpeg") => Kind::Mp3,
        // Recorders of telephones call both by the name of films.
        Some("audio/mp4" | "video/mp4") => Kind::Mp4,
        Some("audio/aac") => Kind::Adts,
        Some("audio/ogg") => Kind::Ogg,
        Some("audio/wav") => Kind::Wav,
        Some("audio/flac") => Kind::Flac,
        found => return Err(MediaError::NotASound { found }),
    })
}

/// Notes how loud a sound is, whose length nobody knows before its end: in parts that become twice as long whenever there are too
/// many of them.
struct Loudness {
    peaks: Vec<f32>,
    /// Samples in each part.
    length: usize,
    /// Samples in the part that is going on.
    now: usize,
    peak: f32,
}

impl Loudness {
    fn new() -> Self {
        Self { peaks: Vec::with_capacity(FINE_POINTS), length: 1, now: 0, peak: 0.0 }
    }

    fn add(&mut self, sample: f32) {
        self.peak = self.peak.max(sample.abs());
        self.now += 1;
        if self.now >= self.length {
            self.end_part();
        }
    }

    fn end_part(&mut self) {
        if self.peaks.len() == FINE_POINTS {
            let halves = self.peaks.chunks(2).map(|pair| pair.iter().copied().fold(0.0, f32::max));
            self.peaks = halves.collect();
            self.length *= 2;
            if self.now < self.length {
                return;
            }
        }
        self.peaks.push(self.peak);
        (self.now, self.peak) = (0, 0.0);
    }

    fn points(mut self, count: usize) -> Vec<u8> {
        if self.now > 0 {
            self.peaks.push(self.peak);
        }
        let length = self.peaks.len();
        let part = |point: usize| {
            let (from, to) = (point * length / count, ((point + 1) * length).div_ceil(count));
            let loudest = self.peaks.get(from..to).unwrap_or_default().iter().copied().fold(0.0, f32::max);
            // Clamped, so it fits; what is no number is silence.
            (loudest.clamp(0.0, 1.0) * 255.0) as u8
        };
        (0..count).map(part).collect()
    }
}
