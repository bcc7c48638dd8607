//! Documents and their views: edits become the reference's bytes, and its bytes are read.

use std::collections::BTreeSet;

use conclave_confsync::message::Message;
use conclave_confsync::{
    Access, Community, Contact, Contacts, ConversationId, Conversations, Document, Group, Kind, LegacyGroup,
    Notify, Picture, Push, ReadState, Standing, UserGroups, UserProfile,
};
use conclave_crypto::hash::blake2b_256;
use conclave_crypto::{
    AccountId, Ed25519Secret, X25519Pair, Zeroizing, compression, config_encryption, padding,
    session_protocol,
};
use conclave_proto::Timestamp;
use conclave_proto::bt::{DictReader, DictWriter, ListReader};
use conclave_proto::content::{self, Content, Expiration};
use serde_json::Value;

use super::read::*;

/// A time at which nothing of the vectors is old.
const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn seconds(value: &Value, path: &str) -> Checked<Option<Timestamp>> {
    let seconds: u64 = number(value, path)?;
    Ok((seconds != 0).then_some(Timestamp(seconds * 1000)))
}

/// The number a kind has inside the protobuf, and its encryption domain.
fn on_the_wire(kind: Kind) -> Checked<(i32, &'static str)> {
    match kind {
        Kind::UserProfile => Ok((1, "UserProfile")),
        Kind::Contacts => Ok((2, "Contacts")),
        Kind::Conversations => Ok((3, "ConvoInfoVolatile")),
        Kind::UserGroups => Ok((4, "UserGroups")),
        _ => Err("not an account's".to_owned()),
    }
}

/// What a pushed entry holds, taken apart without this crate: number, encrypted message.
fn unwrap(kind: Kind, account: &Ed25519Secret, entry: &[u8]) -> Checked<(i64, Vec<u8>)> {
    let envelope = content::unwrap(entry).map_err(words)?;
    let pair = X25519Pair::new(account.to_x25519());
    let opened = session_protocol::open(&pair, &envelope.content).map_err(words)?;
    same("sender", &opened.sender_key, &account.public())?;
    let content = Content::from_bytes(padding::unpad_content(&opened.message)).map_err(words)?;
    let config = content.shared_config_message.ok_or("no config")?;
    same("kind", &config.kind, &on_the_wire(kind)?.0)?;
    Ok((config.seqno, config.data))
}

/// The message in an encrypted one, and whether it was compressed.
fn decrypt(kind: Kind, account: &Ed25519Secret, encrypted: &[u8]) -> Checked<(bool, Vec<u8>)> {
    let plain =
        config_encryption::decrypt(encrypted, &account.seed(), on_the_wire(kind)?.1).map_err(words)?;
    let plain = config_encryption::unpad(&plain);
    match plain.strip_prefix(b"z") {
        Some(frame) => Ok((true, compression::decompress(frame, 1_000_000).map_err(words)?)),
        None => Ok((false, plain.to_vec())),
    }
}

/// Holds a push against what the vector says of it under `path`.
fn check_push(v: &Value, path: &str, kind: Kind, account: &Ed25519Secret, push: &Push) -> Checked {
    let at = |field: &str| format!("{path}/{field}");
    same("seqno", &push.seqno, &int(v, &at("seqno"))?)?;
    same("obsolete", &push.obsolete, &texts(v, &at("obsolete_hashes_sorted"))?)?;
    let message = bytes(v, &at("config_message"))?;
    same("hash", &blake2b_256(&[&message]), &array(v, &at("config_hash"))?)?;

    let theirs = bytes(v, &at("push_message"))?;
    let inner = bytes(v, &at("inner_encrypted"))?;
    let compressed = flag(v, &at("compressed"))?;
    same("their entry", &unwrap(kind, account, &theirs)?, &(push.seqno, inner.clone()))?;
    let (was_compressed, expanded) = decrypt(kind, account, &inner)?;
    same("compressed", &was_compressed, &compressed)?;
    same_bytes("their message", &expanded, &message)?;
    same("padded", &(inner.len() - config_encryption::OVERHEAD), &number(v, &at("padded_plaintext_len"))?)?;

    let [ours] = push.messages.as_slice() else { return Err("not one entry".to_owned()) };
    let (seqno, inner) = unwrap(kind, account, ours)?;
    same("seqno inside", &seqno, &push.seqno)?;
    let (is_compressed, expanded) = decrypt(kind, account, &inner)?;
    same_bytes("our message", &expanded, &message)?;
    if compressed {
        // Compressed bytes differ between versions of zstd.
        same("compressed", &is_compressed, &compressed)
    } else {
        same_bytes("our entry", ours, &theirs)
    }
}

