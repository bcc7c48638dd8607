//! What is asked and what is answered, whatever way it came.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use bytes::Bytes;
use conclave_proto::Timestamp;
use conclave_proto::chunk::{BlobId, Manifest};
use conclave_transport::http::{Pieces, Reply};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::armour::{decode_in_place, encoded};
use super::blobs::{self, Trouble};
use super::budget::Share;
use super::{JSON, LIFE, MAX_FILE, MAX_IN_JSON, OCTETS, SMALL, take};
use crate::node::Shared;

/// Bytes handed to the wire at once.
const PIECE: usize = 256 * 1024;
/// Whoever takes a file directly has to take so many bytes a second on the average, beside the first minute.
const SLOWEST: u64 = 64 * 1024;
const FIRST: Duration = Duration::from_secs(60);

/// How an answer goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// As it comes: it is never there as a whole.
    Pieces,
    /// Sealed as a whole, of at most so many bytes of file; for each byte of the answer so many hundredths of a byte are held.
    Sealed { most: usize, hundredths: usize },
}

/// A request, whatever way it came.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    /// With its query.
    pub(super) path: &'a str,
    pub(super) ttl: Option<String>,
    pub(super) body: Bytes,
    pub(super) way: Way,
}

pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) kind: &'static str,
    pub(super) expires: Option<Timestamp>,
    /// In seconds.
    pub(super) retry_after: Option<&'static str>,
    pub(super) content: Content,
}

/// What is in an answer.
pub(super) enum Content {
    Whole(Bytes),
    /// A file that comes in pieces, and the room that is kept for it.
    File {
        size: usize,
        coming: mpsc::Receiver<Bytes>,
        share: Share,
    },
    /// The same as text in JSON.
    InJson {
        size: usize,
        coming: mpsc::Receiver<Bytes>,
        share: Share,
    },
}

const BEFORE: &[u8] = br#"{"status_code":200,"result":""#;
const BEHIND: &[u8] = br#""}"#;

impl Content {
    /// Bytes in all.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Whole(bytes) => bytes.len(),
            Self::File { size, .. } => *size,
            Self::InJson { size, .. } => in_json(*size),
        }
    }

    /// Appends all of it to `out`, which has room for it; gives the room that was kept for it back, to be kept on. `None` if the
    /// file ends before its end.
    pub(super) async fn write(self, out: &mut Vec<u8>) -> Option<Option<Share>> {
        match self {
            Self::Whole(bytes) => {
                out.extend_from_slice(&bytes);
                Some(None)
            }
            Self::File { size, mut coming, share } => {
                let end = out.len().checked_add(size)?;
                while let Some(piece) = coming.recv().await {
                    out.extend_from_slice(&piece);
                }
                (out.len() == end).then_some(Some(share))
            }
            Self::InJson { size, mut coming, share } => {
                let end = out.len().checked_add(in_json(size))?;
                out.extend_from_slice(BEFORE);
                let mut text = EncoderWriter::new(&mut *out, &STANDARD);
                while let Some(piece) = coming.recv().await {
                    text.write_all(&piece).ok()?;
                }
                text.finish().ok()?;
                drop(text);
                out.extend_from_slice(BEHIND);
                (out.len() == end).then_some(Some(share))
            }
        }
    }

    /// As it goes over plain HTTP.
    pub(super) async fn into_reply(self, code: u16, kind: &'static str) -> Reply {
        match self {
            Self::Whole(bytes) => Reply::new(code, kind, bytes),
            Self::File { size, mut coming, share } => {
                let (tell, pieces) = mpsc::channel(1);
                let length = size as u64;
                let longest = FIRST.saturating_add(Duration::from_secs(length / SLOWEST));
                tokio::spawn(async move {
                    let sending = async {
                        while let Some(piece) = coming.recv().await {
                            if tell.send(piece).await.is_err() {
                                break;
                            }
                        }
                    };
                    // Whoever is slower has room that others wait for.
                    let _ = tokio::time::timeout(longest, sending).await;
                    drop(share);
                });
                Reply::in_pieces(code, kind, Pieces::new(length, pieces))
            }
            json @ Self::InJson { .. } => {
                let mut out = Vec::with_capacity(json.length());
                match json.write(&mut out).await {
                    Some(share) => held_until_sent(code, kind, out, share),
                    None => Reply::json(404, json!({"status_code": 404}).to_string()),
                }
            }
        }
    }
}

