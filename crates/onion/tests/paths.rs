//! What a client's paths promise over restarts, seen from outside.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use conclave_crypto::{Ed25519Public, Ed25519Secret};
use conclave_onion::{GuardState, PathConfig, PathEvent, PathManager, Target};
use conclave_proto::{SnodeRecord, SwarmId, Timestamp, Version};
use proptest::prelude::*;
use rand_core::OsRng;

fn network(count: u8) -> Vec<SnodeRecord> {
    (0..count)
        .map(|number| {
            let ed25519 = Ed25519Secret::from_seed(&[number; 32]).public();
            SnodeRecord {
                ed25519,
                x25519: ed25519.to_x25519(),
                ip: [10, 0, number, 1].into(),
                https_port: 22021,
                quic_port: 22020,
                swarm: SwarmId(0),
                version: Version([2, 11, 3]),
            }
        })
        .collect()
}

/// What a client that remembers `saved` has used and remembers after some requests.
fn after_some_requests(saved: GuardState, list: &[SnodeRecord]) -> (Vec<Ed25519Public>, GuardState) {
    let now = Timestamp(1_700_000_000_000);
    let mut manager = PathManager::new(PathConfig::default(), saved);
    manager.handle(now, PathEvent::ListChanged(list));
    let used =
        (0..8).map(|_| manager.path_for(Target::Server, now, &mut OsRng).unwrap().guard().ed25519).collect();
    (used, manager.guard_state().clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whoever sends the list, in whatever order, does not choose a client's guards anew with it.
    #[test]
    fn guards_survive_restarts_with_lists_in_other_orders(
        count in 10u8..40, orders in prop::collection::vec(any::<prop::sample::Index>(), 40 * 3),
    ) {
        let mut list = network(count);
        let (_, mut state) = after_some_requests(GuardState::default(), &list);
        prop_assert_eq!(state.guards.len(), 2);
        for order in orders.chunks(40) {
            for (at, with) in (0..list.len()).zip(order) {
                let with = with.index(list.len());
                list.swap(at, with);
            }
            let saved = serde_json::to_string(&state).unwrap();
            let (used, kept) = after_some_requests(serde_json::from_str(&saved).unwrap(), &list);
            prop_assert_eq!(&kept, &state);
            prop_assert!(used.iter().all(|used| kept.guards.iter().any(|guard| guard.ed25519 == *used)));
            state = kept;
        }
    }
}
