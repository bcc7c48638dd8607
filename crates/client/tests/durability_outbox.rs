//! Every act of the outbox under power cuts at any write: what was acknowledged is there, what waits is there in all its
//! copies, and nothing waits twice, neither under its id nor under another. `CONCLAVE_LONG=1` tries thousands of cuts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use conclave_client::said::{Heard, Post, Said};
use conclave_client::store::{
    ClientStore, Copy, DatabaseKey, Deletion, DueCopy, Meta, Opened, Others, OutgoingMessage, ReceivedBatch,
    ReceivedItem, RowKind, StoreError, StoreOptions, StoredCopy,
};
use conclave_client::types::{MessageId, MessageState};
use conclave_crypto::{Account, AccountId, Ed25519Secret, RecoveryPhrase, RngCore as _};
use conclave_proto::content::Content;
use conclave_proto::{Namespace, Timestamp};
use conclave_testkit::crashfs::CrashFs;
use conclave_testkit::durability::{self, Life, Report};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const LATER: Timestamp = Timestamp(1_700_000_100_000);
const EXPIRY: Timestamp = Timestamp(1_701_000_000_000);
/// Messages of one received batch.
const BATCH: u64 = 3;
/// Acts in one life.
const STEPS: u64 = 16;
/// Disk operations of a life, roughly.
const WORK: u64 = 400;
const REACTIONS: [&str; 4] = ["🦀", "👍", "😀", "🎉"];

