//! Recordings become samples, piece by piece, so that a long one takes no more memory than a short one.

use std::io::Cursor;

use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_AAC, CODEC_ID_OPUS};
use symphonia::core::common::Limit;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

use super::Kind;
use crate::guard::guarded;
use crate::{MAX_SOUND_MS, MediaError};

/// Samples a second: from telephones to studios.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;
/// Channels that are mixed into one.
const MAX_CHANNELS: usize = 8;
/// Packets in a row that do not decode, before it is given up.
const MAX_BAD: u32 = 200;

/// How a sound is coded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Aac,
    Opus,
    Other,
}

/// What came out.
pub(super) struct Heard {
    pub(super) codec: Codec,
    pub(super) duration_ms: u64,
    /// Whether there were samples: Opus is measured, not decoded.
    pub(super) is_decoded: bool,
}

/// Hands out a recording's samples, all channels mixed into one, with their number a second, which stays the same.
pub(super) fn decode(
    bytes: &[u8],
    kind: Kind,
    mut each: impl FnMut(&[f32], u32) -> Result<(), MediaError>,
) -> Result<Heard, MediaError> {
    guarded(|| {
        let source = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
        let nothing = MetadataOptions::default()
            .limit_tag_bytes(Limit::Maximum(64 * 1024))
            .limit_visual_bytes(Limit::Maximum(0));
        let mut hint = Hint::new();
        if let Some(extension) = crate::extension(kind.content_type()) {
            hint.with_extension(extension);
        }
        let mut format = symphonia::default::get_probe()
            .probe(&hint, source, FormatOptions::default(), nothing)
            .map_err(|error| refusal(&error))?;
        if format.tracks().iter().any(|track| track.track_type() == Some(TrackType::Video)) {
            return Err(MediaError::NotASound { found: Some("video/mp4") });
        }
        decode_track(format.as_mut(), &mut each)
    })
}

fn decode_track(
    format: &mut dyn FormatReader,
    each: &mut impl FnMut(&[f32], u32) -> Result<(), MediaError>,
) -> Result<Heard, MediaError> {
    let track = format.default_track(TrackType::Audio).ok_or(MediaError::NotASound { found: None })?;
    let id = track.id;
    let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
    let parameters = parameters.ok_or(MediaError::NotASound { found: None })?;
    if parameters.codec == CODEC_ID_OPUS {
        // Opus always counts 48,000 samples a second. (RFC 7845, 4)
        let duration_ms = rounded_ms(track.num_frames.unwrap_or(0), 48_000);
        MediaError::within("milliseconds", duration_ms, MAX_SOUND_MS)?;
        return Ok(Heard { codec: Codec::Opus, duration_ms, is_decoded: false });
    }
    let codec = if parameters.codec == CODEC_ID_AAC { Codec::Aac } else { Codec::Other };
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(|error| refusal(&error))?;
    let (mut frames, mut rate, mut bad) = (0_u64, None, 0);
    let (mut samples, mut mixed) = (Vec::<f32>::new(), Vec::<f32>::new());
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            // What was cut short is heard as far as it goes.
            Ok(None) | Err(Error::IoError(_) | Error::ResetRequired) => break,
            Err(error) if frames == 0 => return Err(refusal(&error)),
            Err(_) => break,
        };
        if packet.track_id != id {
            continue;
        }
        let decoded = match decoder.decode(&packet) {
            Ok(decoded) => decoded,
            Err(Error::DecodeError(_) | Error::IoError(_)) if bad < MAX_BAD => {
                bad += 1;
                continue;
            }
            Err(error) => return Err(refusal(&error)),
        };
        bad = 0;
        let (of_packet, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
        if !RATES.contains(&of_packet) || *rate.get_or_insert(of_packet) != of_packet {
            return Err(MediaError::damaged("its samples have no steady and usual rate"));
        }
        MediaError::within("channels", channels as u64, MAX_CHANNELS as u64)?;
        frames += decoded.frames() as u64;
        MediaError::within("milliseconds", rounded_ms(frames, of_packet), MAX_SOUND_MS)?;
        decoded.copy_to_vec_interleaved(&mut samples);
        mixed.clear();
        mixed
            .extend(samples.chunks(channels.max(1)).map(|frame| frame.iter().sum::<f32>() / channels as f32));
        each(&mixed, of_packet)?;
    }
    let rate = rate.ok_or_else(|| MediaError::damaged("nothing is to be heard in it"))?;
    Ok(Heard { codec, duration_ms: rounded_ms(frames, rate), is_decoded: true })
}

fn rounded_ms(frames: u64, rate: u32) -> u64 {
    let rate = u64::from(rate.max(1));
    frames.saturating_mul(1000).saturating_add(rate / 2) / rate
}

fn refusal(error: &Error) -> MediaError {
    match error {
        Error::Unsupported(what) => MediaError::Unsupported { doing: "decoding", found: what },
        other => MediaError::Damaged(other.to_string().chars().take(200).collect()),
    }
}
