//! Everything a session can be asked, as data: the same in this process and over the socket.

use std::path::Path;
use std::time::Duration;

use conclave_proto::network::NetworkFile;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroize as _;

use crate::client::Client;
use crate::error::Error;
use crate::network::NetworkError;
use crate::profile::OpenError;
use crate::said::Timer;
use crate::settings::SettingsChange;
use crate::store::{Deletion, Place, StoreError};
use crate::types::{Draft, MessageId, MessageState, NewAttachment, NewMessage, Search};

/// Nobody waits longer in one call.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// What the owner may take for a call that only needs its database, or a few seconds of the network.
const SHORT_CALL: Duration = Duration::from_secs(60);
/// What it may take for a whole round over the swarm: some pages from slow members.
const LONG_CALL: Duration = Duration::from_secs(10 * 60);

/// Pixels of a profile picture whose size nobody says.
const USUAL_SIDE: u32 = 128;

/// One request: method and parameters of JSON-RPC. What each says here is its published description, too.
///
/// A `chat` is an account id, the name of a contact, or `me` for the notes to oneself. Times are milliseconds since the
/// Unix epoch unless a name says otherwise.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "method", content = "params", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Call {
    /// Who this account is.
    Account,
    /// Whose account id a text means: an account id, the name of a contact, or `me`.
    Resolve {
        /// The text.
        chat: String,
    },
    /// Fails unless the profile is in the network that this network file describes.
    CheckNetwork {
        /// The content of a network file.
        file: String,
    },
    /// Queues a message. It is durable on this machine when the answer comes, and is sent in the background; `state` events
    /// and `wait_for` tell how far it has come.
    Send(NewMessage),
    /// Waits until a sent message has come as far as `state`, has failed, or the time is over; tells how far it is then.
    WaitFor {
        /// The message.
        id: MessageId,
        /// How far.
        state: MessageState,
        /// How long to wait, in milliseconds; a day at most.
        timeout_ms: u64,
    },
    /// Sends a message of one's own that failed once more, as a new message with the present time; the failed one is deleted
    /// from one's own devices. Gives the new one.
    SendAgain {
        /// The message.
        id: MessageId,
    },
    /// Takes a queued message back, if no service node has it yet; tells how far it is.
    TakeBack {
        /// The message.
        id: MessageId,
    },
    /// Waits until everything that is to be sent has been, or the time is over; how much still waits then.
    WaitUntilSent {
        /// How long to wait, in milliseconds; a day at most.
        timeout_ms: u64,
    },
    /// Asks the own swarm for everything new, once. New messages come as events, too.
    Fetch,
    /// The conversations, as a list shows them: pinned ones first, then that with the newest message.
    Chats,
    /// Messages of a conversation, oldest first.
    History {
        /// Which conversation.
        chat: String,
        /// At most so many, and never more than 1,000.
        limit: u32,
        /// Which part.
        #[serde(flatten)]
        place: HistoryPlace,
    },
    /// What was begun to be written in a conversation on this device.
    Draft {
        /// Which conversation.
        chat: String,
    },
    /// Keeps what was begun to be written; empty: nothing.
    SetDraft {
        /// Which conversation.
        chat: String,
        /// What.
        #[serde(flatten)]
        draft: Draft,
    },
    /// Messages that no `listen` has printed yet, in the order they came.
    Unprinted {
        /// At most so many, and never more than 1,000.
        limit: u32,
    },
    /// Notes that messages were printed.
    MarkPrinted {
        /// Which.
        ids: Vec<MessageId>,
    },
    /// A message by its id, or the beginning of one (six digits or more).
    FindMessage {
        /// The id, or its beginning.
        id: String,
    },
    /// Replaces the text of a message of one's own, for a day after it was sent.
    Edit {
        /// The message.
        id: MessageId,
        /// The new text.
        text: String,
    },
    /// Reacts to a message, or takes a reaction back.
    React {
        /// The message.
        id: MessageId,
        /// One emoji.
        emoji: String,
        /// Take it back.
        #[serde(default)]
        remove: bool,
    },
    /// Deletes a message.
    Delete {
        /// The message.
        id: MessageId,
        /// From where.
        from: Deletion,
    },
    /// Notes that a conversation has been seen up to this message, on all devices.
    MarkRead {
        /// The message.
        id: MessageId,
    },
    /// Marks a conversation as unread, or takes the mark away, on all devices.
    SetUnread {
        /// Which conversation.
        chat: String,
        /// Whether it is to be marked.
        unread: bool,
    },
    /// Tells the other side that one is typing, or has stopped; to be repeated every ten seconds. Nothing is told unless
    /// the setting `typing` is on.
    SetTyping {
        /// Which conversation.
        chat: String,
        /// Typing, or stopped.
        typing: bool,
    },
    /// Fetches a file of a message, in the background: `file_progress` and `changed` events tell how far it is. A file of one's own
    /// that could not be sent is here; `send_again` sends its message and all of its files.
    FetchFile {
        /// The message.
        id: MessageId,
        /// Which of its files, from 0.
        #[serde(default)]
        place: u32,
        /// Also write its content to the profile's own folder when it is here, whoever runs by then; `path` of the attachment says where
        /// it is.
        #[serde(default)]
        write: bool,
    },
    /// Fetches a file no more, and forgets what has come of it.
    CancelFile {
        /// The message.
        id: MessageId,
        /// Which of its files, from 0.
        #[serde(default)]
        place: u32,
    },
    /// Writes the content of a file that is here to a place on this machine; `path` of the attachment says where it is then. A path
    /// that is not whole is one of the folder that `conclave rpc` runs in.
    SaveFile {
        /// The message.
        id: MessageId,
        /// Which of its files, from 0.
        #[serde(default)]
        place: u32,
        /// A folder, where it gets a name like the one its sender gave it, or a file that does not exist. Without it, the profile's
        /// own folder, from which it goes when its message goes.
        #[serde(default)]
        to: Option<String>,
    },
    /// Where the encrypted bytes of a file that is here lie, and what opens them: for programs that show content without a copy of
    /// it on the disk.
    OpenFile {
        /// The message.
        id: MessageId,
        /// Which of its files, from 0.
        #[serde(default)]
        place: u32,
    },
    /// Tells the author that a file of this message was saved.
    TellSaved {
        /// The message.
        id: MessageId,
    },
    /// Changes how new messages of a conversation disappear.
    SetTimer {
        /// Which conversation.
        chat: String,
        /// How.
        timer: Timer,
    },
    /// Changes the place of a conversation, on all devices.
    SetPriority {
        /// Which conversation.
        chat: String,
        /// 0 the usual place, above it pinned (higher is further up), -1 hidden.
        priority: i32,
    },
    /// Mutes a conversation, on all devices: nothing of it is notified.
    SetMuted {
        /// Which conversation.
        chat: String,
        /// Until when, milliseconds since the epoch; `null` ends it.
        #[serde(default)]
        until: Option<u64>,
    },
    /// Looks for messages, newest first, in any script.
    Search(Search),
    /// Asks the site of the first https:// link in a text what it leads to. The site sees this machine's address, unless
    /// the setting `preview_proxy` names a proxy.
    LookUpPreview {
        /// The text.
        text: String,
    },
    /// The contacts, by name.
    Contacts {
        /// Those one has blocked, instead.
        #[serde(default)]
        blocked: bool,
    },
    /// Accepts a message request.
    Accept {
        /// Whose.
        chat: String,
    },
    /// Blocks somebody, or ends that, on all devices.
    SetBlocked {
        /// Whom.
        chat: String,
        /// Whether.
        blocked: bool,
    },
    /// Gives a contact a name of one's own, on all devices.
    SetNickname {
        /// Whom.
        chat: String,
        /// The name; `null` takes it away.
        #[serde(default)]
        nickname: Option<String>,
    },
    /// Removes a contact and the conversation with them, on all devices. Also declines a request.
    RemoveContact {
        /// Whom.
        chat: String,
    },
    /// Changes the name others see, on all devices.
    SetDisplayName {
        /// The name, 1 to 100 bytes.
        name: String,
    },
    /// Makes the middle of a picture the account's own, on all devices. Of the fields, `path` and `sealed` count. It is in its swarms
    /// when the answer comes; others see it with the next message they get.
    SetPicture(NewAttachment),
    /// Takes the account's picture away, on all devices.
    RemovePicture,
    /// The profile picture of a contact, or of the account itself (`me`), small; `null` if there is none, or it is not here yet.
    /// Pictures of contacts are fetched by themselves, and `chat_changed` tells when one has come; those of strangers are not.
    Picture {
        /// Whose.
        chat: String,
        /// At most so many pixels a side, and never more than 600; 0 is 128.
        #[serde(default)]
        side: u32,
    },
    /// What this device tells others, and what it asks for.
    Settings,
    /// Changes settings; what is not named stays.
    SetSettings(SettingsChange),
    /// How the profile stands with the network: nodes, guard, paths, clock, queue.
    Status,
    /// Reads the whole database and fails if it is damaged. Takes a second for each few hundred megabytes.
    CheckDatabase,
    /// From now on, what happens comes as notifications `event`. Once for a connection.
    Subscribe,
    /// Locks the profile: nothing is received, and its messages are closed until `unlock`.
    Lock,
    /// Unlocks the profile.
    Unlock {
        /// Its passphrase.
        passphrase: Secret,
    },
    /// Protects the profile by another passphrase, by one for the first time, or by none. Everything is encrypted anew, some
    /// seconds for each gigabyte; other calls wait so long.
    ChangePassphrase {
        /// The present one, if there is one.
        #[serde(default)]
        present: Option<Secret>,
        /// The new one; `null`: none from now on.
        #[serde(default)]
        new: Option<Secret>,
    },
    /// The recovery phrase. Whoever sees it has the account, so the passphrase is asked for once more.
    RecoveryPhrase {
        /// The profile's passphrase, if it has one.
        #[serde(default)]
        passphrase: Option<Secret>,
    },
}

