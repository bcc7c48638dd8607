//! What clients ask, answered (storage-and-onion 2); and what other members ask for them.
//!
//! Every request bound to an account is held against the swarm first, then [`authorise`]d: [`admit`]. Reading is in
//! [`reading`], writing in [`writes`] and [`local`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use conclave_proto::rpc::answers::{self, MemberResult, Stamp};
use conclave_proto::rpc::{
    Answer, Body, Dict, Forwarded, IfElse, Request, Retrieve, SubaccountToken, Value, Wait,
};

use crate::authorise::{From, authorise};
use crate::hooks::{Misbehave, Received};
use crate::node::Shared;
use crate::registry::NetworkView;
use crate::store::{self, MAX_RETRIEVE};
use crate::{chunks, local, reading, writes};

/// The largest page of messages in an onion reply, in accounted bytes: a little less than elsewhere, so that the reply, in
/// base64 twice, fits into what hops can hand back.
const MAX_RETRIEVE_BY_ONION: u64 = MAX_RETRIEVE / 16 * 15;

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
    any(shared, request, via).await
}

/// Answers what another member of the swarm forwards: everything is checked anew, nothing is forwarded again.
pub(crate) async fn answer_forwarded(shared: &Arc<Shared>, forwarded: &Forwarded) -> Result<Vec<u8>, Answer> {
    let request = &forwarded.request;
    shared.observe(|| Received::Request(request));
    if shared.hooks.misbehave == Misbehave::Rubbish {
        return Ok(b"rubbish".to_vec());
    }
    admitted(shared, request, From::Member).await?;
    let at = shared.order.time_of(request, forwarded.at, shared.now());
    answer_of_member(local::apply(shared, request, at).await)
}

/// What a member answers to a forwarded write.
pub(crate) fn answer_of_member(result: MemberResult) -> Result<Vec<u8>, Answer> {
    match result {
        MemberResult::Done(result) => Ok(answers::member_answer(&result)),
        MemberResult::Failed(failure) => {
            Err(Answer::error(500, failure.reason.unwrap_or_else(|| "request failed".to_owned())))
        }
    }
}

/// Boxed, since conditional requests hold other requests, batches among them. How deep is bounded by what JSON and bt may nest.
fn any(shared: &Arc<Shared>, request: Request, via: Via) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
    let shared = Arc::clone(shared);
    Box::pin(async move {
        match request {
            Request::Batch(requests) => batch(&shared, requests, via).await,
            Request::Sequence(requests) => sequence(&shared, requests, via).await,
            Request::IfElse(request) => if_else(&shared, *request, via).await,
            request => {
                let share = Share::of(std::slice::from_ref(&request), via);
                single(&shared, request, share).await
            }
        }
    })
}

async fn batch(shared: &Arc<Shared>, requests: Vec<Request>, via: Via) -> Answer {
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

async fn sequence(shared: &Arc<Shared>, requests: Vec<Request>, via: Via) -> Answer {
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

/// The answer has no `t`, and `hf` as part of what was asked. (storage-and-onion 1.5, 2.20)
async fn if_else(shared: &Arc<Shared>, request: IfElse, via: Via) -> Answer {
    let state = shared.state();
    let condition = request.conditions.hold(&state);
    let mut result = Dict::from([
        ("hf".to_owned(), state.hf.as_slice().into()),
        ("v".to_owned(), state.version.as_slice().into()),
        ("height".to_owned(), state.height.into()),
        ("condition".to_owned(), condition.into()),
    ]);
    if let Some(branch) = if condition { request.then } else { request.otherwise } {
        let answer: Value = any(shared, branch, via).await.to_subresult();
        result.insert("result".to_owned(), answer);
    }
    Answer::ok(result)
}

async fn single(shared: &Arc<Shared>, request: Request, share: Share) -> Answer {
    if let Err(refused) = admitted(shared, &request, From::Client).await {
        return refused;
    }
    let read = match request {
        request if request.is_recursive() => return writes::write(shared, request).await,
        Request::ConclaveChunk(request) => return chunks::answer(shared, request).await,
        Request::Retrieve(retrieve) => {
            let max_size = share.page(&retrieve);
            reading::retrieve(shared, retrieve, max_size).await
        }
        Request::GetExpiries(request) => reading::expiries(shared, request).await,
        Request::RevokedSubaccounts(request) => reading::revoked(shared, request).await,
        Request::GetSwarm(account) => Ok(reading::swarm(shared, &account)),
        Request::Info => Ok(reading::info(shared)),
        Request::ActiveNodesBin => Ok(reading::active_nodes(shared)),
        Request::ConclaveDirectory => Ok(reading::directory(shared)),
        Request::OxendRequest(request) => Ok(reading::oxend_request(shared, &request)),
        other => Err(Answer::error(400, format!("no method {}", other.method()))),
    };
    read.unwrap_or_else(|refused| refused)
}

/// Whether a client may wait for news.
pub(crate) async fn allow_wait(shared: &Arc<Shared>, wait: &Wait) -> Result<(), Answer> {
    // Checks look at requests, and this is one.
    admitted(shared, &Request::ConclaveWait(wait.clone()), From::Client).await
}

async fn admitted(shared: &Arc<Shared>, request: &Request, from: From) -> Result<(), Answer> {
    let revoked_since = |account, token| shared.read(move |store| store.revoked_since(&account, &token));
    admit(&shared.view(), shared.stamp(), request, from, revoked_since).await
}

/// Whether a node with this view of the network has to do what is asked: of an account, it must be one of its swarm's, and
/// the request must be allowed.
pub(crate) async fn admit<F>(
    view: &NetworkView,
    stamp: Stamp,
    request: &Request,
    from: From,
    revoked_since: impl FnOnce(AccountId, SubaccountToken) -> F,
) -> Result<(), Answer>
where
    F: Future<Output = Result<Option<Timestamp>, Answer>>,
{
    if let Some(account) = request.account() {
        if view.directory().swarms().is_empty() {
            return Err(Answer::error(500, "No swarms known!"));
        }
        if !view.is_ours(account) {
            return Err(view.swarm_members(account).to_answer(421, stamp));
        }
    }
    authorise(request, stamp.t, from, revoked_since).await
}
