//! The name of a stored message.

use conclave_crypto::AccountId;

use crate::Namespace;

/// The hash by which storage knows a message: 43 characters of base64 (storage-and-onion 3). Ordered
/// as text, which is the order node signatures use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageHash([u8; MessageHash::LENGTH]);

/// Text that is no message hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message hash is 43 characters of base64")]
pub struct InvalidMessageHash;

impl MessageHash {
    /// Characters of a hash.
    pub const LENGTH: usize = 43;

    /// The hash under which `data` is stored for `owner` in `namespace`.
    pub fn of(owner: &AccountId, namespace: Namespace, data: &[u8]) -> Self {
        let text = conclave_crypto::message_hash::message_hash(owner, namespace.0, data);
        Self(text.as_bytes().try_into().expect("32 bytes are 43 characters of unpadded base64"))
    }

    /// Reads 43 characters of standard base64. The bits they leave over are not judged: a hash names
    /// a row, and whoever made it up chose its spelling.
    ///
    /// # Errors
    /// For any other text.
    pub fn from_text(text: &str) -> Result<Self, InvalidMessageHash> {
        let of_base64 = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
        let bytes: [u8; Self::LENGTH] = text.as_bytes().try_into().map_err(|_| InvalidMessageHash)?;
        if bytes.iter().all(of_base64) { Ok(Self(bytes)) } else { Err(InvalidMessageHash) }
    }

    /// The hash whose 32 bytes these are.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let text = crate::base64::encode(bytes);
        let text = text.as_bytes().get(..Self::LENGTH).and_then(|text| text.try_into().ok());
        Self(text.expect("32 bytes are 43 characters of base64, and one of padding"))
    }

    /// The 32 bytes it spells, if it is spelt as [`Self::of`] does: the text has room for two bits more, and a hash with
    /// any of them set is no message's.
    pub fn to_bytes(&self) -> Option<[u8; 32]> {
        crate::base64::decode(self.0)?.try_into().ok()
    }

    /// The 43 characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("every way of making one checks for ASCII")
    }

    /// The 43 characters as bytes: what is signed and hashed.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl std::fmt::Display for MessageHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Debug for MessageHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MessageHash({}…)", self.as_str().get(..8).unwrap_or_default())
    }
}

impl std::str::FromStr for MessageHash {
    type Err = InvalidMessageHash;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_text(text)
    }
}

impl serde::Serialize for MessageHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for MessageHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        Self::from_text(&text).map_err(serde::de::Error::custom)
    }
}
