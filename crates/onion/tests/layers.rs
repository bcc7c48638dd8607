//! Layers do what they promise, and anything done to them on the way is noticed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use conclave_crypto::channel::{ChannelKeys, EncType};
use conclave_crypto::{Ed25519Secret, X25519Pair, X25519Secret};
use conclave_onion::peel::{self, Layer, PeelError, Peeled, ReplySealer};
use conclave_onion::request::{
    Destination, LayerSecret, SealedRequest, Server, UnreadableReply, seal_with, seal_with_cipher,
};
use conclave_proto::v4::{V4Reply, V4Request};
use conclave_proto::{SnodeRecord, SwarmId, Version, combined};
use proptest::prelude::*;
use rand_core::OsRng;
use serde_json::{Value, json};

struct Node {
    record: SnodeRecord,
    x25519: X25519Pair,
}

/// The nodes of a path, and the destination at the end.
fn nodes(count: usize) -> Vec<Node> {
    (0..count)
        .map(|number| {
            let secret = Ed25519Secret::from_seed(&[number as u8 + 1; 32]);
            let ed25519 = secret.public();
            let record = SnodeRecord {
                ed25519,
                x25519: ed25519.to_x25519(),
                ip: [127, 0, 0, 1].into(),
                https_port: 1,
                quic_port: 1,
                swarm: SwarmId(0),
                version: Version([0, 1, 0]),
            };
            Node { record, x25519: X25519Pair::new(secret.to_x25519()) }
        })
        .collect()
}

fn request(nodes: &[Node], body: &[u8], enc_type: EncType) -> SealedRequest {
    let (destination, hops) = nodes.split_last().unwrap();
    let hops: Vec<SnodeRecord> = hops.iter().map(|node| node.record).collect();
    let destination = Destination::Snode { node: &destination.record, body };
    seal_with_cipher(enc_type, &hops, destination, &mut OsRng).unwrap()
}

/// What a request comes to when every node does its part: the body at the destination.
fn travel(nodes: &[Node], guard_body: &[u8]) -> Result<(Vec<u8>, ReplySealer), String> {
    let (mut layer, _) = peel::parse_guard_body(guard_body).map_err(|e| e.to_string())?;
    let mut at = 0;
    for _ in nodes {
        match peel::peel(&nodes[at].x25519, &layer).map_err(|e| e.to_string())? {
            Peeled::Final { body, reply } if at == nodes.len() - 1 => return Ok((body, reply)),
            Peeled::Relay { destination, layer: next, .. } => {
                at = nodes
                    .iter()
                    .position(|node| node.record.ed25519 == destination)
                    .ok_or("Next node not found")?;
                layer = next;
            }
            other => return Err(format!("{other:?}")),
        }
    }
    Err("in a circle".into())
}

/// The layer as it reaches each hop.
fn layers(nodes: &[Node], guard_body: &[u8]) -> Vec<Layer> {
    let mut layers = vec![peel::parse_guard_body(guard_body).unwrap().0];
    for node in nodes {
        if let Ok(Peeled::Relay { layer, .. }) = peel::peel(&node.x25519, layers.last().unwrap()) {
            layers.push(layer);
        }
    }
    layers
}

