//! What was asked for and what was really done, by whom nothing is forgotten: against this the members are held.
//!
//! A *fact* is a write at the time that orders it. It is *sure* once a member has answered for it; before, and when the
//! member crashed over it, it may have happened or not. What comes out of a life grows with its raises and shrinks with its
//! cuts, so what a member may show lies between two bounds: all cuts and only sure raises, and all raises and only sure cuts.
//! Nothing of the store's own way of joining lives is used here.

use std::collections::{BTreeMap, BTreeSet};

use conclave_crypto::AccountId;
use conclave_proto::rpc::{ExpireMode, Request, Scope, SubaccountToken};
use conclave_proto::{MessageHash, Namespace, Timestamp};

use crate::store::{Action, MessageCopy, Operation, OperationId};

/// Whether a fact is sure.
type Facts<T> = BTreeMap<T, bool>;

/// A time and what it says.
type At = (Timestamp, Timestamp);

/// All accounts.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    books: BTreeMap<AccountId, Book>,
    operations: BTreeMap<OperationId, Operation>,
}

/// One account.
#[derive(Debug, Default)]
pub(super) struct Book {
    messages: BTreeMap<MessageHash, Entry>,
    deletions: Facts<RangeDeletion>,
    shortenings: Facts<(Timestamp, Scoped, Timestamp)>,
    /// By token: when the account signed, and whether it revoked.
    words: BTreeMap<SubaccountToken, Facts<(Timestamp, bool)>>,
}

/// One namespace, or all.
type Scoped = Option<Namespace>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RangeDeletion {
    at: Timestamp,
    scope: Scoped,
    before: Option<Timestamp>,
}

impl RangeDeletion {
    fn covers(&self, namespace: Namespace, (stored_at, timestamp): At) -> bool {
        self.scope.is_none_or(|scope| scope == namespace)
            && stored_at <= self.at
            && self.before.is_none_or(|before| timestamp <= before)
    }
}

/// One message.
#[derive(Debug, Default)]
struct Entry {
    /// Nothing if it was named and never stored.
    content: Option<(Namespace, Vec<u8>)>,
    /// When, with which sent time, until when.
    stores: Facts<(Timestamp, Timestamp, Timestamp)>,
    raises: Facts<At>,
    /// Deletions are cuts to nothing.
    cuts: Facts<At>,
}

/// Between which expiries a message may be; `None` if it must not be there, or need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) lower: Option<Timestamp>,
    pub(super) upper: Option<Timestamp>,
}

fn scoped(scope: Scope) -> Scoped {
    match scope {
        Scope::One(namespace) => Some(namespace),
        Scope::All => None,
    }
}

fn add<T: Ord>(facts: &mut Facts<T>, fact: T, sure: bool) {
    *facts.entry(fact).or_default() |= sure;
}

/// Those that count: all, or only the sure ones.
fn counting<T: Copy + Ord>(facts: &Facts<T>, only_sure: bool) -> impl Iterator<Item = T> {
    facts.iter().filter(move |(_, sure)| **sure || !only_sure).map(|(fact, _)| *fact)
}

impl Ledger {
    /// A node is about to do a write.
    pub(super) fn attempted(&mut self, request: &Request, at: Timestamp) {
        self.record(request, at, None);
    }

    /// A node has done it, durably; `before` are the expiries that the messages it names had there.
    pub(super) fn done(
        &mut self,
        request: &Request,
        at: Timestamp,
        before: &BTreeMap<MessageHash, Timestamp>,
    ) {
        self.record(request, at, Some(before));
    }

