//! What is signed: by clients, and by nodes about what they did.

use std::collections::BTreeMap;

use conclave_crypto::Ed25519Secret;
use conclave_proto::rpc::results::{Affected, Expiries, NodeResult, Outcome as Done, signed_bytes};
use conclave_proto::rpc::{
    Auth, Delete, DeleteAll, DeleteBefore, Expire, ExpireAll, ExpireMode, Lifetime, Request, Revocation,
    Rights, Scope, Store, SubaccountToken, signing as sign,
};
use conclave_proto::{MessageHash, Namespace, Timestamp, monitor};
use serde_json::Value;

use super::util::*;

pub fn check_request_signatures(value: &Value) -> Outcome {
    let (user, group, sub) = (at(value, "user")?, at(value, "group")?, at(value, "subaccount")?);
    let (user_key, group_key, sub_key) =
        (secret(user, "ed25519_seed")?, secret(group, "ed25519_seed")?, secret(sub, "ed25519_seed")?);
    same("user key", &*user_key.public().to_hex(), text(user, "ed25519_pub")?)?;
    let user_id = account_id(user, "session_id")?;
    same("user id", user_id.key_bytes(), user_key.public().to_x25519().as_bytes())?;
    let group_id = account_id(group, "id")?;
    same("group id", group_id.key_bytes(), group_key.public().as_bytes())?;
    let token = SubaccountToken(array(sub, "token_hex")?);
    same("token", base64(sub, "token_b64")?.as_slice(), &token.0)?;
    same("token key", token.key_bytes(), *sub_key.public().as_bytes())?;
    same("token key", &*sub_key.public().to_hex(), text(sub, "ed25519_pub")?)?;
    same("flags", text(sub, "flags")?, "read|write")?;
    same("rights", token.rights(), Rights::READ.and(Rights::WRITE))?;
    let time = Timestamp(number(value, "timestamp_ms")?);
    let seconds = number(value, "timestamp_s")?;
    let hashes: Vec<MessageHash> = list(value, "hashes")?.iter().map(hash).collect::<Result<_, _>>()?;
    let [first, _] = hashes.as_slice() else { return Err("two hashes expected".into()) };
    let later = Timestamp(time.0.saturating_add(1));
    let space = |ns| Scope::One(Namespace(ns));
    let mut tested = 0;
    for case in list(value, "cases")? {
        let (message, key): (Vec<u8>, &Ed25519Secret) = match text(case, "name")? {
            "store ns 0 (signature optional)" => (sign::store(Namespace(0), time), &user_key),
            "store ns 2" => (sign::store(Namespace(2), time), &user_key),
            "store ns -42" => (sign::store(Namespace(-42), time), &user_key),
            "retrieve ns 0" => (sign::retrieve(Namespace(0), time), &user_key),
            "retrieve ns 11" => (sign::retrieve(Namespace(11), time), &user_key),
            "delete two hashes" => (sign::delete(&hashes), &user_key),
            "delete_all default ns" => (sign::delete_all(space(0), time), &user_key),
            "delete_all all" => (sign::delete_all(Scope::All, time), &user_key),
            "delete_all ns 5" => (sign::delete_all(space(5), time), &user_key),
            "delete_before default ns" => (sign::delete_before(space(0), time), &user_key),
            "delete_before ns -42" => (sign::delete_before(space(-42), time), &user_key),
            "expire_all all" => (sign::expire_all(Scope::All, time), &user_key),
            "expire plain" => (sign::expire(ExpireMode::Set, &[time], &[*first]), &user_key),
            "expire extend" => (sign::expire(ExpireMode::Extend, &[time], &[*first]), &user_key),
            "expire shorten" => (sign::expire(ExpireMode::Shorten, &[time], &[*first]), &user_key),
            "expire multi" => (sign::expire(ExpireMode::Set, &[time, later], &hashes), &user_key),
            "get_expiries" => (sign::get_expiries(time, &hashes), &user_key),
            "revoke_subaccount (group key)" => (sign::revoke_subaccount(time, &[token]), &group_key),
            "unrevoke_subaccount (group key)" => (sign::unrevoke_subaccount(time, &[token]), &group_key),
            "revoked_subaccounts (group key)" => (sign::revoked_subaccounts(time), &group_key),
            "subaccount token authorisation (group key signs token)" => (token.0.to_vec(), &group_key),
            "retrieve ns 11 signed by subaccount key" => (sign::retrieve(Namespace(11), time), &sub_key),
            "MONITOR session id, data wanted" => {
                (monitor::signed_bytes(&user_id, seconds, true, &[-5, 0, 23].map(Namespace)), &user_key)
            }
            "MONITOR group id, no data" => {
                (monitor::signed_bytes(&group_id, seconds, false, &[Namespace(11)]), &group_key)
            }
            unknown => return Err(format!("nobody knows {unknown:?}")),
        };
        tested += 1;
        signed(case, &message, key)?;
        if let Some(theirs) = at(case, "message_utf8")?.as_str() {
            same("message_utf8", message.as_slice(), theirs.as_bytes())?;
        }
    }
    same("cases", tested, 24)
}

