//! The content of files, as a page gets it: to be saved, to be played, or as a picture that was made here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_client::types::MessageId;
use conclave_client::{FileContent, media};
use hyper::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE,
};
use hyper::{Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use zeroize::Zeroizing;

use super::address::Form;
use super::made::{Made, Wanted};
use super::range::{self, Part};
use super::{Body, Files, fault, problem, refuse, sniff};
use crate::methods::Page;

/// Whatever it is, it is no document of ours: nothing in it runs, loads or talks.
const POLICY: &str = "sandbox; default-src 'none'";
/// Pieces that wait for a browser.
const QUEUE: usize = 4;
/// Bytes of a piece.
const PIECE: usize = 64 * 1024;
/// A browser that takes in nothing for so long has stopped, as a player does that is paused: it asks for the rest when it goes on.
const STUCK: Duration = Duration::from_secs(60);
/// Encoded pictures above this are not decoded.
pub(super) const LARGEST_PICTURE: u64 = media::MAX_PICTURE_BYTES as u64;
/// Sounds above this are played, and not listened to before: all of it has to be decoded for that.
const LARGEST_SOUND: u64 = 16 * 1024 * 1024;

/// What need not be escaped in the name of a file (RFC 8187).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Hands out a file of a message.
pub(super) async fn file(
    files: &Files,
    page: &Arc<Page>,
    id: &MessageId,
    place: u32,
    form: Form,
    headers: &HeaderMap,
) -> Response<Body> {
    let profile = match page.profile().await {
        Ok(profile) => profile,
        Err(error) => return problem(&error),
    };
    let content = match profile.session.open_file(id, place).await {
        Ok(content) => Arc::new(content),
        Err(error) => return fault(&error),
    };
    let wanted = match form {
        Form::Preview(side) => Some((Wanted::Picture(side), LARGEST_PICTURE)),
        Form::Sound => Some((Wanted::Sound, LARGEST_SOUND)),
        Form::Save | Form::Play => None,
    };
    if let Some((wanted, largest)) = wanted {
        if content.size() > largest {
            return nothing_made();
        }
        let key = (id.clone(), place, wanted);
        // Whoever asks has just shown that the file is here and the profile open.
        if let Some(made) = page.made().find(&key) {
            return hand_out(made);
        }
        let made = make(files, move || content.all().ok(), wanted).await;
        let Some(made) = made else { return nothing_made() };
        if page.shows(&profile).await {
            page.made().keep(key, made.clone());
        }
        return hand_out(made);
    }
    let Ok(slot) = Arc::clone(&files.downloads).acquire_owned().await else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "busy", "the server ends");
    };
    let looked = Arc::clone(&content);
    let start = tokio::task::spawn_blocking(move || start_of(&looked)).await;
    let Ok(Ok(start)) = start else {
        return refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "file_damaged",
            "the file on this machine is damaged",
        );
    };
    let played = sniff::playable(&start).filter(|_| form == Form::Play);
    // Content never changes: a browser that was interrupted may go on where it was.
    let tag = format!("\"{id}-{place}\"");
    let goes_on = headers.get(IF_RANGE).is_none_or(|condition| condition.as_bytes() == tag.as_bytes());
    let range = headers.get(RANGE).filter(|_| goes_on).and_then(|range| range.to_str().ok());
    let size = content.size();
    let (status, from, length) = match range::part(range, size) {
        Part::All => (StatusCode::OK, 0, size),
        Part::From(first, last) => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Part::None => {
            let mut response =
                refuse(StatusCode::RANGE_NOT_SATISFIABLE, "bad_range", "there is no such part");
            put(response.headers_mut(), CONTENT_RANGE, &format!("bytes */{size}"));
            return response;
        }
    };
    let name = content.safe_name();
    let mut response = Response::new(stream(content, from, length, slot));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    put(headers, ETAG, &tag);
    put(headers, CONTENT_LENGTH, &length.to_string());
    if status == StatusCode::PARTIAL_CONTENT {
        put(headers, CONTENT_RANGE, &format!("bytes {from}-{}/{size}", from + length - 1));
    }
    put(headers, CONTENT_TYPE, played.unwrap_or("application/octet-stream"));
    put(
        headers,
        CONTENT_DISPOSITION,
        &disposition(if played.is_some() { "inline" } else { "attachment" }, &name),
    );
    put(headers, CONTENT_SECURITY_POLICY, POLICY);
    response
}

