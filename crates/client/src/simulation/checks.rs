//! What must hold. At every change of a database, see [`World::tells`]: nothing is shown twice, nothing that is gone comes
//! back, no state claims more than happened. When everything has come to rest: a person's devices have the same, and nobody
//! lacks what was acknowledged.
//!
//! What may differ between devices of one person, and why:
//! * what was deleted on one device only is there on others;
//! * states, signatures and whether a `listen` has printed a message belong to the device that sent or received it;
//! * a placeholder for a deleted message is there only where the message has been: who comes later finds neither;
//! * where a message from the future stands: where it arrived, as the one order wants it; and with it, in that chat, how far
//!   was read: a position is a time, and the same time is before that message on one device and behind it on another;
//! * whether a message is unread that came after its place was read past: where it came in time, it was read with the others;
//! * a reaction that was sent while a timer was on: it leaves the swarm with the timer, whoever begins later has only what
//!   it was made to (the reaction carries the timer for other clients, which keep it with its message);
//! * that a request was accepted, where a line that says so was deleted: of several the earliest is shown, and whoever came later
//!   never had the one that was deleted;
//! * a message that disappears after it was read, where it is not known how far was read: the message of one's own that would
//!   have said so, by coming after it, is gone;
//! * a message that shares its id with another, because two devices wrote in the same millisecond;
//! * what somebody who is blocked said: it is dropped where the block is known when it comes;
//! * a conversation that was erased: what was said before the last device had erased it, or within five minutes of that
//!   (the two minutes of the guard, client-messages 7.3, and clocks that are off). The documents say that a contact is gone,
//!   not since when: a contact who comes back between two pushes was never gone for other devices. What is said later is
//!   the same on all; of notices and marks as unread only contacts that were never erased are held to that.

use std::collections::{BTreeMap, BTreeSet};

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;

use super::device::Device;
use super::world::{Outcome, Violation, World};
use crate::said::Timer;
use crate::store::{Contact, MessageRow, RowKind, StoreError};
use crate::types::{MessageId, MessageState};

/// What a device has of a chat, as far as others must have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    rows: BTreeMap<MessageId, MessageRow>,
    order: Vec<(Timestamp, MessageId)>,
    late: BTreeSet<MessageId>,
    /// How many items wait until the chat is there again.
    set_aside: usize,
    contact: Option<Contact>,
    position: Timestamp,
    marked: bool,
    unread: Option<u64>,
}

impl World {
    /// A state that a device was told, or made up.
    pub(super) fn claims_no_more_than_happened(&mut self, device: usize, row: &MessageRow) -> Outcome {
        let Some(state) = row.state else { return Ok(()) };
        let Some(to) = self.person_of(&row.chat) else { return Ok(()) };
        // Each by one list: who was a member before and who is one now do not add up to a majority.
        if let Some(signed) = row.signed
            && !self.signatures(&row.id, to, row.swarm).any(|(by, _)| by >= signed as usize)
        {
            let (text, of) = (&row.text, row.swarm);
            return Err(self.wrong(device, &format!("{text:?} claims {signed} signatures of {of:?}")));
        }
        let had = |world: &Self| world.ledger.had.contains(&(to, row.id.clone()));
        let by = |enough: fn((usize, usize)) -> bool| self.signatures(&row.id, to, None).any(enough);
        let justified = match state {
            MessageState::Queued | MessageState::Failed => true,
            MessageState::StoredWeakly => by(|(signed, _)| signed > 0),
            MessageState::Stored => by(|(signed, swarm)| signed * 2 > swarm),
            MessageState::Delivered => had(self),
            MessageState::Read => had(self) && self.ledger.read.contains(&(to, row.id.clone())),
        };
        if !justified {
            return Err(self.wrong(device, &format!("{:?} is {state:?}, and is not", row.text)));
        }
        // The numbers beside a state are those that made it.
        if let (MessageState::Stored, Some(signed), Some(swarm)) = (state, row.signed, row.swarm)
            && signed * 2 <= swarm
        {
            return Err(self.wrong(device, &format!("{:?} is stored by {signed} of {swarm}", row.text)));
        }
        match state {
            MessageState::StoredWeakly => self.note(super::coverage::Kind::StoredWeakly),
            MessageState::Delivered => self.note(super::coverage::Kind::Delivered),
            MessageState::Read => self.note(super::coverage::Kind::ReadByPeer),
            _ => {}
        }
        if state >= MessageState::Stored
            && let Some(message) = self.ledger.messages.get_mut(&row.id)
        {
            message.acknowledged = true;
        }
        Ok(())
    }

