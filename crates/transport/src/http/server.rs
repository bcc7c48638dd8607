//! The accept loop: places, handshakes, connections, and an end that is bounded.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::exchange::Exchange;
use super::linger::linger;
use super::stall::StallGuard;
use super::{Incoming, Options, Reply};
use crate::slots::{Places, Slot, Slots};

/// Room for the headers of one request; the longest real ones have some hundred bytes.
const MAX_HEAD: usize = 32 * 1024;
/// Rest after a failed `accept`, which mostly means that the file handles are used up.
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(50);

/// A running listener. Dropping it ends everything at once; [`Server::shutdown`] is kinder.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    slots: Arc<Slots>,
}

impl Server {
    /// Where it listens, with the port it really got.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Tells, as long as it is kept, how the places for connections stand.
    pub fn places(&self) -> impl Fn() -> Places + Send + Sync + use<> {
        let slots = Arc::clone(&self.slots);
        move || slots.places()
    }

    /// Stops accepting, closes idle connections, lets running requests finish, and after `bound`
    /// drops what still runs.
    pub async fn shutdown(mut self, bound: Duration) {
        self.stop.send_replace(true);
        if tokio::time::timeout(bound, &mut self.accepting).await.is_err() {
            self.accepting.abort();
            // Aborting only asks; waiting makes sure that the handlers are gone when we return.
            let _ = (&mut self.accepting).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What a listener needs to know apart from its address and handler.
pub(crate) struct Settings {
    pub(crate) options: Options,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
}

pub(crate) async fn start<H, F>(address: SocketAddr, settings: Settings, handler: H) -> io::Result<Server>
where
    H: Fn(Incoming) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let listener = TcpListener::bind(address).await?;
    let local_addr = listener.local_addr()?;
    let (stop, stopping) = watch::channel(false);
    let exchange = Arc::new(Exchange::new(settings.options, handler));
    let options = &exchange.options;
    let slots = Slots::new(options.max_connections, options.max_connections_per_address);
    let tls = settings.tls.map(TlsAcceptor::from);
    let accepting = tokio::spawn(accept_loop(listener, tls, exchange, Arc::clone(&slots), stopping));
    Ok(Server { local_addr, stop, accepting, slots })
}

async fn accept_loop<H, F>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    exchange: Arc<Exchange<H>>,
    slots: Arc<Slots>,
    mut stopping: watch::Receiver<bool>,
) where
    H: Fn(Incoming) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    // Dropped with this task, which ends the connections too.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            _ = stopping.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                // At the limit a closed connection is better than a silent one: the client goes elsewhere.
                if let Some(slot) = slots.take(peer.ip()) {
                    let (tls, exchange, stopping) = (tls.clone(), Arc::clone(&exchange), stopping.clone());
                    connections.spawn(async move {
                        serve_stream(stream, peer, tls, exchange, stopping, &slot).await;
                        drop(slot);
                    });
                } else {
                    tracing::debug!("connection refused: no place left");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_ERROR_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// What a connection has been doing.
#[derive(Debug)]
struct Activity(Mutex<Doing>);

#[derive(Debug)]
struct Doing {
    has_asked: bool,
    running: usize,
    since: Instant,
}

impl Default for Activity {
    fn default() -> Self {
        Self(Mutex::new(Doing { has_asked: false, running: 0, since: Instant::now() }))
    }
}

impl Activity {
    /// A request begins; it is over when what is returned is dropped.
    fn begin(self: &Arc<Self>) -> Running {
        let mut doing = self.lock();
        (doing.has_asked, doing.running) = (true, doing.running + 1);
        Running(Arc::clone(self))
    }

    fn has_asked(&self) -> bool {
        self.lock().has_asked
    }

    /// How long nothing has been asked; `None` while something is.
    fn idle_for(&self) -> Option<Duration> {
        let doing = self.lock();
        (doing.running == 0).then(|| doing.since.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Doing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Running(Arc<Activity>);

impl Drop for Running {
    fn drop(&mut self) {
        let mut doing = self.0.lock();
        (doing.running, doing.since) = (doing.running.saturating_sub(1), Instant::now());
    }
}

async fn serve_stream<H, F>(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    exchange: Arc<Exchange<H>>,
    mut stopping: watch::Receiver<bool>,
    slot: &Slot,
) where
    H: Fn(Incoming) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    // Replies are written whole; waiting for more to fill a segment only delays them.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return serve_connection(stream, peer, exchange, stopping, slot).await;
    };
    let handshake = tokio::time::timeout(exchange.options.handshake_timeout, tls.accept(stream));
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        _ = stopping.wait_for(|stop| *stop) => return,
    };
    match shaken {
        Ok(Ok(stream)) => serve_connection(stream, peer, exchange, stopping, slot).await,
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
}

async fn serve_connection<S, H, F>(
    stream: S,
    peer: SocketAddr,
    exchange: Arc<Exchange<H>>,
    mut stopping: watch::Receiver<bool>,
    slot: &Slot,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Incoming) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let (head_timeout, stall) = (exchange.options.head_timeout, exchange.options.write_stall_timeout);
    let (first, idle) = (exchange.options.first_request_timeout, exchange.options.idle_when_crowded);
    let activity = Arc::new(Activity::default());
    let of_service = Arc::clone(&activity);
    let service = service_fn(move |request| {
        let (exchange, running) = (Arc::clone(&exchange), of_service.begin());
        // Boxed, since the connection is polled without being pinned, below.
        Box::pin(async move {
            let answer = exchange.answer(peer, request).await;
            drop(running);
            answer
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(StallGuard::new(stream, stall)), service);
    let mut told = false;
    let mut look = tokio::time::interval_at(Instant::now() + first.min(idle), first.min(idle));
    let result = loop {
        tokio::select! {
            result = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break result,
            _ = look.tick(), if !told => {
                let idle_for = activity.idle_for().unwrap_or_default();
                if !activity.has_asked() && idle_for >= first {
                    break Ok(());
                }
                if slot.is_crowded() && idle_for >= idle {
                    told = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
            _ = stopping.wait_for(|stop| *stop), if !told => {
                told = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    if let Err(error) = &result {
        tracing::debug!(%error, "an HTTP connection ended");
    }
    linger(connection.into_parts().io.into_inner().into_inner()).await;
}
