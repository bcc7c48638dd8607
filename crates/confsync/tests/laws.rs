//! What holds of merges and documents whatever is in them and in whatever order things happen.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use conclave_confsync::data::{Dict, Scalar, Value};
use conclave_confsync::diff::Diff;
use conclave_confsync::merge::{Outcome, merge};
use conclave_confsync::message::Message;
use conclave_confsync::{Contact, Contacts, Document};
use conclave_crypto::hash::blake2b_256;
use conclave_crypto::{AccountId, Ed25519Secret, IdPrefix};
use conclave_proto::{MessageHash, Namespace, Timestamp};
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![(-3i64..4).prop_map(Scalar::Int), "[ab]{0,2}".prop_map(|text| text.as_str().into())]
}

fn value(depth: u32) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        scalar().prop_map(Value::Scalar),
        prop::collection::btree_set(scalar(), 1..4).prop_map(Value::Set),
    ];
    if depth == 0 {
        leaf.boxed()
    } else {
        prop_oneof![2 => leaf, 1 => dict(depth - 1, 1).prop_map(Value::Dict)].boxed()
    }
}

fn dict(depth: u32, least: usize) -> impl Strategy<Value = Dict> {
    prop::collection::btree_map("[a-d]", value(depth), least..4).prop_map(|entries| {
        let mut dict = Dict::new();
        for (key, value) in entries {
            dict.insert(key, value);
        }
        dict
    })
}

/// A change: set or remove what is at the end of a path.
fn change() -> impl Strategy<Value = (Vec<String>, Option<Value>)> {
    (prop::collection::vec("[a-d]", 1..4), prop::option::weighted(0.7, value(2)))
}

fn apply(data: &mut Dict, (path, value): &(Vec<String>, Option<Value>)) {
    let path: Vec<&[u8]> = path.iter().map(String::as_bytes).collect();
    data.put(&path, value.clone());
}

/// Some devices' messages: each follows one that was there, or is made of two.
fn history() -> impl Strategy<Value = Vec<Message>> {
    let step =
        (any::<Index>(), any::<Index>(), prop::bool::weighted(0.3), prop::collection::vec(change(), 0..3));
    prop::collection::vec(step, 1..9).prop_map(|steps| {
        let mut messages = vec![Message::empty().next().finish(None)];
        for (from, other, merges, changes) in steps {
            let (from, other) = (from.get(&messages), other.get(&messages));
            let mut draft = match merge(&[from, other], true) {
                Some(Outcome::Merged(draft)) if merges => draft,
                _ => from.next(),
            };
            changes.iter().for_each(|change| apply(draft.data_mut(), change));
            messages.push(draft.finish(None));
        }
        messages
    })
}

/// What comes of messages, whether one of them or a new one.
fn result(messages: &[&Message]) -> Message {
    match merge(messages, true).unwrap() {
        Outcome::Adopted(place) => messages[place].clone(),
        Outcome::Merged(draft) => draft.finish(None),
    }
}

