//! The combined payload of onion requests (storage-and-onion 6.2): a length, that many bytes, and
//! JSON to the end. It is the body a guard receives and the plaintext of every layer.

/// The largest combined payload: what a guard takes over HTTPS (6.8).
pub const MAX_COMBINED: usize = 10_485_760;

/// Bytes and the JSON that says what to do with them.
#[derive(Clone, Debug, PartialEq)]
pub struct Combined<'a> {
    /// The bytes: a sealed layer, or a request for the last node.
    pub body: &'a [u8],
    /// The JSON object behind them.
    pub control: serde_json::Map<String, serde_json::Value>,
}

/// Why bytes are no combined payload. The sender's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCombined {
    /// More than [`MAX_COMBINED`] bytes.
    #[error("an onion payload may have {MAX_COMBINED} bytes")]
    TooLong,
    /// Not even a length.
    #[error("an onion payload of {0} bytes has no room for its length")]
    NoLength(usize),
    /// The length goes beyond the end.
    #[error("an onion payload announces {announced} bytes and has {present}")]
    Truncated {
        /// What the length says.
        announced: usize,
        /// What follows it.
        present: usize,
    },
    /// What follows the bytes is no JSON object.
    #[error("the JSON of an onion payload cannot be read: {0}")]
    Json(String),
}

/// Joins bytes and JSON.
pub fn encode(body: &[u8], control: &serde_json::Value) -> Vec<u8> {
    encode_text(body, &control.to_string())
}

/// Joins bytes and JSON that is text already. `body` is shorter than 4 GiB: what it is made of is
/// bounded by [`MAX_COMBINED`].
pub fn encode_text(body: &[u8], control: &str) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut out = Vec::with_capacity(body.len().saturating_add(control.len()).saturating_add(4));
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(body);
    out.extend_from_slice(control.as_bytes());
    out
}

/// Takes bytes and JSON apart.
///
/// # Errors
/// Says what is wrong.
pub fn decode(bytes: &[u8]) -> Result<Combined<'_>, InvalidCombined> {
    if bytes.len() > MAX_COMBINED {
        return Err(InvalidCombined::TooLong);
    }
    let (length, rest) = bytes.split_first_chunk().ok_or(InvalidCombined::NoLength(bytes.len()))?;
    let announced = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (body, json) = rest
        .split_at_checked(announced)
        .ok_or(InvalidCombined::Truncated { announced, present: rest.len() })?;
    let control = serde_json::from_slice(json).map_err(|error| InvalidCombined::Json(error.to_string()))?;
    Ok(Combined { body, control })
}
