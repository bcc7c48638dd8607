//! A profile that another process owns, through its local socket.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::call::Call;
use super::rpc::LOOKING;
use super::serve::{MAX_ANSWER, read_line};
use crate::error::{Error, ErrorRecord};
use crate::profile::Profile;
use crate::types::Event;

/// Events that a slow reader may be behind.
const EVENT_QUEUE: usize = 1_024;

/// Requests waiting to be written.
const LINE_QUEUE: usize = 64;

/// How soon an owner answers a program that attaches. One that takes longer is stopped or stuck.
const GREETING: Duration = Duration::from_secs(5);

/// Why a program could not attach.
pub(super) struct NotAttached {
    pub(super) error: Error,
    /// The owner may be just starting or ending: another try can help.
    pub(super) may_pass: bool,
}

/// A connection to the owner.
pub(super) struct Attached {
    profile: String,
    /// Lines to the owner. Whoever loses interest in an answer has sent the whole line or nothing of it.
    lines: mpsc::Sender<String>,
    waiting: Mutex<Waiting>,
    /// The connection has ended.
    ended: watch::Sender<bool>,
    reading: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

#[derive(Default)]
struct Waiting {
    next_id: u64,
    answers: HashMap<u64, oneshot::Sender<Result<Value, Error>>>,
    /// Dropped when the connection ends, which ends every receiver.
    events: Option<broadcast::Sender<Event>>,
    /// What the owner said when it turned us away.
    turned_away: Option<ErrorRecord>,
    ended: bool,
}

impl Attached {
    /// Connects, and makes sure that somebody answers.
    pub(super) async fn connect(profile: &Profile) -> Result<Arc<Self>, NotAttached> {
        let name = profile.name().to_string();
        let stream = UnixStream::connect(profile.socket_path()).await.map_err(|error| {
            let problem = format!("does not answer ({error})");
            NotAttached { error: Error::Owner { profile: name.clone(), problem }, may_pass: true }
        })?;
        let (read, write) = stream.into_split();
        let (lines, to_write) = mpsc::channel(LINE_QUEUE);
        tokio::spawn(write_all(write, to_write));
        let waiting = Waiting { events: Some(broadcast::channel(EVENT_QUEUE).0), ..Waiting::default() };
        let attached = Arc::new(Self {
            profile: name,
            lines,
            waiting: Mutex::new(waiting),
            ended: watch::channel(false).0,
            reading: Mutex::default(),
        });
        // The reader must not keep the connection alive when nobody else does.
        let reading = tokio::spawn(read_all(read, Arc::downgrade(&attached)));
        *attached.reading.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
        match tokio::time::timeout(GREETING, attached.exchange(&Call::Account, false)).await {
            Ok(Ok(_)) => Ok(attached),
            // It answers, and says so itself when it is asked for more.
            Ok(Err(Error::Relayed(record))) if record.kind == "locked" => Ok(attached),
            Ok(Err(error)) => Err(NotAttached { error, may_pass: true }),
            Err(_) => Err(NotAttached { error: attached.silent(), may_pass: false }),
        }
    }

    /// Asks the owner, and waits as long as the call may take. `used`: it is a use of the profile.
    pub(super) async fn call(&self, call: &Call, used: bool) -> Result<Value, Error> {
        tokio::time::timeout(call.patience(), self.exchange(call, used))
            .await
            .unwrap_or_else(|_| Err(self.silent()))
    }

    async fn exchange(&self, call: &Call, used: bool) -> Result<Value, Error> {
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut waiting = self.lock();
            if waiting.ended {
                drop(waiting);
                return Err(self.went_away());
            }
            waiting.next_id += 1;
            let id = waiting.next_id;
            waiting.answers.insert(id, answer);
            id
        };
        let mut request = serde_json::to_value(call).unwrap_or_default();
        if let Value::Object(fields) = &mut request {
            fields.insert("jsonrpc".to_owned(), json!("2.0"));
            fields.insert("id".to_owned(), json!(id));
            if !used {
                fields.insert(LOOKING.to_owned(), json!(true));
            }
        }
        let line = format!("{request}\n");
        // Also when the caller gives up: nobody waits for the answer then.
        let _forget = Forget { attached: self, id };
        // Should nobody take it any more, what the owner said last is still read first.
        let _ = self.lines.send(line).await;
        answered.await.unwrap_or_else(|_| Err(self.went_away()))
    }

