//! onion