proptest! {
    #[test]
    fn data_reads_as_it_is_written(data in dict(3, 0)) {
        prop_assert_eq!(Dict::decode(&data.encode()).unwrap(), data);
    }

    #[test]
    fn a_diff_leads_from_one_to_the_other_and_says_nothing_more(old in dict(3, 0), new in dict(3, 0)) {
        let diff = Diff::between(&old, &new);
        prop_assert_eq!(Diff::decode(&diff.encode()).unwrap(), diff.clone());
        prop_assert_eq!(diff.is_empty(), old == new);
        let mut target = old.clone();
        diff.apply(&new, &mut target);
        // Written, since what became empty on the way is no part of a document.
        let mut draft = Message::empty().next();
        *draft.data_mut() = target;
        let written = draft.finish(None);
        prop_assert_eq!(written.data(), &new);
    }

    #[test]
    fn messages_read_as_they_are_written(messages in history()) {
        for message in messages {
            prop_assert_eq!(Message::parse(message.as_bytes(), None).unwrap(), message);
        }
    }

    #[test]
    fn merging_is_free_of_order_and_repetition(
        (messages, order) in history().prop_flat_map(|messages| {
            let twice: Vec<usize> = (0..messages.len()).chain(0..messages.len()).collect();
            (Just(messages), Just(twice).prop_shuffle())
        })
    ) {
        let given: Vec<&Message> = messages.iter().collect();
        let shuffled: Vec<&Message> = order.iter().map(|at| given[*at]).collect();
        prop_assert_eq!(result(&given), result(&shuffled));
    }

    #[test]
    fn what_has_been_merged_has_everything_in_it(
        (messages, some) in history().prop_flat_map(|messages| {
            let all: Vec<usize> = (0..messages.len()).collect();
            let count = 0..=messages.len();
            (Just(messages), subsequence(all, count))
        })
    ) {
        // With the result at hand, its ingredients change nothing: whoever merges, merges once.
        let merged = result(&messages.iter().collect::<Vec<_>>());
        let again: Vec<&Message> = some.iter().map(|at| &messages[*at]).chain([&merged]).collect();
        prop_assert_eq!(result(&again), merged);
    }

    #[test]
    fn changes_of_different_keys_all_survive(base in dict(2, 0), theirs in prop::collection::vec(change(), 1..6)) {
        let mut first = Message::empty().next();
        *first.data_mut() = base;
        let first = first.finish(None);
        // Each writer has a key of its own at the top.
        let mut expected = first.data().clone();
        let mut messages = vec![first.clone()];
        for (writer, (path, value)) in theirs.into_iter().enumerate() {
            let change = ([vec![format!("writer {writer}")], path].concat(), value);
            let mut draft = first.next();
            apply(draft.data_mut(), &change);
            apply(&mut expected, &change);
            messages.push(draft.finish(None));
        }
        let merged = result(&messages.iter().collect::<Vec<_>>());
        prop_assert_eq!(merged.data(), &expected);
    }

    #[test]
    fn of_changes_of_one_key_the_greatest_version_wins(values in prop::collection::btree_set("[a-z]{1,8}", 2..6)) {
        let first = Message::empty().next().finish(None);
        let messages: Vec<Message> = values
            .iter()
            .map(|value| {
                let mut draft = first.next();
                draft.data_mut().insert("key", value.as_str());
                draft.finish(None)
            })
            .collect();
        let greatest = messages.iter().max_by_key(|message| message.version()).unwrap();
        let merged = result(&messages.iter().collect::<Vec<_>>());
        prop_assert_eq!(merged.data(), greatest.data());
    }
}

/// The swarm of an account, as far as one namespace goes.
#[derive(Default)]
struct Swarm {
    entries: BTreeMap<String, Vec<u8>>,
    stores: usize,
    /// Whether a device has said that changes of its own were forgotten.
    told: Cell<bool>,
}

impl Swarm {
    fn store(&mut self, entry: &[u8]) -> String {
        let owner = AccountId::of_account(&account().public().to_x25519());
        let hash = MessageHash::of(&owner, Namespace::CONTACTS, entry).to_string();
        self.entries.insert(hash.clone(), entry.to_vec());
        self.stores += 1;
        hash
    }

    fn push(&mut self, document: &mut Document) {
        let push = document.push(NOW).unwrap();
        let hashes: Vec<String> = push.messages.iter().map(|entry| self.store(entry)).collect();
        for hash in &push.obsolete {
            assert!(!hashes.contains(hash), "what was just stored is deleted");
            self.entries.remove(hash);
        }
        document.confirm_pushed(push.seqno, hashes);
    }

    fn fetch(&self, document: &mut Document, backwards: bool) {
        let mut all: Vec<(&str, &[u8])> =
            self.entries.iter().map(|(hash, entry)| (hash.as_str(), entry.as_slice())).collect();
        if backwards {
            all.reverse();
        }
        let merged = document.merge(all, NOW);
        assert_eq!(merged.rejected, []);
        self.told.set(self.told.get() || merged.forgotten);
    }
}

fn account() -> Ed25519Secret {
    Ed25519Secret::from_seed(&[1; 32])
}

fn person(device: usize, number: usize) -> AccountId {
    AccountId::new(IdPrefix::Account, &[device as u8 * 50 + number as u8; 32])
}

