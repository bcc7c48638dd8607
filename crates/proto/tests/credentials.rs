//! Who may ask: every link of the chain from account to request is checked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use conclave_crypto::{AccountId, Ed25519Secret, IdPrefix};
use conclave_proto::rpc::*;
use conclave_proto::{MessageHash, Namespace, Timestamp};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn key(number: u8) -> Ed25519Secret {
    Ed25519Secret::from_seed(&[number; 32])
}

fn token(prefix: u8, rights: Rights, holder: &Ed25519Secret) -> SubaccountToken {
    let mut bytes = [0; 36];
    bytes[0] = prefix;
    bytes[1] = rights.0;
    bytes[4..].copy_from_slice(holder.public().as_bytes());
    SubaccountToken(bytes)
}

/// What verification says of a retrieve by a subaccount.
fn retrieve(
    group: &Ed25519Secret,
    token: SubaccountToken,
    token_signer: &Ed25519Secret,
    signer: &Ed25519Secret,
) -> Result<Authority, AuthRejected> {
    let subaccount = SubaccountAuth { token, signature: token_signer.sign(&token.0) };
    let signature = signer.sign(&signing::retrieve(Namespace(11), NOW));
    let request = Request::Retrieve(Retrieve {
        account: AccountId::of_group(&group.public()),
        namespace: Namespace(11),
        last_hash: None,
        max_count: None,
        max_size: None,
        auth: Some(TimedAuth { auth: Auth::by_subaccount(subaccount, signature), timestamp: NOW }),
    });
    request.verify().map_err(|refused| {
        assert_eq!(
            (refused.answer.code, &*refused.answer.body),
            (401, "retrieve signature verification failed")
        );
        refused.cause
    })
}

#[test]
fn a_subaccount_acts_only_within_a_token_its_group_signed() {
    let (group, member, stranger) = (key(1), key(2), key(3));
    let good = token(3, Rights::READ.and(Rights::WRITE), &member);
    assert_eq!(retrieve(&group, good, &group, &member), Ok(Authority::Subaccount(good)));
    assert_eq!(retrieve(&group, good, &stranger, &member), Err(AuthRejected::Token));
    assert_eq!(retrieve(&group, good, &group, &stranger), Err(AuthRejected::Signature));
    assert_eq!(retrieve(&group, good, &group, &group), Err(AuthRejected::Signature));
    let writes = token(3, Rights::WRITE, &member);
    assert_eq!(retrieve(&group, writes, &group, &member), Err(AuthRejected::LacksRights));
    let elsewhere = token(5, Rights::READ, &member);
    assert_eq!(retrieve(&group, elsewhere, &group, &member), Err(AuthRejected::OtherAccountType));
    let anywhere = token(5, Rights::READ.and(Rights::ANY_PREFIX), &member);
    assert_eq!(retrieve(&group, anywhere, &group, &member), Ok(Authority::Subaccount(anywhere)));
}

