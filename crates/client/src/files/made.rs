//! What a file becomes before it is encrypted: a picture loses what it says of whoever took it, a recording becomes a voice message
//! that every program plays (decision 0016). Whoever wants neither sends it as a file.

use std::io::{self, Read};
use std::sync::Arc;

use conclave_media::{MAX_PICTURE_BYTES, MAX_SOUND_BYTES, MediaError, content_type, strip, voice};
use zeroize::Zeroizing;

use super::prepare::{Description, FileError, Source};

/// Bytes of a beginning by which a file's type is known.
const BEGINNING: u64 = 4096;
/// What voice messages are called: nobody has to know how the recording was.
const VOICE_NAME: &str = "voice-message";

/// What is sent instead of what lies on the disk, and what is said of it.
pub(super) fn made(source: Source, mut description: Description) -> Result<(Source, Description), FileError> {
    // What is no file at all is said before anything is read of it.
    let size = source.size()?;
    if description.as_file {
        return Ok((source, description));
    }
    if description.voice {
        let made = voice(&all_of(&source, size, MAX_SOUND_BYTES, FileError::NotAVoice)?);
        let made = made.map_err(FileError::NotAVoice)?;
        let stem = description.name.as_deref().map_or(VOICE_NAME, stem_of);
        description.name = Some(format!("{stem}.{}", made.extension));
        description.content_type = Some(made.content_type.to_owned());
        description.duration_ms = Some(made.duration_ms);
        return Ok((instead_of(&source, made.bytes), description));
    }
    let mut beginning = Vec::new();
    read(&source, |reader| reader.take(BEGINNING).read_to_end(&mut beginning))?;
    if !content_type(&beginning).is_some_and(|kind| kind.starts_with("image/")) {
        return Ok((source, description));
    }
    let made = strip(&all_of(&source, size, MAX_PICTURE_BYTES, FileError::NotStripped)?);
    let made = made.map_err(FileError::NotStripped)?;
    description.content_type = Some(made.content_type.to_owned());
    (description.width, description.height) = (Some(made.width), Some(made.height));
    Ok((instead_of(&source, made.bytes), description))
}

fn instead_of(source: &Source, bytes: Vec<u8>) -> Source {
    Source::Made(source.path().to_owned(), Arc::new(Zeroizing::new(bytes)))
}

/// All bytes of a file that is small enough to be in memory.
pub(super) fn all_of(
    source: &Source,
    size: u64,
    limit: usize,
    refused: fn(MediaError) -> FileError,
) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let limit = limit as u64;
    if size > limit {
        return Err(refused(MediaError::TooLarge { of: "bytes", is: size, limit }));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0)));
    // One more, so that what grows meanwhile is noticed.
    read(source, |reader| reader.take(limit + 1).read_to_end(&mut bytes))?;
    Ok(bytes)
}

fn read(source: &Source, reading: impl FnOnce(&mut dyn Read) -> io::Result<usize>) -> Result<(), FileError> {
    let read = source.open().and_then(|mut reader| reading(&mut reader));
    read.map(drop).map_err(FileError::io("read", source.path()))
}

/// A name without what says its type.
fn stem_of(name: &str) -> &str {
    name.rsplit_once('.').map(|(stem, _)| stem).filter(|stem| !stem.is_empty()).unwrap_or(name)
}

/// The same for a file whose sender gave it no name.
pub(crate) fn name_of(content_type: Option<&str>, is_voice: bool) -> String {
    let extension = content_type.and_then(conclave_media::extension);
    let stem = match content_type {
        _ if is_voice => VOICE_NAME,
        Some(kind) if kind.starts_with("image/") => "picture",
        Some(kind) if kind.starts_with("audio/") => "sound",
        _ => "file",
    };
    extension.map_or_else(|| stem.to_owned(), |extension| format!("{stem}.{extension}"))
}

