//! What each screen of a messenger shows, as observable state: conversation list, timeline, composer, requests, contacts,
//! settings, network. No widgets, no words of a language, no colours: a face draws what it is given and hands back acts.
//!
//! Each screen has two halves. The deciding half is pure: lists of records go in, rows come out, time is an argument.
//! The other half, a task over a [`Account`](conclave_client::Account), reads when something changed and publishes an immutable
//! snapshot ([`Live`]). Whoever looks late sees the newest snapshot and no other, so a slow face costs nothing.
//!
//! Invariants: an event costs what the screen holds, never what the database holds; a locked profile shows nothing; reading for
//! a screen is no use of the profile, so that an open page does not keep it from locking by itself.

pub mod chats;
pub mod composer;
pub mod contacts;
mod day;
pub mod file;
mod line;
mod live;
pub mod network;
mod sdk;
pub mod settings;
pub mod timeline;
pub mod tray;
mod typing;

pub use live::{Answer, Live, Opened};
