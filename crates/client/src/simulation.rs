//! People with several devices each, simulated: the real database, errands and judgements, under a clock, a network and
//! swarms that one number decides.
//!
//! `cargo test -p conclave-client --lib simulation` goes through some worlds, many more with `CONCLAVE_LONG=1`, one with
//! `CONCLAVE_SEED=n`, some with `CONCLAVE_SEED=n..m`. In each, people write, edit, delete, react, read and change settings on
//! any of their devices; devices are killed at any write, lose their network, are off for days, or begin with the phrase in
//! the midst of it; clocks are off by up to a minute and a half; members of swarms are down, hear of writes late, withhold,
//! replay, boast and refuse. Swarms change: members join and leave, with and without what they kept, mailboxes move, and
//! nodes and devices go by old lists of nodes for a while ([`lists`]). What must hold is in [`checks`]:
//!
//! 1. A person's devices come to the same: chats, messages, contacts, positions read.
//! 2. What a sender was told is stored is there, for the other side and on the sender's devices, whatever has become of the
//!    swarm since; this assumes of nodes what [`lists`] says.
//! 3. What was deleted never comes back, not even as the text that stands in for an edit.
//! 4. No state claims more than happened: a majority is one of the members of one list.
//! 5. Nothing is shown twice, and every chat has one order.
//! 6. Once all is said, nobody asks for anything any more: settings do not go back and forth.
//!
//! In most worlds people do about fifty things; in an eighth of those that only long runs come to, two to three hundred.
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
mod lists;
mod receiving;
mod sending;
mod swarm;
mod world;

use conclave_testkit::worlds;
use world::World;

/// Worlds of an ordinary run, and with `CONCLAVE_LONG=1`.
const QUICK: u64 = 30;
const LONG: u64 = 2_000;
/// In so many worlds a mistake is found: the rarest shows in one of thirty.
const SOON: u64 = 200;

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
    /// Signatures count of everybody who ever was a member of the swarm.
    FormerMembersCount,
    /// A member that has never been read is read from where another one was left.
    CursorsAreShared,
    /// A device keeps the node list it has, whatever members say.
    ListIsKept,
    /// Nor is it doubted when hardly anybody on it answers.
    ListIsNotDoubted,
    /// Former members keep what they have to themselves.
    NobodyHandsOver,
}

impl Bug {
    /// Whether it shows only where swarms change: there they are made to change often, so that it is found soon.
    const fn is_about_changes(self) -> bool {
        matches!(self, Self::CursorsAreShared | Self::ListIsNotDoubted | Self::NobodyHandsOver)
    }
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
    worlds::is_found_within::<World>(SOON, Bug::TombstonesAreForgotten);
}

#[test]
fn a_minority_taken_for_a_majority_is_found() {
    worlds::is_found_within::<World>(SOON, Bug::StoredByMinority);
}

#[test]
fn sending_before_it_is_durable_is_found() {
    worlds::is_found_within::<World>(SOON, Bug::SentBeforeItIsDurable);
}

#[test]
fn conversations_that_come_back_are_found() {
    worlds::is_found_within::<World>(SOON, Bug::NoGuards);
}

#[test]
fn forgotten_copies_are_found() {
    worlds::is_found_within::<World>(SOON, Bug::OwnCopiesAreForgotten);
}

#[test]
fn signatures_of_former_members_are_found() {
    worlds::is_found_within::<World>(SOON, Bug::FormerMembersCount);
}

#[test]
fn cursors_taken_from_other_members_are_found() {
    worlds::is_found_within::<World>(SOON, Bug::CursorsAreShared);
}

#[test]
fn node_lists_that_are_never_renewed_are_found() {
    worlds::is_found_within::<World>(SOON, Bug::ListIsKept);
}

#[test]
fn node_lists_that_are_not_doubted_are_found() {
    worlds::is_found_within::<World>(SOON, Bug::ListIsNotDoubted);
}

#[test]
fn mailboxes_that_are_not_handed_over_are_found() {
    worlds::is_found_within::<World>(SOON, Bug::NobodyHandsOver);
}
