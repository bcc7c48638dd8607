//! The owner of a profile: receives, sends, keeps, and tells what happens.

mod acts;
mod files;
mod pictures;
mod told;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conclave_crypto::{Account, AccountId};
use conclave_onion::PathConfig;
use conclave_proto::Timestamp;
use conclave_proto::network::NetworkFile;
use tokio::sync::{Notify, OnceCell, broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::clock::{Clock, SystemClock};
use crate::error::{Error, MAX_TEXT_CHARS};
use crate::files::{Files, Folder};
use crate::network::{Network, NetworkError};
use crate::outbox::{self, InFlight, PushTimes};
use crate::profile::OwnedProfile;
use crate::receive::{self, Reading};
use crate::store::{
    Changes, ClientStore, Copy, OutgoingMessage, Place, RecipientError, SearchQuery, StoreError,
};
use crate::types::{
    AccountInfo, ChatSummary, Event, FetchReport, Message, MessageId, MessageState, Search, SearchResult,
    SentState, Status,
};
pub(crate) use told::{chat_summary, message};

/// Events that a slow listener may be behind. It then learns that it missed some and reads the database.
pub(crate) const EVENT_QUEUE: usize = 1_024;
/// How long the first message of a run waits for the network's time to be learnt.
const CLOCK_PATIENCE: Duration = Duration::from_secs(4);
/// How long taking a message back waits for an attempt that is under way.
const TAKE_BACK_PATIENCE: Duration = Duration::from_secs(12);
/// How long tasks may take to end.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// How a client is started.
#[derive(Clone)]
pub struct ClientOptions {
    /// The network that was asked for. Another than the profile's is refused.
    pub network: Option<NetworkFile>,
    /// The network of a profile that has none yet; for one that has, only news about the same network.
    pub default_network: Option<NetworkFile>,
    /// Where the machine's time comes from.
    pub clock: Arc<dyn Clock>,
    /// How paths are made. Fewer hops than three give away what onion routing hides.
    pub paths: PathConfig,
    /// Receive and send in the background. Off for commands that only look at what is here.
    pub online: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            network: None,
            default_network: None,
            clock: Arc::new(SystemClock),
            paths: PathConfig::default(),
            online: true,
        }
    }
}

impl std::fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let network = self.network.as_ref().map(|network| &network.network_id);
        f.debug_struct("ClientOptions")
            .field("network", &network)
            .field("paths", &self.paths)
            .field("online", &self.online)
            .finish_non_exhaustive()
    }
}

/// What the parts of a client share.
pub(crate) struct Shared {
    pub(crate) account: Arc<Account>,
    pub(crate) store: ClientStore,
    pub(crate) network: Network,
    pub(crate) events: broadcast::Sender<Event>,
    /// Something may be due.
    pub(crate) outbox_changed: Notify,
    /// An attempt ended, well or not.
    pub(crate) attempts: Notify,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) pushes: PushTimes,
    pub(crate) reading: Reading,
    /// The account's settings have been looked for.
    pub(crate) documents_found: Notify,
    pub(crate) files: Arc<Files>,
    /// Somebody may have another picture.
    pub(crate) pictures_changed: Notify,
    /// Where files lie.
    pub(crate) folder: Folder,
    /// Counts how often the machine's way to the network has changed.
    pub(crate) ways: watch::Sender<u64>,
    /// The network's time was asked for before the first message was taken in.
    asked_for_time: OnceCell<()>,
    /// When something last happened that makes more of it likely.
    lively: Mutex<Instant>,
    /// Work whose end nobody waits for, except the end of the client.
    strays: Mutex<JoinSet<()>>,
    pub(crate) stopping: watch::Sender<bool>,
}