    pub(super) fn everything_is_as_it_should_be(&mut self) -> Outcome {
        for person in 0..self.people.len() {
            let devices = self.people[person].devices.clone();
            for with in 0..self.people.len() {
                let mut all = Vec::new();
                for device in &devices {
                    let seen =
                        self.sees(*device, with).map_err(|error| self.wrong(*device, &error.to_string()))?;
                    self.is_in_order(*device, &seen)?;
                    all.push(seen);
                }
                for at in 1..all.len() {
                    self.agree(devices[0], devices[at], with, &all[0], &all[at])?;
                }
                for (device, seen) in devices.iter().zip(&all) {
                    self.nothing_unsent_is_here(*device, with, seen)?;
                    self.has_what_was_acknowledged(*device, with, seen)?;
                }
            }
            self.have_the_same_profile(&devices)?;
        }
        self.both_sides_read_the_same()
    }

    fn sees(&self, device: usize, with: usize) -> Result<Seen, StoreError> {
        let chat = *self.people[with].keys.id();
        let Some(store) = self.store(device) else { return Err(StoreError::NoAccount) };
        let rows = store.history(&chat, 1_000, None)?;
        let (position, marked) = store.read_position(&chat)?;
        let chats = store.chats(1_000)?;
        Ok(Seen {
            order: store.sorted_by(&chat)?,
            late: store.late(&chat)?.into_iter().collect(),
            set_aside: store.set_aside_of(&chat)?,
            contact: store.contact(&chat)?,
            position,
            marked,
            unread: chats.iter().find(|row| row.id == chat).map(|row| row.unread),
            rows: rows.into_iter().map(|row| (row.id.clone(), row)).collect(),
        })
    }

    /// A chat is sorted by one rule, and its numbers are right.
    fn is_in_order(&self, device: usize, seen: &Seen) -> Outcome {
        let keys: Vec<(Timestamp, &AccountId, &MessageId)> = seen
            .order
            .iter()
            .filter_map(|(at, id)| seen.rows.get(id).map(|row| (*at, &row.author, id)))
            .collect();
        if keys.len() != seen.rows.len() || !keys.is_sorted() {
            return Err(self.wrong(device, "a chat is not in order"));
        }
        let unread = seen
            .order
            .iter()
            .filter(|(at, id)| *at > seen.position || seen.late.contains(id))
            .filter(|(_, id)| seen.rows.get(id).is_some_and(|row| !row.outgoing))
            .count();
        if seen.unread.is_some_and(|counted| counted != unread as u64) {
            return Err(self.wrong(device, &format!("{:?} unread messages are {unread}", seen.unread)));
        }
        Ok(())
    }

