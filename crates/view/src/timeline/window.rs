//! The part of a conversation that is held: some hundred messages without gaps, which move with the reader.

use conclave_client::types::{Event, Message};

/// The most messages a window holds. Further reading drops those at the other end.
pub(crate) const MOST: usize = 400;

/// What an event meant for a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing in it is different.
    Nothing,
    /// Something in it is.
    Changed,
    /// A message belongs somewhere in it, and only the database knows where.
    Unplaced,
}

/// A run of messages, oldest first, with nothing missing between the first and the last.
#[derive(Debug, Default)]
pub(crate) struct Window {
    messages: Vec<Message>,
    has_older: bool,
    has_newer: bool,
}

impl Window {
    /// A run that was read from the database.
    pub(crate) fn new(mut messages: Vec<Message>, has_older: bool, has_newer: bool) -> Self {
        let surplus = messages.len().saturating_sub(MOST);
        messages.drain(..surplus);
        Self { messages, has_older: has_older || surplus > 0, has_newer }
    }

    pub(crate) fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Whether there are messages before the first.
    pub(crate) const fn has_older(&self) -> bool {
        self.has_older
    }

    /// Whether there are messages after the last: the window does not reach the end of the conversation.
    pub(crate) const fn has_newer(&self) -> bool {
        self.has_newer
    }

    /// A message it holds.
    pub(crate) fn find(&self, id: &str) -> Option<&Message> {
        self.messages.iter().find(|message| message.id.as_str() == id)
    }

    /// Puts the messages directly before the first one there.
    pub(crate) fn put_before(&mut self, mut page: Vec<Message>, has_older: bool) {
        page.append(&mut self.messages);
        self.has_newer |= page.len() > MOST;
        page.truncate(MOST);
        self.messages = page;
        self.has_older = has_older;
    }

    /// Puts the messages directly after the last one there.
    pub(crate) fn put_after(&mut self, page: Vec<Message>, has_newer: bool) {
        self.messages.extend(page);
        self.has_newer = has_newer;
        self.drop_oldest();
    }

    /// Something happened in this conversation.
    pub(crate) fn hear(&mut self, event: &Event) -> Heard {
        match event {
            Event::Message(message) if self.replace(message) => Heard::Changed,
            Event::Message(message) => self.place(message),
            Event::Changed(message) if self.replace(message) => Heard::Changed,
            Event::Deleted(deleted) => {
                let before = self.messages.len();
                self.messages.retain(|message| message.id != deleted.id);
                if self.messages.len() == before { Heard::Nothing } else { Heard::Changed }
            }
            Event::State(state) => match self.messages.iter_mut().find(|message| message.id == state.id) {
                Some(message) => {
                    message.state = Some(state.state);
                    Heard::Changed
                }
                None => Heard::Nothing,
            },
            _ => Heard::Nothing,
        }
    }

    fn replace(&mut self, message: &Message) -> bool {
        match self.messages.iter_mut().find(|present| present.id == message.id) {
            Some(present) => {
                *present = message.clone();
                true
            }
            None => false,
        }
    }

    fn place(&mut self, message: &Message) -> Heard {
        let Some((first, last)) = self.messages.first().zip(self.messages.last()) else {
            if self.has_newer || self.has_older {
                return Heard::Unplaced;
            }
            self.messages.push(message.clone());
            return Heard::Changed;
        };
        if order(message) > order(last) {
            if self.has_newer {
                return Heard::Nothing;
            }
            self.messages.push(message.clone());
            self.drop_oldest();
            return Heard::Changed;
        }
        if order(message) < order(first) && self.has_older { Heard::Nothing } else { Heard::Unplaced }
    }

    fn drop_oldest(&mut self) {
        let surplus = self.messages.len().saturating_sub(MOST);
        self.messages.drain(..surplus);
        self.has_older |= surplus > 0;
    }
}

