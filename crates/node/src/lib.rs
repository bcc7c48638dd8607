//! The service node: keeps its swarm's messages, answers clients, relays onion requests.
//!
//! [`swarm`] decides and does no IO; [`store`] keeps; `rpc` answers what `authorise` allows; `peer` talks to other nodes;
//! `web` is the HTTPS side; [`registry`] says who is in the network. [`Node::start`] puts them
//! together, for the command `conclave node run` and for tests that want to look inside.

mod authorise;
mod config;
mod hooks;
mod load;
mod local;
mod monitor;
mod news;
mod node;
mod onion;
mod order;
mod peer;
pub mod probing;
mod reading;
pub mod registry;
mod replication;
mod rpc;
#[cfg(test)]
mod simulation;
pub mod store;
pub mod swarm;
mod waiting;
mod web;
mod work;
mod writes;

pub use config::{ConfigError, KEY_FILE, NodeConfig};
pub use hooks::{Clock, Hooks, Misbehave, Observer, Received, SystemClock};
pub use node::{ADVERTISED_VERSION, Addresses, Node, NodeError, is_running};
