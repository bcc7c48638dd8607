//! Keys, credentials and messages of whole groups, as the reference made them (the configs of the same
//! groups are for the crate that reads configs).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

use conclave_crypto::group::keys::{self, Rekey};
use conclave_crypto::group::subaccount::{AuthData, AuthDataError, DELETE, MEMBER_RIGHTS, READ, WRITE};
use conclave_crypto::group::{GroupKey, message};
use conclave_crypto::multi_encrypt;
use conclave_crypto::{AccountId, Ed25519Public, Ed25519Secret, X25519Pair};
use serde_json::Value;

fn groups() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/config-groups.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let groups: Vec<Value> = file["generated"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|case| case["kind"] == "group_lifecycle")
        .cloned()
        .collect();
    assert_eq!(groups.len(), 2);
    groups
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn secret(value: &Value) -> Ed25519Secret {
    Ed25519Secret::from_seed(&bytes(value).try_into().unwrap())
}

fn secrets(value: &Value) -> Vec<Ed25519Secret> {
    value.as_array().unwrap().iter().map(secret).collect()
}

fn pair(secret: &Ed25519Secret) -> X25519Pair {
    X25519Pair::new(secret.to_x25519())
}

fn id(secret: &Ed25519Secret) -> AccountId {
    AccountId::of_account(&secret.public().to_x25519())
}

/// The key message of a rekey (config-and-groups 7.3), signed.
fn key_message(group: &Ed25519Secret, rekey: &Rekey, generation: u64) -> Vec<u8> {
    let mut message = b"d1:#24:".to_vec();
    message.extend_from_slice(&rekey.nonce);
    message.extend_from_slice(format!("1:Gi{generation}e1:K48:").as_bytes());
    message.extend_from_slice(&rekey.for_admins);
    message.extend_from_slice(b"1:kl");
    for entry in &rekey.for_members {
        message.extend_from_slice(b"48:");
        message.extend_from_slice(entry);
    }
    message.push(b'e');
    let signature = group.sign(&message);
    message.extend_from_slice(b"1:~64:");
    message.extend_from_slice(signature.as_bytes());
    message.push(b'e');
    message
}

#[test]
fn a_new_key_follows_from_seed_members_and_generation() {
    for case in groups() {
        let group = secret(&case["in"]["group_seed"]);
        let admin = secret(&case["in"]["admin_seed"]);
        let members = secrets(&case["in"]["member_seeds"]);
        let newcomer = secret(&case["in"]["new_member_seed"]);
        let mut present: Vec<AccountId> = members.iter().map(id).collect();
        present.push(id(&admin));

        let check = |present: &[AccountId], generation, name: &str| {
            let rekey = Rekey::new(&group, present, generation);
            let key = bytes(&case["out"][format!("rekey{generation}_pending_key")]);
            assert_eq!(&rekey.key.as_bytes()[..], key);
            assert_eq!(
                hex::encode(key_message(&group, &rekey, generation)),
                case["out"][name].as_str().unwrap(),
                "{name}"
            );
            let opened = keys::open_as_admin(&group, &rekey.nonce, &rekey.for_admins).unwrap();
            assert_eq!(opened, rekey.key);
            rekey
        };
        let first = check(&present, 0, "rekey0_message");
        let opens = |rekey: &Rekey, member: &Ed25519Secret| {
            let group = pair(&group);
            let open = |entry: &[u8; 48]| {
                keys::open_as_member(&pair(member), group.public(), &rekey.nonce, entry).ok()
            };
            rekey.for_members.iter().find_map(open).map(|key| key.to_vec())
        };
        assert_eq!(opens(&first, &members[0]).unwrap(), first.key.as_bytes());
        assert_eq!(opens(&first, &newcomer), None);

        present.push(id(&newcomer));
        check(&present, 1, "rekey1_message");
        let gone = id(members.last().unwrap());
        present.retain(|member| *member != gone);
        let third = check(&present, 2, "rekey2_after_removing_last_member");
        assert_eq!(opens(&third, members.last().unwrap()), None);
        assert_eq!(opens(&third, &newcomer).unwrap(), third.key.as_bytes());
    }
}

