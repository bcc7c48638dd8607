//! What other nodes ask about what is kept here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use conclave_proto::MessageHash;
use conclave_proto::Timestamp;
use conclave_proto::peer as wire;
use conclave_proto::sync::{
    self, Copies, Digests, DigestsRequest, InvalidSync, Keys, KeysRequest, MAX_BATCH_BYTES,
};

use super::{MINUTE, Taken, take_in, to_wire};
use crate::node::Shared;
use crate::registry::NetworkView;
use crate::store::{Logged, MessageStore, OperationId, StoreError};

/// The endpoint by which nodes of other programs push messages, and the one that announces them. (storage-and-onion 5.6)
const DATA: &str = "data";
const DATA_READY: &str = "data_ready";
/// What they are answered.
const OK: &[u8] = b"OK";

/// The digests computed last, since members ask for the same; and how far the store had come at the last whole minutes.
/// What is newer than two minutes is left out: while much is being stored it is never the same on two members, and it is
/// owed or on its way anyway.
#[derive(Debug, Default)]
pub(crate) struct KnownDigests {
    computed: Mutex<Option<Computed>>,
    marks: Mutex<VecDeque<(u64, i64)>>,
}

#[derive(Debug)]
struct Computed {
    cutoff: Timestamp,
    digests: Arc<Digests>,
    good_until: Instant,
}

/// Digests are used for so many times as long as it took to compute them: that bounds what computing costs.
const USED_FOR: u32 = 20;
/// Marks that are kept.
const MARKS: usize = 8;
/// What is left out, in minutes before the cutoff, which itself lies up to two minutes ahead.
const LEFT_OUT: u64 = 4;

impl KnownDigests {
    /// The digests at a cutoff. Blocks while they are computed; others that want them wait. `clock` never goes back.
    pub(crate) fn at(
        &self,
        store: &MessageStore,
        cutoff: Timestamp,
        clock: fn() -> Instant,
    ) -> Result<Arc<Digests>, StoreError> {
        let mut computed = self.computed.lock().unwrap_or_else(PoisonError::into_inner);
        let began = clock();
        if let Some(good) = computed.as_ref().filter(|c| c.cutoff == cutoff && began < c.good_until) {
            return Ok(Arc::clone(&good.digests));
        }
        let minute = (cutoff.0 / MINUTE).saturating_sub(LEFT_OUT);
        let newest = {
            let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
            marks.iter().rev().find(|(at, _)| *at <= minute).map(|(_, newest)| *newest)
        };
        // Just started: everything is compared once.
        let until = newest.map_or(Timestamp(u64::MAX), |_| Timestamp(minute * MINUTE));
        let digests = Arc::new(store.digests(cutoff, newest, until)?);
        let ended = clock();
        let good_until = ended + ended.duration_since(began) * USED_FOR;
        *computed = Some(Computed { cutoff, digests: Arc::clone(&digests), good_until });
        Ok(digests)
    }

    /// Notes how far the store has come at a whole minute.
    pub(crate) fn mark(&self, minute: u64, newest: i64) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.push_back((minute, newest));
        if marks.len() > MARKS {
            marks.pop_front();
        }
    }

    /// What was computed is out of date.
    pub(crate) fn forget(&self) {
        *self.computed.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Notes at each whole minute how far the store has come. Never ends.
pub(crate) async fn mark_minutes(shared: Arc<Shared>) {
    loop {
        let now = shared.now().0;
        tokio::time::sleep(Duration::from_millis(MINUTE - now % MINUTE)).await;
        let minute = (shared.now().0 + MINUTE / 2) / MINUTE;
        if let Ok(newest) = shared.read(|store| store.newest()).await {
            shared.digests.mark(minute, newest);
        }
    }
}

/// Answers another node. `None` if the endpoint is none of these.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    endpoint: &str,
    body: &[u8],
) -> Option<Result<Bytes, Bytes>> {
    Some(match Asked::read(endpoint, body)? {
        Ok(Asked::Question(question)) => {
            let (view, worker) = (shared.view(), Arc::clone(shared));
            let answer =
                shared.read(move |store| question.answer(store, &view, &worker.digests, Instant::now));
            answer.await.map_err(|_| unreadable()).and_then(|answer| answer.ok_or_else(misdirected))
        }
        Ok(Asked::TakeIn(copies)) => {
            take_in(shared, copies).await.map_err(failed).and_then(|taken| taken.answer())
        }
        Ok(Asked::Nothing) => Ok(Bytes::from_static(OK)),
        Err(refused) => Err(refused),
    })
}

/// What another node wants.
#[derive(Debug)]
pub(crate) enum Asked {
    /// To know something.
    Question(Question),
    /// That this node takes something in.
    TakeIn(Copies),
    /// A mere "fine".
    Nothing,
}

/// What another node wants to know.
#[derive(Debug)]
pub(crate) enum Question {
    Digests(DigestsRequest),
    Keys(KeysRequest),
    Fetch(Keys),
    Offer(Keys),
}

