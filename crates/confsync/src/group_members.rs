//! Who is in a group, who is asked to be, and who is about to be removed (config-and-groups 7.2).
//!
//! An invitation or promotion that is being sent looks in the document like one that was not sent yet;
//! that it is under way is remembered on this device only.

use conclave_crypto::{AccountId, IdPrefix};
use conclave_proto::{Timestamp, bt};

use crate::data::Dict;
use crate::document::EditError;
use crate::fields::{Fields as _, MAX_NAME, Picture, Record, check_picture, records_by_id, store, view};
use crate::kind::Kind;

view! {
    /// A group's members document.
    GroupMembers of group: Kind::GroupMembers
}

/// How far an invitation or a promotion has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Step {
    /// Not sent yet.
    #[default]
    NotSent,
    /// Sent, not accepted yet.
    Sent,
    /// Could not be sent.
    Failed,
    /// Accepted.
    Accepted,
    /// A number of a newer program.
    Unknown(i64),
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An ordinary member, or about to be.
    Member(Step),
    /// An admin, or about to be.
    Admin(Step),
}

/// That somebody is about to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Their messages stay.
    Member,
    /// Their messages go as well.
    WithMessages,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name they gave themselves.
    pub name: String,
    /// Their picture.
    pub picture: Option<Picture>,
    /// When they set name and picture.
    pub profile_updated: Option<Timestamp>,
    /// What they are.
    pub role: Role,
    /// They were given the keys of earlier messages.
    pub history_shared: bool,
    /// They are about to be removed.
    pub removal: Option<Removal>,
}

impl Default for Member {
    fn default() -> Self {
        Self {
            name: String::new(),
            picture: None,
            profile_updated: None,
            role: Role::Member(Step::NotSent),
            history_shared: false,
            removal: None,
        }
    }
}

/// A member's state as one value, as the reference counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Status {
    InviteUnknown = 0,
    InviteNotSent = 1,
    InviteSending = 2,
    InviteFailed = 3,
    InviteSent = 4,
    InviteAccepted = 5,
    PromotionUnknown = 6,
    PromotionNotSent = 7,
    PromotionSending = 8,
    PromotionFailed = 9,
    PromotionSent = 10,
    PromotionAccepted = 11,
    RemovedUnknown = 12,
    Removed = 13,
    RemovedWithMessages = 14,
}

const MEMBERS: &str = "m";

/// The local list of those whose invitation or promotion is under way.
const SENDING: &[u8] = b"pending_send_ids";

impl GroupMembers {
    /// A member.
    pub fn member(&self, id: &AccountId) -> Option<Member> {
        self.data().dict_at(&[MEMBERS.as_bytes(), id.as_bytes()]).map(Member::read)
    }

    /// All members, by ascending id.
    pub fn members(&self) -> impl Iterator<Item = (AccountId, Member)> {
        let accounts = |prefix| prefix == IdPrefix::Account.to_byte();
        records_by_id(self, MEMBERS, accounts).map(|(id, record)| (id, Member::read(record)))
    }

    /// What a member's state is, with what is under way on this device.
    pub fn status(&self, id: &AccountId) -> Option<Status> {
        let record = self.data().dict_at(&[MEMBERS.as_bytes(), id.as_bytes()])?;
        Some(Member::read(record).status(record.int("R"), self.is_sending(id)))
    }

    /// Sets what is known of a member, who is added if need be. Where the invitation or promotion is not sent,
    /// it counts as under way from now on. Returns whether anything is different in the document.
    ///
    /// # Errors
    /// If the id is no account's or a picture's address is too long; and [`EditError`].
    pub fn set_member(&mut self, id: &AccountId, member: &Member) -> Result<bool, EditError> {
        if id.prefix() != IdPrefix::Account {
            return Err(EditError::Invalid("only accounts can be members"));
        }
        check_picture(member.picture.as_ref())?;
        let before = self.member(id);
        let changed = store(self, &[MEMBERS.as_bytes(), id.as_bytes()], before.as_ref(), member)?;
        self.set_sending(id, matches!(member.role, Role::Member(Step::NotSent) | Role::Admin(Step::NotSent)));
        Ok(changed)
    }

    /// Changes a member, who is added if need be.
    ///
    /// # Errors
    /// As [`Self::set_member`].
    pub fn update_member(
        &mut self,
        id: &AccountId,
        change: impl FnOnce(&mut Member),
    ) -> Result<bool, EditError> {
        let mut member = self.member(id).unwrap_or_default();
        change(&mut member);
        self.set_member(id, &member)
    }

    /// Erases a member; whether there was one.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn remove_member(&mut self, id: &AccountId) -> Result<bool, EditError> {
        let removed = self.put(&[MEMBERS.as_bytes(), id.as_bytes()], None)?;
        self.set_sending(id, false);
        Ok(removed)
    }

    fn is_sending(&self, id: &AccountId) -> bool {
        let id = id.to_hex();
        let list = self.extra.field(SENDING).and_then(bt::Value::as_list).unwrap_or_default();
        list.iter().any(|entry| entry.as_text() == Some(&id))
    }

    fn set_sending(&mut self, id: &AccountId, sending: bool) {
        if self.is_sending(id) == sending {
            return;
        }
        let id = id.to_hex();
        if let bt::Value::Dict(extra) = &mut self.extra {
            let entry = extra.entry(SENDING.to_vec()).or_insert_with(|| bt::Value::List(Vec::new()));
            if let bt::Value::List(list) = entry {
                list.retain(|entry| entry.as_text() != Some(&id));
                if sending {
                    list.push(id.into());
                }
                if list.is_empty() {
                    extra.remove(SENDING);
                }
            }
        }
        self.mark_changed();
    }
}

