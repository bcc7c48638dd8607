//! What always holds of paths, and how blame moves.

use std::net::Ipv4Addr;

use conclave_crypto::Ed25519Secret;
use conclave_proto::{SwarmId, Version};
use proptest::prelude::*;
use rand_core::{CryptoRng, Error, RngCore};

use super::*;

/// SplitMix64: reproducible, for tests only.
struct Seeded(u64);

impl RngCore for Seeded {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }
    fn fill_bytes(&mut self, to: &mut [u8]) {
        rand_core::impls::fill_bytes_via_next(self, to);
    }
    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(to);
        Ok(())
    }
}
impl CryptoRng for Seeded {}

fn node(number: u16, ip: [u8; 4]) -> SnodeRecord {
    let mut seed = [3; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    let ed25519 = Ed25519Secret::from_seed(&seed).public();
    SnodeRecord {
        ed25519,
        x25519: ed25519.to_x25519(),
        ip: Ipv4Addr::from(ip),
        https_port: 1,
        quic_port: 1,
        swarm: SwarmId(0),
        version: Version([0, 1, 0]),
    }
}

/// Nodes of which each /24 holds `per_subnet`.
fn network(count: u16, per_subnet: u16) -> Vec<SnodeRecord> {
    (0..count).map(|n| node(n, [10, 0, (n / per_subnet) as u8, 1 + (n % per_subnet) as u8])).collect()
}

fn manager(nodes: &[SnodeRecord], config: PathConfig) -> PathManager {
    let mut manager = PathManager::new(config, GuardState::default());
    manager.handle(T0, PathEvent::ListChanged(nodes));
    manager
}

const T0: Timestamp = Timestamp(1_700_000_000_000);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn end(manager: &mut PathManager, now: Timestamp, path: &Path, target: Target, outcome: Outcome) {
    manager.handle(now, PathEvent::Ended { path, target, outcome: &outcome });
}

fn subnets(path: &Path) -> usize {
    path.hops().iter().map(choice::subnet).collect::<BTreeSet<_>>().len()
}

fn distinct(path: &Path) -> usize {
    path.hops().iter().map(|hop| hop.ed25519).collect::<BTreeSet<_>>().len()
}

/// An outcome by number; `about` is the node it names.
fn outcome(kind: u8, about: Ed25519Public) -> Outcome {
    match kind % 14 {
        0 => Outcome::GuardUnreachable,
        1 => Outcome::GuardBusy,
        2 => Outcome::NodeNotFound(about),
        3 => Outcome::NodeNotReady(about),
        4 => Outcome::PathTimeout,
        5 => Outcome::PathBroken,
        6 => Outcome::UnreadableReply,
        7 => Outcome::Unexplained(500),
        8 => Outcome::Clock,
        9 => Outcome::WrongSwarm(String::new()),
        10 => Outcome::DestinationGone,
        11 => Outcome::DestinationFailed(500),
        12 => Outcome::Offline,
        _ => Outcome::Worked,
    }
}

#[test]
fn what_an_earlier_run_found_out_counts_for_a_while() {
    let nodes = network(12, 1);
    let dead: Vec<_> = nodes[..4].iter().map(|node| node.ed25519).collect();
    let mut manager = manager(&nodes, PathConfig::default());
    manager.handle(T0, PathEvent::Remembered(&dead));
    assert_eq!(manager.avoided(T0).iter().collect::<BTreeSet<_>>(), dead.iter().collect());
    for seed in 0..50 {
        let path = manager.path_for(Target::Server, T0, &mut Seeded(seed)).unwrap();
        assert!(dead.iter().all(|node| !path.contains(node)), "{path:?}");
    }
    assert!(manager.avoided(T0.plus(10 * MINUTE)).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_failed_there_is_a_path_without_the_destination(
        seed: u64, count in 2u16..24, per_subnet in 1u16..8, hops in 1usize..5,
        events in prop::collection::vec((any::<u8>(), any::<u16>(), any::<u16>(), 0u64..400), 0..60),
    ) {
        let nodes = network(count, per_subnet);
        let mut rng = Seeded(seed);
        let mut manager = manager(&nodes, PathConfig::with_hops(hops));
        let mut now = T0;
        for (kind, target, about, seconds) in events {
            now = now.plus(SECOND * seconds as u32);
            let target = nodes[usize::from(target) % nodes.len()].ed25519;
            let about = nodes[usize::from(about) % nodes.len()].ed25519;
            let path = manager.path_for(Target::Snode(target), now, &mut rng);
            if nodes.len() <= hops {
                prop_assert_eq!(path, Err(NoPath { known: nodes.len(), needed: hops + 1 }));
                continue;
            }
            let path = path.unwrap();
            prop_assert!(!path.contains(&target));
            prop_assert_eq!(path.hops().len(), hops);
            prop_assert_eq!(distinct(&path), hops);
            end(&mut manager, now, &path, Target::Snode(target), outcome(kind, about));
            prop_assert!(manager.detours.len() <= MAX_DETOURS && manager.paths.len() <= 2);
            prop_assert!(manager.guard_state().guards.len() <= 22);
        }
    }

    #[test]
    fn hops_are_in_distinct_subnets_where_there_are_enough(
        seed: u64, count in 4u16..40, per_subnet in 1u16..8, target: u16,
    ) {
        let nodes = network(count, per_subnet);
        let mut manager = manager(&nodes, PathConfig::default());
        let target = nodes[usize::from(target) % nodes.len()].ed25519;
        let others = nodes.iter().filter(|node| node.ed25519 != target);
        let available = others.map(choice::subnet).collect::<BTreeSet<_>>().len();
        let mut rng = Seeded(seed);
        for minutes in [0, 5, 11, 22] {
            let path = manager.path_for(Target::Snode(target), T0.plus(MINUTE * minutes), &mut rng).unwrap();
            prop_assert_eq!(subnets(&path), available.min(3));
        }
    }

    #[test]
    fn paths_depend_on_seed_and_events_only(seed: u64, count in 8u16..40, shuffle: u64) {
        let nodes = network(count, 3);
        let mut shuffled = nodes.clone();
        let mut order = Seeded(shuffle);
        for at in (1..shuffled.len()).rev() {
            shuffled.swap(at, choice::below(at + 1, &mut order));
        }
        let run = |nodes: &[SnodeRecord]| {
            let mut rng = Seeded(seed);
            let mut manager = manager(nodes, PathConfig::default());
            (0..20u8)
                .map(|n| {
                    let now = T0.plus(MINUTE * u32::from(n));
                    let path = manager.path_for(Target::Server, now, &mut rng).unwrap();
                    end(&mut manager, now, &path, Target::Server, outcome(n, path.hops()[1].ed25519));
                    path
                })
                .collect::<Vec<_>>()
        };
        prop_assert_eq!(run(&nodes), run(&shuffled));
    }

    #[test]
    fn guards_survive_a_restart(seed: u64, count in 8u16..40, other_seed: u64) {
        let nodes = network(count, 2);
        let mut first = manager(&nodes, PathConfig::default());
        first.path_for(Target::Server, T0, &mut Seeded(seed)).unwrap();
        let saved = serde_json::to_string(&first.take_guard_changes().unwrap()).unwrap();
        prop_assert_eq!(first.take_guard_changes(), None);
        let mut second = PathManager::new(PathConfig::default(), serde_json::from_str(&saved).unwrap());
        let grown = network(count + 20, 2);
        second.handle(T0.plus(MINUTE), PathEvent::ListChanged(&grown));
        second.path_for(Target::Server, T0.plus(MINUTE), &mut Seeded(other_seed)).unwrap();
        let guards = |manager: &PathManager| {
            manager.paths.iter().map(|kept| kept.path.guard().ed25519).collect::<Vec<_>>()
        };
        prop_assert_eq!(guards(&first), guards(&second));
        prop_assert_eq!(second.guard_state().guards.len(), 2);
    }
}

#[test]
fn two_paths_share_no_node_where_the_pool_allows() {
    for (count, per_subnet) in [(6, 1), (10, 10), (12, 2), (40, 4)] {
        for seed in 0..50 {
            let mut manager = manager(&network(count, per_subnet), PathConfig::default());
            manager.path_for(Target::Server, T0, &mut Seeded(seed)).unwrap();
            let all: BTreeSet<_> =
                manager.paths.iter().flat_map(|kept| kept.path.hops.iter().map(|hop| hop.ed25519)).collect();
            assert_eq!((manager.paths.len(), all.len()), (2, 6), "{count} nodes, seed {seed}");
        }
    }
}

#[test]
fn a_subnet_is_chosen_as_often_as_it_has_nodes() {
    // One /24 with nine nodes, and one with a single node.
    let mut nodes = network(9, 9);
    nodes.push(node(100, [10, 9, 9, 9]));
    let lone = nodes[9].ed25519;
    let hits = (0..2000)
        .filter(|seed| {
            let mut manager = manager(&nodes, PathConfig { paths: 1, ..PathConfig::with_hops(1) });
            manager.path_for(Target::Server, T0, &mut Seeded(*seed)).unwrap().guard().ed25519 == lone
        })
        .count();
    assert!((120..=280).contains(&hits), "expected about 200 of 2000, got {hits}");
}

#[test]
fn inner_hops_rotate_and_guards_stay() {
    let mut rng = Seeded(1);
    let mut manager = manager(&network(40, 1), PathConfig { paths: 1, ..PathConfig::default() });
    let first = manager.path_for(Target::Server, T0, &mut rng).unwrap();
    let same = manager.path_for(Target::Server, T0.plus(MINUTE * 9), &mut rng).unwrap();
    assert_eq!(first, same);
    let later = manager.path_for(Target::Server, T0.plus(MINUTE * 10), &mut rng).unwrap();
    assert_eq!(first.guard(), later.guard());
    assert_ne!(first.hops(), later.hops());
}

#[test]
fn a_dead_guard_is_replaced_at_once_and_preferred_again_when_it_works() {
    let mut rng = Seeded(2);
    let mut manager = manager(&network(40, 1), PathConfig { paths: 1, ..PathConfig::default() });
    let path = manager.path_for(Target::Server, T0, &mut rng).unwrap();
    end(&mut manager, T0, &path, Target::Server, Outcome::GuardUnreachable);
    let other = manager.path_for(Target::Server, T0, &mut rng).unwrap();
    assert_ne!(path.guard(), other.guard());
    end(&mut manager, T0, &other, Target::Server, Outcome::Worked);
    let back = manager.path_for(Target::Server, T0.plus(SECOND * 31), &mut rng).unwrap();
    assert_eq!(path.guard(), back.guard());
    // It fails again: set aside for twice as long.
    end(&mut manager, T0.plus(SECOND * 31), &back, Target::Server, Outcome::GuardUnreachable);
    let still = manager.path_for(Target::Server, T0.plus(SECOND * 80), &mut rng).unwrap();
    assert_eq!(still.guard(), other.guard());
    let again = manager.path_for(Target::Server, T0.plus(SECOND * 92), &mut rng).unwrap();
    assert_eq!(again.guard(), path.guard());
}

#[test]
fn cutting_connections_does_not_walk_a_client_through_many_guards() {
    let mut rng = Seeded(3);
    let mut manager = manager(&network(200, 1), PathConfig::default());
    let mut now = T0;
    let mut fail = |step: Duration, rounds: u32, manager: &mut PathManager| {
        for _ in 0..rounds {
            let path = manager.path_for(Target::Server, now, &mut rng).unwrap();
            end(manager, now, &path, Target::Server, Outcome::GuardUnreachable);
            now = now.plus(step);
        }
    };
    fail(SECOND, 60, &mut manager);
    let in_a_minute = manager.guard_state().guards.len();
    assert!(in_a_minute <= 4, "a minute without network used up {in_a_minute} guards");
    fail(SECOND * 10, 2000, &mut manager);
    assert_eq!(manager.guard_state().guards.len(), 10, "the bound of a period");
    assert!(manager.take_guard_changes().is_some());
}

/// A command that runs for a moment, with what the one before it kept on disk.
fn short_run(
    saved: &str,
    nodes: &[SnodeRecord],
    now: Timestamp,
    seed: u64,
    comes_of_it: &Outcome,
) -> (String, Path) {
    let mut manager = PathManager::new(PathConfig::default(), serde_json::from_str(saved).unwrap());
    manager.handle(now, PathEvent::ListChanged(nodes));
    let mut rng = Seeded(seed);
    let mut last = None;
    for _ in 0..4 {
        let path = manager.path_for(Target::Server, now, &mut rng).unwrap();
        end(&mut manager, now, &path, Target::Server, comes_of_it.clone());
        last = Some(path);
    }
    (serde_json::to_string(manager.guard_state()).unwrap(), last.unwrap())
}

#[test]
fn short_runs_without_network_spend_no_more_guards_than_one_long_run() {
    let nodes = network(200, 1);
    let guards = |saved: &str| {
        let state: GuardState = serde_json::from_str(saved).unwrap();
        state.guards.into_iter().map(|guard| guard.ed25519).collect::<Vec<_>>()
    };
    let (mut saved, _) = short_run("{}", &nodes, T0, 1, &Outcome::Worked);
    let first = guards(&saved);
    assert_eq!(first.len(), 2);
    let mut now = T0;
    for run in 0..20 {
        now = now.plus(SECOND);
        (saved, _) = short_run(&saved, &nodes, now, 100 + run, &Outcome::GuardUnreachable);
    }
    assert_eq!(guards(&saved).len(), 3, "one replacement, then a pause that a new run does not end");
    // The network is back: those that were chosen first are used again, and nothing of the bad time is left.
    now = now.plus(MINUTE * 60);
    let (saved, path) = short_run(&saved, &nodes, now, 200, &Outcome::Worked);
    assert!(first.contains(&path.guard().ed25519));
    let state: GuardState = serde_json::from_str(&saved).unwrap();
    assert_eq!((state.replaced, state.next_replacement), (0, Timestamp(0)));
}

#[test]
fn a_pause_from_a_clock_that_was_wrong_does_not_keep_a_dead_guard_from_being_replaced() {
    let nodes = network(20, 1);
    let (saved, _) = short_run("{}", &nodes, T0, 1, &Outcome::Worked);
    let mut state: GuardState = serde_json::from_str(&saved).unwrap();
    state.next_replacement = T0.plus(MINUTE * 60 * 24 * 365);
    let saved = serde_json::to_string(&state).unwrap();
    let (saved, _) = short_run(&saved, &nodes, T0, 2, &Outcome::GuardUnreachable);
    let state: GuardState = serde_json::from_str(&saved).unwrap();
    assert_eq!(state.guards.len(), 3);
}

#[test]
fn when_every_guard_is_set_aside_each_gets_its_turn() {
    let nodes = network(3, 1);
    let mut rng = Seeded(4);
    let mut manager = manager(&nodes, PathConfig { paths: 1, ..PathConfig::with_hops(1) });
    let mut tried: BTreeMap<Ed25519Public, u32> = BTreeMap::new();
    for _ in 0..6 {
        let path = manager.path_for(Target::Server, T0, &mut rng).unwrap();
        *tried.entry(path.guard().ed25519).or_default() += 1;
        end(&mut manager, T0, &path, Target::Server, Outcome::GuardUnreachable);
    }
    assert_eq!(
        tried.into_values().collect::<Vec<_>>(),
        [3, 3],
        "a guard that lives again would not be found"
    );
}

#[test]
fn a_guard_that_left_the_list_is_replaced() {
    let nodes = network(20, 1);
    let mut rng = Seeded(5);
    let mut manager = manager(&nodes, PathConfig { paths: 1, ..PathConfig::default() });
    let path = manager.path_for(Target::Server, T0, &mut rng).unwrap();
    let rest: Vec<_> = nodes.into_iter().filter(|node| node != path.guard()).collect();
    manager.handle(T0, PathEvent::ListChanged(&rest));
    let other = manager.path_for(Target::Server, T0, &mut rng).unwrap();
    assert!(!other.contains(&path.guard().ed25519));
}

#[test]
fn a_node_not_found_is_left_out_and_its_accuser_pays_too() {
    let mut rng = Seeded(6);
    let nodes = network(40, 1);
    let mut manager = manager(&nodes, PathConfig { paths: 1, ..PathConfig::default() });
    let path = manager.path_for(Target::Server, T0, &mut rng).unwrap();
    let (second, third) = (path.hops()[1].ed25519, path.hops()[2].ed25519);
    end(&mut manager, T0, &path, Target::Server, Outcome::NodeNotFound(third));
    assert!(manager.is_avoided(&third, T0));
    let patched = manager.path_for(Target::Server, T0, &mut rng).unwrap();
    assert_eq!((patched.guard(), patched.hops()[1].ed25519), (path.guard(), second));
    assert!(!patched.contains(&third));
    // The second hop goes on accusing its neighbours.
    for _ in 0..2 {
        let path = manager.path_for(Target::Server, T0, &mut rng).unwrap();
        assert!(path.contains(&second));
        let about = path.hops().iter().skip(1).find(|hop| hop.ed25519 != second).unwrap().ed25519;
        end(&mut manager, T0, &path, Target::Server, Outcome::NodeNotFound(about));
    }
    assert!(manager.is_avoided(&second, T0));
    assert_eq!(manager.guard_state().guards[0].failures, 1, "the strikes of a patched path add up");
    assert!(!manager.path_for(Target::Server, T0, &mut rng).unwrap().contains(&second));
    // A new list knows better than what a hop said.
    manager.handle(T0, PathEvent::ListChanged(&nodes));
    assert!(!manager.is_avoided(&third, T0));
    assert!(manager.is_avoided(&second, T0), "strikes outlast the list");
    assert!(!manager.is_avoided(&second, T0.plus(MINUTE * 60 * 48)), "but not 48 hours");
}

#[test]
fn naming_a_stranger_strikes_only_the_path() {
    let mut rng = Seeded(7);
    let nodes = network(40, 1);
    let mut manager = manager(&nodes, PathConfig { paths: 1, ..PathConfig::default() });
    let path = manager.path_for(Target::Server, T0, &mut rng).unwrap();
    let stranger = nodes.iter().find(|node| !path.contains(&node.ed25519)).unwrap().ed25519;
    for _ in 0..3 {
        end(&mut manager, T0, &path, Target::Server, Outcome::NodeNotFound(stranger));
    }
    assert!(!manager.is_avoided(&stranger, T0));
    assert!(manager.is_avoided(&path.hops()[1].ed25519, T0));
}

#[test]
fn what_a_server_answers_is_no_news_of_the_path_and_what_a_hop_answers_is() {
    let mut rng = Seeded(10);
    let nodes = network(40, 1);
    for (target, same_path) in [(Target::Server, true), (Target::Snode(nodes[0].ed25519), false)] {
        let mut manager = manager(&nodes, PathConfig { paths: 1, ..PathConfig::default() });
        let path = manager.path_for(target, T0, &mut rng).unwrap();
        for _ in 0..3 {
            end(&mut manager, T0, &path, target, Outcome::Unexplained(500));
        }
        assert_eq!(manager.path_for(target, T0, &mut rng).unwrap() == path, same_path);
    }
}

#[test]
fn a_failure_moves_the_next_request_to_the_other_path() {
    let mut rng = Seeded(8);
    let mut manager = manager(&network(40, 1), PathConfig::default());
    for _ in 0..20 {
        let path = manager.path_for(Target::Server, T0, &mut rng).unwrap();
        end(&mut manager, T0, &path, Target::Server, Outcome::PathTimeout);
        let next = manager.path_for(Target::Server, T0, &mut rng).unwrap();
        assert_ne!(path.guard(), next.guard());
        end(&mut manager, T0, &next, Target::Server, Outcome::Worked);
        end(&mut manager, T0, &path, Target::Server, Outcome::Worked);
    }
}

#[test]
fn destinations_are_blamed_for_what_they_do_and_for_nothing_else() {
    let mut rng = Seeded(9);
    let nodes = network(40, 1);
    let target = nodes[0].ed25519;
    let mut manager = manager(&nodes, PathConfig::default());
    let mut three = |outcome: Outcome| {
        manager.handle(T0, PathEvent::ListChanged(&nodes));
        for _ in 0..3 {
            let path = manager.path_for(Target::Snode(target), T0, &mut rng).unwrap();
            end(&mut manager, T0, &path, Target::Snode(target), outcome.clone());
        }
        let avoided = manager.is_avoided(&target, T0);
        manager.health.list_changed(|_| false);
        avoided
    };
    for innocent in [
        Outcome::Malformed,
        Outcome::Unauthorised,
        Outcome::Clock,
        Outcome::WrongSwarm(String::new()),
        Outcome::PathTimeout,
        Outcome::Unexplained(500),
        Outcome::Offline,
    ] {
        assert!(!three(innocent.clone()), "{innocent:?}");
    }
    for guilty in [
        Outcome::DestinationFailed(500),
        Outcome::DestinationFailed(429),
        Outcome::DestinationGone,
        Outcome::NodeNotFound(target),
        Outcome::NodeNotReady(target),
    ] {
        assert!(three(guilty.clone()), "{guilty:?}");
    }
}

#[test]
fn a_network_too_small_says_how_many_nodes_are_missing() {
    let nodes = network(3, 3);
    let mut manager = manager(&nodes, PathConfig::default());
    let snode = manager.path_for(Target::Snode(nodes[0].ed25519), T0, &mut Seeded(1));
    assert_eq!(snode, Err(NoPath { known: 3, needed: 4 }));
    assert!(manager.path_for(Target::Server, T0, &mut Seeded(1)).is_ok());
    let mut cautious = super::tests::manager(&nodes, PathConfig { min_nodes: 12, ..PathConfig::default() });
    assert_eq!(cautious.path_for(Target::Server, T0, &mut Seeded(1)), Err(NoPath { known: 3, needed: 12 }));
}

#[test]
fn a_clock_that_was_wrong_does_not_lock_a_guard_out() {
    let nodes = network(20, 1);
    let far = T0.plus(MINUTE * 60 * 24 * 365);
    let guard = Guard { ed25519: nodes[4].ed25519, chosen_at: far, failures: 3, set_aside_until: far };
    let mut manager = PathManager::new(
        PathConfig { paths: 1, ..PathConfig::default() },
        GuardState { guards: vec![guard.clone(), guard], replaced: 3, next_replacement: far },
    );
    manager.handle(T0, PathEvent::ListChanged(&nodes));
    let path = manager.path_for(Target::Server, T0, &mut Seeded(1)).unwrap();
    assert_eq!(path.guard().ed25519, nodes[4].ed25519);
    assert_eq!(manager.status(T0).paths, vec![path.hops().iter().map(|hop| hop.ed25519).collect::<Vec<_>>()]);
}

#[test]
fn another_way_to_the_network_forgives_what_failed_on_the_old_one() {
    let nodes = network(12, 1);
    let mut manager = manager(&nodes, PathConfig::default());
    let mut rng = Seeded(7);
    let (now, target) = (Timestamp(1_000_000), Target::Snode(nodes[0].ed25519));
    for _ in 0..40 {
        let path = manager.path_for(target, now, &mut rng).unwrap();
        end(&mut manager, now, &path, target, Outcome::PathTimeout);
        end(&mut manager, now, &path, target, Outcome::GuardUnreachable);
    }
    let guards = |manager: &PathManager| {
        manager.guard_state().guards.iter().map(|guard| guard.ed25519).collect::<Vec<_>>()
    };
    let before = guards(&manager);
    assert!(!manager.avoided(now).is_empty());
    manager.handle(now, PathEvent::WayChanged);
    assert!(manager.avoided(now).is_empty());
    assert_eq!(guards(&manager), before, "no new guards are met because of it");
    assert!(manager.guard_state().guards.iter().all(|guard| guard.failures == 0));
}
