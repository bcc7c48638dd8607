//! Between nodes, over QUIC: forwarded writes, onion hops, pings. Also clients that come over QUIC.
//!
//! A clear place for further transports: what is asked is decided in [`answer_node`] and
//! [`answer_client`]; how it arrived is not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use conclave_crypto::Ed25519Public;
use conclave_proto::SnodeRecord;
use conclave_proto::btstream::Frame;
use conclave_proto::network::DIRECTORY_COMMAND;
use conclave_proto::peer as wire;
use conclave_proto::rpc::answers::{Failure, MemberResult, read_error_frame};
use conclave_proto::rpc::results::NodeResult;
use conclave_proto::rpc::{Answer, Forwarded, Request, RpcError, shown};
use conclave_transport::Deadline;
use conclave_transport::quic::{self, Alpn, Body, DialError, Lane, Options, Peer, RequestError};

use crate::hooks::Received;
use crate::load::Load;
use crate::metrics::{self, Shed, Transport};
use crate::node::Shared;
use crate::onion::HopAnswer;
use crate::probing::Way;
use crate::rpc::Via;
use crate::work::{Asker, Work};
use crate::{chunks, follow, monitor, onion, replication, rpc, swarm, waiting};

/// What a node with too much to do says. (storage-and-onion 1.1)
pub(crate) const BUSY: &str = "Server busy, try again later";
/// What a node says that is about to stop. (storage-and-onion 1.1)
pub(crate) const NOT_READY: &str = "Service node is not ready: shutting down\n";
/// What a client is told that asks too often. (storage-and-onion 1.2)
const TOO_MANY: &str = "Too many requests, try again later";
const PING: &str = "snode_ping";
const MONITOR: &str = "monitor";

/// How long the next hop of an onion request may take. (storage-and-onion 5.2)
const ONION_TIMEOUT: Duration = Duration::from_secs(30);
/// Lanes that onion hops are spread over. (storage-and-onion 5.6)
const ONION_LANES: u8 = 4;

/// How this node serves QUIC.
pub(crate) fn options(shared: &Arc<Shared>) -> Options {
    let (serving, listed, adopting) = (Arc::clone(shared), Arc::clone(shared), Arc::clone(shared));
    let handler: quic::Handler = Arc::new(move |asked: quic::Asked| {
        let shared = Arc::clone(&serving);
        Box::pin(async move {
            let alpn = asked.peer.alpn;
            if shared.is_stopping() && asked.endpoint != PING {
                shared.metrics.shed(Shed::stopping);
                return not_ready(&shared, alpn, &asked.endpoint);
            }
            if let Some(refusal) = refuse(&shared, asked.peer, &asked.endpoint, asked.body.len()) {
                return refusal;
            }
            let Some(ticket) = load(&shared, alpn, &asked.endpoint).enter(asked.body.len()) else {
                return busy(&shared, alpn, &asked.endpoint);
            };
            let work = Work::new(Asker::of(&asked.peer), ticket, Some(asked.place.clone()));
            // A task of its own: a write that began is finished, whoever goes away.
            tokio::spawn(Box::pin(async move { serve(&shared, work, asked).await }))
                .await
                .unwrap_or_else(|_| Err(Bytes::from_static(b"request failed")))
        })
    });
    Options {
        is_node: Arc::new(move |key| listed.view().directory().node(key).is_some()),
        on_node: Arc::new(move |connection| {
            adopting.debts.is_back(&connection.peer().key, Instant::now());
            adopting.peers.adopt(connection);
            adopting.member_is_back.notify_waiters();
        }),
        ..Options::new(handler)
    }
}

async fn serve(shared: &Arc<Shared>, work: Work, asked: quic::Asked) -> quic::Answer {
    let quic::Asked { peer, endpoint, body, notifier, .. } = asked;
    shared.observe(|| Received::Quic {
        peer: peer.address,
        key: peer.key,
        is_node: peer.alpn == Alpn::Node,
        endpoint: &endpoint,
        body: &body,
    });
    let (began, asked) = (Instant::now(), body.len());
    let (method, answer) = match peer.alpn {
        Alpn::Node if endpoint == DIRECTORY_COMMAND => {
            (DIRECTORY_COMMAND, follow::answer_poll(shared, peer.key, &body).map(Body::from))
        }
        Alpn::Node => answer_node(shared, &endpoint, body, &work).await,
        Alpn::Client if endpoint == MONITOR => {
            (MONITOR, Ok(monitor::answer(shared, &body, &notifier).into()))
        }
        Alpn::Client => answer_client(shared, &endpoint, body, &work).await,
    };
    shared.metrics.answered(&metrics::Request {
        transport: if peer.alpn == Alpn::Node { Transport::node } else { Transport::quic },
        method,
        code: answer.as_ref().map_or_else(|error| code_of(error), |_| 200),
        took: (!work.has_rested()).then(|| began.elapsed()),
        asked,
        answered: answer.as_ref().map_or_else(Bytes::len, Body::len),
    });
    let load = load(shared, peer.alpn, &endpoint);
    let answer = answer?;
    match work.finish(load, answer.len()) {
        Some(claim) => Ok(answer.keeping(claim)),
        None => busy(shared, peer.alpn, &endpoint),
    }
}

