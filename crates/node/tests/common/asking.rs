//! Requests as accounts, groups and their members make them, and clocks to ask them by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use conclave_crypto::{AccountId, Ed25519Secret, Signature};
use conclave_node::{Clock, Hooks, SystemClock};
use conclave_proto::rpc::answers::SwarmAnswer;
use conclave_proto::rpc::results::{Affected, NodeResult, Outcome};
use conclave_proto::rpc::*;
use conclave_proto::{MessageHash, Namespace, Timestamp};
use serde_json::Value;

use super::{Swarm, account, now};

/// A clock that stands where it is put.
pub struct StandingClock(pub AtomicU64);

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// The machine's clock, wrong by so many milliseconds.
pub struct WrongClock(pub i64);

impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0.saturating_add_signed(self.0))
    }
}

pub fn with_clock(clock: impl Clock + 'static) -> Hooks {
    Hooks { clock: Arc::new(clock), ..Hooks::default() }
}

/// Who signs, and how.
#[derive(Clone)]
pub struct Asker {
    pub account: AccountId,
    sign: Arc<Sign>,
}

type Sign = dyn Fn(&[u8]) -> Auth + Send + Sync;

/// An account of type 05.
pub fn user(number: u8) -> Asker {
    let own = account(number);
    Asker { account: *own.id(), sign: Arc::new(move |signed| Auth::by_account(own.ed25519(), signed)) }
}

/// The admin of a group.
pub fn group(number: u8) -> Asker {
    let key = group_key(number);
    let account = AccountId::of_group(&key.public());
    Asker { account, sign: Arc::new(move |signed| Auth::by_group(&key, signed)) }
}

fn group_key(number: u8) -> Ed25519Secret {
    Ed25519Secret::from_seed(&[number; 32])
}

pub fn token_of(member: u8, prefix: u8, rights: Rights) -> SubaccountToken {
    let mut token = [0; 36];
    token[..2].copy_from_slice(&[prefix, rights.0]);
    token[4..].copy_from_slice(Ed25519Secret::from_seed(&[member; 32]).public().as_bytes());
    SubaccountToken(token)
}

/// A member of a group, with these rights.
pub fn member(of_group: u8, member: u8, rights: Rights) -> Asker {
    with_token(of_group, member, token_of(member, 3, rights))
}

pub fn with_token(of_group: u8, member: u8, token: SubaccountToken) -> Asker {
    let signature: Signature = group_key(of_group).sign(&token.0);
    let key = Ed25519Secret::from_seed(&[member; 32]);
    let subaccount = SubaccountAuth { token, signature };
    Asker {
        account: group(of_group).account,
        sign: Arc::new(move |signed| Auth::by_subaccount(subaccount, key.sign(signed))),
    }
}

impl Asker {
    pub fn auth(&self, signed: &[u8]) -> Auth {
        (self.sign)(signed)
    }

    pub fn hash(&self, namespace: i16, text: &str) -> MessageHash {
        MessageHash::of(&self.account, Namespace(namespace), text.as_bytes())
    }

    pub fn store(&self, namespace: i16, text: &str) -> Request {
        self.store_at(namespace, text, now(), 3_600_000)
    }

    pub fn store_at(&self, namespace: i16, text: &str, timestamp: Timestamp, ttl: u64) -> Request {
        let namespace = Namespace(namespace);
        Request::Store(Store {
            account: self.account,
            namespace,
            timestamp,
            lifetime: Lifetime::Ttl(ttl),
            data: text.as_bytes().to_vec(),
            auth: Some(self.auth(&signing::store(namespace, now()))),
            sig_timestamp: Some(now()),
        })
        .resigned(self)
    }

    pub fn retrieve(&self, namespace: i16) -> Request {
        let (namespace, timestamp) = (Namespace(namespace), now());
        let auth = self.auth(&signing::retrieve(namespace, timestamp));
        let auth = Some(TimedAuth { auth, timestamp });
        let account = self.account;
        Request::Retrieve(Retrieve {
            account,
            namespace,
            last_hash: None,
            max_count: None,
            max_size: None,
            auth,
        })
    }

    pub fn delete(&self, messages: &[MessageHash], required: bool) -> Request {
        let (account, auth) = (self.account, self.auth(&signing::delete(messages)));
        Request::Delete(Delete { account, messages: messages.to_vec(), required, auth })
    }

    pub fn delete_all(&self, scope: Scope, timestamp: Timestamp) -> Request {
        let (account, auth) = (self.account, self.auth(&signing::delete_all(scope, timestamp)));
        Request::DeleteAll(DeleteAll { account, scope, timestamp, auth })
    }

    pub fn delete_before(&self, scope: Scope, before: Timestamp) -> Request {
        let (account, auth) = (self.account, self.auth(&signing::delete_before(scope, before)));
        Request::DeleteBefore(DeleteBefore { account, scope, before, auth })
    }

    pub fn expire(&self, messages: &[MessageHash], expiry: &[Timestamp], mode: ExpireMode) -> Request {
        let (account, auth) = (self.account, self.auth(&signing::expire(mode, expiry, messages)));
        Request::Expire(Expire { account, messages: messages.to_vec(), expiry: expiry.to_vec(), mode, auth })
    }