impl Asked {
    /// Reads a request, or says what is wrong with it. `None` if the endpoint is none of these.
    pub(crate) fn read(endpoint: &str, body: &[u8]) -> Option<Result<Self, Bytes>> {
        let read = match endpoint {
            sync::DIGESTS => DigestsRequest::decode(body).map(Question::Digests).map(Self::Question),
            sync::KEYS => KeysRequest::decode(body).map(Question::Keys).map(Self::Question),
            sync::FETCH => Keys::decode(body).map(Question::Fetch).map(Self::Question),
            sync::OFFER => Keys::decode(body).map(Question::Offer).map(Self::Question),
            sync::COPIES => Copies::decode(body).map(Self::TakeIn),
            DATA => return Some(pushed(body)),
            DATA_READY => Ok(Self::Nothing),
            _ => return None,
        };
        Some(read.map_err(|error| refused(&error)))
    }
}

impl Question {
    /// What this node says; `None` if it is asked about accounts that are kept elsewhere, as far as it knows. `clock` never
    /// goes back.
    pub(crate) fn answer(
        &self,
        store: &MessageStore,
        view: &NetworkView,
        digests: &KnownDigests,
        clock: fn() -> Instant,
    ) -> Result<Option<Bytes>, StoreError> {
        let answer = match self {
            Self::Digests(DigestsRequest { cutoff }) => digests.at(store, *cutoff, clock)?.encode(),
            Self::Keys(request) => {
                store.keys(request.bucket, request.cutoff, request.after.as_ref())?.encode()
            }
            Self::Fetch(wanted) => collect(store, wanted)?.encode(),
            Self::Offer(offered) => {
                // Who offers knows a newer directory perhaps, and must not think that nothing is lacking here.
                if !offered.accounts.iter().all(|keys| view.is_ours(&keys.account)) {
                    return Ok(None);
                }
                let mut lacking = Keys::default();
                for keys in &offered.accounts {
                    let keys = store.lacking(keys)?;
                    if keys.count() > 0 {
                        lacking.accounts.push(keys);
                    }
                }
                lacking.encode()
            }
        };
        Ok(Some(answer.into()))
    }
}

impl Taken {
    /// What whoever gave it is told: it has to keep what was not taken, and to come again.
    pub(crate) fn answer(&self) -> Result<Bytes, Bytes> {
        if self.complete { Ok(Bytes::from_static(OK)) } else { Err(misdirected()) }
    }
}

/// It belongs elsewhere, or to another time, as far as this node knows. (storage-and-onion 4.6)
pub(crate) fn misdirected() -> Bytes {
    Bytes::from_static(b"421 Misdirected Request\n\nSwarm mismatch")
}

/// What is here of what is named, in that order, operations of an account before its messages; as much as fits.
pub(super) fn collect(store: &MessageStore, wanted: &Keys) -> Result<Copies, StoreError> {
    let mut copies = Copies::default();
    let mut size = 0;
    for keys in &wanted.accounts {
        for name in &keys.operations {
            for Logged(request) in store.operations_named(&keys.account, &[OperationId(*name)])? {
                size += request.len();
                copies.operations.push(request);
            }
            if size > MAX_BATCH_BYTES {
                copies.more = true;
                return Ok(copies);
            }
        }
        for (name, _) in &keys.messages {
            for copy in store.copies(&keys.account, &[MessageHash::from_bytes(name)])? {
                size += copy.data.len() + 150;
                copies.messages.push(to_wire(copy));
            }
            if size > MAX_BATCH_BYTES {
                copies.more = true;
                return Ok(copies);
            }
        }
    }
    Ok(copies)
}

/// Messages that a node of another program pushes. It says nothing about when they were stored: their own time counts.
fn pushed(body: &[u8]) -> Result<Asked, Bytes> {
    let pushed = match wire::decode_push(body) {
        Ok(pushed) => pushed,
        // Versions nobody speaks any more are ignored. (storage-and-onion 4.5)
        Err(wire::PeerError::Version(_)) => return Ok(Asked::Nothing),
        Err(error) => return Err(error.to_string().into()),
    };
    let messages = pushed.into_iter().map(|message| sync::Copy {
        account: message.account,
        namespace: message.namespace,
        timestamp: message.timestamp,
        stored_at: message.timestamp,
        raises: vec![(message.timestamp, message.expiry)],
        data: message.data,
    });
    Ok(Asked::TakeIn(Copies { messages: messages.collect(), ..Copies::default() }))
}

fn refused(error: &InvalidSync) -> Bytes {
    format!("400 Bad Request\n\n{error}").into()
}

fn unreadable() -> Bytes {
    Bytes::from_static(b"500 Internal Server Error\n\nrequest failed")
}

fn failed(error: StoreError) -> Bytes {
    tracing::warn!(%error, "what another member gave could not be kept");
    unreadable()
}