/// The entry that a vector says was stored.
fn entry(v: &Value, path: &str) -> Checked<Vec<u8>> {
    bytes(v, &format!("{path}/push_message"))
}

/// Merges one entry, which has to be understood.
fn fetch(document: &mut Document, hash: &str, entry: &[u8]) -> Checked {
    let merged = document.merge([(hash, entry)], NOW);
    same("rejected", &merged.rejected, &vec![])?;
    same("understood", &merged.understood, &vec![hash.to_owned()])
}

/// A dump as the library wrote it before documents in parts.
fn older_dump(dump: &[u8]) -> Checked<Vec<u8>> {
    let mut reader = DictReader::new(dump).map_err(words)?;
    let mut writer = DictWriter::new();
    while let Some((key, raw)) = reader.next_raw().map_err(words)? {
        match key {
            b"(" => {
                let mut list = ListReader::new(raw).map_err(words)?;
                let hash = if list.is_empty() { b"" } else { list.bytes().map_err(words)? };
                holds("one hash", list.is_empty())?;
                writer.bytes(key, hash);
            }
            // Ours, of changed documents.
            b"on" | b"own" => {}
            _ => drop(writer.value(key, &conclave_proto::bt::Value::decode(raw).map_err(words)?).clone()),
        }
    }
    Ok(writer.finish())
}

fn check_dump(v: &Value, path: &str, document: &mut Document) -> Checked {
    same_bytes(path, &older_dump(&document.dump())?, &bytes(v, path)?)?;
    holds("nothing is to be kept after it was", !document.needs_dump())
}

/// Takes away what programs of the vectors' time did not write.
fn without_time(profile: &mut UserProfile) -> Checked {
    profile.put(&[b"t"], None).map(drop).map_err(words)
}

pub fn empty_profile(v: &Value) -> Checked {
    let account = secret(v, "in/ed25519_seed")?;
    let push = UserProfile::new(&account).push(NOW).map_err(words)?;
    same("seqno", &push.seqno, &int(v, "in/seqno")?)?;
    let [entry] = push.messages.as_slice() else { return Err("not one entry".to_owned()) };
    same_bytes("entry", entry, &bytes(v, "out/push_message")?)?;
    let (_, inner) = unwrap(Kind::UserProfile, &account, entry)?;
    same_bytes("inner", &inner, &bytes(v, "out/inner_encrypted")?)?;
    let padded = config_encryption::decrypt(&inner, &account.seed(), "UserProfile").map_err(words)?;
    same_bytes("padded", &padded, &bytes(v, "out/padded_plaintext")?)
}

pub fn received_profile(v: &Value) -> Checked {
    let account = secret(v, "in/ed25519_seed")?;
    let hash = text(v, "in/storage_hash")?;
    let encrypted = bytes(v, "in/encrypted_unwrapped_message")?;
    let message = bytes(v, "out/config_message")?;
    let (compressed, expanded) = decrypt(Kind::UserProfile, &account, &encrypted)?;
    same("compressed", &compressed, &flag(v, "out/compressed")?)?;
    same_bytes("message", &expanded, &message)?;

    let mut profile = UserProfile::new(&account);
    fetch(&mut profile, hash, &encrypted)?;
    same("name", profile.name().as_str(), text(v, "out/name")?)?;
    same("priority", &profile.note_to_self_priority(), &number(v, "out/nts_priority")?)?;
    check_dump(v, "out/dump_clean", &mut profile)?;

    // The device that wrote it.
    let mut writer = UserProfile::new(&account);
    writer.set_name(&profile.name(), NOW).map_err(words)?;
    writer.set_picture(profile.picture().as_ref(), NOW).map_err(words)?;
    writer.set_note_to_self_priority(profile.note_to_self_priority()).map_err(words)?;
    without_time(&mut writer)?;
    let push = writer.push(NOW).map_err(words)?;
    check_dump(v, "out/dump_waiting", &mut writer)?;
    let mut loaded = UserProfile::load(&account, &bytes(v, "out/dump_waiting")?).map_err(words)?;
    holds("still to be pushed", loaded.needs_push())?;
    same("push", &loaded.push(NOW).map_err(words)?, &push)?;
    loaded.confirm_pushed(push.seqno, [hash]);
    check_dump(v, "out/dump_clean", &mut loaded)
}

