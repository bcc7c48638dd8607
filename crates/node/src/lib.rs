//! The service node: keeps its swarm's messages, answers clients, relays onion requests.
//!
//! [`swarm`] decides and does no IO; [`store`] keeps messages, `chunks` the chunks of files; `rpc` answers what `authorise` allows; `peer` talks to other nodes;
//! `web` is the HTTPS side, `file_server` what programs of others upload to; `proxy` passes requests on to servers; `limit` says who may ask; `metrics` counts;
//! [`registry`] says who is in the network. [`Node::start`] puts them
//! together, for the command `conclave node run` and for tests that want to look inside.

mod authorise;
mod chunks;
mod config;
mod file_server;
pub mod folder;
mod follow;
mod hooks;
mod limit;
mod load;
mod local;
mod metrics;
mod monitor;
mod news;
mod node;
mod onion;
mod order;
mod peer;
pub mod probing;
mod proxy;
mod reading;
pub mod registry;
mod replication;
mod rpc;
#[cfg(test)]
mod simulation;
pub mod status;
pub mod store;
pub mod swarm;
mod sweeping;
mod waiting;
mod web;
mod work;
mod writes;

pub use chunks::ChunkStoreError;
pub use config::{ConfigError, KEY_FILE, NodeConfig};
pub use hooks::{Clock, Hooks, Misbehave, Observer, Received, SystemClock};
pub use node::{ADVERTISED_VERSION, Addresses, DATABASE_FILE, FileMemory, Node, NodeError, is_running};
pub use proxy::{AllowedServer, InvalidServer, Resolved, Resolver, SystemResolver};
pub use registry::Unlisted;