impl Shared {
    /// Runs work beside its caller; it ends with the client.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut strays = self.strays.lock().unwrap_or_else(PoisonError::into_inner);
        while strays.try_join_next().is_some() {}
        if !*self.stopping.borrow() {
            strays.spawn(work);
        }
    }

    /// Asks for the network's time, if it is not known in this run; not for long. Before something is queued: its sent time is
    /// fixed for ever.
    pub(crate) async fn learn_time(&self) {
        if !self.network.knows_time() {
            let _ = tokio::time::timeout(CLOCK_PATIENCE, self.network.learn_time()).await;
        }
    }

    /// Before anything is taken in: where a message stands, and whether it was read, is judged when it comes. Asks once in a
    /// run; where nobody says what time it is, what an earlier run knew has to do.
    pub(crate) async fn learn_time_once(&self) {
        self.asked_for_time.get_or_init(|| self.learn_time()).await;
    }

    /// Forgets connections and failures, and tries everything that waits at once.
    pub(crate) async fn begin_anew(&self) {
        self.network.begin_anew();
        let now = self.network.now();
        if let Err(error) = self.store.run(move |store| store.retry_all(now)).await {
            tracing::warn!(%error, "what waits could not be hurried");
        }
        self.ways.send_modify(|ways| *ways = ways.wrapping_add(1));
        self.files.changed.notify_one();
        self.outbox_changed.notify_one();
    }

    /// For how long nothing has happened.
    pub(crate) fn quiet(&self) -> Duration {
        self.lively.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Tells everybody who listens what changed, and those who send that there is something to do.
    pub(crate) fn tell(&self, changes: Changes) {
        if !changes.shown.is_empty() || !changes.typing.is_empty() || changes.to_send {
            *self.lively.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        if changes.to_push {
            self.pushes.changed(self.network.now());
        }
        if changes.files {
            self.files.changed.notify_one();
        }
        if changes.profile || !changes.chats.is_empty() {
            self.pictures_changed.notify_one();
        }
        if changes.to_push || changes.to_send || changes.to_expire {
            self.outbox_changed.notify_one();
        }
        // What comes from other devices may leave nothing to be sent, without an attempt of ours.
        self.attempts.notify_waiters();
        for event in told::events(changes) {
            let _ = self.events.send(event);
        }
    }

    /// Does something in the database, and tells what it changed.
    pub(crate) async fn act<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ClientStore, conclave_proto::Timestamp) -> Result<(T, Changes), StoreError>
        + Send
        + 'static,
    ) -> Result<T, Error> {
        let now = self.network.now();
        let (value, changes) = self.store.run(move |store| work(store, now)).await?;
        self.tell(changes);
        Ok(value)
    }
}

/// A running client. Clones are handles to the same one.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    profile: String,
    tasks: Arc<Tasks>,
}

