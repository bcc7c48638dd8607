//! The documents of groups, as the reference's admins write them: info and members, with their signatures,
//! through two changes of keys. (How keys are made is `conclave-crypto`'s to check.)
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use conclave_confsync::{Document, GroupInfo, GroupMembers, Member, Picture, Push, Removal, Role, Step};
use conclave_crypto::hash::blake2b_256;
use conclave_crypto::{AccountId, Ed25519Secret, compression, config_encryption};
use conclave_proto::Timestamp;
use conclave_testkit::vectors;
use serde_json::Value;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn array(value: &Value) -> [u8; 32] {
    bytes(value).try_into().unwrap()
}

fn id(value: &Value) -> AccountId {
    AccountId::from_hex(value.as_str().unwrap()).unwrap()
}

/// `M` and the first digits of the id: what the vectors call their members.
fn name_of(id: &AccountId) -> String {
    format!("M{}", &id.to_hex()[2..6])
}

fn decrypt(entry: &[u8], key: &[u8; 32], domain: &str) -> (bool, Vec<u8>) {
    let plain = config_encryption::decrypt(entry, key, domain).unwrap();
    match config_encryption::unpad(&plain) {
        [b'z', frame @ ..] => (true, compression::decompress(frame, 1_000_000).unwrap()),
        plain => (false, plain.to_vec()),
    }
}

struct Case {
    value: Value,
    group: Ed25519Secret,
}

impl Case {
    fn all() -> [Self; 2] {
        ["generated/shared-group-0", "generated/shared-group-1"].map(|key| {
            let value = vectors::entry("config-groups", key);
            let group = Ed25519Secret::from_seed(&array(&value["in"]["group_seed"]));
            assert_eq!(AccountId::of_group(&group.public()), id(&value["out"]["group_id"]));
            Self { value, group }
        })
    }

    fn key(&self, name: &str) -> [u8; 32] {
        array(&self.value["out"][name])
    }

    fn info(&self) -> GroupInfo {
        let mut info = GroupInfo::new(&self.group.public(), &[]);
        info.become_admin(&self.group).unwrap();
        info
    }

    fn members(&self) -> GroupMembers {
        let mut members = GroupMembers::new(&self.group.public(), &[]);
        members.become_admin(&self.group).unwrap();
        members
    }

    /// Holds a push against what the vector says, and lets a member read the vector's.
    fn check(&self, name: &str, push: &Push, key: [u8; 32], domain: &str, member: &mut Document) {
        let expected = &self.value["out"][name];
        assert_eq!(push.seqno, expected["seqno"].as_i64().unwrap(), "{name}");
        let message = bytes(&expected["config_message"]);
        assert_eq!(blake2b_256(&[&message]), array(&expected["config_hash"]));
        let theirs = bytes(&expected["push_message"]);
        let (compressed, plain) = decrypt(&theirs, &key, domain);
        assert_eq!(
            (compressed, plain.as_slice()),
            (expected["compressed"].as_bool().unwrap(), message.as_slice())
        );
        let padded = expected["padded_plaintext_len"].as_u64().unwrap() as usize;
        assert_eq!(theirs.len(), padded + config_encryption::OVERHEAD);

        let [ours] = push.messages.as_slice() else { panic!("not one entry") };
        let plain = decrypt(ours, &key, domain).1;
        assert_eq!(plain.escape_ascii().to_string(), message.escape_ascii().to_string(), "{name}");
        if !compressed {
            assert_eq!(ours, &theirs, "{name}");
        }
        let merged = member.merge([(name, theirs.as_slice())], NOW);
        assert_eq!(
            (merged.understood.len(), member.seqno()),
            (1, push.seqno),
            "{name}: {:?}",
            merged.rejected
        );
        assert!(!member.needs_push());
    }

