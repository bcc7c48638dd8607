//! The door for bots over a WebSocket on loopback: JSON-RPC 2.0 of one profile, for whoever shows its bearer token.
//!
//! A program that is no browser can send a header and sends no `Origin`; a browser cannot do the one and always does the
//! other. So no page of any site gets in, also not one that has learnt the token.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conclave_client::Account;
use conclave_client::session::rpc::{Connection, MAX_REQUEST, turned_away};
use conclave_crypto::hash::{Blake2b, constant_time_eq};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN, RETRY_AFTER};
use rand_core::OsRng;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use zeroize::Zeroizing;

use crate::door::Token;
use crate::{origin, os};

/// Where the WebSocket is.
const PATH: &str = "/rpc";
/// Programs at one time.
const MAX_BOTS: usize = 64;
/// Programs that are told at one time that there is no place; more are told nothing.
const TOLD: usize = 16;
/// When one that was turned away may come again, in seconds.
const COME_AGAIN: &str = "10";
/// How long a program may take to ask for the WebSocket.
const GREETING: Duration = Duration::from_secs(10);
/// A program that takes in nothing for so long is gone.
const STUCK: Duration = Duration::from_secs(60);
/// Rest after a failed `accept`, which mostly means that the file handles are used up.
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(50);
/// The shortest token that is taken out of a file, in characters: one that cannot be guessed has at least so many.
pub const SHORTEST_TOKEN: usize = 32;

/// Why a file has no token that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadToken {
    /// Other users of this machine could use it.
    #[error("others can read the file")]
    Open,
    /// It could be guessed, or cannot be sent in a header.
    #[error("a token has at least {SHORTEST_TOKEN} visible ASCII characters and nothing else")]
    Weak,
    /// The file cannot be read or made.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What lets a bot in.
pub struct BotToken(Zeroizing<String>);

impl BotToken {
    /// The token in a file; a new one is made, and the file for its owner only, if there is none.
    ///
    /// # Errors
    /// If the file cannot be read or made, others can read it, or its token is shorter than [`SHORTEST_TOKEN`].
    pub fn in_file(path: &Path) -> Result<Self, BadToken> {
        match std::fs::File::open(path) {
            Ok(file) => {
                if os::others_can_read(&file)? {
                    return Err(BadToken::Open);
                }
                let text = Zeroizing::new(io::read_to_string(file)?);
                let token = text.trim();
                let fits = token.len() >= SHORTEST_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
                if !fits {
                    return Err(BadToken::Weak);
                }
                Ok(Self(Zeroizing::new(token.to_owned())))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let token = Token::generate(&mut OsRng);
                let mut file = os::private_file(path)?;
                io::Write::write_all(&mut file, format!("{}\n", token.as_str()).as_bytes())?;
                Ok(Self(Zeroizing::new(token.as_str().to_owned())))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let digest = |token: &str| -> [u8; 32] { Blake2b::new().hash(&[token.as_bytes()]) };
        // The name of a scheme is the same in capitals (RFC 9110 section 11.1).
        shown
            .and_then(|shown| shown.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .is_some_and(|(_, shown)| constant_time_eq(&digest(shown), &digest(&self.0)))
    }
}

impl std::fmt::Debug for BotToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BotToken(hidden)")
    }
}

/// The listener. Dropping it lets go of all programs.
#[derive(Debug)]
pub struct BotDoor {
    port: u16,
    stop: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
}

impl BotDoor {
    /// Listens on a loopback port; on a free one, if it is 0.
    ///
    /// # Errors
    /// If the port cannot be had.
    pub async fn open(session: Arc<Account>, port: u16, token: BotToken) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = listener.local_addr()?.port();
        let (stop, stopping) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, session, Arc::new(token), port, stopping));
        Ok(Self { port, stop, accepting })
    }

    /// Where programs connect.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}{PATH}", self.port)
    }

    /// Takes no more programs, and lets go of those that are connected.
    pub async fn close(mut self) {
        self.stop.send_replace(true);
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for BotDoor {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    session: Arc<Account>,
    token: Arc<BotToken>,
    port: u16,
    mut stopping: watch::Receiver<bool>,
) {
    let (places, telling) = (Arc::new(Semaphore::new(MAX_BOTS)), Arc::new(Semaphore::new(TOLD)));
    // Dropped with this task, which ends the connections too.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    // At the limit a closed connection is better than a silent one.
                    let Ok(place) = Arc::clone(&telling).try_acquire_owned() else { continue };
                    connections.spawn(async move {
                        turn_away(stream).await;
                        drop(place);
                    });
                    continue;
                };
                let (session, token) = (Arc::clone(&session), Arc::clone(&token));
                connections.spawn(async move {
                    serve(stream, session, &token, port).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_ERROR_PAUSE).await;
            }
        }
    }
}

