//! The numbered mailboxes of an account.

use std::time::Duration;

/// A numbered mailbox inside an account's swarm storage (storage-and-onion 2.21). Numbers unknown
/// to us are valid and kept.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Namespace(pub i16);

impl Namespace {
    /// Messages to an account, its own sync copies among them. Anyone may deposit here.
    pub const DIRECT: Self = Self(0);
    /// The account's own profile document.
    pub const USER_PROFILE: Self = Self(2);
    /// The account's contacts document.
    pub const CONTACTS: Self = Self(3);
    /// Read positions.
    pub const CONVO_INFO_VOLATILE: Self = Self(4);
    /// Groups and communities of the account.
    pub const USER_GROUPS: Self = Self(5);
    /// Messages of a group.
    pub const GROUP_MESSAGES: Self = Self(11);
    /// Encryption keys of a group.
    pub const GROUP_KEYS: Self = Self(12);
    /// Name, picture and settings of a group.
    pub const GROUP_INFO: Self = Self(13);
    /// Members of a group.
    pub const GROUP_MEMBERS: Self = Self(14);
    /// Notices for members who were removed; readable with revoked credentials.
    pub const REVOKED_MEMBERS: Self = Self(-11);
    /// Messages of groups of the old kind.
    pub const LEGACY_GROUP: Self = Self(-10);

    /// Anyone may store here without the owner's signature.
    pub const fn is_public_inbox(self) -> bool {
        self.0 % 10 == 0
    }

    /// Anyone may read, the owner writes, and one message is kept: −1, −21, −41, …
    pub const fn is_public_outbox(self) -> bool {
        self.0 < 0 && (-(self.0 as i32)) % 20 == 1
    }

    /// Reading needs no signature.
    pub const fn is_unauthenticated_retrieve(self) -> bool {
        self.is_public_outbox() || self.0 == Self::LEGACY_GROUP.0
    }

    /// Revoked subaccounts may still read: −11, −111, −211, …
    pub const fn is_unrevocable(self) -> bool {
        self.0 < 0 && (-(self.0 as i32)) % 100 == 11
    }

    /// How long a message may be asked to live when it is stored.
    pub const fn max_ttl(self) -> Duration {
        const DAY: u64 = 24 * 60 * 60;
        Duration::from_secs(if self.is_public_inbox() { 14 * DAY } else { 30 * DAY })
    }

    /// The namespace as it is signed and hashed: nothing for 0, else the decimal number
    /// (storage-and-onion 2.4).
    pub fn signed_text(self) -> String {
        if self.0 == 0 { String::new() } else { self.0.to_string() }
    }
}

impl std::fmt::Display for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