    fn obsolete(&self, name: &str) -> Vec<String> {
        let list = self.value["out"][name]["obsolete_hashes_sorted"].as_array().unwrap();
        list.iter().map(|hash| hash.as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn info_is_written_as_the_reference_writes_it() {
    for case in Case::all() {
        let keys =
            [case.key("rekey0_pending_key"), case.key("rekey1_pending_key"), case.key("rekey2_pending_key")];
        let mut reader = GroupInfo::new(&case.group.public(), &[keys[2], keys[1], keys[0]]);
        let mut info = case.info();
        info.set_name(case.value["in"]["info"]["name"].as_str().unwrap()).unwrap();
        info.set_created(Timestamp(case.value["in"]["info"]["created"].as_u64().unwrap() * 1000)).unwrap();
        info.replace_keys(&keys[..1], true).unwrap();
        let push = info.push(NOW).unwrap();
        case.check("info_push0", &push, keys[0], "groups::Info", &mut reader);
        assert_eq!(reader.name(), case.value["out"]["member0_sees_name"].as_str().unwrap());
        info.confirm_pushed(push.seqno, ["ih0"]);

        info.replace_keys(&[keys[1], keys[0]], true).unwrap();
        let push = info.push(NOW).unwrap();
        case.check("info_push1", &push, keys[1], "groups::Info", &mut reader);
        assert_eq!(push.obsolete, case.obsolete("info_push1"));
        let offered = push.obsolete;

        // What is in the vector is read, written by us, and the same.
        let fields = bytes(&case.value["out"]["info_push_fields"]["config_message"]);
        let fields = conclave_confsync::message::Message::parse(&fields, Some(&case.group.public())).unwrap();
        info.replace_keys(&[keys[2], keys[1], keys[0]], true).unwrap();
        let text = |key: &str| fields.data().text(key).unwrap().into_owned();
        let time = |key: &str| Timestamp(fields.data().int(key).unwrap() as u64 * 1000);
        info.set_description(&text("o")).unwrap();
        let picture = Picture { url: text("p"), key: fields.data().bytes("q").unwrap().try_into().unwrap() };
        info.set_picture(Some(&picture)).unwrap();
        info.set_timer(fields.data().int("E").unwrap() as u32).unwrap();
        info.set_delete_before(time("d")).unwrap();
        info.set_delete_attachments_before(time("D")).unwrap();
        let push = info.push(NOW).unwrap();
        let key = if decrypts(&case, "info_push_fields", &keys[2]) { keys[2] } else { keys[1] };
        if key == keys[1] {
            info.replace_keys(&[keys[1], keys[0]], false).unwrap();
        }
        let push = Push { messages: info.push(NOW).unwrap().messages, ..push };
        case.check("info_push_fields", &push, key, "groups::Info", &mut reader);
        // Nothing new is obsolete. What was handed out with the unconfirmed push before is, again.
        assert_eq!(case.obsolete("info_push_fields"), Vec::<String>::new());
        assert_eq!(push.obsolete, offered);
        assert_eq!((reader.description(), reader.picture()), (text("o"), Some(picture)));
        assert_eq!(
            (reader.delete_before(), reader.delete_attachments_before()),
            (Some(time("d")), Some(time("D")))
        );

        info.destroy().unwrap();
        let push = info.push(NOW).unwrap();
        case.check("info_push_destroyed", &push, key, "groups::Info", &mut reader);
        assert!(reader.is_destroyed());
    }
}

fn decrypts(case: &Case, name: &str, key: &[u8; 32]) -> bool {
    config_encryption::decrypt(&bytes(&case.value["out"][name]["push_message"]), key, "groups::Info").is_ok()
}

#[test]
fn members_are_written_as_the_reference_writes_them() {
    for case in Case::all() {
        let keys = [case.key("rekey0_pending_key"), case.key("rekey1_pending_key")];
        let mut reader = GroupMembers::new(&case.group.public(), &[keys[1], keys[0]]);
        let mut members = case.members();
        let admin =
            Member { name: "Admin".to_owned(), role: Role::Admin(Step::Accepted), ..Member::default() };
        members.set_member(&id(&case.value["out"]["admin_id"]), &admin).unwrap();
        for member in case.value["out"]["member_ids"].as_array().unwrap() {
            let member = id(member);
            members.set_member(&member, &Member { name: name_of(&member), ..Member::default() }).unwrap();
        }
        members.replace_keys(&keys[..1], true).unwrap();
        let push = members.push(NOW).unwrap();
        case.check("members_push0", &push, keys[0], "groups::Members", &mut reader);
        let count = case.value["out"]["member0_sees_member_count"].as_u64().unwrap() as usize;
        assert_eq!(reader.members().count(), count);
        assert!(reader.members().eq(members.members()));
        members.confirm_pushed(push.seqno, ["mh0"]);

        let new = id(&case.value["out"]["new_member_id"]);
        let invited = Member { role: Role::Member(Step::Sent), history_shared: true, ..Member::default() };
        members.set_member(&new, &invited).unwrap();
        members.replace_keys(&[keys[1], keys[0]], true).unwrap();
        let push = members.push(NOW).unwrap();
        case.check("members_push1", &push, keys[1], "groups::Members", &mut reader);
        assert_eq!(push.obsolete, case.obsolete("members_push1"));
        assert_eq!(reader.member(&new), Some(invited));
    }
}

#[test]
fn every_state_of_a_member_has_the_references_form_and_number() {
    for case in Case::all() {
        let mut members = case.members();
        let member = id(&case.value["out"]["member_ids"][0]);
        let mut states = 0;
        for step in case.value["out"]["member_state_sequence"].as_array().unwrap() {
            let change = |member: &mut Member| match step["op"].as_str().unwrap() {
                "invite_not_sent" => member.role = Role::Member(Step::NotSent),
                "invite_sent" => member.role = Role::Member(Step::Sent),
                "invite_failed" => member.role = Role::Member(Step::Failed),
                "invite_accepted" => member.accept_invitation(),
                "promoted" => member.role = Role::Admin(Step::NotSent),
                "promotion_sent" => member.role = Role::Admin(Step::Sent),
                "promotion_failed" => member.role = Role::Admin(Step::Failed),
                "promotion_accepted" => member.role = Role::Admin(Step::Accepted),
                "removed" => member.remove(Removal::Member),
                "removed_with_messages" => member.remove(Removal::WithMessages),
                other => panic!("nobody knows {other}"),
            };
            if members.member(&member).is_none() {
                let record = Member { name: name_of(&member), ..Member::default() };
                members.set_member(&member, &record).unwrap();
            }
            members.update_member(&member, change).unwrap();
            let record = members.data().dict_at(&[b"m", member.as_bytes()]).unwrap().encode();
            let expected = bytes(&step["member_dict_bt"]);
            assert_eq!(
                record.escape_ascii().to_string(),
                expected.escape_ascii().to_string(),
                "{}",
                step["op"]
            );
            assert_eq!(
                members.status(&member).unwrap() as u64,
                step["status_enum"].as_u64().unwrap(),
                "{}",
                step["op"]
            );
            states += 1;
        }
        assert_eq!(states, 10);
    }
}
