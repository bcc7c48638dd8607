//! This node as a hop of onion requests: guard, relay, and final destination
//! (storage-and-onion 6.4, 6.7).

use std::sync::Arc;

use bytes::Bytes;
use conclave_onion::peel::{self, Layer, PeelError, Peeled, ReplySealer};
use conclave_proto::btstream::MAX_FRAME;
use conclave_proto::peer::{OnionRelay, PeerError};
use conclave_proto::rpc::{Answer, Request, status};
use rand_core::OsRng;
use serde_json::Value;

use crate::hooks::Received;
use crate::node::Shared;
use crate::peer::{self, HopFailure};
use crate::rpc::Via;
use crate::waiting;
use crate::work::Work;

/// The largest sealed reply that hops can hand back: a frame without what surrounds the reply in it.
const MAX_REPLY: usize = MAX_FRAME - 128;
/// Said instead of a larger one.
const TOO_MUCH: &str =
    "invalid request: the answer is too large for an onion request; ask for fewer things at once";

/// A hop's answer to the one before it: a status and a body that passes through unchanged.
type HopAnswer = (u16, Bytes);

/// The guard's part: a client's request, over HTTPS or QUIC.
pub(crate) async fn entry(shared: &Arc<Shared>, body: &[u8], work: &Work) -> HopAnswer {
    match peel::parse_guard_body(body) {
        Ok((layer, hop_no)) => process(shared, layer, hop_no, work).await,
        Err(error) => refusal(&error),
    }
}

/// The part of a node that another node passes a layer to.
pub(crate) async fn hop(shared: &Arc<Shared>, body: &[u8], work: &Work) -> HopAnswer {
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
    // Peeling uses the layer up; only an observer wants to see it afterwards.
    let sealed_layer = shared.is_observed().then(|| layer.data.clone());
    let peeled = match peel::peel_owned(&shared.x25519, layer) {
        Ok(peeled) => peeled,
        Err(error) => return refusal(&error),
    };
    if let Some(sealed_layer) = sealed_layer {
        observe(shared, &sealed_layer, &peeled);
    }
    match peeled {
        Peeled::Final { body, reply } => {
            let answer = match Request::from_json_body(&body) {
                Ok(request) => waiting::answer(shared, request, Via::Onion, work).await,
                Err(error) => Answer::from(error),
            };
            drop(body);
            sealed(&reply, answer.code, &answer.to_value().to_json())
        }
        Peeled::Refused { status, text, reply } => sealed(&reply, status, &text.into()),
        // Servers are dialled from here, once their addresses are checked: the one place for it.
        Peeled::Proxy { reply, .. } => {
            sealed(&reply, 502, &"this node does not pass requests on to servers".into())
        }
        Peeled::Relay { destination, layer, hold_ms } => {
            let view = shared.view();
            let Some(next) = view.directory().node(&destination) else {
                return (502, format!("Next node not found: {}", destination.to_hex()).into());
            };
            // Refused early, while the client can still go elsewhere.
            let _hold = match (hold_ms > 0).then(|| work.rest(&shared.held)) {
                None => None,
                Some(Some(hold)) => Some(hold),
                Some(None) => return (503, Bytes::from_static(peer::BUSY.as_bytes())),
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
                    () = shared.stopping_begins() => return (503, Bytes::from_static(peer::NOT_READY.as_bytes())),
                }
            } else {
                relayed.await
            };
            match answer {
                Ok((code, body)) => (status::relayed(code), body),
                Err(HopFailure::Unreachable) => {
                    (502, format!("Next node is currently unreachable: {}", destination.to_hex()).into())
                }
                Err(HopFailure::Timeout) => (504, Bytes::from_static(b"Request time out")),
                Err(HopFailure::TooLarge) => (413, Bytes::from_static(b"Request body too large")),
                Err(HopFailure::Nonsense) => (500, Bytes::from_static(b"Invalid response from snode")),
            }
        }
    }
}

fn refusal(error: &PeelError) -> HopAnswer {
    (error.status(), error.to_string().into())
}

fn sealed(reply: &ReplySealer, status: u16, body: &Value) -> HopAnswer {
    let mut sealed = reply.seal(status, body, &mut OsRng);
    if sealed.len() > MAX_REPLY {
        sealed = reply.seal(400, &Value::from(TOO_MUCH), &mut OsRng);
    }
    (200, sealed.into())
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
