//! Reaching the network: the node list, paths, and storage requests through them.
//!
//! Knows nodes, paths and clocks; knows nothing of messages. A value of [`Network`] belongs to one
//! profile: its connections and paths are never shared, only the choice of guards is.

mod bootstrap;
mod error;
mod guards;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use conclave_crypto::Ed25519Public;
use conclave_onion::outcome::{Outcome, Retry};
use conclave_onion::request::{Destination, seal};
use conclave_onion::{Path, PathConfig, PathEvent, PathManager, Target};
use conclave_proto::network::{Directory, NetworkFile, SignedDirectory};
use conclave_proto::rpc::Request;
use conclave_proto::rpc::answers::{InfoAnswer, Stamp};
use conclave_proto::{SnodeRecord, Timestamp};
use conclave_transport::Deadline;
use conclave_transport::https::{self, Client as Https};
use rand_core::{OsRng, RngCore as _};
use serde_json::Value;

use crate::clock::{Clock, Offset};
use crate::store::{ClientStore, Meta};

pub use bootstrap::download;
pub use error::NetworkError;
use guards::GuardFile;

/// How long one onion request may take. (client-messages 5.3)
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Tries of one request, over other paths where that helps.
const MAX_TRIES: u32 = 4;
/// Nodes asked for the time: three have to agree that the clock is far off (client-messages 5.6), and some may be down.
const CLOCK_NODES: usize = 5;
/// The node list is asked for anew when it is older. (storage-and-onion 7.2)
const LIST_LIFE: Duration = Duration::from_secs(2 * 60 * 60);
/// And not more often than this, whatever happens.
const LIST_PAUSE: Duration = Duration::from_secs(5);

/// One profile's way into its network.
#[derive(Clone)]
pub struct Network {
    inner: Arc<Inner>,
}

struct Inner {
    file: NetworkFile,
    store: ClientStore,
    https: Https,
    clock: Arc<dyn Clock>,
    offset: Offset,
    paths: Mutex<PathManager>,
    guards: GuardFile,
    directory: RwLock<Option<Arc<Directory>>>,
    /// When the list was last got or tried to get, by the machine's clock. Held while trying.
    listed_at: tokio::sync::Mutex<Option<Timestamp>>,
    contact: Mutex<Contact>,
}

#[derive(Default)]
struct Contact {
    last: Option<Timestamp>,
    trouble: Option<String>,
}

/// A storage request's answer, from inside a sealed reply.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Value,
}

