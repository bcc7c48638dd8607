//! What is asked of the nodes.

use conclave_crypto::{Account, AccountId, Ed25519Secret};
use conclave_node::store::NewMessage;
use conclave_proto::rpc::{Auth, Lifetime, Request, Retrieve, Store, TimedAuth, signing};
use conclave_proto::{MessageHash, Namespace, Timestamp};

/// Bytes of a message: a short text, sealed and padded.
pub(super) const MESSAGE: usize = 1_024;
const DAY: u64 = 24 * 60 * 60 * 1_000;

pub(super) fn account(number: u64) -> Account {
    let mut seed = [0x6e; 32];
    seed.iter_mut().zip(number.to_be_bytes()).for_each(|(seed, byte)| *seed = byte);
    Account::from_secret(Ed25519Secret::from_seed(&seed))
}

/// A message that differs from all others.
pub(super) fn data(number: u64) -> Vec<u8> {
    let mut data = vec![0x5a; MESSAGE];
    data.iter_mut().zip(number.to_be_bytes()).for_each(|(data, byte)| *data = byte);
    data
}

pub(super) fn http(path: &str, body: &[u8], into: &mut Vec<u8>) {
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    into.extend_from_slice(head.as_bytes());
    into.extend_from_slice(body);
}

pub(super) fn rpc(request: &Request, into: &mut Vec<u8>) {
    http("/storage_rpc/v1", &request.to_json_body(), into);
}

pub(super) fn store(account: &AccountId, number: u64) -> Request {
    Request::Store(Store {
        account: *account,
        namespace: Namespace::DIRECT,
        timestamp: crate::now(),
        lifetime: Lifetime::Ttl(DAY),
        data: data(number),
        auth: None,
        sig_timestamp: None,
    })
}

/// As [`store`], for a store that is filled without a node.
pub(super) fn stored(account: &AccountId, number: u64, now: Timestamp) -> NewMessage {
    let data = data(number);
    NewMessage {
        owner: *account,
        namespace: Namespace::DIRECT,
        hash: MessageHash::of(account, Namespace::DIRECT, &data),
        timestamp: now,
        expiry: Timestamp(now.0 + DAY),
        data,
    }
}

/// Signed now; good for a minute.
pub(super) fn retrieve(account: &Account, count: u64) -> Request {
    let timestamp = crate::now();
    let signed = signing::retrieve(Namespace::DIRECT, timestamp);
    Request::Retrieve(Retrieve {
        account: *account.id(),
        namespace: Namespace::DIRECT,
        last_hash: None,
        max_count: Some(count),
        max_size: None,
        auth: Some(TimedAuth { auth: Auth::by_account(account.ed25519(), &signed), timestamp }),
    })
}