/// A reply that is there as a whole, and the room for it until it is on the wire.
pub(super) fn held_until_sent(code: u16, kind: &'static str, body: Vec<u8>, share: Option<Share>) -> Reply {
    let mut body = Bytes::from(body);
    let Some(share) = share else { return Reply::new(code, kind, body) };
    debug_assert!(share.covers(&[body.len()]));
    let (tell, pieces) = mpsc::channel(1);
    let length = body.len() as u64;
    tokio::spawn(async move {
        while !body.is_empty() {
            let piece = body.split_to(body.len().min(PIECE));
            if tell.send(piece).await.is_err() {
                break;
            }
        }
        drop(share);
    });
    Reply::in_pieces(code, kind, Pieces::new(length, pieces))
}

impl Answer {
    pub(super) fn json(code: u16, body: &Value) -> Self {
        let content = Content::Whole(body.to_string().into());
        Self { code, kind: JSON, expires: None, retry_after: None, content }
    }

    pub(super) fn status(code: u16) -> Self {
        Self::json(code, &json!({"status_code": code}))
    }
}

impl From<Trouble> for Answer {
    fn from(trouble: Trouble) -> Self {
        Self::status(match trouble {
            Trouble::NotFound => 404,
            Trouble::TooLarge => 413,
            Trouble::Full => 507,
            Trouble::Failed => 500,
        })
    }
}

pub(super) async fn answer(shared: &Arc<Shared>, asked: Asked<'_>) -> Answer {
    routed(shared, asked).await.unwrap_or_else(|refused| refused)
}

async fn routed(shared: &Arc<Shared>, asked: Asked<'_>) -> Result<Answer, Answer> {
    let (path, query) = asked.path.split_once('?').unwrap_or((asked.path, ""));
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match (asked.method, parts.as_slice()) {
        ("POST", ["file"]) => {
            let (id, expires) = upload(shared, asked.body, life(asked.ttl.as_deref())?).await?;
            let now = seconds(shared.now());
            let answer = json!({"id": id.to_string(), "uploaded": now, "expires": seconds(expires)});
            Ok(Answer::json(200, &answer))
        }
        ("POST", ["files"]) => {
            let (id, _) = upload(shared, file_in(asked.body)?, LIFE).await?;
            Ok(Answer::json(200, &json!({"status_code": 200, "result": id.to_string()})))
        }
        ("GET", ["file", id]) => {
            let (manifest, expires) = blobs::look(shared, &read_id(id)?).await?;
            let (size, share) = room_for(shared, &manifest, asked.way, |size| size).await?;
            let coming = blobs::pieces(shared, manifest).await?;
            let content = Content::File { size, coming, share };
            Ok(Answer { code: 200, kind: OCTETS, expires: Some(expires), retry_after: None, content })
        }
        ("GET", ["files", id]) => {
            let (manifest, _) = blobs::look(shared, &read_id(id)?).await?;
            if manifest.size() > MAX_IN_JSON as u64 {
                return Err(Trouble::TooLarge.into());
            }
            let way = match asked.way {
                Way::Pieces => Way::Sealed { most: MAX_IN_JSON, hundredths: 100 },
                way => way,
            };
            let (size, share) = room_for(shared, &manifest, way, in_json).await?;
            let coming = blobs::pieces(shared, manifest).await?;
            let content = Content::InJson { size, coming, share };
            Ok(Answer { code: 200, kind: JSON, expires: None, retry_after: None, content })
        }
        ("GET", ["file", id, "info"]) => {
            let (manifest, expires) = blobs::look(shared, &read_id(id)?).await?;
            Ok(info(manifest.size(), expires))
        }
        ("POST", ["file", id, "extend"]) => {
            let life = life(asked.ttl.as_deref())?;
            let (manifest, expires) = blobs::extend(shared, &read_id(id)?, life).await?;
            Ok(info(manifest.size(), expires))
        }
        ("GET", ["session_version"]) => {
            let platform = query.split('&').find_map(|pair| pair.strip_prefix("platform="));
            let known = matches!(platform, Some("desktop" | "android" | "ios"));
            // Nobody here follows the releases of other programs: not known yet, as such servers say.
            Err(Answer::status(if known { 502 } else { 404 }))
        }
        _ => Err(Answer::status(404)),
    }
}

/// Characters of the JSON with a file of so many bytes.
pub(super) fn in_json(size: usize) -> usize {
    [BEFORE.len(), encoded(size), BEHIND.len()].iter().fold(0, |sum, part| sum.saturating_add(*part))
}

