//! What every face uses: a profile, whether this process owns it or another one does.
//!
//! At most one process owns a profile. [`Session::open`] becomes the owner, and then serves the
//! local socket for others; or, if there is an owner, attaches to it. Every call works the same
//! either way, because both go through [`Call`].

mod acts;
mod attached;
mod call;
mod owner;
mod serve;

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::broadcast;

use crate::client::{Client, ClientOptions};
use crate::error::Error;
use crate::profile::{DataDir, OpenError, OwnedProfile, ProfileName, Unlock};
use crate::types::{
    AccountInfo, ChatSummary, Event, FetchReport, Message, MessageId, MessageState, NewMessage, Search,
    SearchResult, SentState, Status,
};

use attached::{Attached, NotAttached};
pub use call::{Call, Secret};
use owner::Owner;

/// How often, and at which distance, it is tried again while an owner is just starting or stopping.
const OPEN_TRIES: u32 = 40;
const OPEN_PAUSE: Duration = Duration::from_millis(100);

/// A profile that can be used.
pub struct Session {
    kind: Kind,
}

enum Kind {
    Owner { owner: Arc<Owner>, server: serve::Server },
    Attached(Arc<Attached>),
}

impl Session {
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
    pub async fn account(&self) -> Result<AccountInfo, Error> {
        self.call(Call::Account).await
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
        self.call(Call::History { chat: chat.to_owned(), limit }).await
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

    /// Locks the profile: nothing is received or sent, the database is closed and its key forgotten, until
    /// [`Self::unlock`]. The process goes on owning the profile; calls under way end with [`Error::Locked`], as do all others
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

    /// What happens from now on. Ends when the owner of the profile does.
    ///
    /// # Errors
    /// If the owner does not answer.
    pub async fn events(&self) -> Result<broadcast::Receiver<Event>, Error> {
        match &self.kind {
            Kind::Owner { owner, .. } => Ok(owner.events()),
            Kind::Attached(attached) => attached.events().await,
        }
    }

    /// Ends the session. An owner stops receiving and sending, and lets go of the profile.
    pub async fn close(self) {
        if let Kind::Owner { owner, server } = self.kind {
            server.stop().await;
            owner.close().await;
        }
    }

    async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        let value = match &self.kind {
            Kind::Owner { owner, .. } => owner.answer(call).await?,
            Kind::Attached(attached) => attached.call(&call).await?,
        };
        serde_json::from_value(value)
            .map_err(|e| crate::store::StoreError::Bug(format!("an answer of the wrong shape: {e}")).into())
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_owner() { "Session(owner)" } else { "Session(attached)" })
    }
}