/// What runs in the background. The profile stays owned until the last handle *and* the last task are gone, so that no
/// task works on a profile that another process owns by then.
struct Tasks {
    _owned: Arc<OwnedProfile>,
    running: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

impl Tasks {
    fn take(&self) -> Vec<tokio::task::JoinHandle<()>> {
        std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Tasks {
    /// Nobody has a handle any more: nobody could stop them later.
    fn drop(&mut self) {
        for task in self.take() {
            task.abort();
        }
    }
}

impl Client {
    /// Starts receiving and sending for a profile.
    ///
    /// # Errors
    /// If the profile belongs to another network than the one named, or to none and none is named.
    pub fn start(profile: OwnedProfile, options: ClientOptions) -> Result<Self, Error> {
        Self::start_telling(profile, options, broadcast::channel(EVENT_QUEUE).0)
    }

    /// [`Self::start`], telling those who listen already.
    pub(crate) fn start_telling(
        profile: OwnedProfile,
        options: ClientOptions,
        events: broadcast::Sender<Event>,
    ) -> Result<Self, Error> {
        let own = profile.network()?;
        let default = options
            .default_network
            .as_ref()
            .filter(|default| own.as_ref().is_none_or(|own| own.same_network(default)));
        if let Some(network) = options.network.as_ref().or(default) {
            profile.check_network(network)?;
        }
        let file = profile.network()?.ok_or(NetworkError::NoNetwork)?;
        let store = profile.store().clone();
        let stored = store.account()?;
        let guards = profile.profile().data_dir().guards_file(&file.network_id);
        let network = Network::new(file, store.clone(), guards, options.paths, options.clock);
        let shared = Arc::new(Shared {
            account: Arc::new(Account::from_phrase(&stored.phrase)),
            store,
            network,
            events,
            outbox_changed: Notify::new(),
            attempts: Notify::new(),
            in_flight: Arc::default(),
            pushes: PushTimes::default(),
            documents_found: Notify::new(),
            files: Arc::default(),
            pictures_changed: Notify::new(),
            folder: Folder::of(&profile.profile().dir()),
            reading: Reading::default(),
            ways: watch::channel(0).0,
            asked_for_time: OnceCell::new(),
            lively: Mutex::new(Instant::now()),
            strays: Mutex::default(),
            stopping: watch::channel(false).0,
        });
        // Nobody sees what has disappeared meanwhile, with or without a network. Where there is no room for that, the rest can be
        // read all the same, and it is tried again soon.
        loop {
            match shared.store.expire(shared.network.now()) {
                Ok(changes) if changes.deleted.is_empty() => break,
                Ok(changes) => shared.tell(changes),
                Err(error) => {
                    tracing::warn!(%error, "what has disappeared could not be let go of");
                    break;
                }
            }
        }
        shared.store.begin_documents(false, shared.network.now())?;
        shared.spawn(index_backlog(shared.store.clone()));
        let name = profile.profile().name().to_string();
        let owned = Arc::new(profile);
        let mut running = Vec::new();
        if options.online {
            let (sending, receiving) = (outbox::run(Arc::clone(&shared)), receive::run(Arc::clone(&shared)));
            running.push(tokio::spawn(while_owning(Arc::clone(&owned), sending)));
            running.push(tokio::spawn(while_owning(Arc::clone(&owned), receiving)));
            let moving = crate::files::run(Arc::clone(&shared));
            running.push(tokio::spawn(while_owning(Arc::clone(&owned), moving)));
            let looking = crate::files::pictures::run(Arc::clone(&shared));
            running.push(tokio::spawn(while_owning(Arc::clone(&owned), looking)));
        } else {
            running.push(tokio::spawn(while_owning(Arc::clone(&owned), outbox::let_go(Arc::clone(&shared)))));
        }
        let tasks = Arc::new(Tasks { _owned: owned, running: Mutex::new(running) });
        Ok(Self { shared, profile: name, tasks })
    }

    /// Who this is.
    ///
    /// # Errors
    /// What the database says.
    pub async fn account(&self) -> Result<AccountInfo, Error> {
        let stored = self.shared.store.run(ClientStore::account).await?;
        Ok(AccountInfo {
            account_id: stored.id.to_hex(),
            name: stored.name.clone(),
            profile: self.profile.clone(),
            network_id: Some(self.shared.network.file().network_id.clone()),
            picture: self.shared.store.run(ClientStore::own_picture_mark).await?,
        })
    }

    /// The recovery phrase. Whoever sees it has the account.
    pub(crate) async fn phrase(&self) -> Result<zeroize::Zeroizing<String>, Error> {
        Ok(self.shared.store.run(ClientStore::account).await?.phrase.words())
    }

    /// The network the profile is in.
    pub fn network_file(&self) -> &NetworkFile {
        self.shared.network.file()
    }

    /// Whom a text names: an account id, the name of a contact one has written to, or `me`.
    ///
    /// # Errors
    /// [`Error::Recipient`] says what is wrong and offers what there is.
    pub async fn resolve(&self, text: &str) -> Result<AccountId, Error> {
        self.find(text, ClientStore::resolve_recipient).await
    }

    /// Which conversation a text names: as [`Self::resolve`], and also somebody one has blocked.
    ///
    /// # Errors
    /// As there.
    pub async fn resolve_chat(&self, text: &str) -> Result<AccountId, Error> {
        self.find(text, ClientStore::resolve_contact).await
    }

    async fn find(
        &self,
        text: &str,
        how: impl FnOnce(&ClientStore, &str) -> Result<AccountId, RecipientError> + Send + 'static,
    ) -> Result<AccountId, Error> {
        if names_oneself(text) {
            return Ok(*self.shared.account.id());
        }
        let store = self.shared.store.clone();
        let text = text.to_owned();
        tokio::task::spawn_blocking(move || how(&store, &text))
            .await
            .map_err(|e| StoreError::Bug(e.to_string()))?
            .map_err(Error::from)
    }

    /// Queues a text for somebody. When this returns the message is durable on this machine; it is sent in the
    /// background until a majority of the recipient's swarm has it.
    ///
    /// # Errors
    /// [`Error::TextTooLong`], [`Error::TextEmpty`], a network too small for a path, or what the database says; nothing is
    /// queued then.
    pub async fn send_text(&self, to: &AccountId, text: &str) -> Result<Message, Error> {
        self.send(OutgoingMessage::text(*to, text)).await
    }

    /// Queues a text with what belongs to it, as [`Self::send_text`] does.
    ///
    /// # Errors
    /// As there; and if it answers a message that is not here.
    pub async fn send(&self, outgoing: OutgoingMessage) -> Result<Message, Error> {
        check_text(&outgoing.text, outgoing.invitation.is_some() || !outgoing.files.is_empty())?;
        if let Some(invitation) = &outgoing.invitation {
            check_invitation(&invitation.url)?;
        }
        if let Some(no_path) = self.shared.network.no_path() {
            // Waiting would not help: a network does not grow while one waits for a message.
            return Err(NetworkError::NoPath(no_path).into());
        }
        self.shared.learn_time().await;
        let row = self.shared.act(move |store, now| store.enqueue(&outgoing, now)).await?;
        Ok(message(&row))
    }

    /// How far a sent message has come.
    ///
    /// # Errors
    /// [`Error::UnknownMessage`].
    pub async fn sent_state(&self, id: &MessageId) -> Result<SentState, Error> {
        let wanted = id.clone();
        let row = self.shared.store.run(move |store| store.message(&wanted)).await?;
        let unknown = || Error::UnknownMessage(id.clone());
        let row = row.ok_or_else(unknown)?;
        Ok(SentState {
            id: row.id.clone(),
            chat: row.chat.to_hex(),
            state: row.state.ok_or_else(unknown)?,
            signed: row.signed,
            swarm: row.swarm,
            reason: row.reason.clone(),
        })
    }

    /// Waits until a sent message has come as far as `state`, has failed, or the time is over; says how far it is then.
    ///
    /// # Errors
    /// [`Error::UnknownMessage`].
    pub async fn wait_for(
        &self,
        id: &MessageId,
        state: MessageState,
        timeout: Duration,
    ) -> Result<SentState, Error> {
        let deadline = Instant::now() + timeout;
        loop {
            // Registered before looking, so that nothing that happens in between is missed.
            let attempt = self.shared.attempts.notified();
            tokio::pin!(attempt);
            attempt.as_mut().enable();
            let now = self.sent_state(id).await?;
            if now.state >= state || now.state == MessageState::Failed {
                return Ok(now);
            }
            if tokio::time::timeout_at(deadline, attempt).await.is_err() {
                return self.sent_state(id).await;
            }
        }
    }

    /// Takes a queued message back, if no member of the swarm has signed for it yet. Says how far it is. An attempt that is
    /// under way is waited for, some seconds at most: a message that is still queued afterwards may or may not arrive.
    ///
    /// # Errors
    /// [`Error::UnknownMessage`].
    pub async fn take_back(&self, id: &MessageId) -> Result<SentState, Error> {
        let (wanted, until) = (id.clone(), self.shared.network.now().plus(2 * TAKE_BACK_PATIENCE));
        self.shared.store.run(move |store| store.hold(&wanted, until)).await?;
        let deadline = Instant::now() + TAKE_BACK_PATIENCE;
        loop {
            let attempt = self.shared.attempts.notified();
            tokio::pin!(attempt);
            attempt.as_mut().enable();
            if !self.shared.in_flight.holds(id) {
                break;
            }
            if tokio::time::timeout_at(deadline, attempt).await.is_err() {
                return self.sent_state(id).await;
            }
        }
        let wanted = id.clone();
        self.shared
            .act(move |store, now| {
                store
                    .mark_failed(&wanted, Copy::Recipient, "taken back by its sender", now)
                    .map(|it| ((), it))
            })
            .await?;
        self.sent_state(id).await
    }

    /// What happens from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// Asks every member of the own swarm for what is new.
    ///
    /// # Errors
    /// If the network cannot be reached, or the database fails.
    pub async fn fetch(&self) -> Result<FetchReport, Error> {
        receive::round(&self.shared).await
    }

    /// The conversations, newest first, and after them the requests.
    ///
    /// # Errors
    /// What the database says.
    pub async fn chats(&self) -> Result<Vec<ChatSummary>, Error> {
        let chats = self.shared.store.run(|store| store.chats(crate::store::MAX_PAGE)).await?;
        Ok(chats.into_iter().map(chat_summary).collect())
    }

    /// The newest messages of a conversation, oldest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn history(&self, chat: &AccountId, limit: usize) -> Result<Vec<Message>, Error> {
        self.history_at(chat, limit, Place::Newest).await
    }

    /// A page of a conversation, oldest first; at most `limit` or [`MAX_PAGE`](crate::store::MAX_PAGE).
    ///
    /// # Errors
    /// If the message the place is told by is not in it, or what the database says.
    pub async fn history_at(
        &self,
        chat: &AccountId,
        limit: usize,
        place: Place,
    ) -> Result<Vec<Message>, Error> {
        let chat = *chat;
        let at = place.clone();
        let rows = self.shared.store.run(move |store| store.history_at(&chat, limit, &at)).await?;
        // A page that is too large is cut where it is farthest from what was asked for.
        Ok(match &place {
            Place::After(_) => told::page(&rows),
            Place::Newest | Place::Before(_) => {
                let mut messages = told::page(rows.iter().rev());
                messages.reverse();
                messages
            }
            Place::Around(id) => {
                let middle = rows.iter().position(|row| row.id == *id).unwrap_or(0);
                let (before, from) = rows.split_at_checked(middle).unwrap_or((&[], &rows));
                let mut messages = told::page(before.iter().rev());
                messages.reverse();
                messages.extend(told::page(from));
                messages
            }
        })
    }

    /// Reads the whole database; every page carries a code that shows whether it was changed.
    ///
    /// # Errors
    /// If it is damaged.
    pub async fn check_database(&self) -> Result<(), Error> {
        Ok(self.shared.store.run(ClientStore::check).await?)
    }

    /// Looks for messages, newest first, in any script. What is blocked or hidden is found, too.
    ///
    /// # Errors
    /// If nothing, or too much, is looked for; if a chat or an author is nobody; what the database says.
    pub async fn search(&self, search: Search) -> Result<SearchResult, Error> {
        const PAGE: usize = 50;
        let chat = match &search.chat {
            Some(chat) => Some(self.resolve_chat(chat).await?),
            None => None,
        };
        let author = match &search.author {
            Some(author) => Some(self.resolve_chat(author).await?),
            None => None,
        };
        let query = SearchQuery {
            text: search.text,
            chat,
            author,
            outgoing: None,
            kind: search.kind,
            from: search.from.map(Timestamp),
            to: search.to.map(Timestamp),
            after: search.after,
            limit: if search.limit == 0 { PAGE } else { usize::try_from(search.limit).unwrap_or(PAGE) },
        };
        let page = self.shared.store.run(move |store| store.search(&query)).await?;
        Ok(told::found(page))
    }

    /// Messages that no `listen` has printed yet, in the order they came.
    ///
    /// # Errors
    /// What the database says.
    pub async fn unprinted(&self, limit: usize) -> Result<Vec<Message>, Error> {
        let rows = self.shared.store.run(move |store| store.unprinted(limit)).await?;
        Ok(told::page(&rows))
    }

    /// Notes that a `listen` has printed these.
    ///
    /// # Errors
    /// What the database says.
    pub async fn mark_printed(&self, ids: Vec<MessageId>) -> Result<(), Error> {
        Ok(self.shared.store.run(move |store| store.mark_printed(&ids)).await?)
    }

    /// How the profile stands with its network.
    ///
    /// # Errors
    /// What the database says.
    pub async fn status(&self) -> Result<Status, Error> {
        let queued = self.shared.store.run(|store| store.queued_count()).await?;
        let network = &self.shared.network;
        let nodes = network.known_directory().map_or(0, |directory| directory.nodes().len());
        let (guard, paths) = network.paths_in_use();
        let (last_contact, trouble) = network.contact();
        Ok(Status {
            network_id: Some(network.file().network_id.clone()),
            nodes: u32::try_from(nodes).unwrap_or(u32::MAX),
            guard: guard.map(|key| key.to_hex()),
            paths: paths.iter().map(|path| path.iter().map(|key| key.to_hex()).collect()).collect(),
            clock_offset_ms: network.clock_offset(),
            queued,
            last_contact: last_contact.map(|at| at.as_millis()),
            locked: false,
            trouble,
            bytes_sent: network.traffic().0,
            bytes_received: network.traffic().1,
            largest_file: self.largest_file(),
        })
    }

    pub(crate) async fn begin_anew(&self) {
        self.shared.begin_anew().await;
    }

    /// Stops receiving and sending. Bounded; what is queued stays queued.
    pub async fn shutdown(&self) {
        self.shared.stopping.send_replace(true);
        for mut task in self.tasks.take() {
            if tokio::time::timeout(STOP_WITHIN, &mut task).await.is_err() {
                task.abort();
                let _ = task.await;
            }
        }
        let mut strays =
            std::mem::take(&mut *self.shared.strays.lock().unwrap_or_else(PoisonError::into_inner));
        strays.shutdown().await;
        self.shared.network.shutdown().await;
        self.shared.store.settled().await;
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.profile)
    }
}

/// Takes messages into the search that are not there yet, as a database from before it has them.
async fn index_backlog(store: ClientStore) {
    loop {
        match store.run(ClientStore::index_backlog).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "older messages are not in the search; the next start goes on");
                return;
            }
        }
    }
}

