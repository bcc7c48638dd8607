//! What must hold: of each node at any time, and of all when everything has healed.

use std::collections::BTreeSet;
use std::time::Duration;

use conclave_crypto::AccountId;
use conclave_proto::rpc::{Request, SubaccountToken};
use conclave_proto::{MessageHash, Timestamp};

use super::clients::Person;
use super::world::{Outcome, Violation, World};
use crate::authorise::From;
use crate::store::{Action, MEMORY, MessageCopy, MessageStore, OperationId};

/// What expires within so long is on some members already swept: clocks and sweeps differ.
const MARGIN: Duration = Duration::from_secs(90);

/// What a member has of an account, as others must have it too.
#[derive(Debug, PartialEq, Eq)]
struct Visible {
    /// Name, namespace, sent time, last store, expiry.
    messages: BTreeSet<(MessageHash, i16, Timestamp, Timestamp, Timestamp)>,
    revoked: Vec<SubaccountToken>,
    operations: BTreeSet<OperationId>,
}

fn copies(store: &MessageStore, account: &AccountId) -> Vec<(MessageCopy, Timestamp)> {
    let hashes = store.hashes(account).expect("it can be read");
    let expiries = store.expiries(account, &hashes).expect("it can be read");
    let copies = store.copies(account, &hashes).expect("it can be read");
    let expiry = |copy: &MessageCopy| expiries.get(&copy.hash()).copied().unwrap_or_default();
    copies.into_iter().map(|copy| (expiry(&copy), copy)).map(|(expiry, copy)| (copy, expiry)).collect()
}

fn log(store: &MessageStore, account: &AccountId, since: Timestamp) -> BTreeSet<OperationId> {
    let keys = store.operation_keys(account).expect("it can be read");
    keys.into_iter().filter(|key| key.at > since).map(|key| key.id).collect()
}

impl World {
    fn visible(&self, node: usize, account: &AccountId) -> Visible {
        let store = self.store_of(node);
        let until = self.true_time().plus(MARGIN);
        let messages = copies(&store, account).into_iter().filter(|(_, expiry)| *expiry > until);
        let messages = messages
            .map(|(copy, expiry)| (copy.hash(), copy.namespace.0, copy.timestamp, copy.stored_at, expiry));
        Visible {
            messages: messages.collect(),
            revoked: store.revoked(account).expect("it can be read"),
            operations: log(&store, account, self.true_time().minus(MEMORY).plus(2 * MARGIN)),
        }
    }

