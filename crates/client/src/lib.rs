//! client

pub mod profile;
pub mod store;
pub mod types;
