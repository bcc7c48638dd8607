//! The swarms of a network: known answers of the reference, and what always holds.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::BTreeMap;

use conclave_crypto::{Ed25519Public, Ed25519Secret};
use conclave_proto::SwarmId;
use conclave_proto::membership::{SwarmMap, initial_assignment};
use conclave_proto::network::SwarmParams;
use proptest::prelude::*;

fn keys(count: u16) -> Vec<Ed25519Public> {
    (0..count)
        .map(|number| {
            let mut seed = [7; 32];
            seed[..2].copy_from_slice(&number.to_be_bytes());
            Ed25519Secret::from_seed(&seed).public()
        })
        .collect()
}

fn sizes(assignment: &BTreeMap<Ed25519Public, SwarmId>) -> Vec<usize> {
    let mut counts: BTreeMap<SwarmId, usize> = BTreeMap::new();
    for swarm in assignment.values() {
        *counts.entry(*swarm).or_default() += 1;
    }
    counts.into_values().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn ten_nodes_of_a_private_network_make_two_swarms_of_five(seed: u64) {
        let assigned = initial_assignment(&SwarmParams::DEVNET, &keys(10), seed);
        prop_assert_eq!(sizes(&assigned), [5, 5]);
    }

    #[test]
    fn every_node_has_one_swarm_and_none_is_too_small_when_there_are_enough(
        count in 1u16..120, seed: u64, leaving in 0usize..20, public: bool,
    ) {
        let params = if public { SwarmParams::PUBLIC } else { SwarmParams::DEVNET };
        let nodes = keys(count);
        let mut map = SwarmMap::default();
        map.update(&params, &nodes, seed);
        let gone = &nodes[..leaving.min(nodes.len() - 1)];
        map.remove(gone);
        map.update(&params, &[], seed ^ 1);
        let assigned = map.assignment();
        prop_assert_eq!(assigned.len(), nodes.len() - gone.len());
        let listed: usize = map.swarms().values().map(Vec::len).sum();
        prop_assert_eq!(listed, assigned.len(), "no node in two swarms");
        if map.swarms().len() > 1 {
            prop_assert!(sizes(&assigned).iter().all(|size| *size >= params.min_size as usize));
        }
        // The same seed gives the same network.
        let mut again = SwarmMap::default();
        again.update(&params, &nodes, seed);
        again.remove(gone);
        again.update(&params, &[], seed ^ 1);
        prop_assert_eq!(again, map);
    }
}

#[test]
fn a_node_that_joins_twice_is_a_member_once() {
    let nodes = keys(10);
    let mut map = SwarmMap::default();
    map.update(&SwarmParams::DEVNET, &[&nodes[..], &nodes[..3]].concat(), 7);
    let before = map.clone();
    map.update(&SwarmParams::DEVNET, &nodes[4..], 8);
    assert_eq!(map, before);
    assert_eq!(sizes(&map.assignment()), [5, 5]);
    assert_eq!(map.swarms().values().map(Vec::len).sum::<usize>(), 10);
}

#[test]
fn parameters_that_ask_for_empty_swarms_end() {
    let params = SwarmParams { min_size: 0, new_size: 0, ideal_margin: 0 };
    let assigned = initial_assignment(&params, &keys(10), 1);
    assert_eq!(assigned.len(), 10);
}

#[path = "checks/membership.rs"]
mod checks;

#[test]
fn the_generator_and_new_swarm_ids_are_the_reference_s() {
    let vectors = conclave_testkit::vectors::file("storage-onion");
    checks::check_mt19937_64(&vectors["mt19937_64"]).unwrap();
    checks::check_new_swarm_id(&vectors["new_swarm_id"]).unwrap();
    checks::check_new_swarm_id_sequence(&vectors["new_swarm_id_sequence"]).unwrap();
}
