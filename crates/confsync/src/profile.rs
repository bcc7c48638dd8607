//! The account's own profile (config-and-groups 6.1), and its settings for notes to oneself.
//!
//! Whatever other people see of a profile carries the time it was set, so that they can tell which of two
//! is newer. Keys of paid features are not interpreted here; they stay as they are.

use std::collections::BTreeSet;

use conclave_proto::Timestamp;

use crate::data::{Dict, Value};
use crate::document::EditError;
use crate::fields::{Fields as _, MAX_NAME, Picture, check_picture, cut, seconds_of, view};
use crate::kind::Kind;

view! {
    /// The profile document.
    UserProfile of account: Kind::UserProfile
}

impl UserProfile {
    /// The display name; empty before one was chosen.
    pub fn name(&self) -> String {
        self.data().name("n")
    }

    /// Sets the display name, cut to [`MAX_NAME`] bytes.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn set_name(&mut self, name: &str, now: Timestamp) -> Result<(), EditError> {
        let name = cut(name, MAX_NAME);
        self.set_seen("n", (!name.is_empty()).then(|| name.into()), now)
    }

    /// The picture, where it can be fetched now: devices upload it again from time to time.
    pub fn picture(&self) -> Option<Picture> {
        let (url, key) = if self.renewed() { ("P", "Q") } else { ("p", "q") };
        self.data().picture(url, key).or_else(|| self.data().picture("p", "q"))
    }

    /// Sets or removes the picture.
    ///
    /// # Errors
    /// If its address is too long; and [`EditError`].
    pub fn set_picture(&mut self, picture: Option<&Picture>, now: Timestamp) -> Result<(), EditError> {
        if self.picture().as_ref() == picture {
            return Ok(());
        }
        check_picture(picture)?;
        self.put_picture(("p", "q"), picture)?;
        for key in ["P", "Q", "T"] {
            self.put(&[key.as_bytes()], None)?;
        }
        self.touch("t", now)
    }

    /// The same picture was uploaded again, because the file server forgets.
    ///
    /// # Errors
    /// If its address is too long; and [`EditError`].
    pub fn set_renewed_picture(&mut self, picture: &Picture, now: Timestamp) -> Result<(), EditError> {
        check_picture(Some(picture))?;
        self.put_picture(("P", "Q"), Some(picture))?;
        self.touch("T", now)
    }

    /// When what others see of the profile was last set; `None` if an older program did.
    pub fn updated_at(&self) -> Option<Timestamp> {
        self.data().time(if self.renewed() { "T" } else { "t" })
    }

    /// The place of the notes to oneself: negative is hidden, positive pinned.
    pub fn note_to_self_priority(&self) -> i32 {
        self.data().priority()
    }

    /// Sets the place of the notes to oneself.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn set_note_to_self_priority(&mut self, priority: i32) -> Result<(), EditError> {
        self.put(&[b"+"], nonzero(priority.into())).map(drop)
    }

    /// After how many seconds notes to oneself disappear; 0 is never.
    pub fn note_to_self_timer(&self) -> u32 {
        self.data().seconds("e")
    }

    /// Sets after how many seconds notes to oneself disappear.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn set_note_to_self_timer(&mut self, seconds: u32) -> Result<(), EditError> {
        self.put(&[b"e"], nonzero(seconds.into())).map(drop)
    }

    /// Whether message requests from communities are accepted; `None` if that was never chosen.
    pub fn community_requests(&self) -> Option<bool> {
        self.data().int("M").map(|number| number != 0)
    }

    /// Chooses whether message requests from communities are accepted, or takes the choice back.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn set_community_requests(
        &mut self,
        accepted: Option<bool>,
        now: Timestamp,
    ) -> Result<(), EditError> {
        self.set_seen("M", accepted.map(|accepted| i64::from(accepted).into()), now)
    }

    /// Numbers of the profile's features: 0 is the Pro badge, 1 an animated picture.
    pub fn features(&self) -> BTreeSet<i64> {
        self.data().numbers("f")
    }

    /// Sets the profile's features.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn set_features(&mut self, features: &BTreeSet<i64>, now: Timestamp) -> Result<(), EditError> {
        let mut record = Dict::new();
        record.put_numbers("f", features);
        self.set_seen("f", record.value("f").cloned(), now)
    }

    /// Whether the picture that was uploaded again is newer than the profile.
    fn renewed(&self) -> bool {
        self.data().time("T") > self.data().time("t")
    }

    /// Sets something others see. The time that counts moves only if something is different.
    fn set_seen(&mut self, key: &str, value: Option<Value>, now: Timestamp) -> Result<(), EditError> {
        if self.put(&[key.as_bytes()], value)? {
            // Moving `t` ahead of `T` would bring back the picture's old address.
            let counts = if self.renewed() { "T" } else { "t" };
            self.touch(counts, now)?;
        }
        Ok(())
    }

    fn touch(&mut self, key: &str, now: Timestamp) -> Result<(), EditError> {
        self.put(&[key.as_bytes()], Some(seconds_of(now).into())).map(drop)
    }

    fn put_picture(&mut self, (url, key): (&str, &str), picture: Option<&Picture>) -> Result<(), EditError> {
        let mut record = Dict::new();
        record.put_picture(url, key, picture);
        for key in [url, key] {
            self.put(&[key.as_bytes()], record.value(key).cloned())?;
        }
        Ok(())
    }
}

