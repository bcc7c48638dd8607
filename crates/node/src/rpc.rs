//! What clients ask, answered (storage-and-onion 2).
//!
//! The order of checks is the specification's: wrong swarm, then form of times, then clock, then
//! signature; each with its own status and words, which clients match.

use std::sync::Arc;
use std::time::Duration;

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use conclave_proto::rpc::answers::{self, InfoAnswer, RetrieveAnswer};
use conclave_proto::rpc::{Answer, Body, CONCLAVE_DIRECTORY, CONCLAVE_WAIT, Request, Retrieve, Store, Wait};
use conclave_proto::{Version, active_nodes};

use crate::hooks::{Misbehave, Received};
use crate::node::{ADVERTISED_VERSION, Shared};
use crate::store::{self, MAX_RETRIEVE, Query, StoreError};
use crate::{local, writes};

/// How far a signature's time may be from this node's. (storage-and-onion 2.4)
const SIGNATURE_TOLERANCE: Duration = Duration::from_secs(60);
/// How far a message's times may be off when it is stored. (storage-and-onion 2.7)
const STORE_TOLERANCE: Duration = Duration::from_secs(10);
/// The shortest life of a message. (storage-and-onion 2.7)
const MIN_TTL: Duration = Duration::from_secs(10);

/// Pages that are read at once, by everybody. Reading blocks a thread, and each page may have megabytes.
pub(crate) const READS_AT_ONCE: usize = 16;
/// The largest page of messages in an onion reply, in accounted bytes: a little less than elsewhere, so that the reply, in
/// base64 twice, fits into what hops can hand back.
const MAX_RETRIEVE_BY_ONION: u64 = MAX_RETRIEVE / 16 * 15;

/// Our methods that this node answers, as `info` announces them. (docs/protocol/extensions)
const EXTENSIONS: [&str; 2] = [CONCLAVE_DIRECTORY, CONCLAVE_WAIT];

/// How a client's request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// From the client itself.
    Direct,
    /// Out of an onion layer.
    Onion,
}

/// The pages of one answer share what an answer may hold: asking for twenty full pages in one batch gives a twentieth of
/// each. What clients ask for together (storage-and-onion 9.1) adds up to one full page.
#[derive(Clone, Copy, Debug)]
struct Share {
    whole: u64,
    asked: u64,
}

impl Share {
    fn of(requests: &[Request], via: Via) -> Self {
        let asked = requests.iter().map(|request| match request {
            Request::Retrieve(retrieve) => asked_size(retrieve),
            _ => 0,
        });
        let whole = match via {
            Via::Direct => MAX_RETRIEVE,
            Via::Onion => MAX_RETRIEVE_BY_ONION,
        };
        Self { whole, asked: asked.sum() }
    }

    fn page(self, retrieve: &Retrieve) -> u64 {
        let size = asked_size(retrieve);
        if self.asked > self.whole { size.saturating_mul(self.whole) / self.asked } else { size }
    }
}

fn asked_size(retrieve: &Retrieve) -> u64 {
    store::size_limit(retrieve.max_count, retrieve.max_size)
}

/// Answers a client's request.
pub(crate) async fn answer(shared: &Arc<Shared>, request: Request, via: Via) -> Answer {
    shared.observe(|| Received::Request(&request));
    if shared.hooks.misbehave == Misbehave::Rubbish {
        return Answer { code: 200, body: Body::Text("\u{1}\u{2}{]rubbish".to_owned()) };
    }
    match request {
        Request::Batch(requests) => {
            let share = Share::of(&requests, via);
            let answers = requests.into_iter().map(|request| {
                let shared = Arc::clone(shared);
                tokio::spawn(async move { single(&shared, request, share).await })
            });
            let mut results = Vec::new();
            // All have been started by the time the first is awaited.
            for answer in answers.collect::<Vec<_>>() {
                results.push(answer.await.unwrap_or_else(|_| Answer::error(500, "request failed")));
            }
            answers::batch_answer(&results)
        }
        Request::Sequence(requests) => {
            let share = Share::of(&requests, via);
            let mut results = Vec::new();
            for request in requests {
                let answer = single(shared, request, share).await;
                let stop = !(200..300).contains(&answer.code);
                results.push(answer);
                if stop {
                    break;
                }
            }
            answers::batch_answer(&results)
        }
        request => {
            let share = Share::of(std::slice::from_ref(&request), via);
            single(shared, request, share).await
        }
    }
}

/// Answers what another member of the swarm forwards: everything is checked anew, nothing is forwarded again.
pub(crate) async fn answer_forwarded(shared: &Shared, request: &Request) -> Result<Vec<u8>, Answer> {
    shared.observe(|| Received::Request(request));
    if shared.hooks.misbehave == Misbehave::Rubbish {
        return Ok(b"rubbish".to_vec());
    }
    if let Some(refused) = wrong_swarm(shared, request) {
        return Err(refused);
    }
    let Request::Store(store) = request else { return Err(no_method(request)) };
    allow_store(shared, request, store)?;
    match local::apply(shared, request).await {
        answers::MemberResult::Done(result) => Ok(answers::member_answer(&result)),
        answers::MemberResult::Failed(failure) => {
            Err(Answer::error(500, failure.reason.unwrap_or_else(|| "request failed".to_owned())))
        }
    }
}