/// The size of a file, and room for the answer with it.
async fn room_for(
    shared: &Shared,
    manifest: &Manifest,
    way: Way,
    length: impl Fn(usize) -> usize,
) -> Result<(usize, Share), Answer> {
    let size = usize::try_from(manifest.size()).map_err(|_| Trouble::TooLarge)?;
    let held = match way {
        Way::Pieces => 0,
        Way::Sealed { most, .. } if size > most => return Err(Trouble::TooLarge.into()),
        Way::Sealed { hundredths, .. } => length(size).saturating_mul(hundredths) / 100,
    };
    let share = take(shared, held.saturating_add(blobs::COMING).saturating_add(SMALL)).await?;
    Ok((size, share))
}

async fn upload(shared: &Arc<Shared>, data: Bytes, life: Duration) -> Result<(BlobId, Timestamp), Answer> {
    if data.is_empty() || data.len() > MAX_FILE {
        return Err(Answer::status(413));
    }
    Ok(blobs::upload(shared, data, life).await?)
}

/// The file in `{"file": base64}`, in the same buffer.
fn file_in(json: Bytes) -> Result<Bytes, Answer> {
    #[derive(serde::Deserialize)]
    struct File<'a> {
        #[serde(borrow)]
        file: std::borrow::Cow<'a, str>,
    }
    if json.len() > in_json(MAX_IN_JSON) {
        return Err(Answer::status(413));
    }
    let File { file } = serde_json::from_slice(&json).map_err(|_| Answer::status(400))?;
    let (buffer, range) = match file {
        // Written with escapes, which some programs do to each slash: it is there as text of its own.
        std::borrow::Cow::Owned(text) => {
            drop(json);
            let range = 0..text.len();
            (text.into_bytes(), range)
        }
        std::borrow::Cow::Borrowed(text) => {
            let length = text.len();
            // The text ends at the last quotation mark, whatever other fields stand before it.
            let start = find(&json, text.as_bytes()).ok_or_else(|| Answer::status(400))?;
            (Vec::from(json), start..start.saturating_add(length))
        }
    };
    let file = decode_in_place(buffer, range).ok_or_else(|| Answer::status(400))?;
    Ok(file.into())
}

/// Where `text`, which is part of `json`, is in it.
fn find(json: &[u8], text: &[u8]) -> Option<usize> {
    if text.is_empty() {
        return Some(0);
    }
    // A string stands behind a quotation mark.
    let mut marks =
        json.iter().enumerate().filter(|(_, byte)| **byte == b'"').map(|(at, _)| at.saturating_add(1));
    marks.find(|start| json.get(*start..).is_some_and(|rest| rest.starts_with(text)))
}

/// How long, as the uploader asks: at most [`LIFE`], which is also what is done unasked.
fn life(ttl: Option<&str>) -> Result<Duration, Answer> {
    let Some(ttl) = ttl else { return Ok(LIFE) };
    let asked = ttl.trim().parse().ok().map(Duration::from_secs);
    asked.filter(|life| !life.is_zero() && *life <= LIFE).ok_or_else(|| Answer::status(400))
}

/// Ids of other file servers are numbers; none of theirs is here.
fn read_id(id: &str) -> Result<BlobId, Answer> {
    id.parse().map_err(|_| Answer::status(404))
}

/// When it was uploaded is not kept: what is said of it follows from the usual life.
fn info(size: u64, expires: Timestamp) -> Answer {
    let uploaded = expires.minus(LIFE);
    Answer::json(200, &json!({"size": size, "uploaded": seconds(uploaded), "expires": seconds(expires)}))
}

fn seconds(time: Timestamp) -> f64 {
    Duration::from_millis(time.0).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_are_as_asked_within_what_is_allowed() {
        assert_eq!(life(None).ok(), Some(LIFE));
        assert_eq!(life(Some("60")).ok(), Some(Duration::from_secs(60)));
        for wrong in ["0", "-1", "1209601", "a day", ""] {
            assert!(life(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_in_json_is_read_however_its_text_is_written() {
        let read = |json: &'static str| file_in(Bytes::from_static(json.as_bytes())).ok();
        let file = Bytes::from_static(&[0xff, 0xff, 0xff, 1]);
        for json in [
            r#"{"file":"////AQ=="}"#,
            r#"{"file":"\/\/\/\/AQ=="}"#,
            r#"{"other":"////AQ==","file":"////AQ=="}"#,
            r#"{ "name":"x", "file" : "////AQ" }"#,
        ] {
            assert_eq!(read(json).as_ref(), Some(&file), "{json}");
        }
        assert_eq!(read(r#"{"file":""}"#), Some(Bytes::new()));
        for wrong in ["", "{}", r#"{"file":7}"#, r#"{"file":"?"}"#, "[]"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
