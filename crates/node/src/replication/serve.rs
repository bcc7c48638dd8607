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

use super::{MINUTE, take_in, to_wire};
use crate::node::Shared;
use crate::store::{Logged, MessageStore, OperationId, StoreError};

/// The endpoint by which nodes of other programs push messages, and the one that announces them. (storage-and-onion 5.6)
const DATA: &str = "data";
const DATA_READY: &str = "data_ready";

/// The digests computed last, since members ask for the same; and how far the store had come at the last whole minutes. What is newer than two minutes is left out: while much is being stored it is never the same on two
/// members, and it is owed or on its way anyway.
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
    /// The digests at a cutoff. Blocks while they are computed; others that want them wait.
    pub(crate) fn get(&self, store: &MessageStore, cutoff: Timestamp) -> Result<Arc<Digests>, StoreError> {
        let mut computed = self.computed.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
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
        let good_until = Instant::now() + began.elapsed() * USED_FOR;
        *computed = Some(Computed { cutoff, digests: Arc::clone(&digests), good_until });
        Ok(digests)
    }

    /// Notes how far the store has come at a whole minute.
    fn mark(&self, minute: u64, newest: i64) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.push_back((minute, newest));
        if marks.len() > MARKS {
            marks.pop_front();
        }
    }

    /// What was computed is out of date.
    pub(super) fn forget(&self) {
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
    let answer = match endpoint {
        sync::DIGESTS => digests(shared, body).await,
        sync::KEYS => keys(shared, body).await,
        sync::FETCH => fetch(shared, body).await,
        sync::OFFER => offer(shared, body).await,
        sync::COPIES => match Copies::decode(body) {
            Ok(copies) => take_in(shared, copies).await.map(|_| Bytes::from_static(b"OK")).map_err(failed),
            Err(error) => Err(refused(&error)),
        },
        DATA => data(shared, body).await,
        DATA_READY => Ok(Bytes::from_static(b"OK")),
        _ => return None,
    };
    Some(answer)
}

async fn digests(shared: &Arc<Shared>, body: &[u8]) -> Result<Bytes, Bytes> {
    let DigestsRequest { cutoff } = DigestsRequest::decode(body).map_err(|e| refused(&e))?;
    let worker = Arc::clone(shared);
    let digests =
        shared.read(move |store| worker.digests.get(store, cutoff)).await.map_err(|_| unreadable())?;
    Ok(digests.encode().into())
}

async fn keys(shared: &Arc<Shared>, body: &[u8]) -> Result<Bytes, Bytes> {
    let request = KeysRequest::decode(body).map_err(|e| refused(&e))?;
    let keys = shared
        .read(move |store| store.keys(request.bucket, request.cutoff, request.after.as_ref()))
        .await
        .map_err(|_| unreadable())?;
    Ok(keys.encode().into())
}

async fn fetch(shared: &Arc<Shared>, body: &[u8]) -> Result<Bytes, Bytes> {
    let wanted = Keys::decode(body).map_err(|e| refused(&e))?;
    let copies = shared.read(move |store| collect(store, &wanted)).await.map_err(|_| unreadable())?;
    Ok(copies.encode().into())
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

async fn offer(shared: &Arc<Shared>, body: &[u8]) -> Result<Bytes, Bytes> {
    let offered = Keys::decode(body).map_err(|e| refused(&e))?;
    let view = shared.view();
    let lacking = shared
        .read(move |store| {
            let mut lacking = Keys::default();
            for keys in offered.accounts.iter().filter(|keys| view.is_ours(&keys.account)) {
                let keys = store.lacking(keys)?;
                if keys.count() > 0 {
                    lacking.accounts.push(keys);
                }
            }
            Ok(lacking)
        })
        .await
        .map_err(|_| unreadable())?;
    Ok(lacking.encode().into())
}

/// Messages that a node of another program pushes. It says nothing about when they were stored: their own time counts.
async fn data(shared: &Arc<Shared>, body: &[u8]) -> Result<Bytes, Bytes> {
    let pushed = match wire::decode_push(body) {
        Ok(pushed) => pushed,
        // Versions nobody speaks any more are ignored. (storage-and-onion 4.5)
        Err(wire::PeerError::Version(_)) => return Ok(Bytes::from_static(b"OK")),
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
    let copies = Copies { messages: messages.collect(), ..Copies::default() };
    take_in(shared, copies).await.map(|_| Bytes::from_static(b"OK")).map_err(failed)
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