fn nonzero(number: i64) -> Option<Value> {
    (number != 0).then(|| number.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use conclave_crypto::Ed25519Secret;

    fn at(seconds: u64) -> Timestamp {
        Timestamp(seconds * 1000)
    }

    fn picture(url: &str) -> Picture {
        Picture { url: url.to_owned(), key: [7; 32] }
    }

    fn profile() -> UserProfile {
        UserProfile::new(&Ed25519Secret::from_seed(&[1; 32]))
    }

    #[test]
    fn what_others_see_carries_its_time_and_the_rest_does_not() {
        let mut profile = profile();
        profile.set_note_to_self_timer(60).unwrap();
        profile.set_note_to_self_priority(-1).unwrap();
        assert_eq!(profile.updated_at(), None);
        profile.set_name("Anna", at(5)).unwrap();
        assert_eq!(profile.updated_at(), Some(at(5)));
        profile.set_name("Anna", at(6)).unwrap();
        assert_eq!(profile.updated_at(), Some(at(5)), "nothing is different");
        profile.set_community_requests(Some(false), at(7)).unwrap();
        profile.set_features(&[0, 1].into(), at(8)).unwrap();
        assert_eq!(profile.updated_at(), Some(at(8)));
        assert_eq!((profile.community_requests(), profile.features()), (Some(false), [0, 1].into()));
    }

    #[test]
    fn a_picture_that_was_uploaded_again_counts_until_another_is_chosen() {
        let mut profile = profile();
        profile.set_picture(Some(&picture("old")), at(5)).unwrap();
        profile.set_renewed_picture(&picture("again"), at(6)).unwrap();
        assert_eq!(profile.picture(), Some(picture("again")));
        profile.set_name("Anna", at(7)).unwrap();
        assert_eq!((profile.picture(), profile.updated_at()), (Some(picture("again")), Some(at(7))));
        profile.set_picture(Some(&picture("new")), at(8)).unwrap();
        assert_eq!((profile.picture(), profile.updated_at()), (Some(picture("new")), Some(at(8))));
        profile.set_picture(None, at(9)).unwrap();
        assert_eq!((profile.picture(), profile.updated_at()), (None, Some(at(9))));
    }

    #[test]
    fn an_address_that_is_too_long_is_refused_and_a_long_name_cut() {
        let mut profile = profile();
        assert!(matches!(
            profile.set_picture(Some(&picture(&"x".repeat(224))), at(1)),
            Err(EditError::Invalid(_))
        ));
        assert!(!profile.needs_push());
        profile.set_name(&"é".repeat(60), at(1)).unwrap();
        assert_eq!(profile.name(), "é".repeat(50));
    }
}