pub fn profile(v: &Value) -> Checked {
    let account = secret(v, "in/ed25519_seed")?;
    let mut profile = UserProfile::new(&account);
    profile.set_name(text(v, "in/edit1/name")?, NOW).map_err(words)?;
    let picture =
        Picture { url: text(v, "in/edit1/pic_url")?.to_owned(), key: array(v, "in/edit1/pic_key")? };
    profile.set_picture(Some(&picture), NOW).map_err(words)?;
    profile.set_note_to_self_priority(number(v, "in/edit1/nts_priority")?).map_err(words)?;
    profile.set_note_to_self_timer(number(v, "in/edit1/nts_expiry_s")?).map_err(words)?;
    profile.set_community_requests(Some(flag(v, "in/edit1/blinded_msgreqs")?), NOW).map_err(words)?;
    without_time(&mut profile)?;
    let push = profile.push(NOW).map_err(words)?;
    check_push(v, "out/push1", Kind::UserProfile, &account, &push)?;
    check_dump(v, "out/dump_waiting", &mut profile)?;
    profile.confirm_pushed(push.seqno, ["hash-one"]);
    check_dump(v, "out/dump_clean", &mut profile)?;

    let mut other = UserProfile::new(&account);
    fetch(&mut other, "hash-one", &entry(v, "out/push1")?)?;
    same("picture", &other.picture(), &Some(picture))?;
    same("timer", &other.note_to_self_timer(), &number(v, "in/edit1/nts_expiry_s")?)?;
    check_dump(v, "out/dump_clean", &mut other)?;

    same("picture", text(v, "in/edit2/pic_url")?, "")?;
    profile.set_name(text(v, "in/edit2/name")?, NOW).map_err(words)?;
    profile.set_picture(None, NOW).map_err(words)?;
    let requests = at(v, "in/edit2/blinded_msgreqs")?.as_bool();
    profile.set_community_requests(requests, NOW).map_err(words)?;
    without_time(&mut profile)?;
    check_dump(v, "out/dump_dirty", &mut profile)?;
    let dirty = UserProfile::load(&account, &bytes(v, "out/dump_dirty")?).map_err(words)?;
    holds("still to be pushed", dirty.needs_push() && dirty.data() == profile.data())?;
    let push = profile.push(NOW).map_err(words)?;
    check_push(v, "out/push2", Kind::UserProfile, &account, &push)?;
    profile.confirm_pushed(push.seqno, ["hash-two"]);
    check_dump(v, "out/dump_final", &mut profile)?;

    fetch(&mut other, "hash-two", &entry(v, "out/push2")?)?;
    same("name", other.name().as_str(), text(v, "in/edit2/name")?)?;
    same("obsolete", &other.push(NOW).map_err(words)?.obsolete, &vec!["hash-one".to_owned()])
}

fn notify(number: i64) -> Checked<Notify> {
    [Notify::Default, Notify::All, Notify::Nothing, Notify::Mentions]
        .get(usize::try_from(number).map_err(words)?)
        .copied()
        .ok_or_else(|| format!("nobody knows notification {number}"))
}

fn contact(v: &Value) -> Checked<Contact> {
    let url = text(v, "pic_url")?;
    let timer = number(v, "exp_timer_s")?;
    Ok(Contact {
        name: text(v, "name")?.to_owned(),
        nickname: text(v, "nickname")?.to_owned(),
        picture: match url {
            "" => None,
            url => Some(Picture { url: url.to_owned(), key: array(v, "pic_key")? }),
        },
        approved: flag(v, "approved")?,
        approved_me: flag(v, "approved_me")?,
        blocked: flag(v, "blocked")?,
        notify: notify(int(v, "notifications")?)?,
        muted_until: seconds(v, "mute_until")?,
        priority: number(v, "priority")?,
        expiration: match int(v, "exp_mode")? {
            0 => Expiration::Off,
            1 => Expiration::AfterSend(timer),
            2 => Expiration::AfterRead(timer),
            other => return Err(format!("nobody knows expiration {other}")),
        },
        created: seconds(v, "created")?,
        ..Contact::default()
    })
}

