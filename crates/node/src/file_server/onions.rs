//! Requests that exit hops bring, in their two forms. (communities-files-push 1.12)

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use conclave_onion::peel::{ReplySealer, open_at_server_owned};
use conclave_proto::v4::{V4Reply, V4Request};
use conclave_transport::http::Reply;
use rand_core::OsRng;
use serde_json::json;

use super::answer::{self, Answer, Asked, Content, Way, held_until_sent};
use super::armour::encoded;
use super::blobs::Trouble;
use super::{MAX_IN_JSON, OCTETS, SMALL, TTL, http_date, share, take};
use crate::node::Shared;
use crate::onion::MAX_REPLY;

/// Bytes of what surrounds a file in a reply of the fourth form, at most.
const HEAD: usize = 1024;
/// How the fourth form goes out: what hops hand back, in one buffer.
const FOURTH: Way = Way::Sealed { most: MAX_REPLY - HEAD, hundredths: 100 };
/// How the third form goes out: JSON, sealed where it is, and that once more as text, four characters for three bytes.
const THIRD: Way = Way::Sealed { most: MAX_IN_JSON, hundredths: 234 };
/// The largest body of the third form: a file in JSON in JSON.
const MAX_THIRD: usize = MAX_IN_JSON / 3 * 4 + 64 * 1024;

/// A request to this node as a server, in the fourth form: a list of JSON and bytes.
pub(super) async fn fourth(shared: &Arc<Shared>, body: Bytes) -> Reply {
    let room = share(shared, body.len()).await;
    let Ok((payload, sealer)) = open_at_server_owned(&shared.x25519, Vec::from(body)) else {
        return Reply::reason(400);
    };
    let answered = match (room, V4Request::decode_owned(payload)) {
        (Err(full), _) => full,
        (Ok(_share), Ok(V4Request { method, endpoint, headers, body })) => {
            let ttl = headers.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(TTL));
            let (ttl, body) = (ttl.map(|(_, value)| value), Bytes::from(body));
            let asked = Asked { method: &method, path: &endpoint, ttl, body, way: FOURTH };
            answer::answer(shared, asked).await
        }
        (Ok(_), Err(_)) => Answer::status(400),
    };
    match sealed_fourth(&sealer, answered).await {
        Some(reply) => reply,
        // The swarms have lost a part of it meanwhile.
        None => sealed_fourth(&sealer, Trouble::NotFound.into()).await.unwrap_or_else(|| Reply::reason(500)),
    }
}

async fn sealed_fourth(sealer: &ReplySealer, answer: Answer) -> Option<Reply> {
    let Answer { code, kind, expires, retry_after, content } = answer;
    let expires = expires.map(http_date);
    let headers =
        [("content-type", Some(kind)), ("expires", expires.as_deref()), ("retry-after", retry_after)];
    let headers: BTreeMap<String, String> =
        headers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    let (front, behind) = sealer.room();
    let mut buffer = V4Reply::begin(code, &headers, content.length(), front, behind);
    let room = buffer.capacity();
    let share = content.write(&mut buffer).await?;
    buffer.extend_from_slice(V4Reply::END);
    let sealed = sealer.seal_in_place(buffer, &mut OsRng);
    debug_assert!(sealed.capacity() <= room || sealed.len() <= SMALL, "it was not copied");
    Some(held_until_sent(200, OCTETS, sealed, share))
}

/// The third form, JSON in and out, for old clients.
pub(super) async fn third(shared: &Arc<Shared>, body: Bytes) -> Reply {
    #[derive(serde::Deserialize)]
    struct Request {
        method: String,
        endpoint: String,
        body: Option<String>,
    }
    if body.len() > MAX_THIRD {
        return Reply::reason(413);
    }
    // What is in JSON is there twice while it is taken out.
    let room = if body.len() > SMALL { take(shared, 2 * body.len()).await.map(Some) } else { Ok(None) };
    let Ok((payload, sealer)) = open_at_server_owned(&shared.x25519, Vec::from(body)) else {
        return Reply::reason(400);
    };
    let request = serde_json::from_slice::<Request>(&payload);
    drop(payload);
    let answered = match (room, request) {
        (Err(full), _) => full,
        (Ok(_share), Ok(Request { method, endpoint, body })) => {
            let path = format!("/{}", endpoint.trim_start_matches('/'));
            let body = Bytes::from(body.unwrap_or_default());
            answer::answer(shared, Asked { method: &method, path: &path, ttl: None, body, way: THIRD }).await
        }
        (Ok(_), Err(_)) => Answer::status(400),
    };
    let content = if (200..300).contains(&answered.code) { answered.content } else { refusal(answered.code) };
    match sealed_third(&sealer, content).await {
        Some(reply) => reply,
        None => sealed_third(&sealer, refusal(404)).await.unwrap_or_else(|| Reply::reason(500)),
    }
}

fn refusal(code: u16) -> Content {
    Content::Whole(json!({"status_code": code}).to_string().into())
}

async fn sealed_third(sealer: &ReplySealer, content: Content) -> Option<Reply> {
    let (front, behind) = sealer.room();
    let room = [front, content.length(), behind].iter().fold(0, |sum: usize, part| sum.saturating_add(*part));
    let mut buffer = Vec::with_capacity(room);
    buffer.resize(front, 0);
    let share = content.write(&mut buffer).await?;
    let sealed = sealer.seal_in_place(buffer, &mut OsRng);
    let mut text = String::with_capacity(encoded(sealed.len()));
    base64::engine::general_purpose::STANDARD.encode_string(&sealed, &mut text);
    debug_assert!(share.as_ref().is_none_or(|share| share.covers(&[sealed.len(), text.len()])));
    drop(sealed);
    Some(held_until_sent(200, "text/plain", text.into_bytes(), share))
}
