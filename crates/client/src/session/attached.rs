//! A profile that another process owns, through its local socket.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{broadcast, oneshot};

use super::call::Call;
use super::serve::read_line;
use crate::error::{Error, ErrorRecord};
use crate::profile::Profile;
use crate::types::Event;

/// Events that a slow reader may be behind.
const EVENT_QUEUE: usize = 1_024;

/// A connection to the owner.
pub(super) struct Attached {
    profile: String,
    write: tokio::sync::Mutex<OwnedWriteHalf>,
    waiting: Mutex<Waiting>,
    reading: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

#[derive(Default)]
struct Waiting {
    next_id: u64,
    answers: HashMap<u64, oneshot::Sender<Result<Value, Error>>>,
    /// Dropped when the connection ends, which ends every receiver.
    events: Option<broadcast::Sender<Event>>,
    ended: bool,
}

impl Attached {
    pub(super) async fn connect(profile: &Profile) -> Result<Arc<Self>, Error> {
        let name = profile.name().to_string();
        let stream = UnixStream::connect(profile.socket_path()).await.map_err(|error| Error::Owner {
            profile: name.clone(),
            problem: format!("does not answer ({error})"),
        })?;
        let (read, write) = stream.into_split();
        let waiting = Waiting { events: Some(broadcast::channel(EVENT_QUEUE).0), ..Waiting::default() };
        let attached = Arc::new(Self {
            profile: name,
            write: tokio::sync::Mutex::new(write),
            waiting: Mutex::new(waiting),
            reading: Mutex::default(),
        });
        // The reader must not keep the connection alive when nobody else does.
        let reading = tokio::spawn(read_all(read, Arc::downgrade(&attached)));
        *attached.reading.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
        Ok(attached)
    }

    pub(super) async fn call(&self, call: &Call) -> Result<Value, Error> {
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut waiting = self.lock();
            if waiting.ended {
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
        }
        let line = format!("{request}\n");
        let sent = self.write.lock().await.write_all(line.as_bytes()).await;
        if sent.is_err() {
            self.lock().answers.remove(&id);
            return Err(self.went_away());
        }
        answered.await.unwrap_or_else(|_| Err(self.went_away()))
    }

    pub(super) async fn events(&self) -> Result<broadcast::Receiver<Event>, Error> {
        let receiver = self.lock().events.as_ref().map(broadcast::Sender::subscribe);
        let receiver = receiver.ok_or_else(|| self.went_away())?;
        self.call(&Call::Subscribe).await?;
        Ok(receiver)
    }

    fn went_away(&self) -> Error {
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
        let Some(id) = message.get("id").and_then(Value::as_u64) else { return };
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

async fn read_all(read: OwnedReadHalf, attached: std::sync::Weak<Attached>) {
    let mut lines = BufReader::new(read);
    while let Ok(Some(line)) = read_line(&mut lines).await {
        let Some(attached) = attached.upgrade() else { return };
        attached.take(&line);
    }
    if let Some(attached) = attached.upgrade() {
        let mut waiting = attached.lock();
        waiting.ended = true;
        // Dropping the senders wakes those who wait.
        waiting.answers.clear();
        waiting.events = None;
    }
}
