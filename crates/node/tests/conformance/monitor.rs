//! Push servers that subscribe to accounts.

use std::collections::BTreeMap;

use conclave_crypto::Signature;
use conclave_proto::bt;
use conclave_proto::peer::{PushedMessage, encode_push};
use conclave_proto::{Namespace, Timestamp};
use conclave_transport::quic::{Alpn, Connection, Endpoint};
use serde_json::json;

use crate::askers::{Me, with};
use crate::raw::{self, Shows};
use crate::wires::{Way, ask};
use crate::world::{Case, T, case, played};

const ONLY: &[Way] = &[Way::Quic];

pub const CASES: &[Case] = &[
    case!(
        answers,
        ONLY,
        [
            "8.2-success",
            "8.2-list",
            "8.2-arguments",
            "8.2-pubkey",
            "8.2-namespaces",
            "8.2-timestamp",
            "8.2-signature",
            "8.2-swarm",
            "8.2-signed-text",
            "8.2-key-ed25519",
            "8.2-token",
        ]
    ),
    case!(
        notifications,
        ONLY,
        ["8.2-notify", "8.2-data", "8.2-duplicates", "8.2-namespace-only", "8.2-union", "4.5-quiet",]
    ),
    case!(streams, ONLY, ["8.2-first-stream"]),
];

pub type Dict = BTreeMap<Vec<u8>, bt::Value>;

/// A subscription; `d` is given only if it is 1.
pub fn subscription(me: &Me, namespaces: &[i64], data: bool, seconds: u64) -> Dict {
    let list: Vec<String> = namespaces.iter().map(ToString::to_string).collect();
    let text = format!("MONITOR{}{seconds}{}{}", me.hex(), u8::from(data), list.join(","));
    let signature = me.key.sign(text.as_bytes());
    let int = |number: i64| bt::Value::from(bt::Int::from(number));
    let mut dict = Dict::from([
        (b"n".to_vec(), bt::Value::List(namespaces.iter().map(|namespace| int(*namespace)).collect())),
        (b"s".to_vec(), signature.as_bytes().as_slice().into()),
        (b"t".to_vec(), int(seconds as i64)),
    ]);
    if me.id.as_bytes()[0] == 5 {
        dict.insert(b"P".to_vec(), me.key.public().as_bytes().as_slice().into());
    } else {
        dict.insert(b"p".to_vec(), me.id.as_bytes().as_slice().into());
    }
    if data {
        dict.insert(b"d".to_vec(), int(1));
    }
    dict
}

pub async fn asked(connection: &Connection, body: &[u8]) -> bt::Value {
    let (status, reply) = ask(connection, "monitor", body).await;
    assert_eq!(status, 200);
    bt::Value::decode(&reply).unwrap()
}

pub fn code(answer: &bt::Value) -> Option<u64> {
    let code = answer.field("errcode").and_then(bt::Value::as_u64);
    assert_eq!(code.is_some(), answer.field("error").is_some(), "{answer:?}");
    assert_eq!(code.is_none(), answer.field("success").and_then(bt::Value::as_u64) == Some(1), "{answer:?}");
    code
}

