//! The specification, sentence by sentence, against running nodes over every transport.
//!
//! `sentences.toml` says what a node promises, in our words, and over which transports. Each topic is a file of cases; a
//! case names the sentences it shows and runs, written once, over each transport it is for: HTTPS, QUIC, and a path of
//! three onion hops. `docs/conformance.md` is made of both; a sentence without a case is a failing test. At run time a
//! case has to come by an assertion of every sentence it names ([`world::T::shows`]), so that no name is there for show.
//!
//! Requests are written by hand, as JSON and bytes, and signed over literal texts: a mistake in our own writers cannot
//! hide one in our readers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;

mod askers;
mod table;
mod wires;
mod world;

mod absent;
mod access;
mod batches;
mod deleting;
mod envelope;
mod expiring;
mod full;
mod hops;
mod https;
mod later;
mod members;
mod monitor;
mod namespaces;
mod nowhere;
mod odd;
mod onions;
mod quic;
mod raw;
mod retrieving;
mod revoking;
mod signing;
mod stores;
mod swarms;
mod testers;
mod typing;

/// A test for each topic, and the list of them all for the table.
macro_rules! topics {
    ($($topic:ident in $world:expr;)+) => {
        /// Every case there is.
        pub(crate) fn all_cases() -> Vec<&'static world::Case> {
            [$($topic::CASES),+].into_iter().flatten().collect()
        }

        mod over_every_transport {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $topic() {
                    super::world::run($world, super::$topic::CASES).await;
                }
            )+
        }
    };
}

topics! {
    absent in crate::world::World::with_an_absent_member();
    access in crate::world::World::usual();
    batches in crate::world::World::usual();
    deleting in crate::world::World::usual();
    envelope in crate::world::World::usual();
    expiring in crate::world::World::usual();
    full in crate::world::World::with_a_full_store();
    hops in crate::world::World::usual();
    https in crate::world::World::usual();
    later in crate::world::World::in_turns();
    members in crate::world::World::usual();
    monitor in crate::world::World::usual();
    namespaces in crate::world::World::usual();
    nowhere in crate::world::World::without_swarms();
    odd in crate::world::World::with_odd_members();
    onions in crate::world::World::usual();
    quic in crate::world::World::usual();
    retrieving in crate::world::World::usual();
    revoking in crate::world::World::usual();
    signing in crate::world::World::usual();
    stores in crate::world::World::usual();
    swarms in crate::world::World::usual();
    testers in crate::world::World::usual();
    typing in crate::world::World::usual();
}