/// Shows a file that waits to be sent, if it is a picture.
pub(super) async fn tray(files: &Files, page: &Arc<Page>, id: &str, side: u32) -> Response<Body> {
    let Some(handed) = page.trays().find(id) else {
        return refuse(StatusCode::NOT_FOUND, "not_found", "there is no such file in the tray");
    };
    if handed.file.size() > LARGEST_PICTURE {
        return nothing_made();
    }
    make(files, move || handed.file.content().ok(), Wanted::Picture(side))
        .await
        .map_or_else(nothing_made, hand_out)
}

/// Shows the profile picture of somebody. It was made anew already.
pub(super) async fn face(files: &Files, page: &Arc<Page>, account: &str, side: u32) -> Response<Body> {
    let profile = match page.profile().await {
        Ok(profile) => profile,
        Err(error) => return problem(&error),
    };
    let Ok(_slot) = Arc::clone(&files.making).acquire_owned().await else { return nothing_made() };
    match profile.session.picture(account, side).await {
        Ok(Some(seen)) => {
            // Of two types, and no others, whatever the process says that owns the profile.
            let content_type = if seen.content_type == "image/png" { "image/png" } else { "image/jpeg" };
            hand_out(Made { bytes: seen.bytes().into(), content_type })
        }
        Ok(None) => refuse(StatusCode::NOT_FOUND, "not_found", "there is no picture of them here"),
        Err(error) => fault(&error),
    }
}

/// Makes what is wanted of the bytes of a file, beside everything else.
async fn make(
    files: &Files,
    bytes: impl FnOnce() -> Option<Zeroizing<Vec<u8>>> + Send + 'static,
    wanted: Wanted,
) -> Option<Made> {
    let slot = Arc::clone(&files.making).acquire_owned().await.ok()?;
    let making = move || {
        let _slot = slot;
        wanted.make(&bytes()?)
    };
    tokio::task::spawn_blocking(making).await.ok().flatten()
}

fn hand_out(made: Made) -> Response<Body> {
    let mut response = Response::new(Body::from(made.bytes));
    let headers = response.headers_mut();
    put(headers, CONTENT_TYPE, made.content_type);
    put(headers, CONTENT_DISPOSITION, "inline");
    put(headers, CONTENT_SECURITY_POLICY, POLICY);
    response
}

fn nothing_made() -> Response<Body> {
    refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "no_picture", "no picture can be made of it")
}

fn start_of(content: &FileContent) -> Result<Vec<u8>, conclave_client::FileError> {
    let mut start = Vec::new();
    content.read(0, sniff::ENOUGH, |piece| {
        start.extend_from_slice(piece);
        true
    })?;
    Ok(start)
}

/// Decrypts on a thread of its own, no faster than the browser takes it.
fn stream(content: Arc<FileContent>, from: u64, length: u64, slot: OwnedSemaphorePermit) -> Body {
    let (pieces, taken) = mpsc::channel(QUEUE);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let _slot = slot;
        let send = |piece: io::Result<Bytes>| {
            let sending = async { tokio::time::timeout(STUCK, pieces.send(piece)).await };
            matches!(runtime.block_on(sending), Ok(Ok(())))
        };
        let read = content.read(from, length, |bytes| {
            bytes.chunks(PIECE).all(|piece| send(Ok(Bytes::copy_from_slice(piece))))
        });
        if let Err(error) = read {
            tracing::debug!(%error, "a file could not be handed out");
            send(Err(io::ErrorKind::InvalidData.into()));
        }
    });
    Body::Pieces { from: taken, left: length }
}

/// How a browser is to treat it, and what it is called. The name is one that can be a file's; the one in plain letters is for
/// programs that read no other.
fn disposition(how: &str, name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-._ ()".contains(c) { c } else { '_' };
    let plain: String = name.chars().map(plain).collect();
    format!("{how}; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(name, ESCAPED))
}

fn put(headers: &mut HeaderMap, name: hyper::header::HeaderName, value: &str) {
    // All of them are made here, of letters that may stand in a header.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_header_ends_nothing_and_begins_nothing() {
        for name in ["a\"; filename=\"b.exe", "a\r\nSet-Cookie: x", "ä'%.pdf", "عربي.png", "a;b"] {
            let header = disposition("attachment", name);
            assert_eq!(header.matches('"').count(), 2, "{header}");
            assert!(header.is_ascii() && !header.contains(['\r', '\n']), "{header}");
            assert_eq!(header.matches(';').count(), 2, "{header}");
        }
        assert_eq!(disposition("inline", "ä.ogg"), "inline; filename=\"_.ogg\"; filename*=UTF-8''%C3%A4.ogg");
    }
}
