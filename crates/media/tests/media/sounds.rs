//! Promises about recordings, kept with recordings that other programs made.

use crate::support::{contains, sample, says_something};
use conclave_media::{MAX_VOICE_BYTES, MediaError, content_type, listen, voice, wav};

/// All are of one second, loud for half of it, then soft.
const SOUNDS: [(&str, &str); 9] = [
    ("tagged.mp3", "audio/mpeg"),
    ("slow.mp3", "audio/mpeg"),
    ("tagged.m4a", "audio/mp4"),
    ("telephone.mp4", "audio/mp4"),
    ("alac.m4a", "audio/mp4"),
    ("raw.aac", "audio/aac"),
    ("vorbis.ogg", "audio/ogg"),
    ("tagged.flac", "audio/flac"),
    ("studio.wav", "audio/wav"),
];

fn is_a_second(ms: u64) -> bool {
    // Coders add up to two frames of silence.
    (980..=1120).contains(&ms)
}

#[test]
fn a_recording_tells_how_long_it_is_and_where_it_is_loud() {
    for (name, kind) in SOUNDS {
        if name == "alac.m4a" {
            continue;
        }
        let sound = listen(&sample(name), 40).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(sound.content_type, kind, "{name}");
        assert!(is_a_second(sound.duration_ms), "{name}: {} ms", sound.duration_ms);
        assert_eq!(sound.waveform.len(), 40, "{name}");
        let (loud, soft) = (sound.waveform[8], sound.waveform[30]);
        assert!(loud > 150 && (20..100).contains(&soft), "{name}: {:?}", sound.waveform);
    }
    let opus = listen(&sample("opus.ogg"), 40).unwrap();
    assert_eq!(opus.content_type, "audio/ogg");
    assert!(is_a_second(opus.duration_ms) && opus.waveform.is_empty(), "measured, not decoded: {opus:?}");
}

#[test]
fn a_voice_message_is_mp3_or_aac_in_mp4_and_says_nothing_beside_the_sound() {
    for (name, _) in SOUNDS.iter().filter(|(name, _)| *name != "alac.m4a") {
        let whole = sample(name);
        let message = voice(&whole).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(matches!(message.content_type, "audio/mpeg" | "audio/mp4"), "{name}");
        assert_eq!(says_something(&message.bytes), None, "{name}");
        assert!(is_a_second(message.duration_ms), "{name}: {}", message.duration_ms);
        let heard = listen(&message.bytes, 40).unwrap();
        assert_eq!(heard.content_type, message.content_type, "{name}");
        assert!(is_a_second(heard.duration_ms), "{name}: {}", heard.duration_ms);
        let (loud, soft) = (heard.waveform[8], heard.waveform[30]);
        assert!(loud > 150 && (20..100).contains(&soft), "{name}: {:?}", heard.waveform);
        assert!(voice(&message.bytes).unwrap().bytes == message.bytes, "{name}: a voice message is one");
    }
    assert!(
        says_something(&sample("tagged.mp3")).is_some() && says_something(&sample("tagged.m4a")).is_some()
    );
}

#[test]
fn what_plays_everywhere_is_not_coded_again() {
    let (mp3, m4a) = (sample("tagged.mp3"), sample("tagged.m4a"));
    let (from_mp3, from_m4a) = (voice(&mp3).unwrap(), voice(&m4a).unwrap());
    assert!(contains(&mp3, &from_mp3.bytes), "the frames, as they were");
    assert_eq!(from_m4a.bytes.len(), m4a.len(), "samples stay where the tables say they are");
    assert_eq!((from_mp3.extension, from_m4a.extension), ("mp3", "m4a"));
}

#[test]
fn every_rate_of_a_microphone_becomes_a_voice_message_of_the_same_length_and_pitch() {
    for rate in [8_000_u32, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000] {
        let tone = |n: u32| (f64::from(n) * 2.0 * std::f64::consts::PI * 440.0 / f64::from(rate)).sin();
        let samples: Vec<i16> = (0..rate * 2).map(|n| (tone(n) * 20_000.0) as i16).collect();
        let file = wav(&samples, rate);
        assert_eq!(content_type(&file), Some("audio/wav"));
        assert_eq!(listen(&file, 1).unwrap().duration_ms, 2_000, "{rate}");
        let message = voice(&file).unwrap();
        assert_eq!((message.content_type, message.duration_ms), ("audio/mpeg", 2_000), "{rate}");
        let heard = listen(&message.bytes, 4).unwrap();
        assert!((1_990..=2_120).contains(&heard.duration_ms), "{rate}: {}", heard.duration_ms);
        assert!(heard.waveform[1].abs_diff(155) < 20, "{rate}: {:?}", heard.waveform);
    }
}

#[test]
fn what_cannot_become_a_voice_message_says_why() {
    assert!(matches!(voice(b""), Err(MediaError::NotASound { found: None })));
    assert!(matches!(voice(b"hello"), Err(MediaError::NotASound { found: None })));
    assert!(matches!(voice(&sample("gps.jpg")), Err(MediaError::NotASound { found: Some("image/jpeg") })));
    assert!(matches!(voice(&sample("film.mp4")), Err(MediaError::NotASound { found: Some("video/mp4") })));
    assert!(matches!(voice(&sample("opus.ogg")), Err(MediaError::Unsupported { found: "Opus", .. })));
    assert!(matches!(voice(&sample("alac.m4a")), Err(MediaError::Unsupported { .. })));
    assert!(matches!(voice(&wav(&[], 16_000)), Err(MediaError::Damaged(_))));
    // A quarter of an hour as MP3 of the highest rate is more than other programs fetch.
    let frames = voice(&sample("tagged.mp3")).unwrap().bytes;
    let long = frames.repeat(MAX_VOICE_BYTES / frames.len() + 1);
    assert!(matches!(voice(&long), Err(MediaError::TooLarge { .. })));
}

#[test]
fn a_recording_that_was_cut_short_is_heard_as_far_as_it_goes_or_refused() {
    for (name, _) in SOUNDS {
        let whole = sample(name);
        for length in (0..whole.len()).step_by(97) {
            for heard in [
                listen(&whole[..length], 8).map(|sound| sound.duration_ms),
                voice(&whole[..length]).map(|it| it.duration_ms),
            ] {
                assert!(heard.is_err() || heard.is_ok_and(|ms| ms <= 1_200), "{name} of {length} bytes");
            }
        }
    }
}

#[test]
fn a_recording_that_says_it_lasts_for_ever_is_not_listened_to_for_ever() {
    // A day of silence in a file of some kilobytes is what tags and tables can claim; samples are counted as they come.
    let mut file = wav(&[0; 100], 16_000);
    file[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    file[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(listen(&file, 1).is_ok_and(|sound| sound.duration_ms <= 10));
    let rate_of_nothing = wav(&[0; 1_000_000], 4_000);
    assert!(listen(&rate_of_nothing, 1).is_ok());
    let slow = wav(&vec![0; 4_000 * 3_700], 4_000);
    assert!(
        matches!(listen(&slow, 1), Err(MediaError::TooLarge { of: "milliseconds", .. })),
        "longer than an hour"
    );
}