pub fn contacts(v: &Value) -> Checked {
    let account = secret(v, "in/ed25519_seed")?;
    let mut contacts = Contacts::new(&account);
    let mut expected = Vec::new();
    for given in list(v, "in/contacts")? {
        let (id, mut contact) = (id(given, "session_id")?, contact(given)?);
        contacts.set_contact(&id, &contact).map_err(words)?;
        if contact.notify == Notify::Mentions {
            contact.notify = Notify::All;
        }
        expected.push((id, contact));
    }
    expected.sort_by_key(|(id, _)| *id);
    let push = contacts.push(NOW).map_err(words)?;
    check_push(v, "out/push1", Kind::Contacts, &account, &push)?;
    contacts.confirm_pushed(push.seqno, ["ch1"]);
    let mut other = Contacts::new(&account);
    fetch(&mut other, "ch1", &entry(v, "out/push1")?)?;
    same("contacts", &other.contacts().collect::<Vec<_>>(), &expected)?;

    holds("erased", contacts.remove_contact(&id(v, "in/edit2/erase")?).map_err(words)?)?;
    let clear_nickname = flag(v, "in/edit2/clear_nickname")?;
    let approved = flag(v, "in/edit2/approved_set_to")?;
    same("expiration", &int(v, "in/edit2/exp_mode")?, &0)?;
    let change = |contact: &mut Contact| {
        if clear_nickname {
            contact.nickname.clear();
        }
        contact.approved = approved;
        contact.expiration = Expiration::Off;
    };
    contacts.update_contact(&id(v, "in/edit2/modify")?, change).map_err(words)?;
    let push = contacts.push(NOW).map_err(words)?;
    check_push(v, "out/push2", Kind::Contacts, &account, &push)?;
    fetch(&mut other, "ch2", &entry(v, "out/push2")?)?;
    holds("same on both", other.data() == contacts.data())
}

pub fn conversations(v: &Value) -> Checked {
    let account = secret(v, "in/ed25519_seed")?;
    let mut conversations = Conversations::new(&account);
    let mut expected = Vec::new();
    for given in list(v, "in/convos")? {
        let state =
            ReadState { last_read: Timestamp(number(given, "last_read")?), unread: flag(given, "unread")? };
        let conversation = match text(given, "type")? {
            "1to1" => ConversationId::Account(id(given, "id")?),
            "group" => ConversationId::Group(id(given, "id")?),
            "legacy_group" => ConversationId::LegacyGroup(id(given, "id")?),
            "community" => {
                let server = text(given, "base_url_canonical")?.to_owned();
                conversations.set_server_key(&server, &array(given, "pubkey")?).map_err(words)?;
                let room = text(given, "room_given")?.to_owned();
                same("room", room.to_ascii_lowercase().as_str(), text(given, "room_normalized")?)?;
                ConversationId::Community { server, room }
            }
            other => return Err(format!("nobody knows {other:?}")),
        };
        conversations.set_read_state(&conversation, state, NOW).map_err(words)?;
        expected.push((conversation, state));
    }
    for given in list(v, "in/convos")?.iter().filter(|given| given.get("pubkey").is_some()) {
        let path: [&[u8]; 3] = [b"o", text(given, "base_url_canonical")?.as_bytes(), b"#"];
        let key = bytes(given, "pubkey")?;
        same("server key", &conversations.data().at(&path), &Some(&key.into()))?;
    }
    let push = conversations.push(NOW).map_err(words)?;
    check_push(v, "out/push1", Kind::Conversations, &account, &push)?;
    let mut other = Conversations::new(&account);
    fetch(&mut other, "h", &entry(v, "out/push1")?)?;
    same("all", &other.read_states().count(), &expected.len())?;
    for (conversation, state) in expected {
        same("read state", &other.read_state(&conversation), &Some(state))?;
    }
    Ok(())
}

fn standing(v: &Value) -> Checked<Standing> {
    // What is not said is not set.
    let or_zero = |key: &str| if v.get(key).is_some() { int(v, key) } else { Ok(0) };
    let time = |key: &str| if v.get(key).is_some() { seconds(v, key) } else { Ok(None) };
    Ok(Standing {
        notify: notify(or_zero("notifications")?)?,
        muted_until: time("mute_until")?,
        priority: or_zero("priority")?.try_into().map_err(words)?,
        joined: time("joined_at")?,
        invited: if v.get("invited").is_some() { flag(v, "invited")? } else { false },
    })
}

fn group(v: &Value, access: Access) -> Checked<Group> {
    let name = if v.get("name").is_some() { text(v, "name")? } else { "" };
    Ok(Group { access, name: name.to_owned(), standing: standing(v)? })
}

