//! Base64 as the network writes it: the standard alphabet, padding written or left out by others.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const EITHER_PADDING: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Standard alphabet, padded.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Standard alphabet, with or without padding. `None` for anything else, leftover bits included.
pub fn decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    EITHER_PADDING.decode(text).ok()
}

/// The alphabet for addresses and file names, without padding.
pub fn encode_url(bytes: impl AsRef<[u8]>) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// The alphabet for addresses and file names, without padding. `None` for anything else, leftover bits included.
pub fn decode_url(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok()
}
