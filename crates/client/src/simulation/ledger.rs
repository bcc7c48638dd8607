//! What really happened, beside what devices believe.

use std::collections::{BTreeMap, BTreeSet};

use conclave_proto::{MessageHash, Timestamp};

use crate::store::Copy;
use crate::types::MessageId;

/// What is said so long after a contact was erased has nothing to do with that any more: the two minutes of the guard
/// (client-messages 7.3), and what clocks may be off.
pub(super) const AFTER_ERASURE: std::time::Duration = std::time::Duration::from_secs(5 * 60);

/// A message somebody wrote.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// It and its edits begin with this word.
    pub(super) word: String,
    pub(super) author: usize,
    /// To whom; the author for notes to oneself.
    pub(super) to: usize,
    pub(super) sent_at: Timestamp,
    /// It disappears.
    pub(super) timed: bool,
    /// Its sender was told that a majority has it.
    pub(super) acknowledged: bool,
    /// Its author deleted it everywhere.
    pub(super) unsent: bool,
    /// These took it off their own devices.
    pub(super) taken_off: BTreeSet<usize>,
    /// A device was killed while it deleted it.
    pub(super) uncertain: bool,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) messages: BTreeMap<MessageId, Message>,
    /// Ids of two messages each: devices of one account wrote in the same millisecond, before they heard of each other. The
    /// protocol cannot tell these apart (docs/protocol/messages.md), so nothing is promised for them.
    pub(super) twins: BTreeSet<MessageId>,
    by_word: BTreeMap<String, MessageId>,
    /// Who truly signed for what, and kept it.
    signers: BTreeMap<MessageHash, BTreeSet<usize>>,
    /// Which stored messages carry what.
    carried: BTreeMap<(MessageId, Copy), BTreeSet<MessageHash>>,
    /// Which of its recipients' devices had a message: (person, message).
    pub(super) had: BTreeSet<(usize, MessageId)>,
    /// Which messages a person has marked as read.
    pub(super) read: BTreeSet<(usize, MessageId)>,
    /// Who has ever blocked whom.
    pub(super) blocked: BTreeSet<(usize, usize)>,
    /// Who has erased whom, and when the last device did so that learnt of it.
    pub(super) erased: BTreeMap<(usize, usize), Timestamp>,
    /// When who last changed the timer with whom: a notice that may disappear.
    pub(super) notices: BTreeMap<(usize, usize), Timestamp>,
    /// Messages that somebody reacted to while the chat's messages disappeared: so do the reactions, from the swarm.
    pub(super) fleeting: BTreeSet<MessageId>,
    /// Who has deleted a line that says that somebody accepted, and whose.
    pub(super) acceptances_deleted: BTreeSet<(usize, usize)>,
}

impl Ledger {
    pub(super) fn written(&mut self, id: MessageId, message: Message) {
        self.by_word.insert(message.word.clone(), id.clone());
        if self.messages.insert(id.clone(), message).is_some() {
            self.twins.insert(id);
        }
    }

    /// Which message a text belongs to, itself or as an edit.
    pub(super) fn of_text(&self, text: &str) -> Option<&MessageId> {
        self.by_word.get(text.split('.').next()?)
    }

    pub(super) fn signed(&mut self, hash: MessageHash, by: BTreeSet<usize>) {
        self.signers.entry(hash).or_default().extend(by);
    }

    pub(super) fn carries(&mut self, hash: MessageHash, id: &MessageId, copy: Copy) {
        self.carried.entry((id.clone(), copy)).or_default().insert(hash);
    }

    /// How many of a swarm have signed for a copy, at most in one of its forms.
    pub(super) fn signatures(&self, id: &MessageId, copy: Copy, swarm: &[usize]) -> usize {
        let hashes = self.carried.get(&(id.clone(), copy)).into_iter().flatten();
        let signers = hashes.filter_map(|hash| self.signers.get(hash));
        signers.map(|by| swarm.iter().filter(|member| by.contains(member)).count()).max().unwrap_or(0)
    }

    /// A contact is erased on a device.
    pub(super) fn erases(&mut self, who: usize, whom: usize, now: Timestamp) {
        let last = self.erased.entry((who, whom)).or_default();
        *last = now.max(*last);
    }

    /// Whether something said at `sent_at` is no matter of an erasure: there was none, or it is long past.
    pub(super) fn outlives_erasure(&self, who: usize, whom: usize, sent_at: Timestamp) -> bool {
        self.erased.get(&(who, whom)).is_none_or(|last| sent_at > last.plus(AFTER_ERASURE))
    }

    /// Whether one of them has ever blocked the other.
    pub(super) fn ever_blocked(&self, who: usize, whom: usize) -> bool {
        self.blocked.contains(&(who, whom))
    }
}
