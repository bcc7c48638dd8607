//! The HTTPS routes (storage-and-onion 1.1), and the seed call (7.1).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine as _;
use conclave_proto::rpc::{Answer, Request};
use conclave_proto::seed::{InvalidSeed, SeedRequest};
use conclave_transport::http::{HeaderName, HeaderValue, Incoming, Method, Options, Reply};
use serde_json::json;

use crate::hooks::Received;
use crate::node::{ADVERTISED_VERSION, Shared};
use crate::probing::Way;
use crate::rpc::Via;
use crate::work::{Asker, Work};
use crate::{onion, peer, reading, waiting};

const ONION_PATH: &str = "/onion_req/v2";
const STORAGE_PATH: &str = "/storage_rpc/v1";

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
        Box::pin(async move {
            let is_onion = path(&incoming) == ONION_PATH;
            if shared.is_stopping() && (is_onion || path(&incoming) == STORAGE_PATH) {
                return Reply::text(503, peer::NOT_READY);
            }
            let load = if is_onion { &shared.onions } else { &shared.clients };
            let Some(ticket) = load.enter(incoming.body.len()) else { return busy() };
            let work = Work::new(Asker::client(incoming.peer.ip()), ticket, None);
            // Work goes on when the client goes away: a write that began is finished.
            let worker = Arc::clone(&shared);
            tokio::spawn(async move {
                let mut reply = route(&worker, incoming, &work).await;
                let load = if is_onion { &worker.onions } else { &worker.clients };
                match work.finish(load, std::mem::take(&mut reply.body)) {
                    Some(body) => Reply { body, ..reply },
                    None => busy(),
                }
            })
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
            observe(&shared, &incoming);
            if incoming.method == Method::POST && path(&incoming) == "/json_rpc" {
                seed(&shared, &incoming.body)
            } else {
                not_found(&incoming)
            }
        })
    }
}

fn observe(shared: &Shared, incoming: &Incoming) {
    shared.observe(|| Received::Https {
        peer: incoming.peer,
        path: &incoming.path,
        headers: format!("{:?}", incoming.headers),
        body: &incoming.body,
    });
}

fn busy() -> Reply {
    Reply::text(503, peer::BUSY)
}

async fn route(shared: &Arc<Shared>, incoming: Incoming, work: &Work) -> Reply {
    observe(shared, &incoming);
    match (&incoming.method, path(&incoming)) {
        (&Method::POST, "/ping_test/v1") => ping(shared),
        (&Method::POST, STORAGE_PATH) => storage_rpc(shared, &incoming, work).await,
        (&Method::POST, ONION_PATH) => {
            let (code, body) = onion::entry(shared, &incoming.body, work).await;
            // Headers do not travel between hops; a reply that was asked for without base64 can be told by its bytes.
            let kind = if body.is_ascii() { "text/plain" } else { "application/octet-stream" };
            Reply::new(code, kind, body)
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
    shared.incoming.came(Way::Https, shared.now());
    let key = base64::engine::general_purpose::STANDARD.encode(shared.secret.public().as_bytes());
    let reply = Reply::new(200, "", "");
    match HeaderValue::from_str(&key) {
        Ok(value) => reply.with_header(HeaderName::from_static("x-oxen-snode-pubkey"), value),
        Err(_) => reply,
    }
}

async fn storage_rpc(shared: &Arc<Shared>, incoming: &Incoming, work: &Work) -> Reply {
    // Rate limits come in here: before anything is parsed.
    if incoming.headers.get("x-loki-long-poll").is_some_and(|value| !value.is_empty()) {
        return Reply::text(410, "long polling is no longer supported, client upgrade required");
    }
    let answer = match Request::from_json_body(&incoming.body) {
        Ok(request) => waiting::answer(shared, request, Via::Direct, work).await,
        Err(error) => Answer::from(error),
    };
    Reply::new(answer.code, answer.content_type(), answer.bytes(false))
}

/// `get_n_service_nodes` and its alias, with the signed directory besides.
fn seed(shared: &Shared, body: &[u8]) -> Reply {
    let request = match SeedRequest::from_json(body) {
        Ok(request) => request,
        Err(InvalidSeed::Json(_)) => return json_rpc_error(-32700, "Parse error"),
        Err(_) => return json_rpc_error(-32601, "Method not found"),
    };
    let view = shared.view();
    let directory = view.directory();
    let mut answer = request.answer(directory.nodes(), directory.height, Some(view.signed()));
    if let Some(nodes) = answer.get_mut("result") {
        reading::add_ledger_fields(nodes);
    }
    Reply::json(200, answer.to_string())
}

fn json_rpc_error(code: i32, message: &str) -> Reply {
    let error = json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": message}});
    Reply::json(200, error.to_string())
}
