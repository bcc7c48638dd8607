//! The owner's side of the local socket: JSON-RPC 2.0, one object a line.
//!
//! Only the user who owns the profile gets in: the socket is 0600 in a 0700 directory, and the
//! system says who is at the other end.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::owner::Owner;
use super::rpc::{Connection, Host, MAX_REQUEST, turned_away};
use crate::error::Error;
use crate::profile::{OpenError, Profile, is_owner_of, make_socket_private};

/// The longest answer: a page has 1,000 messages of at most 10,000 characters, and JSON writes no character in more than
/// six bytes. The side that reads it trusts the owner of the profile with that much memory.
pub(super) const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// Programs attached at one time.
const MAX_CONNECTIONS: usize = 64;
/// A program that takes in nothing for so long is gone.
const STUCK: std::time::Duration = std::time::Duration::from_secs(60);
/// After a failure to take a program in.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// The listening socket.
pub(super) struct Server {
    accepting: tokio::task::JoinHandle<()>,
    path: PathBuf,
}

impl Server {
    pub(super) async fn start(profile: &Profile, owner: Arc<Owner>) -> Result<Self, Error> {
        profile.prepare_socket_dir()?;
        let path = profile.socket_path();
        // Left by an owner that was killed. We hold the lock, so nobody listens there.
        let _ = std::fs::remove_file(&path);
        let io = |source| Error::from(OpenError::Io { doing: "listen at", path: path.clone(), source });
        let listener = UnixListener::bind(&path).map_err(io)?;
        make_socket_private(&path).map_err(io)?;
        let accepting = tokio::spawn(accept(listener, path.clone(), owner));
        Ok(Self { accepting, path })
    }

    /// Takes no further programs and lets go of those that are attached.
    pub(super) async fn stop(mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Drop for Server {
    /// A session that is dropped must not go on serving, and through its handles owning, the profile. The socket's file
    /// stays: the next owner may have made its own by the time this one is gone.
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: UnixListener, path: PathBuf, owner: Arc<Owner>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Dropped with this task, which ends the connections too.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    // Out of handles, most likely: trying again at once would take the processor from whoever could free some.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    turn_away(&stream);
                    continue;
                };
                if !is_owner_of(&stream, &path) {
                    tracing::warn!("a program of another user was turned away from the profile's socket");
                    continue;
                }
                let owner = Arc::clone(&owner);
                connections.spawn(async move {
                    serve(stream, owner).await;
                    drop(place);
                });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Tells a program for which there is no place. One line fits into any socket's buffer; one that does not is not waited for.
fn turn_away(stream: &UnixStream) {
    let line = format!("{}\n", turned_away(MAX_CONNECTIONS));
    let _ = stream.try_write(line.as_bytes());
}

async fn serve(stream: UnixStream, owner: Arc<Owner>) {
    let (read, mut write) = stream.into_split();
    let (mut connection, mut answers) = Connection::of(Host::Owner(owner));
    let writing = async move {
        while let Some(mut line) = answers.next().await {
            line.push('\n');
            if !matches!(tokio::time::timeout(STUCK, write.write_all(line.as_bytes())).await, Ok(Ok(()))) {
                return;
            }
        }
    };
    let reading = async move {
        let mut lines = BufReader::new(read);
        loop {
            match read_line(&mut lines, MAX_REQUEST).await {
                Ok(Some(line)) => connection.take(line).await,
                Ok(None) => break,
                Err(problem) => {
                    connection.refuse(&problem).await;
                    break;
                }
            }
        }
        connection.finish().await;
    };
    // A program that takes in no answers is asked nothing any more.
    tokio::pin!(writing);
    tokio::select! {
        () = reading => writing.await,
        () = &mut writing => {}
    }
}

/// One line without its end; `None` at the end. A line of more than `limit` bytes is an error.
pub(super) async fn read_line(
    lines: &mut (impl AsyncBufRead + Unpin),
    limit: usize,
) -> Result<Option<Vec<u8>>, String> {
    let mut line = Vec::new();
    loop {
        let available = lines.fill_buf().await.map_err(|e| e.to_string())?;
        if available.is_empty() {
            return Ok((!line.is_empty()).then_some(line));
        }
        let (taken, whole) = match available.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (available.len(), false),
        };
        line.extend_from_slice(available.get(..taken).unwrap_or_default());
        lines.consume(taken);
        if line.len() > limit {
            return Err(format!("a line has at most {limit} bytes"));
        }
        if whole {
            line.pop();
            return Ok(Some(line));
        }
    }
}
