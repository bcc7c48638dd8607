//! Reaching the network: the node list, paths, and storage requests through them.
//!
//! Knows nodes, paths and clocks; knows nothing of messages. A value of [`Network`] belongs to one
//! profile: its connections and paths are never shared, only the choice of guards is.

mod error;
mod guards;
mod link;
mod node_list;
mod server;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use conclave_crypto::Ed25519Public;
use conclave_onion::outcome::{Outcome, Retry};
use conclave_onion::request::{Destination, seal, seal_held};
use conclave_onion::{NoPath, Path, PathConfig, PathEvent, PathManager, Target};
use conclave_proto::network::{Directory, NetworkFile};
use conclave_proto::rpc::Request;
use conclave_proto::rpc::answers::{InfoAnswer, Stamp, extensions};
use conclave_proto::rpc::chunk::FILE_SERVER;
use conclave_proto::{SnodeRecord, Timestamp};
use conclave_transport::Deadline;
use conclave_transport::https::Client as Https;
use rand_core::{OsRng, RngCore as _};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::clock::{Clock, Offset};
use crate::store::{ClientStore, Meta};

pub use error::NetworkError;
use guards::GuardFile;
use link::{LinkError, Links, Response};
use node_list::Listed;
pub use node_list::download;
pub(crate) use server::V4_TARGET;

/// How long one onion request may take. (client-messages 5.3)
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Tries of one request, over other paths where that helps.
const MAX_TRIES: u32 = 4;
/// A path that says nothing for so long gets another one beside it.
const NEXT_PATH: Duration = Duration::from_secs(2);
/// How long what an earlier run found out about nodes is of interest.
const REMEMBERED_FOR: Duration = Duration::from_secs(10 * 60);
/// How often a path is drawn to get another than the one under way.
const DRAWS: usize = 8;
/// Nodes asked for the time: three have to agree that the clock is far off (client-messages 5.6), and some may be down.
const CLOCK_NODES: usize = 5;
/// The node list is asked for anew when it is older. (storage-and-onion 7.2)
pub(crate) const LIST_LIFE: Duration = Duration::from_secs(2 * 60 * 60);
/// And when it is older than this, and fewer than a majority of a swarm's members do what they are asked: those that are gone
/// for good do not say that a mailbox has moved.
pub(crate) const DOUBTED_LIST_LIFE: Duration = Duration::from_secs(5 * 60);
/// And not more often than this, whatever happens.
pub(crate) const LIST_PAUSE: Duration = Duration::from_secs(5);

/// A network file that comes with the program, by name: `session` is the public Session network, whose seeds are pinned
/// (storage-and-onion 7.1).
pub fn shipped(name: &str) -> Option<NetworkFile> {
    let text = match name {
        "session" => include_bytes!("../../networks/session.json").as_slice(),
        _ => return None,
    };
    Some(NetworkFile::from_json(text).expect("a test reads every shipped file"))
}

/// One profile's way into its network.
#[derive(Clone)]
pub struct Network {
    inner: Arc<Inner>,
}

struct Inner {
    file: NetworkFile,
    store: ClientStore,
    https: Https,
    links: Arc<Links>,
    clock: Arc<dyn Clock>,
    offset: Offset,
    paths: Mutex<PathManager>,
    guards: GuardFile,
    directory: RwLock<Option<Arc<Directory>>>,
    /// When the list was last got or tried to get, by the machine's clock. Held while trying.
    listed_at: tokio::sync::Mutex<Option<Timestamp>>,
    contact: Mutex<Contact>,
    /// `None` when the client has stopped.
    running: Mutex<Option<JoinSet<()>>>,
    /// As last kept in the store.
    avoided: Mutex<Vec<Ed25519Public>>,
    /// The extensions that nodes announce.
    offered: Mutex<HashMap<Ed25519Public, Vec<String>>>,
}

/// The path of a request that waits, so that another one can take another.
#[derive(Clone, Debug, Default)]
pub struct HeldPath(Arc<Mutex<Option<Path>>>);

/// Which path an attempt takes, and which it had better not take: the one of the attempt before it.
struct Over {
    avoid: Option<Arc<Mutex<Option<Path>>>>,
    taken: Arc<Mutex<Option<Path>>>,
}

