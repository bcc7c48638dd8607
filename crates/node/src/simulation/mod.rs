//! Networks of service nodes, simulated: the real store, coordinator, rules and encodings, under a clock and a network that
//! one number decides.
//!
//! `cargo test -p conclave-node simulation` goes through some worlds, thousands with `CONCLAVE_LONG=1`, one with
//! `CONCLAVE_SEED=n`, some with `CONCLAVE_SEED=n..m`. In each, people store, delete, expire and revoke; nodes crash at any
//! write, lose their disks, join, leave, and hear each other late, twice or not at all; clocks are off by up to half a minute,
//! and days pass. What must hold is in [`checks`]:
//!
//! 1. What a member has signed for can be read from its swarm while one disk with it lives.
//! 2. What was deleted later than it was stored, or has expired, never comes back, on no member.
//! 3. The members of a swarm have the same messages, expiries, revocations and logs.
//! 4. Nothing is served outside the account's swarm, or to a wrong signature.
//!
//! Only transports and the loops around the rules are not the real ones: [`nodes`] and [`background`] stand for them. A
//! world that goes wrong says its seed and what happened last; the same seed does the same again ([`conclave_testkit::worlds`]).

mod background;
mod checks;
mod clients;
mod coverage;
mod fate;
mod ledger;
mod nodes;
mod process;
mod world;

use conclave_testkit::worlds;
use world::World;

/// Worlds of an ordinary run, and with `CONCLAVE_LONG=1`.
const QUICK: u64 = 60;
const LONG: u64 = 2_000;

/// A mistake that is made on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    /// Copies of what is not here count as stored now, whatever has been deleted.
    CopyBeatsTombstone,
    /// Members that missed something are not remembered, and nobody compares.
    DebtsAreForgotten,
    /// Accounts are moved without what was deleted and revoked.
    MovingSkipsOperations,
    /// Commits are answered before they have reached the disk.
    NotDurable,
}

#[test]
fn members_keep_their_promises_whatever_happens() {
    worlds::promises_hold::<World>(QUICK, LONG);
}

#[test]
fn the_same_seed_makes_the_same_world() {
    worlds::the_same_seed_makes_the_same_world::<World>(&[3, 14], 500);
}

#[test]
fn a_copy_that_beats_a_tombstone_is_found() {
    worlds::is_found_within::<World>(10, Bug::CopyBeatsTombstone);
}

#[test]
fn forgotten_debts_are_found_where_nobody_compares() {
    worlds::is_found_within::<World>(10, Bug::DebtsAreForgotten);
}

#[test]
fn moving_without_operations_is_found() {
    worlds::is_found_within::<World>(20, Bug::MovingSkipsOperations);
}

#[test]
fn answering_before_it_is_durable_is_found() {
    worlds::is_found_within::<World>(20, Bug::NotDurable);
}
