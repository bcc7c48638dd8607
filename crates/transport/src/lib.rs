//! HTTPS and QUIC between clients, service nodes and seeds: dial and listen, pools, deadlines.
//!
//! This crate moves bodies and knows nothing of what is in them: no messages, onion layers, swarms
//! or node lists. Who may connect is asked of the caller, what an endpoint or path means is the
//! caller's handler.
//!
//! * [`address`]: which addresses are on the public internet.
//! * [`http`]: what a server hands to its handler, and a listener without TLS (for seeds).
//! * [`https`]: the same with a self-signed certificate, and the dialling side with its pool.
//! * [`quic`]: raw Ed25519 keys on both sides, request streams, lanes, and a pool of node peers.
//!
//! Invariants: every wait has a deadline; everything a stranger can grow (connections, streams,
//! bodies, running requests) has a limit that is a named constant or an option; a value that dials
//! owns its connections, so two profiles with two values never share one.

pub mod address;
mod deadline;
pub mod http;
pub mod https;
pub mod quic;
mod slots;

pub use deadline::{Deadline, Elapsed};
pub use slots::{Places, one_owner};
