//! A file that a page hands over: it goes, encrypted, into the tray of a conversation, piece by piece as it comes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use conclave_client::{Error, FileError, StagedFile, Staging};
use conclave_view::tray::{Handed, Tray};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Request, Response, StatusCode};
use rand_core::OsRng;
use serde_json::json;
use tokio::sync::mpsc;

use super::content::LARGEST_PICTURE;
use super::{Body, address, fault, problem, refuse, say};
use crate::door::Token;
use crate::methods::Page;
use crate::profiles::OpenProfile;

/// How long a page may take for the next piece.
const ARRIVE_WITHIN: Duration = Duration::from_secs(30);
/// Pieces that wait for the disk.
const QUEUE: usize = 4;
/// Bytes of a file's name, as long as file systems take.
const MAX_NAME: usize = 255;
/// The longest MIME type.
const MAX_TYPE: usize = 100;
/// Bytes that may lie in all trays of one page: some of the largest files.
const MOST_BYTES: u64 = 4 << 30;
/// The length of the name a file has in the tray.
const FILE_ID_LENGTH: usize = 32;

/// What lies ready to be sent in each conversation of a page. It goes with the page.
#[derive(Default)]
pub(crate) struct Trays(Mutex<BTreeMap<String, Tray>>);

impl Trays {
    /// The tray of a conversation, by its account id.
    pub(crate) fn of(&self, chat: &str) -> Tray {
        let mut trays = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody keeps what is empty, unless a composer shows it.
        trays.retain(|_, tray| !tray.is_unused());
        trays.entry(chat.to_owned()).or_default().clone()
    }

    pub(crate) fn clear(&self) {
        let trays = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        // A composer that is still open has the same tray.
        trays.values().for_each(Tray::clear);
    }

    pub(super) fn find(&self, id: &str) -> Option<Handed> {
        let trays = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trays.values().find_map(|tray| tray.find(id))
    }

    fn size(&self) -> u64 {
        let trays = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trays.values().map(Tray::size).sum()
    }
}

/// Takes a file in.
pub(super) async fn upload(request: Request<Incoming>, page: &Arc<Page>) -> Response<Body> {
    let headers = request.headers();
    let query = request.uri().query().unwrap_or_default();
    let Some(chat) = address::value(query, "chat").filter(|chat| address::is_account(chat)) else {
        return refuse(StatusCode::BAD_REQUEST, "bad_query", "a file is for a conversation: name it");
    };
    let voice = address::value(query, "voice").as_deref() == Some("1");
    // A page that names it itself knows it again as soon as it stands in the tray.
    let id =
        address::value(query, "id").filter(|id| address::is_hex(id, FILE_ID_LENGTH)).unwrap_or_else(new_id);
    let (name, content_type) = (address::value(query, "name").and_then(|name| clean(&name)), kind(headers));
    let (profile, size) = match expected(headers, page, None).await {
        Ok(expected) => expected,
        Err(refused) => return close(refused),
    };
    if page.trays().size().saturating_add(size) > MOST_BYTES {
        let reason = "much is waiting to be sent already";
        return close(refuse(StatusCode::PAYLOAD_TOO_LARGE, "too_much", reason));
    }
    let tray = page.trays().of(&chat);
    let place = tray.place();
    let file = match take_in(request.into_body(), profile.place.clone(), size).await {
        Ok(file) => file,
        Err(refused) => return close(refused),
    };
    if page.trays().find(&id).is_some() {
        return refuse(StatusCode::CONFLICT, "not_allowed", "there is a file of this name in the tray");
    }
    let handed =
        Handed { id: id.clone(), place, name, content_type, voice, as_file: false, file: Arc::new(file) };
    // The page may have begun anew, with another profile.
    if !page.shows(&profile).await {
        return refuse(StatusCode::CONFLICT, "no_profile", "the profile is not shown any more");
    }
    if let Err(error) = tray.put(handed) {
        return fault(&error);
    }
    page.tray_changed(&chat).await;
    say(StatusCode::OK, &json!({ "id": id }))
}

/// Takes a picture in, and makes it the account's own. Answers when it is where contacts can fetch it.
pub(super) async fn picture(request: Request<Incoming>, page: &Arc<Page>) -> Response<Body> {
    let (profile, size) = match expected(request.headers(), page, Some(LARGEST_PICTURE)).await {
        Ok(expected) => expected,
        Err(refused) => return close(refused),
    };
    let file = match take_in(request.into_body(), profile.place.clone(), size).await {
        Ok(file) => file,
        Err(refused) => return close(refused),
    };
    if !page.shows(&profile).await {
        return refuse(StatusCode::CONFLICT, "no_profile", "the profile is not shown any more");
    }
    match profile.session.set_picture(file.attachment()).await {
        Ok(()) => say(StatusCode::OK, &json!({})),
        Err(error) => fault(&error),
    }
}

