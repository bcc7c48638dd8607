//! What one can do beside writing texts. Each is durable when it returns, and goes to others in the background.

use std::time::Duration;

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use conclave_proto::content::Content;
use rand_core::OsRng;
use tokio::time::Instant;

use super::{Client, check_text, message, told};
use crate::error::Error;
use crate::preview::{self, PreviewError};
use crate::profile::DisplayName;
use crate::said::{LinkPreview, Timer};
use crate::settings::{Settings, SettingsChange};
use crate::store::{Changes, ClientStore, Deletion, DraftRow, MAX_PAGE, OutgoingMessage, StoreError};
use crate::types::{ContactInfo, Draft, Message, MessageId, MessageState};

impl Client {
    /// An act that gives nothing but what it changed.
    async fn do_it(
        &self,
        work: impl FnOnce(&ClientStore, Timestamp) -> Result<Changes, StoreError> + Send + 'static,
    ) -> Result<(), Error> {
        self.shared.learn_time().await;
        self.shared.act(move |store, now| work(store, now).map(|changes| ((), changes))).await
    }

    pub(crate) async fn send_content(
        &self,
        to: &AccountId,
        content: Content,
        sent_at: Timestamp,
    ) -> Result<(), Error> {
        let to = *to;
        self.do_it(move |store, now| store.queue_content(&to, &content, sent_at, now)).await
    }

    pub(crate) async fn fill_disk(&self, full: bool) -> Result<(), Error> {
        Ok(self.shared.store.run(move |store| store.fill_up(full)).await?)
    }

    /// A message by its id, or the beginning of one.
    ///
    /// # Errors
    /// If none or several begin like this.
    pub async fn find_message(&self, id: &str) -> Result<Message, Error> {
        let id = id.to_owned();
        let row = self.shared.store.run(move |store| store.find_message(&id)).await?;
        Ok(message(&row))
    }

    /// Sends a message of one's own that failed once more, as a new message: its sent time is part of a message, and one that is
    /// too old is refused for good. The failed one goes from this account's devices, last, so that a crash in between leaves
    /// both. An answer to a message that is not here any more answers nothing.
    ///
    /// # Errors
    /// As [`Client::send`]; and if it is no message of one's own that failed.
    pub async fn send_again(&self, id: &MessageId) -> Result<Message, Error> {
        let wanted = id.clone();
        let row = self.shared.store.run(move |store| store.message(&wanted)).await?;
        let row = row.ok_or_else(|| Error::UnknownMessage(id.clone()))?;
        let failed = message(&row);
        if failed.state != Some(MessageState::Failed) {
            return Err(Error::refused("only messages that failed are sent again"));
        }
        let reply_to = match failed.reply_to {
            Some(quote) => self.find_message(quote.id.as_str()).await.ok().map(|answered| answered.id),
            None => None,
        };
        let outgoing = OutgoingMessage {
            chat: row.chat,
            text: failed.text,
            reply_to,
            preview: failed.preview,
            invitation: failed.invitation,
            files: crate::store::files_again(&row, &mut OsRng),
        };
        let sent = self.send(outgoing).await?;
        self.delete(id, Deletion::MyDevices).await?;
        Ok(sent)
    }

    /// Waits until everything that is to be sent has been, or the time is over; how much still waits then. What waits is
    /// tried again by whoever owns the profile next.
    ///
    /// # Errors
    /// What the database says.
    pub async fn wait_until_sent(&self, timeout: Duration) -> Result<u32, Error> {
        let deadline = Instant::now() + timeout;
        loop {
            // Registered before looking, so that nothing that happens in between is missed.
            let attempt = self.shared.attempts.notified();
            tokio::pin!(attempt);
            attempt.as_mut().enable();
            if self.still_waiting().await? == 0 {
                return Ok(0);
            }
            if tokio::time::timeout_at(deadline, attempt).await.is_err() {
                return self.still_waiting().await;
            }
        }
    }

    /// How much is to be sent that has not been.
    async fn still_waiting(&self) -> Result<u32, Error> {
        let now = self.shared.network.now();
        Ok(self.shared.store.run(move |store| store.waiting_count(now)).await?)
    }

