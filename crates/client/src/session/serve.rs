//! The owner's side of the local socket: JSON-RPC 2.0, one object a line.
//!
//! Only the user who owns the profile gets in: the socket is 0600 in a 0700 directory, and the
//! system says who is at the other end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, broadcast, mpsc, watch};

use super::call::Call;
use super::owner::Owner;
use crate::error::Error;
use crate::profile::{OpenError, Profile, is_owner_of, make_socket_private};
use crate::types::Event;

/// The longest request: far above a message of 2,000 characters, far below what would hurt.
const MAX_REQUEST: usize = 1024 * 1024;
/// The longest answer: a page has 1,000 messages of at most 10,000 characters, and JSON writes no character in more than
/// six bytes. The side that reads it trusts the owner of the profile with that much memory.
pub(super) const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// Programs attached at one time.
const MAX_CONNECTIONS: usize = 64;
/// Calls of one program that are worked on at once.
const MAX_CALLS: usize = 32;
/// How long a program that asks nothing more (it has closed its half) is given the answers it is owed.
const LAST_ANSWERS: std::time::Duration = std::time::Duration::from_secs(60);
/// Answers and events waiting for one program that does not read.
const ANSWER_QUEUE: usize = 1_024;

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
                let Ok((stream, _)) = accepted else { continue };
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
    let problem = format!("{MAX_CONNECTIONS} programs use the profile already; try again later");
    let line = format!("{}\n", failure(&Value::Null, -32000, &problem, Value::Null));
    let _ = stream.try_write(line.as_bytes());
}

async fn serve(stream: UnixStream, owner: Arc<Owner>) {
    let (read, mut write) = stream.into_split();
    let (answers, mut waiting) = mpsc::channel::<Value>(ANSWER_QUEUE);
    let writing = async move {
        while let Some(answer) = waiting.recv().await {
            let line = format!("{answer}\n");
            if write.write_all(line.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    let reading = async move {
        let mut lines = BufReader::new(read);
        let running = Arc::new(Semaphore::new(MAX_CALLS));
        let subscribed = Arc::new(AtomicBool::new(false));
        let mut calls = tokio::task::JoinSet::new();
        // Events end with the reading; answers that are still owed do not.
        let (reading_on, read_on) = watch::channel(());
        loop {
            let line = match read_line(&mut lines, MAX_REQUEST).await {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(problem) => {
                    let _ = answers.send(failure(&Value::Null, -32700, &problem, Value::Null)).await;
                    break;
                }
            };
            let Ok(permit) = Arc::clone(&running).acquire_owned().await else { break };
            // Those that are done would otherwise pile up for as long as the program is attached.
            while calls.try_join_next().is_some() {}
            let (owner, answers, subscribed) = (Arc::clone(&owner), answers.clone(), Arc::clone(&subscribed));
            let read_on = read_on.clone();
            calls.spawn(async move {
                let events = answer_line(&owner, &line, &answers, &subscribed).await;
                drop(permit);
                if let Some(events) = events {
                    forward_events(events, &answers, read_on).await;
                }
            });
        }
        drop(reading_on);
        drop(answers);
        let owed = async { while calls.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_ANSWERS, owed).await;
    };
    tokio::join!(writing, reading);
}

/// Answers one line. If it is the first of its connection to ask for events, gives them, from before the answer on: what
/// happens after the other side has read it is not missed.
async fn answer_line(
    owner: &Owner,
    line: &[u8],
    answers: &mpsc::Sender<Value>,
    subscribed: &AtomicBool,
) -> Option<broadcast::Receiver<Event>> {
    let Ok(request) = serde_json::from_slice::<Value>(line) else {
        let _ = answers.send(failure(&Value::Null, -32700, "this is no JSON", Value::Null)).await;
        return None;
    };
    let id = request.get("id").cloned().unwrap_or_default();
    let call = match serde_json::from_value::<Call>(request) {
        Ok(call) => call,
        Err(error) => {
            let _ = answers.send(failure(&id, -32602, &error.to_string(), Value::Null)).await;
            return None;
        }
    };
    let first = matches!(call, Call::Subscribe) && !subscribed.swap(true, Ordering::Relaxed);
    let events = first.then(|| owner.events());
    let answer = match owner.answer(call).await {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => {
            let record = serde_json::to_value(error.record()).unwrap_or_default();
            failure(&id, -32000, &error.to_string(), record)
        }
    };
    let _ = answers.send(answer).await;
    events
}

async fn forward_events(
    mut events: broadcast::Receiver<Event>,
    answers: &mpsc::Sender<Value>,
    mut read_on: watch::Receiver<()>,
) {
    loop {
        let event: Event = tokio::select! {
            event = events.recv() => match event {
                Ok(event) => event,
                Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => return,
            },
            () = answers.closed() => return,
            _ = read_on.changed() => return,
        };
        let params = serde_json::to_value(&event).unwrap_or_default();
        if answers.send(json!({"jsonrpc": "2.0", "method": "event", "params": params})).await.is_err() {
            return;
        }
    }
}

fn failure(id: &Value, code: i32, message: &str, data: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message, "data": data}})
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
