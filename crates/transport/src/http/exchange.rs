//! One request in, one reply out: size and time of the body, then the handler.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming as Body};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, SERVER};
use hyper::{Request, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::pieces::Sent;
use super::{Incoming, Options, Reply};

/// The handler and what all connections of a listener share.
pub(super) struct Exchange<H> {
    pub(super) options: Options,
    handler: H,
    /// One permit per byte of request body that may be in memory.
    room: Arc<Semaphore>,
}

/// Why no reply is sent. The connection is closed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Abandoned {
    #[error("the client was too slow with its body")]
    Slow,
    #[error("the client stopped in the middle of its body")]
    Broken(#[source] hyper::Error),
}

enum BodyRefused {
    TooLarge,
    Abandoned(Abandoned),
}

impl<H, F> Exchange<H>
where
    H: Fn(Incoming) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    pub(super) fn new(options: Options, handler: H) -> Self {
        let room = options.max_buffered_bodies.clamp(options.max_request_body, Semaphore::MAX_PERMITS);
        Self { options, handler, room: Arc::new(Semaphore::new(room)) }
    }

    pub(super) async fn answer(
        &self,
        peer: SocketAddr,
        request: Request<Body>,
    ) -> Result<Response<Sent>, Abandoned> {
        let (head, body) = request.into_parts();
        let reading = self.read(body);
        let (body, room) = match tokio::time::timeout(self.options.body_timeout, reading).await {
            Ok(Ok(read)) => read,
            Ok(Err(BodyRefused::TooLarge)) => {
                let refusal = Reply::text(413, "Request body too large")
                    .with_header(CONNECTION, HeaderValue::from_static("close"));
                return Ok(self.respond(refusal));
            }
            Ok(Err(BodyRefused::Abandoned(why))) => return Err(why),
            Err(_) => return Err(Abandoned::Slow),
        };
        let path = head.uri.path_and_query().map_or_else(|| head.uri.path().to_owned(), ToString::to_string);
        let incoming = Incoming { peer, method: head.method, path, headers: head.headers, body };
        let reply = (self.handler)(incoming).await;
        drop(room);
        Ok(self.respond(reply))
    }

    /// The whole body, and its share of the room for bodies.
    async fn read(&self, mut body: Body) -> Result<(Bytes, Option<OwnedSemaphorePermit>), BodyRefused> {
        let most = self.options.max_request_body;
        // The announced length, if there is one, is refused before a byte of it is read.
        if body.size_hint().lower() > most as u64 {
            return Err(BodyRefused::TooLarge);
        }
        let (mut whole, mut room) = (BytesMut::new(), None::<OwnedSemaphorePermit>);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| BodyRefused::Abandoned(Abandoned::Broken(error)))?;
            let Ok(data) = frame.into_data() else { continue };
            if whole.len() + data.len() > most {
                return Err(BodyRefused::TooLarge);
            }
            // Room is taken for what has arrived, not for what was announced: claiming it costs
            // an attacker bandwidth.
            let needed = u32::try_from(data.len()).map_err(|_| BodyRefused::TooLarge)?;
            let more = Arc::clone(&self.room).acquire_many_owned(needed).await;
            let more = more.expect("the semaphore is never closed");
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
            whole.extend_from_slice(&data);
        }
        Ok((whole.freeze(), room))
    }

    fn respond(&self, reply: Reply) -> Response<Sent> {
        let mut response = Response::new(match reply.pieces {
            None => Sent::whole(reply.body),
            Some(pieces) => Sent::in_pieces(pieces),
        });
        *response.status_mut() =
            StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        *headers = reply.headers;
        if let Ok(kind) = HeaderValue::from_str(&reply.content_type)
            && !kind.is_empty()
        {
            headers.insert(CONTENT_TYPE, kind);
        }
        if let Some(server) = &self.options.server_header {
            headers.entry(SERVER).or_insert_with(|| server.clone());
        }
        response
    }
}