    fn record(&mut self, request: &Request, at: Timestamp, done: Option<&BTreeMap<MessageHash, Timestamp>>) {
        let Some(account) = request.account() else { return };
        let book = self.books.entry(*account).or_default();
        let sure = done.is_some();
        if let Request::Store(store) = request {
            let hash = MessageHash::of(account, store.namespace, &store.data);
            let entry = book.messages.entry(hash).or_default();
            entry.content = Some((store.namespace, store.data.clone()));
            add(&mut entry.stores, (at, store.timestamp, store.expiry()), sure);
            return;
        }
        let Some(operation) = Operation::of(request, at) else { return };
        match &operation.action {
            Action::Delete(hashes) => {
                for hash in hashes {
                    add(&mut book.messages.entry(*hash).or_default().cuts, (at, Timestamp(0)), sure);
                }
            }
            Action::DeleteRange { scope, before } => {
                add(&mut book.deletions, RangeDeletion { at, scope: scoped(*scope), before: *before }, sure);
            }
            Action::Expire { messages, mode } => {
                // Where one is named twice, the last one counts.
                for (hash, expiry) in messages.iter().copied().collect::<BTreeMap<_, _>>() {
                    let entry = book.messages.entry(hash).or_default();
                    let was = done.and_then(|before| before.get(&hash));
                    if *mode != ExpireMode::Shorten {
                        add(&mut entry.raises, (at, expiry), was.is_some());
                    }
                    if *mode != ExpireMode::Extend {
                        let cuts = match mode {
                            ExpireMode::Shorten => sure,
                            _ => was.is_some_and(|was| *was > expiry),
                        };
                        add(&mut entry.cuts, (at, expiry), cuts);
                    }
                }
            }
            Action::ExpireRange { scope, expiry } => {
                add(&mut book.shortenings, (at, scoped(*scope), *expiry), sure);
            }
            Action::Revoke { tokens, timestamp, revoked } => {
                for token in tokens {
                    add(book.words.entry(*token).or_default(), (*timestamp, *revoked), sure);
                }
            }
        }
        self.operations.insert(operation.id(), operation);
    }

    /// Every message that was named so far.
    pub(super) fn hashes(&self, account: &AccountId) -> Vec<MessageHash> {
        self.books.get(account).map(|book| book.messages.keys().copied().collect()).unwrap_or_default()
    }

    /// Whether any deletion names it, or may cover it.
    pub(super) fn may_be_deleted(&self, account: &AccountId, hash: &MessageHash) -> bool {
        self.books.get(account).is_some_and(|book| {
            book.messages.get(hash).is_some_and(|entry| {
                !entry.stores.is_empty() && entry.cuts.keys().any(|(_, expiry)| *expiry == Timestamp(0))
            })
        })
    }

    /// Sent times of an account's messages, in order.
    pub(super) fn sent_times(&self, account: &AccountId) -> Vec<Timestamp> {
        let entries = self.books.get(account).into_iter().flat_map(|book| book.messages.values());
        let mut times: Vec<Timestamp> =
            entries.flat_map(|entry| entry.stores.keys().map(|(_, timestamp, _)| *timestamp)).collect();
        times.sort_unstable();
        times
    }

    /// What a message was stored with. `None` if nobody ever stored it.
    pub(super) fn content(&self, account: &AccountId, hash: &MessageHash) -> Option<&(Namespace, Vec<u8>)> {
        self.books.get(account)?.messages.get(hash)?.content.as_ref()
    }

    /// Between which expiries it may be on a member that has heard of everything.
    pub(super) fn bounds(&self, account: &AccountId, hash: &MessageHash) -> Bounds {
        let nothing = Bounds { lower: None, upper: None };
        let Some(book) = self.books.get(account) else { return nothing };
        let Some(entry) = book.messages.get(hash) else { return nothing };
        let Some((namespace, _)) = entry.content else { return nothing };
        Bounds { lower: book.bound(namespace, entry, true), upper: book.bound(namespace, entry, false) }
    }

