//! QUIC for clients: who may connect, frames, and how results are wrapped.

use conclave_onion::request::{Destination, seal};
use conclave_proto::bt;
use conclave_transport::quic::{Alpn, Endpoint, Lane, RequestError};
use rand_core::OsRng;
use serde_json::{Value, json};

use crate::raw::{self, Shows, exchange};
use crate::wires::{Way, ask, soon};
use crate::world::{Case, T, case, read};

const ONLY: &[Way] = &[Way::Quic];

pub const CASES: &[Case] = &[
    case!(handshakes, ONLY, ["1.3-alpn", "1.3-client-key", "1.3-server-key"]),
    case!(
        results,
        ONLY,
        [
            "1.3-result-json",
            "1.3-result-bt",
            "1.3-result-binary",
            "1.3-error-text",
            "1.3-error-structured",
            "1.3-unknown-endpoint",
            "1.3-long-endpoint",
            "1.3-empty-body",
            "1.3-bad-body",
            "1.3-ping",
        ]
    ),
    case!(onion_requests, ONLY, ["1.3-onion", "1.3-onion-error"]),
    case!(frames, ONLY, ["1.3-reply", "1.3-numbers", "1.3-split-frames", "1.3-every-stream"]),
    case!(
        bad_frames,
        ONLY,
        ["1.3-zero-length", "1.3-no-length", "1.3-too-long", "1.3-no-list", "1.3-other-streams",]
    ),
];

async fn handshakes(t: T) {
    let node = t.node(0);
    let address = (node.ip, node.quic_port).into();
    raw::quic(address, Shows::RawKey, b"oxenstorage").await.unwrap();
    for alpn in [&b"h3"[..], b"oxenstorage2"] {
        raw::quic(address, Shows::RawKey, alpn).await.unwrap_err();
    }
    t.shows("1.3-alpn");
    raw::quic(address, Shows::Nothing, b"oxenstorage").await.unwrap_err();
    t.shows("1.3-client-key");
    let client = Endpoint::client().unwrap();
    client.dial(address, node.ed25519, Alpn::Client).await.unwrap();
    client.dial(address, t.node(1).ed25519, Alpn::Client).await.unwrap_err();
    t.shows("1.3-server-key");
}

/// The whole error frame of a request.
async fn error(t: &T, endpoint: &str, body: &[u8]) -> String {
    match t.world.quic.request(Lane::Commands, endpoint, body, soon()).await {
        Err(RequestError::Remote(error)) => String::from_utf8(error.to_vec()).unwrap(),
        other => panic!("{endpoint}: {other:?}"),
    }
}

async fn results(t: T) {
    let quic = &t.world.quic;
    let info = read(ask(quic, "info", b"{}").await.1);
    assert_eq!(
        (&info[0], &info[1]["version"], info.as_array().unwrap().len()),
        (&json!(200), &json!([2, 11, 0]), 2)
    );
    t.shows("1.3-result-json");
    let in_bt = bt::Value::decode(&ask(quic, "info", b"de").await.1).unwrap();
    let [status, result] = in_bt.as_list().unwrap() else { panic!("{in_bt:?}") };
    assert_eq!((status.as_u64(), result.field("t").unwrap().as_u64()), (Some(200), Some(t.now())));
    t.shows("1.3-result-bt");
    assert_eq!(ask(quic, "active_nodes_bin", b"de").await.1.len(), 4 * 51);
    t.shows("1.3-result-binary");
    let me = t.user();
    let text = error(&t, "retrieve", json!({"pubkey": me.hex()}).to_string().as_bytes()).await;
    assert_eq!(text, "401 Unauthorized\n\nretrieve: request signature required");
    let text = error(&t, "get_swarm", b"{}").await;
    let missing = "invalid request: Required field 'pubKey' or 'pubkey' missing";
    assert_eq!(text, format!("400 Bad Request\n\n{missing}"));
    for (ttl, ago, expected) in [
        (1, 0, "403 Forbidden\n\nProvided expiry/TTL is not valid."),
        (60_000, 90_000, "406 Not Acceptable\n\nTimestamp error: check your clock"),
    ] {
        let params = json!({"pubkey": me.hex(), "timestamp": t.now() - ago, "ttl": ttl, "data": ""});
        assert_eq!(error(&t, "store", params.to_string().as_bytes()).await, expected);
    }
    t.shows("1.3-error-text");
    let stranger = t.stranger();
    let params = t.storing(&stranger, 0, "x");
    let text = error(&t, "store", params.to_string().as_bytes()).await;
    let list = text.strip_prefix("421 Misdirected Request\n\n").unwrap();
    let list: Value = serde_json::from_str(list).unwrap();
    assert_eq!((&list[0], list[1]["snodes"].as_array().unwrap().len()), (&json!(421), 2));
    let in_bt = format!("d6:pubkey66:{}e", stranger.hex());
    let text = error(&t, "retrieve", in_bt.as_bytes()).await;
    let list =
        bt::Value::decode(text.strip_prefix("421 Misdirected Request\n\n").unwrap().as_bytes()).unwrap();
    assert_eq!(list.as_list().unwrap()[0].as_u64(), Some(421));
    t.shows("1.3-error-structured");
    for name in ["nothing", "storage.store", "Info", ""] {
        assert_eq!(error(&t, name, b"{}").await, format!("Invalid endpoint '{name}'"));
    }
    t.shows("1.3-unknown-endpoint");
    let long = "é".repeat(200);
    assert_eq!(error(&t, &long, b"{}").await, format!("Invalid endpoint '{}'", "é".repeat(80)));
    t.shows("1.3-long-endpoint");
    assert_eq!(read(ask(quic, "info", b"").await.1)[0], 200);
    assert_eq!(error(&t, "get_swarm", b"").await, format!("400 Bad Request\n\n{missing}"));
    t.shows("1.3-empty-body");
    for bad in [&b"[]"[..], b"{", b"d1:", b"le", b"i1e", b"null", b"\xff"] {
        let expected = "400 Bad Request\n\ninvalid body: expected json or bt_dict";
        assert_eq!(error(&t, "info", bad).await, expected, "{bad:?}");
    }
    t.shows("1.3-bad-body");
    for body in [&b""[..], b"de", b"whatever"] {
        assert_eq!(ask(quic, "snode_ping", body).await, (200, b"pong".to_vec()));
    }
    t.shows("1.3-ping");
}

