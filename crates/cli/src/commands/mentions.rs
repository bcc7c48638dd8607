//! Mentions, `@` and an account id in a text (client-messages 4.2), as people read them: with names. Scripts get the text as it is.

use std::collections::BTreeMap;

use conclave_client::types::Message;
use conclave_client::{Account, Error};

use super::messages::short;
use crate::output::tame_line;

/// The length of an account id's text.
const ACCOUNT: usize = 66;

/// What those who can be mentioned are called here, by account id.
#[derive(Default)]
pub(super) struct Names(BTreeMap<String, String>);

impl Names {
    /// Of the account itself and its contacts.
    pub(super) async fn of(session: &Account) -> Result<Self, Error> {
        let mut names = BTreeMap::new();
        for contact in session.contacts(false).await? {
            if let Some(name) = contact.nickname.or(contact.name) {
                names.insert(contact.account_id, name);
            }
        }
        let own = session.info().await?;
        names.insert(own.account_id, own.name);
        Ok(Self(names))
    }

    /// The names for these messages, if any of them mentions somebody.
    pub(super) async fn for_messages(session: &Account, messages: &[Message]) -> Result<Self, Error> {
        if messages.iter().any(|message| next(&message.text).is_some()) {
            Self::of(session).await
        } else {
            Ok(Self::default())
        }
    }

    /// A text with names instead of account ids; whoever has none here is named by the ends of the id.
    pub(super) fn in_text(&self, text: &str) -> String {
        let mut named = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, id, after)) = next(rest) {
            named.push_str(before);
            named.push('@');
            let id = id.to_ascii_lowercase();
            // Of several lines, a name could write lines of its own.
            named.push_str(&self.0.get(&id).map_or_else(|| short(&id), |name| tame_line(name)));
            rest = after;
        }
        named.push_str(rest);
        named
    }
}

/// What stands before the next mention, the id, and what stands behind it.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    text.match_indices('@').find_map(|(at, _)| {
        let id = text.get(at.checked_add(1)?..at.checked_add(1)?.checked_add(ACCOUNT)?)?;
        let after = text.get(at.checked_add(1)?.checked_add(ACCOUNT)?..)?;
        let is_id = id.starts_with("05") && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let ends = !after.starts_with(|c: char| c.is_ascii_hexdigit());
        (is_id && ends).then_some((text.get(..at)?, id, after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_mentioned_is_called_by_name() {
        let (ann, bob) = (format!("05{}", "a1".repeat(32)), format!("05{}", "b2".repeat(32)));
        let names = Names(BTreeMap::from([(ann.clone(), "Ann\nBell".to_owned())]));
        for (text, expected) in [
            (format!("@{ann}, @{bob}!"), "@Ann<U+000A>Bell, @05b2b2…b2b2!"),
            (format!("@@{}", ann.to_uppercase()), "@@Ann<U+000A>Bell"),
            (format!("ü@{ann}\n"), "ü@Ann<U+000A>Bell\n"),
        ] {
            assert_eq!(names.in_text(&text), expected);
        }
        let longer = format!("@{ann}0");
        for text in ["", "@", "@05", "a@b.example", "@Ann", longer.as_str(), &ann, &longer[..60]] {
            assert_eq!(names.in_text(text), text);
        }
    }
}
