//! Requests to community and file servers through an onion, version 4 (storage-and-onion 6.5): a bt
//! list of JSON and body.
//!
//! The `content-type` of a reply is compared to exact strings by others, so a server writes exactly
//! `application/json`, `text/plain; charset=utf-8` or `application/octet-stream`.

use std::collections::BTreeMap;

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
}

impl V4Reply {
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
    let mut list = ListReader::new(bytes)?;
    let head = serde_json::from_slice(list.bytes()?).map_err(|error| InvalidV4::Json(error.to_string()))?;
    let body = if list.is_empty() { Vec::new() } else { list.bytes()?.to_vec() };
    if list.is_empty() { Ok((head, body)) } else { Err(BtError::Trailing(bytes.len()).into()) }
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
