//! A running node: everything its parts share, how it starts and how it stops.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use conclave_crypto::{Ed25519Secret, X25519Pair};
use conclave_proto::Timestamp;
use conclave_proto::network::{InvalidNetworkFile, NetworkFile};
use conclave_proto::rpc::answers::Stamp;
use conclave_transport::http::{HeaderValue, Server};
use conclave_transport::https::{Authorities, Certificate, CertificateError};
use conclave_transport::quic::{Endpoint, Pool};
use conclave_transport::{http, https};
use tokio::sync::{Notify, Semaphore, watch};

use crate::chunks::{self, ChunkStore, ChunkStoreError, Chunks};
use crate::config::{KEY_FILE, NodeConfig};
use crate::hooks::{Hooks, Observer, Received};
use crate::limit::{self, Gate};
use crate::load::Load;
use crate::metrics::{self, Metrics};
use crate::news::News;
use crate::order::WriteOrder;
use crate::probing::{Incoming, KeptReports};
use crate::proxy::{self, Proxy};
use crate::registry::{NetworkView, OnUnlisted, Registry, RegistryError, Unlisted};
use crate::replication::{Debts, KnownDigests};
use crate::status::{self, Status};
use crate::store::{self, MessageStore, StoreError};
use crate::sweeping::{ClockWatch, Sweep};
use crate::work::Held;
use crate::writes::Writes;
use crate::{file_server, onion, peer, probing, reading, replication, web, writes};

/// The storage server version whose features this node has. (storage-and-onion 5.6: "advertise a version whose
/// features you implement")
pub const ADVERTISED_VERSION: [u16; 3] = [2, 11, 0];
/// Hardfork and revision, which clients use for nothing but `ifelse`. (storage-and-onion 13)
pub(crate) const HARDFORK: [u64; 2] = [19, 6];
/// How often what has expired is deleted. (storage-and-onion 3)
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// How long running requests may take to end when the node stops.
const STOP_WITHIN: Duration = Duration::from_secs(8);
/// How long telling the peers may take then. A tenth of a second, unless a node that does not answer is just being dialled:
/// QUIC would keep the socket three seconds for that (RFC 9000 section 10.2), and the end of the process frees it anyway.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);
/// The messages, in the node's data directory.
pub const DATABASE_FILE: &str = "messages.sqlite";
const LOCK_FILE: &str = "node.lock";

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A file of the node cannot be used.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The key file does not hold 64 hex digits.
    #[error("the key file {path} does not hold 64 hex digits")]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// Another process runs a node with this data directory.
    #[error("another process has locked {path}; a data directory has one node")]
    Running {
        /// The lock.
        path: PathBuf,
    },
    /// The network file is wrong.
    #[error("{path}: {source}")]
    Network {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: InvalidNetworkFile,
    },
    /// There is no directory to work with.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The message store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store of chunks cannot be opened.
    #[error(transparent)]
    Chunks(#[from] ChunkStoreError),
    /// There is no usable certificate.
    #[error("the node's certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// The file of `proxy_authorities` holds none.
    #[error("the certificates of {path}: {source}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: CertificateError,
    },
    /// Anybody could read the metrics.
    #[error("metrics = \"{0}\" is no loopback address; the operator's figures are for this machine alone")]
    PublicMetrics(SocketAddr),
    /// An address cannot be listened on.
    #[error("listening for {what} on {address}: {source}")]
    Listen {
        /// Which listener.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

/// What all parts of a node share.
pub(crate) struct Shared {
    pub(crate) secret: Ed25519Secret,
    pub(crate) x25519: X25519Pair,
    pub(crate) registry: Registry,
    pub(crate) store: MessageStore,
    pub(crate) hooks: Hooks,
    pub(crate) writes: Writes,
    pub(crate) order: WriteOrder,
    pub(crate) peers: Pool,
    pub(crate) clients: Load,
    pub(crate) members: Load,
    pub(crate) onions: Load,
    /// What other members ask about chunks.
    pub(crate) chunk_work: Load,
    /// The chunks of files, if this node keeps some.
    pub(crate) chunks: Option<Chunks>,
    /// Where it is a file server for programs of others, if it is.
    pub(crate) file_server: OnceLock<u16>,
    /// What the file server may hold.
    pub(crate) file_room: Arc<file_server::Budget>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) proxy: Proxy,
    pub(crate) metrics: Arc<Metrics>,
    /// Requests that wait.
    pub(crate) held: Held,
    /// For asking nodes over HTTPS.
    pub(crate) https: https::Client,
    /// Tests of this node by others.
    pub(crate) incoming: Incoming,
    /// This node's tests of others.
    pub(crate) reports: KeptReports,
    pub(crate) news: News,
    pub(crate) digests: KnownDigests,
    pub(crate) debts: Debts,
    /// A member of the swarm has connected.
    pub(crate) member_is_back: Notify,
    /// The most by which the answer to a request that waited is delayed.
    pub(crate) wait_jitter: Duration,
    /// Nothing new is taken on.
    stopping: watch::Sender<bool>,
    /// Readings of the store that are under way.
    pub(crate) reads: Arc<Semaphore>,
    /// There from before anything is served until the node stops. Taken out then, since the endpoint's handler holds
    /// this very value.
    endpoint: RwLock<Option<Arc<Endpoint>>>,
}

