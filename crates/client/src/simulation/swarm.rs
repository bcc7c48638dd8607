//! Swarms as clients see them: members that keep messages each in its own order, sign for what they did, hear of each
//! other's writes late, and are not all what they should be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use conclave_crypto::{AccountId, Ed25519Secret};
use conclave_proto::rpc::answers::{
    Failure, MemberResult, RetrieveAnswer, Stamp, StoredMessage, SwarmAnswer,
};
use conclave_proto::rpc::results::{Expiries, NodeResult, Outcome as Done};
use conclave_proto::rpc::{Answer, Request};
use conclave_proto::{MessageHash, Namespace, SnodeRecord, SwarmId, Timestamp, Version};
use serde_json::Value;

/// Messages of one page. Real pages are larger; so small, there are often several.
const PAGE: usize = 7;
/// How far a member lets the time of a request be off.
const TOLERANCE: u64 = 60_000;

/// What a member is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// As it should be.
    Honest,
    /// Does not show a third of what it has.
    Withholds,
    /// Shows what is deleted or expired again, begins anew when it likes, and has an order of its own.
    Replays,
    /// Says that all others have done what they have not, with signatures that do not hold.
    Boasts,
    /// Refuses every write.
    Refuses,
}

/// A change as members hand it to each other. Its number is its time: later ones win.
#[derive(Clone, Debug)]
pub(super) struct Op {
    number: u64,
    change: Change,
}

#[derive(Clone, Debug)]
enum Change {
    Store {
        hash: MessageHash,
        namespace: Namespace,
        timestamp: Timestamp,
        expiry: Timestamp,
        data: Arc<[u8]>,
    },
    Delete {
        hashes: Vec<MessageHash>,
    },
    Shorten {
        expiries: Vec<(MessageHash, Timestamp)>,
    },
}

/// What a member knows of a message.
#[derive(Clone, Debug)]
struct Kept {
    /// `None` if it only heard that it is gone, or is to go.
    message: Option<(Namespace, Timestamp, Arc<[u8]>)>,
    expiry: Timestamp,
    at_most: Timestamp,
    stored: u64,
    deleted: u64,
    /// In this member's order.
    place: u64,
}

pub(super) struct Member {
    secret: Ed25519Secret,
    pub(super) mood: Mood,
    pub(super) up: bool,
    /// It is gone for ever, with its disk.
    pub(super) lost: bool,
    /// The node list it goes by.
    pub(super) list: usize,
    /// Of its clock, in milliseconds.
    pub(super) skew: i64,
    kept: BTreeMap<MessageHash, Kept>,
    places: u64,
    /// What it has not heard, because it was down.
    pub(super) backlog: Vec<Op>,
}

impl Member {
    pub(super) fn new(seed: [u8; 32], mood: Mood, skew: i64) -> Self {
        let secret = Ed25519Secret::from_seed(&seed);
        Self {
            secret,
            mood,
            up: true,
            lost: false,
            list: 0,
            skew,
            kept: BTreeMap::new(),
            places: 0,
            backlog: Vec::new(),
        }
    }

    pub(super) fn record(&self) -> SnodeRecord {
        let ed25519 = self.secret.public();
        SnodeRecord {
            ed25519,
            x25519: ed25519.to_x25519(),
            ip: std::net::Ipv4Addr::new(10, 0, 0, 1),
            https_port: 1,
            quic_port: 1,
            swarm: SwarmId(1),
            version: Version([0; 3]),
        }
    }

    pub(super) fn clock(&self, true_time: Timestamp) -> Timestamp {
        Timestamp(true_time.0.saturating_add_signed(self.skew))
    }

    fn entry(&mut self, hash: MessageHash) -> &mut Kept {
        self.kept.entry(hash).or_insert(Kept {
            message: None,
            expiry: Timestamp(0),
            at_most: Timestamp(u64::MAX),
            stored: 0,
            deleted: 0,
            place: 0,
        })
    }

