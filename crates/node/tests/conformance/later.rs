//! What time does.

use conclave_proto::{Timestamp, bt};
use conclave_transport::quic::{Alpn, Endpoint};
use serde_json::json;

use crate::askers::with;
use crate::monitor::{asked, code, subscription};
use crate::wires::{ALL, Way};
use crate::world::{Case, T, case};

pub const CASES: &[Case] =
    &[case!(messages, ALL, ["3-expired"]), case!(subscriptions, &[Way::Quic], ["8.2-lapses", "8.2-renewed"])];

async fn messages(t: T) {
    let me = t.user();
    t.ok("store", &with(t.storing(&me, 0, "short"), json!({"ttl": 10_000}))).await;
    t.store(&me, 0, "long").await;
    t.later(10_000);
    for node in &t.world.swarm.nodes {
        node.store().sweep_expired(Timestamp(t.now())).await.unwrap();
    }
    assert_eq!(t.texts(&me, 0).await, ["long"]);
    let (short, long) = (me.hash(0, "short"), me.hash(0, "long"));
    assert_eq!(t.expiries(&me, &[&short, &long]).await.as_object().unwrap().len(), 1);
    let again = t.store(&me, 0, "short").await;
    assert_eq!(again["swarm"][t.node(0).ed25519.to_hex()].get("already"), None);
    t.shows("3-expired");
}

async fn subscriptions(t: T) {
    const MINUTE: u64 = 60_000;
    let (once, renewed) = (t.user(), t.user());
    let node = t.node(0);
    let endpoint = Endpoint::client().unwrap();
    let address = (node.ip, node.quic_port).into();
    let connection = endpoint.dial(address, node.ed25519, Alpn::Client).await.unwrap();
    let mut told = connection.notifications();
    let subscribe = async |me| {
        let dict = subscription(me, &[0], false, t.now() / 1_000);
        assert_eq!(code(&asked(&connection, &bt::Value::Dict(dict).encode()).await), None);
    };
    let mut next = async || {
        let body = told.recv().await.unwrap().body;
        bt::Value::decode(&body).unwrap().field("h").unwrap().as_text().unwrap().to_owned()
    };
    subscribe(&once).await;
    subscribe(&renewed).await;
    t.later(64 * MINUTE);
    t.store(&once, 0, "in time").await;
    assert_eq!(next().await, once.hash(0, "in time"));
    subscribe(&renewed).await;
    t.later(2 * MINUTE);
    t.store(&once, 0, "too late").await;
    t.store(&renewed, 0, "in time").await;
    assert_eq!(next().await, renewed.hash(0, "in time"));
    t.shows("8.2-lapses");
    t.shows("8.2-renewed");
}