impl Shared {
    pub(crate) fn now(&self) -> Timestamp {
        self.hooks.clock.now()
    }

    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { t: self.now(), hf: HARDFORK }
    }

    pub(crate) fn view(&self) -> Arc<NetworkView> {
        self.registry.view()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until the node begins to stop.
    pub(crate) async fn stopping_begins(&self) {
        // An error would mean that the sender is gone, which is in `self`.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// The QUIC endpoint, while the node runs.
    pub(crate) fn endpoint(&self) -> Option<Arc<Endpoint>> {
        self.endpoint.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_endpoint(&self, endpoint: Option<Arc<Endpoint>>) -> Option<Arc<Endpoint>> {
        std::mem::replace(&mut *self.endpoint.write().unwrap_or_else(PoisonError::into_inner), endpoint)
    }

    pub(crate) fn is_observed(&self) -> bool {
        self.hooks.observer.is_some()
    }

    pub(crate) fn observe<'a>(&self, what: impl FnOnce() -> Received<'a>) {
        if let Some(observer) = &self.hooks.observer {
            Observer::received(observer.as_ref(), what());
        }
    }
}

/// Where a node listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// HTTPS.
    pub https: SocketAddr,
    /// QUIC, for clients and nodes.
    pub quic: SocketAddr,
    /// The plain seed listener, if there is one.
    pub seed_http: Option<SocketAddr>,
    /// The file server that programs of others know, if there is one.
    pub file_server: Option<SocketAddr>,
    /// The operator's own listener, if there is one.
    pub metrics: Option<SocketAddr>,
}

/// Bytes that a node's file server has held since it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMemory {
    /// At once, at the most.
    pub most: usize,
    /// For one request, at the most.
    pub largest: usize,
}

/// A running node. Dropping it stops everything at once; [`Self::shutdown`] is kinder.
pub struct Node {
    shared: Arc<Shared>,
    addresses: Addresses,
    servers: Vec<Server>,
    /// Goes last: it tells that the node is stopping.
    metrics_server: Option<Server>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    /// Keeps other processes from the data directory.
    _lock: std::fs::File,
}

impl Node {
    /// Starts a node. When this returns, it answers.
    ///
    /// # Errors
    /// [`NodeError`] names the file or address.
    pub async fn start(config: &NodeConfig, hooks: Hooks) -> Result<Self, NodeError> {
        Self::open(config, hooks, None).await
    }

    /// As [`Self::start`], but a node that is not in the directory waits until it is, and tells `waiting` whenever something
    /// about that changes. Drop the future to stop waiting.
    ///
    /// # Errors
    /// As [`Self::start`], except that not being listed and finding no seed are no errors.
    pub async fn start_when_listed(
        config: &NodeConfig,
        hooks: Hooks,
        waiting: OnUnlisted<'_>,
    ) -> Result<Self, NodeError> {
        Self::open(config, hooks, Some(waiting)).await
    }

