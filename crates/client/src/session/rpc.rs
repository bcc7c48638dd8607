//! JSON-RPC 2.0 over anything that carries whole messages: the local socket's lines, standard input and output, a WebSocket.
//!
//! Every face and every bot comes in by this door: [`Call`] is what can be asked, [`Event`](crate::Event) what is told, and [`openrpc`]
//! describes both. Parameters are named. Requests are worked on beside each other, and answered as they are done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::call::Call;
use super::owner::Owner;
use super::schema;
use super::{Account, Events};
use crate::error::Error;

pub use super::schema::{describe, openrpc};

/// The longest request: far above a message of 2,000 characters, far below what would hurt.
pub const MAX_REQUEST: usize = 1024 * 1024;
/// Calls of one program that are worked on at once; more wait.
const MAX_CALLS: usize = 32;
/// Calls in one batch.
const MAX_BATCH: usize = 100;
/// Answers and events waiting for one program that does not read: so many, and so many kilobytes of them. One that is larger
/// waits until it is alone.
const ANSWER_QUEUE: usize = 1_024;
const ANSWER_KILOBYTES: u32 = 8 * 1024;
/// How long a program that asks nothing more is given the answers it is owed.
const LAST_ANSWERS: Duration = Duration::from_secs(60);

/// The member of a request that is no use of the profile: it does not keep it from locking by itself.
pub(super) const LOOKING: &str = "looking";

/// Error codes of JSON-RPC 2.0, section 5.1.
const NO_JSON: i32 = -32_700;
const NO_REQUEST: i32 = -32_600;
const NO_METHOD: i32 = -32_601;
const BAD_PARAMS: i32 = -32_602;
/// The call was understood and did not work; `data` is the [`ErrorRecord`](crate::ErrorRecord).
const FAILED: i32 = -32_000;

/// Who answers.
#[derive(Clone)]
pub(super) enum Host {
    Owner(Arc<Owner>),
    Account(Arc<Account>),
}

impl Host {
    async fn answer(&self, call: Call, used: bool) -> Result<Value, Error> {
        match self {
            Self::Owner(owner) => owner.answer(call, used).await,
            Self::Account(session) if used => session.answer(call).await,
            Self::Account(session) => session.look(call).await,
        }
    }

    async fn events(&self) -> Result<Events, Error> {
        match self {
            Self::Owner(owner) => Ok(Events(owner.events())),
            Self::Account(session) => session.events().await,
        }
    }
}

/// One program that asks. What it is told comes out of the receiver that [`Self::new`] gives, a message at a time.
pub struct Connection {
    asking: Arc<Asking>,
    running: Arc<Semaphore>,
    calls: JoinSet<()>,
    /// Dropped when nothing more is read: events end then, and answers that are still owed do not.
    reading_on: watch::Sender<()>,
}

/// What a program is told, a message at a time.
#[derive(Debug)]
pub struct Answers {
    waiting: mpsc::Receiver<(String, OwnedSemaphorePermit)>,
    /// The room of what was taken last, given back when more is asked for: until then it may still be on its way.
    taken: Option<OwnedSemaphorePermit>,
}

impl Answers {
    /// The next message; `None` when there will be none. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<String> {
        self.taken = None;
        let (answer, room) = self.waiting.recv().await?;
        self.taken = Some(room);
        Some(answer)
    }
}

struct Asking {
    host: Host,
    answers: mpsc::Sender<(String, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    subscribed: AtomicBool,
}

impl Connection {
    /// A program that asks this session.
    pub fn new(session: Arc<Account>) -> (Self, Answers) {
        Self::of(Host::Account(session))
    }

    pub(super) fn of(host: Host) -> (Self, Answers) {
        let (answers, waiting) = mpsc::channel(ANSWER_QUEUE);
        let room = Arc::new(Semaphore::new(ANSWER_KILOBYTES as usize));
        let connection = Self {
            asking: Arc::new(Asking { host, answers, room, subscribed: AtomicBool::new(false) }),
            running: Arc::new(Semaphore::new(MAX_CALLS)),
            calls: JoinSet::new(),
            reading_on: watch::channel(()).0,
        };
        (connection, Answers { waiting, taken: None })
    }