/// Which part of a conversation is read; the newest messages, if nothing is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryPlace {
    /// Messages directly before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<MessageId>,
    /// Messages directly after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<MessageId>,
    /// This one, in the middle of what surrounds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub around: Option<MessageId>,
}

impl HistoryPlace {
    fn place(self) -> Result<Place, Error> {
        match (self.before, self.after, self.around) {
            (None, None, None) => Ok(Place::Newest),
            (Some(id), None, None) => Ok(Place::Before(id)),
            (None, Some(id), None) => Ok(Place::After(id)),
            (None, None, Some(id)) => Ok(Place::Around(id)),
            _ => {
                Err(StoreError::NotAllowed("only one of `before`, `after` and `around` can be asked for")
                    .into())
            }
        }
    }
}

impl From<Place> for HistoryPlace {
    fn from(place: Place) -> Self {
        let none = Self::default();
        match place {
            Place::Newest => none,
            Place::Before(id) => Self { before: Some(id), ..none },
            Place::After(id) => Self { after: Some(id), ..none },
            Place::Around(id) => Self { around: Some(id), ..none },
        }
    }
}

/// Whom a text means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resolved {
    /// The account id, 66 hex digits.
    pub account_id: String,
}

/// The words of a recovery phrase.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryWords {
    /// Thirteen words.
    pub words: Secret,
}

