//! One conversation of an account: what most programs do most of the time.

use super::Account;
use crate::error::Error;
use crate::said::Timer;
use crate::store::Place;
use crate::types::{Draft, Message, NewMessage};

/// A conversation, named as a person would name it. Cheap: it holds nothing but the name, and asks for everything anew.
#[derive(Debug, Clone)]
pub struct Conversation<'a> {
    account: &'a Account,
    chat: String,
}

impl Account {
    /// The conversation with an account id, a contact's name, or `me` for the notes to oneself. Whether there is such a one
    /// shows with the first call.
    pub fn conversation(&self, chat: impl Into<String>) -> Conversation<'_> {
        Conversation { account: self, chat: chat.into() }
    }
}

impl Conversation<'_> {
    /// Queues a text. It is durable on this machine when this returns, and is sent in the background.
    ///
    /// # Errors
    /// If nobody is called so, or the text is empty or too long. Nothing is queued then.
    pub async fn send(&self, text: impl Into<String>) -> Result<Message, Error> {
        self.account.send(NewMessage::text(&self.chat, text)).await
    }

    /// Queues a text that answers a message.
    ///
    /// # Errors
    /// As [`Self::send`]; and if the message is not here any more.
    pub async fn reply(&self, to: &Message, text: impl Into<String>) -> Result<Message, Error> {
        let new = NewMessage { reply_to: Some(to.id.clone()), ..NewMessage::text(&self.chat, text) };
        self.account.send(new).await
    }

    /// The newest messages, oldest first; at most `limit` or 1,000.
    ///
    /// # Errors
    /// If nobody is called so.
    pub async fn newest(&self, limit: u32) -> Result<Vec<Message>, Error> {
        self.account.history_at(&self.chat, limit, Place::Newest).await
    }

    /// The messages directly before one, oldest first; at most `limit` or 1,000. Empty: that was the first.
    ///
    /// # Errors
    /// If that message is not here any more.
    pub async fn before(&self, message: &Message, limit: u32) -> Result<Vec<Message>, Error> {
        self.account.history_at(&self.chat, limit, Place::Before(message.id.clone())).await
    }

    /// The messages directly after one, oldest first; at most `limit` or 1,000. Empty: that was the newest.
    ///
    /// # Errors
    /// If that message is not here any more.
    pub async fn after(&self, message: &Message, limit: u32) -> Result<Vec<Message>, Error> {
        self.account.history_at(&self.chat, limit, Place::After(message.id.clone())).await
    }

    /// Notes that the owner has seen everything up to this message, on all devices.
    ///
    /// # Errors
    /// If that message is not here any more.
    pub async fn mark_read(&self, upto: &Message) -> Result<(), Error> {
        self.account.mark_read(&upto.id).await
    }

    /// Tells the other side that one is typing, or has stopped; if the setting says so. To be repeated every ten seconds.
    ///
    /// # Errors
    /// If nobody is called so.
    pub async fn typing(&self, typing: bool) -> Result<(), Error> {
        self.account.set_typing(&self.chat, typing).await
    }

    /// Accepts a message request.
    ///
    /// # Errors
    /// If nobody is called so.
    pub async fn accept(&self) -> Result<(), Error> {
        self.account.accept(&self.chat).await
    }

    /// Blocks the other side, or ends that, on all devices.
    ///
    /// # Errors
    /// If nobody is called so.
    pub async fn block(&self, blocked: bool) -> Result<(), Error> {
        self.account.set_blocked(&self.chat, blocked).await
    }

    /// Changes how new messages disappear, for both sides.
    ///
    /// # Errors
    /// If nobody is called so.
    pub async fn set_timer(&self, timer: Timer) -> Result<(), Error> {
        self.account.set_timer(&self.chat, timer).await
    }

    /// What was begun to be written.
    ///
    /// # Errors
    /// If nobody is called so.
    pub async fn draft(&self) -> Result<Draft, Error> {
        self.account.draft(&self.chat).await
    }

    /// Keeps what was begun to be written, on this device.
    ///
    /// # Errors
    /// If it is too large.
    pub async fn set_draft(&self, draft: Draft) -> Result<(), Error> {
        self.account.set_draft(&self.chat, draft).await
    }
}