async fn single(shared: &Arc<Shared>, request: Request, share: Share) -> Answer {
    if let Some(refused) = wrong_swarm(shared, &request) {
        return refused;
    }
    match request {
        Request::Store(ref store) => match allow_store(shared, &request, store) {
            Ok(()) => writes::write(shared, request).await,
            Err(refused) => refused,
        },
        Request::Retrieve(ref retrieve) => match allow_retrieve(shared, &request, retrieve) {
            Ok(()) => read(shared, retrieve.clone(), share.page(retrieve)).await,
            Err(refused) => refused,
        },
        Request::GetSwarm(account) => swarm(shared, &account, 200),
        Request::Info => info(shared),
        Request::ActiveNodesBin => {
            let view = shared.view();
            let active: Vec<_> = view
                .directory()
                .nodes()
                .iter()
                .filter(|node| node.swarm != conclave_proto::SwarmId::NONE)
                .copied()
                .collect();
            Answer { code: 200, body: Body::Binary(active_nodes::encode(&active)) }
        }
        Request::ConclaveDirectory => {
            let mut result = conclave_proto::seed::directory_answer(shared.view().signed());
            shared.stamp().add_to(&mut result);
            Answer::ok(result)
        }
        other => no_method(&other),
    }
}

/// The one place that says no to methods this node does not have yet.
fn no_method(request: &Request) -> Answer {
    Answer::error(400, format!("no method {}", request.method()))
}

fn info(shared: &Shared) -> Answer {
    let info = InfoAnswer { version: Version(ADVERTISED_VERSION), timestamp: shared.now() };
    let mut answer = info.to_answer(shared.stamp());
    if let Body::Value(conclave_proto::rpc::Value::Dict(fields)) = &mut answer.body {
        // Which of our extensions this node answers (docs/protocol/extensions).
        fields.insert("conclave".to_owned(), EXTENSIONS.as_slice().into());
    }
    answer
}

fn swarm(shared: &Shared, account: &AccountId, code: u16) -> Answer {
    shared.view().swarm_members(account).to_answer(code, shared.stamp())
}

fn wrong_swarm(shared: &Shared, request: &Request) -> Option<Answer> {
    let account = request.account()?;
    let view = shared.view();
    if view.directory().swarms().is_empty() {
        return Some(Answer::error(500, "No swarms known!"));
    }
    (!view.is_ours(account)).then(|| swarm(shared, account, 421))
}

fn allow_store(shared: &Shared, request: &Request, store: &Store) -> Result<(), Answer> {
    let now = shared.now();
    let life = Duration::from_millis(store.expiry().0.saturating_sub(store.timestamp.0));
    if life < MIN_TTL || life > store.namespace.max_ttl() {
        return Err(Answer::error(403, "Provided expiry/TTL is not valid."));
    }
    if store.timestamp > now.plus(STORE_TOLERANCE) || store.expiry() < now.minus(STORE_TOLERANCE) {
        return Err(Answer::error(406, "Timestamp error: check your clock"));
    }
    if !store.namespace.is_public_inbox() && store.auth.is_some() {
        signed_now(now, store.signed_at(), "store signature")?;
    }
    verify(request)
}

fn allow_retrieve(shared: &Shared, request: &Request, retrieve: &Retrieve) -> Result<(), Answer> {
    // Whoever signs is held to it, also where anyone may read.
    if let Some(timed) = &retrieve.auth {
        signed_now(shared.now(), timed.timestamp, "retrieve")?;
    }
    verify(request)
}

/// Whether a client may wait for news.
pub(crate) fn allow_wait(shared: &Shared, wait: &Wait) -> Result<(), Answer> {
    // Checks look at requests, and this is one.
    let request = Request::ConclaveWait(wait.clone());
    if let Some(refused) = wrong_swarm(shared, &request) {
        return Err(refused);
    }
    signed_now(shared.now(), wait.auth.timestamp, CONCLAVE_WAIT)?;
    verify(&request)
}

fn signed_now(now: Timestamp, signed_at: Timestamp, what: &str) -> Result<(), Answer> {
    if now.distance(signed_at) > SIGNATURE_TOLERANCE {
        return Err(Answer::error(406, format!("{what} timestamp too far from current time")));
    }
    Ok(())
}

fn verify(request: &Request) -> Result<(), Answer> {
    request.verify().map(|_| ()).map_err(|refused| {
        tracing::debug!(cause = %refused.cause, "a request was not authorised");
        Answer::from(refused.answer)
    })
}

async fn read(shared: &Arc<Shared>, retrieve: Retrieve, max_size: u64) -> Answer {
    let store = shared.store.clone();
    let _turn = shared.reads.acquire().await;
    let page = tokio::task::spawn_blocking(move || {
        store.retrieve(&Query {
            owner: &retrieve.account,
            namespace: retrieve.namespace,
            after: retrieve.last_hash,
            max_count: retrieve.max_count,
            max_size,
        })
    })
    .await
    .unwrap_or_else(|_| Err(StoreError::Failed("the reading thread ended".into())));
    match page {
        Ok(mut page) if shared.hooks.misbehave == Misbehave::OtherData => {
            page.messages.iter_mut().for_each(|message| message.data.reverse());
            RetrieveAnswer { messages: page.messages, more: page.more }.to_answer(shared.stamp())
        }
        Ok(page) => RetrieveAnswer { messages: page.messages, more: page.more }.to_answer(shared.stamp()),
        Err(error) => {
            tracing::error!(%error, "a mailbox could not be read");
            Answer::error(500, "request failed")
        }
    }
}
