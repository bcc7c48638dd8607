//! Encryption of attachments and profile pictures (client-messages 6).
//!
//! Three formats are about: [`legacy`] (AES-CBC with HMAC), which attachments are sent in;
//! [`picture`] (AES-GCM), which profile pictures are sent in; and [`stream`], the newer format of
//! both, which derives the key from the content so that equal files upload as equal blobs.

pub mod legacy;
pub mod picture;
pub mod stream;

/// Why an attachment could not be decrypted. Trying the same bytes again does not help; another
/// download may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttachmentError {
    /// Less than the format's fixed parts.
    #[error("{length} bytes are too few for an encrypted file")]
    TooShort {
        /// Bytes received.
        length: usize,
    },
    /// The digest in the message is of another blob: the server sent something else.
    #[error("the file is not the one the message announced (its digest differs)")]
    Digest,
    /// The key does not fit, or the blob was changed or cut.
    #[error("the key does not open this file, or it was changed on the way")]
    NotAuthentic,
    /// The file is shorter than the message says.
    #[error("the file has {got} bytes, the message announced {announced}")]
    Size {
        /// Bytes announced.
        announced: usize,
        /// Bytes there are, padding included.
        got: usize,
    },
    /// The first byte names another format.
    #[error("the file is not in the deterministic stream format")]
    Format,
    /// Content for which no blob small enough for file servers exists.
    #[error("{0} bytes are too many for an attachment, {max} are allowed", max = stream::MAX_CONTENT)]
    TooLarge(usize),
    /// Fewer or more bytes were given to the encryptor than its key was derived from.
    #[error("the content differs from the one the key was derived from")]
    ContentChanged,
}