    /// Replaces the text of a message of one's own, for a day after it was sent. Other programs show a text that quotes
    /// the old one.
    ///
    /// # Errors
    /// If it is too late, not one's own, or not a text.
    pub async fn edit(&self, id: &MessageId, text: &str) -> Result<(), Error> {
        check_text(text, false)?;
        let (id, text) = (id.clone(), text.to_owned());
        self.do_it(move |store, now| store.edit(&id, &text, now)).await
    }

    /// Reacts to a message with an emoji, or takes that back.
    ///
    /// # Errors
    /// If it is no emoji, the message is gone, or there were twenty in a minute.
    pub async fn react(&self, id: &MessageId, emoji: &str, remove: bool) -> Result<(), Error> {
        let (id, emoji) = (id.clone(), emoji.to_owned());
        self.do_it(move |store, now| store.react(&id, &emoji, remove, now)).await
    }

    /// Deletes a message.
    ///
    /// # Errors
    /// If it is another's and is to be deleted everywhere.
    pub async fn delete(&self, id: &MessageId, how: Deletion) -> Result<(), Error> {
        let id = id.clone();
        self.do_it(move |store, now| store.delete(&id, how, now)).await
    }

    /// Notes that the owner has seen a chat up to this message, on all devices; tells its authors, if the setting says so.
    ///
    /// # Errors
    /// [`StoreError::UnknownMessage`].
    pub async fn mark_read(&self, id: &MessageId) -> Result<(), Error> {
        let id = id.clone();
        self.do_it(move |store, now| store.mark_read(&id, now)).await
    }

    /// Keeps what its owner has begun to write in a conversation, on this device; an empty draft is none.
    ///
    /// # Errors
    /// If it is too large.
    pub async fn set_draft(&self, chat: &AccountId, draft: Draft) -> Result<(), Error> {
        let (chat, row) = (*chat, DraftRow { text: draft.text, reply_to: draft.reply_to });
        self.shared.act(move |store, _| store.set_draft(&chat, &row).map(|changes| ((), changes))).await
    }

    /// What its owner has begun to write in a conversation.
    ///
    /// # Errors
    /// What the database says.
    pub async fn draft(&self, chat: &AccountId) -> Result<Draft, Error> {
        let chat = *chat;
        let row = self.shared.store.run(move |store| store.draft(&chat)).await?.unwrap_or_default();
        Ok(Draft { text: row.text, reply_to: row.reply_to })
    }

    /// Marks a conversation as unread, or takes the mark away.
    ///
    /// # Errors
    /// What the database says.
    pub async fn set_unread(&self, chat: &AccountId, unread: bool) -> Result<(), Error> {
        let chat = *chat;
        self.do_it(move |store, now| store.set_unread(&chat, unread, now)).await
    }

    /// Tells somebody that one is typing, or has stopped; if the setting says so. To be repeated every ten seconds
    /// (client-messages 4.8).
    ///
    /// # Errors
    /// What the database says.
    pub async fn set_typing(&self, chat: &AccountId, typing: bool) -> Result<(), Error> {
        let chat = *chat;
        self.do_it(move |store, now| store.type_to(&chat, typing, now)).await
    }

    /// Tells the author of a message that a file of it was saved.
    ///
    /// # Errors
    /// [`StoreError::UnknownMessage`].
    pub async fn tell_saved(&self, id: &MessageId) -> Result<(), Error> {
        let id = id.clone();
        self.do_it(move |store, now| store.tell_saved(&id, now)).await
    }

    /// Changes how messages of a chat disappear.
    ///
    /// # Errors
    /// If the chat does not know that way.
    pub async fn set_timer(&self, chat: &AccountId, timer: Timer) -> Result<(), Error> {
        let chat = *chat;
        self.do_it(move |store, now| store.set_timer(&chat, timer, now)).await
    }

    /// Accepts a request.
    ///
    /// # Errors
    /// What the database says.
    pub async fn accept(&self, chat: &AccountId) -> Result<(), Error> {
        let chat = *chat;
        self.do_it(move |store, now| store.accept(&chat, now)).await
    }

    /// Wants nothing from somebody any more, or takes that back.
    ///
    /// # Errors
    /// What the database says.
    pub async fn set_blocked(&self, chat: &AccountId, blocked: bool) -> Result<(), Error> {
        let chat = *chat;
        self.do_it(move |store, now| store.set_blocked(&chat, blocked, now)).await
    }

