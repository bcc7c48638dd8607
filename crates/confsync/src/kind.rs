//! The documents there are, and what tells them apart on the wire.

use conclave_proto::Namespace;
use conclave_proto::content::shared_config_message::Kind as Wrapped;

/// A kind of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An account's own profile.
    UserProfile,
    /// Whom an account knows.
    Contacts,
    /// How far each conversation has been read (`ConvoInfoVolatile`).
    Conversations,
    /// Groups and communities of an account.
    UserGroups,
    /// Settings of one device, never sent anywhere.
    Local,
    /// Name, picture and settings of a group.
    GroupInfo,
    /// Who is in a group.
    GroupMembers,
}

impl Kind {
    /// The documents of an account that its devices share.
    pub const ACCOUNT: [Self; 4] = [Self::UserProfile, Self::Contacts, Self::Conversations, Self::UserGroups];

    /// Where it is stored (config-and-groups 5.6); nowhere if it stays on the device.
    pub const fn namespace(self) -> Option<Namespace> {
        match self {
            Self::UserProfile => Some(Namespace::USER_PROFILE),
            Self::Contacts => Some(Namespace::CONTACTS),
            Self::Conversations => Some(Namespace::CONVO_INFO_VOLATILE),
            Self::UserGroups => Some(Namespace::USER_GROUPS),
            Self::Local => None,
            Self::GroupInfo => Some(Namespace::GROUP_INFO),
            Self::GroupMembers => Some(Namespace::GROUP_MEMBERS),
        }
    }

    /// The name that its encryption depends on (5.1).
    pub(crate) const fn domain(self) -> &'static str {
        match self {
            Self::UserProfile => "UserProfile",
            Self::Contacts => "Contacts",
            Self::Conversations => "ConvoInfoVolatile",
            Self::UserGroups => "UserGroups",
            Self::Local => "Local",
            Self::GroupInfo => "groups::Info",
            Self::GroupMembers => "groups::Members",
        }
    }

    /// What it is called inside the protobuf that is around an account's documents (5.4).
    pub(crate) const fn wrapped(self) -> Option<Wrapped> {
        match self {
            Self::UserProfile => Some(Wrapped::UserProfile),
            Self::Contacts => Some(Wrapped::Contacts),
            Self::Conversations => Some(Wrapped::ConvoInfoVolatile),
            Self::UserGroups => Some(Wrapped::UserGroups),
            Self::Local | Self::GroupInfo | Self::GroupMembers => None,
        }
    }
}
