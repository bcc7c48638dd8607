//! The server of the page as browsers, bots and everybody else on the machine meet it. One program: what they share is used by all of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

mod bots;
#[cfg(unix)]
mod browser;
mod door;
mod files;
mod pages;