#[test]
fn each_method_needs_the_rights_of_the_table() {
    let holder = key(2);
    let group = AccountId::of_group(&key(1).public());
    let hash = MessageHash::of(&group, Namespace(11), b"x");
    let made = |request: Request, rights: Rights| {
        let signed = signing::request(&request).unwrap();
        let token = token(3, rights, &holder);
        let subaccount = SubaccountAuth { token, signature: key(1).sign(&token.0) };
        let auth = Auth::by_subaccount(subaccount, holder.sign(&signed));
        let mut request = request;
        match &mut request {
            Request::Store(r) => r.auth = Some(auth),
            Request::Delete(r) => r.auth = auth,
            Request::DeleteAll(r) => r.auth = auth,
            Request::Expire(r) => r.auth = auth,
            Request::ExpireAll(r) => r.auth = auth,
            Request::GetExpiries(r) => r.auth = auth,
            Request::RevokeSubaccount(r) => r.auth = auth,
            _ => unreachable!(),
        }
        request.verify().is_ok()
    };
    let auth = Auth::by_group(&key(1), b"");
    let store = |namespace| {
        Request::Store(Store {
            account: group,
            namespace: Namespace(namespace),
            timestamp: NOW,
            lifetime: Lifetime::Ttl(86_400_000),
            data: vec![],
            auth: None,
            sig_timestamp: None,
        })
    };
    let (read, write, delete) = (Rights::READ, Rights::WRITE, Rights::DELETE);
    let scope = Scope::One(Namespace(11));
    let messages = vec![hash];
    for (request, needed) in [
        (store(11), write),
        (store(-1), write.and(delete)),
        (
            Request::Delete(Delete { account: group, messages: messages.clone(), required: false, auth }),
            delete,
        ),
        (Request::DeleteAll(DeleteAll { account: group, scope, timestamp: NOW, auth }), delete),
        (Request::ExpireAll(ExpireAll { account: group, scope, expiry: NOW, auth }), delete),
        (
            Request::Expire(Expire {
                account: group,
                messages: messages.clone(),
                expiry: vec![NOW],
                mode: ExpireMode::Set,
                auth,
            }),
            write,
        ),
        (Request::GetExpiries(GetExpiries { account: group, messages, timestamp: NOW, auth }), read),
    ] {
        for rights in (0..8).map(Rights) {
            let method = request.method();
            assert_eq!(made(request.clone(), rights), rights.contain(needed), "{method} with {rights:?}");
        }
    }
    let tokens = vec![token(3, read, &holder)];
    let revoke = Request::RevokeSubaccount(Revocation { account: group, tokens, timestamp: NOW, auth });
    assert!(!made(revoke, Rights(0xff)), "subaccounts revoke nobody");
}

#[test]
fn an_account_proves_the_key_behind_its_id() {
    let (owner, stranger) = (key(1), key(2));
    let account = AccountId::of_account(&owner.public().to_x25519());
    let signed = b"retrieve";
    assert_eq!(
        Auth::by_account(&owner, signed).verify(&account, signed, Rights::NONE),
        Ok(Authority::Account)
    );
    let by_stranger = Auth::by_account(&stranger, signed);
    assert_eq!(by_stranger.verify(&account, signed, Rights::NONE), Err(AuthRejected::OtherKey));
    let claimed = Auth { pubkey_ed25519: Some(*owner.public().as_bytes()), ..by_stranger };
    assert_eq!(claimed.verify(&account, signed, Rights::NONE), Err(AuthRejected::Signature));
    let weak = Auth { pubkey_ed25519: Some([0; 32]), ..claimed };
    assert_eq!(weak.verify(&account, signed, Rights::NONE), Err(AuthRejected::Key));
    // For other kinds of ids the key is the id, whatever the request names.
    let group = AccountId::new(IdPrefix::Group, stranger.public().as_bytes());
    assert_eq!(by_stranger.verify(&group, signed, Rights::NONE), Ok(Authority::Account));
}

#[test]
fn a_public_inbox_ignores_signatures_and_a_private_mailbox_wants_one() {
    let account = AccountId::new(IdPrefix::Group, key(1).public().as_bytes());
    let store = |namespace, auth| {
        Request::Store(Store {
            account,
            namespace: Namespace(namespace),
            timestamp: NOW,
            lifetime: Lifetime::Ttl(86_400_000),
            data: vec![],
            auth,
            sig_timestamp: None,
        })
        .verify()
    };
    let bad = Some(Auth::by_group(&key(2), b"another"));
    assert_eq!(store(0, None), Ok(Authority::Anyone));
    assert_eq!(store(10, bad), Ok(Authority::Anyone));
    let refused = store(2, None).unwrap_err();
    assert_eq!(refused.answer.body, "store: signature required to store to namespace 2");
    assert_eq!(store(2, bad).unwrap_err().answer.body, "store signature verification failed");
}
