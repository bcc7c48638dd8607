//! node

pub mod config;
pub mod store;
pub mod swarm;
