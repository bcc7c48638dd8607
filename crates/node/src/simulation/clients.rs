//! The people: real requests with real signatures, to nodes that should do them and to others.

use std::sync::LazyLock;
use std::time::Duration;

use conclave_crypto::{AccountId, Ed25519Secret, Signature};
use conclave_proto::rpc::{
    Answer, Auth, Delete, DeleteAll, DeleteBefore, Expire, ExpireAll, ExpireMode, Lifetime, Request,
    Retrieve, Revocation, Rights, Scope, Store, SubaccountAuth, SubaccountToken, TimedAuth, signing,
};
use conclave_proto::{MessageHash, Namespace, Timestamp};
use conclave_testkit::personas;
use rand_core::RngCore;

use super::coverage::Kind;
use super::world::{Outcome, Violation, World};
use crate::authorise::From;
use crate::store::{MAX_RETRIEVE, Query};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// How far the clocks of people are off, either way.
const CLIENT_SKEW: u64 = 8 * SECOND;
/// Texts of one mailbox that are stored again and again.
const PALETTE: usize = 5;

/// Somebody with an account, or a group.
pub(super) struct Person {
    pub(super) account: AccountId,
    key: Ed25519Secret,
    pub(super) namespaces: &'static [Namespace],
    members: Vec<Member>,
}

/// A member of a group.
struct Member {
    key: Ed25519Secret,
    token: SubaccountToken,
    signature: Signature,
}

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Owner,
    Member(usize),
    /// Somebody who may not.
    Stranger,
}

const OF_PEOPLE: [Namespace; 4] =
    [Namespace::DIRECT, Namespace::DIRECT, Namespace::USER_PROFILE, Namespace(-1)];
const OF_GROUPS: [Namespace; 4] =
    [Namespace::GROUP_MESSAGES, Namespace::GROUP_MESSAGES, Namespace::REVOKED_MEMBERS, Namespace(-21)];

static EVERYBODY: LazyLock<[Vec<Person>; 2]> = LazyLock::new(|| {
    let persona = |persona: personas::Persona| Person {
        account: persona.account_id(),
        key: persona.ed25519(),
        namespaces: &OF_PEOPLE,
        members: Vec::new(),
    };
    let people = [personas::alice(), personas::bob(), personas::carol(), personas::dave(), personas::eve()];
    [people.into_iter().map(persona).collect(), (0..6).map(group).collect()]
});

fn group(number: u8) -> Person {
    let key = Ed25519Secret::from_seed(&[0x60 + number; 32]);
    let account = AccountId::of_group(&key.public());
    let all = Rights::READ.and(Rights::WRITE).and(Rights::DELETE);
    let member = |(index, rights): (usize, Rights)| {
        let member = Ed25519Secret::from_seed(&[0x80 + number * 4 + index as u8; 32]);
        let mut token = [0; 36];
        (token[0], token[1]) = (account.prefix().to_byte(), rights.0);
        token[4..].copy_from_slice(member.public().as_bytes());
        Member { key: member, token: SubaccountToken(token), signature: key.sign(&token) }
    };
    let members = [all, all, Rights::READ.and(Rights::WRITE)].into_iter().enumerate().map(member).collect();
    Person { account, namespaces: &OF_GROUPS, members, key }
}

/// The people of one world: two, and two groups.
pub(super) fn people(rng: &mut dyn RngCore) -> Vec<&'static Person> {
    let mut chosen = Vec::new();
    for kind in &*EVERYBODY {
        let first = rng.next_u32() as usize % kind.len();
        let step = 1 + rng.next_u32() as usize % (kind.len() - 1);
        chosen.extend([&kind[first], &kind[(first + step) % kind.len()]]);
    }
    chosen
}

impl Person {
    fn auth(&self, by: By, signed: &[u8]) -> Auth {
        match by {
            By::Owner if self.members.is_empty() => Auth::by_account(&self.key, signed),
            By::Owner => Auth::by_group(&self.key, signed),
            By::Member(index) => {
                let Member { key, token, signature } = &self.members[index];
                let subaccount = SubaccountAuth { token: *token, signature: *signature };
                Auth::by_subaccount(subaccount, key.sign(signed))
            }
            By::Stranger => {
                let right = self.auth(By::Owner, signed);
                Auth { signature: self.key.sign(&[signed, b"!"].concat()), ..right }
            }
        }
    }

