//! The file server that programs of others know (communities-files-push 2), in front of the files in swarms: over plain HTTP,
//! where their exit hops come by onion request (v4, v3), or anybody directly. Off unless the operator opens a port.
//!
//! Serves nothing else. What is uploaded becomes chunks under a file key of this node's own; what is downloaded may have been
//! uploaded anywhere. Accounts are not known here.
//!
//! No request holds more than [`LARGEST_SHARE`] bytes, and all together no more than [`ROOM`]: a file goes out a piece at a time
//! where it may, and where it has to be sealed as a whole it lies in one buffer from its first piece to its last byte on the wire.
//! What each may hold is taken from a [`Budget`] before it is held.

mod answer;
mod armour;
mod blobs;
mod budget;
mod onions;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use conclave_proto::Timestamp;
use conclave_transport::http::{HeaderName, HeaderValue, Incoming, Options, Reply};

use crate::metrics::Shed;
use crate::node::Shared;
use crate::peer;
use answer::{Answer, Asked, Way};
pub(crate) use budget::Budget;
use budget::Share;

/// The largest file that is taken. (communities-files-push 2.3)
const MAX_FILE: usize = 10_223_616;
/// The largest file in JSON, in either direction: as text it is a third larger, and it may be there as text twice.
const MAX_IN_JSON: usize = 4_800_000;
/// The largest body: such a file, sealed.
const MAX_BODY: usize = MAX_FILE + 64 * 1024;
/// The most that one request holds.
const LARGEST_SHARE: usize = 16 * 1024 * 1024;
/// What all requests hold at once.
pub(crate) const ROOM: usize = 4 * LARGEST_SHARE;
/// Requests that are not larger, such as all that ask for something, are not counted.
const SMALL: usize = 16 * 1024;
/// How long a request waits for room.
const PATIENCE: Duration = Duration::from_secs(5);
/// When who was refused for want of room may come again, in seconds.
const RETRY_AFTER: &str = "5";
/// How long files are kept. (communities-files-push 2.3)
const LIFE: Duration = Duration::from_secs(14 * 24 * 3600);
/// Few connections: exit hops, each with the requests of many.
const MAX_CONNECTIONS: usize = 256;
/// Bodies that are being read.
const MAX_BODIES: usize = 4 * MAX_BODY;

/// The header by which an uploader says for how many seconds.
const TTL: &str = "x-fs-ttl";
const JSON: &str = "application/json";
const OCTETS: &str = "application/octet-stream";

/// What the listener allows.
pub(crate) fn options() -> Options {
    Options {
        max_request_body: MAX_BODY,
        max_connections: MAX_CONNECTIONS,
        max_buffered_bodies: MAX_BODIES,
        ..Options::default()
    }
}

/// The routes.
pub(crate) fn handler(
    shared: &Arc<Shared>,
) -> impl Fn(Incoming) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync + use<> {
    let shared = Arc::clone(shared);
    move |incoming| {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            if let Err(after) = shared.gate.admit_bytes(incoming.peer.ip(), incoming.body.len()) {
                shared.metrics.shed(Shed::bytes);
                return Reply::json(429, peer::too_many_bytes(after));
            }
            // In a task of its own: an upload that began is finished.
            let serving = tokio::spawn(async move { serve(&shared, incoming).await });
            serving.await.unwrap_or_else(|_| Reply::text(500, "request failed"))
        })
    }
}

/// A time as HTTP writes it.
fn http_date(time: Timestamp) -> String {
    // Later than HTTP can write is as good as never.
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_millis(time.0).min(LAST))
}

async fn serve(shared: &Arc<Shared>, incoming: Incoming) -> Reply {
    let Incoming { method, path, headers, body, .. } = incoming;
    let (method, path) = (method.as_str(), path.as_str());
    if method == "POST" && path == "/oxen/v4/lsrpc" {
        return onions::fourth(shared, body).await;
    }
    if method == "POST" && matches!(path, "/oxen/v3/lsrpc" | "/loki/v3/lsrpc") {
        return onions::third(shared, body).await;
    }
    let ttl = headers.get(TTL).map(|value| value.to_str().unwrap_or_default().to_owned());
    let answer = match share(shared, body.len()).await {
        Ok(_share) => answer::answer(shared, Asked { method, path, ttl, body, way: Way::Pieces }).await,
        Err(full) => full,
    };
    let Answer { code, kind, expires, retry_after, content } = answer;
    let mut reply = content.into_reply(code, kind).await;
    let headers = [("expires", expires.map(http_date)), ("retry-after", retry_after.map(str::to_owned))];
    for (name, value) in headers {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            reply = reply.with_header(HeaderName::from_static(name), value);
        }
    }
    reply
}

/// Room for what a request of so many bytes brings, until it is in its swarms; none is needed for what is small.
async fn share(shared: &Shared, body: usize) -> Result<Option<Share>, Answer> {
    if body <= SMALL {
        return Ok(None);
    }
    // What is small enough to be JSON may be there twice while the file in it is taken out.
    let beside =
        if body <= answer::in_json(MAX_IN_JSON) { body.max(blobs::UPLOADING) } else { blobs::UPLOADING };
    take(shared, body.saturating_add(beside)).await.map(Some)
}

/// Room for so many bytes, or the refusal for want of it.
async fn take(shared: &Shared, bytes: usize) -> Result<Share, Answer> {
    debug_assert!(bytes <= LARGEST_SHARE, "{bytes}");
    let share = shared.file_room.take(bytes, PATIENCE).await;
    share.ok_or_else(|| {
        shared.metrics.shed(Shed::overload);
        Answer { retry_after: Some(RETRY_AFTER), ..Answer::status(503) }
    })
}
