//! What every face uses: a profile, whether this process owns it or another one does.
//!
//! At most one process owns a profile. [`Account::open`] becomes the owner, and then serves the
//! local socket for others; or, if there is an owner, attaches to it. Every call works the same
//! either way, because both go through [`Call`].

mod acts;
mod attached;
mod call;
mod conversation;
mod owner;
pub mod rpc;
mod schema;
mod serve;

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::broadcast;

use crate::client::{Client, ClientOptions};
use crate::error::Error;
use crate::profile::{DataDir, OpenError, OwnedProfile, ProfileName, Unlock};
use crate::store::Place;
use crate::types::{
    AccountInfo, ChatSummary, Event, FetchReport, Message, MessageId, MessageState, NewMessage, Search,
    SearchResult, SentState, Status,
};

use attached::{Attached, NotAttached};
pub use call::{Call, HistoryPlace, RecoveryWords, Resolved, Secret};
pub use conversation::Conversation;
use owner::Owner;

/// How often, and at which distance, it is tried again while an owner is just starting or stopping.
const OPEN_TRIES: u32 = 40;
const OPEN_PAUSE: Duration = Duration::from_millis(100);
/// How long those who use a session too are given to let go of it, and how often it is looked.
const LET_GO_WITHIN: Duration = Duration::from_secs(5);
const LET_GO_PAUSE: Duration = Duration::from_millis(10);

/// An account in use: what it can do, asked of this process or of the one that owns its profile.
///
/// Every method is cancelled by dropping its future. What was asked for is then done or not, never half: a queued message is
/// queued whole, and waiting ends.
pub struct Account {
    kind: Kind,
}

enum Kind {
    Owner { owner: Arc<Owner>, server: serve::Server },
    Attached(Arc<Attached>),
}

