//! What reads bytes in `conclave-confsync`.

use conclave_confsync::data::Dict;
use conclave_confsync::diff::Diff;
use conclave_confsync::merge::{Outcome, merge};
use conclave_confsync::message::Message;
use conclave_confsync::{
    Contacts, Conversations, Document, GroupInfo, GroupMembers, UserGroups, UserProfile,
};
use conclave_crypto::{Ed25519Secret, config_encryption};
use conclave_proto::Timestamp;
use conclave_proto::bt::{DictWriter, ListReader};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn account() -> Ed25519Secret {
    Ed25519Secret::from_seed(&[7; 32])
}

/// Data and diffs have one spelling, and a diff leads somewhere whatever it is applied to.
pub fn config_data(bytes: &[u8]) {
    let data = Dict::decode(bytes);
    if let Ok(data) = &data {
        assert_eq!(data.encode(), bytes, "there is one encoding of data");
        let all = Diff::between(&Dict::new(), data);
        assert_eq!(Diff::decode(&all.encode()).as_ref(), Ok(&all));
        let mut target = Dict::new();
        all.apply(data, &mut target);
        assert_eq!(&target, data);
        Diff::between(data, &Dict::new()).apply(&Dict::new(), &mut target);
        assert!(target.is_empty());
    }
    if let Ok(diff) = Diff::decode(bytes) {
        assert_eq!(diff.encode(), bytes, "there is one encoding of a diff");
        let mut target = data.unwrap_or_default();
        diff.apply(&Dict::new(), &mut target);
    }
}

pub fn config_message(bytes: &[u8]) {
    let group = account().public();
    let Ok(message) = Message::parse(bytes, None) else {
        assert!(Message::parse(bytes, Some(&group)).is_err(), "a signature makes nothing readable");
        return;
    };
    assert_eq!(message.as_bytes(), bytes, "what is passed on does not change");
    let next = message.next().finish(None);
    if next.version().seqno <= conclave_confsync::message::MAX_SEQNO {
        assert_eq!(Message::parse(next.as_bytes(), None).as_ref(), Ok(&next));
    }
    assert_eq!(next.data(), message.data());
    assert!(matches!(merge(&[&message, &next], true), Some(Outcome::Adopted(1))), "the next has it in it");
    let signed = message.next().finish(Some(&account()));
    if signed.version().seqno <= conclave_confsync::message::MAX_SEQNO {
        assert_eq!(Message::parse(signed.as_bytes(), Some(&group)).as_ref(), Ok(&signed));
        let other = Ed25519Secret::from_seed(&[8; 32]).public();
        assert!(Message::parse(signed.as_bytes(), Some(&other)).is_err());
    }
}

/// A list of messages: merged in any order they give the same, which has all of them in it.
pub fn config_merge(bytes: &[u8]) {
    let Ok(mut list) = ListReader::new(bytes) else { return };
    let mut messages = Vec::new();
    while !list.is_empty() && messages.len() < 12 {
        let Ok(bytes) = list.bytes() else { return };
        messages.extend(Message::parse(bytes, None));
    }
    let result = |messages: &[&Message]| match merge(messages, true)? {
        Outcome::Adopted(place) => messages.get(place).map(|message| (*message).clone()),
        Outcome::Merged(draft) => Some(draft.finish(None)),
    };
    let given: Vec<&Message> = messages.iter().collect();
    let backwards: Vec<&Message> = messages.iter().rev().chain(messages.iter()).collect();
    let merged = result(&given);
    assert_eq!(merged, result(&backwards));
    let Some(merged) = merged else { return };
    assert_eq!(Message::parse(merged.as_bytes(), None).as_ref(), Ok(&merged));
    let with_result: Vec<&Message> = given.iter().copied().chain([&merged]).collect();
    assert_eq!(result(&with_result), Some(merged.clone()), "whoever merges, merges once");
    // Who may not merge adopts one of them.
    assert!(matches!(merge(&given, false), Some(Outcome::Adopted(place)) if place < given.len()));
}

/// An entry of the swarm, as a blob and encrypted for us; what is understood is kept.
pub fn config_entry(bytes: &[u8]) {
    let encrypted = config_encryption::encrypt(bytes, &account().seed(), "Contacts");
    for entry in [bytes, encrypted.as_slice()] {
        let mut contacts = Contacts::new(&account());
        let merged = contacts.merge([("h", entry)], NOW);
        assert_eq!(merged.understood.len() + merged.rejected.len(), 1);
        assert!(!contacts.needs_push(), "one version alone is nothing to push");
        if merged.understood.is_empty() {
            assert!(!merged.changed && contacts.data().is_empty());
            continue;
        }
        let again = contacts.merge([("h", entry)], NOW);
        assert_eq!((again.understood.len(), again.changed), (1, false));
        same_after_restart(&mut contacts, |dump| Contacts::load(&account(), dump).ok());
        let Ok(push) = contacts.push(NOW) else { continue };
        assert!(push.obsolete.is_empty(), "the only version is not obsolete");
        let mut other = Contacts::new(&account());
        other.merge(push.messages.iter().map(|entry| ("own", entry.as_slice())), NOW);
        assert_eq!(other.data(), contacts.data());
    }
}