/// Lets all devices fetch and push until nobody has anything to say; how many rounds that took.
fn settle(swarm: &mut Swarm, devices: &mut [Contacts]) -> usize {
    for round in 0.. {
        assert!(round < 2 * devices.len() + 2, "devices go on making new versions");
        let mut quiet = true;
        for device in devices.iter_mut() {
            swarm.fetch(device, round % 2 == 1);
            if device.needs_push() {
                swarm.push(device);
                quiet = false;
            }
        }
        if quiet {
            return round;
        }
    }
    unreachable!()
}

/// Two devices of an account that have both stored and fetched what there is: somebody, whom the first has met.
fn two_devices() -> (Swarm, [Contacts; 2]) {
    let mut swarm = Swarm::default();
    let mut devices = [Contacts::new(&account()), Contacts::new(&account())];
    devices[0].set_contact(&person(0, 0), &Contact::default()).unwrap();
    settle(&mut swarm, &mut devices);
    (swarm, devices)
}

/// What one device does in one round.
#[derive(Clone, Debug)]
struct Turn {
    /// Adds somebody.
    adds: bool,
    /// Gives a nickname to somebody, of whomever.
    renames: Option<Index>,
    /// Removes somebody of its own.
    removes: Option<Index>,
    /// How far the push comes.
    push: Pushed,
    /// Is closed and opened.
    restarts: bool,
    backwards: bool,
}

#[derive(Clone, Copy, Debug)]
enum Pushed {
    NotTried,
    /// The store does not arrive.
    Lost,
    /// The store arrives and the answer does not.
    AnswerLost,
    Done,
}

fn turn(removes: bool) -> impl Strategy<Value = Turn> {
    let push = prop_oneof![
        1 => Just(Pushed::NotTried),
        1 => Just(Pushed::Lost),
        1 => Just(Pushed::AnswerLost),
        3 => Just(Pushed::Done),
    ];
    let rare = || prop::option::weighted(0.2, any::<Index>());
    (any::<bool>(), rare(), rare(), push, prop::bool::weighted(0.2), any::<bool>()).prop_map(
        move |(adds, renames, removed, push, restarts, backwards)| Turn {
            adds,
            renames,
            removes: removed.filter(|_| removes),
            push,
            restarts,
            backwards,
        },
    )
}

fn rounds(devices: std::ops::Range<usize>, removes: bool) -> impl Strategy<Value = Vec<Vec<Turn>>> {
    devices.prop_flat_map(move |devices| {
        prop::collection::vec(prop::collection::vec(turn(removes), devices), 1..8)
    })
}

/// Plays the rounds; returns the swarm, the devices and who was added and never removed. With `in_step` all
/// devices fetch before each round; else only those that push in it.
fn play(rounds: &[Vec<Turn>], in_step: bool) -> (Swarm, Vec<Contacts>, BTreeSet<AccountId>) {
    let mut swarm = Swarm::default();
    let mut devices: Vec<Contacts> = rounds[0].iter().map(|_| Contacts::new(&account())).collect();
    let mut people = BTreeSet::new();
    for (number, round) in rounds.iter().enumerate() {
        for (device, turn) in devices.iter_mut().zip(round) {
            if in_step || matches!(turn.push, Pushed::Done) {
                swarm.fetch(device, turn.backwards);
            }
        }
        for (at, (device, turn)) in devices.iter_mut().zip(round).enumerate() {
            if turn.adds {
                let id = person(at, number);
                device
                    .set_contact(&id, &Contact { name: format!("{at} {number}"), ..Contact::default() })
                    .unwrap();
                people.insert(id);
            }
            let known: Vec<AccountId> = device.contacts().map(|(id, _)| id).collect();
            if let (Some(which), false) = (&turn.renames, known.is_empty()) {
                let nickname = format!("by {at} in {number}");
                device.update_contact(which.get(&known), |contact| contact.nickname = nickname).unwrap();
            }
            if let (Some(which), false) = (&turn.removes, known.is_empty()) {
                device.remove_contact(which.get(&known)).unwrap();
                people.remove(which.get(&known));
            }
            match turn.push {
                Pushed::NotTried => {}
                _ if !device.needs_push() => {}
                Pushed::Lost => drop(device.push(NOW).unwrap()),
                Pushed::AnswerLost => {
                    // One transaction at the swarm: stored, and with it deleted what was obsolete.
                    let push = device.push(NOW).unwrap();
                    let stored: Vec<String> = push.messages.iter().map(|entry| swarm.store(entry)).collect();
                    assert!(push.obsolete.iter().all(|hash| !stored.contains(hash)));
                    push.obsolete.iter().for_each(|hash| drop(swarm.entries.remove(hash)));
                }
                Pushed::Done => swarm.push(device),
            }
            if turn.restarts {
                let seqno = device.seqno();
                let pushes = device.needs_push();
                *device = Contacts::load(&account(), &device.dump()).unwrap();
                assert_eq!((device.seqno(), device.needs_push()), (seqno, pushes));
            }
        }
    }
    (swarm, devices, people)
}