    /// Why a copy cannot be on a member that has these operations in its log, if so. Setting an expiry is left out: it cuts
    /// where it was later, and that is not told by the operation.
    pub(super) fn contradiction(
        &self,
        copy: &MessageCopy,
        expiry: Timestamp,
        log: &[OperationId],
    ) -> Option<String> {
        let hash = copy.hash();
        let book = self.books.get(&copy.owner)?;
        let Some(entry) = book.messages.get(&hash).filter(|entry| entry.content.is_some()) else {
            return Some("nobody ever stored it".to_owned());
        };
        if entry.content.as_ref().is_some_and(|content| *content != (copy.namespace, copy.data.clone())) {
            return Some("it was stored with another content".to_owned());
        }
        let mut cuts = BTreeSet::new();
        for operation in log.iter().filter_map(|id| self.operations.get(id)) {
            let at = operation.at;
            match &operation.action {
                Action::Delete(hashes) if hashes.contains(&hash) => {
                    if copy.stored_at <= at {
                        return Some(format!("it was stored at {} and deleted at {at}", copy.stored_at));
                    }
                    cuts.insert((at, Timestamp(0)));
                }
                Action::DeleteRange { scope, before } => {
                    let range = RangeDeletion { at, scope: scoped(*scope), before: *before };
                    if range.covers(copy.namespace, (copy.stored_at, copy.timestamp)) {
                        return Some(format!("a range deleted at {at} covers it, {}", copy.stored_at));
                    }
                }
                Action::Expire { messages, mode: ExpireMode::Shorten } => {
                    let named = messages.iter().rfind(|(named, _)| *named == hash);
                    cuts.extend(named.map(|(_, expiry)| (at, *expiry)));
                }
                Action::ExpireRange { scope, expiry }
                    if scoped(*scope).is_none_or(|scope| scope == copy.namespace) =>
                {
                    cuts.insert((at, *expiry));
                }
                _ => {}
            }
        }
        let raises = entry.all_raises(false).collect();
        let most = come_out(&raises, &cuts, false);
        (expiry > most).then(|| format!("it lives until {expiry}, what its log says is {most}"))
    }

    /// The account's last word about each token, where that is sure and was said since then: whether it is revoked.
    pub(super) fn words(&self, account: &AccountId, since: Timestamp) -> BTreeMap<SubaccountToken, bool> {
        let words = self.books.get(account).into_iter().flat_map(|book| &book.words);
        let last = words.filter_map(|(token, said)| {
            let ((when, revoked), sure) = said.last_key_value()?;
            (*sure && *when > since).then_some((*token, *revoked))
        });
        last.collect()
    }

    /// All operations of a name.
    pub(super) fn operation(&self, id: &OperationId) -> Option<&Operation> {
        self.operations.get(id)
    }

    /// Of an outbox from which nothing was ever taken: the newest message, if it is sure and lives at `until`, so that it has
    /// to be there. What it has replaced does not come back when it expires. Each must have been stored with one sent time
    /// only.
    pub(super) fn newest_of_outbox(
        &self,
        account: &AccountId,
        namespace: Namespace,
        until: Timestamp,
    ) -> Option<(Timestamp, MessageHash)> {
        let book = self.books.get(account)?;
        let touches = |scope: &Scoped| scope.is_none_or(|scope| scope == namespace);
        if book.deletions.keys().any(|range| touches(&range.scope))
            || book.shortenings.keys().any(|(_, scope, _)| touches(scope))
        {
            return None;
        }
        let here = book.messages.iter().filter(|(_, entry)| {
            entry.content.as_ref().is_some_and(|(theirs, _)| *theirs == namespace) || entry.content.is_none()
        });
        let mut newest = None;
        for (hash, entry) in here {
            if !entry.cuts.is_empty() {
                return None;
            }
            for ((_, timestamp, expiry), sure) in &entry.stores {
                newest = newest.max(Some((*timestamp, hash.to_bytes(), *hash, *sure && *expiry > until)));
            }
        }
        newest.filter(|(.., must_be_there)| *must_be_there).map(|(timestamp, _, hash, _)| (timestamp, hash))
    }
}

