use conclave_crypto::Ed25519Secret;
use conclave_proto::Version;

use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const NET: (&str, &SwarmParams) = ("net", &SwarmParams::DEVNET);

fn key(number: u8) -> Ed25519Public {
    Ed25519Secret::from_seed(&[number; 32]).public()
}

fn address(number: u8) -> JoinAddress {
    JoinAddress {
        ip: std::net::Ipv4Addr::new(198, 51, 100, number),
        https_port: 22021,
        quic_port: 22020,
        version: Version([2, 11, 0]),
    }
}

/// Of a node, so many milliseconds after `NOW`.
fn join(number: u8, at: u64) -> MembershipRequest {
    request(number, Membership::Join(address(number)), at)
}

fn leave(number: u8, at: u64) -> MembershipRequest {
    request(number, Membership::Leave, at)
}

fn request(number: u8, wanted: Membership, at: u64) -> MembershipRequest {
    MembershipRequest {
        network_id: "net".into(),
        node: key(number),
        wanted,
        issued_at: Timestamp(NOW.0 + at),
    }
}

/// Nodes 1 to `count`, none of which is remembered for anything.
fn network(count: u8) -> Members {
    let joins: Vec<_> = (1..=count).map(|number| join(number, 0)).collect();
    let (members, _) = Members::default().apply(NET, &joins, NOW, 7).unwrap();
    Members { last: BTreeMap::new(), ..members }
}

fn apply(members: &Members, requests: &[MembershipRequest]) -> Result<(Members, Vec<Change>), Refused> {
    let applied = members.apply(NET, requests, NOW, 8).map_err(|(_, refused)| refused);
    applied.map(|(members, applied)| (members, applied.iter().map(|applied| applied.change).collect()))
}

fn swarms(members: &Members) -> BTreeMap<SwarmId, Vec<Ed25519Public>> {
    SwarmMap::new(members.nodes.iter().map(|node| (node.ed25519, node.swarm))).swarms().clone()
}

#[test]
fn five_more_nodes_make_a_third_swarm_and_three_fewer_dissolve_one() {
    let ten = network(10);
    assert_eq!(swarms(&ten).len(), 2);
    let joins: Vec<_> = (11..=16).map(|number| join(number, 1)).collect();
    let (sixteen, changes) = apply(&ten, &joins).unwrap();
    assert_eq!(changes, [Change::Admitted; 6]);
    assert_eq!(swarms(&sixteen).len(), 3);
    assert!(swarms(&ten).keys().all(|swarm| swarms(&sixteen).contains_key(swarm)), "old swarms stay");

    let leaves: Vec<_> = (1..=3).map(|number| leave(number, 2)).collect();
    let (thirteen, changes) = apply(&sixteen, &leaves).unwrap();
    assert_eq!(changes, [Change::Removed; 3]);
    let left = swarms(&thirteen);
    assert_eq!(left.values().map(Vec::len).sum::<usize>(), 13);
    assert_eq!(left.len(), 2, "thirteen nodes are too few for three swarms of five");
    assert!(left.values().all(|nodes| nodes.len() >= 5));
}

#[test]
fn nobody_moves_who_need_not() {
    let ten = network(10);
    let (eleven, _) = apply(&ten, &[join(11, 1)]).unwrap();
    for node in &ten.nodes {
        assert!(eleven.nodes.contains(node));
    }
    assert_ne!(eleven.nodes.last().unwrap().swarm, SwarmId::NONE);
}

#[test]
fn doing_it_again_changes_nothing() {
    let ten = network(10);
    let batch = [join(11, 1), leave(3, 1)];
    let (once, _) = apply(&ten, &batch).unwrap();
    let (twice, changes) = apply(&once, &batch).unwrap();
    assert_eq!((&twice, changes), (&once, vec![Change::Unchanged; 2]));
    // Recorded and not done: the power went in between.
    let half = Members { last: once.last, ..ten };
    let (done, changes) = apply(&half, &batch).unwrap();
    assert_eq!(changes, [Change::Admitted, Change::Removed]);
    assert_eq!(done.nodes.len(), 10);
}

#[test]
fn an_older_request_than_the_last_is_refused() {
    let ten = network(10);
    let (joined, _) = apply(&ten, &[join(11, 5)]).unwrap();
    let (left, _) = apply(&joined, &[leave(11, 6)]).unwrap();
    for (members, request) in
        [(&left, join(11, 5)), (&left, join(11, 6)), (&joined, leave(11, 5)), (&joined, leave(11, 4))]
    {
        assert_eq!(apply(members, &[request]), Err(Refused::Overtaken));
    }
    let (back, changes) = apply(&left, &[join(11, 7)]).unwrap();
    assert_eq!((changes, back.nodes.len()), (vec![Change::Admitted], 11));
    // In one batch the times decide, not the order of the files.
    let (gone, changes) = apply(&back, &[leave(11, 9), join(11, 8)]).unwrap();
    assert_eq!((changes, gone.nodes.len()), (vec![Change::Removed, Change::Unchanged], 10));
}