fn check_agreement(swarm: &mut Swarm, devices: &mut [Contacts]) {
    settle(swarm, devices);
    for device in devices.iter() {
        assert_eq!(device.data().encode(), devices[0].data().encode());
        assert_eq!(device.seqno(), devices[0].seqno());
    }
    // A new device finds all of it in the swarm, and has nothing to add.
    let mut fresh = Contacts::new(&account());
    swarm.fetch(&mut fresh, false);
    assert_eq!(fresh.data().encode(), devices[0].data().encode());
    assert!(!fresh.needs_push());
    // Once settled, nothing more happens, however often all fetch again.
    let stores = swarm.stores;
    assert_eq!(settle(swarm, devices), 0);
    assert_eq!(swarm.stores, stores);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn devices_that_keep_in_step_lose_nobody_and_soon_fall_silent(rounds in rounds(1..5, false)) {
        let (mut swarm, mut devices, people) = play(&rounds, true);
        check_agreement(&mut swarm, &mut devices);
        let found: BTreeSet<AccountId> = devices[0].contacts().map(|(id, _)| id).collect();
        // What was pushed in vain again and again grows too old to be merged. That is said.
        prop_assert!(found == people || (swarm.told.get() && found.is_subset(&people)), "{found:?} of {people:?}");
    }

    #[test]
    fn devices_agree_and_fall_silent_whatever_happened(rounds in rounds(1..5, true), in_step in any::<bool>()) {
        let (mut swarm, mut devices, _) = play(&rounds, in_step);
        check_agreement(&mut swarm, &mut devices);
    }
}

#[test]
fn a_device_that_was_away_for_long_follows_the_others() {
    let (mut swarm, mut devices) = two_devices();
    // It changes something on the way out, and never gets to push it.
    devices[1].set_contact(&person(1, 0), &Contact::default()).unwrap();
    devices[1].push(NOW).unwrap();
    for number in 1..10 {
        devices[0].set_contact(&person(0, number), &Contact::default()).unwrap();
        swarm.push(&mut devices[0]);
    }
    check_agreement(&mut swarm, &mut devices);
    assert_eq!(
        devices[0].contacts().count(),
        10,
        "the others had moved on by more versions than are remembered"
    );
}

#[test]
fn a_change_that_was_never_pushed_survives_however_far_the_others_have_moved_on() {
    for often in [false, true] {
        let (mut swarm, mut devices) = two_devices();
        devices[1].set_contact(&person(1, 0), &Contact::default()).unwrap();
        devices[1]
            .update_contact(&person(0, 0), |contact| {
                contact.nickname = "mine".to_owned();
                contact.name = "old".to_owned();
            })
            .unwrap();
        for number in 1..20 {
            devices[0].set_contact(&person(0, number), &Contact::default()).unwrap();
            if number == 5 {
                devices[0].update_contact(&person(0, 0), |contact| contact.name = "new".to_owned()).unwrap();
            }
            swarm.push(&mut devices[0]);
            if often {
                swarm.fetch(&mut devices[1], false);
                devices[1] = Contacts::load(&account(), &devices[1].dump()).unwrap();
            }
        }
        check_agreement(&mut swarm, &mut devices);
        assert_eq!(devices[0].contacts().count(), 21, "{often}");
        let contact = devices[0].contact(&person(0, 0)).unwrap();
        assert_eq!((contact.nickname.as_str(), contact.name.as_str()), ("mine", "new"), "{often}");
    }
}