    async fn open(
        config: &NodeConfig,
        hooks: Hooks,
        waiting: Option<OnUnlisted<'_>>,
    ) -> Result<Self, NodeError> {
        if let Some(address) = config.metrics.filter(|address| !address.ip().to_canonical().is_loopback()) {
            return Err(NodeError::PublicMetrics(address));
        }
        let proxy = proxy_settings(config)?;
        let secret = read_key(&config.data_dir.join(KEY_FILE))?;
        let lock = lock(&config.data_dir.join(LOCK_FILE))?;
        let network_bytes = read(&config.network)?;
        let network = NetworkFile::from_json(&network_bytes)
            .map_err(|source| NodeError::Network { path: config.network.clone(), source })?;
        let options = store::Options { max_bytes: config.max_store_bytes, ..store::Options::default() };
        let store = MessageStore::open(&config.data_dir.join(DATABASE_FILE), options)?;
        let last_operation = store.last_operation()?;
        let chunks = open_chunks(config)?;
        let own = secret.public();
        let mut waiting = waiting.map(|tell| {
            |unlisted: &Unlisted| {
                Status::waiting(unlisted).write(&config.data_dir);
                tell(unlisted);
            }
        });
        let waiting = waiting.as_mut().map(|tell| tell as OnUnlisted<'_>);
        let registry = Registry::open(network, own, config.directory.clone(), store.clone(), waiting).await?;
        let certificate = Certificate::load_or_create(&config.data_dir)?;
        let record = *registry.view().own();
        let metrics = Arc::new(Metrics::new());
        let counting = Arc::clone(&metrics);
        store.observe_commits(move |writes, took| counting.committed(writes, took));

        let started = hooks.clock.now();
        let shared = Arc::new(Shared {
            x25519: X25519Pair::new(secret.to_x25519()),
            secret,
            registry,
            store,
            proxy: Proxy::new(proxy, Arc::clone(&hooks.resolver)),
            gate: Arc::new(Gate::new(gate_settings(config))),
            metrics,
            file_room: file_server::Budget::new(hooks.file_room),
            hooks,
            writes: Writes::new(),
            order: WriteOrder::behind(last_operation),
            peers: Pool::new(),
            clients: Load::of_clients(),
            members: Load::of_members(),
            onions: Load::of_onions(),
            chunk_work: Load::of_chunks(),
            chunks,
            held: Held::default(),
            file_server: OnceLock::new(),
            https: https::Client::new(),
            incoming: Incoming::since(started),
            reports: KeptReports::default(),
            news: News::default(),
            digests: KnownDigests::default(),
            debts: Debts::default(),
            member_is_back: Notify::new(),
            wait_jitter: Duration::from_millis(config.wait_jitter_ms),
            stopping: watch::channel(false).0,
            reads: Arc::new(Semaphore::new(reading::READS_AT_ONCE)),
            endpoint: RwLock::new(None),
        });

        let quic_address = config.listen_quic.unwrap_or((record.ip, record.quic_port).into());
        let listen_error = |what, address| move |source| NodeError::Listen { what, address, source };
        let endpoint = Endpoint::listen(quic_address, &shared.secret, peer::options(&shared))
            .map_err(listen_error("QUIC", quic_address))?;
        let quic = endpoint.local_addr().map_err(listen_error("QUIC", quic_address))?;
        shared.set_endpoint(Some(Arc::new(endpoint)));

        let mut servers = Vec::new();
        let https_address = config.listen_https.unwrap_or((record.ip, record.https_port).into());
        let server = https::listen(https_address, &certificate, web::options(), web::handler(&shared))
            .await
            .map_err(listen_error("HTTPS", https_address))?;
        let https = server.local_addr();
        let metrics_server = match config.metrics {
            Some(address) => {
                let sources = metrics::Sources::new(server.places(), config);
                let listening = http::listen(address, metrics::options(), metrics::handler(&shared, sources));
                Some(listening.await.map_err(listen_error("metrics", address))?)
            }
            None => None,
        };
        servers.push(server);
        let mut seed_http = None;
        if let Some(address) = config.seed_http {
            let server = http::listen(address, web::options(), web::seed_handler(&shared))
                .await
                .map_err(listen_error("plain HTTP", address))?;
            seed_http = Some(server.local_addr());
            servers.push(server);
        }

        let mut file_server = None;
        if let Some(port) = config.file_server_port {
            let address = SocketAddr::new(https_address.ip(), port);
            let server = http::listen(address, file_server::options(), file_server::handler(&shared))
                .await
                .map_err(listen_error("the file server", address))?;
            file_server = Some(server.local_addr());
            let _ = shared.file_server.set(server.local_addr().port());
            servers.push(server);
        }

        let metrics = metrics_server.as_ref().map(Server::local_addr);
        let addresses = Addresses { https, quic, seed_http, file_server, metrics };
        let tasks = vec![
            tokio::spawn(crate::follow::run(Arc::clone(&shared))),
            tokio::spawn(sweep(Arc::clone(&shared))),
            tokio::spawn(status::run(Arc::clone(&shared), config.data_dir.clone(), addresses)),
            tokio::spawn(writes::run_timer(Arc::clone(&shared))),
            tokio::spawn(probing::run(Arc::clone(&shared))),
            tokio::spawn(replication::compare_with_others(Arc::clone(&shared))),
            tokio::spawn(replication::mark_minutes(Arc::clone(&shared))),
            tokio::spawn(replication::deliver_debts(Arc::clone(&shared))),
            tokio::spawn(replication::move_what_belongs_elsewhere(Arc::clone(&shared))),
            tokio::spawn(chunks::compare_with_others(Arc::clone(&shared))),
            tokio::spawn(chunks::move_what_belongs_elsewhere(Arc::clone(&shared))),
            tokio::spawn(limit::measure(
                Arc::clone(&shared.gate),
                shared.store.clone(),
                Arc::clone(&shared.reads),
            )),
        ];
        peer::greet(&shared);
        tracing::info!(swarm = %record.swarm.to_hex(), "the node answers");
        Ok(Self { shared, addresses, servers, metrics_server, tasks, _lock: lock })
    }

    /// Where it listens.
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The network as the node sees it.
    pub fn view(&self) -> Arc<NetworkView> {
        self.shared.view()
    }

    /// The network now and after every change.
    pub fn views(&self) -> watch::Receiver<Arc<NetworkView>> {
        self.shared.registry.views()
    }

    /// How many requests wait here: for news, or for the answer of a hop that waits.
    pub fn held(&self) -> usize {
        self.shared.held.count()
    }

    /// What came of this node's tests of the others.
    pub fn reports(&self) -> &KeptReports {
        &self.shared.reports
    }

    /// How many bytes of files its file server has held, for programs of others.
    pub fn file_memory(&self) -> FileMemory {
        let (most, largest) = self.shared.file_room.peaks();
        FileMemory { most, largest }
    }

    /// The messages it keeps.
    pub fn store(&self) -> &MessageStore {
        &self.shared.store
    }

    /// Stops taking requests, lets running ones end, closes connections and store. Takes eight seconds at most, and a little
    /// for telling the peers. The QUIC address may stay taken for three more seconds, if the process goes on.
    pub async fn shutdown(mut self) {
        let bound = tokio::time::Instant::now() + STOP_WITHIN;
        self.shared.stopping.send_replace(true);
        let stops: Vec<_> =
            self.servers.drain(..).map(|server| tokio::spawn(server.shutdown(STOP_WITHIN))).collect();
        for stop in stops {
            let _ = stop.await;
        }
        // Those that came over QUIC, and those whose client has gone away.
        let shared = &self.shared;
        for load in [&shared.clients, &shared.members, &shared.onions, &shared.chunk_work] {
            let _ = tokio::time::timeout_at(bound, load.drained()).await;
        }
        self.stop_tasks();
        if let Some(endpoint) = self.shared.set_endpoint(None) {
            endpoint.finish(CLOSE_WITHIN).await;
        }
        if let Some(server) = self.metrics_server.take() {
            server.shutdown(Duration::ZERO).await;
        }
    }

    fn stop_tasks(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop_tasks();
        drop(self.shared.set_endpoint(None));
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({:?})", self.shared.secret.public())
    }
}

fn open_chunks(config: &NodeConfig) -> Result<Option<Chunks>, ChunkStoreError> {
    if config.max_chunk_bytes == 0 {
        return Ok(None);
    }
    let options = chunks::Options::new(config.max_chunk_bytes);
    Ok(Some(Chunks::new(ChunkStore::open(&config.data_dir, &options)?)))
}

fn gate_settings(config: &NodeConfig) -> limit::Settings {
    limit::Settings {
        rate_per_second: config.rate_per_second,
        rate_burst: config.rate_burst,
        shed_above: Duration::from_millis(config.shed_above_ms.into()),
        uploads: limit::Bytes {
            per_second: config.upload_bytes_per_second,
            burst: config.upload_burst_bytes,
        },
        peers: limit::Bytes { per_second: config.peer_bytes_per_second, burst: config.peer_burst_bytes },
    }
}

fn proxy_settings(config: &NodeConfig) -> Result<proxy::Settings, NodeError> {
    let authorities = match &config.proxy_authorities {
        None => Authorities::web(),
        Some(path) => Authorities::web_and(&[read(path)?])
            .map_err(|source| NodeError::Authorities { path: path.clone(), source })?,
    };
    Ok(proxy::Settings {
        on: config.proxy,
        allowed: config.proxy_allow.clone(),
        authorities,
        user_agent: HeaderValue::from_str(&web::program()).expect("a name and numbers are a header"),
        max_response: onion::MAX_REPLY,
    })
}

async fn sweep(shared: Arc<Shared>) {
    let (started, mut clock) = (tokio::time::Instant::now(), ClockWatch::default());
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = shared.now();
        match clock.look(started.elapsed(), now) {
            Sweep::Go => {
                if let Err(error) = shared.store.sweep_expired(now).await {
                    tracing::warn!(%error, "expired messages could not be deleted");
                }
                if let Some(chunks) = &shared.chunks
                    && let Err(error) = chunks.store.sweep(now).await
                {
                    tracing::warn!(%error, "expired chunks could not be removed");
                }
            }
            Sweep::Leapt(leap) => {
                tracing::warn!(
                    ?leap,
                    "the clock leapt ahead; nothing is deleted for a while. Check the machine's time"
                );
            }
            Sweep::Hold => {}
        }
        shared.news.sweep(shared.now());
    }
}