    pub fn expire_all(&self, scope: Scope, expiry: Timestamp) -> Request {
        let (account, auth) = (self.account, self.auth(&signing::expire_all(scope, expiry)));
        Request::ExpireAll(ExpireAll { account, scope, expiry, auth })
    }

    pub fn expiries(&self, messages: &[MessageHash], timestamp: Timestamp) -> Request {
        let (account, auth) = (self.account, self.auth(&signing::get_expiries(timestamp, messages)));
        Request::GetExpiries(GetExpiries { account, messages: messages.to_vec(), timestamp, auth })
    }

    pub fn revoke(&self, tokens: &[SubaccountToken], timestamp: Timestamp) -> Request {
        let (account, auth) = (self.account, self.auth(&signing::revoke_subaccount(timestamp, tokens)));
        Request::RevokeSubaccount(Revocation { account, tokens: tokens.to_vec(), timestamp, auth })
    }

    pub fn unrevoke(&self, tokens: &[SubaccountToken], timestamp: Timestamp) -> Request {
        let (account, auth) = (self.account, self.auth(&signing::unrevoke_subaccount(timestamp, tokens)));
        Request::UnrevokeSubaccount(Revocation { account, tokens: tokens.to_vec(), timestamp, auth })
    }

    pub fn revoked(&self, timestamp: Timestamp) -> Request {
        let (account, auth) = (self.account, self.auth(&signing::revoked_subaccounts(timestamp)));
        Request::RevokedSubaccounts(RevokedSubaccounts { account, timestamp, auth })
    }
}

trait Resigned {
    fn resigned(self, by: &Asker) -> Self;
}

impl Resigned for Request {
    /// With the signature of the time it really names.
    fn resigned(self, by: &Asker) -> Self {
        let signed = signing::request(&self).unwrap();
        match self {
            Self::Store(store) => Self::Store(Store { auth: Some(by.auth(&signed)), ..store }),
            other => other,
        }
    }
}

impl Swarm {
    /// Asks a node; the request goes as clients send it.
    pub async fn ask(&self, node: usize, request: &Request) -> (u16, Value) {
        self.rpc_bytes(node, &request.to_json_body()).await
    }

    /// Asks a node for a write that every running and listed member does; what they say, all verified and all the same.
    pub async fn done(&self, node: usize, request: &Request) -> Outcome {
        let (status, answer) = self.ask(node, request).await;
        assert_eq!(status, 200, "{answer}");
        let signed = SwarmAnswer::from_json(request, &answer).unwrap();
        assert_eq!(signed.verified(request, &self.listed).len(), self.listed.len(), "{answer}");
        let mut outcomes: Vec<Outcome> = signed
            .0
            .into_values()
            .map(|member| match member {
                answers::MemberResult::Done(NodeResult { outcome, .. }) => outcome,
                answers::MemberResult::Failed(failure) => panic!("{failure:?}"),
            })
            .collect();
        outcomes.dedup();
        assert_eq!(outcomes.len(), 1, "members differ: {answer}");
        outcomes.remove(0)
    }

    /// Status and text of a refusal.
    pub async fn refused(&self, node: usize, request: &Request) -> (u16, String) {
        let (status, answer) = self.ask(node, request).await;
        (status, answer.as_str().unwrap_or_else(|| panic!("not refused: {answer}")).to_owned())
    }

    /// The texts in a mailbox, the same at every running node.
    pub async fn mailbox(&self, asker: &Asker, namespace: i16) -> Vec<String> {
        let mut all: Vec<Vec<String>> = Vec::new();
        for node in 0..self.nodes.len() {
            let (status, answer) = self.ask(node, &asker.retrieve(namespace)).await;
            assert_eq!(status, 200, "{answer}");
            all.push(super::texts(&answer));
        }
        all.dedup();
        assert_eq!(all.len(), 1, "members differ: {all:?}");
        all.remove(0)
    }

    /// The expiry of a message, the same at every node.
    pub async fn expiry(&self, asker: &Asker, hash: MessageHash) -> Option<u64> {
        let mut all = Vec::new();
        for node in 0..self.nodes.len() {
            let (status, answer) = self.ask(node, &asker.expiries(&[hash], now())).await;
            assert_eq!(status, 200, "{answer}");
            all.push(answer["expiries"][hash.as_str()].as_u64());
        }
        all.dedup();
        assert_eq!(all.len(), 1, "members differ: {all:?}");
        all.remove(0)
    }
}

/// The hashes of the deleted or updated, by namespace where all were asked for.
pub fn hashes_of(outcome: Outcome) -> Vec<(Option<i16>, Vec<MessageHash>)> {
    match outcome {
        Outcome::Deleted(hashes)
        | Outcome::DeletedIn(Affected::One(hashes))
        | Outcome::UpdatedIn(Affected::One(hashes)) => vec![(None, hashes)],
        Outcome::DeletedIn(Affected::All(all)) | Outcome::UpdatedIn(Affected::All(all)) => {
            all.into_iter().map(|(namespace, hashes)| (Some(namespace.0), hashes)).collect()
        }
        other => panic!("{other:?}"),
    }
}

pub fn sorted(mut hashes: Vec<MessageHash>) -> Vec<MessageHash> {
    hashes.sort_unstable();
    hashes
}