async fn answers(t: T) {
    let me = t.user();
    let group = t.group();
    let now = t.now() / 1_000;
    let quic = &t.world.quic;
    let day = 24 * 60 * 60;
    let try_one = async |dict: Dict| code(&asked(quic, &bt::Value::Dict(dict).encode()).await);
    let good = || subscription(&me, &[0, 3], false, now);
    assert_eq!(try_one(good()).await, None);
    t.shows("8.2-success");
    assert_eq!(try_one(subscription(&group, &[-11, 11], true, now)).await, None);
    assert_eq!(try_one(subscription(&t.of_type(5), &[0], false, now)).await, Some(5), "P of another account");
    let odd = t.of_type(5);
    let mut by_id = subscription(&odd, &[0], false, now);
    by_id.remove(&b"P"[..]).unwrap();
    by_id.insert(b"p".to_vec(), odd.id.as_bytes().as_slice().into());
    assert_eq!(try_one(by_id).await, None, "its key is its id");
    t.shows("8.2-key-ed25519");
    t.shows("8.2-signed-text");
    let changed = |key: &str, value: Option<bt::Value>| {
        let mut dict = good();
        match value {
            Some(value) => dict.insert(key.into(), value),
            None => dict.remove(key.as_bytes()),
        };
        dict
    };
    let ints = |numbers: &[i64]| bt::Value::List(numbers.iter().map(|n| bt::Int::from(*n).into()).collect());
    let int = |number: i64| bt::Value::from(bt::Int::from(number));
    for bad in [&b"i1e"[..], b"", b"5:abcde", b"l", b"\xff"] {
        let answer = bt::Value::decode(&ask(quic, "monitor", bad).await.1).unwrap();
        assert_eq!(code(&answer), Some(1), "{bad:?}");
    }
    let member = group.member(1, 3, 1);
    for (id, dict, expected) in [
        ("8.2-arguments", changed("T", Some(member.token().bytes.as_slice().into())), 1),
        ("8.2-arguments", changed("s", None), 1),
        ("8.2-arguments", changed("d", Some(int(2))), 1),
        ("8.2-pubkey", changed("P", None), 2),
        ("8.2-pubkey", changed("p", Some(group.id.as_bytes().as_slice().into())), 2),
        ("8.2-pubkey", changed("P", Some("short".into())), 2),
        ("8.2-pubkey", changed("P", Some([0xff; 32].as_slice().into())), 2),
        ("8.2-namespaces", changed("n", None), 3),
        ("8.2-namespaces", changed("n", Some(ints(&[]))), 3),
        ("8.2-namespaces", changed("n", Some(ints(&[3, 0]))), 3),
        ("8.2-namespaces", changed("n", Some(ints(&[3, 3]))), 3),
        ("8.2-namespaces", changed("n", Some(ints(&[40_000]))), 3),
        ("8.2-timestamp", changed("t", None), 4),
        ("8.2-timestamp", subscription(&me, &[0], false, now - 14 * day - 2), 4),
        ("8.2-timestamp", subscription(&me, &[0], false, now + day + 2), 4),
        ("8.2-timestamp", subscription(&me, &[0], false, t.now()), 4),
        ("8.2-signature", changed("t", Some(int(now as i64 - 1))), 5),
        ("8.2-signature", changed("n", Some(ints(&[0]))), 5),
        ("8.2-signature", changed("d", Some(int(1))), 5),
    ] {
        assert_eq!(try_one(dict).await, Some(expected), "{id}");
        t.shows(id);
    }
    for seconds in [now - 14 * day + 60, now + day - 60] {
        assert_eq!(try_one(subscription(&me, &[0], false, seconds)).await, None);
    }
    let stranger = subscription(&t.stranger(), &[0], false, now);
    let answer = asked(quic, &bt::Value::Dict(stranger.clone()).encode()).await;
    assert_eq!(code(&answer), Some(6));
    assert_eq!(answer.field("swarm").and_then(bt::Value::as_text), Some("8000000000000000"));
    let first = &answer.field("snodes").unwrap().as_list().unwrap()[0];
    assert!(first.field("pubkey_ed25519").is_some() && first.field("port_quic").is_some());
    t.shows("8.2-swarm");

    let of_member = |member: &Me| {
        let signature = conclave_proto::base64::decode(&member.token().signature).unwrap();
        let mut dict = subscription(member, &[11], false, now);
        dict.insert(b"S".to_vec(), Signature::from_slice(&signature).unwrap().as_bytes().as_slice().into());
        dict.insert(b"T".to_vec(), member.token().bytes.as_slice().into());
        dict
    };
    assert_eq!(try_one(of_member(&member)).await, None);
    assert_eq!(try_one(of_member(&group.member(1, 3, 6))).await, Some(5));
    let text = [format!("revoke_subaccount{}", t.now()).as_bytes(), &member.token().bytes].concat();
    let token = hex::encode(member.token().bytes);
    let revoking = group.signed(text, json!({"revoke": token, "timestamp": t.now()}));
    t.ok("revoke_subaccount", &revoking).await;
    assert_eq!(try_one(of_member(&member)).await, None);
    t.shows("8.2-token");

    let list = bt::Value::List(vec![bt::Value::Dict(good()), bt::Value::Dict(stranger), ints(&[1])]);
    let answers = asked(quic, &list.encode()).await;
    let codes: Vec<Option<u64>> = answers.as_list().unwrap().iter().map(code).collect();
    assert_eq!(codes, [None, Some(6), Some(1)]);
    assert_eq!(asked(quic, b"le").await, bt::Value::List(Vec::new()));
    t.shows("8.2-list");
}