impl Network {
    /// The network of `file`, with what earlier runs learnt of it.
    pub fn new(
        file: NetworkFile,
        store: ClientStore,
        guards_path: std::path::PathBuf,
        config: PathConfig,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let guards = GuardFile::new(guards_path);
        let mut paths = PathManager::new(config, guards.read());
        let remembered = store.meta(Meta::ClockOffset).ok().flatten();
        let offset = remembered
            .and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok())
            .map_or_else(Offset::default, Offset::remembering);
        let directory = cached_directory(&file, &store).map(Arc::new);
        if let Some(directory) = &directory {
            paths.handle(offset.apply(clock.now()), PathEvent::ListChanged(directory.nodes()));
        }
        let inner = Inner {
            file,
            store,
            https: Https::new(),
            clock,
            offset,
            paths: Mutex::new(paths),
            guards,
            directory: RwLock::new(directory),
            listed_at: tokio::sync::Mutex::default(),
            contact: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The network file.
    pub fn file(&self) -> &NetworkFile {
        &self.inner.file
    }

    /// Network time.
    pub fn now(&self) -> Timestamp {
        self.inner.offset.apply(self.inner.clock.now())
    }

    /// Network time minus machine time, in milliseconds.
    pub fn clock_offset(&self) -> i64 {
        self.inner.offset.millis()
    }

    /// The node list: what is known, or else from the seeds.
    ///
    /// # Errors
    /// [`NetworkError::NoSeed`] if nothing is known and no seed answers.
    pub async fn directory(&self) -> Result<Arc<Directory>, NetworkError> {
        match self.known_directory() {
            Some(directory) => {
                self.refresh_if_old();
                Ok(directory)
            }
            None => self.refresh().await,
        }
    }

    /// The node list, if one is known.
    pub fn known_directory(&self) -> Option<Arc<Directory>> {
        self.inner.directory.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for a newer node list, unless that was tried moments ago.
    ///
    /// # Errors
    /// [`NetworkError::NoSeed`] if nobody answers; a known list stays in use.
    pub async fn refresh(&self) -> Result<Arc<Directory>, NetworkError> {
        let mut listed_at = self.inner.listed_at.lock().await;
        let now = self.inner.clock.now();
        // Somebody else may have done it while we waited for our turn.
        if let (Some(at), Some(known)) = (*listed_at, self.known_directory())
            && now.since(at) < LIST_PAUSE
        {
            return Ok(known);
        }
        let known = self.known_directory();
        let fetched = bootstrap::fetch(&self.inner.https, &self.inner.file, known.as_deref()).await;
        *listed_at = Some(now);
        match fetched {
            Ok((signed, directory)) => {
                let store = self.inner.store.clone();
                let json = signed.to_json().into_bytes();
                if let Err(error) = store.run(move |store| store.set_meta(Meta::Directory, &json)).await {
                    tracing::warn!(%error, "the node list could not be kept");
                }
                let directory = Arc::new(directory);
                *self.inner.directory.write().unwrap_or_else(PoisonError::into_inner) =
                    Some(Arc::clone(&directory));
                self.paths().handle(self.now(), PathEvent::ListChanged(directory.nodes()));
                Ok(directory)
            }
            Err(error) => {
                self.note_trouble(&error);
                Err(error)
            }
        }
    }

    /// Asks a node something, through a path, and tries other paths where that can help.
    ///
    /// The answer is the node's own, whatever its status; only what prevents an answer is an error.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub async fn ask(&self, node: &SnodeRecord, request: &Request) -> Result<Reply, NetworkError> {
        let mut attempt = 0;
        loop {
            let (outcome, result) = self.ask_once(node, request).await;
            let error = match result {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let retry = outcome.map_or(Retry::Never, |outcome| outcome.retry(attempt));
            attempt += 1;
            if attempt >= MAX_TRIES || error.is_about_destination(&node.ed25519) {
                self.note_trouble(&error);
                return Err(error);
            }
            match retry {
                Retry::Now => {}
                Retry::After(pause) => tokio::time::sleep(pause).await,
                Retry::Never => {
                    self.note_trouble(&error);
                    return Err(error);
                }
            }
        }
    }

    /// Asks several nodes for the time, and takes the median. Does nothing if nobody answers.
    pub async fn learn_time(&self) {
        let Ok(directory) = self.directory().await else { return };
        let nodes = pick(directory.nodes(), CLOCK_NODES);
        let mut asked = tokio::task::JoinSet::new();
        for node in nodes {
            let network = self.clone();
            asked.spawn(async move {
                let (_, result) = network.ask_once(&node, &Request::Info).await;
                result.ok()
            });
        }
        while asked.join_next().await.is_some() {}
        self.remember_offset().await;
    }

    /// What was measured turned out to be wrong: measures again.
    pub async fn relearn_time(&self) {
        self.inner.offset.distrust();
        self.learn_time().await;
    }

    /// Whether the clock has been measured in this run.
    pub fn knows_time(&self) -> bool {
        self.inner.offset.is_measured()
    }

    /// Whether a node had better not be asked, if there is another.
    pub fn is_avoided(&self, node: &Ed25519Public) -> bool {
        self.paths().is_avoided(node, self.now())
    }

    /// Guard in use and paths, each from its guard on.
    pub fn paths_in_use(&self) -> (Option<Ed25519Public>, Vec<Vec<Ed25519Public>>) {
        let status = self.paths().status(self.now());
        (status.paths.first().and_then(|path| path.first().copied()), status.paths)
    }

    /// When a node last answered, and the trouble since.
    pub fn contact(&self) -> (Option<Timestamp>, Option<String>) {
        let contact = self.lock_contact();
        (contact.last, contact.trouble.clone())
    }

    async fn remember_offset(&self) {
        let millis = self.clock_offset().to_string().into_bytes();
        let store = self.inner.store.clone();
        if let Err(error) = store.run(move |store| store.set_meta(Meta::ClockOffset, &millis)).await {
            tracing::warn!(%error, "the clock offset could not be kept");
        }
    }

    fn refresh_if_old(&self) {
        let old = match self.inner.listed_at.try_lock() {
            Ok(at) => at.is_none_or(|at| self.inner.clock.now().since(at) > LIST_LIFE),
            Err(_) => false,
        };
        if old {
            let network = self.clone();
            tokio::spawn(async move {
                let _ = network.refresh().await;
            });
        }
    }

    /// One request over one path. The outcome is what the path is blamed or praised for; `None` if there was no path.
    async fn ask_once(
        &self,
        node: &SnodeRecord,
        request: &Request,
    ) -> (Option<Outcome>, Result<Reply, NetworkError>) {
        if let Err(error) = self.directory().await {
            return (None, Err(error));
        }
        let target = Target::Snode(node.ed25519);
        let path = self.paths().path_for(target, self.now(), &mut OsRng);
        self.keep_guards();
        let path = match path {
            Ok(path) => path,
            Err(no_path) => return (None, Err(no_path.into())),
        };
        let (outcome, result) = self.over(&path, node, request).await;
        self.paths().handle(self.now(), PathEvent::Ended { path: &path, target, outcome: &outcome });
        self.keep_guards();
        if result.is_ok() {
            let mut contact = self.lock_contact();
            contact.last = Some(self.now());
            contact.trouble = None;
        }
        (Some(outcome), result)
    }

    async fn over(
        &self,
        path: &Path,
        node: &SnodeRecord,
        request: &Request,
    ) -> (Outcome, Result<Reply, NetworkError>) {
        let body = request.to_json_body();
        let sealed = seal(path.hops(), Destination::Snode { node, body: &body }, &mut OsRng)
            .expect("a path has at least one hop");
        let guard = path.guard();
        let target = https::Target::node((guard.ip, guard.https_port).into());
        let sent = self.inner.clock.now();
        let posted = self
            .inner
            .https
            .post(&target, "/onion_req/v2", "", sealed.body, Deadline::after(REQUEST_TIMEOUT))
            .await;
        let response = match posted {
            Ok(response) => response,
            Err(https::Error::Timeout) => return (Outcome::PathTimeout, Err(NetworkError::Timeout)),
            Err(error) => {
                return (Outcome::GuardUnreachable, Err(NetworkError::GuardUnreachable(error.to_string())));
            }
        };
        let outcome = Outcome::from_http(response.status, &response.body);
        if outcome != Outcome::Worked {
            let error = NetworkError::of_path(&outcome, response.status);
            return (outcome, Err(error));
        }
        let reply = match sealed.reply.open_snode(&response.body) {
            Ok(reply) => reply,
            Err(error) => {
                return (Outcome::UnreadableReply, Err(NetworkError::Unreadable(error.to_string())));
            }
        };
        self.learn_from(node, &reply.body, sent);
        let text = match &reply.body {
            Value::String(text) => text.clone(),
            structured => structured.to_string(),
        };
        let outcome = Outcome::from_reply(reply.status, text.as_bytes());
        (outcome, Ok(Reply { status: reply.status, body: reply.body }))
    }

    fn learn_from(&self, node: &SnodeRecord, body: &Value, sent: Timestamp) {
        let stamp = Stamp::read(body)
            .or_else(|| Stamp::read(body.get("results")?.get(0)?.get("body")?))
            .map(|stamp| stamp.t)
            .or_else(|| InfoAnswer::from_json(body).map(|info| info.timestamp));
        if let Some(theirs) = stamp {
            self.inner.offset.learn(node.ed25519, theirs, sent, self.inner.clock.now());
        }
    }

    fn keep_guards(&self) {
        let changed = self.paths().take_guard_changes();
        if let Some(state) = changed {
            self.inner.guards.write(&state);
        }
    }

    fn note_trouble(&self, error: &NetworkError) {
        self.lock_contact().trouble = Some(error.to_string());
    }

    fn paths(&self) -> MutexGuard<'_, PathManager> {
        self.inner.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_contact(&self) -> MutexGuard<'_, Contact> {
        self.inner.contact.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Network({})", self.inner.file.network_id)
    }
}

/// Up to `count` different nodes, at random.
pub(crate) fn pick(nodes: &[SnodeRecord], count: usize) -> Vec<SnodeRecord> {
    let mut nodes = nodes.to_vec();
    shuffle(&mut nodes);
    nodes.truncate(count);
    nodes
}

/// Fisher and Yates.
pub(crate) fn shuffle<T>(items: &mut [T]) {
    for upper in (1..items.len()).rev() {
        let bound = u64::try_from(upper + 1).unwrap_or(u64::MAX);
        // The bias of a 64-bit remainder over a few thousand nodes is below anything that could be used.
        let other = usize::try_from(OsRng.next_u64() % bound).unwrap_or(0);
        items.swap(upper, other);
    }
}

fn cached_directory(file: &NetworkFile, store: &ClientStore) -> Option<Directory> {
    let bytes = store.meta(Meta::Directory).ok().flatten()?;
    let signed = SignedDirectory::from_json(&bytes).ok()?;
    signed.verify(&file.registry_key?, &file.network_id, 0).ok()
}