    /// A signed question for everything in one namespace.
    pub(super) fn retrieve(&self, namespace: Namespace, timestamp: Timestamp) -> Retrieve {
        self.retrieve_by(By::Owner, namespace, timestamp)
    }

    fn retrieve_by(&self, by: By, namespace: Namespace, timestamp: Timestamp) -> Retrieve {
        let auth = self.auth(by, &signing::retrieve(namespace, timestamp));
        Retrieve {
            account: self.account,
            namespace,
            last_hash: None,
            max_count: None,
            max_size: Some(-1),
            auth: Some(TimedAuth { auth, timestamp }),
        }
    }
}

impl World {
    fn somebody(&mut self) -> &'static Person {
        // Where messages are large, most go to one mailbox, so that it takes more than one batch.
        let one = self.large && self.chance(750);
        let index = if one { 0 } else { self.below(self.people.len()) };
        self.people[index]
    }

    /// The time by somebody's clock.
    fn their_time(&mut self) -> Timestamp {
        let off = self.between(0, 2 * CLIENT_SKEW);
        Timestamp(self.true_time().0 + off - CLIENT_SKEW)
    }

    fn span(&mut self, spans: &[u64]) -> u64 {
        let span = spans[self.below(spans.len())];
        span + self.between(0, span / 4)
    }

    /// A node that runs: mostly one of the account's swarm.
    fn node_for(&mut self, account: &AccountId) -> Option<usize> {
        let swarm = self.membership.directory.swarm_of(account)?;
        let candidates = if self.chance(920) { self.members(swarm) } else { self.listed() };
        let up: Vec<usize> =
            candidates.into_iter().filter(|node| self.nodes[*node].process.is_some()).collect();
        (!up.is_empty()).then(|| up[self.below(up.len())])
    }

    /// Somebody asks for a write.
    pub(super) fn somebody_writes(&mut self) -> Outcome {
        let person = self.somebody();
        let by = self.signer(person);
        let request = self.some_write(person, by);
        let times = if self.chance(80) { 2 } else { 1 };
        for time in 0..times {
            let Some(node) = self.node_for(&person.account) else { return Ok(()) };
            self.say(|_| format!("{by:?} of {:?} asks node {node}: {}", person.account, shown(&request)));
            match self.asked_to_write(node, &request) {
                Ok(()) => {
                    if !self.nodes[node].view().is_ours(&person.account) {
                        return Err(Violation(format!("node {node} writes what belongs elsewhere")));
                    }
                    let needs_none =
                        matches!(&request, Request::Store(store) if store.namespace.is_public_inbox());
                    if by == By::Stranger && !needs_none {
                        return Err(Violation(format!("node {node} obeys a wrong signature: {request:?}")));
                    }
                    self.operations += 1;
                    self.note_write(&request, by);
                    if time > 0 {
                        self.happened.note(Kind::Repeated);
                    }
                    self.carry_out(node)?;
                }
                Err(refused) => self.refused(node, person, by, &refused)?,
            }
        }
        Ok(())
    }

    fn signer(&mut self, person: &Person) -> By {
        match self.below(100) {
            0..3 => By::Stranger,
            3..35 if !person.members.is_empty() => By::Member(self.below(person.members.len())),
            _ => By::Owner,
        }
    }

    fn note_write(&mut self, request: &Request, by: By) {
        let account = request.account().copied();
        let kind = match request {
            Request::Store(store) => {
                let account = store.account;
                let hash = MessageHash::of(&account, store.namespace, &store.data);
                if self.ledger.may_be_deleted(&account, &hash) {
                    self.happened.note(Kind::RestoreDeleted);
                }
                if self.ledger.content(&account, &hash).is_some() { Kind::Restore } else { Kind::Store }
            }
            Request::Delete(_) => Kind::Delete,
            Request::DeleteAll(_) => Kind::DeleteAll,
            Request::DeleteBefore(_) => Kind::DeleteBefore,
            Request::Expire(expire) => match expire.mode {
                ExpireMode::Set => Kind::ExpireSet,
                ExpireMode::Extend => Kind::Extend,
                ExpireMode::Shorten => Kind::Shorten,
            },
            Request::ExpireAll(_) => Kind::ExpireAll,
            Request::RevokeSubaccount(_) => Kind::Revoke,
            _ => Kind::Unrevoke,
        };
        self.happened.note(kind);
        if matches!(by, By::Member(_)) && account.is_some() {
            self.happened.note(Kind::BySubaccount);
        }
    }

    /// A node says no; it must have a reason.
    fn refused(&mut self, node: usize, person: &Person, by: By, refused: &Answer) -> Outcome {
        let is_ours = self.nodes[node].view().is_ours(&person.account);
        let kind = match (refused.code, by) {
            (421, _) if !is_ours => Some(Kind::WrongSwarm),
            (401, By::Stranger) => Some(Kind::WrongSignature),
            (401, By::Member(index)) => {
                let revoked =
                    self.store_of(node).revoked_since(&person.account, &person.members[index].token);
                if self.survived(node, revoked)?.flatten().is_some() {
                    self.happened.note(Kind::Revoked);
                }
                // Or it may not do this at all.
                None
            }
            // Clocks differ, or it may not shorten lives.
            (400, By::Member(_)) | (406, _) => None,
            _ => {
                return Err(Violation(format!("node {node} refuses {by:?} without a reason: {refused:?}")));
            }
        };
        kind.into_iter().for_each(|kind| self.happened.note(kind));
        self.say(|_| format!("node {node} refuses: {}", refused.code));
        Ok(())
    }

    fn some_write(&mut self, person: &'static Person, by: By) -> Request {
        let known = self.some_hashes(person);
        let now = self.their_time();
        let account = person.account;
        let kind = if self.large && self.chance(700) { 0 } else { self.below(100) };
        match kind {
            50..61 if !known.is_empty() => {
                let auth = person.auth(by, &signing::delete(&known));
                Request::Delete(Delete { account, messages: known, required: false, auth })
            }
            61..63 => {
                let scope = self.scope(person);
                let auth = person.auth(by, &signing::delete_all(scope, now));
                Request::DeleteAll(DeleteAll { account, scope, timestamp: now, auth })
            }
            63..66 => {
                let scope = self.scope(person);
                let sent = self.ledger.sent_times(&account);
                let before = if sent.is_empty() { now } else { sent[self.below(sent.len())] };
                let auth = person.auth(by, &signing::delete_before(scope, before));
                Request::DeleteBefore(DeleteBefore { account, scope, before, auth })
            }
            66..84 if !known.is_empty() => {
                let mode = [ExpireMode::Set, ExpireMode::Extend, ExpireMode::Shorten][self.below(3)];
                let span = self.span(&[20 * SECOND, 2 * MINUTE, 20 * MINUTE, 3 * HOUR, DAY, 24 * DAY]);
                let expiry = vec![now.plus(Duration::from_millis(span))];
                let auth = person.auth(by, &signing::expire(mode, &expiry, &known));
                Request::Expire(Expire { account, messages: known, expiry, mode, auth })
            }
            84..86 => {
                let scope = self.scope(person);
                let span = self.span(&[10 * SECOND, 5 * MINUTE, HOUR, 2 * DAY]);
                let expiry = now.plus(Duration::from_millis(span));
                let auth = person.auth(by, &signing::expire_all(scope, expiry));
                Request::ExpireAll(ExpireAll { account, scope, expiry, auth })
            }
            86..93 if !person.members.is_empty() => {
                let member = &person.members[self.below(person.members.len())];
                let tokens = vec![member.token];
                let by = if by == By::Stranger { by } else { By::Owner };
                if self.chance(550) {
                    let auth = person.auth(by, &signing::revoke_subaccount(now, &tokens));
                    Request::RevokeSubaccount(Revocation { account, tokens, timestamp: now, auth })
                } else {
                    let auth = person.auth(by, &signing::unrevoke_subaccount(now, &tokens));
                    Request::UnrevokeSubaccount(Revocation { account, tokens, timestamp: now, auth })
                }
            }
            _ => self.some_store(person, by, now),
        }
    }

    fn some_store(&mut self, person: &Person, by: By, now: Timestamp) -> Request {
        let namespace = person.namespaces[self.below(person.namespaces.len())];
        // Of an outbox every message is new, so that each was sent at one time only.
        let mut data = if namespace.is_public_outbox() || self.chance(500) {
            format!("new {}", self.number()).into_bytes()
        } else {
            format!("text {}", self.below(PALETTE)).into_bytes()
        };
        if self.large {
            data.resize(60_000 + self.below(16_000), b'.');
        }
        let ttl = self.span(&[12 * SECOND, 2 * MINUTE, 20 * MINUTE, 4 * HOUR, 4 * HOUR, 2 * DAY, 11 * DAY]);
        let auth = person.auth(by, &signing::store(namespace, now));
        Request::Store(Store {
            account: person.account,
            namespace,
            timestamp: now,
            lifetime: Lifetime::Ttl(ttl),
            data,
            auth: (!namespace.is_public_inbox()).then_some(auth),
            sig_timestamp: None,
        })
    }

    /// One to three messages, mostly such as may live.
    fn some_hashes(&mut self, person: &Person) -> Vec<MessageHash> {
        let account = &person.account;
        let all = self.ledger.hashes(account);
        let now = Some(self.true_time());
        let alive: Vec<MessageHash> =
            all.iter().filter(|hash| self.ledger.bounds(account, hash).upper > now).copied().collect();
        let from = if alive.is_empty() || self.chance(100) { all } else { alive };
        let mut some: Vec<MessageHash> = Vec::new();
        for _ in 0..1 + self.below(3) {
            if !from.is_empty() {
                some.push(from[self.below(from.len())]);
            }
        }
        some.sort_unstable();
        some.dedup();
        some
    }

    fn scope(&mut self, person: &Person) -> Scope {
        if self.chance(250) {
            Scope::All
        } else {
            Scope::One(person.namespaces[self.below(person.namespaces.len())])
        }
    }

    /// Somebody reads a mailbox, at any node.
    pub(super) fn somebody_reads(&mut self) -> Outcome {
        let person = self.somebody();
        let by = self.signer(person);
        let Some(node) = self.node_for(&person.account) else { return Ok(()) };
        let namespace = person.namespaces[self.below(person.namespaces.len())];
        let now = self.their_time();
        let retrieve = person.retrieve_by(by, namespace, now);
        if let Err(refused) = self.admits(node, &Request::Retrieve(retrieve.clone()), From::Client) {
            return self.refused(node, person, by, &refused);
        }
        self.happened.note(Kind::Read);
        if by == By::Stranger {
            return Err(Violation(format!("node {node} shows {namespace} to a wrong signature")));
        }
        if let By::Member(index) = by
            && !namespace.is_unrevocable()
            && self.knows_revoked(node, person, &person.members[index].token)
        {
            return Err(Violation(format!("node {node} shows {namespace} to a revoked subaccount")));
        }
        self.read(node, &retrieve).map(drop)
    }

    /// What an admitted question is answered: everything in one namespace, each held against the ledger.
    pub(super) fn read(
        &self,
        node: usize,
        retrieve: &Retrieve,
    ) -> Outcome<Vec<(MessageHash, Timestamp, Timestamp)>> {
        let Retrieve { account, namespace, .. } = retrieve;
        if !self.nodes[node].view().is_ours(account) {
            return Err(Violation(format!("node {node} shows what belongs elsewhere")));
        }
        let store = self.store_of(node);
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let query = Query {
                owner: account,
                namespace: *namespace,
                after,
                max_count: None,
                max_size: MAX_RETRIEVE,
            };
            let page = store
                .retrieve(&query)
                .map_err(|error| Violation(format!("node {node} cannot read: {error}")))?;
            for message in page.messages {
                let content = self.ledger.content(account, &message.hash);
                if content.is_none_or(|content| *content != (*namespace, message.data)) {
                    return Err(Violation(format!("node {node} shows {:?}, which is not", message.hash)));
                }
                after = Some(message.hash);
                found.push((message.hash, message.timestamp, message.expiration));
            }
            if !page.more {
                return Ok(found);
            }
        }
    }
}

/// A request without its signature and its data.
fn shown(request: &Request) -> String {
    match request {
        Request::Store(store) => {
            let hash = MessageHash::of(&store.account, store.namespace, &store.data);
            format!(
                "store {hash:?} in {}, sent {}, until {}",
                store.namespace,
                store.timestamp,
                store.expiry()
            )
        }
        Request::Delete(delete) => format!("delete {:?}", delete.messages),
        Request::DeleteAll(delete) => format!("delete_all {:?}", delete.scope),
        Request::DeleteBefore(delete) => format!("delete_before {} {:?}", delete.before, delete.scope),
        Request::Expire(expire) => {
            format!("expire {:?} {:?} to {:?}", expire.mode, expire.messages, expire.expiry)
        }
        Request::ExpireAll(expire) => format!("expire_all {:?} to {}", expire.scope, expire.expiry),
        Request::RevokeSubaccount(words) | Request::UnrevokeSubaccount(words) => {
            format!("{} {:?} as of {}", request.method(), words.tokens, words.timestamp)
        }
        other => other.method().to_owned(),
    }
}