impl Over {
    fn avoided(&self) -> Option<Path> {
        self.avoid.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&self, path: &Path) {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.clone());
    }
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
            let now = offset.apply(clock.now());
            paths.handle(now, PathEvent::ListChanged(directory.nodes()));
            // So that each of many short runs does not wait anew for the same dead nodes.
            paths.handle(now, PathEvent::Remembered(&remembered_nodes(&store, now)));
        }
        let https = Https::new();
        let inner = Inner {
            file,
            store,
            links: Arc::new(Links::new(https.clone())),
            https,
            clock,
            offset,
            paths: Mutex::new(paths),
            guards,
            directory: RwLock::new(directory),
            listed_at: tokio::sync::Mutex::default(),
            contact: Mutex::default(),
            running: Mutex::new(Some(JoinSet::new())),
            avoided: Mutex::default(),
            offered: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Runs work that may outlast its caller, but not the network's use by its client. Whether it does: not after
    /// [`Self::shutdown`].
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> bool {
        let mut running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = &mut *running else { return false };
        while running.try_join_next().is_some() {}
        running.spawn(work);
        true
    }

    /// This machine reaches the network in another way than before: connections and failures of the old one are forgotten.
    pub fn begin_anew(&self) {
        self.inner.links.begin_anew();
        self.paths().handle(self.now(), PathEvent::WayChanged);
        self.keep_guards();
    }

    /// Bytes of requests to guards, and of their answers, since the start; without what QUIC or TLS adds.
    pub fn traffic(&self) -> (u64, u64) {
        self.inner.links.traffic()
    }

    /// Ends what still runs, and takes on nothing more: it holds the profile's database.
    pub async fn shutdown(&self) {
        let running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut running) = running {
            running.shutdown().await;
        }
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
                self.refresh_if_older(LIST_LIFE);
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
        // Through paths, so that no node learns who asks; seeds see it, and are asked when nothing else is left.
        let newer = match &known {
            Some(known) => node_list::from_nodes(self, known).await,
            None => None,
        };
        let listed = match newer {
            Some(listed) => Ok(listed),
            None => node_list::from_seeds(self, known.as_deref()).await,
        };
        *listed_at = Some(now);
        match listed {
            Ok(Listed { directory, keep }) => {
                let store = self.inner.store.clone();
                if let Err(error) = store.run(move |store| store.set_meta(Meta::Directory, &keep)).await {
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

    /// Asks a node something, through a path, and tries other paths where that can help: after a failure, and beside one
    /// that says nothing for a while.
    ///
    /// The answer is the node's own, whatever its status; only what prevents an answer is an error.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub async fn ask(&self, node: &SnodeRecord, request: &Request) -> Result<Reply, NetworkError> {
        self.directory().await?;
        let request = Arc::new(request.clone());
        // An attempt goes on when its answer is not waited for any more: what comes of it is news about its path.
        let (tell, mut told) = mpsc::channel(1);
        let (mut started, mut running) = (0, 0);
        let mut last_path = None;
        loop {
            if running == 0 || (running == 1 && started < MAX_TRIES) {
                let path = Arc::new(Mutex::new(None));
                let (network, node, request, tell) =
                    (self.clone(), *node, Arc::clone(&request), tell.clone());
                let over = Over { avoid: last_path.take(), taken: Arc::clone(&path) };
                let runs = self.spawn(async move {
                    let _ = tell.send(network.ask_once(&node, &request, Some(&over)).await).await;
                });
                if !runs {
                    return Err(NetworkError::Stopped);
                }
                last_path = Some(path);
                started += 1;
                running += 1;
            }
            let patience = if started < MAX_TRIES && running == 1 { NEXT_PATH } else { REQUEST_TIMEOUT * 2 };
            let Ok(Some((outcome, result))) = tokio::time::timeout(patience, told.recv()).await else {
                continue;
            };
            running -= 1;
            let error = match result {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let retry = outcome.map_or(Retry::Never, |outcome| outcome.retry(started - 1));
            let is_last =
                started >= MAX_TRIES || retry == Retry::Never || error.is_about_destination(&node.ed25519);
            if is_last && running == 0 {
                self.note_trouble(&error);
                return Err(error);
            }
            if is_last {
                started = MAX_TRIES;
            } else if let (Retry::After(pause), 0) = (retry, running) {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Why there can be no path at all, if that is known: the network has too few nodes.
    pub fn no_path(&self) -> Option<NoPath> {
        let known = self.known_directory()?.nodes().len();
        // The destination is a node too.
        let needed = self.paths().config().hops + 1;
        (known < needed).then_some(NoPath { known, needed })
    }

    /// Asks a node something it may take up to `hold` to answer, once, over a path other than that of `beside`.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub async fn ask_held(
        &self,
        node: &SnodeRecord,
        request: &Request,
        hold: Duration,
        place: &HeldPath,
        beside: &HeldPath,
    ) -> Result<Reply, NetworkError> {
        self.directory().await?;
        let over = Over { avoid: Some(Arc::clone(&beside.0)), taken: Arc::clone(&place.0) };
        let (_, result) = self.attempt(node, request, Some(&over), Some(hold)).await;
        result.inspect_err(|error| self.note_trouble(error))
    }

    /// Whether a node announces an extension. Asked once in a run.
    ///
    /// # Errors
    /// [`NetworkError`] if it does not say.
    pub async fn offers(&self, node: &SnodeRecord, extension: &str) -> Result<bool, NetworkError> {
        let known = |network: &Self| {
            let offered = network.inner.offered.lock().unwrap_or_else(PoisonError::into_inner);
            offered.get(&node.ed25519).map(|list| list.iter().any(|name| name == extension))
        };
        if let Some(known) = known(self) {
            return Ok(known);
        }
        let reply = self.ask(node, &Request::Info).await?;
        if reply.status != 200 {
            return Err(NetworkError::Unreadable("no answer to info".to_owned()));
        }
        let mut offered = self.inner.offered.lock().unwrap_or_else(PoisonError::into_inner);
        offered.insert(node.ed25519, extensions(&reply.body));
        drop(offered);
        Ok(known(self).unwrap_or(false))
    }

    /// Whether any of the nodes that have said what they offer offers this; `None` if none has said anything.
    pub fn known_offer(&self, extension: &str) -> Option<bool> {
        let offered = self.inner.offered.lock().unwrap_or_else(PoisonError::into_inner);
        let has = |list: &Vec<String>| list.iter().any(|name| name == extension);
        (!offered.is_empty()).then(|| offered.values().any(has))
    }

    /// At which port a node is a file server for programs of others, if it says that it is. Asked once in a run.
    pub async fn file_server_port(&self, node: &SnodeRecord) -> Option<u16> {
        // What is asked for does not matter: the answer has all that the node offers.
        self.offers(node, FILE_SERVER).await.ok()?;
        let offered = self.inner.offered.lock().unwrap_or_else(PoisonError::into_inner);
        offered.get(&node.ed25519)?.iter().find_map(|offer| offer.strip_prefix(FILE_SERVER)?.parse().ok())
    }

    /// Asks several nodes for the time, and takes the median. Does nothing if nobody answers.
    pub async fn learn_time(&self) {
        let Ok(directory) = self.directory().await else { return };
        let nodes = pick(directory.nodes(), CLOCK_NODES);
        let (tell, mut told) = mpsc::channel(nodes.len().max(1));
        for node in nodes {
            let (network, tell) = (self.clone(), tell.clone());
            self.spawn(async move {
                let _ = network.ask_once(&node, &Request::Info, None).await;
                let _ = tell.send(()).await;
            });
        }
        drop(tell);
        // Those that are silent are not waited for once enough have spoken.
        while told.recv().await.is_some() && !self.knows_time() {}
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

    /// Writes down how far off this machine's clock is, if that is news.
    fn remember_offset(&self) {
        let Some(millis) = self.inner.offset.take_news() else { return };
        let store = self.inner.store.clone();
        self.spawn(async move {
            let millis = millis.to_string().into_bytes();
            if let Err(error) = store.run(move |store| store.set_meta(Meta::ClockOffset, &millis)).await {
                tracing::warn!(%error, "the clock offset could not be kept");
            }
        });
    }

    /// The list may be out of date: members of a swarm do not answer as they should. Asks for a newer one, unless that was
    /// done a while ago.
    pub fn doubt_list(&self) {
        self.refresh_if_older(DOUBTED_LIST_LIFE);
    }

    fn refresh_if_older(&self, life: Duration) {
        let old = match self.inner.listed_at.try_lock() {
            Ok(at) => at.is_none_or(|at| self.inner.clock.now().since(at) > life),
            Err(_) => false,
        };
        if old {
            let network = self.clone();
            self.spawn(async move {
                let _ = network.refresh().await;
            });
        }
    }

    /// One request over one path through the list that is known. The outcome is what the path is blamed or praised for; `None` if there was no path.
    async fn ask_once(
        &self,
        node: &SnodeRecord,
        request: &Request,
        over: Option<&Over>,
    ) -> (Option<Outcome>, Result<Reply, NetworkError>) {
        self.attempt(node, request, over, None).await
    }

    /// [`Self::ask_once`], for an answer that may be held back so long.
    async fn attempt(
        &self,
        node: &SnodeRecord,
        request: &Request,
        over: Option<&Over>,
        hold: Option<Duration>,
    ) -> (Option<Outcome>, Result<Reply, NetworkError>) {
        let target = Target::Snode(node.ed25519);
        let path = self.path(target, over.and_then(Over::avoided));
        self.keep_guards();
        let path = match path {
            Ok(path) => path,
            Err(no_path) => return (None, Err(no_path.into())),
        };
        if let Some(over) = over {
            over.take(&path);
        }
        let (outcome, result) = self.over(&path, node, request, hold).await;
        self.note_outcome(&path, target, &outcome, result.is_ok()).await;
        (Some(outcome), result)
    }

    /// What a request over a path came to is news about the path, and about the network.
    async fn note_outcome(&self, path: &Path, target: Target, outcome: &Outcome, answered: bool) {
        self.paths().handle(self.now(), PathEvent::Ended { path, target, outcome });
        self.keep_guards();
        if answered {
            let mut contact = self.lock_contact();
            contact.last = Some(self.now());
            contact.trouble = None;
        } else {
            self.keep_avoided().await;
        }
    }

    /// Hands a sealed request to the guard of a path, and waits for what comes back.
    async fn post(
        &self,
        path: &Path,
        sealed: Vec<u8>,
        deadline: Deadline,
    ) -> Result<Response, (Outcome, NetworkError)> {
        let posted = self.inner.links.post_onion(path.guard(), sealed, deadline).await;
        posted.map_err(|error| match error {
            LinkError::Timeout => (Outcome::PathTimeout, NetworkError::Timeout),
            LinkError::Unreachable(why) => (Outcome::GuardUnreachable, NetworkError::GuardUnreachable(why)),
        })
    }

    /// A path to `target`, not `avoid` if there is another.
    fn path(&self, target: Target, avoid: Option<Path>) -> Result<Path, NoPath> {
        let mut paths = self.paths();
        let mut path = paths.path_for(target, self.now(), &mut OsRng)?;
        for _ in 0..DRAWS {
            if avoid.as_ref() != Some(&path) {
                break;
            }
            path = paths.path_for(target, self.now(), &mut OsRng)?;
        }
        Ok(path)
    }

    async fn over(
        &self,
        path: &Path,
        node: &SnodeRecord,
        request: &Request,
        hold: Option<Duration>,
    ) -> (Outcome, Result<Reply, NetworkError>) {
        let body = request.to_json_body();
        let destination = Destination::Snode { node, body: &body };
        let sealed = match hold {
            None => seal(path.hops(), destination, &mut OsRng),
            Some(hold) => {
                let hold_ms = u64::try_from(hold.as_millis()).unwrap_or(u64::MAX);
                seal_held(path.hops(), destination, hold_ms, &mut OsRng)
            }
        };
        let sealed = sealed.expect("a path has at least one hop");
        let sent = self.inner.clock.now();
        let deadline = Deadline::after(REQUEST_TIMEOUT + hold.unwrap_or_default());
        let response = match self.post(path, sealed.body, deadline).await {
            Ok(response) => response,
            Err((outcome, error)) => return (outcome, Err(error)),
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
        if hold.is_none() {
            // How long an answer was held back says nothing about the clock at the other end.
            self.learn_from(node, &reply.body, sent);
        }
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
            self.remember_offset();
        }
    }

    fn keep_guards(&self) {
        let changed = self.paths().take_guard_changes();
        if let Some(state) = changed {
            self.inner.guards.write(&state);
        }
    }

    /// Remembers for the next run which nodes failed.
    async fn keep_avoided(&self) {
        let now = self.now();
        let avoided = self.paths().avoided(now);
        {
            let mut kept = self.inner.avoided.lock().unwrap_or_else(PoisonError::into_inner);
            if *kept == avoided {
                return;
            }
            kept.clone_from(&avoided);
        }
        let bytes: Vec<u8> =
            now.0.to_be_bytes().into_iter().chain(avoided.iter().flat_map(|key| *key.as_bytes())).collect();
        let store = self.inner.store.clone();
        if let Err(error) = store.run(move |store| store.set_meta(Meta::AvoidedNodes, &bytes)).await {
            tracing::debug!(%error, "which nodes failed could not be kept");
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

/// The nodes that an earlier run found to be bad, if that was moments ago.
fn remembered_nodes(store: &ClientStore, now: Timestamp) -> Vec<Ed25519Public> {
    let Some(bytes) = store.meta(Meta::AvoidedNodes).ok().flatten() else { return Vec::new() };
    let Some((at, keys)) = bytes.split_first_chunk() else { return Vec::new() };
    if Timestamp(u64::from_be_bytes(*at)).distance(now) > REMEMBERED_FOR {
        return Vec::new();
    }
    keys.as_chunks().0.iter().filter_map(|key| Ed25519Public::from_bytes(*key).ok()).collect()
}

fn cached_directory(file: &NetworkFile, store: &ClientStore) -> Option<Directory> {
    node_list::kept(file, &store.meta(Meta::Directory).ok().flatten()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_network_s_file_can_be_read() {
        let file = shipped("session").unwrap();
        assert_eq!((file.network_id.as_str(), file.registry_key, file.seeds.len()), ("session", None, 8));
        assert!(shipped("other").is_none());
    }
}
