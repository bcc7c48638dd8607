//! A network given by its address and fingerprint.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use common::{Home, Net};
use conclave_proto::network::NetworkFile;
use conclave_transport::http::{Options, Reply};
use conclave_transport::https::{Certificate, listen};

#[tokio::test(flavor = "multi_thread")]
async fn the_right_fingerprint_opens_a_network_and_a_wrong_one_does_not() {
    let home = Home::new();
    let net = Net::start(&home, 4);
    let file = std::fs::read(net.ready["network"].as_str().unwrap()).unwrap();
    let fingerprint = NetworkFile::fingerprint(&file);
    let served = file.clone();
    let server = listen(
        "127.0.0.1:0".parse().unwrap(),
        &Certificate::generate().unwrap(),
        Options::default(),
        move |_| std::future::ready(Reply::json(200, served.clone())),
    )
    .await
    .unwrap();
    let address = format!("https://{}/network.json", server.local_addr());

    let elsewhere = Home::new();
    let create = |network: &str| {
        elsewhere.run(&["account", "create", "--name", "Far", "--profile", "far", "--network", network])
    };
    // Without a terminal nothing asks; the hint names the address with the pin.
    let error = create(&address).fails_with(2);
    assert!(error["hint"].as_str().unwrap().contains(&fingerprint), "{error}");
    let error = create(&format!("{address}#sha256={}", "0".repeat(64))).fails_with(1);
    assert_eq!(error["kind"], "network_fingerprint");
    create(&format!("{address}#sha256={fingerprint}")).ok();
    // Pinned: the profile remembers it.
    let status = elsewhere.run(&["status", "--profile", "far"]).ok().event("status");
    assert_eq!(status["nodes"], 4);
    server.shutdown(std::time::Duration::from_secs(5)).await;
    net.stop();
}