#[test]
fn a_newcomer_gets_the_earlier_keys() {
    for case in groups() {
        let group = secret(&case["in"]["group_seed"]);
        let newcomer = secret(&case["in"]["new_member_seed"]);
        let message = bytes(&case["out"]["supplement_for_new_member"]);
        // d 1:# 24:… 1:+ l <length>:<entry> e …
        let nonce: [u8; 24] = message[7..31].try_into().unwrap();
        let rest = &message[35..];
        let colon = rest.iter().position(|byte| *byte == b':').unwrap();
        let length: usize = std::str::from_utf8(&rest[..colon]).unwrap().parse().unwrap();
        let entry = &rest[colon + 1..colon + 1 + length];
        let plain = keys::open_as_member(&pair(&newcomer), pair(&group).public(), &nonce, entry).unwrap();
        let key = bytes(&case["out"]["rekey0_pending_key"]);
        assert!(plain.windows(32).any(|window| window == key));

        let recipient = id(&newcomer);
        assert_eq!(keys::supplement_nonce(&group, &[recipient], &plain), nonce);
        assert_eq!(keys::seal_for_member(&pair(&group), &recipient.x25519().unwrap(), &nonce, &plain), entry);
    }
}

#[test]
fn members_reach_the_mailbox_with_what_the_admin_issued() {
    for case in groups() {
        let group = secret(&case["in"]["group_seed"]);
        for issued in case["out"]["subaccounts"].as_array().unwrap() {
            let member = secret(&issued["member_seed"]);
            let x = member.public().to_x25519();
            let data = AuthData::issue(&group, &x, MEMBER_RIGHTS).unwrap();
            assert_eq!(&data.as_bytes()[..], bytes(&issued["auth_data"]));
            let more = AuthData::issue(&group, &x, READ | WRITE | DELETE).unwrap();
            assert_eq!(&more.as_bytes()[..], bytes(&issued["auth_data_write_delete"]));

            let account = data.accept(&member, &group.public(), READ | WRITE).unwrap();
            assert_eq!(&account.token().as_bytes()[..], bytes(&issued["token"]));
            assert_eq!(&account.token_signature().as_bytes()[..], bytes(&issued["subaccount_sig"]));
            let message = issued["message"].as_str().unwrap().as_bytes();
            let signature = account.sign(message);
            assert_eq!(&signature.as_bytes()[..], bytes(&issued["signature"]));
            let key = Ed25519Public::from_slice(&account.token().as_bytes()[4..]).unwrap();
            key.verify(message, &signature).unwrap();

            assert_eq!(data.accept(&member, &group.public(), DELETE).unwrap_err(), AuthDataError::Rights);
            let other = Ed25519Secret::from_seed(&[9; 32]);
            assert_eq!(data.accept(&other, &group.public(), READ).unwrap_err(), AuthDataError::NotForUs);
            assert_eq!(data.accept(&member, &other.public(), READ).unwrap_err(), AuthDataError::NotForUs);
            // Rights cannot be raised without the group's key.
            let mut raised = *data.as_bytes();
            raised[1] |= DELETE;
            let raised = AuthData::from_slice(&raised).unwrap();
            assert_eq!(raised.accept(&member, &group.public(), READ).unwrap_err(), AuthDataError::NotForUs);
        }
    }
}

#[test]
fn messages_and_notices_of_the_reference_open() {
    for case in groups() {
        let group = secret(&case["in"]["group_seed"]);
        for sent in case["out"]["group_messages_current_format"].as_array().unwrap() {
            let key = GroupKey::from_bytes(bytes(&sent["group_key"]).try_into().unwrap());
            let group_key = Ed25519Public::from_slice(&bytes(&sent["group_pubkey"])).unwrap();
            assert_eq!(group_key, group.public());
            let opened = message::open([&key], &group_key, &bytes(&sent["ciphertext"])).unwrap();
            assert_eq!(opened.envelope, bytes(&sent["plaintext"]));
            assert_eq!(opened.author.to_hex(), sent["sender_id"].as_str().unwrap());
            assert_eq!(opened.author_key, secret(&sent["sender_seed"]).public());
        }

        let kicked = &case["out"]["kicked_message"];
        let members: Vec<_> = kicked["recipients"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_str().unwrap().parse::<AccountId>().unwrap().x25519().unwrap())
            .collect();
        let generation = kicked["generation"].as_u64().unwrap();
        let nonce = bytes(&kicked["nonce"]).try_into().unwrap();
        let notice =
            multi_encrypt::seal_kicked_notice_with_nonce(&pair(&group), &members, generation, &nonce);
        assert_eq!(notice, bytes(&kicked["encoded"]));
        let member = pair(&secrets(&case["in"]["member_seeds"])[0]);
        let read = multi_encrypt::open_kicked_notice(&member, pair(&group).public(), &notice);
        assert_eq!(read, Ok(generation));
    }
}