fn legacy_group(v: &Value) -> Checked<LegacyGroup> {
    let ids = |admins: bool| -> Checked<BTreeSet<AccountId>> {
        let mut found = BTreeSet::new();
        for member in list(v, "members")? {
            if flag(member, "admin")? == admins {
                found.insert(id(member, "id")?);
            }
        }
        Ok(found)
    };
    Ok(LegacyGroup {
        name: text(v, "name")?.to_owned(),
        keys: Some((array(v, "enc_pubkey")?, Zeroizing::new(array(v, "enc_seckey")?))),
        members: ids(false)?,
        admins: ids(true)?,
        timer: number(v, "disappearing_s")?,
        standing: standing(v)?,
    })
}

/// What another device has to find.
type Expectation = Box<dyn Fn(&UserGroups) -> Checked>;

pub fn user_groups(v: &Value) -> Checked {
    let account = secret(v, "in/ed25519_seed")?;
    let mut groups = UserGroups::new(&account);
    let mut expected: Vec<Expectation> = Vec::new();
    for given in list(v, "in/groups")? {
        let access = match text(given, "type")? {
            "community" => {
                let community = Community {
                    server: text(given, "url_given")?.to_owned(),
                    public_key: array(given, "pubkey")?,
                    room: text(given, "room")?.to_owned(),
                    standing: standing(given)?,
                };
                groups.set_community(&community).map_err(words)?;
                let server = text(given, "base_url_canonical")?.to_owned();
                let url = conclave_proto::community_url::CommunityUrl::parse(text(given, "full_url")?)
                    .map_err(words)?;
                same(
                    "url",
                    &(url.server(), url.room, url.public_key),
                    &(server.clone(), community.room.clone(), community.public_key),
                )?;
                expected.push(Box::new(move |groups| {
                    let community = Community { server: server.clone(), ..community.clone() };
                    same("community", &groups.communities().collect::<Vec<_>>(), &vec![community])
                }));
                continue;
            }
            "legacy_group" => {
                let (id, group) = (id(given, "id")?, legacy_group(given)?);
                groups.set_legacy_group(&id, &group).map_err(words)?;
                expected.push(Box::new(move |groups| {
                    same("group", &groups.legacy_group(&id), &Some(group.clone()))
                }));
                continue;
            }
            "group_admin" => Access::Admin(Zeroizing::new(array(given, "seed")?)),
            "group_member" => Access::Member(Zeroizing::new(array(given, "auth_data")?)),
            "group_kicked" => Access::Kicked,
            "group_destroyed" => Access::Destroyed,
            other => return Err(format!("nobody knows {other:?}")),
        };
        let (id, group) = (id(given, "id")?, group(given, access)?);
        groups.set_group(&id, &group).map_err(words)?;
        expected.push(Box::new(move |groups| same("group", &groups.group(&id), &Some(group.clone()))));
    }
    let push = groups.push(NOW).map_err(words)?;
    check_push(v, "out/push1", Kind::UserGroups, &account, &push)?;
    let mut other = UserGroups::new(&account);
    fetch(&mut other, "h", &entry(v, "out/push1")?)?;
    expected.iter().try_for_each(|check| check(&other))
}

/// A device that has the common version and changed it to what its push says.
fn device(v: &Value, account: &Ed25519Secret, path: &str) -> Checked<(Contacts, String)> {
    let mut contacts = Contacts::new(account);
    fetch(&mut contacts, text(v, "in/common/hash")?, &entry(v, "in/common/push")?)?;
    let common = contacts.push(NOW).map_err(words)?;
    check_push(v, "in/common/push", Kind::Contacts, account, &common)?;
    let message = bytes(v, &format!("in/{path}/push/config_message"))?;
    let data = Message::parse(&message, None).map_err(words)?.data().clone();
    contacts.put(&[b"c"], data.value("c").cloned()).map_err(words)?;
    let push = contacts.push(NOW).map_err(words)?;
    check_push(v, &format!("in/{path}/push"), Kind::Contacts, account, &push)?;
    let hash = text(v, &format!("in/{path}/hash"))?.to_owned();
    contacts.confirm_pushed(push.seqno, [hash.as_str()]);
    same("current", &contacts.current_hashes().collect::<Vec<_>>(), &vec![hash.as_str()])?;
    Ok((contacts, hash))
}