#[test]
fn a_change_to_what_another_device_took_away_meanwhile_does_not_bring_it_back() {
    for others in 1..12 {
        let (mut swarm, mut devices) = two_devices();
        devices[1].update_contact(&person(0, 0), |contact| contact.nickname = "mine".to_owned()).unwrap();
        devices[0].remove_contact(&person(0, 0)).unwrap();
        for number in 1..=others {
            devices[0].set_contact(&person(0, number), &Contact::default()).unwrap();
            swarm.push(&mut devices[0]);
        }
        let stores = swarm.stores;
        check_agreement(&mut swarm, &mut devices);
        assert_eq!((devices[0].contacts().count(), swarm.stores), (others, stores), "nothing is left to say");
    }
}

#[test]
fn what_was_taken_away_goes_although_others_change_it_but_not_if_they_have_used_it_for_long() {
    for others in 1..12 {
        let (mut swarm, mut devices) = two_devices();
        devices[1].remove_contact(&person(0, 0)).unwrap();
        for number in 1..=others {
            devices[0]
                .update_contact(&person(0, 0), |contact| contact.nickname = number.to_string())
                .unwrap();
            swarm.push(&mut devices[0]);
        }
        check_agreement(&mut swarm, &mut devices);
        assert_eq!(devices[0].contact(&person(0, 0)).is_some(), others >= 5, "{others}");
    }
}

/// Pushed, and it never arrived: whoever pushed it cannot know, and merges it with what others say until it is too old.
#[test]
fn what_was_pushed_in_vain_is_reported_when_it_is_forgotten_also_little_by_little() {
    let (mut swarm, mut devices) = two_devices();
    devices[1].set_contact(&person(1, 0), &Contact::default()).unwrap();
    devices[1].push(NOW).unwrap();
    let mut reported = 0;
    for number in 1..20 {
        devices[0].set_contact(&person(0, number), &Contact::default()).unwrap();
        swarm.push(&mut devices[0]);
        let entries = swarm.entries.clone();
        let fetched = entries.iter().map(|(hash, entry)| (hash.as_str(), entry.as_slice()));
        reported += usize::from(devices[1].merge(fetched, NOW).forgotten);
        devices[1] = Contacts::load(&account(), &devices[1].dump()).unwrap();
        assert!(reported == 1 || devices[1].contact(&person(1, 0)).is_some(), "{number}");
    }
    assert_eq!(reported, 1);
}

#[test]
fn a_change_that_waits_through_many_restarts_stays_one_version() {
    let mut device = Contacts::new(&account());
    device.set_contact(&person(0, 0), &Contact::default()).unwrap();
    let expected = device.clone().push(NOW).unwrap();
    for _ in 0..10 {
        device = Contacts::load(&account(), &device.dump()).unwrap();
        assert!(device.needs_push());
    }
    assert_eq!(device.push(NOW).unwrap(), expected);
}

#[test]
fn the_own_entry_coming_back_is_never_handed_out_for_deletion() {
    let mut device = Contacts::new(&account());
    device.set_contact(&person(0, 0), &Contact::default()).unwrap();
    let push = device.push(NOW).unwrap();
    // Stored, but the answer was lost; then it is fetched, and pushed again.
    let merged = device.merge([("own", push.messages[0].as_slice())], NOW);
    assert_eq!((merged.understood.as_slice(), merged.changed), (&["own".to_owned()][..], false));
    assert!(device.needs_push(), "only a confirmation ends it");
    assert!(device.active_hashes().contains("own"));
    let again = device.push(NOW).unwrap();
    assert_eq!((&again.messages, again.obsolete.len()), (&push.messages, 0));
    device.confirm_pushed(again.seqno, ["own"]);
    assert_eq!(device.current_hashes().collect::<Vec<_>>(), ["own"]);
    assert!(device.push(NOW).unwrap().obsolete.is_empty());
    // And once something newer is there, it goes.
    device.remove_contact(&person(0, 0)).unwrap();
    assert_eq!(device.push(NOW).unwrap().obsolete, ["own"]);
}

