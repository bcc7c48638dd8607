//! The messenger SDK: accounts, conversations, messages, and what happens to them.
//!
//! ```no_run
//! use conclave_client::profile::{DataDir, ProfileName, Unlock};
//! use conclave_client::types::MessageState;
//! use conclave_client::{Account, ClientOptions, Event};
//!
//! # async fn example() -> Result<(), conclave_client::Error> {
//! let data_dir = DataDir::new("conclave-data");
//! let profile = ProfileName::new("default")?;
//! let account = Account::open(&data_dir, &profile, &Unlock::KeyFile, &ClientOptions::default()).await?;
//!
//! let message = account.conversation("bob").send("Hello, Bob").await?;
//! let state = account.wait_for(&message.id, MessageState::Stored, std::time::Duration::from_secs(30)).await?;
//! println!("signed by {:?} of {:?} service nodes", state.signed, state.swarm);
//!
//! let mut events = account.events().await?;
//! while let Some(event) = events.next().await {
//!     if let Event::Message(message) = event {
//!         println!("{}: {}", message.from, message.text);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//!
//! * [`accounts`] makes, restores and protects accounts; each lives in a [`profile`], which is a directory.
//! * [`Account`] opens a profile. At most one process *owns* it, which receives and sends; every other attaches to the owner
//!   through a local socket, and everything works the same.
//! * [`Conversation`] is one chat: send, answer, read, page through.
//! * [`types`] holds the records: [`Message`](types::Message), [`ChatSummary`](types::ChatSummary), [`Event`] and their JSON.
//! * [`rpc`] is the same as JSON-RPC 2.0, with a published description: for bots, pages and other languages.
//! * [`Client`] is the owner itself, for programs that embed one and nothing else.
//!
//! # What can be relied on
//!
//! * **Durable.** When [`send`](Conversation::send) returns, the message is on this machine's disk. It is sent in the background,
//!   also by whoever owns the profile next.
//! * **Honest.** [`MessageState`](types::MessageState) never says more than was proved: *stored* means that a majority of the
//!   recipient's swarm signed for it, every signature verified.
//! * **In order.** Messages of a chat stand in the order of sent time, author and id, the same on every device.
//! * **Cancellable.** Dropping a future ends it; what it asked for is done whole or not at all.
//! * **Named errors.** [`Error`] says whose fault it was, what to do ([`Error::hint`]) and whether another try helps
//!   ([`Error::exit`]).
//!
//! Times are milliseconds since the Unix epoch, network time, unless a name says otherwise. Texts are at most
//! [`MAX_TEXT_CHARS`] code points.

pub mod accounts;
mod client;
mod clock;
#[doc(hidden)]
pub mod doors;
mod error;
mod files;
pub mod network;
mod outbox;
pub mod preview;
pub mod profile;
mod receive;
pub mod said;
pub mod session;
pub mod settings;
#[cfg(test)]
mod simulation;
/// The database of a profile. For tests and benches; no face reaches below [`Account`].
#[doc(hidden)]
pub mod store;
pub mod types;
mod visible;
mod wake;
mod wire;

pub use client::{Client, ClientOptions};
pub use clock::{Clock, SystemClock};
/// Pictures and sound, as bytes.
pub use conclave_media as media;
pub use conclave_onion::PathConfig;
/// Bytes of the largest file that a network can allow; [`types::Status`] says how many its network does.
pub use conclave_proto::chunk::MAX_FILE;
pub use error::{Error, ErrorRecord, ExitClass, MAX_TEXT_CHARS};
pub use files::{FILE_LIFE, FileContent, FileError, OpenedFile, StagedFile, Staging};
pub use session::{Account, Conversation, Events, rpc};
pub use types::Event;
pub use visible::is_visible;