/// Whether the case has this message, signed by this key.
fn signed(case: &Value, message: &[u8], key: &Ed25519Secret) -> Outcome {
    same("message", message, &bytes(case, "message_hex")?)?;
    same("signature", key.sign(message).as_bytes().as_slice(), &base64(case, "signature_b64")?)
}

fn hash(value: &Value) -> Result<MessageHash, String> {
    MessageHash::from_text(value.as_str().unwrap_or_default()).map_err(err)
}

pub fn check_node_result_signatures(value: &Value) -> Outcome {
    let mut node_path = text(value, "node")?.split('.');
    let file = conclave_testkit::vectors::file("storage-onion");
    let node = node_path.try_fold(&file, |found, step| found.get(step)).ok_or("no such node")?;
    let key = secret(node, "ed25519_seed")?;
    let account = account_id(value, "account")?;
    let group = account_id(value, "group_account")?;
    let time = Timestamp(number(value, "timestamp_ms")?);
    let (e1, e2) = (Timestamp(number(value, "e1")?), Timestamp(number(value, "e2")?));
    let [h0, h1, h2] = [hash(at(value, "h0")?)?, hash(at(value, "h1")?)?, hash(at(value, "h2")?)?];
    // Node results do not depend on the credentials.
    let auth = Auth::by_account(&key, b"");
    let delete = |messages: &[MessageHash]| {
        Request::Delete(Delete { account, messages: messages.to_vec(), required: false, auth })
    };
    let expire = |messages: &[MessageHash], expiry: &[Timestamp], mode| {
        Request::Expire(Expire { account, messages: messages.to_vec(), expiry: expiry.to_vec(), mode, auth })
    };
    let one = Scope::One(Namespace(2));
    let mut tested = 0;
    for case in list(value, "cases")? {
        let (request, outcome) = match text(case, "name")? {
            "store" => (store_of(h0)?, Done::Stored { hash: h0, expiry: e1, already: false }),
            "delete (requested h1,h0,h2; h0 and h1 existed)" => {
                (delete(&[h1, h0, h2]), Done::Deleted(vec![h0, h1]))
            }
            "delete (nothing existed)" => (delete(&[h1]), Done::Deleted(vec![])),
            "delete_all one namespace" => (
                Request::DeleteAll(DeleteAll { account, scope: one, timestamp: time, auth }),
                Done::DeletedIn(Affected::One(vec![h0, h2])),
            ),
            "delete_all namespace \"all\" (h1 in ns 0, h0 and h2 in ns 2)" => (
                Request::DeleteAll(DeleteAll { account, scope: Scope::All, timestamp: time, auth }),
                Done::DeletedIn(Affected::All(BTreeMap::from([
                    (Namespace(0), vec![h1]),
                    (Namespace(2), vec![h0, h2]),
                ]))),
            ),
            "delete_before" => (
                Request::DeleteBefore(DeleteBefore { account, scope: one, before: time, auth }),
                Done::DeletedIn(Affected::One(vec![h1])),
            ),
            "expire_all one namespace" => (
                Request::ExpireAll(ExpireAll { account, scope: one, expiry: e1, auth }),
                Done::UpdatedIn(Affected::One(vec![h0, h1])),
            ),
            "expire, one expiry for h1,h0, both updated" => (
                expire(&[h1, h0], &[e1], ExpireMode::Set),
                Done::Expired { expiry: Expiries::One(e1), updated: vec![h0, h1], unchanged: None },
            ),
            "expire with extend, h1,h0 requested, only h0 updated, h1 already later" => (
                expire(&[h1, h0], &[e1], ExpireMode::Extend),
                Done::Expired {
                    expiry: Expiries::One(e1),
                    updated: vec![h0],
                    unchanged: Some(BTreeMap::from([(h1, e2)])),
                },
            ),
            "expire, two expiries requested as h1:e2, h0:e1, both updated (returned array follows the sorted updated list)" => {
                (
                    expire(&[h1, h0], &[e2, e1], ExpireMode::Set),
                    Done::Expired {
                        expiry: Expiries::Each(vec![e1, e2]),
                        updated: vec![h0, h1],
                        unchanged: None,
                    },
                )
            }
            "revoke_subaccount / unrevoke_subaccount (group account)" => {
                let signatures = other("storage-onion", "request_signatures");
                let token = SubaccountToken(array(&signatures["subaccount"], "token_hex")?);
                let revocation = Revocation { account: group, tokens: vec![token], timestamp: time, auth };
                let outcome = Done::Revoked { count: None };
                let other = Request::UnrevokeSubaccount(revocation.clone());
                let revoke = Request::RevokeSubaccount(revocation);
                same("both", signed_bytes(&revoke, &outcome), signed_bytes(&other, &outcome))?;
                (revoke, outcome)
            }
            unknown => return Err(format!("nobody knows {unknown:?}")),
        };
        tested += 1;
        signed(case, &signed_bytes(&request, &outcome).ok_or("no outcome of the request")?, &key)?;
        let result = NodeResult::sign(&request, outcome, &key).ok_or("not signed")?;
        result.verify(&request, &key.public()).map_err(err)?;
        let entry = conclave_proto::rpc::Value::Dict(result.to_dict());
        let json = entry.to_json();
        for (name, theirs) in at(case, "result_fields")?.as_object().ok_or("no fields")? {
            same(name, json.get(name), Some(theirs))?;
        }
        same("JSON", NodeResult::from_json(&request, &json).as_ref(), Some(&result))?;
        same("bt", NodeResult::from_bt(&request, &entry.to_bt().encode()).as_ref(), Some(&result))?;
    }
    same("cases", tested, 11)
}

/// A request that stores the message of this hash: the one `message_hash` tells of.
fn store_of(wanted: MessageHash) -> Result<Request, String> {
    let known = other("storage-onion", "message_hash");
    let case = list(&known, "cases")?
        .iter()
        .find(|case| text(case, "hash") == Ok(wanted.as_str()))
        .ok_or("nobody knows a message of this hash")?;
    let namespace = at(case, "namespace")?.as_i64().and_then(|ns| ns.try_into().ok()).unwrap_or_default();
    Ok(Request::Store(Store {
        account: account_id(case, "pubkey")?,
        namespace: Namespace(namespace),
        timestamp: Timestamp(1_700_000_000_000),
        lifetime: Lifetime::Ttl(86_400_000),
        data: base64(case, "data_b64")?,
        auth: None,
        sig_timestamp: None,
    }))
}
