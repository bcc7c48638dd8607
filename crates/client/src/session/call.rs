//! Everything a session can be asked, as data: the same in this process and over the socket.

use std::time::Duration;

use conclave_proto::network::NetworkFile;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroize as _;

use crate::client::Client;
use crate::error::Error;
use crate::network::NetworkError;
use crate::profile::OpenError;
use crate::settings::Settings;
use crate::types::{MessageId, MessageState};

/// Nobody waits longer in one call.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// What the owner may take for a call that only needs its database, or a few seconds of the network.
const SHORT_CALL: Duration = Duration::from_secs(60);
/// What it may take for a whole round over the swarm: some pages from slow members.
const LONG_CALL: Duration = Duration::from_secs(10 * 60);

/// One request: method and parameters of JSON-RPC.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "method", content = "params", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the method of that name of `Session`")]
#[non_exhaustive]
pub enum Call {
    Account,
    /// Whether the caller means the network this profile is in.
    CheckNetwork {
        file: String,
    },
    Send {
        to: String,
        text: String,
    },
    WaitFor {
        id: MessageId,
        state: MessageState,
        timeout_ms: u64,
    },
    TakeBack {
        id: MessageId,
    },
    Fetch,
    Chats,
    History {
        chat: String,
        limit: u32,
    },
    Unprinted {
        limit: u32,
    },
    MarkPrinted {
        ids: Vec<MessageId>,
    },
    Status,
    /// Events follow as notifications.
    Subscribe,
    Lock,
    AutoLock {
        seconds: Option<u32>,
    },
    Unlock {
        passphrase: Secret,
    },
}

/// Something that is not printed, and wiped when it is of no use any more.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl Call {
    /// How long an attached program waits for the answer before it calls the owner stuck.
    pub(super) fn patience(&self) -> Duration {
        match self {
            Self::WaitFor { timeout_ms, .. } => Duration::from_millis(*timeout_ms).min(MAX_WAIT) + SHORT_CALL,
            Self::Fetch => LONG_CALL,
            _ => SHORT_CALL,
        }
    }
}

/// Does what is asked.
pub(super) async fn answer(client: &Client, call: Call) -> Result<Value, Error> {
    Ok(match call {
        Call::Account => json(client.account().await?),
        Call::CheckNetwork { file } => {
            check_network(client, &file)?;
            Value::Null
        }
        Call::Send { to, text } => {
            let to = client.resolve(&to).await?;
            json(client.send_text(&to, &text).await?)
        }
        Call::WaitFor { id, state, timeout_ms } => {
            let timeout = Duration::from_millis(timeout_ms).min(MAX_WAIT);
            json(client.wait_for(&id, state, timeout).await?)
        }
        Call::TakeBack { id } => json(client.take_back(&id).await?),
        Call::Fetch => json(client.fetch().await?),
        Call::Chats => json(client.chats().await?),
        Call::History { chat, limit } => {
            let chat = client.resolve(&chat).await?;
            json(client.history(&chat, usize::try_from(limit).unwrap_or(usize::MAX)).await?)
        }
        Call::Unprinted { limit } => {
            json(client.unprinted(usize::try_from(limit).unwrap_or(usize::MAX)).await?)
        }
        Call::MarkPrinted { ids } => {
            client.mark_printed(ids).await?;
            Value::Null
        }
        Call::Status => json(client.status().await?),
        Call::AutoLock { seconds } => {
            let settings = client.settings().await?;
            client.set_settings(Settings { auto_lock: seconds, ..settings }).await?;
            Value::Null
        }
        // Served by the connection, which is who gets the events, and by the owner.
        Call::Subscribe | Call::Lock | Call::Unlock { .. } => Value::Null,
    })
}

fn check_network(client: &Client, file: &str) -> Result<(), Error> {
    let asked = NetworkFile::from_json(file.as_bytes()).map_err(|_| NetworkError::NoNetwork)?;
    let own = client.network_file();
    if own.same_network(&asked) {
        return Ok(());
    }
    let detail = if own.network_id == asked.network_id { " (which has another registry key)" } else { "" };
    Err(OpenError::OtherNetwork { own: own.network_id.clone(), other: asked.network_id, detail }.into())
}

pub(super) fn json<T: Serialize>(value: T) -> Value {
    serde_json::to_value(value).expect("our own types have string keys and no failing serializers")
}