async fn while_owning(owned: Arc<OwnedProfile>, work: impl Future<Output = ()>) {
    work.await;
    drop(owned);
}

/// `me`, however it is written: nobody else is ever found by that name.
fn names_oneself(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("me")
}

/// Whether somebody can be invited to what is there: a page or a program opens it.
fn check_invitation(url: &str) -> Result<(), Error> {
    let url: Option<ureq::http::Uri> = url.parse().ok();
    let is_web = |url: &ureq::http::Uri| {
        matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty())
    };
    if url.as_ref().is_some_and(is_web) {
        return Ok(());
    }
    Err(Error::refused("the address of a community begins with http:// or https:// and names a host"))
}

/// Whether a text can be sent.
fn check_text(text: &str, may_be_empty: bool) -> Result<(), Error> {
    let chars = text.chars().count();
    if chars > MAX_TEXT_CHARS {
        return Err(Error::TextTooLong { chars });
    }
    if !crate::is_visible(text) && !may_be_empty {
        return Err(Error::TextEmpty);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn me_is_oneself_however_it_is_written_and_nothing_else_is() {
        for oneself in ["me", "Me", " ME\n"] {
            assert!(names_oneself(oneself), "{oneself:?}");
        }
        for other in ["", "Mel", "mé", "me me"] {
            assert!(!names_oneself(other), "{other:?}");
        }
    }

    #[test]
    fn a_text_that_shows_nothing_is_not_sent() {
        for text in ["", " \n", "\u{200b}\u{2060}", "\u{3164}"] {
            assert!(matches!(check_text(text, false), Err(Error::TextEmpty)), "{text:?}");
            assert!(check_text(text, true).is_ok(), "{text:?}");
        }
        assert!(check_text("\u{200b}.", false).is_ok());
    }
}