/// Something that is not printed, and wiped when it is of no use any more.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
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
    /// The same with whole paths: those that are not mean the folder of this process, and what is asked may be done by another.
    pub(super) fn with_whole_paths(mut self) -> Self {
        let whole = |path: &mut String| {
            if let Ok(Some(absolute)) =
                std::path::absolute(&*path).map(|path| path.to_str().map(str::to_owned))
            {
                *path = absolute;
            }
        };
        self.paths().for_each(whole);
        self
    }

    /// Whether its paths mean the same to whoever asks and to whoever answers.
    pub(super) fn has_whole_paths(&mut self) -> bool {
        self.paths().all(|path| Path::new(path).is_absolute())
    }

    /// Whether it changes nothing, and can take long: it is given up when the profile is locked.
    pub(super) const fn waits(&self) -> bool {
        matches!(
            self,
            Self::WaitFor { .. }
                | Self::WaitUntilSent { .. }
                | Self::Fetch
                | Self::CheckNetwork { .. }
                | Self::LookUpPreview { .. }
                | Self::CheckDatabase
        )
    }

    /// Its places on this machine.
    fn paths(&mut self) -> impl Iterator<Item = &mut String> {
        let (files, file, to) = match self {
            Self::Send(new) => (new.attachments.as_mut_slice(), None, None),
            Self::SetPicture(file) => (Default::default(), Some(file), None),
            Self::SaveFile { to, .. } => (Default::default(), None, to.as_mut()),
            _ => (Default::default(), None, None),
        };
        files.iter_mut().chain(file).map(|file| &mut file.path).chain(to)
    }

    /// How long an attached program waits for the answer before it calls the owner stuck.
    pub(super) fn patience(&self) -> Duration {
        match self {
            Self::WaitFor { timeout_ms, .. } | Self::WaitUntilSent { timeout_ms } => {
                Duration::from_millis(*timeout_ms).min(MAX_WAIT) + SHORT_CALL
            }
            // A large file takes a while to be encrypted, or decrypted.
            Self::Fetch | Self::CheckDatabase | Self::SaveFile { .. } | Self::ChangePassphrase { .. } => {
                LONG_CALL
            }
            Self::Send(new) if !new.attachments.is_empty() => LONG_CALL,
            Self::SetPicture(_) => LONG_CALL,
            _ => SHORT_CALL,
        }
    }
}

