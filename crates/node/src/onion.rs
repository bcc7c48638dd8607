//! This node as a hop of onion requests: guard, relay, final destination, and the one that dials a server
//! (storage-and-onion 6.4, 6.7).

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use conclave_crypto::Ed25519Public;
use conclave_onion::peel::{self, Layer, PeelError, Peeled, ReplySealer};
use conclave_proto::btstream::MAX_FRAME;
use conclave_proto::peer::{OnionRelay, PeerError};
use conclave_proto::rpc::{Answer, Request, status};
use conclave_transport::http::HeaderMap;
use rand_core::OsRng;
use serde_json::Value;

use crate::hooks::Received;
use crate::metrics::{self, Role};
use crate::node::Shared;
use crate::peer::{self, HopFailure};
use crate::proxy::Refused;
use crate::rpc::Via;
use crate::waiting;
use crate::work::Work;

/// The largest sealed reply that hops can hand back: a frame without what surrounds the reply in it.
pub(crate) const MAX_REPLY: usize = MAX_FRAME - 128;
/// Said instead of a larger one.
const TOO_MUCH: &str =
    "invalid request: the answer is too large for an onion request; ask for fewer things at once";

/// A hop's answer to the one before it: a status and a body that passes through unchanged.
pub(crate) struct HopAnswer {
    pub(crate) code: u16,
    pub(crate) body: Bytes,
    /// Those of a server that has answered. They do not travel between hops, so only its neighbour sees them.
    pub(crate) headers: Option<HeaderMap>,
}

impl<B: Into<Bytes>> From<(u16, B)> for HopAnswer {
    fn from((code, body): (u16, B)) -> Self {
        Self { code, body: body.into(), headers: None }
    }
}

/// The guard's part: a client's request, over HTTPS or QUIC.
pub(crate) async fn entry(shared: &Arc<Shared>, body: Bytes, work: &Work) -> HopAnswer {
    match peel::parse_guard_body_owned(body.into()) {
        Ok((layer, hop_no)) => process(shared, layer, hop_no, work).await,
        Err(error) => refusal(&error),
    }
}

/// The part of a node that another node passes a layer to.
pub(crate) async fn hop(shared: &Arc<Shared>, body: Bytes, work: &Work) -> HopAnswer {
    let relayed = match OnionRelay::decode(body) {
        Ok(relayed) => relayed,
        Err(PeerError::TooManyHops) => return refusal(&PeelError::TooManyHops),
        Err(error) => return refusal(&PeelError::Relayed(error.to_string())),
    };
    let Ok(enc_type) = relayed.enc_type.parse() else {
        return refusal(&PeelError::Relayed("unknown enc_type".to_owned()));
    };
    let Ok(ephemeral_key) = conclave_crypto::X25519Public::from_bytes(relayed.ephemeral_key) else {
        return refusal(&PeelError::Relayed("the ephemeral_key cannot be used".to_owned()));
    };
    process(shared, Layer { data: relayed.data, enc_type, ephemeral_key }, relayed.hop_no, work).await
}

async fn process(shared: &Arc<Shared>, layer: Layer, hop_no: u64, work: &Work) -> HopAnswer {
    let (role, answer) = open(shared, layer, hop_no, work).await;
    shared.metrics.hop(role, answer.code);
    answer
}

