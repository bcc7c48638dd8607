//! Who is typing. Programs say when somebody begins and stops, but the second may never come.

use std::collections::BTreeMap;

/// For how long a beginning is believed, in milliseconds. (client-messages 4.8)
const BELIEVED: u64 = 15_000;
/// Chats that are remembered. More people than that are not typing to anybody.
const MOST: usize = 1_000;

/// The chats in which the other side is typing.
#[derive(Debug, Default)]
pub(crate) struct Typists {
    until: BTreeMap<String, u64>,
}

impl Typists {
    /// Somebody began, or stopped.
    pub(crate) fn hear(&mut self, chat: &str, typing: bool, now: u64) {
        self.until.retain(|_, until| *until > now);
        if !typing {
            self.until.remove(chat);
        } else if self.until.len() < MOST || self.until.contains_key(chat) {
            self.until.insert(chat.to_owned(), now.saturating_add(BELIEVED));
        }
    }

    /// What they were typing has come.
    pub(crate) fn wrote(&mut self, chat: &str) {
        self.until.remove(chat);
    }

    /// Whether the other side is typing.
    pub(crate) fn is_typing(&self, chat: &str, now: u64) -> bool {
        self.until.get(chat).is_some_and(|until| *until > now)
    }

    /// When the first of them is not believed any more.
    pub(crate) fn next_end(&self, now: u64) -> Option<u64> {
        self.until.values().copied().filter(|until| *until > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_ends_when_told_when_the_message_comes_or_after_fifteen_seconds() {
        let mut typists = Typists::default();
        typists.hear("a", true, 1_000);
        typists.hear("b", true, 3_000);
        typists.hear("c", true, 3_000);
        assert_eq!(typists.next_end(3_000), Some(16_000));
        typists.hear("b", false, 4_000);
        typists.wrote("c");
        assert!(!typists.is_typing("b", 4_000) && !typists.is_typing("c", 4_000));
        assert!(typists.is_typing("a", 15_999) && !typists.is_typing("a", 16_000));
        assert_eq!(typists.next_end(16_000), None);
    }

    #[test]
    fn strangers_cannot_make_the_list_long() {
        let mut typists = Typists::default();
        for n in 0..5_000 {
            typists.hear(&n.to_string(), true, 0);
        }
        assert_eq!(typists.until.len(), MOST);
    }
}