    /// Takes a message: a request, a notification or a batch. Waits while too many calls are under way.
    pub async fn take(&mut self, message: Vec<u8>) {
        // Those that are done would otherwise pile up for as long as the program is attached.
        while self.calls.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&self.running).acquire_owned().await else { return };
        let (asking, read_on) = (Arc::clone(&self.asking), self.reading_on.subscribe());
        self.calls.spawn(async move {
            let events = asking.answer(&message).await;
            drop(permit);
            if let Some(events) = events {
                asking.forward(events, read_on).await;
            }
        });
    }

    /// Says that something came that is no message at all.
    pub async fn refuse(&self, problem: &str) {
        self.asking.send(&failure(&Value::Null, NO_JSON, problem, None)).await;
    }

    /// Nothing more comes. Events end; answers that are owed are given, for a minute at most.
    pub async fn finish(self) {
        let Self { asking, mut calls, reading_on, .. } = self;
        drop((reading_on, asking));
        let owed = async { while calls.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_ANSWERS, owed).await;
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("calls", &self.calls.len()).finish_non_exhaustive()
    }
}

impl Asking {
    async fn send(&self, answer: &Value) {
        let text = answer.to_string();
        let kilobytes = u32::try_from(text.len() / 1024).unwrap_or(u32::MAX).saturating_add(1);
        let room = Arc::clone(&self.room).acquire_many_owned(kilobytes.min(ANSWER_KILOBYTES));
        // Whoever reads no more frees no room.
        let room = tokio::select! {
            room = room => room,
            () = self.answers.closed() => return,
        };
        if let Ok(room) = room {
            let _ = self.answers.send((text, room)).await;
        }
    }

    /// Answers one message. If it is the first to ask for events, gives them, from before the answer on: what happens after
    /// the other side has read it is not missed.
    async fn answer(&self, message: &[u8]) -> Option<Events> {
        let mut events = None;
        match serde_json::from_slice(message) {
            Err(_) => self.send(&failure(&Value::Null, NO_JSON, "this is no JSON", None)).await,
            Ok(Value::Array(batch)) if batch.is_empty() || batch.len() > MAX_BATCH => {
                let problem = format!("a batch holds 1 to {MAX_BATCH} requests");
                self.send(&failure(&Value::Null, NO_REQUEST, &problem, None)).await;
            }
            Ok(Value::Array(batch)) => {
                let mut answers = Vec::new();
                for request in batch {
                    answers.extend(self.answer_one(request, &mut events).await);
                }
                if !answers.is_empty() {
                    self.send(&Value::Array(answers)).await;
                }
            }
            Ok(request) => {
                if let Some(answer) = self.answer_one(request, &mut events).await {
                    self.send(&answer).await;
                }
            }
        }
        events
    }

    /// The answer, unless it is a notification, which gets none.
    async fn answer_one(&self, request: Value, events: &mut Option<Events>) -> Option<Value> {
        let Value::Object(mut request) = request else {
            return Some(failure(&Value::Null, NO_REQUEST, "a request is an object", None));
        };
        let id = request.remove("id");
        if let Some(problem) = id.as_ref().and_then(no_id) {
            return Some(failure(&Value::Null, NO_REQUEST, problem, None));
        }
        let used = request.remove(LOOKING) != Some(Value::Bool(true));
        let answer = match read(request) {
            Ok(call) => self.perform(call, used, events).await,
            // What is no request at all cannot be a notification.
            Err((NO_REQUEST, problem)) => {
                return Some(failure(&id.unwrap_or_default(), NO_REQUEST, &problem, None));
            }
            Err((code, problem)) => Err((code, problem, None)),
        };
        // Also that a notification failed is not told: there is nobody who waits.
        let id = id?;
        Some(match answer {
            Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            Err((code, problem, data)) => failure(&id, code, &problem, data),
        })
    }

