//! Fuzz targets of every decoder of the workspace. See README.md.

#[cfg(feature = "shells")]
pub mod shells;
pub mod targets;