/// The order of a conversation.
fn order(message: &Message) -> (u64, &str, &str) {
    (message.stands_at(), &message.from, message.id.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::timeline::testing::{deleted, message};

    fn times(window: &Window) -> Vec<u64> {
        window.messages().iter().map(|message| message.sent_at).collect()
    }

    fn window(times: std::ops::Range<u64>, has_older: bool, has_newer: bool) -> Window {
        Window::new(times.map(|at| message("bob", at, "x")).collect(), has_older, has_newer)
    }

    #[test]
    fn what_is_new_stands_at_the_end_if_the_window_reaches_it() {
        let mut at_end = window(10..20, true, false);
        assert_eq!(at_end.hear(&Event::Message(message("bob", 30, "new"))), Heard::Changed);
        assert_eq!(times(&at_end).last(), Some(&30));
        let mut reading_old = window(10..20, true, true);
        assert_eq!(reading_old.hear(&Event::Message(message("bob", 30, "new"))), Heard::Nothing);
        assert_eq!(times(&reading_old).last(), Some(&19));
    }

    #[test]
    fn a_message_that_comes_late_is_looked_up_where_it_can_be_seen() {
        let mut both = window(10..20, true, true);
        for (at, heard) in [(5, Heard::Nothing), (15, Heard::Unplaced), (25, Heard::Nothing)] {
            assert_eq!(both.hear(&Event::Message(message("carol", at, "late"))), heard, "{at}");
        }
        let mut all = window(10..20, false, false);
        assert_eq!(all.hear(&Event::Message(message("carol", 5, "late"))), Heard::Unplaced);
    }

    #[test]
    fn a_message_from_the_future_stands_where_it_came_and_keeps_nothing_from_standing_below_it() {
        let mut all = window(10..20, false, false);
        let prophecy = Message { arrived_at: Some(25), ..message("bob", u64::MAX, "prophecy") };
        assert_eq!(all.hear(&Event::Message(prophecy)), Heard::Changed);
        assert_eq!(all.hear(&Event::Message(message("bob", 30, "later"))), Heard::Changed);
        let texts: Vec<&str> = all.messages().iter().map(|message| message.text.as_str()).collect();
        assert_eq!(texts[10..], ["prophecy", "later"]);
    }

    #[test]
    fn what_is_told_twice_stands_once() {
        let mut window = window(10..20, false, false);
        let again = message("bob", 15, "again");
        assert_eq!(window.hear(&Event::Message(again)), Heard::Changed);
        assert_eq!(times(&window), (10..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_deleted_message_is_gone_and_another_s_deletion_is_nothing() {
        let mut window = window(10..13, false, false);
        assert_eq!(window.hear(&deleted(&message("bob", 11, "x"))), Heard::Changed);
        assert_eq!(window.hear(&deleted(&message("bob", 99, "x"))), Heard::Nothing);
        assert_eq!(times(&window), [10, 12]);
    }

    #[test]
    fn reading_back_lets_go_of_the_end_and_reading_on_of_the_beginning() {
        let page = |range: std::ops::Range<u64>| range.map(|at| message("bob", at, "x")).collect::<Vec<_>>();
        let mut window = window(1_000..1_400, true, false);
        window.put_before(page(900..1_000), true);
        assert_eq!((times(&window)[0], window.messages().len(), window.has_newer()), (900, MOST, true));
        window.put_after(page(1_300..1_400), false);
        assert_eq!((times(&window)[0], window.has_older(), window.has_newer()), (1_000, true, false));
    }

    proptest! {
        #[test] // whatever happens in whatever order
        fn a_window_is_bounded_ordered_and_holds_each_message_once(
            steps in proptest::collection::vec((0u8..4, 0u64..2_000), 0..1_500),
        ) {
            let mut window = Window::default();
            for (act, at) in steps {
                let message = message("bob", at, "x");
                let _ = match act {
                    0 | 1 => window.hear(&Event::Message(message)),
                    2 => window.hear(&Event::Changed(message)),
                    _ => window.hear(&deleted(&message)),
                };
                let times = times(&window);
                prop_assert!(times.len() <= MOST && times.is_sorted_by(|a, b| a < b));
            }
        }
    }
}