pub fn conflict(v: &Value) -> Checked {
    let account = secret(v, "in/ed25519_seed")?;
    let (mut a, hash_a) = device(v, &account, "A")?;
    let (mut b, hash_b) = device(v, &account, "B")?;
    let entries = [
        (text(v, "in/common/hash")?, entry(v, "in/common/push")?),
        (&*hash_a, entry(v, "in/A/push")?),
        (&*hash_b, entry(v, "in/B/push")?),
    ];
    let mut pushes = Vec::new();
    for (name, device, theirs) in [("A", &mut a, 2), ("B", &mut b, 1)] {
        let (hash, entry) = &entries[theirs];
        let merged = device.merge([(*hash, entry.as_slice())], NOW);
        same("understood", &merged.understood, &texts(v, &format!("out/{name}_good"))?)?;
        same("needs push", &device.needs_push(), &flag(v, &format!("out/{name}_needs_push"))?)?;
        let push = device.push(NOW).map_err(words)?;
        check_push(v, &format!("out/{name}_push"), Kind::Contacts, &account, &push)?;
        pushes.push(push);
    }
    same("identical", &(pushes[0].messages == pushes[1].messages), &flag(v, "out/identical")?)?;

    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut fresh = Contacts::new(&account);
        let mut merged =
            fresh.merge(order.map(|at| (entries[at].0, entries[at].1.as_slice())), NOW).understood;
        merged.sort();
        same("understood", &merged, &texts(v, "out/fresh_device_good")?)?;
        same("needs push", &fresh.needs_push(), &flag(v, "out/fresh_device_needs_push")?)?;
        let push = fresh.push(NOW).map_err(words)?;
        check_push(v, "out/fresh_device_push", Kind::Contacts, &account, &push)?;
    }

    let merged = a.merge([("h3", pushes[1].messages[0].as_slice())], NOW);
    same("understood", &merged.understood, &texts(v, "out/A_after_h3_good")?)?;
    same("needs push", &a.needs_push(), &flag(v, "out/A_after_h3_needs_push")?)?;
    let current: Vec<_> = a.current_hashes().map(str::to_owned).collect();
    same("current", &current, &texts(v, "out/A_after_h3_current_hashes")?)
}

pub fn multipart(v: &Value) -> Checked {
    let account = secret(v, "in/ed25519_seed")?;
    let plains = all_bytes(v, "in/part_plaintexts")?;
    let entries = all_bytes(v, "in/part_messages_encrypted")?;
    same("parts", &plains.len(), &entries.len())?;
    let mut whole = Vec::new();
    let hash: [u8; 32] = array(v, "out/recombined_hash")?;
    for (index, (plain, entry)) in plains.iter().zip(&entries).enumerate() {
        same_bytes("part", entry, &config_encryption::encrypt(plain, &account.seed(), "Contacts"))?;
        let list = padding::strip_zeros(plain.strip_prefix(b"m").ok_or("no part")?);
        let mut list = ListReader::new(list).map_err(words)?;
        same("whole", list.bytes().map_err(words)?, hash.as_slice())?;
        same("index", list.bytes().map_err(words)?, [index as u8].as_slice())?;
        same("count", list.bytes().map_err(words)?, [plains.len() as u8].as_slice())?;
        whole.extend(list.bytes().map_err(words)?);
    }
    same_bytes("whole", &whole, &bytes(v, "out/recombined_padded")?)?;
    same("hash", &blake2b_256(&[&whole]), &hash)?;

    let message = Message::parse(&bytes(v, "out/config_message")?, None).map_err(words)?;
    let names: Vec<String> = (0..entries.len()).map(|at| format!("part{at}")).collect();
    let mut order: Vec<usize> = (0..entries.len()).collect();
    for _ in 0..2 {
        let mut contacts = Contacts::new(&account);
        for (turn, at) in order.iter().enumerate() {
            fetch(&mut contacts, &names[*at], &entries[*at])?;
            same("active", &contacts.active_hashes().len(), &(turn + 1))?;
            // Halfway there is a restart.
            contacts = Contacts::load(&account, &contacts.dump()).map_err(words)?;
        }
        same_bytes("data", &contacts.data().encode(), &message.data().encode())?;
        same("seqno", &contacts.seqno(), &message.version().seqno)?;
        same(
            "current",
            &contacts.current_hashes().collect::<Vec<_>>(),
            &names.iter().map(String::as_str).collect(),
        )?;
        order.reverse();
    }
    Ok(())
}