#[test]
fn a_change_that_was_taken_back_does_not_delete_what_it_stores() {
    let mut swarm = Swarm::default();
    let mut device = Contacts::new(&account());
    device.set_contact(&person(0, 0), &Contact::default()).unwrap();
    // Another device made the same change and stored it, and this one has seen that.
    let mut other = device.clone();
    swarm.push(&mut other);
    swarm.fetch(&mut device, false);
    device.set_contact(&person(0, 1), &Contact::default()).unwrap();
    device.remove_contact(&person(0, 1)).unwrap();
    swarm.push(&mut device);
    assert_eq!(swarm.entries.len(), 1);
    check_agreement(&mut swarm, &mut [device, other]);
}

#[test]
fn a_confirmation_that_comes_too_late_confirms_nothing() {
    let mut device = Contacts::new(&account());
    device.set_contact(&person(0, 0), &Contact::default()).unwrap();
    let push = device.push(NOW).unwrap();
    device.set_contact(&person(0, 1), &Contact::default()).unwrap();
    device.confirm_pushed(push.seqno, ["h1"]);
    assert!(device.needs_push());
    let second = device.push(NOW).unwrap();
    assert_eq!(second.seqno, push.seqno + 1);
    device.confirm_pushed(push.seqno, ["h1"]);
    assert!(device.needs_push());
    device.confirm_pushed(second.seqno, ["h2"]);
    assert!(!device.needs_push());
    // The first is recognised as obsolete when it is fetched.
    device.merge([("h1", push.messages[0].as_slice())], NOW);
    assert_eq!(device.push(NOW).unwrap().obsolete, ["h1"]);
}

#[test]
fn obsolete_entries_are_offered_until_a_push_is_confirmed_also_after_a_restart() {
    let mut device = Contacts::new(&account());
    device.set_contact(&person(0, 0), &Contact::default()).unwrap();
    let first = device.push(NOW).unwrap();
    device.confirm_pushed(first.seqno, ["h1"]);
    device.set_contact(&person(0, 1), &Contact::default()).unwrap();
    let second = device.push(NOW).unwrap();
    assert_eq!(second.obsolete, ["h1"]);
    let mut device = Contacts::load(&account(), &device.dump()).unwrap();
    let again = device.push(NOW).unwrap();
    assert_eq!(again, second);
    // What becomes obsolete meanwhile comes to it.
    let mut other = Contacts::new(&account());
    other.set_contact(&person(1, 0), &Contact::default()).unwrap();
    device.merge([("h3", other.push(NOW).unwrap().messages[0].as_slice())], NOW);
    let again = device.push(NOW).unwrap();
    assert_eq!(again.obsolete, ["h1", "h3"]);
    device.confirm_pushed(again.seqno, ["h2"]);
    assert!(device.push(NOW).unwrap().obsolete.is_empty());
}

#[test]
fn entries_that_are_not_understood_are_reported_and_left_alone() {
    let mut device = Contacts::new(&account());
    device.set_contact(&person(0, 0), &Contact::default()).unwrap();
    let push = device.push(NOW).unwrap();
    let mut damaged = push.messages[0].clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let mut other = Contacts::new(&account());
    let merged = other.merge(
        [("bad", damaged.as_slice()), ("good", push.messages[0].as_slice()), ("none", b"".as_slice())],
        NOW,
    );
    assert_eq!(merged.understood, ["good"]);
    assert_eq!(merged.rejected.iter().map(|(hash, _)| hash.as_str()).collect::<Vec<_>>(), ["bad", "none"]);
    assert_eq!(other.current_hashes().collect::<Vec<_>>(), ["good"]);
    assert!(other.push(NOW).unwrap().obsolete.is_empty());
}