async fn notifications(t: T) {
    let me = t.user();
    let now = t.now() / 1_000;
    let node = t.node(0);
    let endpoint = Endpoint::client().unwrap();
    let connection =
        endpoint.dial((node.ip, node.quic_port).into(), node.ed25519, Alpn::Client).await.unwrap();
    let mut told = connection.notifications();
    let mut next = async || {
        let told = told.recv().await.unwrap();
        assert_eq!(told.endpoint, "notify");
        let bt::Value::Dict(dict) = bt::Value::decode(&told.body).unwrap() else { panic!("{told:?}") };
        dict
    };
    let subscribe = async |dict: Dict| {
        assert_eq!(code(&asked(&connection, &bt::Value::Dict(dict).encode()).await), None);
    };
    subscribe(subscription(&me, &[0], false, now)).await;
    t.store(&me, 0, "one").await;
    let int = |number: u64| bt::Value::from(bt::Int::from(number));
    let notified = |namespace: i16, text: &str| {
        let hash = me.hash(namespace, text);
        Dict::from([
            (b"@".to_vec(), me.id.as_bytes().as_slice().into()),
            (b"h".to_vec(), hash.as_str().into()),
            (b"n".to_vec(), int(namespace as u64)),
            (b"t".to_vec(), int(t.now())),
            (b"z".to_vec(), int(t.now() + 3_600_000)),
        ])
    };
    assert_eq!(next().await, notified(0, "one"));
    t.shows("8.2-notify");
    // None of these is told: again the same, another mailbox, another account, a push of another node.
    t.ok("store", &with(t.storing(&me, 0, "one"), json!({"ttl": 7_200_000}))).await;
    t.store(&me, 2, "config").await;
    t.store(&t.user(), 0, "one").await;
    let (_endpoint, node) = played(&t.world).await;
    let pushed = PushedMessage {
        account: me.id,
        hash: me.hash(0, "pushed").into_bytes(),
        timestamp: Timestamp(t.now()),
        expiry: Timestamp(t.now() + 60_000),
        data: b"pushed".to_vec(),
        namespace: Namespace(0),
    };
    assert_eq!(ask(&node, "data", &encode_push(&[pushed])).await, (200, b"OK".to_vec()));
    assert_eq!(t.texts(&me, 0).await, ["one", "pushed"]);
    // Through another member as well.
    let body = json!({"method": "store", "params": t.storing(&me, 0, "two")});
    assert_eq!(t.world.swarm.rpc(1, &body).await.0, 200);
    assert_eq!(next().await, notified(0, "two"));
    t.shows("8.2-duplicates");
    t.shows("8.2-namespace-only");
    t.shows("4.5-quiet");
    subscribe(subscription(&me, &[2], true, now)).await;
    for (namespace, text) in [(0, "three"), (2, "four")] {
        t.store(&me, namespace, text).await;
        let mut expected = notified(namespace, text);
        expected.insert(b"~".to_vec(), text.into());
        assert_eq!(next().await, expected);
    }
    t.shows("8.2-data");
    t.shows("8.2-union");
}

async fn streams(t: T) {
    let me = t.user();
    let node = t.node(0);
    // Its first stream has carried the ping of the handshake.
    let address = (node.ip, node.quic_port).into();
    let (connection, mut first) = raw::quic_and_first_stream(address, Shows::RawKey).await;
    let body = bt::Value::Dict(subscription(&me, &[0], false, t.now() / 1_000)).encode();
    let mut frame = format!("l1:Ci9e7:monitor{}:", body.len()).into_bytes();
    frame.extend(&body);
    frame.push(b'e');
    let frame = [format!("{}:", frame.len()).as_bytes(), &frame].concat();
    let success = b"25:l1:Ri9e14:d7:successi1eee";
    assert_eq!(raw::exchange(&connection, &frame, success.len()).await.unwrap(), success);
    t.store(&me, 0, "x").await;
    let hash = me.hash(0, "x");
    let rest = format!("1:h43:{hash}1:ni0e1:ti{}e1:zi{}ee", t.now(), t.now() + 3_600_000);
    let notification = [b"d1:@33:", me.id.as_bytes().as_slice(), rest.as_bytes()].concat();
    let head = format!("l1:Ci1e6:notify{}:", notification.len());
    let frame = [head.as_bytes(), &notification, b"e"].concat();
    let expected = [format!("{}:", frame.len()).as_bytes(), &frame].concat();
    let mut told = vec![0; expected.len()];
    first.read_exact(&mut told).await.unwrap();
    assert_eq!(told, expected, "{}", String::from_utf8_lossy(&told));
    t.shows("8.2-first-stream");
}