/// Does what is asked.
pub(super) async fn answer(client: &Client, call: Call) -> Result<Value, Error> {
    Ok(match call {
        Call::Account => json(client.account().await?),
        Call::Resolve { chat } => {
            let account_id = client.resolve_chat(&chat).await?.to_hex();
            json(Resolved { account_id })
        }
        Call::CheckNetwork { file } => {
            check_network(client, &file)?;
            Value::Null
        }
        Call::Send(new) => {
            let to = client.resolve(&new.to).await?;
            json(client.send_new(&to, new).await?)
        }
        Call::WaitFor { id, state, timeout_ms } => {
            let timeout = Duration::from_millis(timeout_ms).min(MAX_WAIT);
            json(client.wait_for(&id, state, timeout).await?)
        }
        Call::SendAgain { id } => json(client.send_again(&id).await?),
        Call::TakeBack { id } => json(client.take_back(&id).await?),
        Call::WaitUntilSent { timeout_ms } => {
            json(client.wait_until_sent(Duration::from_millis(timeout_ms).min(MAX_WAIT)).await?)
        }
        Call::Fetch => json(client.fetch().await?),
        Call::Chats => json(client.chats().await?),
        Call::History { chat, limit, place } => {
            let chat = client.resolve_chat(&chat).await?;
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            json(client.history_at(&chat, limit, place.place()?).await?)
        }
        Call::Draft { chat } => json(client.draft(&client.resolve_chat(&chat).await?).await?),
        Call::SetDraft { chat, draft } => {
            json(client.set_draft(&client.resolve_chat(&chat).await?, draft).await?)
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
        Call::FetchFile { id, place, write: false } => json(client.fetch_file(&id, place).await?),
        Call::FetchFile { id, place, write: true } => json(client.download_file(&id, place).await?),
        Call::CancelFile { id, place } => json(client.cancel_file(&id, place).await?),
        Call::SaveFile { id, place, to } => {
            json(client.save_file(&id, place, to.as_deref().map(std::path::Path::new)).await?)
        }
        Call::OpenFile { id, place } => json(client.open_file(&id, place).await?),
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
        Call::SetPicture(file) => json(client.set_picture(&file).await?),
        Call::RemovePicture => json(client.remove_picture().await?),
        Call::Picture { chat, side } => {
            let side = if side == 0 { USUAL_SIDE } else { side };
            json(client.picture(&client.resolve_chat(&chat).await?, side).await?)
        }
        Call::Settings => json(client.settings().await?),
        Call::SetSettings(change) => json(client.set_settings(change).await?),
        Call::Status => json(client.status().await?),
        Call::CheckDatabase => json(client.check_database().await?),
        // Served by the connection, which is who gets the events, and by the owner.
        Call::Subscribe
        | Call::Lock
        | Call::Unlock { .. }
        | Call::ChangePassphrase { .. }
        | Call::RecoveryPhrase { .. } => Value::Null,
    })
}

fn check_network(client: &Client, file: &str) -> Result<(), Error> {
    let asked =
        NetworkFile::from_json(file.as_bytes()).map_err(|error| NetworkError::BadFile(error.to_string()))?;
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
