//! The HTTPS routes (storage-and-onion 1.1), and the seed call (7.1).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine as _;
use conclave_proto::SwarmId;
use conclave_proto::rpc::{Answer, Request};
use conclave_transport::http::{HeaderName, HeaderValue, Incoming, Method, Options, Reply};
use serde_json::{Value, json};

use crate::hooks::Received;
use crate::node::{ADVERTISED_VERSION, HARDFORK, Shared};
use crate::{onion, rpc};

/// Bodies of storage requests and onion requests are bounded by the listener (10,485,760 bytes).
pub(crate) fn options() -> Options {
    let [major, minor, patch] = ADVERTISED_VERSION;
    Options {
        server_header: HeaderValue::from_str(&format!("Oxen Storage Server/{major}.{minor}.{patch}")).ok(),
        ..Options::default()
    }
}

type ReplyFuture = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// Everything a node answers over HTTPS.
pub(crate) fn handler(shared: &Arc<Shared>) -> impl Fn(Incoming) -> ReplyFuture + Send + Sync + use<> {
    let shared = Arc::clone(shared);
    move |incoming| {
        let shared = Arc::clone(&shared);
        // Work goes on when the client goes away: a write that began is finished.
        Box::pin(async move {
            tokio::spawn(async move { route(&shared, incoming).await })
                .await
                .unwrap_or_else(|_| Reply::text(500, "request failed"))
        })
    }
}

/// The seed call alone, for the plain listener.
pub(crate) fn seed_handler(shared: &Arc<Shared>) -> impl Fn(Incoming) -> ReplyFuture + Send + Sync + use<> {
    let shared = Arc::clone(shared);
    move |incoming| {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            if incoming.method == Method::POST && path(&incoming) == "/json_rpc" {
                seed(&shared, &incoming.body)
            } else {
                not_found(&incoming)
            }
        })
    }
}

async fn route(shared: &Arc<Shared>, incoming: Incoming) -> Reply {
    shared.observe(|| Received::Https {
        peer: incoming.peer,
        path: &incoming.path,
        headers: format!("{:?}", incoming.headers),
        body: &incoming.body,
    });
    match (&incoming.method, path(&incoming)) {
        (&Method::POST, "/ping_test/v1") => ping(shared),
        (&Method::POST, "/storage_rpc/v1") => storage_rpc(shared, &incoming).await,
        (&Method::POST, "/onion_req/v2") => {
            let (code, body) = onion::entry(shared, &incoming.body).await;
            Reply::new(code, "text/plain", body)
        }
        (&Method::POST, "/json_rpc") => seed(shared, &incoming.body),
        (&Method::GET, "/get_stats/v1") => {
            let [major, minor, patch] = ADVERTISED_VERSION;
            Reply::json(200, json!({"version": format!("{major}.{minor}.{patch}")}).to_string())
        }
        _ => not_found(&incoming),
    }
}

fn path(incoming: &Incoming) -> &str {
    incoming.path.split('?').next().unwrap_or_default()
}

fn not_found(incoming: &Incoming) -> Reply {
    Reply::text(404, format!("{} {} Not Found", incoming.method, incoming.path))
}

fn ping(shared: &Shared) -> Reply {
    let key = base64::engine::general_purpose::STANDARD.encode(shared.secret.public().as_bytes());
    let reply = Reply::new(200, "", "");
    match HeaderValue::from_str(&key) {
        Ok(value) => reply.with_header(HeaderName::from_static("x-oxen-snode-pubkey"), value),
        Err(_) => reply,
    }
}

async fn storage_rpc(shared: &Arc<Shared>, incoming: &Incoming) -> Reply {
    // Rate limits come in here: before anything is parsed.
    if incoming.headers.get("x-loki-long-poll").is_some_and(|value| !value.is_empty()) {
        return Reply::text(410, "long polling is no longer supported, client upgrade required");
    }
    let answer = match Request::from_json_body(&incoming.body) {
        Ok(request) => rpc::answer(shared, request).await,
        Err(error) => Answer::from(error),
    };
    Reply::new(answer.code, answer.content_type(), answer.bytes(false))
}

/// `get_n_service_nodes` and its alias, with the fields asked for and the signed directory besides.
fn seed(shared: &Shared, body: &[u8]) -> Reply {
    let Ok(call) = serde_json::from_slice::<Value>(body) else {
        return json_rpc(Value::Null, Err((-32700, "Parse error")));
    };
    let id = call.get("id").cloned().unwrap_or(Value::Null);
    match call.get("method").and_then(Value::as_str) {
        Some("get_n_service_nodes" | "get_service_nodes") => {}
        Some(_) => return json_rpc(id, Err((-32601, "Method not found"))),
        None => return json_rpc(id, Err((-32600, "Invalid Request"))),
    }
    let params = call.get("params").cloned().unwrap_or_default();
    let view = shared.view();
    let active_only = params.get("active_only").and_then(Value::as_bool).unwrap_or(false);
    let limit = params.get("limit").and_then(Value::as_u64).filter(|limit| *limit > 0);
    let nodes: Vec<Value> = view
        .directory()
        .nodes()
        .iter()
        .filter(|node| !active_only || node.swarm != SwarmId::NONE)
        .take(limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)))
        .map(|node| {
            json!({
                "service_node_pubkey": node.ed25519.to_hex(),
                "pubkey_ed25519": node.ed25519.to_hex(),
                "pubkey_x25519": node.x25519.to_hex(),
                "public_ip": node.ip.to_string(),
                "storage_port": node.https_port,
                "storage_lmq_port": node.quic_port,
                "swarm_id": node.swarm.0,
                "swarm": node.swarm.to_hex(),
                "storage_server_version": node.version.0,
                "requested_unlock_height": 0,
                "active": node.swarm != SwarmId::NONE,
                "funded": true,
            })
        })
        .map(|mut node| {
            if let (Some(fields), Value::Object(entries)) = (asked_fields(&params), &mut node) {
                entries.retain(|name, _| fields.contains(name));
            }
            node
        })
        .collect();
    let directory: Value = serde_json::from_str(view.signed()).unwrap_or_default();
    json_rpc(
        id,
        Ok(json!({
            "service_node_states": nodes,
            "height": view.directory().height,
            "hardfork": HARDFORK[0],
            "snode_revision": HARDFORK[1],
            "block_hash": "0".repeat(64),
            "status": "OK",
            "as_json": "",
            "conclave_directory": directory,
        })),
    )
}

/// `{"name": true, …}` or `["name", …]`; `None` for all of them.
fn asked_fields(params: &Value) -> Option<Vec<String>> {
    match params.get("fields")? {
        Value::Object(fields) => Some(
            fields.iter().filter(|(_, on)| **on == Value::Bool(true)).map(|(name, _)| name.clone()).collect(),
        ),
        Value::Array(fields) => Some(fields.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
        _ => None,
    }
}

fn json_rpc(id: Value, result: Result<Value, (i32, &str)>) -> Reply {
    let body = match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err((code, message)) => {
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
        }
    };
    Reply::json(200, body.to_string())
}
