//! The listener on loopback: who may connect, what is asked, and what every answer carries.
//!
//! All requests go through [`answer`], so no route can forget a check: first the host, then the origin where a page must show it,
//! then the secret for everything under `/api/`.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rand_core::OsRng;
use serde::Deserialize;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use zeroize::Zeroizing;

use crate::door::Door;
use crate::files::{self, Body, Files};
use crate::profiles::Profiles;
use crate::{origin, page, socket};

/// Connections at one time: a browser opens some for each page. Above that, new ones are closed.
pub(crate) const MAX_CONNECTIONS: usize = 128;
/// Pages at one time.
pub(crate) const MAX_PAGES: usize = 32;
/// Room for the headers of one request.
const MAX_HEAD: usize = 16 * 1024;
/// The longest body: a code in JSON.
const MAX_BODY: usize = 1024;
/// How long a request may take to arrive. Idle connections end with it, too.
const ARRIVE_WITHIN: Duration = Duration::from_secs(30);
/// Rest after a failed `accept`, which mostly means that the file handles are used up.
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(50);

/// What all connections share.
pub(crate) struct Shared {
    port: u16,
    door: Mutex<Door>,
    /// A code was exchanged.
    pub(crate) exchanged: Notify,
    profiles: Arc<Profiles>,
    files: Files,
    pages: Arc<Semaphore>,
    stop: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new(port: u16, profiles: Profiles) -> Self {
        Self {
            port,
            door: Mutex::default(),
            exchanged: Notify::new(),
            profiles: Arc::new(profiles),
            files: Files::default(),
            pages: Arc::new(Semaphore::new(MAX_PAGES)),
            stop: watch::channel(false).0,
        }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn profiles(&self) -> Arc<Profiles> {
        Arc::clone(&self.profiles)
    }

    pub(crate) const fn files(&self) -> &Files {
        &self.files
    }

    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the server is to end.
    pub(crate) async fn stopping(&self) {
        // The sender is ours, so the channel does not close.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }
}

/// Listens on loopback only, whatever the port.
pub(crate) async fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

/// Takes connections until the server is to end, and ends when the last of them has.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Dropped with this task, which ends the connections too.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            () = shared.stopping() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                // At the limit a closed connection is better than a silent one.
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    serve(stream, shared).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_ERROR_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // The page of this connection, once it is a WebSocket: worked on here, so that it counts as long as it lasts.
    let upgrade = Arc::new(Mutex::new(None));
    let (asked, taken) = (Arc::clone(&shared), Arc::clone(&upgrade));
    let service = service_fn(move |request| {
        let (shared, taken) = (Arc::clone(&asked), Arc::clone(&taken));
        async move { Ok::<_, Infallible>(answer(request, &shared, &taken).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ARRIVE_WITHIN)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        // A browser that breaks off, or a stranger that speaks something else, is no news.
        _ = connection => {}
        () = shared.stopping() => return,
    }
    let upgrading = upgrade.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((upgrading, place)) = upgrading {
        if let Ok(upgraded) = upgrading.await {
            socket::serve(upgraded, shared).await;
        }
        drop(place);
    }
}

type Upgrade = Mutex<Option<(hyper::upgrade::OnUpgrade, tokio::sync::OwnedSemaphorePermit)>>;

/// Answers one request. Whatever it is, the answer carries the headers that keep a browser from misusing it.
async fn answer(request: Request<Incoming>, shared: &Arc<Shared>, upgrade: &Upgrade) -> Response<Body> {
    let head = request.method() == Method::HEAD;
    let mut response = route(request, shared, upgrade).await;
    page::guard(response.headers_mut());
    if head {
        *response.body_mut() = Body::empty();
    }
    response
}

async fn route(request: Request<Incoming>, shared: &Arc<Shared>, upgrade: &Upgrade) -> Response<Body> {
    let headers = request.headers();
    if !origin::host_is_ours(headers, shared.port) {
        return refuse(StatusCode::MISDIRECTED_REQUEST, "another host is meant");
    }
    let from_our_page = origin::origin_is_ours(headers, shared.port);
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/api/session") if from_our_page => exchange(request, shared).await,
        (&Method::GET, "/api/socket") if from_our_page => take_page(request, shared, upgrade),
        (_, "/api/session" | "/api/socket") => refuse(StatusCode::FORBIDDEN, "another origin asks"),
        (_, path) if path.starts_with(files::PREFIX) => {
            let admitted = admitted(headers, shared);
            files::answer(request, shared, admitted).await
        }
        (_, path) if path.starts_with("/api/") => match admitted(headers, shared) {
            true => refuse(StatusCode::NOT_FOUND, "there is nothing here"),
            false => refuse(StatusCode::UNAUTHORIZED, "not admitted"),
        },
        (&Method::GET | &Method::HEAD, path) => match page::find(path, headers) {
            Some(found) => {
                let mut response = Response::new(Body::from(found.body));
                *response.headers_mut() = found.headers;
                response
            }
            None => refuse(StatusCode::NOT_FOUND, "there is nothing here"),
        },
        _ => {
            let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, "files are only read");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
    }
}

fn admitted(headers: &HeaderMap, shared: &Shared) -> bool {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    bearer.is_some_and(|secret| shared.door().admits(secret))
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

/// A code for a secret.
async fn exchange(request: Request<Incoming>, shared: &Arc<Shared>) -> Response<Body> {
    let body = Limited::new(request.into_body(), MAX_BODY).collect();
    let body = match tokio::time::timeout(ARRIVE_WITHIN, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        _ => return refuse(StatusCode::PAYLOAD_TOO_LARGE, "a code is short"),
    };
    let Ok(Code { code }) = serde_json::from_slice(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "this is no code");
    };
    let code = Zeroizing::new(code);
    let secret = shared.door().exchange(&code, &mut OsRng, Instant::now());
    match secret {
        Some(secret) => {
            shared.exchanged.notify_waiters();
            reply(StatusCode::OK, json!({"secret": secret.as_str()}).to_string())
        }
        None => refuse(StatusCode::UNAUTHORIZED, "this code lets nobody in (any more)"),
    }
}

/// Makes the connection a page's WebSocket.
fn take_page(request: Request<Incoming>, shared: &Arc<Shared>, upgrade: &Upgrade) -> Response<Body> {
    let Ok(place) = Arc::clone(&shared.pages).try_acquire_owned() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "too many pages are open");
    };
    let (mut parts, body) = request.into_parts();
    drop(body);
    let Some(upgrading) = parts.extensions.remove::<hyper::upgrade::OnUpgrade>() else {
        return refuse(StatusCode::BAD_REQUEST, "this is no WebSocket");
    };
    match create_response(&Request::from_parts(parts, ())) {
        Ok(response) => {
            *upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some((upgrading, place));
            response.map(|()| Body::empty())
        }
        Err(_) => refuse(StatusCode::BAD_REQUEST, "this is no WebSocket"),
    }
}

fn refuse(status: StatusCode, reason: &str) -> Response<Body> {
    reply(status, json!({ "error": reason }).to_string())
}

fn reply(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
