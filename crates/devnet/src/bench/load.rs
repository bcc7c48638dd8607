//! The load: one thread that keeps many TLS connections busy, each with one request at a time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{BenchError, Figure, io, tls};

/// Headers of an answer.
const HEADERS: usize = 32;
/// Until the connections are there and warm, nothing counts.
const WARM_UP: Duration = Duration::from_millis(700);
/// How long one connection may take for one request.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes the request that a connection sends next: connection and a running number of all requests.
pub(super) type Requests = Arc<dyn Fn(usize, u64, &mut Vec<u8>) + Send + Sync>;

#[derive(Clone)]
pub(super) struct Load {
    pub(super) what: String,
    /// Connections are dealt out to them in turn.
    pub(super) targets: Vec<SocketAddr>,
    pub(super) connections: usize,
    /// Every request has a connection of its own.
    pub(super) is_fresh: bool,
    pub(super) duration: Duration,
    pub(super) requests: Requests,
    /// An answer with these words in it counts as wrong, whatever its status.
    pub(super) wrong_words: Option<&'static str>,
}

/// Within which value this share of all lies.
pub(super) fn at_share<T: Copy + Default>(sorted: &[T], share: f64) -> T {
    sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or_default()
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    /// Microseconds.
    latencies: Vec<u32>,
    wrong: u64,
}

impl Load {
    /// Runs it and gives requests per second.
    pub(super) async fn run(self) -> Result<Figure, BenchError> {
        let measured = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(io("starting the load's thread"))?;
            runtime.block_on(self.measure())
        });
        measured.await.map_err(|error| BenchError::Failed(format!("the load ended: {error}")))?
    }

    async fn measure(self) -> Result<Figure, BenchError> {
        let (from, number) = (Instant::now() + WARM_UP, Arc::new(AtomicU64::new(0)));
        let until = from + self.duration;
        let (mut connections, tls) = (JoinSet::new(), tls::client()?);
        for connection in 0..self.connections {
            let (load, tls, number) = (self.clone(), tls.clone(), Arc::clone(&number));
            connections.spawn(async move { load.keep_busy(connection, &tls, &number, (from, until)).await });
        }
        let mut all = Seen::default();
        while let Some(seen) = connections.join_next().await {
            let seen = seen.map_err(|error| BenchError::Failed(format!("a connection ended: {error}")))?;
            let seen = seen.map_err(io("asking a node"))?;
            all.latencies.extend(seen.latencies);
            all.wrong += seen.wrong;
        }
        all.latencies.sort_unstable();
        let count = all.latencies.len();
        if all.wrong > 0 || count == 0 {
            return Err(BenchError::Wrong {
                what: self.what,
                wrong: all.wrong,
                of: count as u64 + all.wrong,
            });
        }
        let milliseconds = |share| f64::from(at_share(&all.latencies, share)) / 1_000.0;
        Ok(Figure {
            what: self.what,
            value: count as f64 / self.duration.as_secs_f64(),
            unit: "/s",
            latency: Some((milliseconds(0.5), milliseconds(0.99))),
        })
    }

    async fn keep_busy(
        self,
        connection: usize,
        tls: &TlsConnector,
        number: &AtomicU64,
        (from, until): (Instant, Instant),
    ) -> std::io::Result<Seen> {
        let target = self.targets.get(connection % self.targets.len().max(1));
        let target = *target.ok_or(std::io::ErrorKind::NotFound)?;
        let mut seen = Seen::default();
        let mut request = Vec::new();
        let mut stream =
            if self.is_fresh { None } else { Some(Connection::open(tls, target, connection).await?) };
        loop {
            request.clear();
            (self.requests)(connection, number.fetch_add(1, Ordering::Relaxed), &mut request);
            let began = Instant::now();
            if began >= until {
                return Ok(seen);
            }
            let asked = async {
                let mut fresh = None;
                let stream = match &mut stream {
                    Some(stream) => stream,
                    None => fresh.insert(Connection::open(tls, target, connection).await?),
                };
                let status = stream.ask(&request).await?;
                let is_wrong = self.wrong_words.is_some_and(|words| stream.says(words));
                Ok::<_, std::io::Error>(status == 200 && !is_wrong)
            };
            let is_good = tokio::time::timeout(PATIENCE, asked).await??;
            if began < from {
                continue;
            }
            if is_good {
                seen.latencies.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
            } else {
                seen.wrong += 1;
            }
        }
    }
}

/// A TLS connection with at most one request under way.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    answer: Vec<u8>,
}

impl Connection {
    /// From an address of its own where that is possible, since nodes bound what one address may have.
    pub(super) async fn open(tls: &TlsConnector, target: SocketAddr, number: usize) -> std::io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        let [high, low] = u16::try_from(number % 60_000).unwrap_or_default().to_be_bytes();
        let own = IpAddr::V4(Ipv4Addr::new(127, 1, high, low.max(1)));
        if target.ip().is_loopback() {
            // Systems with one loopback address use that.
            let _ = socket.bind((own, 0).into());
        }
        let stream = socket.connect(target).await?;
        stream.set_nodelay(true)?;
        let stream = tls.connect(tls::name(), stream).await?;
        Ok(Self { stream, answer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request and gives the status of the answer, which has been read.
    pub(super) async fn ask(&mut self, request: &[u8]) -> std::io::Result<u16> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((status, length)) = head(&self.answer)?
                && self.answer.len() >= length
            {
                return Ok(status);
            }
        }
    }

    /// Whether the last answer has these words in it.
    fn says(&self, words: &str) -> bool {
        std::str::from_utf8(&self.answer).is_ok_and(|answer| answer.contains(words))
    }
}

/// Status and whole length of an answer, once its head is there.
fn head(answer: &[u8]) -> std::io::Result<Option<(u16, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(answer).map_err(std::io::Error::other)?;
    let httparse::Status::Complete(head) = parsed else { return Ok(None) };
    let body = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok())
        .ok_or_else(|| std::io::Error::other("an answer without Content-Length"))?;
    Ok(response.code.map(|code| (code, head + body)))
}
