//! The 33-byte ids of accounts, groups and blinded identities.

use crate::keys::{Ed25519Public, InvalidKey, X25519Public};

/// The first byte of an id: what kind of key follows (client-messages 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum IdPrefix {
    /// 05: an account; an X25519 key follows.
    Account,
    /// 03: a closed group; an Ed25519 key follows.
    Group,
    /// 00: an account shown unblinded to a community; an Ed25519 key follows.
    Unblinded,
    /// 15: blinded for a community, scheme 15; an Ed25519 point follows.
    Blinded15,
    /// 25: blinded for a community, scheme 25; an Ed25519 point follows.
    Blinded25,
    /// 07: the key of version checks at a file server; an Ed25519 key follows.
    Version,
    /// Any other byte. Service nodes store for such ids and treat them like 03 (storage-and-onion 2.2).
    Other(u8),
}

impl IdPrefix {
    /// The prefix of a byte.
    pub const fn from_byte(byte: u8) -> Self {
        match byte {
            0x05 => Self::Account,
            0x03 => Self::Group,
            0x00 => Self::Unblinded,
            0x15 => Self::Blinded15,
            0x25 => Self::Blinded25,
            0x07 => Self::Version,
            other => Self::Other(other),
        }
    }

    /// The byte of a prefix.
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Account => 0x05,
            Self::Group => 0x03,
            Self::Unblinded => 0x00,
            Self::Blinded15 => 0x15,
            Self::Blinded25 => 0x25,
            Self::Version => 0x07,
            Self::Other(other) => other,
        }
    }
}

/// Why text or bytes are not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAccountId {
    /// Not 33 bytes, or not 66 hex digits.
    #[error("an account id has 66 hex digits, this has {0}")]
    Length(usize),
    /// A character that is not a hex digit.
    #[error("an account id has only the digits 0-9 and a-f; character {position} is {found:?}")]
    NotHex {
        /// Counted from 1.
        position: usize,
        /// What stands there.
        found: char,
    },
    /// The key behind the prefix cannot be used.
    #[error("the key in this account id cannot be used: {0}")]
    Key(#[from] InvalidKey),
}

/// The id of an account, a group or a blinded identity: a prefix byte and a 32-byte key.
///
/// Making one checks length and spelling only, since a service node stores for keys it cannot
/// judge; [`Self::x25519`] and [`Self::ed25519`] check the key before it is used as one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId([u8; 33]);

impl AccountId {
    /// The id of a prefix and a key.
    pub fn new(prefix: IdPrefix, key: &[u8; 32]) -> Self {
        let mut bytes = [0u8; 33];
        let (first, rest) = bytes.split_at_mut(1);
        first.fill(prefix.to_byte());
        rest.copy_from_slice(key);
        Self(bytes)
    }

    /// The account id (05) of an X25519 key.
    pub fn of_account(key: &X25519Public) -> Self {
        Self::new(IdPrefix::Account, key.as_bytes())
    }

    /// The group id (03) of an Ed25519 key.
    pub fn of_group(key: &Ed25519Public) -> Self {
        Self::new(IdPrefix::Group, key.as_bytes())
    }

    /// The raw 33 bytes.
    ///
    /// # Errors
    /// For another length.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidAccountId> {
        bytes.try_into().map(Self).map_err(|_| InvalidAccountId::Length(bytes.len().saturating_mul(2)))
    }

    /// Reads 66 hex digits of either case.
    ///
    /// # Errors
    /// Names the first character that is wrong, or the length.
    pub fn from_hex(text: &str) -> Result<Self, InvalidAccountId> {
        if let Some((position, found)) = text.chars().enumerate().find(|(_, c)| !c.is_ascii_hexdigit()) {
            return Err(InvalidAccountId::NotHex { position: position + 1, found });
        }
        let bytes = hex::decode(text).map_err(|_| InvalidAccountId::Length(text.len()))?;
        bytes.as_slice().try_into().map(Self).map_err(|_| InvalidAccountId::Length(text.len()))
    }

    /// Prefix and key.
    pub const fn as_bytes(&self) -> &[u8; 33] {
        &self.0
    }

    /// Lowercase hex, 66 digits: the form that is shown, signed and sent.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// What kind of id this is.
    pub const fn prefix(&self) -> IdPrefix {
        IdPrefix::from_byte(self.0[0])
    }

    /// The 32 bytes behind the prefix, unchecked.
    pub fn key_bytes(&self) -> &[u8; 32] {
        let [_, key @ ..] = &self.0;
        key
    }

    /// The key as X25519, for ids of [`IdPrefix::Account`].
    ///
    /// # Errors
    /// If the bytes are no usable key.
    pub fn x25519(&self) -> Result<X25519Public, InvalidKey> {
        X25519Public::from_bytes(*self.key_bytes())
    }

    /// The key as Ed25519, for ids of every other kind.
    ///
    /// # Errors
    /// If the bytes are no usable key.
    pub fn ed25519(&self) -> Result<Ed25519Public, InvalidKey> {
        Ed25519Public::from_bytes(*self.key_bytes())
    }

    /// `0512…ab34`, for logs and places with little room.
    pub fn short(&self) -> String {
        let text = self.to_hex();
        format!("{}…{}", text.get(..4).unwrap_or_default(), text.get(62..).unwrap_or_default())
    }
}

impl std::fmt::Display for AccountId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// Shortened: debug output ends in logs, and logs never hold whole account ids.
impl std::fmt::Debug for AccountId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AccountId({})", self.short())
    }
}

impl std::str::FromStr for AccountId {
    type Err = InvalidAccountId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_hex(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "05d2ad010eeb72d72e561d9de7bd7b6989af77dcabffa03a5111a6c859ae5c3a72";

    #[test]
    fn ids_are_read_in_either_case_and_written_in_lower_case() {
        let id: AccountId = TEXT.to_uppercase().parse().unwrap();
        assert_eq!(id.to_string(), TEXT);
        assert_eq!(id.prefix(), IdPrefix::Account);
        assert_eq!(AccountId::of_account(&id.x25519().unwrap()), id);
    }

    #[test]
    fn a_wrong_id_is_refused_with_the_reason() {
        assert_eq!(AccountId::from_hex(&TEXT[..64]), Err(InvalidAccountId::Length(64)));
        assert_eq!(AccountId::from_hex(&TEXT[..65]), Err(InvalidAccountId::Length(65)));
        assert_eq!(
            AccountId::from_hex(&TEXT.replace("0e", "0g")),
            Err(InvalidAccountId::NotHex { position: 10, found: 'g' })
        );
        assert_eq!(AccountId::from_slice(&[5; 32]), Err(InvalidAccountId::Length(64)));
    }

    #[test]
    fn a_weak_key_has_an_id_but_gives_no_key() {
        let id = AccountId::new(IdPrefix::Account, &[0; 32]);
        assert_eq!(id.x25519(), Err(InvalidKey::Weak));
    }

    #[test]
    fn every_byte_is_a_prefix() {
        for byte in 0..=255 {
            assert_eq!(IdPrefix::from_byte(byte).to_byte(), byte);
        }
    }

    #[test]
    fn debug_output_shortens_the_id() {
        assert_eq!(format!("{:?}", AccountId::from_hex(TEXT).unwrap()), "AccountId(05d2…3a72)");
    }
}
