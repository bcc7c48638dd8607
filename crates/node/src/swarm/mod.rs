//! One write in the whole swarm: who is asked, who is waited for, what is answered.
//!
//! Performs no IO. Feed it events with the time they happened, then drain [`Coordinator::poll_effect`]
//! until `None`, then sleep until [`Coordinator::next_wakeup`] and call [`Coordinator::tick`]. `now`
//! never goes back. It does not know what is written: a write is a number to it, and what a member
//! answered is handed through.
//!
//! Invariants: every write that began is answered exactly once, at the latest [`MEMBER_TIMEOUT`]
//! after it began plus the time of the local commit; the answer names every member of the swarm
//! once, as the swarm is when it is given; a member that is known to be down is not waited for; at
//! most [`MAX_RUNNING`] writes run.

pub mod reconcile;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use conclave_crypto::Ed25519Public;
use conclave_proto::Timestamp;
use conclave_proto::rpc::answers::{Failure, MemberResult};

/// How long a member may take. (storage-and-onion 2.6)
pub const MEMBER_TIMEOUT: Duration = Duration::from_secs(5);
/// Writes that run at once. Each waits for others at most five seconds; more would be answered too
/// late to be of use.
pub const MAX_RUNNING: usize = 4_096;

/// A write that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// Another member of the swarm when a write begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its key.
    pub key: Ed25519Public,
    /// It was unreachable moments ago.
    pub down: bool,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client's write, authorised and for this swarm, is to be done by this node and `others`.
    Begin {
        /// Names it from here on. Never used twice.
        write: WriteId,
        /// The swarm without this node.
        others: Vec<Member>,
    },
    /// This node's own part is durable, or failed.
    Local {
        /// Which write.
        write: WriteId,
        /// This node's result.
        result: MemberResult,
    },
    /// A member answered, or is known not to.
    Answered {
        /// Which write.
        write: WriteId,
        /// Which member.
        member: Ed25519Public,
        /// What it answered.
        result: MemberResult,
    },
    /// The swarm has other members than before. Running writes go on: whoever has joined is asked too, so that nobody's
    /// mailbox lacks what was being written in that moment, and whoever has left is neither waited for nor named.
    SwarmChanged {
        /// The swarm without this node.
        others: Vec<Member>,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Do this node's own part, and report with [`Event::Local`].
    Persist(WriteId),
    /// Ask a member, and report with [`Event::Answered`].
    Forward {
        /// Which write.
        write: WriteId,
        /// Whom.
        to: Ed25519Public,
    },
    /// Tell the client; the write is over.
    Answer {
        /// Which write.
        write: WriteId,
        /// This node's own result.
        local: MemberResult,
        /// The others'.
        others: BTreeMap<Ed25519Public, MemberResult>,
    },
    /// Tell the client to come back later: too much is under way.
    Refuse(WriteId),
}

#[derive(Debug)]
struct Running {
    deadline: Timestamp,
    local: Option<MemberResult>,
    /// `None` while waited for.
    others: BTreeMap<Ed25519Public, Option<MemberResult>>,
}

impl Running {
    /// Asks a member that has not been asked yet.
    fn ask(&mut self, write: WriteId, member: &Member, effects: &mut VecDeque<Effect>) {
        if self.others.contains_key(&member.key) {
            return;
        }
        if member.down {
            self.others.insert(member.key, Some(known_down()));
        } else {
            self.others.insert(member.key, None);
            effects.push_back(Effect::Forward { write, to: member.key });
        }
    }

    fn is_complete(&self) -> bool {
        self.local.is_some() && self.others.values().all(Option::is_some)
    }
}

/// The writes this node coordinates.
#[derive(Debug, Default)]
pub struct Coordinator {
    running: BTreeMap<WriteId, Running>,
    effects: VecDeque<Effect>,
}

impl Coordinator {
    /// With nothing under way.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what happened at `now`. Events of writes that are over are ignored: a late answer.
    pub fn handle(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::Begin { write, others } => self.begin(now, write, others),
            Event::Local { write, result } => {
                if let Some(running) = self.running.get_mut(&write) {
                    running.local.get_or_insert(result);
                    self.finish_if_complete(write);
                }
            }
            Event::Answered { write, member, result } => {
                if let Some(running) = self.running.get_mut(&write) {
                    // The first answer counts; one from nobody who was asked does not.
                    if let Some(slot) = running.others.get_mut(&member) {
                        slot.get_or_insert(result);
                    }
                    self.finish_if_complete(write);
                }
            }
            Event::SwarmChanged { others } => self.swarm_changed(&others),
        }
        self.tick(now);
    }

    /// Gives up on members whose time is over at `now`.
    pub fn tick(&mut self, now: Timestamp) {
        let late: Vec<WriteId> =
            self.running.iter().filter(|(_, running)| running.deadline <= now).map(|(id, _)| *id).collect();
        for write in late {
            if let Some(running) = self.running.get_mut(&write) {
                for slot in running.others.values_mut() {
                    slot.get_or_insert_with(timed_out);
                }
            }
            self.finish_if_complete(write);
        }
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Self::tick`] has something to do, if nothing else happens. Writes whose members have all been given up and
    /// that wait for the local commit need no tick.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.running
            .values()
            .filter(|running| running.others.values().any(Option::is_none))
            .map(|running| running.deadline)
            .min()
    }

    /// How many writes are under way.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    fn begin(&mut self, now: Timestamp, write: WriteId, others: Vec<Member>) {
        if self.running.len() >= MAX_RUNNING {
            self.effects.push_back(Effect::Refuse(write));
            return;
        }
        self.effects.push_back(Effect::Persist(write));
        let mut running =
            Running { deadline: now.plus(MEMBER_TIMEOUT), local: None, others: BTreeMap::new() };
        for member in &others {
            running.ask(write, member, &mut self.effects);
        }
        self.running.insert(write, running);
    }

    fn swarm_changed(&mut self, others: &[Member]) {
        let writes: Vec<WriteId> = self.running.keys().copied().collect();
        for write in writes {
            if let Some(running) = self.running.get_mut(&write) {
                running.others.retain(|key, _| others.iter().any(|member| member.key == *key));
                for member in others {
                    running.ask(write, member, &mut self.effects);
                }
            }
            self.finish_if_complete(write);
        }
    }

    fn finish_if_complete(&mut self, write: WriteId) {
        if !self.running.get(&write).is_some_and(Running::is_complete) {
            return;
        }
        let Some(Running { local: Some(local), others, .. }) = self.running.remove(&write) else { return };
        let others = others.into_iter().map(|(key, slot)| (key, slot.unwrap_or_else(timed_out))).collect();
        self.effects.push_back(Effect::Answer { write, local, others });
    }
}

fn timed_out() -> MemberResult {
    MemberResult::Failed(Failure { timeout: true, ..Failure::default() })
}

fn known_down() -> MemberResult {
    let reason = Some("unreachable moments ago".to_owned());
    MemberResult::Failed(Failure { timeout: true, reason, ..Failure::default() })
}

#[cfg(test)]
mod tests;
