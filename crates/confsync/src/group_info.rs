//! Name, picture and settings of a group (config-and-groups 7.1), which its admins change.

use conclave_proto::Timestamp;

use crate::data::{Dict, Value};
use crate::document::EditError;
use crate::fields::{Fields as _, MAX_NAME, Picture, check_picture, cut, seconds_of, view};
use crate::kind::Kind;

/// The longest description, in bytes. Longer ones are cut between characters.
pub const MAX_DESCRIPTION: usize = 2000;

view! {
    /// A group's info document.
    GroupInfo of group: Kind::GroupInfo
}

impl GroupInfo {
    /// The group's name.
    pub fn name(&self) -> String {
        self.data().name("n")
    }

    /// Sets the name, cut to [`MAX_NAME`] bytes.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn set_name(&mut self, name: &str) -> Result<bool, EditError> {
        self.put(&[b"n"], text(name, MAX_NAME))
    }

    /// What the group is about.
    pub fn description(&self) -> String {
        cut(&self.data().words("o"), MAX_DESCRIPTION).to_owned()
    }

    /// Sets the description, cut to [`MAX_DESCRIPTION`] bytes.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn set_description(&mut self, description: &str) -> Result<bool, EditError> {
        self.put(&[b"o"], text(description, MAX_DESCRIPTION))
    }

    /// The group's picture.
    pub fn picture(&self) -> Option<Picture> {
        self.data().picture("p", "q")
    }

    /// Sets or removes the picture.
    ///
    /// # Errors
    /// If its address is too long; and [`EditError`].
    pub fn set_picture(&mut self, picture: Option<&Picture>) -> Result<bool, EditError> {
        check_picture(picture)?;
        let mut record = Dict::new();
        record.put_picture("p", "q", picture);
        let url = self.put(&[b"p"], record.value("p").cloned())?;
        let key = self.put(&[b"q"], record.value("q").cloned())?;
        Ok(url || key)
    }

    /// When the group was made.
    pub fn created(&self) -> Option<Timestamp> {
        self.data().time("c")
    }

    /// Sets when the group was made.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn set_created(&mut self, created: Timestamp) -> Result<bool, EditError> {
        self.put(&[b"c"], time(created))
    }

    /// After how many seconds messages disappear once they are sent; 0 is never.
    pub fn timer(&self) -> u32 {
        self.data().seconds("E")
    }

    /// Sets after how many seconds messages disappear.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn set_timer(&mut self, seconds: u32) -> Result<bool, EditError> {
        self.put(&[b"E"], (seconds != 0).then(|| i64::from(seconds).into()))
    }

    /// Messages sent before this are dropped by everybody.
    pub fn delete_before(&self) -> Option<Timestamp> {
        self.data().time("d")
    }

    /// Drops all messages sent before a time. It moves forward only.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn set_delete_before(&mut self, before: Timestamp) -> Result<bool, EditError> {
        let before = self.delete_before().unwrap_or_default().max(before);
        self.put(&[b"d"], time(before))
    }

    /// Attachments, and messages with them, sent before this are dropped by everybody.
    pub fn delete_attachments_before(&self) -> Option<Timestamp> {
        self.data().time("D")
    }

    /// Drops all attachments sent before a time. It moves forward only.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn set_delete_attachments_before(&mut self, before: Timestamp) -> Result<bool, EditError> {
        let before = self.delete_attachments_before().unwrap_or_default().max(before);
        self.put(&[b"D"], time(before))
    }

    /// Whether the group is no more.
    pub fn is_destroyed(&self) -> bool {
        self.data().flag("!")
    }

    /// Ends the group for everybody; cannot be taken back.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn destroy(&mut self) -> Result<bool, EditError> {
        self.put(&[b"!"], Some(1.into()))
    }
}

fn text(text: &str, limit: usize) -> Option<Value> {
    let text = cut(text, limit);
    (!text.is_empty()).then(|| text.into())
}