/// Bytes that are in memory, read as if they lay on the disk.
pub(super) fn reader(bytes: &Arc<Zeroizing<Vec<u8>>>) -> Box<dyn Read> {
    struct Bytes(Arc<Zeroizing<Vec<u8>>>);
    impl AsRef<[u8]> for Bytes {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Box::new(io::Cursor::new(Bytes(Arc::clone(bytes))))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../media/tests/samples");

    fn plain(name: &str) -> Source {
        Source::Plain(PathBuf::from(SAMPLES).join(name))
    }

    fn bytes_of(source: &Source) -> Vec<u8> {
        let mut bytes = Vec::new();
        source.open().unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(source.size().unwrap(), bytes.len() as u64);
        bytes
    }

    #[test]
    fn a_picture_is_sent_without_what_it_says_and_with_its_measures_whatever_it_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("notes.txt");
        std::fs::copy(format!("{SAMPLES}/gps.jpg"), &odd).unwrap();
        for source in [plain("gps.jpg"), Source::Plain(odd)] {
            let whole = bytes_of(&source);
            let (made, said) = made(source.clone(), Description::default()).unwrap();
            let bytes = bytes_of(&made);
            assert!(bytes.len() < whole.len() && !bytes.windows(6).any(|it| it == b"secret"));
            assert_eq!((said.width, said.height), (Some(24), Some(40)));
            assert_eq!(said.content_type.as_deref(), Some("image/jpeg"));
        }
    }

    #[test]
    fn as_a_file_it_is_sent_as_it_is() {
        let as_file = Description { as_file: true, ..Description::default() };
        let (made, said) = made(plain("gps.jpg"), as_file).unwrap();
        assert_eq!(bytes_of(&made), bytes_of(&plain("gps.jpg")));
        assert_eq!((said.width, said.content_type), (None, None));
    }

    #[test]
    fn what_cannot_be_stripped_is_refused_and_other_files_are_not_looked_into() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            Source::Plain(path)
        };
        let heic = place("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic");
        let broken = place("b.png", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR");
        for refused in [heic, broken] {
            assert!(matches!(made(refused, Description::default()), Err(FileError::NotStripped(_))));
        }
        for other in [place("c.png", b"no picture"), place("d.svg", b"<svg/>"), place("e", b"")] {
            let (same, said) = made(other.clone(), Description::default()).unwrap();
            assert_eq!((bytes_of(&same), said.width), (bytes_of(&other), None));
        }
        assert!(matches!(
            made(Source::Plain("/dev/zero".into()), Description::default()),
            Err(FileError::NotAFile(_))
        ));
    }

    #[test]
    fn a_voice_message_is_called_one_and_says_how_long_it_is() {
        let voice = || Description { voice: true, ..Description::default() };
        for (sample, name) in [("studio.wav", "voice-message.mp3"), ("tagged.m4a", "voice-message.m4a")] {
            let (_, said) = made(plain(sample), voice()).unwrap();
            assert_eq!(said.name.as_deref(), Some(name));
            assert!(said.duration_ms.is_some_and(|ms| (980..1_120).contains(&ms)));
        }
        let named = Description { name: Some("for you.wav".to_owned()), ..voice() };
        assert_eq!(made(plain("studio.wav"), named).unwrap().1.name.as_deref(), Some("for you.mp3"));
        assert!(matches!(made(plain("gps.jpg"), voice()), Err(FileError::NotAVoice(_))));
    }

    #[test]
    fn what_has_no_name_gets_one_that_says_what_it_is() {
        for (kind, is_voice, name) in [
            (Some("image/jpeg"), false, "picture.jpg"),
            (Some("audio/mp4"), true, "voice-message.m4a"),
            (Some("audio/mpeg"), false, "sound.mp3"),
            (Some("application/x-sh"), false, "file"),
            (Some("image/../../x"), false, "picture"),
            (None, false, "file"),
        ] {
            assert_eq!(name_of(kind, is_voice), name);
        }
    }
}