impl Account {
    /// Opens a profile: as its owner, or through its owner.
    ///
    /// # Errors
    /// If it cannot be unlocked, is damaged, belongs to another network, or its owner does not answer.
    pub async fn open(
        data_dir: &DataDir,
        profile: &ProfileName,
        unlock: &Unlock<'_>,
        options: &ClientOptions,
    ) -> Result<Self, Error> {
        let place = data_dir.profile(profile);
        let mut last = None;
        for _ in 0..OPEN_TRIES {
            match place.open(unlock) {
                Ok(owned) => return Self::own(owned, options.clone()).await,
                Err(OpenError::InUse { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            match Attached::connect(&place).await {
                Ok(attached) => {
                    let session = Self { kind: Kind::Attached(attached) };
                    if let Some(network) = &options.network {
                        session.call::<()>(Call::CheckNetwork { file: network.to_json() }).await?;
                    }
                    return Ok(session);
                }
                Err(NotAttached { error, may_pass: false }) => return Err(error),
                Err(NotAttached { error, .. }) => last = Some(error),
            }
            tokio::time::sleep(OPEN_PAUSE).await;
        }
        Err(last.unwrap_or_else(|| OpenError::InUse { name: profile.to_string() }.into()))
    }

    /// Makes a session of a profile this process owns already.
    ///
    /// # Errors
    /// If the profile has no network, another one, or its socket cannot be made.
    pub async fn own(owned: OwnedProfile, options: ClientOptions) -> Result<Self, Error> {
        let place = owned.profile().clone();
        let owner = Owner::start(owned, options)?;
        let server = serve::Server::start(&place, Arc::clone(&owner)).await?;
        Ok(Self { kind: Kind::Owner { owner, server } })
    }

    /// Attaches to the process that owns a profile; `None` if there is none. Needs no passphrase, and works also while the
    /// profile is locked.
    ///
    /// # Errors
    /// If there is no such profile, or its owner does not answer.
    pub async fn attach(data_dir: &DataDir, profile: &ProfileName) -> Result<Option<Self>, Error> {
        let place = data_dir.profile(profile);
        if !place.is_owned()? {
            return Ok(None);
        }
        let attached = Attached::connect(&place).await.map_err(|not| not.error)?;
        Ok(Some(Self { kind: Kind::Attached(attached) }))
    }

    /// Whether this process owns the profile.
    pub const fn is_owner(&self) -> bool {
        matches!(self.kind, Kind::Owner { .. })
    }

    /// The client, if this process owns the profile and it is not locked. The database of a profile that is locked closes
    /// with the last handle: let go of it soon.
    pub fn client(&self) -> Option<Client> {
        match &self.kind {
            Kind::Owner { owner, .. } => owner.client(),
            Kind::Attached(_) => None,
        }
    }

    /// Who this is.
    ///
    /// # Errors
    /// As [`Client::account`].
    pub async fn info(&self) -> Result<AccountInfo, Error> {
        self.call(Call::Account).await
    }

    /// Whose account id a text means: an account id, a contact's name, or `me`.
    ///
    /// # Errors
    /// As [`Client::resolve_chat`].
    pub async fn resolve(&self, chat: &str) -> Result<Resolved, Error> {
        self.call(Call::Resolve { chat: chat.to_owned() }).await
    }

    /// Queues a text for an account id, a contact's name, or `me`.
    ///
    /// # Errors
    /// As [`Client::resolve`] and [`Client::send_text`].
    pub async fn send_text(&self, to: &str, text: &str) -> Result<Message, Error> {
        self.send(NewMessage::text(to, text)).await
    }

    /// Queues a message with what belongs to it.
    ///
    /// # Errors
    /// As [`Client::resolve`] and [`Client::send`].
    pub async fn send(&self, new: NewMessage) -> Result<Message, Error> {
        self.call(Call::Send(new)).await
    }

    /// As [`Client::wait_for`].
    ///
    /// # Errors
    /// As there.
    pub async fn wait_for(
        &self,
        id: &MessageId,
        state: MessageState,
        timeout: Duration,
    ) -> Result<SentState, Error> {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.call(Call::WaitFor { id: id.clone(), state, timeout_ms }).await
    }

    /// As [`Client::take_back`].
    ///
    /// # Errors
    /// As there.
    pub async fn take_back(&self, id: &MessageId) -> Result<SentState, Error> {
        self.call(Call::TakeBack { id: id.clone() }).await
    }

    /// As [`Client::fetch`].
    ///
    /// # Errors
    /// As there.
    pub async fn fetch(&self) -> Result<FetchReport, Error> {
        self.call(Call::Fetch).await
    }

    /// As [`Client::chats`].
    ///
    /// # Errors
    /// As there.
    pub async fn chats(&self) -> Result<Vec<ChatSummary>, Error> {
        self.call(Call::Chats).await
    }

    /// The newest messages with an account id, a contact's name, or `me`; oldest first.
    ///
    /// # Errors
    /// As [`Client::resolve`] and [`Client::history`].
    pub async fn history(&self, chat: &str, limit: u32) -> Result<Vec<Message>, Error> {
        self.history_at(chat, limit, Place::Newest).await
    }

    /// A page of the messages with an account id, a contact's name, or `me`; oldest first.
    ///
    /// # Errors
    /// As [`Client::resolve`] and [`Client::history_at`].
    pub async fn history_at(&self, chat: &str, limit: u32, place: Place) -> Result<Vec<Message>, Error> {
        self.call(Call::History { chat: chat.to_owned(), limit, place: place.into() }).await
    }

    /// As [`Client::search`].
    ///
    /// # Errors
    /// As there.
    pub async fn search(&self, search: Search) -> Result<SearchResult, Error> {
        self.call(Call::Search(search)).await
    }

    /// As [`Client::unprinted`].
    ///
    /// # Errors
    /// As there.
    pub async fn unprinted(&self, limit: u32) -> Result<Vec<Message>, Error> {
        self.call(Call::Unprinted { limit }).await
    }

    /// As [`Client::mark_printed`].
    ///
    /// # Errors
    /// As there.
    pub async fn mark_printed(&self, ids: Vec<MessageId>) -> Result<(), Error> {
        self.call(Call::MarkPrinted { ids }).await
    }

    /// As [`Client::status`].
    ///
    /// # Errors
    /// As there.
    pub async fn status(&self) -> Result<Status, Error> {
        self.call(Call::Status).await
    }

    /// As [`Client::check_database`].
    ///
    /// # Errors
    /// As there.
    pub async fn check_database(&self) -> Result<(), Error> {
        self.call(Call::CheckDatabase).await
    }

    /// Locks the profile: nothing is received or sent, the database is closed and its key forgotten, until
    /// [`Self::unlock`]. The process goes on owning the profile; calls that only wait end with [`Error::Locked`], as do all later ones
    /// but [`Self::status`] and [`Self::events`].
    ///
    /// # Errors
    /// [`Error::NotLockable`] if the profile has no passphrase.
    pub async fn lock(&self) -> Result<(), Error> {
        self.call(Call::Lock).await
    }

    /// Ends [`Self::lock`]. Does nothing if the profile is not locked.
    ///
    /// # Errors
    /// If it is not the profile's passphrase.
    pub async fn unlock(&self, passphrase: &str) -> Result<(), Error> {
        self.call(Call::Unlock { passphrase: Secret::new(passphrase) }).await
    }

    /// Ends a session that others use too, once they have let go of it; they are given some seconds. Whether they have: if
    /// not, the session ends with the last of them.
    pub async fn close_shared(mut session: Arc<Self>) -> bool {
        let deadline = tokio::time::Instant::now() + LET_GO_WITHIN;
        loop {
            match Arc::try_unwrap(session) {
                Ok(session) => {
                    session.close().await;
                    return true;
                }
                Err(_) if tokio::time::Instant::now() > deadline => return false,
                // Tasks that were ended let go at their next step.
                Err(shared) => session = shared,
            }
            tokio::time::sleep(LET_GO_PAUSE).await;
        }
    }

    /// Does what is asked, as data: for doors through which other programs come.
    ///
    /// # Errors
    /// Those of the method.
    pub async fn answer(&self, call: Call) -> Result<Value, Error> {
        let call = call.with_whole_paths();
        match &self.kind {
            Kind::Owner { owner, .. } => owner.answer(call, true).await,
            Kind::Attached(attached) => attached.call(&call, true).await,
        }
    }

    /// As [`Self::answer`], but no use of the profile: a screen that reads what changed does not keep a profile from locking by
    /// itself.
    ///
    /// # Errors
    /// Those of the method.
    pub async fn look(&self, call: Call) -> Result<Value, Error> {
        let call = call.with_whole_paths();
        match &self.kind {
            Kind::Owner { owner, .. } => owner.answer(call, false).await,
            Kind::Attached(attached) => attached.call(&call, false).await,
        }
    }

    /// The recovery phrase of the account. Whoever sees it has the account, so whoever asks has to prove once more that the
    /// profile is theirs.
    ///
    /// # Errors
    /// If it is not what unlocks the profile, or the profile is locked.
    pub async fn phrase(&self, unlock: &Unlock<'_>) -> Result<RecoveryWords, Error> {
        let passphrase = match unlock {
            Unlock::KeyFile => None,
            Unlock::Passphrase(passphrase) => Some(Secret::new(passphrase)),
        };
        self.call(Call::RecoveryPhrase { passphrase }).await
    }

    /// What happens from now on. Ends when the owner of the profile does.
    ///
    /// # Errors
    /// If the owner does not answer.
    pub async fn events(&self) -> Result<Events, Error> {
        Ok(Events(match &self.kind {
            Kind::Owner { owner, .. } => owner.events(),
            Kind::Attached(attached) => attached.events().await?,
        }))
    }

    /// Waits until another process that owns the profile has ended. For ever, if this one owns it.
    pub async fn ended(&self) {
        match &self.kind {
            Kind::Owner { .. } => std::future::pending().await,
            Kind::Attached(attached) => attached.ended().await,
        }
    }

    /// Ends the session. An owner stops receiving and sending, and lets go of the profile: when this returns, another process
    /// can own it.
    pub async fn close(self) {
        if let Kind::Owner { owner, server } = self.kind {
            server.stop().await;
            owner.close().await;
            // Calls of attached programs were told to end, and own the profile until they have.
            let deadline = tokio::time::Instant::now() + LET_GO_WITHIN;
            while Arc::strong_count(&owner) > 1 && tokio::time::Instant::now() < deadline {
                tokio::time::sleep(LET_GO_PAUSE).await;
            }
        }
    }

    async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        serde_json::from_value(self.answer(call).await?)
            .map_err(|e| crate::store::StoreError::Bug(format!("an answer of the wrong shape: {e}")).into())
    }
}

/// What happens in a profile, one event after the other.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    /// The next event, when it happens; `None` when the owner of the profile ends. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Event::Missed),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_owner() { "Account(owner)" } else { "Account(attached)" })
    }
}