fn read(path: &Path) -> Result<Vec<u8>, NodeError> {
    std::fs::read(path).map_err(|source| NodeError::Io { doing: "reading", path: path.to_owned(), source })
}

/// Whether a process runs the node of this data directory.
pub fn is_running(data_dir: &Path) -> bool {
    let Ok(file) = std::fs::File::options().append(true).open(data_dir.join(LOCK_FILE)) else { return false };
    matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock))
}

/// Takes the lock of a data directory. It ends with the file that is returned, or with the process.
fn lock(path: &Path) -> Result<std::fs::File, NodeError> {
    let io = |source| NodeError::Io { doing: "locking", path: path.to_owned(), source };
    let file = std::fs::File::options().create(true).append(true).open(path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(NodeError::Running { path: path.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(io(source)),
    }
}

/// Says so when others on this machine can read the key.
fn warn_of_readers(path: &Path) {
    #[cfg(unix)]
    if let Ok(metadata) = std::fs::metadata(path)
        && std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0
    {
        tracing::warn!(path = %path.display(), "others on this machine can read the node's key; make it mode 0600");
    }
    #[cfg(not(unix))]
    let _ = path;
}

pub(crate) fn read_key(path: &Path) -> Result<Ed25519Secret, NodeError> {
    warn_of_readers(path);
    let text = zeroize::Zeroizing::new(read(path)?);
    let text = std::str::from_utf8(&text).unwrap_or_default().trim();
    let mut seed = zeroize::Zeroizing::new([0u8; 32]);
    hex::decode_to_slice(text, seed.as_mut()).map_err(|_| NodeError::Key { path: path.to_owned() })?;
    Ok(Ed25519Secret::from_seed(&seed))
}
