//! Required and unknown fields, found by walking the wire beside prost.

use std::collections::BTreeMap;

use prost::Message;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};

use super::MAX_MESSAGE;

/// A message of the schema.
#[derive(Debug)]
pub struct Schema {
    pub(super) name: &'static str,
    /// Sorted by number.
    pub(super) fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) repeated: bool,
    /// The schema of its content, if that is a message.
    pub(super) message: Option<&'static Schema>,
}

impl Schema {
    fn field(&self, number: u32) -> Option<&'static Field> {
        let at = self.fields.binary_search_by_key(&number, |field| field.number).ok()?;
        self.fields.get(at)
    }
}

/// A message whose schema is known. Implemented by the generated messages.
pub trait Described: Message + Default {
    /// Its fields.
    #[doc(hidden)]
    const SCHEMA: &'static Schema;
}

/// Why bytes are not the message they should be. The sender's fault; drop the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// Not protobuf, or another message.
    #[error("not a protobuf message of the expected kind: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// More than [`MAX_MESSAGE`] bytes.
    #[error("a message of {0} bytes is too large")]
    TooLarge(usize),
    /// A required field is missing.
    #[error("{message}.{field} is missing")]
    Missing {
        /// The message that lacks it.
        message: &'static str,
        /// What it lacks.
        field: &'static str,
    },
    /// An envelope's `proSig` is not 64 bytes long.
    #[error("Envelope.proSig does not have 64 bytes")]
    ProSig,
}

/// What a program did not understand of a message, to be passed on untouched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownFields {
    /// The fields of this level as they stood, keys included.
    raw: Vec<u8>,
    /// Those inside known messages, by field number and occurrence.
    nested: BTreeMap<(u32, usize), UnknownFields>,
}

impl UnknownFields {
    /// Whether everything was understood.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty() && self.nested.is_empty()
    }
}

/// A message, and what of it is unknown. Encoding writes both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded<T> {
    /// The known part.
    pub message: T,
    /// The rest.
    pub unknown: UnknownFields,
}

impl<T> From<T> for Decoded<T> {
    /// A message of our own making: nothing in it is unknown.
    fn from(message: T) -> Self {
        Self { message, unknown: UnknownFields::default() }
    }
}

impl<T: Described> Decoded<T> {
    /// Reads a message.
    ///
    /// # Errors
    /// [`ContentError`]
    pub fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(ContentError::TooLarge(bytes.len()));
        }
        let message = T::decode(bytes)?;
        Ok(Self { message, unknown: collect(T::SCHEMA, bytes)? })
    }

    /// Writes known and unknown fields.
    pub fn encode(&self) -> Vec<u8> {
        let known = self.message.encode_to_vec();
        if self.unknown.is_empty() {
            return known;
        }
        let mut out = Vec::with_capacity(known.len().saturating_add(self.unknown.raw.len()));
        // Our own encoding has no other form than the one it is read in.
        if splice(T::SCHEMA, &known, &self.unknown, &mut out).is_err() {
            return known;
        }
        out
    }
}

/// One field on the wire.
struct Piece<'a> {
    number: u32,
    /// Key and value.
    raw: &'a [u8],
    /// The value of a length-delimited field.
    content: Option<&'a [u8]>,
}

/// Takes the next field off `rest`.
fn piece<'a>(rest: &mut &'a [u8]) -> Result<Option<Piece<'a>>, prost::DecodeError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let start = *rest;
    let (number, wire_type) = decode_key(rest)?;
    let mut content = None;
    if wire_type == WireType::LengthDelimited {
        let mut value = *rest;
        let length = decode_varint(&mut value)?;
        content = usize::try_from(length).ok().and_then(|length| value.get(..length));
    }
    skip_field(wire_type, number, rest, DecodeContext::default())?;
    let raw = start.get(..start.len().saturating_sub(rest.len())).unwrap_or_default();
    Ok(Some(Piece { number, raw, content }))
}

fn collect(schema: &'static Schema, bytes: &[u8]) -> Result<UnknownFields, ContentError> {
    let mut found = UnknownFields::default();
    let mut seen: BTreeMap<u32, usize> = BTreeMap::new();
    // A message that stands several times where it may stand once is one message: that of all its parts together.
    let mut joined: BTreeMap<u32, (&'static Schema, Vec<u8>)> = BTreeMap::new();
    let mut rest = bytes;
    while let Some(piece) = piece(&mut rest)? {
        let Some(field) = schema.field(piece.number) else {
            found.raw.extend_from_slice(piece.raw);
            continue;
        };
        let occurrence = seen.entry(piece.number).or_default();
        match (field.message, piece.content) {
            (Some(schema), Some(content)) if field.repeated => {
                let nested = collect(schema, content)?;
                if !nested.is_empty() {
                    found.nested.insert((piece.number, *occurrence), nested);
                }
            }
            (Some(schema), Some(content)) => {
                joined.entry(piece.number).or_insert((schema, Vec::new())).1.extend_from_slice(content);
            }
            _ => {}
        }
        *occurrence = occurrence.saturating_add(1);
    }
    for (number, (schema, content)) in joined {
        let nested = collect(schema, &content)?;
        if !nested.is_empty() {
            found.nested.insert((number, 0), nested);
        }
    }
    match schema.fields.iter().find(|field| field.required && !seen.contains_key(&field.number)) {
        Some(field) => Err(ContentError::Missing { message: schema.name, field: field.name }),
        None => Ok(found),
    }
}

fn splice(
    schema: &'static Schema,
    known: &[u8],
    unknown: &UnknownFields,
    out: &mut Vec<u8>,
) -> Result<(), prost::DecodeError> {
    let mut occurrences: BTreeMap<u32, usize> = BTreeMap::new();
    let mut rest = known;
    while let Some(piece) = piece(&mut rest)? {
        let occurrence = occurrences.entry(piece.number).or_default();
        let nested = unknown.nested.get(&(piece.number, *occurrence));
        *occurrence = occurrence.saturating_add(1);
        match (schema.field(piece.number).and_then(|field| field.message), nested, piece.content) {
            (Some(schema), Some(nested), Some(content)) => {
                let mut inner = Vec::new();
                splice(schema, content, nested, &mut inner)?;
                encode_key(piece.number, WireType::LengthDelimited, out);
                encode_varint(u64::try_from(inner.len()).unwrap_or_default(), out);
                out.append(&mut inner);
            }
            _ => out.extend_from_slice(piece.raw),
        }
    }
    out.extend_from_slice(&unknown.raw);
    Ok(())
}
