//! Programs of others find the file server they know, in front of files in swarms.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::net::SocketAddr;

use common::chunks::{DAY, data, file_key, in_days, storing};
use common::{Swarm, b64, now};
use conclave_crypto::X25519Pair;
use conclave_crypto::channel::{ChannelKeys, EncType};
use conclave_node::{Hooks, NodeConfig};
use conclave_onion::request::{Destination, Server, seal};
use conclave_proto::chunk::{BlobId, CHUNK_SIZE, ChunkHash, Manifest};
use conclave_proto::v4::{V4Reply, V4Request};
use conclave_proto::{base64, combined};
use rand_core::OsRng;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Two swarms of two; the first node is a file server, and the others dial it.
async fn network() -> (Swarm, SocketAddr) {
    network_with(Hooks::default()).await
}

async fn network_with(hooks: Hooks) -> (Swarm, SocketAddr) {
    let mut swarm = Swarm::listed(&[0, 0, 1 << 63, 1 << 63]);
    let server = NodeConfig { file_server_port: Some(0), ..swarm.config(0) };
    swarm.nodes.push(common::start(&server, hooks).await);
    let address = swarm.nodes[0].addresses().file_server.unwrap();
    for node in 1..4 {
        let allowed = vec![address.to_string().parse().unwrap()];
        let config = NodeConfig { proxy_allow: allowed, ..swarm.config(node) };
        swarm.nodes.push(common::start(&config, Hooks::default()).await);
    }
    (swarm, address)
}

/// Status, headers and body.
async fn http(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // Whoever is refused for its size may be told before it has said everything.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    (head[9..12].parse().unwrap(), head.to_lowercase(), answer[end + 4..].to_vec())
}

async fn get(to: SocketAddr, path: &str) -> (u16, Vec<u8>) {
    let (status, _, body) = http(to, "GET", path, "", b"").await;
    (status, body)
}