/// For which profile something comes, and how many bytes of it: at most `limit`, or what the network takes. A locked profile takes
/// nothing in.
async fn expected(
    headers: &HeaderMap,
    page: &Page,
    limit: Option<u64>,
) -> Result<(Arc<OpenProfile>, u64), Response<Body>> {
    let Some(size) = length(headers) else {
        return Err(refuse(StatusCode::LENGTH_REQUIRED, "no_length", "how long is it?"));
    };
    let profile = page.profile().await.map_err(|error| problem(&error))?;
    let status = async {
        profile.session.info().await?;
        profile.session.status().await
    };
    let status = status.await.map_err(|error| fault(&error))?;
    let limit = limit.unwrap_or(status.largest_file);
    if size > limit {
        let reason = format!("at most {limit} bytes are taken");
        return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &reason));
    }
    Ok((profile, size))
}

/// Writes what comes, encrypted. Of what does not come to its end nothing stays.
async fn take_in(
    mut body: Incoming,
    profile: conclave_client::profile::Profile,
    size: u64,
) -> Result<StagedFile, Response<Body>> {
    let (pieces, mut waiting) = mpsc::channel::<Bytes>(QUEUE);
    let writing = tokio::task::spawn_blocking(move || -> Result<StagedFile, FileError> {
        let mut staging = Staging::begin(&profile, size)?;
        while let Some(piece) = waiting.blocking_recv() {
            staging.write(&piece)?;
        }
        staging.finish()
    });
    let mut broken = false;
    loop {
        match tokio::time::timeout(ARRIVE_WITHIN, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                let Ok(piece) = frame.into_data() else { continue };
                if pieces.send(piece).await.is_err() {
                    // The disk failed; why, it says below.
                    break;
                }
            }
            Ok(None) => break,
            Ok(Some(Err(_))) | Err(_) => {
                broken = true;
                break;
            }
        }
    }
    drop(pieces);
    let written = writing.await.map_err(|stopped| fault(&Error::bug(stopped.to_string())))?;
    match written {
        _ if broken => Err(refuse(StatusCode::BAD_REQUEST, "broken", "the file broke off")),
        Ok(file) => Ok(file),
        Err(FileError::Changed(_)) => {
            Err(refuse(StatusCode::BAD_REQUEST, "broken", "the file is not as long as was said"))
        }
        Err(error) => Err(fault(&error.into())),
    }
}

/// The rest of a body that is not wanted is not read, either.
fn close(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn new_id() -> String {
    Token::generate(&mut OsRng).as_str().get(..FILE_ID_LENGTH).unwrap_or_default().to_owned()
}

/// The last part of a name, without what nobody can see; `None` if nothing is left.
fn clean(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut seen: String = last.chars().filter(|c| !c.is_control()).collect();
    while seen.len() > MAX_NAME {
        // The end of a name says what it is.
        seen.remove(0);
    }
    let seen = seen.trim();
    (!seen.is_empty() && !matches!(seen, "." | "..")).then(|| seen.to_owned())
}

/// The MIME type, if it is one.
fn kind(headers: &HeaderMap) -> Option<String> {
    let said = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    // What stands behind it, as the codecs of a recording, is for the page alone.
    let said = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (kind, rest) = said.split_once('/')?;
    let is_word = |text: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        !text.is_empty() && text.bytes().all(fits)
    };
    (said.len() <= MAX_TYPE && is_word(kind) && is_word(rest)).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_last_part_of_what_was_said_and_can_be_seen() {
        for (name, expected) in [
            ("holiday.jpg", Some("holiday.jpg")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\Users\\me\\cv.pdf", Some("cv.pdf")),
            ("a\nb\u{0}.txt", Some("ab.txt")),
            ("", None),
            ("..", None),
            ("a/", None),
            (" \u{7} ", None),
        ] {
            assert_eq!(clean(name).as_deref(), expected, "{name:?}");
        }
        let long = format!("{}.pdf", "é".repeat(300));
        assert!(clean(&long).is_some_and(|name| name.len() <= MAX_NAME && name.ends_with(".pdf")));
    }

    #[test]
    fn a_type_is_two_words() {
        let kind =
            |said: &str| kind(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_str(said).unwrap())]));
        assert_eq!(kind("image/PNG").as_deref(), Some("image/png"));
        assert_eq!(kind("audio/webm;codecs=opus").as_deref(), Some("audio/webm"));
        for other in
            ["", "image", "image/", "/png", "a b/c", "text/html\u{9}x", &format!("a/{}", "b".repeat(100))]
        {
            assert_eq!(kind(other), None, "{other}");
        }
    }
}