    /// Erases a contact, or declines a request, and deletes the conversation on all devices.
    ///
    /// # Errors
    /// What the database says.
    pub async fn remove_contact(&self, chat: &AccountId) -> Result<(), Error> {
        let chat = *chat;
        self.do_it(move |store, now| store.remove_contact(&chat, now)).await
    }

    /// Gives a contact a name of one's own, or takes it away.
    ///
    /// # Errors
    /// If it is longer than 100 bytes.
    pub async fn set_nickname(&self, chat: &AccountId, nickname: Option<&str>) -> Result<(), Error> {
        let (chat, nickname) = (*chat, nickname.map(str::to_owned));
        self.do_it(move |store, now| store.set_nickname(&chat, nickname.as_deref(), now)).await
    }

    /// Makes somebody a contact under a name of one's own, as if one had written to them already.
    ///
    /// # Errors
    /// What the database says.
    pub async fn introduce(&self, id: &AccountId, nickname: &str) -> Result<(), Error> {
        let (id, nickname) = (*id, nickname.to_owned());
        self.shared.act(move |store, now| store.introduce(&id, &nickname, now).map(|it| ((), it))).await
    }

    /// The conversation's place: below 0 hidden, 0 as it comes, above pinned, higher further up.
    ///
    /// # Errors
    /// What the database says.
    pub async fn set_priority(&self, chat: &AccountId, priority: i32) -> Result<(), Error> {
        let chat = *chat;
        self.do_it(move |store, now| store.set_priority(&chat, priority, now)).await
    }

    /// Notifies nothing of a conversation until a time (milliseconds since the epoch), or notifies again.
    ///
    /// # Errors
    /// What the database says.
    pub async fn set_muted(&self, chat: &AccountId, until: Option<u64>) -> Result<(), Error> {
        let chat = *chat;
        self.do_it(move |store, now| store.set_muted(&chat, until.map(Timestamp), now)).await
    }

    /// Changes the display name, on all devices.
    ///
    /// # Errors
    /// If it is no name.
    pub async fn set_display_name(&self, name: &str) -> Result<(), Error> {
        let name = DisplayName::new(name)?;
        self.do_it(move |store, now| store.set_display_name(name.as_str(), now)).await
    }

    /// The people one writes with; with `blocked` those one wants nothing from.
    ///
    /// # Errors
    /// What the database says.
    pub async fn contacts(&self, blocked: bool) -> Result<Vec<ContactInfo>, Error> {
        let contacts = self.shared.store.run(move |store| store.contacts(MAX_PAGE, blocked)).await?;
        Ok(contacts.into_iter().map(told::contact).collect())
    }

    /// Looks up what the first link of a text leads to, so that it can be sent along. The site learns this machine's address,
    /// or that of the proxy in the settings: ask the user each time.
    ///
    /// # Errors
    /// If there is no link, or no page with a title.
    pub async fn look_up_preview(&self, text: &str) -> Result<LinkPreview, Error> {
        let link = preview::first_link(text).ok_or(PreviewError::NoLink)?.to_owned();
        let proxy = self.settings().await?.preview_proxy;
        tokio::task::spawn_blocking(move || preview::fetch(&link, proxy.as_deref()))
            .await
            .map_err(|stopped| StoreError::Bug(stopped.to_string()))?
            .map_err(Error::from)
    }

    /// The settings of this device.
    ///
    /// # Errors
    /// What the database says.
    pub async fn settings(&self) -> Result<Settings, Error> {
        Ok(self.shared.store.run(ClientStore::settings).await?)
    }

    /// Changes settings of this device.
    ///
    /// # Errors
    /// If the proxy is none, or what the database says.
    pub async fn set_settings(&self, change: impl Into<SettingsChange>) -> Result<(), Error> {
        let change = change.into();
        let proxy = change.preview_proxy.as_ref().filter(|proxy| !proxy.is_empty());
        if let Some(bad) = proxy.filter(|proxy| !preview::is_proxy(proxy)) {
            return Err(PreviewError::BadProxy(bad.clone()).into());
        }
        let work = move |store: &ClientStore| store.set_settings(&change.applied_to(store.settings()?));
        Ok(self.shared.store.run(work).await?)
    }
}