async fn onion_requests(t: T) {
    let (guard, last) = (t.node(0), t.node(2));
    let body = br#"{"method":"info","params":{}}"#;
    let sealed = seal(&[guard, t.node(1)], Destination::Snode { node: &last, body }, &mut OsRng).unwrap();
    let (status, reply) = ask(&t.world.quic, "onion_req", &sealed.body).await;
    assert_eq!(status, 200);
    assert_eq!(sealed.reply.open_snode(&reply).unwrap().status, 200);
    let by_https = t.world.swarm.post(0, "/onion_req/v2", sealed.body.clone()).await;
    assert_eq!(sealed.reply.open_snode(&by_https.body).unwrap().status, 200, "the same body on both");
    t.shows("1.3-onion");
    let refused = error(&t, "onion_req", b"").await;
    assert!(refused.starts_with("400 Bad Request\n\nError parsing onion request: "), "{refused}");
    let strange = conclave_proto::SnodeRecord { ed25519: t.user().key.public(), ..last };
    let sealed = seal(&[guard], Destination::Snode { node: &strange, body }, &mut OsRng).unwrap();
    let refused = error(&t, "onion_req", &sealed.body).await;
    assert_eq!(refused, format!("502 Bad Gateway\n\nNext node not found: {}", strange.ed25519.to_hex()));
    t.shows("1.3-onion-error");
}

async fn connect(t: &T) -> quinn::Connection {
    let node = t.node(0);
    raw::quic((node.ip, node.quic_port).into(), Shows::RawKey, b"oxenstorage").await.unwrap()
}

const PING: &[u8] = b"23:l1:Ci7e10:snode_ping0:e";
const PONG: &[u8] = b"14:l1:Ri7e4:ponge";

async fn frames(t: T) {
    let connection = connect(&t).await;
    assert_eq!(exchange(&connection, PING, PONG.len()).await.unwrap(), PONG);
    let refused = b"36:l1:Ei300e23:Invalid endpoint 'none'e";
    let asked = b"18:l1:Ci300e4:none0:e";
    assert_eq!(exchange(&connection, asked, refused.len()).await.unwrap(), refused);
    t.shows("1.3-reply");
    // A hundred on one stream, in one write; the answers may come in any order.
    let frame = |number: u32| {
        let list = format!("l1:Ci{number}e10:snode_ping0:e");
        format!("{}:{list}", list.len())
    };
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    let asked: String = (100..200).map(frame).collect();
    send.write_all(asked.as_bytes()).await.unwrap();
    let mut answers = vec![0; 100 * b"16:l1:Ri100e4:ponge".len()];
    receive.read_exact(&mut answers).await.unwrap();
    let answers = String::from_utf8(answers).unwrap();
    assert!((100..200).all(|number| answers.contains(&format!("16:l1:Ri{number}e4:ponge"))), "{answers}");
    t.shows("1.3-numbers");
    for piece in PING.chunks(1) {
        send.write_all(piece).await.unwrap();
    }
    let mut answer = vec![0; PONG.len()];
    receive.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, PONG);
    t.shows("1.3-split-frames");
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(connection.open_bi().await.unwrap());
    }
    for (send, receive) in &mut streams {
        send.write_all(PING).await.unwrap();
        let mut answer = vec![0; PONG.len()];
        receive.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, PONG);
    }
    t.shows("1.3-every-stream");
}

async fn bad_frames(t: T) {
    let connection = connect(&t).await;
    let (mut good, mut answers) = connection.open_bi().await.unwrap();
    good.write_all(PING).await.unwrap();
    let mut answer = vec![0; PONG.len()];
    answers.read_exact(&mut answer).await.unwrap();
    for (id, bad) in [
        ("1.3-zero-length", &b"0:"[..]),
        ("1.3-no-length", b"x:l"),
        ("1.3-no-length", b":l"),
        ("1.3-no-length", b"-5:l"),
        ("1.3-no-length", b"123456789012:"),
        ("1.3-too-long", b"10000001:l"),
        ("1.3-no-list", b"2:de"),
        ("1.3-no-list", b"17:l1:Xi1e4:ping0:ee"),
        ("1.3-no-list", b"7:l1:Cxxe"),
    ] {
        // Nothing comes, and the node is the one that ends it.
        assert_eq!(exchange(&connection, bad, 1).await, None, "{bad:?}");
        t.shows(id);
        good.write_all(PING).await.unwrap();
        answers.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, PONG);
    }
    t.shows("1.3-other-streams");
}
