//! The HTTPS routes (storage-and-onion 1.1), and the seed call (7.1).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use bytes::Bytes;
use conclave_proto::rpc::{Answer, Request};
use conclave_proto::seed::{InvalidSeed, SeedRequest};
use conclave_transport::http::{HeaderName, HeaderValue, Incoming, Method, Options, Reply};
use serde_json::json;

use crate::hooks::Received;
use crate::metrics::{self, Shed};
use crate::node::{ADVERTISED_VERSION, Shared};
use crate::probing::Way;
use crate::rpc::Via;
use crate::work::{Asker, Work};
use crate::{onion, peer, reading, waiting};

const ONION_PATH: &str = "/onion_req/v2";
const STORAGE_PATH: &str = "/storage_rpc/v1";

/// Bodies of storage requests and onion requests are bounded by the listener (10,485,760 bytes).
pub(crate) fn options() -> Options {
    Options { server_header: HeaderValue::from_str(&program()).ok(), ..Options::default() }
}

/// As what a node shows itself, to clients and servers alike.
pub(crate) fn program() -> String {
    let [major, minor, patch] = ADVERTISED_VERSION;
    format!("Oxen Storage Server/{major}.{minor}.{patch}")
}

type ReplyFuture = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// Everything a node answers over HTTPS.
pub(crate) fn handler(shared: &Arc<Shared>) -> impl Fn(Incoming) -> ReplyFuture + Send + Sync + use<> {
    let shared = Arc::clone(shared);
    move |incoming| {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            let is_onion = path(&incoming) == ONION_PATH;
            if let Some(refusal) = refuse(&shared, &incoming) {
                return refusal;
            }
            let load = if is_onion { &shared.onions } else { &shared.clients };
            let Some(ticket) = load.enter(incoming.body.len()) else { return busy(&shared) };
            let work = Work::new(Asker::client(incoming.peer.ip()), ticket, None);
            // Work goes on when the client goes away: a write that began is finished.
            let worker = Arc::clone(&shared);
            let (began, asked) = (Instant::now(), incoming.body.len());
            // In a box, since everything that a request can lead to makes it large, and a task's future is moved several times.
            tokio::spawn(Box::pin(async move {
                let (method, reply) = route(&worker, incoming, &work).await;
                worker.metrics.answered(&metrics::Request {
                    transport: metrics::Transport::https,
                    method,
                    code: reply.status,
                    took: (!work.has_rested()).then(|| began.elapsed()),
                    asked,
                    answered: reply.body.len(),
                });
                let load = if is_onion { &worker.onions } else { &worker.clients };
                match work.finish(load, reply.body.len()) {
                    Some(claim) => Reply { body: claim.kept_by(reply.body), ..reply },
                    None => busy(&worker),
                }
            }))
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

fn busy(shared: &Shared) -> Reply {
    shared.metrics.shed(Shed::busy);
    Reply::text(503, peer::BUSY)
}

/// What is said to those who may not ask now, before anything of theirs is looked at. (storage-and-onion 1.1, 8.1)
fn refuse(shared: &Shared, incoming: &Incoming) -> Option<Reply> {
    let is_storage = incoming.method == Method::POST && path(incoming) == STORAGE_PATH;
    let is_onion = path(incoming) == ONION_PATH;
    if shared.is_stopping() && (is_onion || is_storage) {
        shared.metrics.shed(Shed::stopping);
        return Some(Reply::text(503, peer::NOT_READY));
    }
    if is_onion && !shared.gate.admit_any() {
        shared.metrics.shed(Shed::overload);
        return Some(Reply::text(503, peer::BUSY));
    }
    if (is_onion || is_storage)
        && let Err(after) = shared.gate.admit_bytes(incoming.peer.ip(), incoming.body.len())
    {
        shared.metrics.shed(Shed::bytes);
        return Some(Reply::json(429, peer::too_many_bytes(after)));
    }
    let refused = if is_storage { shared.gate.admit_client(incoming.peer.ip()).err()? } else { return None };
    shared.metrics.shed(refused.into());
    Some(Reply::reason(429))
}

/// The answer, and the name it is counted under.
async fn route(shared: &Arc<Shared>, incoming: Incoming, work: &Work) -> (&'static str, Reply) {
    observe(shared, &incoming);
    match (&incoming.method, path(&incoming)) {
        (&Method::POST, "/ping_test/v1") => ("ping_test", ping(shared)),
        (&Method::POST, STORAGE_PATH) => storage_rpc(shared, &incoming, work).await,
        (&Method::POST, ONION_PATH) => ("onion_req", onion_request(shared, incoming.body, work).await),
        (&Method::POST, "/json_rpc") => ("json_rpc", seed(shared, &incoming.body)),
        (&Method::GET, "/get_stats/v1") => {
            let [major, minor, patch] = ADVERTISED_VERSION;
            let version = json!({"version": format!("{major}.{minor}.{patch}")});
            ("get_stats", Reply::json(200, version.to_string()))
        }
        _ => (metrics::NO_METHOD, not_found(&incoming)),
    }
}

async fn onion_request(shared: &Arc<Shared>, body: Bytes, work: &Work) -> Reply {
    let answer = onion::entry(shared, body, work).await;
    if let Some(headers) = answer.headers {
        // A server's own words, passed on as they came.
        return Reply { headers, ..Reply::new(answer.code, "", answer.body) };
    }
    // Headers do not travel between hops; a reply that was asked for without base64 can be told by its bytes.
    let kind = if answer.body.is_ascii() { "text/plain" } else { "application/octet-stream" };
    Reply::new(answer.code, kind, answer.body)
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

async fn storage_rpc(shared: &Arc<Shared>, incoming: &Incoming, work: &Work) -> (&'static str, Reply) {
    if incoming.headers.get("x-loki-long-poll").is_some_and(|value| !value.is_empty()) {
        let gone = Reply::text(410, "long polling is no longer supported, client upgrade required");
        return (metrics::NO_METHOD, gone);
    }
    let (method, answer) = match Request::from_json_body(&incoming.body) {
        Ok(request) => (request.method(), waiting::answer(shared, request, Via::Direct, work).await),
        Err(error) => (metrics::NO_METHOD, Answer::from(error)),
    };
    (method, Reply::new(answer.code, answer.content_type(), answer.bytes(false)))
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