    async fn perform(
        &self,
        call: Call,
        used: bool,
        events: &mut Option<Events>,
    ) -> Result<Value, (i32, String, Option<Value>)> {
        let failed = |error: Error| {
            let record = serde_json::to_value(error.record()).unwrap_or_default();
            (FAILED, error.to_string(), Some(record))
        };
        if matches!(call, Call::Subscribe) {
            if !self.subscribed.swap(true, Ordering::Relaxed) {
                *events = Some(self.host.events().await.map_err(failed)?);
            }
            return Ok(Value::Null);
        }
        self.host.answer(call, used).await.map_err(failed)
    }

    async fn forward(&self, mut events: Events, mut read_on: watch::Receiver<()>) {
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = self.answers.closed() => return,
                _ = read_on.changed() => return,
            };
            let Some(event) = event else { return };
            let params = serde_json::to_value(&event).unwrap_or_default();
            self.send(&json!({"jsonrpc": "2.0", "method": "event", "params": params})).await;
        }
    }
}

/// The call that a method with these parameters is.
///
/// # Errors
/// An error code of JSON-RPC, and what is wrong.
pub fn call(method: &str, params: Value) -> Result<Call, (i32, String)> {
    read(Map::from_iter([("method".to_owned(), method.into()), ("params".to_owned(), params)]))
}

/// What is asked, or what is wrong with asking it so.
fn read(mut request: Map<String, Value>) -> Result<Call, (i32, String)> {
    if request.get("jsonrpc").is_some_and(|version| version != "2.0") {
        return Err((NO_REQUEST, "this is JSON-RPC 2.0".to_owned()));
    }
    let Some(Value::String(method)) = request.remove("method") else {
        return Err((NO_REQUEST, "a request has a `method`".to_owned()));
    };
    let Some(known) = schema::parameters(&method) else {
        return Err((NO_METHOD, format!("there is no method {method:?}; the schema lists them")));
    };
    let params = match request.remove("params") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(params)) => params,
        Some(Value::Array(list)) if list.is_empty() => Map::new(),
        Some(_) => return Err((BAD_PARAMS, "parameters are named: an object, not a list".to_owned())),
    };
    if let Some(unknown) = params.keys().find(|name| !known.contains(*name)) {
        let names: Vec<_> = known.iter().map(String::as_str).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err((BAD_PARAMS, format!("{method} has no parameter {unknown:?}; it has: {names}")));
    }
    let mut call = Map::from_iter([("method".to_owned(), Value::String(method))]);
    // Of a method without parameters, also the empty object is too much.
    if !known.is_empty() {
        call.insert("params".to_owned(), Value::Object(params));
    }
    serde_json::from_value(Value::Object(call.clone())).map_err(|_| {
        // What the parser says is about types of this program; the schema is what the caller knows.
        let method = call.get("method").and_then(Value::as_str).unwrap_or_default();
        (BAD_PARAMS, schema::problem(method, call.get("params").unwrap_or(&Value::Null)))
    })
}

/// Why this cannot be the id of a request. A number that is kept inexactly would come back as another one.
fn no_id(id: &Value) -> Option<&'static str> {
    let fits = match id {
        Value::Null | Value::String(_) => true,
        Value::Number(number) => number.is_i64() || number.is_u64(),
        _ => false,
    };
    (!fits).then_some("an `id` is a text, null, or a whole number of at most 64 bits")
}

pub(super) fn failure(id: &Value, code: i32, message: &str, data: Option<Value>) -> Value {
    let mut error = json!({"code": code, "message": message});
    if let (Some(data), Some(error)) = (data, error.as_object_mut()) {
        error.insert("data".to_owned(), data);
    }
    json!({"jsonrpc": "2.0", "id": id, "error": error})
}

/// Said to a program for which there is no place, of no request.
pub fn turned_away(limit: usize) -> Value {
    let error = Error::TooManyPrograms { limit };
    let record = serde_json::to_value(error.record()).unwrap_or_default();
    failure(&Value::Null, FAILED, &error.to_string(), Some(record))
}