fn same_after_restart<V: std::ops::DerefMut<Target = Document>>(
    view: &mut V,
    load: impl Fn(&[u8]) -> Option<V>,
) {
    let dump = view.dump();
    let mut loaded = load(&dump).unwrap();
    assert_eq!(loaded.dump(), dump);
    assert_eq!((loaded.data(), loaded.seqno()), (view.data(), view.seqno()));
    assert_eq!((loaded.needs_push(), loaded.active_hashes()), (view.needs_push(), view.active_hashes()));
}

pub fn config_dump(bytes: &[u8]) {
    let Ok(mut contacts) = Contacts::load(&account(), bytes) else { return };
    same_after_restart(&mut contacts, |dump| Contacts::load(&account(), dump).ok());
    let pushed = contacts.needs_push();
    let Ok(push) = contacts.push(NOW) else { return };
    contacts.confirm_pushed(push.seqno, ["stored"]);
    assert!(!contacts.needs_push());
    assert_eq!(pushed, contacts.current_hashes().any(|hash| hash == "stored"));
}

/// Whatever stands in a document, views read it, and writing back what was read changes nothing twice.
pub fn config_views(bytes: &[u8]) {
    let Ok(data) = Dict::decode(bytes) else { return };
    let mut draft = Message::empty().next();
    *draft.data_mut() = data;
    let group = account();
    let dump = |message: Message| {
        let mut dump = DictWriter::new();
        dump.int("!", 0i64).bytes("$", message.as_bytes());
        dump.finish()
    };
    let (plain, signed) = (dump(draft.finish(None)), dump(draft.finish(Some(&group))));

    let mut profile = UserProfile::load(&account(), &plain).unwrap();
    let (name, picture) = (profile.name(), profile.picture());
    let _ = (
        profile.updated_at(),
        profile.features(),
        profile.note_to_self_priority(),
        profile.note_to_self_timer(),
    );
    if profile.set_picture(picture.as_ref(), NOW).is_ok() {
        assert_eq!((profile.name(), profile.picture()), (name, picture));
    }

    let mut contacts = Contacts::load(&account(), &plain).unwrap();
    for (id, contact) in contacts.contacts().collect::<Vec<_>>() {
        if contacts.set_contact(&id, &contact).is_ok() {
            assert_eq!(contacts.contact(&id), Some(contact.clone()));
            assert_eq!(contacts.set_contact(&id, &contact), Ok(false));
        }
    }
    for (server, key, id, contact) in contacts.blinded_contacts().collect::<Vec<_>>() {
        if contacts.set_blinded_contact(&server, &key, &id, &contact).is_ok() {
            assert_eq!(contacts.set_blinded_contact(&server, &key, &id, &contact), Ok(false));
        }
    }

    let mut conversations = Conversations::load(&account(), &plain).unwrap();
    for (id, state) in conversations.read_states().collect::<Vec<_>>() {
        let _ = conversations.set_read_state(&id, state, NOW);
        assert!(
            conversations.mark_read(&id, NOW, NOW).is_err()
                || conversations.read_state(&id).unwrap().last_read >= NOW
        );
    }
    let _ = conversations.push(NOW);

    let mut groups = UserGroups::load(&account(), &plain).unwrap();
    for (id, group) in groups.groups().collect::<Vec<_>>() {
        if groups.set_group(&id, &group).is_ok() {
            assert_eq!(groups.group(&id), Some(group.clone()));
            assert_eq!(groups.set_group(&id, &group), Ok(false));
        }
    }
    for community in groups.communities().collect::<Vec<_>>() {
        if groups.set_community(&community).is_ok() {
            assert_eq!(groups.set_community(&community), Ok(false));
        }
    }
    for (id, group) in groups.legacy_groups().collect::<Vec<_>>() {
        if groups.set_legacy_group(&id, &group).is_ok() {
            assert_eq!(groups.legacy_group(&id), Some(group));
        }
    }

    let mut info = GroupInfo::load(&group.public(), &[[7; 32]], &signed).unwrap();
    let _ = (info.name(), info.description(), info.picture(), info.delete_before(), info.timer());
    assert!(info.set_name("x").is_err(), "without the secret nothing changes");
    let mut members = GroupMembers::load(&group.public(), &[[7; 32]], &signed).unwrap();
    members.become_admin(&group).unwrap();
    for (id, member) in members.members().collect::<Vec<_>>() {
        assert!(members.status(&id).is_some());
        if members.set_member(&id, &member).is_ok() {
            assert_eq!(members.member(&id), Some(member.clone()));
            assert_eq!(members.set_member(&id, &member), Ok(false));
        }
    }
}