#[test]
fn a_large_document_travels_in_parts_and_the_parts_are_one_version() {
    let mut device = Contacts::new(&account());
    let mut key = [0u8; 32];
    for number in 0..2500u32 {
        // Ids are random, so they do not compress.
        key = blake2b_256(&[&key, &number.to_be_bytes()]);
        device.set_contact(&AccountId::new(IdPrefix::Account, &key), &Contact::default()).unwrap();
    }
    let mut swarm = Swarm::default();
    let push = device.push(NOW).unwrap();
    assert!(push.messages.len() > 1);
    assert!(push.messages.iter().all(|entry| entry.len() <= conclave_confsync::MAX_STORED));
    swarm.push(&mut device);
    let mut other = Contacts::new(&account());
    swarm.fetch(&mut other, true);
    assert_eq!(other.contacts().count(), 2500);
    assert_eq!(other.current_hashes().count(), push.messages.len());
    // A new version makes all parts of the old one obsolete.
    other.remove_contact(&AccountId::new(IdPrefix::Account, &key)).unwrap();
    assert_eq!(other.push(NOW).unwrap().obsolete.len(), push.messages.len());
    // The parts again, and one by one, are no news.
    let merged =
        device.merge(swarm.entries.iter().map(|(hash, entry)| (hash.as_str(), entry.as_slice())), NOW);
    assert_eq!((merged.understood.len(), merged.changed), (push.messages.len(), false));
    assert!(device.push(NOW).unwrap().obsolete.is_empty());
}

#[test]
fn a_document_that_is_too_large_says_so_and_stays_as_it_is() {
    let mut device = Contacts::new(&account());
    let mut noise = vec![0u8; 5_100_000];
    let mut last = [0u8; 32];
    for chunk in noise.chunks_mut(32) {
        last = blake2b_256(&[&last]);
        chunk.copy_from_slice(&last[..chunk.len()]);
    }
    device.set_contact(&person(0, 0), &Contact::default()).unwrap();
    device.put(&[b"noise"], Some(noise.into())).unwrap();
    assert_eq!(device.push(NOW), Err(conclave_confsync::PushError::TooLarge));
    assert!(device.needs_push());
    device.put(&[b"noise"], None).unwrap();
    assert_eq!(device.push(NOW).unwrap().seqno, 1);
}

/// Two devices change the document at the same time, and each merges what the other stored. One then takes something away
/// before it has stored its merge, while the other stores the very same merge, which still has it.
#[test]
fn what_is_taken_away_from_a_merge_stays_away_though_another_device_stores_that_merge() {
    // Which of two versions is the greater is chance: both come.
    for (number, restarts) in (1..=16).flat_map(|number| [(number, false), (number, true)]) {
        let mut one = Contacts::new(&account());
        one.set_contact(&person(0, 0), &Contact::default()).unwrap();
        let first = one.push(NOW).unwrap();
        one.confirm_pushed(first.seqno, ["first"]);
        let mut other = one.clone();
        one.set_contact(&person(0, 1), &Contact::default()).unwrap();
        let muted = Contact { muted_until: Some(Timestamp(number * 1_000)), ..Contact::default() };
        other.set_contact(&person(0, 0), &muted).unwrap();
        let (by_one, by_other) = (one.push(NOW).unwrap(), other.push(NOW).unwrap());
        one.merge([("by other", by_other.messages[0].as_slice())], NOW);
        other.merge([("by one", by_one.messages[0].as_slice())], NOW);
        assert!(one.contact(&person(0, 0)).unwrap().muted_until.is_some());
        if restarts {
            one = Contacts::load(&account(), &one.dump()).unwrap();
        }
        one.set_contact(&person(0, 0), &Contact::default()).unwrap();
        for round in 0..3 {
            let names = [format!("one {round}"), format!("other {round}")];
            let (by_one, by_other) = (one.push(NOW).unwrap(), other.push(NOW).unwrap());
            one.merge([(names[1].as_str(), by_other.messages[0].as_slice())], NOW);
            other.merge([(names[0].as_str(), by_one.messages[0].as_slice())], NOW);
        }
        for device in [&one, &other] {
            assert_eq!(device.contact(&person(0, 0)).unwrap().muted_until, None, "{number} {restarts}");
            assert!(device.contact(&person(0, 1)).is_some(), "nothing else is lost");
        }
    }
}