/// What somebody is told who has sent more bytes than its share, and may go on after that.
pub(crate) fn too_many_bytes(after: Duration) -> String {
    // Rounded up, so that whoever waits that long is let in.
    let ms = after.as_nanos().div_ceil(1_000_000);
    format!(r#"{{"reason":"Too many bytes, try again later","retry_after_ms":{ms}}}"#)
}

/// What is said to clients that may not ask now. (storage-and-onion 1.1, 8.1)
fn refuse(shared: &Shared, peer: Peer, endpoint: &str, bytes: usize) -> Option<quic::Answer> {
    let admitted = match (peer.alpn, endpoint) {
        (Alpn::Node, "onion_request") => shared.gate.admit_layer(peer.key, bytes),
        (Alpn::Node, _) => Ok(()),
        (Alpn::Client, _) => shared.gate.admit_bytes(peer.address.ip(), bytes),
    };
    if let Err(after) = admitted {
        shared.metrics.shed(Shed::bytes);
        let text = too_many_bytes(after);
        return Some(match peer.alpn {
            Alpn::Node => Ok(relay_reply(429, text.into())),
            Alpn::Client => Err(error_text(429, text.as_bytes())),
        });
    }
    let (shed, text) = match (peer.alpn, endpoint) {
        (Alpn::Node, _) | (_, PING | MONITOR) => return None,
        (Alpn::Client, "onion_req") if shared.gate.admit_any() => return None,
        (Alpn::Client, "onion_req") => (Shed::overload, error_text(503, BUSY.as_bytes())),
        (Alpn::Client, _) => match shared.gate.admit_client(peer.address.ip()) {
            Ok(()) => return None,
            Err(refused) => (refused.into(), error_text(429, TOO_MANY.as_bytes())),
        },
    };
    shared.metrics.shed(shed);
    Some(Err(text))
}

/// The status inside an error.
fn code_of(error: &[u8]) -> u16 {
    read_error_frame(error).map_or(500, |(code, _)| code)
}

/// Which work a request is.
fn load<'a>(shared: &'a Shared, alpn: Alpn, endpoint: &str) -> &'a Load {
    match (alpn, endpoint) {
        (_, "onion_req" | "onion_request") => &shared.onions,
        (Alpn::Node, endpoint) if chunks::is_ours(endpoint) => &shared.chunk_work,
        (Alpn::Node, _) => &shared.members,
        (Alpn::Client, _) => &shared.clients,
    }
}

/// The refusal of a node that is about to stop.
fn not_ready(shared: &Shared, alpn: Alpn, endpoint: &str) -> quic::Answer {
    match (alpn, endpoint) {
        (Alpn::Node, "onion_request") => {
            let text = format!("Snode not ready: {}", shared.secret.public().to_hex());
            Ok(relay_reply(503, text.into()))
        }
        _ => Err(error_text(503, NOT_READY.as_bytes())),
    }
}

/// The refusal of a node that has too much to do, as each kind of asker reads it.
fn busy(shared: &Shared, alpn: Alpn, endpoint: &str) -> quic::Answer {
    shared.metrics.shed(Shed::busy);
    match (alpn, endpoint) {
        (Alpn::Node, "onion_request") => Ok(relay_reply(503, Bytes::from_static(BUSY.as_bytes()))),
        _ => Err(error_text(503, BUSY.as_bytes())),
    }
}

