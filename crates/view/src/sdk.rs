//! What screens read. Reading for a screen is no use of the profile (see the crate's header), so all of it goes through
//! [`Account::look`].

use conclave_client::session::{Call, HistoryPlace};
use conclave_client::settings::Settings;
use conclave_client::types::{
    AccountInfo, ChatSummary, ContactInfo, Draft, Message, MessageId, MessageState, Place, SentState, Status,
};
use conclave_client::{Account, Clock as _, Error, SystemClock};
use serde::de::DeserializeOwned;

async fn read<T: DeserializeOwned>(session: &Account, call: Call) -> Result<T, Error> {
    let value = session.look(call).await?;
    serde_json::from_value(value)
        .map_err(|error| Error::bug(format!("an answer of the wrong shape: {error}")))
}

pub(crate) async fn account(session: &Account) -> Result<AccountInfo, Error> {
    read(session, Call::Account).await
}

pub(crate) async fn chats(session: &Account) -> Result<Vec<ChatSummary>, Error> {
    read(session, Call::Chats).await
}

/// The people one writes with, or those one wants nothing from.
pub(crate) async fn contacts(session: &Account, blocked: bool) -> Result<Vec<ContactInfo>, Error> {
    read(session, Call::Contacts { blocked }).await
}

pub(crate) async fn settings(session: &Account) -> Result<Settings, Error> {
    read(session, Call::Settings).await
}

pub(crate) async fn status(session: &Account) -> Result<Status, Error> {
    read(session, Call::Status).await
}

pub(crate) async fn draft(session: &Account, chat: &str) -> Result<Draft, Error> {
    read(session, Call::Draft { chat: chat.to_owned() }).await
}

pub(crate) async fn message(session: &Account, id: &MessageId) -> Result<Message, Error> {
    read(session, Call::FindMessage { id: id.to_string() }).await
}

/// How far a sent message has come, now.
pub(crate) async fn sent(session: &Account, id: &MessageId) -> Result<SentState, Error> {
    let (id, state) = (id.clone(), MessageState::Queued);
    read(session, Call::WaitFor { id, state, timeout_ms: 0 }).await
}

/// A page of a conversation, and whether it goes on in the direction of `place`.
pub(crate) async fn history(
    session: &Account,
    chat: &str,
    limit: usize,
    place: Place,
) -> Result<(Vec<Message>, bool), Error> {
    let back = !matches!(place, Place::After(_));
    let place = HistoryPlace::from(place);
    // One more than is wanted tells whether there are more.
    let asked = u32::try_from(limit.saturating_add(1)).unwrap_or(u32::MAX);
    let mut page: Vec<Message> =
        read(session, Call::History { chat: chat.to_owned(), limit: asked, place }).await?;
    if page.len() > limit {
        if back {
            page.drain(..page.len().saturating_sub(limit));
        }
        page.truncate(limit);
        return Ok((page, true));
    }
    // Fewer came, because there are no more, or because these were as much as is handed out at once.
    let Some(end) = (if back { page.first() } else { page.last() }) else { return Ok((page, false)) };
    let beyond = if back { Place::Before(end.id.clone()) } else { Place::After(end.id.clone()) };
    let call = Call::History { chat: chat.to_owned(), limit: 1, place: HistoryPlace::from(beyond) };
    match read::<Vec<Message>>(session, call).await {
        Ok(beyond) => Ok((page, !beyond.is_empty())),
        // It has gone meanwhile; an event tells that, and all is read anew.
        Err(error) if error.kind() == "unknown_message" => Ok((page, false)),
        Err(error) => Err(error),
    }
}

/// Network time, milliseconds since the epoch, as far as the status tells.
pub(crate) fn now(clock_offset_ms: i64) -> u64 {
    SystemClock.now().as_millis().saturating_add_signed(clock_offset_ms)
}

/// The messages around one, and whether there are older and newer ones.
pub(crate) async fn around(
    session: &Account,
    chat: &str,
    limit: usize,
    id: &MessageId,
) -> Result<(Vec<Message>, bool, bool), Error> {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let place = HistoryPlace::from(Place::Around(id.clone()));
    let page: Vec<Message> = read(session, Call::History { chat: chat.to_owned(), limit, place }).await?;
    let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok((page, false, false)) };
    let (_, older) = history(session, chat, 0, Place::Before(first.id.clone())).await?;
    let (_, newer) = history(session, chat, 0, Place::After(last.id.clone())).await?;
    Ok((page, older, newer))
}

/// What is known of a chat and of the other side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) own: String,
    pub(crate) own_name: String,
    pub(crate) summary: Option<ChatSummary>,
    pub(crate) contact: Option<ContactInfo>,
    pub(crate) clock_offset: i64,
    /// Bytes of the largest file that the network takes.
    pub(crate) largest_file: u64,
}

impl Facts {
    pub(crate) async fn read(session: &Account, chat: &str) -> Result<Self, Error> {
        let account = account(session).await?;
        let summary = chats(session).await?.into_iter().find(|summary| summary.chat == chat);
        let mut contact = None;
        for blocked in [false, true] {
            if contact.is_none() {
                contact = contacts(session, blocked).await?.into_iter().find(|one| one.account_id == chat);
            }
        }
        let Status { clock_offset_ms, largest_file, .. } = status(session).await?;
        Ok(Self {
            own: account.account_id,
            own_name: account.name,
            summary,
            contact,
            clock_offset: clock_offset_ms,
            largest_file,
        })
    }

    pub(crate) fn blocked(&self) -> bool {
        let summary = self.summary.as_ref().is_some_and(|summary| summary.blocked);
        summary || self.contact.as_ref().is_some_and(|contact| contact.blocked)
    }

    /// What the other side calls itself.
    pub(crate) fn name(&self) -> Option<String> {
        let summary = self.summary.as_ref().and_then(|summary| summary.name.clone());
        summary.or_else(|| self.contact.as_ref().and_then(|contact| contact.name.clone()))
    }

    /// What its owner calls it.
    pub(crate) fn nickname(&self) -> Option<String> {
        let summary = self.summary.as_ref().and_then(|summary| summary.nickname.clone());
        summary.or_else(|| self.contact.as_ref().and_then(|contact| contact.nickname.clone()))
    }

    /// What the two who write in a chat are called, by account id, where that is known.
    pub(crate) fn names(&self, chat: &str) -> std::collections::BTreeMap<String, String> {
        let mut names = std::collections::BTreeMap::from([(self.own.clone(), self.own_name.clone())]);
        if chat != self.own
            && let Some(name) = self.nickname().or_else(|| self.name())
        {
            names.insert(chat.to_owned(), name);
        }
        names
    }
}