/// Tells a program for which there is no place.
async fn turn_away(stream: TcpStream) {
    #[expect(clippy::result_large_err, reason = "the library decides what a refusal is")]
    let refuse = |_: &Request, _: Response| {
        let mut refused = ErrorResponse::new(Some(turned_away(MAX_BOTS).to_string()));
        *refused.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        refused.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(COME_AGAIN));
        refused.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Err::<Response, _>(refused)
    };
    let _ = tokio::time::timeout(GREETING, tokio_tungstenite::accept_hdr_async(stream, refuse)).await;
}

async fn serve(stream: TcpStream, session: Arc<Account>, token: &BotToken, port: u16) {
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_REQUEST)).max_frame_size(Some(MAX_REQUEST));
    #[expect(clippy::result_large_err, reason = "the library decides what a refusal is")]
    let check = |request: &Request, response: Response| match refusal(request, token, port) {
        None => Ok(response),
        Some(status) => {
            let mut refused = ErrorResponse::new(None);
            *refused.status_mut() = status;
            Err(refused)
        }
    };
    let upgrading = tokio_tungstenite::accept_hdr_async_with_config(stream, check, Some(config));
    let Ok(Ok(socket)) = tokio::time::timeout(GREETING, upgrading).await else { return };
    let (mut sink, mut stream) = socket.split();
    let (mut connection, mut answers) = Connection::new(session);
    let (too_large, ended) = tokio::sync::oneshot::channel();
    let writing = async move {
        while let Some(answer) = answers.next().await {
            let sending = sink.send(Message::text(answer));
            if !matches!(tokio::time::timeout(STUCK, sending).await, Ok(Ok(()))) {
                return;
            }
        }
        let farewell = async {
            if ended.await.is_ok() {
                let reason = format!("a message has at most {MAX_REQUEST} bytes");
                let frame = CloseFrame { code: CloseCode::Size, reason: reason.into() };
                let _ = sink.send(Message::Close(Some(frame))).await;
            }
            let _ = sink.close().await;
        };
        let _ = tokio::time::timeout(STUCK, farewell).await;
    };
    let reading = async move {
        loop {
            match stream.next().await {
                Some(Ok(Message::Text(text))) => connection.take(text.as_bytes().to_vec()).await,
                // Pings are answered below us.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Err(Error::Capacity(_))) => {
                    let _ = too_large.send(());
                    break;
                }
                _ => break,
            }
        }
        connection.finish().await;
    };
    // When nobody reads the answers any more, there is no use in working on.
    tokio::pin!(writing);
    tokio::select! {
        () = reading => writing.await,
        () = &mut writing => {}
    }
}

/// Why a program does not get in.
fn refusal(request: &Request, token: &BotToken, port: u16) -> Option<StatusCode> {
    let headers = request.headers();
    if !origin::host_is_ours(headers, port) {
        Some(StatusCode::MISDIRECTED_REQUEST)
    } else if headers.contains_key(ORIGIN) {
        Some(StatusCode::FORBIDDEN)
    } else if !token.lets_in(headers) {
        Some(StatusCode::UNAUTHORIZED)
    } else if request.uri().path() != PATH {
        Some(StatusCode::NOT_FOUND)
    } else {
        None
    }
}
