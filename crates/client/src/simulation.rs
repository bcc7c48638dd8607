//! People with several devices each, simulated: the real database, errands and judgements, under a clock, a network and
//! swarms that one number decides.
//!
//! `cargo test -p conclave-client --lib simulation` goes through some worlds, many more with `CONCLAVE_LONG=1`, one with
//! `CONCLAVE_SEED=n`, some with `CONCLAVE_SEED=n..m`. In each, people write, edit, delete, react, read and change settings on
//! any of their devices; devices are killed at any write, lose their network, are off for days, or begin with the phrase in
//! the midst of it; clocks are off by up to a minute and a half; members of swarms are down, hear of writes late, withhold,
//! replay, boast and refuse. What must hold is in [`checks`]:
//!
//! 1. A person's devices come to the same: chats, messages, contacts, positions read.
//! 2. What a sender was told is stored is there, for the other side and on the sender's devices.
//! 3. What was deleted never comes back, not even as the text that stands in for an edit.
//! 4. No state claims more than happened.
//! 5. Nothing is shown twice, and every chat has one order.
//! 6. Once all is said, nobody asks for anything any more: settings do not go back and forth.
//!
//! Only the loops around the rules are not the real ones: [`sending`] and [`receiving`] stand for `outbox` and `receive`. A
//! world that goes wrong says its seed and what happened last; the same seed does the same again ([`conclave_testkit::worlds`]).
#![allow(clippy::indexing_slicing, reason = "a simulation that trips over itself has failed")]

mod acts;
mod checks;
mod coverage;
mod device;
mod fate;
mod ledger;
mod receiving;
mod sending;
mod swarm;
mod world;

use conclave_testkit::worlds;
use world::World;

/// Worlds of an ordinary run, and with `CONCLAVE_LONG=1`.
const QUICK: u64 = 30;
const LONG: u64 = 2_000;

/// A mistake that is made on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    /// What was deleted is not remembered.
    TombstonesAreForgotten,
    /// One member's signature is taken for a majority's.
    StoredByMinority,
    /// A message leaves the outbox when it is sent, not when it is stored.
    SentBeforeItIsDurable,
    /// Conversations that were erased elsewhere come back with old messages.
    NoGuards,
    /// Copies for one's other devices get lost.
    OwnCopiesAreForgotten,
}

#[test]
fn devices_agree_and_nothing_is_lost_whatever_happens() {
    worlds::promises_hold::<World>(QUICK, LONG);
}

#[test]
fn the_same_seed_makes_the_same_world() {
    worlds::the_same_seed_makes_the_same_world::<World>(&[2, 14], 200);
}

#[test]
fn forgotten_tombstones_are_found() {
    worlds::is_found_within::<World>(20, Bug::TombstonesAreForgotten);
}

#[test]
fn a_minority_taken_for_a_majority_is_found() {
    worlds::is_found_within::<World>(20, Bug::StoredByMinority);
}

#[test]
fn sending_before_it_is_durable_is_found() {
    worlds::is_found_within::<World>(20, Bug::SentBeforeItIsDurable);
}

#[test]
fn conversations_that_come_back_are_found() {
    worlds::is_found_within::<World>(100, Bug::NoGuards);
}

#[test]
fn forgotten_copies_are_found() {
    worlds::is_found_within::<World>(20, Bug::OwnCopiesAreForgotten);
}