impl Step {
    fn read(number: Option<i64>) -> Self {
        match number {
            None | Some(0) => Self::Accepted,
            Some(1) => Self::Sent,
            Some(2) => Self::Failed,
            Some(3) => Self::NotSent,
            Some(other) => Self::Unknown(other),
        }
    }

    const fn number(self) -> i64 {
        match self {
            Self::Accepted => 0,
            Self::Sent => 1,
            Self::Failed => 2,
            Self::NotSent => 3,
            Self::Unknown(other) => other,
        }
    }
}

impl Member {
    /// The invitation was accepted: an ordinary member from now on.
    pub const fn accept_invitation(&mut self) {
        self.role = Role::Member(Step::Accepted);
        self.history_shared = false;
    }

    /// Is about to be removed. Invitation and promotion end with it.
    pub const fn remove(&mut self, removal: Removal) {
        self.removal = Some(removal);
        self.role = match self.role {
            Role::Member(_) => Role::Member(Step::Accepted),
            Role::Admin(_) => Role::Admin(Step::Accepted),
        };
    }

    fn read(record: &Dict) -> Self {
        Self {
            name: record.name("n"),
            picture: record.picture("p", "q"),
            profile_updated: record.time("t"),
            role: if record.flag("A") {
                Role::Admin(Step::read(record.int("P")))
            } else if record.int("P").is_some_and(|number| number != 0) {
                // Promoted by a program that marks it before it makes the member an admin.
                Role::Admin(Step::read(record.int("P")))
            } else {
                Role::Member(Step::read(record.int("I")))
            },
            history_shared: record.flag("s"),
            removal: match record.int("R") {
                None | Some(0) => None,
                Some(2) => Some(Removal::WithMessages),
                Some(_) => Some(Removal::Member),
            },
        }
    }

    const fn status(&self, removal: Option<i64>, sending: bool) -> Status {
        match (removal, self.role) {
            (Some(1), _) => Status::Removed,
            (Some(2), _) => Status::RemovedWithMessages,
            (Some(number), _) if number != 0 => Status::RemovedUnknown,
            (_, Role::Admin(Step::NotSent)) if sending => Status::PromotionSending,
            (_, Role::Admin(Step::NotSent)) => Status::PromotionNotSent,
            (_, Role::Admin(Step::Sent)) => Status::PromotionSent,
            (_, Role::Admin(Step::Failed)) => Status::PromotionFailed,
            (_, Role::Admin(Step::Accepted)) => Status::PromotionAccepted,
            (_, Role::Admin(Step::Unknown(_))) => Status::PromotionUnknown,
            (_, Role::Member(Step::NotSent)) if sending => Status::InviteSending,
            (_, Role::Member(Step::NotSent)) => Status::InviteNotSent,
            (_, Role::Member(Step::Sent)) => Status::InviteSent,
            (_, Role::Member(Step::Failed)) => Status::InviteFailed,
            (_, Role::Member(Step::Accepted)) => Status::InviteAccepted,
            (_, Role::Member(Step::Unknown(_))) => Status::InviteUnknown,
        }
    }
}

impl Record for Member {
    const ALWAYS: &'static [&'static str] = &["n"];

    fn write(&self) -> Dict {
        let mut record = Dict::new();
        record.put_text("n", &self.name, MAX_NAME);
        record.put_picture("p", "q", self.picture.as_ref());
        record.put_time("t", self.profile_updated);
        match self.role {
            Role::Member(step) => record.put_nonzero("I", step.number()),
            Role::Admin(step) => {
                record.insert("A", 1);
                record.put_nonzero("P", step.number());
            }
        }
        record.put_flag("s", self.history_shared);
        match self.removal {
            None => {}
            Some(Removal::Member) => record.insert("R", 1),
            Some(Removal::WithMessages) => record.insert("R", 2),
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conclave_crypto::Ed25519Secret;

    #[test]
    fn what_is_under_way_is_remembered_here_alone() {
        let group = Ed25519Secret::from_seed(&[1; 32]);
        let now = Timestamp(1_700_000_000_000);
        let id = AccountId::new(IdPrefix::Account, &[5; 32]);
        let mut members = GroupMembers::new(&group.public(), &[[7; 32]]);
        members.become_admin(&group).unwrap();
        members.set_member(&id, &Member::default()).unwrap();
        assert_eq!(members.status(&id), Some(Status::InviteSending));
        let mut again = GroupMembers::load(&group.public(), &[[7; 32]], &members.dump()).unwrap();
        assert_eq!(again.status(&id), Some(Status::InviteSending));
        again.become_admin(&group).unwrap();
        again.update_member(&id, |member| member.role = Role::Member(Step::Failed)).unwrap();
        assert_eq!(again.status(&id), Some(Status::InviteFailed));

        let push = members.push(now).unwrap();
        let mut other = GroupMembers::new(&group.public(), &[[7; 32]]);
        other.merge([("h", push.messages[0].as_slice())], now);
        assert_eq!(other.status(&id), Some(Status::InviteNotSent));
    }

    #[test]
    fn invitation_and_promotion_end_with_the_removal() {
        for role in [Role::Admin(Step::Sent), Role::Member(Step::Failed)] {
            let mut member = Member { role, ..Member::default() };
            member.remove(Removal::Member);
            let record = member.write();
            assert_eq!((record.int("I"), record.int("P"), record.int("R")), (None, None, Some(1)));
            assert_eq!(
                record.flag("A"),
                matches!(role, Role::Admin(_)),
                "an admin is one until the record goes"
            );
        }
    }
}
