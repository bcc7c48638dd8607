//! All documents of an account together, for whoever keeps them in step.

use conclave_crypto::Ed25519Secret;
use conclave_proto::Namespace;

use crate::document::Document;
use crate::{Contacts, Conversations, Kind, UserGroups, UserProfile};

/// The documents that the devices of an account share.
#[derive(Clone, Debug)]
pub struct AccountDocuments {
    /// The profile.
    pub profile: UserProfile,
    /// Whom the account knows.
    pub contacts: Contacts,
    /// How far conversations have been read.
    pub conversations: Conversations,
    /// Groups and communities.
    pub groups: UserGroups,
}

impl AccountDocuments {
    /// Empty documents.
    pub fn new(account: &Ed25519Secret) -> Self {
        Self {
            profile: UserProfile::new(account),
            contacts: Contacts::new(account),
            conversations: Conversations::new(account),
            groups: UserGroups::new(account),
        }
    }

    /// All of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Document> {
        let all: [&mut Document; 4] =
            [&mut self.profile, &mut self.contacts, &mut self.conversations, &mut self.groups];
        all.into_iter()
    }

    /// The one of a kind, if the kind is an account's.
    pub fn by_kind(&mut self, kind: Kind) -> Option<&mut Document> {
        self.iter_mut().find(|document| document.kind() == kind)
    }

    /// The one that is stored in a namespace.
    pub fn by_namespace(&mut self, namespace: Namespace) -> Option<&mut Document> {
        self.iter_mut().find(|document| document.kind().namespace() == Some(namespace))
    }
}
