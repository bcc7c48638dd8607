//! What a group's admins sign (client-messages 4.13). Receivers rebuild these bytes with the sent
//! time of the message that carried them; a message repeated later does not verify.

use crate::id::AccountId;
use crate::keys::{BadSignature, Ed25519Public, Ed25519Secret, Signature};

/// An action that needs an admin.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum AdminAction<'a> {
    /// Inviting this account.
    Invite(&'a AccountId),
    /// Changing name (1), picture (2) or timer (3).
    InfoChange(u32),
    /// Adding (1), removing (2) or promoting (3) members.
    MemberChange(u32),
    /// Deleting everything of some members, and some messages.
    DeleteContent {
        /// Account ids in hex, in the message's order.
        members: &'a [String],
        /// Message hashes, in the message's order.
        hashes: &'a [String],
    },
}

impl AdminAction<'_> {
    /// The signed bytes; `sent_at` is the message's sent time in milliseconds.
    pub fn signed_bytes(&self, sent_at: u64) -> Vec<u8> {
        match self {
            Self::Invite(invitee) => format!("INVITE{invitee}{sent_at}"),
            Self::InfoChange(kind) => format!("INFO_CHANGE{kind}{sent_at}"),
            Self::MemberChange(kind) => format!("MEMBER_CHANGE{kind}{sent_at}"),
            Self::DeleteContent { members, hashes } => {
                format!("DELETE_CONTENT{sent_at}{}{}", members.concat(), hashes.concat())
            }
        }
        .into_bytes()
    }

    /// Signs with the group's key.
    pub fn sign(&self, group: &Ed25519Secret, sent_at: u64) -> Signature {
        group.sign(&self.signed_bytes(sent_at))
    }

    /// Verifies with the key in the group's id.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(
        &self,
        group: &Ed25519Public,
        sent_at: u64,
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        group.verify(&self.signed_bytes(sent_at), signature)
    }
}
