//! Closed groups: their messages ([`message`]), the signatures of their admins ([`admin`]), the
//! keys they hand out ([`keys`]) and the access of members to the group's mailbox
//! ([`subaccount`]). What the messages and configs say is for the crates above.

pub mod admin;
pub mod keys;
pub mod message;
pub mod subaccount;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// One of the keys a group encrypts its messages and configs with.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct GroupKey([u8; 32]);

impl GroupKey {
    /// A key from the group's key messages or a database.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for GroupKey {
    fn eq(&self, other: &Self) -> bool {
        crate::hash::constant_time_eq(&self.0, &other.0)
    }
}

impl Eq for GroupKey {}

impl std::fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GroupKey(hidden)")
    }
}