#[test]
fn whom_the_operator_removed_does_not_come_back_with_an_old_request() {
    let (eleven, _) = apply(&network(10), &[join(11, 60_000)]).unwrap();
    let ten = eleven.remove(NET.1, key(11), NOW, 9).unwrap();
    assert_eq!(ten.nodes.len(), 10);
    assert_eq!(apply(&ten, &[join(11, 60_000)]), Err(Refused::Overtaken));
    assert!(apply(&ten, &[join(11, 60_002)]).is_ok());
    assert_eq!(ten.remove(NET.1, key(11), NOW, 9), Err(Refused::NotListed { node: key(11) }));
}

#[test]
fn a_listed_node_that_joins_again_moves_and_keeps_its_swarm() {
    let ten = network(10);
    let moved = request(4, Membership::Join(address(44)), 1);
    let (after, changes) = apply(&ten, &[moved]).unwrap();
    assert_eq!((changes, after.nodes.len()), (vec![Change::Moved], 10));
    let find = |members: &Members| *members.nodes.iter().find(|node| node.ed25519 == key(4)).unwrap();
    assert_eq!(find(&after), SnodeRecord { ip: address(44).ip, ..find(&ten) });
    assert_eq!(apply(&ten, &[join(4, 1)]).unwrap().1, [Change::Unchanged]);
}

#[test]
fn two_nodes_cannot_have_one_address() {
    let ten = network(10);
    for (https_port, quic_port, transport) in [(22021, 1, "TCP"), (1, 22020, "UDP")] {
        let same = JoinAddress { https_port, quic_port, ..address(4) };
        let refused = apply(&ten, &[request(11, Membership::Join(same), 1)]).unwrap_err();
        assert!(
            matches!(&refused, Refused::AddressTaken { transport: t, by, .. } if *t == transport && *by == key(4))
        );
        // The other transport's port is another port.
        let crossed = JoinAddress { https_port: 22020, quic_port: 22021, ..address(4) };
        assert!(apply(&ten, &[request(11, Membership::Join(crossed), 1)]).is_ok());
    }
    // Also within one batch; and an address is free again when its node has left.
    let twin = request(12, Membership::Join(address(11)), 2);
    assert!(matches!(
        ten.apply(NET, &[join(11, 1), twin.clone()], NOW, 8),
        Err((1, Refused::AddressTaken { .. }))
    ));
    assert!(
        apply(
            &ten,
            &[join(11, 1), leave(11, 2), MembershipRequest { issued_at: Timestamp(NOW.0 + 3), ..twin }]
        )
        .is_ok()
    );
}

#[test]
fn a_loopback_address_is_for_networks_on_one_machine() {
    let local = JoinAddress { ip: std::net::Ipv4Addr::LOCALHOST, ..address(1) };
    let request = request(11, Membership::Join(local), 1);
    assert!(matches!(apply(&network(10), std::slice::from_ref(&request)), Err(Refused::Loopback { .. })));
    let mut on_one_machine = network(1);
    on_one_machine.nodes[0].ip = std::net::Ipv4Addr::new(127, 0, 0, 2);
    assert!(apply(&on_one_machine, &[request]).is_ok());
}

#[test]
fn one_bad_request_spoils_the_batch_and_is_named() {
    let ten = network(10);
    let stale = MembershipRequest { issued_at: NOW.minus(REQUEST_LIFETIME * 2), ..join(12, 0) };
    let foreign = MembershipRequest { network_id: "other".into(), ..join(12, 0) };
    let future = join(12, 3_600_000);
    for bad in [stale, foreign, future] {
        let refused = ten.apply(NET, &[join(11, 1), bad], NOW, 8);
        assert!(matches!(refused, Err((1, Refused::Request(_)))), "{refused:?}");
    }
}

#[test]
fn somebody_stays() {
    let one = network(1);
    assert_eq!(apply(&one, &[leave(1, 1)]), Err(Refused::LastNode));
    assert_eq!(one.remove(NET.1, key(1), NOW, 9), Err(Refused::LastNode));
    // Changing places is fine.
    let (other, _) = apply(&one, &[leave(1, 1), join(2, 2)]).unwrap();
    assert_eq!(other.nodes.len(), 1);
    assert_ne!(other.nodes[0].swarm, SwarmId::NONE);
}

#[test]
fn what_is_remembered_is_forgotten_after_a_week() {
    let (members, _) = apply(&network(3), &[join(11, 1), leave(2, 1)]).unwrap();
    assert_eq!(members.last.len(), 2);
    let later = NOW.plus(REMEMBERED_FOR + Duration::from_secs(1));
    let (members, _) = members.apply(NET, &[], later, 8).unwrap();
    assert!(members.last.is_empty());
}