    /// Every node holds to what it knows itself.
    pub(super) fn scan(&mut self) -> Outcome {
        for node in 0..self.nodes.len() {
            let Some(store) = self.nodes[node].store() else { continue };
            for person in &self.people {
                let account = &person.account;
                let log: Vec<OperationId> = log(store, account, Timestamp(0)).into_iter().collect();
                for (copy, expiry) in copies(store, account) {
                    if let Some(why) = self.ledger.contradiction(&copy, expiry, &log) {
                        let hash = copy.hash();
                        return Err(Violation(format!("node {node} has {hash:?} of {account:?}: {why}")));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a node knows by its own log that a subaccount is revoked.
    pub(super) fn knows_revoked(&self, node: usize, person: &Person, token: &SubaccountToken) -> bool {
        let log = log(&self.store_of(node), &person.account, Timestamp(0));
        let words = log.iter().filter_map(|id| match &self.ledger.operation(id)?.action {
            Action::Revoke { tokens, timestamp, revoked } if tokens.contains(token) => {
                Some((*timestamp, *revoked))
            }
            _ => None,
        });
        words.max().is_some_and(|(_, revoked)| revoked)
    }

    /// Whether another member of each account's swarm has everything that a node has of it, so that its disk may be lost.
    pub(super) fn is_spare(&self, node: usize) -> bool {
        let store = self.store_of(node);
        let accounts = store.accounts(None, 1_000).expect("it can be read");
        accounts.iter().all(|account| {
            let Some(swarm) = self.membership.directory.swarm_of(account) else { return false };
            let others = self.members(swarm).into_iter().filter(|other| *other != node);
            let mut stores = others.filter_map(|other| self.nodes[other].store());
            stores.any(|other| has_all(other, &store, account, self.true_time()))
        })
    }

    /// Whether everything is where it belongs, the same on all members, and as people were told.
    pub(super) fn is_settled(&self) -> Result<(), String> {
        let listed = self.listed();
        for &node in &listed {
            if self.nodes[node].process.is_none() {
                return Err(format!("node {node} does not run"));
            }
            if self.nodes[node].view().directory().height != self.membership.directory.height {
                return Err(format!("node {node} has an old directory"));
            }
            if !self.has_moved(node) {
                return Err(format!("node {node} has not moved everything"));
            }
        }
        for person in &self.people {
            let account = &person.account;
            let swarm = self.membership.directory.swarm_of(account).ok_or("there are no swarms")?;
            let members = self.members(swarm);
            let seen: Vec<Visible> = members.iter().map(|node| self.visible(*node, account)).collect();
            for (one, other) in seen.iter().zip(seen.iter().skip(1)) {
                if one != other {
                    return Err(format!(
                        "members {members:?} differ about {account:?}: {}",
                        difference(one, other)
                    ));
                }
            }
            for (node, seen) in members.iter().zip(&seen) {
                self.as_told(person, seen).map_err(|why| format!("node {node}, {account:?}: {why}"))?;
            }
        }
        Ok(())
    }

    /// Whether what a member has is what people were told.
    fn as_told(&self, person: &Person, seen: &Visible) -> Result<(), String> {
        let account = &person.account;
        let (now, soon) = (self.true_time(), self.true_time().plus(2 * MARGIN));
        for hash in self.ledger.hashes(account) {
            let Some((namespace, _)) = self.ledger.content(account, &hash) else { continue };
            let bounds = self.ledger.bounds(account, &hash);
            let found = seen.messages.iter().find(|message| message.0 == hash);
            // What an outbox message replaces is forgotten, with all that was asked for it.
            let lower = bounds.lower.filter(|_| !namespace.is_public_outbox());
            match (found, lower) {
                (None, Some(lower)) if lower > soon => {
                    return Err(format!("{hash:?} is lost; it should live until {lower} at least"));
                }
                (Some((.., expiry)), lower) => {
                    if bounds.upper.is_none_or(|upper| upper < *expiry) {
                        let upper = bounds.upper;
                        return Err(format!(
                            "{hash:?} lives until {expiry}, at most {upper:?} was asked for"
                        ));
                    }
                    if lower.is_some_and(|lower| lower > *expiry) {
                        return Err(format!("{hash:?} lives until {expiry}, {lower:?} was promised"));
                    }
                }
                _ => {}
            }
        }
        // What is older is kept for as long as anything else is known of the account; by all members, or by none.
        let since = now.minus(MEMORY).plus(2 * MARGIN);
        for (token, is_revoked) in self.ledger.words(account, since) {
            if seen.revoked.contains(&token) != is_revoked {
                return Err(format!("{token:?} should be revoked: {is_revoked}"));
            }
        }
        for namespace in person.namespaces.iter().filter(|namespace| namespace.is_public_outbox()) {
            let here: Vec<_> = seen.messages.iter().filter(|message| message.1 == namespace.0).collect();
            if here.len() > 1 {
                return Err(format!("outbox {namespace} has {} messages", here.len()));
            }
            if let Some((sent, hash)) = self.ledger.newest_of_outbox(account, *namespace, soon) {
                let is_there = here.iter().any(|(found, _, timestamp, ..)| {
                    (*timestamp, found.to_bytes()) >= (sent, hash.to_bytes())
                });
                if !is_there {
                    return Err(format!("outbox {namespace} lacks {hash:?}, sent {sent}, at {now}"));
                }
            }
        }
        Ok(())
    }

    /// People read all they have from every member, and nothing from others.
    pub(super) fn everything_is_read(&mut self) -> Outcome {
        for node in self.listed() {
            for person in self.people.clone() {
                let is_ours = self.nodes[node].view().is_ours(&person.account);
                let mut read = BTreeSet::new();
                let namespaces: BTreeSet<_> = person.namespaces.iter().copied().collect();
                for namespace in namespaces {
                    let retrieve = person.retrieve(namespace, self.time_of(node));
                    match self.admits(node, &Request::Retrieve(retrieve.clone()), From::Client) {
                        Ok(()) => read.extend(self.read(node, &retrieve)?.into_iter().map(|found| found.0)),
                        Err(refused) if refused.code == 421 && !is_ours => {}
                        Err(refused) => {
                            return Err(Violation(format!(
                                "node {node} shows its owner nothing: {refused:?}"
                            )));
                        }
                    }
                }
                if is_ours {
                    let seen = self.visible(node, &person.account);
                    if let Some((hash, ..)) = seen.messages.iter().find(|message| !read.contains(&message.0))
                    {
                        return Err(Violation(format!("node {node} has {hash:?} and does not show it")));
                    }
                }
            }
        }
        Ok(())
    }
}

fn has_all(other: &MessageStore, store: &MessageStore, account: &AccountId, now: Timestamp) -> bool {
    let theirs = copies(other, account);
    let mut ours = copies(store, account).into_iter().filter(|(_, expiry)| *expiry > now);
    let has_copy = ours.all(|(copy, _)| {
        theirs.iter().any(|(their, _)| {
            their.key() == copy.key()
                && their.stored_at >= copy.stored_at
                && copy.raises.iter().all(|raise| {
                    their.raises.iter().any(|known| known.at >= raise.at && known.expiry >= raise.expiry)
                })
        })
    });
    let logs = log(store, account, Timestamp(0)).is_subset(&log(other, account, Timestamp(0)));
    has_copy && logs && store.revoked(account).expect("read") == other.revoked(account).expect("read")
}

fn difference(one: &Visible, other: &Visible) -> String {
    let only = |a: &Visible, b: &Visible| {
        let messages: Vec<_> = a.messages.difference(&b.messages).collect();
        let operations = a.operations.difference(&b.operations).count();
        format!("{messages:?} and {operations} operations, revoked {:?}", a.revoked)
    };
    format!("only one has {}; only the other has {}", only(one, other), only(other, one))
}