    /// Does what was asked; what it did, for a member that answers for it, and the mailboxes with something new.
    pub(super) fn apply(&mut self, op: &Op, now: Timestamp) -> (Option<Done>, BTreeSet<Namespace>) {
        let mut news = BTreeSet::new();
        let done = match &op.change {
            Change::Store { hash, namespace, timestamp, expiry, data } => {
                self.places += 1;
                let place = self.places;
                let kept = self.entry(*hash);
                let already = kept.is_here(now);
                if kept.message.is_none() || !already {
                    kept.message = Some((*namespace, *timestamp, Arc::clone(data)));
                    kept.place = place;
                }
                kept.stored = kept.stored.max(op.number);
                kept.expiry = kept.expiry.max(*expiry);
                if !already && kept.is_here(now) {
                    news.insert(*namespace);
                }
                Done::Stored { hash: *hash, expiry: kept.until(), already }
            }
            Change::Delete { hashes } => {
                let mut gone = Vec::new();
                for hash in hashes {
                    let kept = self.entry(*hash);
                    if kept.is_here(now) {
                        gone.push(*hash);
                    }
                    kept.deleted = kept.deleted.max(op.number);
                }
                gone.sort_unstable();
                Done::Deleted(gone)
            }
            Change::Shorten { expiries } => {
                let (mut updated, mut unchanged) = (BTreeMap::new(), BTreeMap::new());
                for (hash, expiry) in expiries {
                    let kept = self.entry(*hash);
                    let (here, before) = (kept.is_here(now), kept.until());
                    kept.at_most = kept.at_most.min(*expiry);
                    match here {
                        true if *expiry < before => drop(updated.insert(*hash, *expiry)),
                        true => drop(unchanged.insert(*hash, before)),
                        false => {}
                    }
                }
                Done::Expired {
                    expiry: Expiries::Each(updated.values().copied().collect()),
                    updated: updated.into_keys().collect(),
                    unchanged: Some(unchanged),
                }
            }
        };
        (Some(done), news)
    }

    /// It is gone for ever, with all it kept.
    pub(super) fn is_lost(&mut self) {
        (self.lost, self.up) = (true, false);
        self.kept.clear();
        self.backlog.clear();
    }

    /// Takes what it lacks from another one: what is known of a message only adds up. (decision 0007)
    pub(super) fn learns_from(&mut self, other: &Self, now: Timestamp) -> BTreeSet<Namespace> {
        let mut news = BTreeSet::new();
        // In the order of their names: another one than that in which they came to the other.
        for (hash, theirs) in &other.kept {
            self.places += 1;
            let place = self.places;
            let kept = self.entry(*hash);
            let already = kept.is_here(now);
            if kept.message.is_none() {
                kept.message.clone_from(&theirs.message);
            }
            kept.stored = kept.stored.max(theirs.stored);
            kept.deleted = kept.deleted.max(theirs.deleted);
            kept.expiry = kept.expiry.max(theirs.expiry);
            kept.at_most = kept.at_most.min(theirs.at_most);
            if !already && kept.is_here(now) {
                kept.place = place;
                news.extend(kept.message.as_ref().map(|(namespace, ..)| *namespace));
            }
        }
        news
    }

    /// Whether others together know all that it knows.
    pub(super) fn is_had_by(&self, others: &[&Self]) -> bool {
        self.kept.iter().all(|(hash, kept)| {
            let there = || others.iter().filter_map(|other| other.kept.get(hash));
            there().any(|known| known.stored >= kept.stored && known.expiry >= kept.expiry)
                && there().any(|known| known.deleted >= kept.deleted)
                && there().any(|known| known.at_most <= kept.at_most)
        })
    }

