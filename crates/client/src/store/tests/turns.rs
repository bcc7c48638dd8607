//! Devices of an account take turns, so that no two send in the same millisecond.

use std::time::Duration;

use super::*;
use crate::store::Meta;
use crate::store::turns::{AHEAD_IN_TURN, TURNS, next_sent_timestamp};

fn device(meta: Meta, value: &[u8]) -> ClientStore {
    let store = store();
    store.set_meta(meta, value).unwrap();
    store
}

/// The times of messages that are written at these.
fn times(store: &ClientStore, written_at: impl Iterator<Item = u64>) -> Vec<u64> {
    let next =
        |at| store.work("write", Timestamp(at), |work| next_sent_timestamp(work.tx, work.now)).unwrap().0.0;
    written_at.map(next).collect()
}

#[test]
fn devices_that_write_at_one_time_take_different_ones() {
    let first = device(Meta::NewAccount, b"1");
    let others: Vec<ClientStore> =
        (0..15).map(|n| device(Meta::DocumentsFound, &(NOW.0 + n).to_be_bytes())).collect();
    let written = |store| times(store, (0..60).map(|n| NOW.0 + n * 500));
    let mut all: Vec<u64> = others.iter().flat_map(written).chain(written(&first)).collect();
    let (many, late) = (all.len(), all.iter().max().unwrap() - (NOW.0 + 59 * 500));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), many);
    assert!(late < 2 * TURNS, "{late}");
}

#[test]
fn whoever_writes_faster_than_in_turns_stays_near_the_clock() {
    let written = times(&device(Meta::NewAccount, b"1"), (0..2_000).map(|_| NOW.0));
    assert!(written.is_sorted_by(|a, b| a < b));
    assert!(*written.last().unwrap() <= NOW.0 + AHEAD_IN_TURN + 2_000);
}

#[test]
fn devices_that_take_the_same_turn_part() {
    let came = NOW.0.to_be_bytes();
    let (one, other) = (device(Meta::DocumentsFound, &came), device(Meta::DocumentsFound, &came));
    let clocks = [NOW.0 + 1_000, NOW.0 + 1_001];
    assert_eq!(times(&one, [clocks[0]].into_iter()), times(&other, [clocks[0]].into_iter()));
    let theirs = times(&one, [NOW.0 + 5_000].into_iter())[0];
    for (store, clock) in [(&one, clocks[0]), (&other, clocks[1])] {
        store.work("hear", Timestamp(clock), |work| work.keep_apart(Timestamp(theirs))).unwrap();
    }
    let at = |store| times(store, (0..50).map(|n| NOW.0 + 10_000 + n * 100));
    let (one, other) = (at(&one), at(&other));
    assert!(one.iter().all(|time| !other.contains(time)));
}

#[test]
fn nobody_else_can_tell_from_the_times_which_device_it_was() {
    let written = times(&device(Meta::NewAccount, b"1"), (0..1_600).map(|n| NOW.0 + n * 1_000));
    for place in 0..TURNS {
        let many = written.iter().filter(|time| **time % TURNS == place).count();
        assert!((50..150).contains(&many), "{place}: {many}");
    }
}

#[test]
fn what_a_device_sent_itself_changes_its_turn_not() {
    let store = device(Meta::DocumentsFound, &NOW.0.to_be_bytes());
    for n in 0..40 {
        let row = send(&store, 2, "hi", NOW.plus(Duration::from_millis(n * 100)));
        store.work("hear", NOW, |work| work.keep_apart(row.sent_at)).unwrap();
        let unsend = store.delete(&row.id, Deletion::MyDevices, NOW.plus(Duration::from_secs(60 + n)));
        assert!(unsend.is_ok());
    }
    for due in store.due(EXPIRY, 1_000, 1_000).unwrap() {
        store.work("hear", NOW, |work| work.keep_apart(due.sent_at)).unwrap();
    }
    assert_eq!(store.meta(Meta::Turn).unwrap(), None);
}