/// What the store has said it did. What begins with `May` comes before an act that ends something: from there on it may be
/// so, whether or not that is acknowledged.
#[derive(Clone, Debug)]
enum Acknowledged {
    Queued(MessageId, Timestamp),
    Edited(MessageId, String),
    Reacted(MessageId, &'static str),
    Attempted(MessageId, u32),
    MayEnd(MessageId),
    Stored(MessageId),
    OwnStored(MessageId, String),
    Failed(MessageId),
    Deleted(MessageId, Option<String>),
    MayTell(u64),
    Heard(u64),
    Pushed(Namespace, i64),
    MayDo(String),
    Did(String),
}

fn person(byte: u8) -> AccountId {
    *Account::from_phrase(&RecoveryPhrase::from_seed16(&[byte; 16])).id()
}

fn open(fs: &CrashFs, synced: bool) -> Result<ClientStore, StoreError> {
    let mut options = StoreOptions::new(fs.path("database.sqlite"));
    options.vfs = Some(fs.vfs_name().to_owned());
    options.synced = synced;
    ClientStore::open(&options, &DatabaseKey::from_bytes([3; 32]))
}

fn received_at(batch: u64, n: u64) -> Timestamp {
    Timestamp(NOW.0 + batch * BATCH + n)
}

/// Messages whose author wants to be told that they arrived.
fn batch(number: u64) -> ReceivedBatch {
    let items = (0..BATCH).map(|n| ReceivedItem {
        hash: format!("{number}/{n}"),
        stored_at: NOW,
        expires_at: EXPIRY,
        content: Opened::Heard(Heard {
            author: person(4),
            sent_at: received_at(number, n),
            sync_target: None,
            said: Said::Post(Post { text: format!("received {number} {n}"), ..Post::default() }),
            expiration: Default::default(),
            profile: None,
            wants_delivered: true,
            content: vec![7; 100],
        }),
    });
    ReceivedBatch {
        snode: Ed25519Secret::from_seed(&[9; 32]).public(),
        account: person(1),
        namespace: Namespace::DIRECT,
        last_hash: None,
        items: items.collect(),
    }
}

/// Uses the outbox until the power goes or enough is done.
fn live(life: &mut Life<'_>, synced: bool) -> Vec<Acknowledged> {
    let mut done = Vec::new();
    // Whatever fails ends the life; what was said before counts.
    let _ = live_until_an_error(life, synced, &mut done);
    done
}

fn live_until_an_error(
    life: &mut Life<'_>,
    synced: bool,
    done: &mut Vec<Acknowledged>,
) -> Result<(), StoreError> {
    let store = open(life.fs, synced)?;
    match store.set_account(&RecoveryPhrase::from_seed16(&[1; 16]), "Alice") {
        Ok(_) | Err(StoreError::AccountExists) => {}
        Err(error) => return Err(error),
    }
    // Receipts go to contacts only, and for what came since the account was here.
    store.set_meta(Meta::NewAccount, b"1")?;
    store.introduce(&person(4), "Dan", NOW)?;
    store.accept(&person(4), NOW)?;
    let mut waiting: Vec<MessageId> = Vec::new();
    for step in 0..STEPS {
        let name = format!("{} {step}", life.number);
        let pick = (!waiting.is_empty()).then(|| life.rng.next_u32() as usize % waiting.len());
        let act = life.rng.next_u32() % 12;
        let Some(pick) = pick.filter(|_| act > 1) else {
            let (row, _) = store.enqueue(&OutgoingMessage::text(person(2), format!("sent {name}")), NOW)?;
            done.push(Acknowledged::Queued(row.id.clone(), row.sent_at));
            waiting.push(row.id);
            continue;
        };
        let id = waiting[pick].clone();
        match act {
            2 => {
                let text = format!("edit {name}");
                store.edit(&id, &text, NOW)?;
                done.push(Acknowledged::Edited(id, text));
            }
            3 => {
                let emoji = REACTIONS[step as usize % REACTIONS.len()];
                store.react(&id, emoji, false, NOW)?;
                done.push(Acknowledged::Reacted(id, emoji));
            }
            4 => {
                let attempts = store.due(EXPIRY, 1_000, 1_000)?;
                let attempts = attempts.iter().find(|due| due.id == id && due.copy == Copy::Recipient);
                let attempts = attempts.map_or(0, |due| due.attempts) + 1;
                store.record_attempt(&id, Copy::Recipient, "nobody is there", LATER, Others::WaitToo)?;
                done.push(Acknowledged::Attempted(id, attempts));
            }
            5 => {
                let hash = format!("own {id}");
                let stored = StoredCopy { signed: 5, swarm: 5, hash: &hash, expires_at: EXPIRY };
                store.mark_stored(&id, Copy::OwnSync, &stored, NOW)?;
                done.push(Acknowledged::OwnStored(id, hash));
            }
            6 => {
                waiting.remove(pick);
                done.push(Acknowledged::MayEnd(id.clone()));
                let stored = StoredCopy { signed: 3, swarm: 5, hash: "theirs", expires_at: EXPIRY };
                store.mark_stored(&id, Copy::Recipient, &stored, NOW)?;
                done.push(Acknowledged::Stored(id));
            }
            7 => {
                waiting.remove(pick);
                done.push(Acknowledged::MayEnd(id.clone()));
                store.mark_failed(&id, Copy::Recipient, "nobody wants it", NOW)?;
                done.push(Acknowledged::Failed(id));
            }
            8 => {
                waiting.remove(pick);
                done.push(Acknowledged::MayEnd(id.clone()));
                let own_hash = store.message(&id)?.and_then(|row| row.own_hash);
                store.delete(&id, Deletion::Everywhere, NOW)?;
                done.push(Acknowledged::Deleted(id, own_hash));
            }
            9 => {
                let number = u64::from(life.number) * 1_000 + step;
                done.push(Acknowledged::MayTell(number));
                store.insert_received(&batch(number), LATER)?;
                done.push(Acknowledged::Heard(number));
                // Within the day in which texts can be edited: what is said later has a later time.
                store.queue_receipts(Timestamp(LATER.0 + 60_000))?;
            }
            10 => {
                store.introduce(&person(9), &name, NOW)?;
                for push in store.document_pushes(NOW)? {
                    let (namespace, seqno) = (push.namespace, push.seqno);
                    store.documents_stored(&[(namespace, seqno, vec![format!("{seqno}")])], NOW)?;
                    done.push(Acknowledged::Pushed(namespace, seqno));
                }
            }
            _ => {
                let tasks = store.own_swarm_tasks(EXPIRY, 50)?;
                let failed = life.rng.next_u32().is_multiple_of(2);
                if failed {
                    store.own_swarm_failed(&tasks, LATER, 40)?;
                    continue;
                }
                done.extend(tasks.iter().map(|task| Acknowledged::MayDo(task.hash.clone())));
                store.own_swarm_did(&tasks)?;
                done.extend(tasks.into_iter().map(|task| Acknowledged::Did(task.hash)));
            }
        }
    }
    Ok(())
}

/// What is known of one message.
#[derive(Default)]
struct Known {
    sent_at: Timestamp,
    edit: Option<String>,
    reactions: BTreeSet<&'static str>,
    attempts: u32,
    may_have_ended: bool,
    own_hash: Option<String>,
    end: Option<End>,
}

#[derive(PartialEq, Eq)]
enum End {
    Stored,
    Failed,
    Deleted,
}

fn check(fs: &CrashFs, done: &[Acknowledged]) -> Result<(), String> {
    let fail = |error: StoreError| format!("{error}: {error:?}");
    let store = open(fs, true).map_err(fail)?;
    store.check().map_err(fail)?;
    if done.is_empty() {
        return Ok(());
    }
    let mut known: BTreeMap<MessageId, Known> = BTreeMap::new();
    let (mut heard, mut maybe_told) = (BTreeSet::new(), BTreeSet::new());
    let (mut pushed, mut tasks, mut did) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    for one in done.iter().cloned() {
        match one {
            Acknowledged::Queued(id, sent_at) => known.entry(id).or_default().sent_at = sent_at,
            Acknowledged::Edited(id, text) => known.entry(id).or_default().edit = Some(text),
            Acknowledged::Reacted(id, emoji) => drop(known.entry(id).or_default().reactions.insert(emoji)),
            Acknowledged::Attempted(id, attempts) => known.entry(id).or_default().attempts = attempts,
            Acknowledged::MayEnd(id) => known.entry(id).or_default().may_have_ended = true,
            Acknowledged::Stored(id) => known.entry(id).or_default().end = Some(End::Stored),
            Acknowledged::Failed(id) => known.entry(id).or_default().end = Some(End::Failed),
            Acknowledged::OwnStored(id, hash) => known.entry(id).or_default().own_hash = Some(hash),
            Acknowledged::Deleted(id, hash) => {
                known.entry(id).or_default().end = Some(End::Deleted);
                tasks.extend(hash);
            }
            Acknowledged::MayTell(number) => drop(maybe_told.insert(number)),
            Acknowledged::Heard(number) => drop(heard.insert(number)),
            Acknowledged::Pushed(namespace, seqno) => drop(pushed.insert(namespace, seqno)),
            Acknowledged::MayDo(hash) => drop(tasks.remove(&hash)),
            Acknowledged::Did(hash) => drop(did.insert(hash)),
        }
    }
    // What was owed is owed still, or said: now it is said.
    store.queue_receipts(EXPIRY).map_err(fail)?;
    let due = store.due(EXPIRY, 1_000, 1_000).map_err(fail)?;
    once_each(&due)?;
    for (id, known) in &known {
        let row = store.message(id).map_err(fail)?.ok_or_else(|| format!("{id} is gone"))?;
        one_message(id, known, &row, &due)?;
    }
    receipts(&due, &heard, &maybe_told)?;

    for push in store.document_pushes(NOW).map_err(fail)? {
        if pushed.get(&push.namespace).is_some_and(|seqno| push.seqno <= *seqno) {
            return Err(format!("{:?} is pushed again", push.namespace));
        }
    }
    let waiting: BTreeSet<String> =
        store.own_swarm_tasks(EXPIRY, 1_000).map_err(fail)?.into_iter().map(|task| task.hash).collect();
    if let Some(again) = waiting.intersection(&did).next() {
        return Err(format!("{again} is deleted in the swarm again"));
    }
    if let Some(lost) = tasks.difference(&waiting).next() {
        return Err(format!("{lost} is never deleted in the swarm"));
    }
    Ok(())
}

fn one_message(
    id: &MessageId,
    known: &Known,
    row: &conclave_client::store::MessageRow,
    due: &[DueCopy],
) -> Result<(), String> {
    let waits = |copy: Copy| due.iter().find(|due| due.id == *id && due.copy == copy);
    if row.sent_at != known.sent_at {
        return Err(format!("{id} has another sent timestamp"));
    }
    if row.kind == RowKind::Post {
        // A later edit may have been made without having been said.
        if known.edit.is_some() && !row.text.starts_with("edit ") {
            return Err(format!("{id} has lost its edit: {}", row.text));
        }
        let reactions: BTreeSet<&str> = row.reactions.iter().map(|one| one.emoji.as_str()).collect();
        if !known.reactions.is_subset(&reactions) {
            return Err(format!("{id} has lost a reaction"));
        }
    } else if !known.may_have_ended {
        return Err(format!("{id} was deleted by nobody"));
    }
    let state = row.state.ok_or_else(|| format!("{id} has no state"))?;
    match known.end {
        _ if known.end.is_none() && known.may_have_ended => {}
        None => {
            let recipient = waits(Copy::Recipient).ok_or_else(|| format!("{id} waits no more"))?;
            if recipient.attempts < known.attempts {
                return Err(format!("{id} has forgotten attempts"));
            }
            if waits(Copy::OwnSync).is_none() && row.own_hash.is_none() {
                return Err(format!("the copy of {id} for other devices is lost"));
            }
        }
        Some(End::Stored) if state < MessageState::Stored || waits(Copy::Recipient).is_some() => {
            return Err(format!("{id} was stored and is {state:?}"));
        }
        Some(End::Failed)
            if state != MessageState::Failed || waits(Copy::Recipient).or(waits(Copy::OwnSync)).is_some() =>
        {
            return Err(format!("{id} has failed and is {state:?}"));
        }
        Some(End::Deleted)
            if row.kind == RowKind::Post || waits(Copy::Recipient).or(waits(Copy::OwnSync)).is_some() =>
        {
            return Err(format!("{id} was deleted and is not"));
        }
        Some(_) => {}
    }
    if let Some(hash) = &known.own_hash
        && known.end != Some(End::Deleted)
        && row.kind == RowKind::Post
        && (waits(Copy::OwnSync).is_some() || row.own_hash.as_ref() != Some(hash))
    {
        return Err(format!("the copy of {id} for other devices waits again"));
    }
    Ok(())
}

/// Nothing waits twice: no text, no edit, no deletion, no reaction; each has the id that belongs to its time.
fn once_each(due: &[DueCopy]) -> Result<(), String> {
    for copy in [Copy::Recipient, Copy::OwnSync] {
        let (mut times, mut said) = (BTreeSet::new(), BTreeSet::new());
        for due in due.iter().filter(|due| due.copy == copy) {
            if due.id != MessageId::of(&person(1), due.sent_at) {
                return Err(format!("{} has an id that is not that of its time", due.id));
            }
            let content = Content::from_bytes(&due.content).map_err(|error| error.to_string())?;
            if content.sig_timestamp != Some(due.sent_at.0) {
                return Err(format!("{} says another time inside", due.id));
            }
            let what = match (&content.data_message, &content.unsend_request) {
                (Some(data), _) => match &data.reaction {
                    // The same reaction may be given twice.
                    Some(_) => format!("{}", due.id),
                    None => format!("text {:?}", data.body),
                },
                (_, Some(unsend)) => format!("unsend {}", unsend.timestamp),
                _ => format!("{}", due.id),
            };
            if !times.insert(due.sent_at) || !said.insert(what.clone()) {
                return Err(format!("{what} waits twice"));
            }
        }
    }
    Ok(())
}

/// Whoever wants to be told that a message arrived is told once.
fn receipts(due: &[DueCopy], heard: &BTreeSet<u64>, maybe: &BTreeSet<u64>) -> Result<(), String> {
    let mut told = BTreeSet::new();
    for due in due.iter().filter(|due| due.recipient == person(4)) {
        let content = Content::from_bytes(&due.content).map_err(|error| error.to_string())?;
        for at in content.receipt_message.map(|receipt| receipt.timestamp).unwrap_or_default() {
            if !told.insert(at) {
                return Err(format!("the message of {at} is acknowledged twice"));
            }
        }
    }
    let of = |batches: &BTreeSet<u64>| -> BTreeSet<u64> {
        batches.iter().flat_map(|number| (0..BATCH).map(|n| received_at(*number, n).0)).collect()
    };
    if let Some(at) = of(heard).difference(&told).next() {
        return Err(format!("the message of {at} is never acknowledged"));
    }
    match told.difference(&of(maybe)).next() {
        Some(at) => Err(format!("the message of {at} was acknowledged, and nobody has it")),
        None => Ok(()),
    }
}

fn cut_the_power(synced: bool) -> Report {
    durability::run(durability::seeds(), WORK, |life| live(life, synced), check)
}

#[test]
fn a_power_cut_at_any_write_of_the_outbox_loses_nothing_and_doubles_nothing() {
    let report = cut_the_power(true);
    report.expect_nothing_lost();
}

#[test]
fn without_waiting_for_the_disk_what_the_outbox_acknowledged_is_lost() {
    // The control: the scenario above can fail.
    let report = cut_the_power(false);
    assert!(!report.lost.is_empty(), "{report:?}");
}

#[test]
fn the_power_is_cut_anywhere_in_a_life() {
    for seed in 0..20 {
        let fs = CrashFs::new(seed);
        let rng = conclave_testkit::rng(seed);
        live(&mut Life { seed, number: 0, fs: &fs, rng }, true);
        let writes = fs.write_count();
        assert!(writes < 2 * WORK && WORK < 2 * writes, "a life is {writes} writes, not {WORK}");
    }
}
