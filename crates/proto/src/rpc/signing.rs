//! The bytes that a request's signature covers, one function for each method (storage-and-onion
//! 2.4): ASCII without separators; namespace 0 is written as nothing.

use crate::rpc::{ExpireMode, Request, Rights, Scope, SubaccountToken};
use crate::{MessageHash, Namespace, Timestamp};

/// `store`; `time` is `sig_timestamp`, or `timestamp` where that is not given.
pub fn store(namespace: Namespace, time: Timestamp) -> Vec<u8> {
    format!("store{}{time}", namespace.signed_text()).into_bytes()
}

/// `retrieve`
pub fn retrieve(namespace: Namespace, time: Timestamp) -> Vec<u8> {
    format!("retrieve{}{time}", namespace.signed_text()).into_bytes()
}

/// `delete`, the hashes in the request's order.
pub fn delete(messages: &[MessageHash]) -> Vec<u8> {
    with_hashes("delete".to_owned(), messages)
}

/// `delete_all`
pub fn delete_all(scope: Scope, time: Timestamp) -> Vec<u8> {
    format!("delete_all{}{time}", scope.signed_text()).into_bytes()
}

/// `delete_before`
pub fn delete_before(scope: Scope, before: Timestamp) -> Vec<u8> {
    format!("delete_before{}{before}", scope.signed_text()).into_bytes()
}

/// `expire_all`
pub fn expire_all(scope: Scope, expiry: Timestamp) -> Vec<u8> {
    format!("expire_all{}{expiry}", scope.signed_text()).into_bytes()
}

/// `expire`, expiries and hashes in the request's order.
pub fn expire(mode: ExpireMode, expiry: &[Timestamp], messages: &[MessageHash]) -> Vec<u8> {
    let times: String = expiry.iter().map(ToString::to_string).collect();
    with_hashes(format!("expire{}{times}", mode.signed_text()), messages)
}

/// `get_expiries`
pub fn get_expiries(time: Timestamp, messages: &[MessageHash]) -> Vec<u8> {
    with_hashes(format!("get_expiries{time}"), messages)
}

/// `revoke_subaccount`
pub fn revoke_subaccount(time: Timestamp, tokens: &[SubaccountToken]) -> Vec<u8> {
    with_tokens(format!("revoke_subaccount{time}"), tokens)
}

/// `unrevoke_subaccount`
pub fn unrevoke_subaccount(time: Timestamp, tokens: &[SubaccountToken]) -> Vec<u8> {
    with_tokens(format!("unrevoke_subaccount{time}"), tokens)
}

/// `revoked_subaccounts`
pub fn revoked_subaccounts(time: Timestamp) -> Vec<u8> {
    format!("revoked_subaccounts{time}").into_bytes()
}

/// What the signature of `request` covers; `None` for methods that are not signed.
pub fn request(request: &Request) -> Option<Vec<u8>> {
    Some(match request {
        Request::Store(r) => store(r.namespace, r.signed_at()),
        Request::Retrieve(r) => retrieve(r.namespace, r.auth.as_ref()?.timestamp),
        Request::Delete(r) => delete(&r.messages),
        Request::DeleteAll(r) => delete_all(r.scope, r.timestamp),
        Request::DeleteBefore(r) => delete_before(r.scope, r.before),
        Request::Expire(r) => expire(r.mode, &r.expiry, &r.messages),
        Request::ExpireAll(r) => expire_all(r.scope, r.expiry),
        Request::GetExpiries(r) => get_expiries(r.timestamp, &r.messages),
        Request::RevokeSubaccount(r) => revoke_subaccount(r.timestamp, &r.tokens),
        Request::UnrevokeSubaccount(r) => unrevoke_subaccount(r.timestamp, &r.tokens),
        Request::RevokedSubaccounts(r) => revoked_subaccounts(r.timestamp),
        Request::ConclaveWait(r) => wait(r.auth.timestamp, &r.positions),
        Request::GetSwarm(_)
        | Request::Info
        | Request::OxendRequest(_)
        | Request::ActiveNodesBin
        | Request::ConclaveChunk(_)
        | Request::ConclaveDirectory
        | Request::Batch(_)
        | Request::Sequence(_)
        | Request::IfElse(_) => return None,
    })
}

/// `conclave_wait`, the time, a colon, and the numbers of the namespaces with commas between them. Positions are not
/// signed: whoever changes them only makes the answer come at another time.
pub fn wait(time: Timestamp, positions: &[(Namespace, Option<MessageHash>)]) -> Vec<u8> {
    let spaces: Vec<String> = positions.iter().map(|(namespace, _)| namespace.0.to_string()).collect();
    format!("conclave_wait{}:{}", time.0, spaces.join(",")).into_bytes()
}

/// The rights a subaccount needs for `request` (2.4); `None` where subaccounts count for nothing.
pub fn needed_rights(request: &Request) -> Option<Rights> {
    match request {
        Request::Store(r) if r.namespace.is_public_outbox() => Some(Rights::WRITE.and(Rights::DELETE)),
        Request::Store(_) | Request::Expire(_) => Some(Rights::WRITE),
        Request::Retrieve(_) | Request::GetExpiries(_) | Request::ConclaveWait(_) => Some(Rights::READ),
        Request::Delete(_) | Request::DeleteAll(_) | Request::DeleteBefore(_) | Request::ExpireAll(_) => {
            Some(Rights::DELETE)
        }
        _ => None,
    }
}

fn with_hashes(text: String, messages: &[MessageHash]) -> Vec<u8> {
    let mut out = text.into_bytes();
    messages.iter().for_each(|hash| out.extend_from_slice(hash.as_bytes()));
    out
}

fn with_tokens(text: String, tokens: &[SubaccountToken]) -> Vec<u8> {
    let mut out = text.into_bytes();
    tokens.iter().for_each(|token| out.extend_from_slice(&token.0));
    out
}