    /// A page of a mailbox. `whim` is random.
    pub(super) fn retrieve(
        &self,
        namespace: Namespace,
        cursor: Option<&MessageHash>,
        now: Timestamp,
        whim: u64,
    ) -> RetrieveAnswer {
        let replays = self.mood == Mood::Replays && whim.is_multiple_of(3);
        let mut all: Vec<(&MessageHash, &Kept)> = self
            .kept
            .iter()
            .filter(|(_, kept)| kept.message.as_ref().is_some_and(|(of, ..)| *of == namespace))
            .filter(|(_, kept)| replays || kept.is_here(now))
            .filter(|(hash, _)| self.mood != Mood::Withholds || !is_withheld(hash))
            .collect();
        let after =
            cursor.filter(|_| !replays).and_then(|hash| self.kept.get(hash)).filter(|kept| kept.is_here(now));
        if replays {
            all.sort_by_key(|(_, kept)| kept.place.wrapping_mul(whim | 1));
            all.truncate(3 * PAGE);
        } else {
            all.sort_by_key(|(_, kept)| kept.place);
            all.retain(|(_, kept)| after.is_none_or(|after| kept.place > after.place));
        }
        let more = all.len() > PAGE && !replays;
        all.truncate(if replays { 3 * PAGE } else { PAGE });
        let message = |(hash, kept): (&MessageHash, &Kept)| {
            let (_, timestamp, data) = kept.message.as_ref()?;
            Some(StoredMessage {
                hash: *hash,
                timestamp: *timestamp,
                expiration: kept.until(),
                data: data.to_vec(),
            })
        };
        RetrieveAnswer { messages: all.into_iter().filter_map(message).collect(), more }
    }
}

impl Kept {
    fn until(&self) -> Timestamp {
        self.expiry.min(self.at_most)
    }

    fn is_here(&self, now: Timestamp) -> bool {
        self.message.is_some() && self.stored > self.deleted && self.until() > now
    }
}

/// Which messages are withheld by those who withhold.
pub(super) fn is_withheld(hash: &MessageHash) -> bool {
    hash.as_bytes().iter().map(|byte| u64::from(*byte)).sum::<u64>().is_multiple_of(3)
}

/// What a request asks members to do. `number` orders it among all others.
pub(super) fn operation(request: &Request, number: u64) -> Option<Op> {
    let change = match request {
        Request::Store(store) => Change::Store {
            hash: MessageHash::of(&store.account, store.namespace, &store.data),
            namespace: store.namespace,
            timestamp: store.timestamp,
            expiry: store.expiry(),
            data: store.data.clone().into(),
        },
        Request::Delete(delete) => Change::Delete { hashes: delete.messages.clone() },
        Request::Expire(expire) => Change::Shorten {
            expiries: expire.messages.iter().copied().zip(expire.expiry.iter().copied()).collect(),
        },
        _ => return None,
    };
    Some(Op { number, change })
}

/// Whether the entry node lets a request through, by its clock.
pub(super) fn admits(request: &Request, clock: Timestamp) -> bool {
    match request {
        Request::Store(store) => store.timestamp.0.abs_diff(clock.0) <= TOLERANCE,
        _ => true,
    }
}

/// The entry node's answer, signed by those who did it. `did` has what each of the `swarm` did, or nothing for one that could
/// not be reached.
pub(super) fn answer(
    members: &[Member],
    swarm: &[usize],
    entry: usize,
    request: &Request,
    did: Vec<Option<Done>>,
    clock: Timestamp,
) -> (u16, Value) {
    let boasts = members[entry].mood == Mood::Boasts;
    let any = did.iter().flatten().next().cloned();
    let mut results = BTreeMap::new();
    for (member, done) in swarm.iter().map(|at| &members[*at]).zip(did) {
        let signed = match done {
            Some(done) => NodeResult::sign(request, done, &member.secret),
            // Signed by the wrong one.
            None if boasts => {
                any.clone().and_then(|done| NodeResult::sign(request, done, &members[entry].secret))
            }
            None => None,
        };
        let failed = || MemberResult::Failed(Failure { timeout: true, ..Failure::default() });
        let result = signed.map_or_else(failed, MemberResult::Done);
        results.insert(*member.secret.public().as_bytes(), result);
    }
    let stamp = Stamp { t: clock, hf: [20, 0] };
    let own = members[entry].secret.public();
    let Answer { code, body } = SwarmAnswer(results).to_answer(request, own.as_bytes(), stamp);
    (code, Answer { code, body }.to_value().to_json())
}

/// The people's swarms do not overlap: each has its own account's messages only.
pub(super) fn is_for(request: &Request, account: &AccountId) -> bool {
    request.account() == Some(account)
}
