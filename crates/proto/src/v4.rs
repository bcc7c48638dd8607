//! Requests to community and file servers through an onion, version 4 (storage-and-onion 6.5): a bt
//! list of JSON and body.
//!
//! The `content-type` of a reply is compared to exact strings by others, so a server writes exactly
//! `application/json`, `text/plain; charset=utf-8` or `application/octet-stream`.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::bt::{BtError, ListReader, ListWriter};

/// Why bytes are no v4 payload. The sender's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidV4 {
    /// Not a list of one or two strings.
    #[error("malformed v4 payload: {0}")]
    Bt(#[from] BtError),
    /// The first string is not the JSON it should be.
    #[error("malformed v4 payload: {0}")]
    Json(String),
    /// The endpoint does not begin with `/`.
    #[error("the endpoint of a v4 request begins with '/'")]
    Endpoint,
}

/// A request to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V4Request {
    /// HTTP method.
    pub method: String,
    /// Path and query, beginning with `/`.
    pub endpoint: String,
    /// Header names as given, and their values; numbers become text.
    pub headers: BTreeMap<String, String>,
    /// The body; empty if there is none.
    pub body: Vec<u8>,
}

/// A server's reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V4Reply {
    /// HTTP status.
    pub code: u16,
    /// Header names in lowercase, without `content-length`.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct RequestHead {
    method: String,
    endpoint: String,
    #[serde(default, deserialize_with = "headers")]
    headers: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct ReplyHead {
    code: u16,
    #[serde(deserialize_with = "headers")]
    headers: BTreeMap<String, String>,
}

impl V4Request {
    /// The payload, before it is sealed.
    pub fn encode(&self) -> Vec<u8> {
        let head = RequestHead {
            method: self.method.clone(),
            endpoint: self.endpoint.clone(),
            headers: self.headers.clone(),
        };
        let mut list = ListWriter::new();
        list.bytes(json(&head));
        if !self.body.is_empty() {
            list.bytes(&self.body);
        }
        list.finish()
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidV4> {
        let (RequestHead { method, endpoint, headers }, body) = decode(bytes)?;
        if !endpoint.starts_with('/') {
            return Err(InvalidV4::Endpoint);
        }
        Ok(Self { method, endpoint, headers, body })
    }

    /// [`Self::decode`] of a payload that is not needed any more: the body stays in its buffer.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_owned(mut payload: Vec<u8>) -> Result<Self, InvalidV4> {
        let (head, body) = parts::<RequestHead>(&payload)?;
        if !head.endpoint.starts_with('/') {
            return Err(InvalidV4::Endpoint);
        }
        payload.truncate(body.end);
        payload.drain(..body.start);
        let RequestHead { method, endpoint, headers } = head;
        Ok(Self { method, endpoint, headers, body: payload })
    }
}

impl V4Reply {
    /// The beginning of a payload whose body of `length` bytes is still to come, behind `front` bytes that are left free and
    /// with room for the body, [`Self::END`] and `behind` bytes more: append the body and that.
    pub fn begin(
        code: u16,
        headers: &BTreeMap<String, String>,
        length: usize,
        front: usize,
        behind: usize,
    ) -> Vec<u8> {
        let head = json(&ReplyHead { code, headers: headers.clone() });
        let beginning = format!("l{}:", head.len());
        let body = format!("{length}:");
        let mut out = Vec::with_capacity(
            [front, beginning.len(), head.len(), body.len(), length, Self::END.len(), behind].iter().sum(),
        );
        out.resize(front, 0);
        out.extend_from_slice(beginning.as_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(body.as_bytes());
        out
    }

    /// What stands behind the body of a payload.
    pub const END: &[u8] = b"e";

    /// The payload, before it is sealed. The body is always there, if only as nothing.
    pub fn encode(&self) -> Vec<u8> {
        let head = ReplyHead { code: self.code, headers: self.headers.clone() };
        ListWriter::new().bytes(json(&head)).bytes(&self.body).finish()
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidV4> {
        let (ReplyHead { code, headers }, body) = decode(bytes)?;
        Ok(Self { code, headers, body })
    }
}

fn decode<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<(T, Vec<u8>), InvalidV4> {
    let (head, body) = parts(bytes)?;
    Ok((head, bytes.get(body).unwrap_or_default().to_vec()))
}

/// What the JSON says, and where the body is.
fn parts<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<(T, Range<usize>), InvalidV4> {
    let mut list = ListReader::new(bytes)?;
    let head = serde_json::from_slice(list.bytes()?).map_err(|error| InvalidV4::Json(error.to_string()))?;
    let length = if list.is_empty() { 0 } else { list.bytes()?.len() };
    if !list.is_empty() {
        return Err(BtError::Trailing(bytes.len()).into());
    }
    // The body is the last thing in the list, and the list ends with the bytes.
    let end = bytes.len().saturating_sub(1);
    Ok((head, end.saturating_sub(length)..end))
}

fn json(head: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(head).expect("texts, numbers and a map of texts are always JSON")
}

fn headers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum HeaderValue {
        Text(String),
        Number(serde_json::Number),
    }
    let values = BTreeMap::<String, HeaderValue>::deserialize(deserializer)?;
    let text = |value| match value {
        HeaderValue::Text(text) => text,
        HeaderValue::Number(number) => number.to_string(),
    };
    Ok(values.into_iter().map(|(name, value)| (name, text(value))).collect())
}
