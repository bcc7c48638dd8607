//! Files of a page: what it hands over to be sent, and what it shows of messages.
//!
//! Everything lies under `/api/files/TOKEN/`. The token (256 bits) is told to a page with its first answer and is good as long as
//! that page is connected: the browser's own parts (a picture, a player, a download) can show no header. Whoever hands something
//! over must show the page's secret and origin as well. What comes out is never a document: content is to be saved, but for sounds
//! and videos that are known by their bytes, and pictures are decoded and made anew here. `docs/app.md` says why.

mod address;
mod body;
mod content;
mod made;
mod range;
mod sniff;
mod upload;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use conclave_client::Error;
use conclave_crypto::hash::{Blake2b, constant_time_eq};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::json;
use tokio::sync::Semaphore;

use self::address::{Address, Form};
use crate::methods::Page;
use crate::rpc::Problem;
use crate::server::Shared;
use crate::{door, origin};

pub(crate) use address::PREFIX;
pub(crate) use body::Body;
pub(crate) use made::Kept;
pub(crate) use upload::Trays;

/// Files that are taken in at one time, over all pages.
const UPLOADS: usize = 4;
/// Files that are handed out at one time. Further ones wait; a browser asks for six at once.
const DOWNLOADS: usize = 16;
/// Pictures that are made at one time, and sounds that are listened to: each takes some memory.
const MADE: usize = 2;

/// Who may ask for files, and how much is done at once.
pub(crate) struct Files {
    pages: Mutex<Vec<([u8; 32], Weak<Page>)>>,
    uploads: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
    making: Arc<Semaphore>,
}

impl Default for Files {
    fn default() -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self {
            pages: Mutex::default(),
            uploads: places(UPLOADS),
            downloads: places(DOWNLOADS),
            making: places(MADE),
        }
    }
}

impl Files {
    /// From now on, whoever shows this token asks for that page, as long as it is connected.
    pub(crate) fn admit(&self, token: &door::Token, page: &Arc<Page>) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.retain(|(_, page)| page.strong_count() > 0);
        pages.push((digest(token.as_str()), Arc::downgrade(page)));
    }

    fn page(&self, token: &str) -> Option<Arc<Page>> {
        let offered = digest(token);
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        // All of them are compared, so that the time does not tell which was close.
        let mut found = None;
        for (known, page) in pages.iter() {
            if constant_time_eq(known, &offered) {
                found = page.upgrade();
            }
        }
        found.filter(|page| !page.has_left())
    }
}

fn digest(token: &str) -> [u8; 32] {
    Blake2b::new().hash(&[token.as_bytes()])
}

/// Answers a request for a file. Its host is known to be ours.
pub(crate) async fn answer(
    request: Request<Incoming>,
    shared: &Arc<Shared>,
    admitted: bool,
) -> Response<Body> {
    if !from_our_page(request.headers()) {
        return refuse(StatusCode::FORBIDDEN, "other_origin", "another origin asks");
    }
    let Some((token, address)) = address::read(request.uri().path()) else {
        return refuse(StatusCode::NOT_FOUND, "not_found", "there is nothing here");
    };
    let Some(page) = shared.files().page(token) else {
        return refuse(StatusCode::UNAUTHORIZED, "not_admitted", "not admitted");
    };
    let files = shared.files();
    let query = request.uri().query();
    match (request.method(), address) {
        (&Method::POST, what @ (Address::Upload | Address::Picture)) => {
            // A form of another site could post as well, if it had found out the token.
            if !admitted || !origin::origin_is_ours(request.headers(), shared.port()) {
                return refuse(StatusCode::FORBIDDEN, "not_admitted", "another origin asks");
            }
            let Ok(_place) = Arc::clone(&files.uploads).try_acquire_owned() else {
                return refuse(StatusCode::SERVICE_UNAVAILABLE, "busy", "other files are being taken in");
            };
            match what {
                Address::Picture => upload::picture(request, &page).await,
                _ => upload::upload(request, &page).await,
            }
        }
        (&Method::GET, Address::Tray(id)) => match Form::of(query) {
            Some(Form::Preview(side)) => content::tray(files, &page, &id, side).await,
            _ => {
                refuse(StatusCode::BAD_REQUEST, "bad_query", "only pictures are shown of what is being sent")
            }
        },
        (&Method::GET, Address::Face(account)) => match Form::of(query) {
            Some(Form::Preview(side)) => content::face(files, &page, &account, side).await,
            _ => refuse(StatusCode::BAD_REQUEST, "bad_query", "profile pictures are shown, and no more"),
        },
        (&Method::GET | &Method::HEAD, Address::File(id, place)) => match Form::of(query) {
            Some(form) => content::file(files, &page, &id, place, form, request.headers()).await,
            None => refuse(StatusCode::BAD_REQUEST, "bad_query", "a file is saved, played or shown small"),
        },
        (_, address) => {
            let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, "bad_method", "not in this way");
            let taken = matches!(address, Address::Upload | Address::Picture);
            let allowed = if taken { "POST" } else { "GET, HEAD" };
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
            response
        }
    }
}

/// Whether a browser says that one of our own pages asks, or its user. Pages of other ports count as the same *site*.
fn from_our_page(headers: &HeaderMap) -> bool {
    let mut said = headers.get_all(HeaderName::from_static("sec-fetch-site")).iter();
    match (said.next(), said.next()) {
        // Not a browser, or an old one: the token decides.
        (None, _) => true,
        (Some(site), None) => matches!(site.as_bytes(), b"same-origin" | b"none"),
        _ => false,
    }
}

/// Says why not, in words for the page.
pub(crate) fn refuse(status: StatusCode, kind: &str, reason: &str) -> Response<Body> {
    say(status, &json!({ "error": reason, "kind": kind }))
}

fn say(status: StatusCode, said: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes::Bytes::from(said.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// What the SDK says, without the paths that stand in some of its messages.
fn fault(error: &Error) -> Response<Body> {
    let (status, reason) = match error.kind() {
        "locked" => (StatusCode::LOCKED, "the profile is locked"),
        "unknown_message" | "not_allowed" => (StatusCode::NOT_FOUND, "there is no such file"),
        "file_not_here" => (StatusCode::NOT_FOUND, "the file has not been fetched yet"),
        "file_damaged" => (StatusCode::INTERNAL_SERVER_ERROR, "the file on this machine is damaged"),
        "too_large" => (StatusCode::PAYLOAD_TOO_LARGE, "this is more than can be sent"),
        "not_a_picture" => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "no picture can be made of it"),
        "unreachable" | "no_path" | "refused" | "server" | "clock" => {
            (StatusCode::SERVICE_UNAVAILABLE, "the network does not take it now")
        }
        "owner_unreachable" => (StatusCode::SERVICE_UNAVAILABLE, "the program that has the profile is gone"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "this machine's disk does not do what it should"),
    };
    refuse(status, error.kind(), reason)
}

fn problem(problem: &Problem) -> Response<Body> {
    match problem {
        Problem::Sdk(error) => fault(error),
        Problem::Refused { kind, message, .. } => refuse(StatusCode::CONFLICT, kind, message),
        Problem::Wrong { message, .. } => refuse(StatusCode::BAD_REQUEST, "bad_request", message),
    }
}
