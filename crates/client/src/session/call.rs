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
use crate::said::Timer;
use crate::settings::Settings;
use crate::store::Deletion;
use crate::types::{MessageId, MessageState, NewMessage, Search};

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
    Send(NewMessage),
    WaitFor {
        id: MessageId,
        state: MessageState,
        timeout_ms: u64,
    },
    TakeBack {
        id: MessageId,
    },
    WaitUntilSent {
        timeout_ms: u64,
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
    FindMessage {
        id: String,
    },
    Edit {
        id: MessageId,
        text: String,
    },
    React {
        id: MessageId,
        emoji: String,
        #[serde(default)]
        remove: bool,
    },
    Delete {
        id: MessageId,
        from: Deletion,
    },
    MarkRead {
        id: MessageId,
    },
    SetUnread {
        chat: String,
        unread: bool,
    },
    SetTyping {
        chat: String,
        typing: bool,
    },
    TellSaved {
        id: MessageId,
    },
    SetTimer {
        chat: String,
        timer: Timer,
    },
    SetPriority {
        chat: String,
        priority: i32,
    },
    SetMuted {
        chat: String,
        until: Option<u64>,
    },
    Search(Search),
    LookUpPreview {
        text: String,
    },
    Contacts {
        #[serde(default)]
        blocked: bool,
    },
    Accept {
        chat: String,
    },
    SetBlocked {
        chat: String,
        blocked: bool,
    },
    SetNickname {
        chat: String,
        nickname: Option<String>,
    },
    RemoveContact {
        chat: String,
    },
    SetDisplayName {
        name: String,
    },
    Settings,
    SetSettings(Settings),
    Status,
    /// Events follow as notifications.
    Subscribe,
    Lock,
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
            Self::WaitFor { timeout_ms, .. } | Self::WaitUntilSent { timeout_ms } => {
                Duration::from_millis(*timeout_ms).min(MAX_WAIT) + SHORT_CALL
            }
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
        Call::Send(new) => {
            let to = client.resolve(&new.to).await?;
            json(client.send(new.to(to)).await?)
        }
        Call::WaitFor { id, state, timeout_ms } => {
            let timeout = Duration::from_millis(timeout_ms).min(MAX_WAIT);
            json(client.wait_for(&id, state, timeout).await?)
        }
        Call::TakeBack { id } => json(client.take_back(&id).await?),
        Call::WaitUntilSent { timeout_ms } => {
            json(client.wait_until_sent(Duration::from_millis(timeout_ms).min(MAX_WAIT)).await?)
        }
        Call::Fetch => json(client.fetch().await?),
        Call::Chats => json(client.chats().await?),
        Call::History { chat, limit } => {
            let chat = client.resolve_chat(&chat).await?;
            json(client.history(&chat, usize::try_from(limit).unwrap_or(usize::MAX)).await?)
        }
        Call::Unprinted { limit } => {
            json(client.unprinted(usize::try_from(limit).unwrap_or(usize::MAX)).await?)
        }
        Call::MarkPrinted { ids } => {
            client.mark_printed(ids).await?;
            Value::Null
        }
        Call::FindMessage { id } => json(client.find_message(&id).await?),
        Call::Edit { id, text } => json(client.edit(&id, &text).await?),
        Call::React { id, emoji, remove } => json(client.react(&id, &emoji, remove).await?),
        Call::Delete { id, from } => json(client.delete(&id, from).await?),
        Call::MarkRead { id } => json(client.mark_read(&id).await?),
        Call::SetUnread { chat, unread } => {
            json(client.set_unread(&client.resolve_chat(&chat).await?, unread).await?)
        }
        Call::SetTyping { chat, typing } => {
            json(client.set_typing(&client.resolve_chat(&chat).await?, typing).await?)
        }
        Call::TellSaved { id } => json(client.tell_saved(&id).await?),
        Call::SetTimer { chat, timer } => {
            json(client.set_timer(&client.resolve_chat(&chat).await?, timer).await?)
        }
        Call::SetPriority { chat, priority } => {
            json(client.set_priority(&client.resolve_chat(&chat).await?, priority).await?)
        }
        Call::SetMuted { chat, until } => {
            json(client.set_muted(&client.resolve_chat(&chat).await?, until).await?)
        }
        Call::LookUpPreview { text } => json(client.look_up_preview(&text).await?),
        Call::Search(search) => json(client.search(search).await?),
        Call::Contacts { blocked } => json(client.contacts(blocked).await?),
        Call::Accept { chat } => json(client.accept(&client.resolve_chat(&chat).await?).await?),
        Call::SetBlocked { chat, blocked } => {
            json(client.set_blocked(&client.resolve_chat(&chat).await?, blocked).await?)
        }
        Call::SetNickname { chat, nickname } => {
            let chat = client.resolve_chat(&chat).await?;
            json(client.set_nickname(&chat, nickname.as_deref()).await?)
        }
        Call::RemoveContact { chat } => {
            json(client.remove_contact(&client.resolve_chat(&chat).await?).await?)
        }
        Call::SetDisplayName { name } => json(client.set_display_name(&name).await?),
        Call::Settings => json(client.settings().await?),
        Call::SetSettings(settings) => json(client.set_settings(settings).await?),
        Call::Status => json(client.status().await?),
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