impl Entry {
    fn all_raises(&self, only_sure: bool) -> impl Iterator<Item = At> {
        let stores = counting(&self.stores, only_sure).map(|(at, _, expiry)| (at, expiry));
        stores.chain(counting(&self.raises, only_sure))
    }
}

impl Book {
    /// The earliest (`lower`) or latest expiry that a message can have.
    fn bound(&self, namespace: Namespace, entry: &Entry, lower: bool) -> Option<Timestamp> {
        let sure_stores = counting(&entry.stores, true).map(|(at, timestamp, _)| (at, timestamp));
        let latest_sure = sure_stores.max();
        if lower && latest_sure.is_none() {
            return None;
        }
        // Any of these may be the latest that has happened.
        let possible: Vec<At> = counting(&entry.stores, false)
            .map(|(at, timestamp, _)| (at, timestamp))
            .filter(|store| Some(*store) >= latest_sure)
            .collect();
        let mut deletions = counting(&entry.cuts, !lower).filter(|(_, expiry)| *expiry == Timestamp(0));
        let mut ranges = counting(&self.deletions, !lower);
        let is_deleted = if lower {
            deletions.any(|(at, _)| latest_sure.is_some_and(|(stored_at, _)| stored_at <= at))
                || ranges.any(|range| possible.iter().any(|store| range.covers(namespace, *store)))
        } else {
            // A later store is forgotten where it lets the message expire early, so that a range bounded by sent times
            // has to cover them all.
            let all: Vec<At> = counting(&entry.stores, false).map(|(at, sent, _)| (at, sent)).collect();
            let latest = possible.iter().map(|(at, _)| *at).max();
            deletions.any(|(at, _)| latest.is_some_and(|latest| latest <= at))
                || ranges.any(|range| all.iter().all(|store| range.covers(namespace, *store)))
        };
        if is_deleted {
            return None;
        }
        let mut cuts: BTreeSet<At> = counting(&entry.cuts, !lower).collect();
        let touches = |scope: &Scoped| scope.is_none_or(|scope| scope == namespace);
        let shortenings = counting(&self.shortenings, !lower).filter(|(_, scope, _)| touches(scope));
        cuts.extend(shortenings.map(|(at, _, expiry)| (at, expiry)));
        if lower {
            // Of a message that was stored again after a range, what had been asked for before may be forgotten.
            let ranges = counting(&self.deletions, false).filter(|range| touches(&range.scope));
            cuts.extend(ranges.map(|range| (range.at, Timestamp(0))));
        }
        if !lower {
            return Some(come_out(&entry.all_raises(false).collect(), &cuts, false));
        }
        // What made a message live longer that was over by then may have found it on a member that did not know; but the
        // others never had it.
        let mut raises: BTreeSet<At> =
            counting(&entry.stores, true).map(|(at, _, expiry)| (at, expiry)).collect();
        for (at, expiry) in counting(&entry.raises, true) {
            let earlier = raises.iter().filter(|raise| raise.0 <= at).copied().collect();
            let cuts = cuts.iter().filter(|cut| cut.0 <= at).copied().collect();
            if come_out(&earlier, &cuts, true) > at {
                raises.insert((at, expiry));
            }
        }
        Some(come_out(&raises, &cuts, true))
    }
}

/// All raises and cuts in the order of time; of the same time cuts come last, or first.
fn come_out(raises: &BTreeSet<At>, cuts: &BTreeSet<At>, cuts_last: bool) -> Timestamp {
    let raises = raises.iter().map(|(at, expiry)| (*at, !cuts_last, *expiry, true));
    let cuts = cuts.iter().map(|(at, expiry)| (*at, cuts_last, *expiry, false));
    let mut all: Vec<_> = raises.chain(cuts).collect();
    all.sort_unstable();
    all.into_iter().fold(
        Timestamp(0),
        |now, (_, _, expiry, is_raise)| {
            if is_raise { now.max(expiry) } else { now.min(expiry) }
        },
    )
}
