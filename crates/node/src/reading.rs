//! Answers that change nothing.

use std::sync::Arc;

use conclave_crypto::AccountId;
use conclave_proto::rpc::answers::{InfoAnswer, RetrieveAnswer};
use conclave_proto::rpc::chunk::FILE_SERVER;
use conclave_proto::rpc::{
    Answer, Body, CONCLAVE_DIRECTORY, CONCLAVE_WAIT, Dict, GetExpiries, NodeState, OxendRequest, Retrieve,
    RevokedSubaccounts, Value,
};
use conclave_proto::seed::SeedRequest;
use conclave_proto::{SwarmId, Version, active_nodes, seed};
use serde_json::json;

use crate::chunks;
use crate::hooks::Misbehave;
use crate::node::{ADVERTISED_VERSION, HARDFORK, Shared};
use crate::store::{MessageStore, Query, StoreError};

/// Our methods that every node of ours answers, as `info` announces them; besides those about chunks, if it keeps some.
/// (docs/protocol/extensions)
const EXTENSIONS: [&str; 2] = [CONCLAVE_DIRECTORY, CONCLAVE_WAIT];

/// Pages that are read at once, by everybody. Reading blocks a thread, and each page may have megabytes.
pub(crate) const READS_AT_ONCE: usize = 16;

impl Shared {
    /// Reads from the store, in turn and on a thread where that may take its time.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&MessageStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Answer> {
        let store = self.store.clone();
        let _turn = self.reads.acquire().await;
        tokio::task::spawn_blocking(move || work(&store))
            .await
            .unwrap_or_else(|_| Err(StoreError::Failed("the reading thread ended".into())))
            .map_err(|error| {
                tracing::error!(%error, "the message store could not be read");
                Answer::error(500, "request failed")
            })
    }

    /// What conditions are asked of. (storage-and-onion 2.20)
    pub(crate) fn state(&self) -> NodeState {
        NodeState {
            hf: HARDFORK,
            version: ADVERTISED_VERSION.map(u64::from),
            height: self.view().directory().height,
        }
    }
}

pub(crate) async fn retrieve(
    shared: &Arc<Shared>,
    retrieve: Retrieve,
    max_size: u64,
) -> Result<Answer, Answer> {
    let page = shared
        .read(move |store| {
            store.retrieve(&Query {
                owner: &retrieve.account,
                namespace: retrieve.namespace,
                after: retrieve.last_hash,
                max_count: retrieve.max_count,
                max_size,
            })
        })
        .await?;
    let mut messages = page.messages;
    if shared.hooks.misbehave == Misbehave::OtherData {
        messages.iter_mut().for_each(|message| message.data.reverse());
    }
    Ok(RetrieveAnswer { messages, more: page.more }.to_answer(shared.stamp()))
}

/// The answer has neither `t` nor `hf`. (storage-and-onion 1.5, 2.14)
pub(crate) async fn expiries(shared: &Arc<Shared>, request: GetExpiries) -> Result<Answer, Answer> {
    let expiries = shared.read(move |store| store.expiries(&request.account, &request.messages)).await?;
    let expiries: Dict = expiries.into_iter().map(|(hash, time)| (hash.to_string(), time.into())).collect();
    Ok(Answer::ok(Dict::from([("expiries".to_owned(), expiries.into())])))
}

pub(crate) async fn revoked(shared: &Arc<Shared>, request: RevokedSubaccounts) -> Result<Answer, Answer> {
    let tokens = shared.read(move |store| store.revoked(&request.account)).await?;
    let tokens: Vec<Value> = tokens.into_iter().map(|token| token.0.to_vec().into()).collect();
    let mut result = Dict::from([("revoked_subaccounts".to_owned(), tokens.into())]);
    shared.stamp().add_to(&mut result);
    Ok(Answer::ok(result))
}

pub(crate) fn info(shared: &Shared) -> Answer {
    let info = InfoAnswer { version: Version(ADVERTISED_VERSION), timestamp: shared.now() };
    let mut answer = info.to_answer(shared.stamp());
    if let Body::Value(Value::Dict(fields)) = &mut answer.body {
        // Which of our extensions this node answers (docs/protocol/extensions).
        let chunks = shared.chunks.as_ref().map_or(&[][..], |_| &chunks::METHODS);
        let mut offers: Vec<Value> =
            [&EXTENSIONS[..], chunks].concat().into_iter().map(Value::from).collect();
        offers.extend(shared.file_server.get().map(|port| format!("{FILE_SERVER}{port}").into()));
        fields.insert("conclave".to_owned(), offers.into());
    }
    answer
}

pub(crate) fn swarm(shared: &Shared, account: &AccountId) -> Answer {
    shared.view().swarm_members(account).to_answer(200, shared.stamp())
}

/// Ours: the signed directory.
pub(crate) fn directory(shared: &Shared) -> Answer {
    let mut result = seed::directory_answer(shared.view().signed());
    shared.stamp().add_to(&mut result);
    Answer::ok(result)
}

pub(crate) fn active_nodes(shared: &Shared) -> Answer {
    let view = shared.view();
    let nodes = view.directory().nodes().iter();
    let active: Vec<_> = nodes.filter(|node| node.swarm != SwarmId::NONE).copied().collect();
    Answer { code: 200, body: Body::Binary(active_nodes::encode(&active)) }
}

/// What the daemon of a ledger would be asked. There is none: the directory answers for it. (storage-and-onion 2.17)
pub(crate) fn oxend_request(shared: &Shared, request: &OxendRequest) -> Answer {
    if request.endpoint != "get_service_nodes" {
        return Answer::error(400, "this network has no name service; names cannot be resolved here");
    }
    // The same question as the seed call's, and the same answer, without its envelope and the signed directory.
    let call = json!({"method": "get_service_nodes", "params": request.params});
    let Ok(call) = SeedRequest::from_json(call.to_string().as_bytes()) else {
        return Answer::error(400, "Unknown oxend error");
    };
    let view = shared.view();
    let mut answer = call.answer(view.directory().nodes(), view.directory().height, None);
    let mut nodes = answer.get_mut("result").map(serde_json::Value::take).unwrap_or_default();
    add_ledger_fields(&mut nodes);
    let mut result = Dict::from([("result".to_owned(), Value::Json(nodes))]);
    shared.stamp().add_to(&mut result);
    Answer::ok(result)
}

/// What a ledger's daemon says beside the nodes. Nobody is known to read it.
pub(crate) fn add_ledger_fields(nodes: &mut serde_json::Value) {
    if let Some(fields) = nodes.as_object_mut() {
        let [hardfork, revision] = HARDFORK;
        fields.insert("hardfork".to_owned(), hardfork.into());
        fields.insert("snode_revision".to_owned(), revision.into());
        fields.insert("block_hash".to_owned(), "0".repeat(64).into());
    }
}