fn authentic() -> impl Strategy<Value = EncType> {
    prop_oneof![Just(EncType::XChaCha20), Just(EncType::AesGcm)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_destination_gets_the_body_and_the_client_its_answer(
        hops in 1usize..6, body in prop::collection::vec(any::<u8>(), 0..2000), status in 100u16..600,
        text in ".{0,200}", cipher in 0u8..3,
    ) {
        let cipher = [EncType::XChaCha20, EncType::AesGcm, EncType::AesCbc][usize::from(cipher)];
        let nodes = nodes(hops + 1);
        let sealed = request(&nodes, &body, cipher);
        let (arrived, reply) = travel(&nodes, &sealed.body).unwrap();
        prop_assert_eq!(arrived, body);
        for answer in [Value::String(text.clone()), json!({"messages": [text.clone()], "t": 1})] {
            let bytes = reply.seal(status, &answer, &mut OsRng);
            let opened = sealed.reply.open_snode(&bytes).unwrap();
            prop_assert_eq!(opened.status, status);
            // Text that is JSON by chance cannot be told from a structured answer.
            if serde_json::from_str::<Value>(&text).is_err() || !answer.is_string() {
                prop_assert_eq!(opened.body, answer);
            }
        }
    }

    #[test]
    fn a_flipped_bit_never_gives_another_body(
        hops in 1usize..4, cipher in authentic(), at: prop::sample::Index, bit in 0u8..8,
    ) {
        let nodes = nodes(hops + 1);
        let mut sealed = request(&nodes, b"a request", cipher);
        let at = at.index(sealed.body.len());
        sealed.body[at] ^= 1 << bit;
        if let Ok((body, _)) = travel(&nodes, &sealed.body) {
            // Only the guard's JSON is in the clear, and some of its spellings say the same: a hex digit in the other
            // case, or another name for the cipher that is meant when none is named.
            prop_assert_eq!(&*body, b"a request");
            let json = 4 + u32::from_le_bytes(sealed.body[..4].try_into().unwrap()) as usize;
            prop_assert!(at >= json, "a bit of what is sealed");
        }
    }

    #[test]
    fn a_truncated_or_lengthened_request_is_refused(
        hops in 1usize..4, cipher in authentic(), at: prop::sample::Index,
        more in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let nodes = nodes(hops + 1);
        let sealed = request(&nodes, b"a request", cipher);
        let cut = &sealed.body[..at.index(sealed.body.len())];
        prop_assert!(travel(&nodes, cut).is_err());
        let longer = [&sealed.body, &*more].concat();
        if travel(&nodes, &longer).is_ok() {
            prop_assert!(more.iter().all(u8::is_ascii_whitespace), "white space after JSON is allowed");
        }
        let doubled = [&*sealed.body, &*sealed.body].concat();
        prop_assert!(travel(&nodes, &doubled).is_err());
    }

    #[test]
    fn a_layer_cut_doubled_or_changed_on_its_way_is_refused(
        cipher in authentic(), hop in 0usize..4, at: prop::sample::Index, bit in 0u8..8,
    ) {
        let nodes = nodes(4);
        let sealed = request(&nodes, b"a request", cipher);
        let layer = &layers(&nodes, &sealed.body)[hop];
        let at = at.index(layer.data.len());
        let mut flipped = layer.clone();
        flipped.data[at] ^= 1 << bit;
        let cut = Layer { data: layer.data[..at].to_vec(), ..layer.clone() };
        let doubled = Layer { data: [&*layer.data, &*layer.data].concat(), ..layer.clone() };
        let other_cipher = match layer.enc_type {
            EncType::XChaCha20 => EncType::AesGcm,
            _ => EncType::XChaCha20,
        };
        let renamed = Layer { enc_type: other_cipher, ..layer.clone() };
        let other_key = Layer { ephemeral_key: *X25519Pair::generate(&mut OsRng).public(), ..layer.clone() };
        for (what, changed) in
            [("flipped", flipped), ("cut", cut), ("doubled", doubled), ("renamed", renamed), ("key", other_key)]
        {
            let peeled = peel::peel(&nodes[hop].x25519, &changed);
            prop_assert_eq!(peeled.err(), Some(PeelError::Ciphertext), "{}", what);
        }
    }

    #[test]
    fn a_changed_reply_is_never_read_as_another(
        base64: bool, cipher in authentic(), at: prop::sample::Index, bit in 0u8..8,
    ) {
        let nodes = nodes(2);
        let sealed = request(&nodes, b"a request", cipher);
        let (_, sealer) = travel(&nodes, &sealed.body).unwrap();
        let plaintext = br#"{"body":"an answer","status":200}"#;
        let reply = if base64 {
            sealer.seal(200, &"an answer".into(), &mut OsRng)
        } else {
            sealer.seal_raw(plaintext, &mut OsRng)
        };
        let opened = sealed.reply.open_snode(&reply).unwrap();
        let at = at.index(reply.len());
        let mut flipped = reply.clone();
        flipped[at] ^= 1 << bit;
        for changed in [flipped, reply[..at].to_vec(), [&*reply, &*reply].concat()] {
            match sealed.reply.open_snode(&changed) {
                Ok(same) => prop_assert_eq!(&same, &opened),
                Err(error) => prop_assert_eq!(error, UnreadableReply::NotAuthentic),
            }
        }
    }

    #[test]
    fn an_answer_is_read_however_it_was_asked_for(
        json: bool, base64: bool, cipher in 0u8..3, status in 100u16..600, text in ".{0,200}",
    ) {
        let cipher = [EncType::XChaCha20, EncType::AesGcm, EncType::AesCbc][usize::from(cipher)];
        let nodes = nodes(2);
        // What stands inside the destination's layer is the client's choice; ours always asks for the default.
        let client = X25519Pair::new(X25519Secret::from_bytes([9; 32]));
        let keys = ChannelKeys::for_client(cipher, &client, nodes[1].x25519.public());
        let control = json!({"headers": "", "json": json, "base64": base64});
        let data = keys.seal(&combined::encode(b"a request", &control), &mut OsRng);
        let layer = Layer { data, enc_type: cipher, ephemeral_key: *client.public() };
        let Ok(Peeled::Final { body, reply }) = peel::peel(&nodes[1].x25519, &layer) else { panic!("not final") };
        prop_assert_eq!(&*body, b"a request");
        prop_assert_eq!((reply.embeds_json(), reply.is_base64()), (json, base64));
        // The reading end of a request with that key.
        let innermost = LayerSecret { enc_type: cipher, ephemeral: client, nonce: [1; 24] };
        let outer = LayerSecret::generate(cipher, &mut OsRng);
        let destination = Destination::Snode { node: &nodes[1].record, body: b"" };
        let key = seal_with(&[nodes[0].record], destination, innermost, &[outer]).unwrap().reply;
        let structured = json!({"messages": [text], "t": 1});
        let sealed = reply.seal(status, &structured, &mut OsRng);
        let blob = conclave_proto::base64::decode(&sealed);
        prop_assert_eq!(blob.is_some(), base64, "raw bytes that happen to be base64 are too rare to meet");
        let plaintext = keys.open(&blob.unwrap_or_else(|| sealed.clone())).unwrap();
        let plaintext: Value = serde_json::from_slice(&plaintext).unwrap();
        prop_assert_eq!(plaintext["body"].is_object(), json);
        let opened = key.open_snode(&sealed).unwrap();
        prop_assert_eq!((opened.status, opened.body), (status, structured));
    }

    #[test]
    fn rubbish_is_refused_in_words(bytes in prop::collection::vec(any::<u8>(), 0..300), json in ".{0,80}") {
        let nodes = nodes(2);
        let sealed = request(&nodes, b"a request", EncType::XChaCha20);
        prop_assert!(peel::parse_guard_body(&bytes).is_err());
        prop_assert!(peel::parse_guard_body(&combined::encode_text(&bytes, &json)).is_err());
        prop_assert!(sealed.reply.open_snode(&bytes).is_err());
        prop_assert!(sealed.reply.open_server(&bytes).is_err());
        // Rubbish that is sealed correctly is told to its sender, sealed.
        let client = X25519Pair::generate(&mut OsRng);
        let keys = ChannelKeys::for_client(EncType::XChaCha20, &client, nodes[0].x25519.public());
        for plaintext in [bytes.clone(), combined::encode_text(&bytes, &json)] {
            let data = keys.seal(&plaintext, &mut OsRng);
            let layer = Layer { data, enc_type: EncType::XChaCha20, ephemeral_key: *client.public() };
            let peeled = peel::peel(&nodes[0].x25519, &layer).unwrap();
            let refused = matches!(peeled, Peeled::Refused { status: 400, text: "Invalid json", .. });
            prop_assert!(refused);
        }
        let (_, sealer) = travel(&nodes, &sealed.body).unwrap();
        let malformed = sealed.reply.open_snode(&sealer.seal_raw(json.as_bytes(), &mut OsRng));
        prop_assert!(matches!(malformed, Err(UnreadableReply::Malformed(_))));
    }
}

#[test]
fn layers_in_another_order_are_refused() {
    let nodes = nodes(4);
    let sealed = request(&nodes, b"a request", EncType::XChaCha20);
    let layers = layers(&nodes, &sealed.body);
    assert_eq!(layers.len(), 4);
    for (hop, node) in nodes.iter().enumerate() {
        for (of, layer) in layers.iter().enumerate() {
            assert_eq!(peel::peel(&node.x25519, layer).is_ok(), hop == of, "layer {of} at hop {hop}");
        }
    }
}

#[test]
fn a_reply_to_one_request_is_not_read_as_the_reply_to_another() {
    let nodes = nodes(4);
    let (first, second) =
        (request(&nodes, b"one", EncType::XChaCha20), request(&nodes, b"two", EncType::XChaCha20));
    let (_, sealer) = travel(&nodes, &first.body).unwrap();
    let reply = sealer.seal(200, &"for the first".into(), &mut OsRng);
    assert!(first.reply.open_snode(&reply).is_ok());
    assert_eq!(second.reply.open_snode(&reply), Err(UnreadableReply::NotAuthentic));
}

#[test]
fn no_layer_but_the_last_shows_the_request_and_none_but_the_first_names_the_second() {
    let nodes = nodes(4);
    let body = b"pubkey 05abcdef";
    let sealed = request(&nodes, body, EncType::XChaCha20);
    let keys: Vec<String> = nodes.iter().map(|node| node.record.ed25519.to_hex()).collect();
    let mut seen = vec![sealed.body.clone()];
    let mut layer = peel::parse_guard_body(&sealed.body).unwrap().0;
    for (hop, node) in nodes.iter().enumerate().take(3) {
        let keys = ChannelKeys::for_server(layer.enc_type, &node.x25519, &layer.ephemeral_key);
        seen.push(keys.open(&layer.data).unwrap());
        let Ok(Peeled::Relay { layer: next, .. }) = peel::peel(&node.x25519, &layer) else {
            panic!("hop {hop} is no relay")
        };
        layer = next;
    }
    let contains = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    for (at, bytes) in seen.iter().enumerate() {
        assert!(!contains(bytes, body), "the request shows at {at}");
        for (hop, key) in keys.iter().enumerate() {
            assert_eq!(contains(bytes, key.as_bytes()), at > 0 && hop == at, "key of hop {hop} at {at}");
        }
    }
}

#[test]
fn a_server_that_knows_only_the_old_cipher_is_understood() {
    let server_key = X25519Pair::generate(&mut OsRng);
    let nodes = nodes(3);
    let server = Server {
        host: "example.org".into(),
        port: 8443,
        https: true,
        target: "/oxen/v4/lsrpc".into(),
        x25519: *server_key.public(),
    };
    let asked = V4Request {
        method: "POST".into(),
        endpoint: "/sequence".into(),
        headers: [].into(),
        body: b"[]".to_vec(),
    };
    let hops: Vec<SnodeRecord> = nodes.iter().map(|node| node.record).collect();
    let destination = Destination::Server { server: &server, request: &asked };
    let sealed = conclave_onion::request::seal(&hops, destination, &mut OsRng).unwrap();
    let mut layer = peel::parse_guard_body(&sealed.body).unwrap().0;
    let posted = loop {
        let node = nodes.iter().find_map(|node| peel::peel(&node.x25519, &layer).ok()).unwrap();
        match node {
            Peeled::Relay { layer: next, .. } => layer = next,
            Peeled::Proxy { server, plaintext, .. } => {
                assert_eq!((&*server.host, server.port, server.https), ("example.org", 8443, true));
                break plaintext;
            }
            other => panic!("{other:?}"),
        }
    };
    let (payload, sealer) = peel::open_at_server(&server_key, &posted).unwrap();
    assert_eq!(V4Request::decode(&payload).unwrap(), asked);
    assert_eq!(V4Request::decode_owned(payload).unwrap(), asked);
    let answer = V4Reply { code: 200, headers: [].into(), body: b"[]".to_vec() };
    // Made and sealed in one buffer.
    let (front, behind) = sealer.room();
    let mut buffer = V4Reply::begin(200, &answer.headers, 2, front, behind);
    let room = buffer.capacity();
    buffer.extend_from_slice(b"[]");
    buffer.extend_from_slice(V4Reply::END);
    assert_eq!(buffer[front..], answer.encode());
    let in_place = sealer.seal_in_place(buffer, &mut OsRng);
    assert_eq!(in_place.capacity(), room, "nothing was moved");
    assert_eq!(sealed.reply.open_server(&in_place).unwrap(), answer);
    assert_eq!(sealed.reply.open_server(&sealer.seal_raw(&answer.encode(), &mut OsRng)).unwrap(), answer);
    let (client_layer, _) = peel::parse_guard_body(&posted).unwrap();
    let old = ChannelKeys::for_server(EncType::AesGcm, &server_key, &client_layer.ephemeral_key);
    assert_eq!(sealed.reply.open_server(&old.seal(&answer.encode(), &mut OsRng)).unwrap(), answer);
}

#[test]
fn a_last_hop_s_refusal_to_pass_a_request_on_to_a_server_is_understood_and_taken_for_no_answer_of_the_server()
{
    let nodes = nodes(3);
    let hops: Vec<SnodeRecord> = nodes.iter().map(|node| node.record).collect();
    let server = Server {
        host: "files.example".into(),
        port: 80,
        https: false,
        target: "/oxen/v4/lsrpc".into(),
        x25519: *X25519Pair::new(X25519Secret::from_bytes([9; 32])).public(),
    };
    let asked =
        V4Request { method: "GET".into(), endpoint: "/file/1".into(), headers: [].into(), body: vec![] };
    let destination = Destination::Server { server: &server, request: &asked };
    let sealed = seal_with_cipher(EncType::XChaCha20, &hops, destination, &mut OsRng).unwrap();
    let layers = layers(&nodes, &sealed.body);
    let refusals: Vec<Vec<u8>> = nodes
        .iter()
        .zip(&layers)
        .filter_map(|(node, layer)| match peel::peel(&node.x25519, layer).unwrap() {
            Peeled::Proxy { reply, .. } => Some(reply.seal(400, &"Invalid url".into(), &mut OsRng)),
            _ => None,
        })
        .collect();
    let refused = UnreadableReply::ExitRefused { status: 400, text: "Invalid url".into() };
    assert_eq!(sealed.reply.open_server(&refusals[0]), Err(refused));
    // Nobody else can say so.
    let other = seal_with_cipher(EncType::XChaCha20, &hops, destination, &mut OsRng).unwrap();
    assert_eq!(other.reply.open_server(&refusals[0]), Err(UnreadableReply::NotAuthentic));
}

#[test]
fn routing_is_read_in_its_order_and_nothing_but_lsrpc_is_dialled() {
    let node = X25519Pair::generate(&mut OsRng);
    let client = X25519Pair::generate(&mut OsRng);
    let key = client.public().to_hex();
    let peel_with = |control: &Value| {
        let keys = ChannelKeys::for_client(EncType::AesGcm, &client, node.public());
        let data = keys.seal(&combined::encode(b"blob", control), &mut OsRng);
        let layer = Layer { data, enc_type: EncType::AesGcm, ephemeral_key: *client.public() };
        match peel::peel(&node, &layer) {
            Ok(Peeled::Final { body, .. }) => format!("final {}", String::from_utf8_lossy(&body)),
            Ok(Peeled::Proxy { server, .. }) => format!("server {}:{}", server.host, server.port),
            Ok(Peeled::Relay { layer, .. }) => format!("relay {}", layer.enc_type),
            Ok(Peeled::Refused { status, text, .. }) => format!("refused {status} {text}"),
            Err(error) => format!("{} {error}", error.status()),
        }
    };
    let known = Ed25519Secret::from_seed(&[1; 32]).public().to_hex();
    let target = "/oxen/v4/lsrpc";
    let nobody = "ff".repeat(32);
    let cases = [
        (json!({"headers": null, "host": "h", "destination": known}), "final blob"),
        (json!({"host": "h", "target": target, "destination": known, "ephemeral_key": key}), "server h:443"),
        (json!({"host": "h", "target": target, "port": 80, "protocol": "http"}), "server h:80"),
        (json!({"host": "h", "target": target, "protocol": "gopher"}), "refused 400 Invalid url"),
        (json!({"host": "h/x?y", "target": target}), "refused 400 Invalid url"),
        (json!({"host": "h\r\nX: y", "target": target}), "refused 400 Invalid url"),
        (json!({"host": "", "target": target}), "refused 400 Invalid url"),
        (json!({"host": "h", "target": "/oxen/\r\n/lsrpc"}), "refused 400 Invalid url"),
        (json!({"host": "h", "target": "/other/lsrpc"}), "refused 400 Invalid url"),
        (json!({"host": "h", "target": target, "port": 65536}), "refused 400 Invalid json"),
        (json!({"host": "h"}), "refused 400 Invalid json"),
        (json!({"destination": known, "ephemeral_key": key}), "relay aes-gcm"),
        (json!({"destination": known, "ephemeral_key": key, "enc_type": "cbc"}), "relay aes-cbc"),
        (
            json!({"destination": known, "ephemeral_key": key, "enc_type": "rot13"}),
            "refused 400 Invalid json",
        ),
        (json!({"destination": known}), "refused 400 Invalid json"),
        (json!({"destination": known, "ephemeral_key": "00".repeat(32)}), "refused 400 Invalid json"),
        (
            json!({"destination": nobody, "ephemeral_key": key}),
            &*format!("502 Next node not found: {nobody}"),
        ),
        (json!({}), "refused 400 Invalid json"),
    ];
    for (control, expected) in cases {
        assert_eq!(peel_with(&control), expected, "{control}");
    }
}

#[test]
fn what_a_guard_refuses_it_refuses_in_the_words_clients_match() {
    let key = X25519Pair::generate(&mut OsRng).public().to_hex();
    let words = |control: Value| match peel::parse_guard_body(&combined::encode(b"blob", &control)) {
        Ok((layer, hop_no)) => format!("{} {hop_no}", layer.enc_type),
        Err(error) => format!("{} {error}", error.status()),
    };
    assert_eq!(words(json!({"ephemeral_key": key})), "aes-gcm 0");
    assert_eq!(
        words(json!({"ephemeral_key": key, "enc_type": "xchacha20-poly1305", "hop_no": 15})),
        "xchacha20 15"
    );
    assert_eq!(
        words(json!({"ephemeral_key": key, "hop_no": 16})),
        "400 onion request max path length exceeded"
    );
    for bad in [
        json!({}),
        json!([]),
        json!({"ephemeral_key": "00".repeat(32)}),
        json!({"ephemeral_key": key, "enc_type": "rot13"}),
        json!({"ephemeral_key": key, "hop_no": -1}),
    ] {
        let words = words(bad);
        assert!(words.starts_with("400 Error parsing onion request: "), "{words}");
    }
}