/// The answer, and the name it is counted under.
async fn answer_node(
    shared: &Arc<Shared>,
    endpoint: &str,
    body: Bytes,
    work: &Work,
) -> (&'static str, quic::Answer) {
    match endpoint {
        PING => (PING, Ok(pong(shared).into())),
        "storage_cc" => {
            let answer = match read_forwarded(&body) {
                Ok(forwarded) => rpc::answer_forwarded(shared, &forwarded).await,
                Err(error) => Err(error.into()),
            };
            ("storage_cc", answer.map(Body::from).map_err(|answer| error_body(&answer)))
        }
        "onion_request" => {
            let answer = onion::hop(shared, body, work).await;
            ("onion_request", Ok(relay_reply(answer.code, answer.body)))
        }
        other if chunks::is_ours(other) => {
            let answer = chunks::answer_member(shared, other, &body, work.node()).await;
            (metrics::CHUNKS, answer.map(Body::from).map_err(|answer| error_body(&answer)))
        }
        other => match replication::answer(shared, other, &body).await {
            Some(answer) => (metrics::REPLICATION, answer.map(Body::from)),
            None => (metrics::NO_METHOD, Err(invalid_endpoint(endpoint))),
        },
    }
}

/// The answer, and the name it is counted under: never the client's own words.
async fn answer_client(
    shared: &Arc<Shared>,
    endpoint: &str,
    body: Bytes,
    work: &Work,
) -> (&'static str, quic::Answer) {
    match endpoint {
        PING => (PING, Ok(pong(shared).into())),
        "onion_req" => match onion::entry(shared, body, work).await {
            HopAnswer { code: 200, body, .. } => ("onion_req", Ok(body.into())),
            HopAnswer { code, body, .. } => ("onion_req", Err(error_text(code, &body))),
        },
        method => match Request::from_either(method, &body) {
            Ok(request) => {
                let method = request.method();
                let answer = waiting::answer(shared, request, Via::Direct, work).await;
                (method, framed(&answer, body.starts_with(b"d")))
            }
            Err(error) if error == RpcError::no_method(method) => {
                (metrics::NO_METHOD, Err(invalid_endpoint(method)))
            }
            Err(error) => (metrics::NO_METHOD, Err(error_body(&error.into()))),
        },
    }
}

/// What a hop answers another one.
fn relay_reply(code: u16, body: Bytes) -> Body {
    let (before, behind) = wire::around_relay_reply(code, body.len());
    Body::from(body).between(before, behind)
}

/// The result as QUIC frames it, `[200, result]` or an error. (storage-and-onion 1.3)
fn framed(answer: &Answer, as_bt: bool) -> quic::Answer {
    match answer.to_frame(0, as_bt) {
        Frame::Reply { body, .. } => Ok(body.into()),
        Frame::Error { body, .. } | Frame::Command { body, .. } => Err(body),
    }
}

pub(crate) fn error_body(answer: &Answer) -> Bytes {
    match answer.to_frame(0, true) {
        Frame::Reply { body, .. } | Frame::Error { body, .. } | Frame::Command { body, .. } => body,
    }
}

fn error_text(code: u16, body: &[u8]) -> Bytes {
    let reason = conclave_proto::rpc::status::reason(code).unwrap_or("Unknown");
    [format!("{code} {reason}\n\n").as_bytes(), body].concat().into()
}

fn invalid_endpoint(endpoint: &str) -> Bytes {
    format!("Invalid endpoint '{}'", shown(endpoint)).into()
}

fn pong(shared: &Shared) -> Bytes {
    shared.incoming.came(Way::Quic, shared.now());
    Bytes::from_static(b"pong")
}

/// Whether a node answers a ping over QUIC at its address, where its handshake has proven its key. Over a connection made
/// for it: one that the node made to us says nothing about the way to it.
pub(crate) async fn ping(shared: &Shared, node: &SnodeRecord, deadline: Deadline) -> bool {
    let Some(endpoint) = shared.endpoint() else { return false };
    let asked = deadline.run(async {
        let address = (node.ip, node.quic_port).into();
        let connection = endpoint.dial(address, node.ed25519, Alpn::Client).await.ok()?;
        connection.request(Lane::Commands, PING, b"", deadline).await.ok()
    });
    matches!(asked.await, Ok(Some(answer)) if answer == "pong")
}

/// What [`forward`] sends, the same to every member.
pub(crate) fn forwarded(forwarded: &Forwarded) -> Vec<u8> {
    wire::encode_storage_cc(forwarded.request.method(), &forwarded.to_bt())
}

/// Reads it.
pub(crate) fn read_forwarded(body: &[u8]) -> Result<Forwarded, RpcError> {
    let (method, params) = wire::decode_storage_cc(body).map_err(|e| RpcError::invalid(e.to_string()))?;
    Forwarded::from_bt(method, params)
}