fn json_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_up_directly_and_comes_down_as_it_was_from_its_swarms() {
    let (swarm, server) = network().await;
    let file = data(1, 2 * CHUNK_SIZE + 1_000);
    let (status, _, answer) = http(server, "POST", "/file", "", &file).await;
    let answer = json_of(&answer);
    assert_eq!(status, 200, "{answer}");
    let id = answer["id"].as_str().unwrap().to_owned();
    let expires = answer["expires"].as_f64().unwrap();
    let in_14_days = now().plus(DAY * 14).0 as f64 / 1000.0;
    assert!((in_14_days - expires).abs() < 60.0, "{answer}");

    let (status, head, body) = http(server, "GET", &format!("/file/{id}"), "", b"").await;
    assert_eq!((status, body == file), (200, true));
    assert!(head.contains("content-type: application/octet-stream") && head.contains("expires: "), "{head}");
    // Each chunk is kept by the members of its swarm and nobody else, and the file server may keep none.
    for piece in file.chunks(CHUNK_SIZE) {
        let hash = ChunkHash::of(piece);
        let view = swarm.nodes[0].view();
        let owner = hash.swarm(view.directory().swarms());
        for (node, record) in swarm.listed.iter().enumerate() {
            assert_eq!(swarm.chunk_file(node, &hash).exists(), Some(record.swarm) == owner);
        }
    }
    let (status, info) = get(server, &format!("/file/{id}/info")).await;
    let info = json_of(&info);
    assert_eq!((status, &info["size"]), (200, &json!(file.len())));
    assert!((info["expires"].as_f64().unwrap() - expires).abs() < 1.0, "{info}");
    // Lengthening for less changes nothing.
    let extend = format!("/file/{id}/extend");
    let (status, _, shorter) = http(server, "POST", &extend, "X-FS-TTL: 60\r\n", b"").await;
    assert_eq!((status, &json_of(&shorter)["expires"]), (200, &info["expires"]));
    let (status, _, longer) = http(server, "POST", &extend, "", b"").await;
    assert_eq!(status, 200);
    assert!(json_of(&longer)["expires"].as_f64().unwrap() > info["expires"].as_f64().unwrap());

    let (status, old) = get(server, &format!("/files/{id}")).await;
    assert_eq!((status, json_of(&old)), (200, json!({"status_code": 200, "result": b64(&file)})));
    let small = json!({"file": b64(b"a small one")}).to_string();
    let (status, _, answer) = http(server, "POST", "/files", "", small.as_bytes()).await;
    let id = json_of(&answer)["result"].as_str().unwrap().to_owned();
    assert_eq!((status, get(server, &format!("/file/{id}")).await), (200, (200, b"a small one".to_vec())));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_does_not_serve_it_says_in_the_words_of_file_servers() {
    let (swarm, server) = network().await;
    let unknown = BlobId::of_manifest(ChunkHash::of(b"nobody has this"));
    for (path, status) in [
        (format!("/file/{unknown}"), 404),
        (format!("/file/{unknown}/info"), 404),
        ("/file/1234567890123".to_owned(), 404),
        ("/file/".to_owned(), 404),
        ("/session_version?platform=desktop".to_owned(), 502),
        ("/session_version?platform=toaster".to_owned(), 404),
        ("/storage_rpc/v1".to_owned(), 404),
        ("/metrics".to_owned(), 404),
    ] {
        let (code, body) = get(server, &path).await;
        assert_eq!((code, json_of(&body)), (status, json!({"status_code": status})), "{path}");
    }
    for body in [&b""[..], &vec![7; 10_223_617]] {
        assert_eq!(http(server, "POST", "/file", "", body).await.0, 413);
    }
    assert_eq!(http(server, "POST", "/file", "X-FS-TTL: 99999999\r\n", b"x").await.0, 400);
    assert_eq!(http(server, "POST", "/oxen/v4/lsrpc", "", b"rubbish").await.0, 400);
    assert_eq!(http(server, "POST", "/json_rpc", "", b"{}").await.0, 404);
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_file_goes_up_and_comes_down() {
    let (swarm, server) = network().await;
    let file = data(2, 10_223_616);
    let (status, _, answer) = http(server, "POST", "/file", "", &file).await;
    assert_eq!(status, 200);
    let id = json_of(&answer)["id"].as_str().unwrap().to_owned();
    let (status, body) = get(server, &format!("/file/{id}")).await;
    assert_eq!((status, body == file), (200, true));
    swarm.stop().await;
}

/// An onion request of the fourth form to the first node as a server: the three others are the path, and the last of them dials it.
async fn fourth(swarm: &Swarm, server: SocketAddr, method: &str, endpoint: &str, body: &[u8]) -> V4Reply {
    let hops = [swarm.listed[1], swarm.listed[2], swarm.listed[3]];
    let place = Server {
        host: server.ip().to_string(),
        port: server.port(),
        https: false,
        target: "/oxen/v4/lsrpc".to_owned(),
        x25519: swarm.listed[0].x25519,
    };
    let request = V4Request {
        method: method.to_owned(),
        endpoint: endpoint.to_owned(),
        headers: [("X-FS-TTL".to_owned(), "3600".to_owned())].into(),
        body: body.to_vec(),
    };
    let destination = Destination::Server { server: &place, request: &request };
    let sealed = seal(&hops, destination, &mut OsRng).unwrap();
    let reply = swarm.post(1, "/onion_req/v2", sealed.body.clone()).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    sealed.reply.open_server(&reply.body).unwrap()
}

/// One of the third form, as the last hop posts it.
async fn third(swarm: &Swarm, server: SocketAddr, path: &str, request: &Value) -> Value {
    let ephemeral = X25519Pair::generate(&mut OsRng);
    let keys = ChannelKeys::for_client(EncType::AesGcm, &ephemeral, &swarm.listed[0].x25519);
    let control = json!({"ephemeral_key": ephemeral.public().to_hex(), "enc_type": "aes-gcm"});
    let sealed = keys.seal(request.to_string().as_bytes(), &mut OsRng);
    let (status, _, body) = http(server, "POST", path, "", &combined::encode(&sealed, &control)).await;
    assert_eq!(status, 200);
    json_of(&keys.open(&base64::decode(&body[..]).unwrap()).unwrap())
}

/// The most that a request may hold.
const LARGEST_SHARE: usize = 16 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn no_request_holds_more_than_16_mb_of_a_file_whatever_its_size_and_way() {
    let (swarm, server) = network().await;
    let file = data(5, 10_223_616);
    let (_, _, answer) = http(server, "POST", "/file", "", &file).await;
    let id = json_of(&answer)["id"].as_str().unwrap().to_owned();
    assert_eq!(fourth(&swarm, server, "GET", &format!("/file/{id}"), b"").await.code, 413, "no hop takes it");
    assert_eq!(get(server, &format!("/files/{id}")).await.0, 413);

    let file = data(6, 9_900_000);
    let stored = json_of(&fourth(&swarm, server, "POST", "/file", &file).await.body);
    let id = stored["id"].as_str().unwrap();
    let got = fourth(&swarm, server, "GET", &format!("/file/{id}"), b"").await;
    assert_eq!((got.code, got.body == file), (200, true));

    let file = data(7, 4_800_000);
    let body = json!({"file": b64(&file)}).to_string();
    let (status, _, answer) = http(server, "POST", "/files", "", body.as_bytes()).await;
    assert_eq!(status, 200);
    let id = json_of(&answer)["result"].as_str().unwrap().to_owned();
    assert!(json_of(&get(server, &format!("/files/{id}")).await.1)["result"] == json!(b64(&file)));
    let upload = json!({"method": "POST", "endpoint": "files", "body": body, "headers": {}});
    assert_eq!(third(&swarm, server, "/loki/v3/lsrpc", &upload).await["result"], json!(id));
    let download = json!({"method": "GET", "endpoint": format!("/files/{id}"), "body": null});
    assert!(third(&swarm, server, "/loki/v3/lsrpc", &download).await["result"] == json!(b64(&file)));

    let memory = swarm.nodes[0].file_memory();
    assert!(memory.largest <= LARGEST_SHARE && memory.most <= 4 * LARGEST_SHARE, "{memory:?}");
    assert!(memory.largest > 10_223_616, "what is held is counted: {memory:?}");
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_out_directly_a_piece_at_a_time_however_large_it_is() {
    let (swarm, server) = network().await;
    let file = data(8, 60 * CHUNK_SIZE + 1);
    let hashes = file.chunks(CHUNK_SIZE).map(ChunkHash::of).collect();
    let manifest = Manifest::new(file.len() as u64, hashes).unwrap();
    let list = manifest.encode();
    let view = swarm.nodes[0].view();
    for piece in file.chunks(CHUNK_SIZE).chain([&list[..]]) {
        let owner = ChunkHash::of(piece).swarm(view.directory().swarms());
        let member = swarm.listed.iter().position(|record| Some(record.swarm) == owner).unwrap();
        let (status, answer) = swarm.over_onions(member, &storing(piece, &file_key(8), in_days(1))).await;
        assert_eq!(status, 200, "{answer}");
    }
    let id = manifest.id();
    let (status, body) = get(server, &format!("/file/{id}")).await;
    assert_eq!((status, body == file), (200, true));
    let memory = swarm.nodes[0].file_memory();
    assert!(memory.largest < 2 * 1024 * 1024, "{memory:?}");
    assert_eq!(fourth(&swarm, server, "GET", &format!("/file/{id}"), b"").await.code, 413);
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_room_is_told_when_to_come_again() {
    let (swarm, server) = network_with(Hooks { file_room: 6 * 1024 * 1024, ..Hooks::default() }).await;
    let (fits, too_much) = (data(9, 1_500_000), data(9, 3_000_000));
    let (status, head, _) = http(server, "POST", "/file", "", &too_much).await;
    assert_eq!(status, 503);
    assert!(head.contains("retry-after: 5"), "{head}");
    let refused = fourth(&swarm, server, "POST", "/file", &too_much).await;
    assert_eq!((refused.code, refused.headers["retry-after"].as_str()), (503, "5"));
    let stored = json_of(&fourth(&swarm, server, "POST", "/file", &fits).await.body);
    let id = stored["id"].as_str().unwrap();
    assert!(fourth(&swarm, server, "GET", &format!("/file/{id}"), b"").await.body == fits);
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_onion_request_to_the_node_as_a_server_is_answered_in_both_forms() {
    let (swarm, server) = network().await;
    let ask = async |method: &str, endpoint: &str, body: &[u8]| {
        fourth(&swarm, server, method, endpoint, body).await
    };
    let file = data(3, 500_000);
    let stored = ask("POST", "/file", &file).await;
    assert_eq!((stored.code, stored.headers["content-type"].as_str()), (200, "application/json"));
    let stored = json_of(&stored.body);
    let in_an_hour = now().0 as f64 / 1000.0 + 3600.0;
    assert!((stored["expires"].as_f64().unwrap() - in_an_hour).abs() < 60.0, "{stored}");
    let id = stored["id"].as_str().unwrap();
    let got = ask("GET", &format!("/file/{id}"), b"").await;
    assert_eq!((got.code, got.body == file), (200, true));
    assert_eq!(ask("GET", "/file/nothing", b"").await.code, 404);

    // Clients find it by what it says of itself.
    for (node, is_one) in [(0, true), (1, false)] {
        let (_, info) = swarm.rpc(node, &json!({"method": "info", "params": {}})).await;
        let offer = json!(format!("conclave_file_server:{}", server.port()));
        assert_eq!(info["conclave"].as_array().unwrap().contains(&offer), is_one, "{info}");
    }

    let v3 = async |path: &str, request: Value| third(&swarm, server, path, &request).await;
    let body = json!({"file": b64(b"an old one")}).to_string();
    let upload = json!({"method": "POST", "endpoint": "files", "body": body, "headers": {}});
    let stored = v3("/loki/v3/lsrpc", upload).await;
    let id = stored["result"].as_str().unwrap();
    let download = json!({"method": "GET", "endpoint": format!("/files/{id}"), "body": null});
    assert_eq!(v3("/oxen/v3/lsrpc", download).await["result"], json!(b64(b"an old one")));
    let nothing = json!({"method": "GET", "endpoint": "/files/1", "body": null});
    assert_eq!(v3("/oxen/v3/lsrpc", nothing).await, json!({"status_code": 404}));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_a_swarm_has_not_taken_is_not_called_stored() {
    let (mut swarm, server) = network().await;
    swarm.nodes.pop().unwrap().shutdown().await;
    // A few chunks, so that one of them at least belongs to the swarm that has lost a majority.
    let file = data(4, 8 * CHUNK_SIZE);
    let view = swarm.nodes[0].view();
    let elsewhere =
        |piece: &[u8]| ChunkHash::of(piece).swarm(view.directory().swarms()) != Some(view.own().swarm);
    assert!(file.chunks(CHUNK_SIZE).any(elsewhere));
    let (status, _, answer) = http(server, "POST", "/file", "", &file).await;
    assert_eq!((status, json_of(&answer)), (500, json!({"status_code": 500})));
    swarm.stop().await;
}