/// What came of a layer, and what this node was for it.
async fn open(shared: &Arc<Shared>, layer: Layer, hop_no: u64, work: &Work) -> (Role, HopAnswer) {
    // Peeling uses the layer up; only an observer wants to see it afterwards.
    let sealed_layer = shared.is_observed().then(|| layer.data.clone());
    let peeled = match peel::peel_owned(&shared.x25519, layer) {
        Ok(peeled) => peeled,
        Err(error) => return (Role::refused, refusal(&error)),
    };
    if let Some(sealed_layer) = sealed_layer {
        observe(shared, &sealed_layer, &peeled);
    }
    match peeled {
        Peeled::Final { body, reply } => {
            let (began, asked) = (Instant::now(), body.len());
            let (method, answer) = match Request::from_json_body(&body) {
                Ok(request) => (request.method(), waiting::answer(shared, request, Via::Onion, work).await),
                Err(error) => (metrics::NO_METHOD, Answer::from(error)),
            };
            drop(body);
            let sealed = sealed(&reply, answer.code, &answer.to_value().to_json());
            shared.metrics.answered(&metrics::Request {
                transport: metrics::Transport::onion,
                method,
                code: answer.code,
                took: (!work.has_rested()).then(|| began.elapsed()),
                asked,
                answered: sealed.body.len(),
            });
            (Role::destination, sealed)
        }
        Peeled::Refused { status, text, reply } => (Role::refused, sealed(&reply, status, &text.into())),
        Peeled::Proxy { server, plaintext, reply } => {
            let own = shared.view().own().ip;
            let answer = match shared.proxy.pass_on(&server, plaintext, own).await {
                Ok(passed) => {
                    HopAnswer { code: passed.status, body: passed.body, headers: Some(passed.headers) }
                }
                Err(refused @ Refused::NotAllowed) => {
                    sealed(&reply, refused.status(), &refused.to_string().into())
                }
                Err(refused) => (refused.status(), refused.to_string()).into(),
            };
            (Role::server, answer)
        }
        Peeled::Relay { destination, layer, hold_ms } => {
            (Role::relay, relay(shared, destination, layer, (hop_no, hold_ms), work).await)
        }
    }
}

async fn relay(
    shared: &Arc<Shared>,
    destination: Ed25519Public,
    layer: Layer,
    (hop_no, hold_ms): (u64, u64),
    work: &Work,
) -> HopAnswer {
    let view = shared.view();
    let Some(next) = view.directory().node(&destination) else {
        return (502, format!("Next node not found: {}", destination.to_hex())).into();
    };
    // Refused early, while the client can still go elsewhere.
    let _hold = match (hold_ms > 0).then(|| work.rest(&shared.held)) {
        None => None,
        Some(Some(hold)) => Some(hold),
        Some(None) => return (503, peer::BUSY).into(),
    };
    let layer = OnionRelay {
        data: layer.data,
        enc_type: layer.enc_type.name().to_owned(),
        ephemeral_key: *layer.ephemeral_key.as_bytes(),
        hop_no: hop_no.saturating_add(1),
    };
    let relayed = peer::relay(shared, next, layer);
    let answer = if hold_ms > 0 {
        tokio::select! {
            answer = relayed => answer,
            // Nothing is lost: the client asks again, over another path.
            () = shared.stopping_begins() => return (503, peer::NOT_READY).into(),
        }
    } else {
        relayed.await
    };
    match answer {
        Ok((code, body)) => (status::relayed(code), body).into(),
        Err(HopFailure::Unreachable) => {
            (502, format!("Next node is currently unreachable: {}", destination.to_hex())).into()
        }
        Err(HopFailure::Timeout) => (504, "Request time out").into(),
        Err(HopFailure::TooLarge) => (413, "Request body too large").into(),
        Err(HopFailure::Nonsense) => (500, "Invalid response from snode").into(),
    }
}

fn refusal(error: &PeelError) -> HopAnswer {
    (error.status(), error.to_string()).into()
}

fn sealed(reply: &ReplySealer, status: u16, body: &Value) -> HopAnswer {
    let mut sealed = reply.seal(status, body, &mut OsRng);
    if sealed.len() > MAX_REPLY {
        sealed = reply.seal(400, &Value::from(TOO_MUCH), &mut OsRng);
    }
    (200, sealed).into()
}

/// Shows an observer what this node learnt by peeling.
fn observe(shared: &Shared, sealed: &[u8], peeled: &Peeled) {
    shared.observe(|| match peeled {
        Peeled::Final { body, .. } => Received::PeeledRequest { sealed, body },
        Peeled::Proxy { plaintext, .. } => Received::PeeledRequest { sealed, body: plaintext },
        Peeled::Relay { destination, layer, .. } => {
            Received::PeeledLayer { sealed, destination: *destination, layer: &layer.data }
        }
        Peeled::Refused { .. } => Received::PeeledRequest { sealed, body: b"" },
    });
}
