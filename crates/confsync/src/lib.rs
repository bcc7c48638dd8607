//! Config documents: what the devices of an account agree on (profile, contacts, read positions, groups
//! and communities), and what the admins of a group agree on (info, members). Byte-compatible with
//! libsession's configs (config-and-groups 1 to 7).
//!
//! Every device has a [`Document`] of each kind. A change makes a new version of it, which is encrypted and
//! stored in the account's swarm in place of the one before. Devices that change something at the same time
//! store two versions; whoever fetches both merges them into one, and since all merge alike, the merged
//! version is the same wherever it is made. Layers, from the inside out:
//!
//! | module | knows |
//! |---|---|
//! | [`data`], [`diff`] | dictionaries and what changed in them |
//! | [`message`] | one version, as it is written |
//! | [`mod@merge`] | one version out of several |
//! | `sealing`, `parts` | compression, padding, encryption, wrapping, splitting |
//! | `document`, `dump` | the device's state: what to push, what is obsolete, what to keep |
//! | the views | what the keys mean: [`UserProfile`], [`Contacts`], [`Conversations`], [`UserGroups`], [`Local`], [`GroupInfo`], [`GroupMembers`] |
//!
//! Pure: no clock, no randomness, no IO. What is stored and when, how often, and with which requests is
//! for the sync engine above.
//!
//! ```
//! use conclave_confsync::{Contacts, UserProfile};
//! use conclave_crypto::Ed25519Secret;
//! use conclave_proto::Timestamp;
//!
//! let (account, now) = (Ed25519Secret::from_seed(&[1; 32]), Timestamp(1_700_000_000_000));
//! let mut laptop = UserProfile::new(&account);
//! laptop.set_name("Anna", now)?;
//! assert!(laptop.needs_push());
//! let push = laptop.push(now)?;
//! // Store all of `push.messages`, then delete `push.obsolete`; the swarm answers with hashes.
//! laptop.confirm_pushed(push.seqno, ["hash"]);
//!
//! let mut phone = UserProfile::new(&account);
//! phone.merge([("hash", push.messages[0].as_slice())], now);
//! assert_eq!(phone.name(), "Anna");
//! let kept = phone.dump();
//! assert_eq!(UserProfile::load(&account, &kept)?.name(), "Anna");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod account;
mod contacts;
mod conversations;
pub mod data;
pub mod diff;
mod document;
mod dump;
mod fields;
mod group_info;
mod group_members;
mod kind;
mod local;
pub mod merge;
pub mod message;
mod parts;
mod profile;
mod sealing;
mod servers;
mod user_groups;

pub use account::AccountDocuments;
pub use contacts::{BlindedContact, Contact, Contacts};
pub use conversations::{ConversationId, Conversations, ReadState};
pub use document::{Document, EditError, Merged, Push, PushError};
pub use dump::DumpError;
pub use fields::{MAX_NAME, MAX_PICTURE_URL, Notify, Picture};
pub use group_info::{GroupInfo, MAX_DESCRIPTION};
pub use group_members::{GroupMembers, Member, Removal, Role, Status, Step};
pub use kind::Kind;
pub use local::Local;
pub use profile::UserProfile;
pub use sealing::{MAX_SPLIT, MAX_STORED, Rejected};
pub use user_groups::{Access, Community, Group, LegacyGroup, Standing, UserGroups};