    fn agree(&self, one: usize, other: usize, with: usize, a: &Seen, b: &Seen) -> Outcome {
        let person = self.devices[one].person;
        let differ = |what: String| {
            let (one, other, with) = (self.name(one), self.name(other), self.people[with].name);
            Err(Violation(format!("{one} and {other} differ about the chat with {with}: {what}")))
        };
        let erased = self.ledger.erased.contains_key(&(person, with));
        let blocked = self.ledger.ever_blocked(person, with);
        let contact = |seen: &Seen| seen.contact.clone().unwrap_or_else(|| nobody(&self.people[with]));
        let (known, there) = (contact(a), contact(b));
        if shared(&known) != shared(&there) {
            return differ(format!("{:?} and {:?}", shared(&known), shared(&there)));
        }
        let hidden = |device: &Device, id: &MessageId| device.hidden.contains(id);
        let counts = |row: &MessageRow| {
            let word = self.ledger.of_text(&row.text).unwrap_or(&row.id);
            let hidden_somewhere = [one, other].iter().any(|device| {
                hidden(&self.devices[*device], &row.id) || hidden(&self.devices[*device], word)
            });
            let said_at = self.ledger.messages.get(word).map_or(row.sent_at, |message| message.sent_at);
            let outlives = self.ledger.outlives_erasure(person, with, said_at.min(row.sent_at));
            let is_said = !erased || row.kind == RowKind::Post;
            let is_another =
                row.kind == RowKind::Accepted && self.ledger.acceptances_deleted.contains(&(person, with));
            let is_twin = self.ledger.twins.contains(&row.id) || self.ledger.twins.contains(word);
            !is_twin && !hidden_somewhere && (row.outgoing || !blocked) && outlives && is_said && !is_another
        };
        // Whoever comes late does not learn how far was read from a message of one's own that is gone.
        let gone = |message: &&super::ledger::Message| {
            let vanished =
                message.unsent || message.timed || message.uncertain || !message.taken_off.is_empty();
            message.author == person && message.to == with && vanished
        };
        let learnt_from = self.ledger.messages.values().filter(gone).map(|message| message.sent_at).max();
        let learnt_from = learnt_from.max(self.ledger.notices.get(&(person, with)).copied());
        // So there what disappears after it was read stays.
        let is_unlearnt = |row: &MessageRow| {
            matches!(row.timer, Timer::AfterRead(_)) && !row.outgoing && Some(row.sent_at) <= learnt_from
        };
        // What was in the swarm before a chat was hidden waits, on a device that came later, until it is shown again.
        let is_hidden = known.priority < 0;
        for (of, rows, others, waiting) in
            [(one, &a.rows, &b.rows, b.set_aside), (other, &b.rows, &a.rows, a.set_aside)]
        {
            let mut missing = 0;
            for (id, row) in rows.iter().filter(|(_, row)| counts(row)) {
                match others.get(id) {
                    None if row.kind == RowKind::Deleted => {}
                    None if is_hidden && missing < waiting => missing += 1,
                    None if is_unlearnt(row) => {}
                    None => {
                        return differ(format!(
                            "only {} has {} ({:?} {:?})",
                            self.name(of),
                            id,
                            row.kind,
                            row.text
                        ));
                    }
                    // As messages do, so do edits of them.
                    Some(there) if is_hidden && is_newer_edit(row, there) && missing < waiting => {
                        missing += 1
                    }
                    Some(there) if is_hidden && is_newer_edit(there, row) => {}
                    Some(there) => {
                        if visible(row) != visible(there) {
                            return differ(format!("{:?} and {:?}", visible(row), visible(there)));
                        }
                        let lasting = !blocked && !self.ledger.fleeting.contains(id);
                        if row.reactions != there.reactions && lasting {
                            return differ(format!(
                                "{:?}: {:?}, {:?}",
                                row.text, row.reactions, there.reactions
                            ));
                        }
                    }
                }
            }
        }
        let from_the_future: BTreeSet<&MessageId> = a
            .rows
            .values()
            .chain(b.rows.values())
            .filter(|row| row.from_the_future)
            .map(|row| &row.id)
            .collect();
        let in_time = |seen: &Seen| {
            let rows = seen.order.iter().filter_map(|(_, id)| seen.rows.get(id));
            rows.filter(|row| counts(row) && !is_unlearnt(row) && !from_the_future.contains(&row.id))
                .filter(|row| !is_hidden || (a.rows.contains_key(&row.id) && b.rows.contains_key(&row.id)))
                .filter(|row| row.kind != RowKind::Deleted)
                .map(|row| row.id.clone())
                .collect::<Vec<_>>()
        };
        if in_time(a) != in_time(b) {
            return differ("the order".to_owned());
        }
        if a.marked != b.marked && !erased && !a.rows.is_empty() && !b.rows.is_empty() {
            return differ(format!("marked as unread: {} and {}", a.marked, b.marked));
        }
        let unread = |seen: &Seen| -> Vec<MessageId> {
            let rows = seen.order.iter().filter(|(at, _)| *at > seen.position && Some(*at) > learnt_from);
            rows.filter(|(_, id)| {
                let of_both = a.rows.contains_key(id) && b.rows.contains_key(id);
                seen.rows.get(id).is_some_and(|row| {
                    !row.outgoing && counts(row) && row.kind != RowKind::Deleted && (of_both || !is_hidden)
                })
            })
            .map(|(_, id)| id.clone())
            .collect()
        };
        if from_the_future.is_empty() && unread(a) != unread(b) {
            let text = |seen: &Seen| {
                let ids = unread(seen);
                ids.iter().filter_map(|id| seen.rows.get(id)).map(|row| row.text.clone()).collect::<Vec<_>>()
            };
            return differ(format!(
                "unread {:?} up to {} and {:?} up to {}",
                text(a),
                a.position.0,
                text(b),
                b.position.0
            ));
        }
        Ok(())
    }