    pub(super) async fn events(&self) -> Result<broadcast::Receiver<Event>, Error> {
        let receiver = self.lock().events.as_ref().map(broadcast::Sender::subscribe);
        let receiver = receiver.ok_or_else(|| self.went_away())?;
        self.call(&Call::Subscribe, false).await?;
        Ok(receiver)
    }

    /// Waits until the owner is gone.
    pub(super) async fn ended(&self) {
        // The sender lives as long as we do.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    fn silent(&self) -> Error {
        Error::Owner { profile: self.profile.clone(), problem: "does not answer in time".to_owned() }
    }

    fn went_away(&self) -> Error {
        if let Some(record) = self.lock().turned_away.clone() {
            return Error::Relayed(record);
        }
        Error::Owner { profile: self.profile.clone(), problem: "went away".to_owned() }
    }

    fn take(&self, line: &[u8]) {
        let Ok(mut message) = serde_json::from_slice::<Value>(line) else { return };
        if message.get("method").and_then(Value::as_str) == Some("event") {
            let event = message.get_mut("params").map(Value::take).map(serde_json::from_value::<Event>);
            // An event of a kind that only a newer owner knows is not for us.
            if let (Some(Ok(event)), Some(events)) = (event, &self.lock().events) {
                let _ = events.send(event);
            }
            return;
        }
        let Some(id) = message.get("id").and_then(Value::as_u64) else {
            // Said of no request: the owner turned us away, and says why.
            if let Some(Error::Relayed(record)) = message.get_mut("error").map(relayed) {
                self.lock().turned_away = Some(record);
            }
            return;
        };
        let Some(answer) = self.lock().answers.remove(&id) else { return };
        let result = match message.get_mut("error") {
            Some(error) => Err(relayed(error)),
            None => Ok(message.get_mut("result").map(Value::take).unwrap_or_default()),
        };
        let _ = answer.send(result);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(reading) = self.reading.lock().unwrap_or_else(PoisonError::into_inner).take() {
            reading.abort();
        }
    }
}

/// Takes a call off the list of those that wait.
struct Forget<'a> {
    attached: &'a Attached,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.attached.lock().answers.remove(&self.id);
    }
}

fn relayed(error: &mut Value) -> Error {
    let data = error.get_mut("data").map(Value::take).unwrap_or_default();
    match serde_json::from_value::<ErrorRecord>(data) {
        Ok(record) => Error::Relayed(record),
        Err(_) => Error::Owner {
            profile: String::new(),
            problem: format!(
                "does not understand the request: {}",
                error.get("message").unwrap_or(&Value::Null)
            ),
        },
    }
}

/// Ends with the connection, or when nobody has a handle to it any more.
async fn write_all(mut write: OwnedWriteHalf, mut lines: mpsc::Receiver<String>) {
    while let Some(line) = lines.recv().await {
        if write.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read_all(read: OwnedReadHalf, attached: std::sync::Weak<Attached>) {
    let mut lines = BufReader::new(read);
    while let Ok(Some(line)) = read_line(&mut lines, MAX_ANSWER).await {
        let Some(attached) = attached.upgrade() else { return };
        attached.take(&line);
    }
    if let Some(attached) = attached.upgrade() {
        let mut waiting = attached.lock();
        waiting.ended = true;
        // Dropping the senders wakes those who wait.
        waiting.answers.clear();
        waiting.events = None;
        drop(waiting);
        attached.ended.send_replace(true);
    }
}
