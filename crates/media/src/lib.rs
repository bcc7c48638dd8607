//! Pictures and sound, as bytes: what they are, small copies to look at, and what is left of them when all that they say of
//! whoever made them is taken out. No files, no network, no clock.
//!
//! Most of what comes in here was made by strangers. So every way in has limits of bytes, pixels, memory and length that are
//! checked on what a file *claims* before anything is decoded, and a fault of a decoder is an error, not the end of the program
//! ([`MediaError::Damaged`]). Names and types that somebody has written beside the bytes are not looked at: only the bytes count
//! ([`content_type`]).

mod guard;
mod picture;
mod read;
mod sniff;
mod sound;

pub use picture::{Preview, Stripped, preview, square, strip};
pub use sniff::{content_type, extension};
pub use sound::{Sound, Voice, listen, voice, wav};

/// Bytes of a picture that are looked at: twice what a camera with 50 megapixels writes.
pub const MAX_PICTURE_BYTES: usize = 64 * 1024 * 1024;
/// Pixels of a picture that is decoded.
pub const MAX_PIXELS: u64 = 50_000_000;
/// The longest side of a picture that is decoded, in pixels; for panoramas.
pub const MAX_SIDE: u32 = 32_767;
/// Bytes of memory that decoding a picture may take, apart from the picture's own bytes.
pub const MAX_MEMORY: u64 = 256 * 1024 * 1024;
/// Bytes of a recording that is listened to: a quarter of an hour as a recorder without compression writes it.
pub const MAX_SOUND_BYTES: usize = 96 * 1024 * 1024;
/// The longest sound that is decoded, in milliseconds: an hour.
pub const MAX_SOUND_MS: u64 = 60 * 60 * 1000;
/// Bytes of a voice message: what other programs fetch. (client-messages 8)
pub const MAX_VOICE_BYTES: usize = 10_000_000;

/// Why something cannot be done with a picture or a recording. Trying again never helps: the bytes are what they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// The bytes are of something else.
    #[error("this is not a picture of a known type{}", but(*.found))]
    NotAPicture {
        /// What they are, if that is known.
        found: Option<&'static str>,
    },
    /// The bytes are of something else.
    #[error("this is not a recording of a known type{}", but(*.found))]
    NotASound {
        /// What they are, if that is known.
        found: Option<&'static str>,
    },
    /// A picture or recording, of a type that this program cannot take apart.
    #[error("{doing} is not possible with {found}")]
    Unsupported {
        /// What was to be done.
        doing: &'static str,
        /// What the bytes are.
        found: &'static str,
    },
    /// More than a limit.
    #[error("it has {is} {of}, the limit is {limit}")]
    TooLarge {
        /// What there is too much of.
        of: &'static str,
        /// How much there is, or is said to be.
        is: u64,
        /// How much may be.
        limit: u64,
    },
    /// The bytes are not what their type says they must be: whoever wrote them made a mistake, or they were cut short.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

impl MediaError {
    fn damaged(what: &str) -> Self {
        Self::Damaged(what.to_owned())
    }

    /// Checks a size against its limit.
    fn within(of: &'static str, is: u64, limit: u64) -> Result<(), Self> {
        if is > limit { Err(Self::TooLarge { of, is, limit }) } else { Ok(()) }
    }

    /// The next step.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NotAPicture { .. } => "pictures are PNG, JPEG, GIF and WebP files",
            Self::NotASound { .. } => "recordings are MP3, M4A, AAC, WAV, FLAC and Ogg Vorbis files",
            Self::Unsupported { .. } => "convert it, for instance to JPEG or MP3",
            Self::TooLarge { .. } => "make it smaller or shorter",
            Self::Damaged(_) => "open it in another program and save it anew",
        }
    }
}

fn but(found: Option<&'static str>) -> String {
    found.map(|found| format!(", but {found}")).unwrap_or_default()
}