    fn nothing_unsent_is_here(&self, device: usize, with: usize, seen: &Seen) -> Outcome {
        let person = self.devices[device].person;
        if self.ledger.ever_blocked(person, with) {
            return Ok(());
        }
        for row in seen.rows.values().filter(|row| row.kind == RowKind::Post) {
            let Some(id) = self.ledger.of_text(&row.text) else { continue };
            if self.ledger.twins.contains(id) {
                continue;
            }
            let Some(message) = self.ledger.messages.get(id) else { continue };
            if message.unsent || message.taken_off.contains(&person) {
                return Err(
                    self.wrong(device, &format!("{:?} was deleted and is here as {}", row.text, row.id))
                );
            }
        }
        Ok(())
    }

    fn has_what_was_acknowledged(&self, device: usize, with: usize, seen: &Seen) -> Outcome {
        let person = self.devices[device].person;
        // As many as wait for a hidden chat to be shown again may be missing from it.
        let is_hidden = seen.contact.as_ref().is_some_and(|contact| contact.priority < 0);
        let mut waiting = if is_hidden { seen.set_aside } else { 0 };
        for (id, message) in &self.ledger.messages {
            let received = message.author == with && message.to == person;
            let sent = message.author == person && message.to == with;
            if !(received || sent)
                || !message.acknowledged
                || message.timed
                || message.unsent
                || message.uncertain
                || self.ledger.twins.contains(id)
                || !self.ledger.outlives_erasure(person, with, message.sent_at)
            {
                continue;
            }
            if message.taken_off.contains(&person)
                || self.devices[device].hidden.contains(id)
                || (received && self.ledger.ever_blocked(person, with))
            {
                continue;
            }
            if seen.rows.get(id).is_none_or(|row| row.kind != RowKind::Post) {
                if waiting > 0 {
                    waiting -= 1;
                    continue;
                }
                return Err(self.wrong(
                    device,
                    &format!(
                        "{} ({id}) from {} was acknowledged and is missing",
                        message.word, self.people[message.author].name
                    ),
                ));
            }
        }
        Ok(())
    }

    fn have_the_same_profile(&self, devices: &[usize]) -> Outcome {
        let mut names = Vec::new();
        for device in devices {
            let Some(store) = self.store(*device) else { continue };
            let account = store.account().map_err(|error| self.wrong(*device, &error.to_string()))?;
            names.push(account.name);
        }
        if names.windows(2).any(|two| two[0] != two[1]) {
            return Err(Violation(format!("devices of one person differ about its name: {names:?}")));
        }
        Ok(())
    }