fn time(time: Timestamp) -> Option<Value> {
    let seconds = seconds_of(time);
    (seconds != 0).then(|| seconds.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PushError;
    use conclave_crypto::Ed25519Secret;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn group() -> Ed25519Secret {
        Ed25519Secret::from_seed(&[1; 32])
    }

    #[test]
    fn members_read_and_pass_on_what_admins_write_and_change_nothing() {
        let mut admin = GroupInfo::new(&group().public(), &[[7; 32]]);
        assert_eq!(admin.set_name("no"), Err(EditError::ReadOnly));
        admin.become_admin(&group()).unwrap();
        assert!(admin.become_admin(&Ed25519Secret::from_seed(&[2; 32])).is_err());
        admin.set_name("Group").unwrap();
        admin.set_delete_before(NOW).unwrap();
        admin.set_delete_before(Timestamp(5_000)).unwrap();
        let push = admin.push(NOW).unwrap();

        let mut member = GroupInfo::new(&group().public(), &[[8; 32], [7; 32]]);
        let merged = member.merge([("h", push.messages[0].as_slice())], NOW);
        assert_eq!((merged.understood.as_slice(), merged.changed), (&["h".to_owned()][..], true));
        assert_eq!((member.name(), member.delete_before()), ("Group".to_owned(), Some(NOW)));
        assert_eq!(member.set_timer(5), Err(EditError::ReadOnly));
        // What a member stores again is what the admin signed, also after a restart.
        let mut member = GroupInfo::load(&group().public(), &[[7; 32]], &member.dump()).unwrap();
        assert_eq!(member.push(NOW).unwrap().messages, push.messages);
        assert!(!member.needs_push());
    }

    #[test]
    fn a_new_key_is_a_new_version_and_without_any_nothing_is_pushed() {
        let mut admin = GroupInfo::new(&group().public(), &[]);
        admin.become_admin(&group()).unwrap();
        admin.set_name("Group").unwrap();
        assert_eq!(admin.push(NOW), Err(PushError::NoKey));
        admin.replace_keys(&[[7; 32]], false).unwrap();
        let first = admin.push(NOW).unwrap();
        admin.confirm_pushed(first.seqno, ["h"]);
        admin.replace_keys(&[[8; 32], [7; 32]], true).unwrap();
        assert!(admin.needs_push());
        let second = admin.push(NOW).unwrap();
        assert_eq!((second.seqno, second.obsolete.as_slice()), (2, &["h".to_owned()][..]));
        let mut old = GroupInfo::new(&group().public(), &[[7; 32]]);
        assert_eq!(old.merge([("h", second.messages[0].as_slice())], NOW).rejected.len(), 1);
    }

    #[test]
    fn what_is_not_signed_by_the_group_is_not_believed() {
        let mut forger = GroupInfo::new(&Ed25519Secret::from_seed(&[2; 32]).public(), &[[7; 32]]);
        forger.become_admin(&Ed25519Secret::from_seed(&[2; 32])).unwrap();
        forger.destroy().unwrap();
        let forged = forger.push(NOW).unwrap();
        let mut member = GroupInfo::new(&group().public(), &[[7; 32]]);
        let merged = member.merge([("h", forged.messages[0].as_slice())], NOW);
        assert_eq!((merged.understood.len(), merged.rejected.len()), (0, 1));
        assert!(!member.is_destroyed());
    }

    #[test]
    fn a_member_between_two_admins_takes_the_greater_version_and_never_makes_one() {
        let mut admins = [7, 8].map(|_| GroupInfo::new(&group().public(), &[[7; 32]]));
        let mut pushes = Vec::new();
        for (admin, name) in admins.iter_mut().zip(["A", "B"]) {
            admin.become_admin(&group()).unwrap();
            admin.set_name(name).unwrap();
            pushes.push(admin.push(NOW).unwrap().messages.remove(0));
        }
        let mut member = GroupInfo::new(&group().public(), &[[7; 32]]);
        let all = [("a", pushes[0].as_slice()), ("b", pushes[1].as_slice())];
        assert_eq!(member.merge(all, NOW).understood.len(), 2);
        assert!(!member.needs_push());
        let first = member.name();
        let mut other = GroupInfo::new(&group().public(), &[[7; 32]]);
        other.merge([all[1], all[0]], NOW);
        assert_eq!(other.name(), first, "in whatever order they come");
        // An admin merges, and then members follow.
        admins[0].merge([all[1]], NOW);
        let merged = admins[0].push(NOW).unwrap().messages.remove(0);
        assert!(member.merge([("m", merged.as_slice())], NOW).changed);
        assert_eq!(member.seqno(), 2);
    }
}
