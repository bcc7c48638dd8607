//! What people's devices say to each other: the protobuf messages of client-messages 2, and the
//! wrapping of 3.3.
//!
//! prost reads and writes the messages, and does two things otherwise than the wire wants: it takes
//! a missing `required` field for a default, and drops what it does not know. [`Decoded`] mends both
//! by walking the bytes beside prost, along a table made from the schema at build time:
//!
//! * a message that lacks a required field, at any depth, is refused, as Android and iOS do;
//! * unknown fields are kept at every depth, in their order, and written behind the known fields of
//!   the same message. Where messages repeat (attachments), those of the n-th stay with the n-th:
//!   whoever adds or removes one in between should start from a message of their own instead. A
//!   singular message that occurs twice is merged, as protobuf says, and so are its unknown fields.
//!
//! Text must be UTF-8 and values must have their field's wire type, or the whole message is
//! refused. Unknown values of enums are kept as numbers. Bytes left alone decode and encode to the
//! same fields, not necessarily in the same order.
//!
//! This module seals and pads nothing (`conclave_crypto::session_protocol`, `padding`), and knows
//! no rule of what a client does with a message.

mod build;
mod unknown;

pub use build::{Expiration, ReceivedEnvelope, unwrap};
pub use unknown::{ContentError, Decoded, UnknownFields};
use unknown::{Described, Field, Schema};

/// The field of [`Content`] that carries Conclave's own data (docs/protocol/extensions.md).
pub const CONCLAVE_FIELD: u32 = 10_701;

/// The largest serialized message that is read: what a mailbox stores is smaller, and group messages
/// decompress to at most 1,000,000 bytes.
pub const MAX_MESSAGE: usize = 1_000_000;

/// The generated messages.
#[allow(missing_docs, reason = "documented where they are written, in proto/session.proto")]
#[allow(clippy::all, reason = "generated")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/session.rs"));
}

pub use generated::*;

include!(concat!(env!("OUT_DIR"), "/schema.rs"));