/// Asks a member of the swarm to do `request` too; `body` is [`forwarded`].
pub(crate) async fn forward(
    shared: &Shared,
    to: Ed25519Public,
    request: &Request,
    body: &[u8],
) -> MemberResult {
    let view = shared.view();
    let Some(node) = view.directory().node(&to) else {
        return failed("not in the node list any more");
    };
    let deadline = Deadline::after(swarm::MEMBER_TIMEOUT);
    let mut asked = ask(shared, node, Lane::Data, ("storage_cc", body), deadline).await;
    if let Err(RequestError::Closed(_)) = asked {
        // A member that has restarted ends old connections with the first thing it hears on them. Writes may be repeated.
        asked = ask(shared, node, Lane::Data, ("storage_cc", body), deadline).await;
    }
    member_result(request, asked)
}

/// What came of asking a member to do `request` too.
pub(crate) fn member_result(request: &Request, asked: Result<Bytes, RequestError>) -> MemberResult {
    match asked {
        Ok(answer) => NodeResult::from_bt(request, &answer)
            // Who says so is known from the connection. The signature is for the client, who checks it; checking four for every
            // write would cost the entry node more than its own commit.
            .filter(|result| result.answers(request))
            .map_or_else(
                || MemberResult::Failed(Failure { bad_peer_response: true, ..Failure::default() }),
                MemberResult::Done,
            ),
        Err(RequestError::Remote(body)) => match read_error_frame(&body) {
            Some((code, text)) => {
                MemberResult::Failed(Failure::answered(code, String::from_utf8_lossy(text)))
            }
            None => MemberResult::Failed(Failure { bad_peer_response: true, ..Failure::default() }),
        },
        Err(RequestError::Timeout | RequestError::Dial(DialError::Timeout | DialError::Down)) => {
            MemberResult::Failed(Failure { timeout: true, ..Failure::default() })
        }
        Err(error) => failed(&error.to_string()),
    }
}

/// Shows the other members of the swarm that this node is there, so that those who could not reach it moments ago ask it
/// again, and the first write finds connections.
pub(crate) fn greet(shared: &Arc<Shared>) {
    for node in shared.view().others().copied() {
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let deadline = Deadline::after(swarm::MEMBER_TIMEOUT);
            if let Err(error) = ask(&shared, &node, Lane::Commands, (PING, b""), deadline).await {
                tracing::debug!(member = ?node.ed25519, %error, "a member of the swarm was not reached");
            }
        });
    }
}

/// Why an onion layer did not get to the next hop.
pub(crate) enum HopFailure {
    /// It does not fit into what nodes send each other.
    TooLarge,
    /// There is no connection to it.
    Unreachable,
    /// It did not answer in time.
    Timeout,
    /// It answered something that is no answer.
    Nonsense,
}

/// Hands an onion layer to the next hop; gives its status and body.
pub(crate) async fn relay(
    shared: &Shared,
    to: &SnodeRecord,
    layer: wire::OnionRelay,
) -> Result<(u16, Bytes), HopFailure> {
    let deadline = Deadline::after(ONION_TIMEOUT);
    // Any spreading will do; the ephemeral key is random.
    let lane = Lane::Onion(layer.ephemeral_key[0] % ONION_LANES);
    let (before, behind) = layer.around();
    let body = Body::from(layer.data).between(before, behind);
    match ask(shared, to, lane, ("onion_request", body), deadline).await {
        Ok(answer) => {
            let (code, body) = wire::decode_relay_reply(&answer).map_err(|_| HopFailure::Nonsense)?;
            Ok((code, answer.slice_ref(body)))
        }
        Err(RequestError::Timeout) => Err(HopFailure::Timeout),
        Err(RequestError::Dial(_) | RequestError::Closed(_) | RequestError::Refused) => {
            Err(HopFailure::Unreachable)
        }
        Err(RequestError::TooLarge) => Err(HopFailure::TooLarge),
        Err(_) => Err(HopFailure::Nonsense),
    }
}

/// Asks a node of the list something, over the connection to it.
pub(crate) async fn ask(
    shared: &Shared,
    node: &SnodeRecord,
    lane: Lane,
    (command, body): (&str, impl Into<Body>),
    deadline: Deadline,
) -> Result<Bytes, RequestError> {
    let endpoint = shared
        .endpoint()
        .ok_or_else(|| RequestError::Dial(DialError::Local("this node is stopping".to_owned())))?;
    let target = (node.ed25519, (node.ip, node.quic_port).into());
    let answer = shared.peers.request(&endpoint, target, lane, (command, body), deadline).await;
    if let Ok(body) | Err(RequestError::Remote(body)) = &answer {
        shared.observe(|| Received::Answer { from: node.ed25519, endpoint: command, body });
    }
    answer
}

fn failed(reason: &str) -> MemberResult {
    MemberResult::Failed(Failure { reason: Some(reason.to_owned()), ..Failure::default() })
}