    /// Whether a device knows nothing (any more) of somebody.
    pub(super) fn is_nobody(&mut self, device: usize, whom: usize) -> Outcome<bool> {
        let nobody = nobody(&self.people[whom]);
        let known = self.with_store(device, |store, _| store.contact(&nobody.id))?.flatten();
        Ok(known.is_none_or(|contact| shared(&contact) == shared(&nobody)))
    }

    /// Somebody was erased, and has said nothing since: on no device is anything of them.
    pub(super) fn stays_erased(&self, person: usize, whom: usize) -> Outcome {
        for device in &self.people[person].devices {
            let seen = self.sees(*device, whom).map_err(|error| self.wrong(*device, &error.to_string()))?;
            let nobody = nobody(&self.people[whom]);
            let known = seen.contact.filter(|contact| shared(contact) != shared(&nobody));
            if known.is_some() || !seen.rows.is_empty() {
                let (name, rows) = (self.people[whom].name, seen.rows.len());
                return Err(
                    self.wrong(*device, &format!("{name} was erased and is back, with {rows} messages"))
                );
            }
        }
        Ok(())
    }

    /// What one has written, in its newest form, is what the other reads.
    fn both_sides_read_the_same(&self) -> Outcome {
        for (id, message) in &self.ledger.messages {
            let pair = [(message.author, message.to), (message.to, message.author)];
            let concerned = |pair: &(usize, usize)| {
                let outlives = self.ledger.outlives_erasure(pair.0, pair.1, message.sent_at);
                self.ledger.blocked.contains(pair) || !outlives
            };
            if pair.iter().any(concerned) || self.ledger.twins.contains(id) {
                continue;
            }
            let text = |person: usize| -> Vec<(usize, String)> {
                let devices = self.people[person].devices.iter();
                let rows = devices.filter_map(|device| {
                    let row = self.store(*device)?.message(id).ok()??;
                    (row.kind == RowKind::Post).then_some((*device, row.text))
                });
                rows.collect()
            };
            for (one, mine) in text(message.author) {
                for (other, theirs) in text(message.to) {
                    if mine != theirs
                        && !self.devices[one].hidden.contains(id)
                        && !self.devices[other].hidden.contains(id)
                    {
                        let (one, other) = (self.name(one), self.name(other));
                        return Err(Violation(format!(
                            "{one} reads {mine:?} where {other} reads {theirs:?} ({id})"
                        )));
                    }
                }
            }
        }
        Ok(())
    }
}

/// What of a row all devices show.
fn visible(row: &MessageRow) -> impl PartialEq + std::fmt::Debug + '_ {
    ((&row.text, row.kind, row.outgoing, row.request), (row.edited_at, row.quote, row.timer, &row.details))
}

/// Whether a message is the same but for an edit, which the second one lacks.
fn is_newer_edit(row: &MessageRow, without: &MessageRow) -> bool {
    let edited = MessageRow { text: row.text.clone(), edited_at: row.edited_at, ..without.clone() };
    row.edited_at > without.edited_at && visible(row) == visible(&edited)
}

/// A contact of whom nothing is known, or nothing any more.
fn nobody(person: &super::world::Person) -> Contact {
    Contact {
        id: *person.keys.id(),
        name: None,
        nickname: None,
        approved: false,
        approved_me: false,
        blocked: false,
        priority: 0,
        timer: crate::said::Timer::Off,
        muted_until: None,
        picture: None,
    }
}

/// What of a contact all devices know.
fn shared(contact: &Contact) -> impl PartialEq + std::fmt::Debug + '_ {
    (
        (&contact.name, &contact.nickname, contact.approved, contact.approved_me, contact.blocked),
        (contact.priority, contact.timer, contact.muted_until),
    )
}
