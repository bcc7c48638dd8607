//! What is written goes: a text, a text with files, a file alone.

use std::sync::Arc;

use conclave_client::session::Call;
use conclave_client::types::{Draft, NewMessage};
use conclave_client::{Account, Error};
use serde_json::Value;

use super::{WhyNot, Writing};
use crate::sdk;
use crate::tray::{Handed, Tray};

impl Writing {
    pub(super) async fn send(&mut self, session: &Arc<Account>) -> Result<Value, Error> {
        match self.why_not(self.now) {
            Some(WhyNot::Empty) => return Err(Error::TextEmpty),
            Some(WhyNot::TooLong) => return Err(Error::TextTooLong { chars: self.text.chars().count() }),
            Some(WhyNot::Blocked) => {
                return Err(Error::refused("nothing is sent to somebody who is blocked"));
            }
            // What it says already needs no sending; whether it is too late, the SDK knows best.
            Some(WhyNot::Unchanged) => {
                self.end_edit(session).await?;
                return Ok(Value::Null);
            }
            Some(WhyNot::TooLate) | None => {}
        }
        if let Some((edited, _)) = &self.editing {
            session.edit(&edited.id, &self.text).await?;
            self.end_edit(session).await?;
            return Ok(Value::Null);
        }
        let reply_to = self.reply_to.as_ref().map(|answered| answered.id.clone());
        let preview = self.preview.clone();
        // Held until they are sent.
        let files = self.tray.next();
        let attachments = files.iter().map(Handed::attachment).collect();
        // Blanks around files are nothing to read.
        let text = if conclave_client::is_visible(&self.text) { self.text.clone() } else { String::new() };
        let new = NewMessage { reply_to, preview, attachments, ..NewMessage::text(self.chat.clone(), text) };
        let sent = if files.is_empty() {
            session.answer(Call::Send(new)).await?
        } else {
            self.tray.begin(&files);
            deliver(session, &self.chat, self.tray.clone(), new, files, self.draft());
            Value::Null
        };
        self.text.clear();
        self.reply_to = None;
        self.preview = None;
        // Programs take a message as the end of typing.
        self.told_at = None;
        self.save(session).await?;
        Ok(sent)
    }

    pub(super) async fn send_file(&mut self, session: &Account, id: &str) -> Result<Value, Error> {
        if self.facts.blocked() {
            return Err(Error::refused("nothing is sent to somebody who is blocked"));
        }
        let file = self.tray.find(id).ok_or_else(|| Error::refused("there is no such file in the tray"))?;
        let reply_to = self.reply_to.as_ref().map(|answered| answered.id.clone());
        let attachments = vec![file.attachment()];
        let new = NewMessage { reply_to, attachments, ..NewMessage::text(self.chat.clone(), String::new()) };
        let sent = session.answer(Call::Send(new)).await?;
        self.tray.remove(id);
        self.reply_to = None;
        self.save(session).await?;
        Ok(sent)
    }
}

/// Sends a message with files beside everything else: large ones take a while to be encrypted. If it cannot be sent, its files stand
/// in the tray again with the reason, and its text in the field, if there is no other by then.
fn deliver(
    session: &Arc<Account>,
    chat: &str,
    tray: Tray,
    new: NewMessage,
    files: Vec<Handed>,
    draft: Draft,
) {
    let (session, chat) = (Arc::clone(session), chat.to_owned());
    tokio::spawn(async move {
        match session.answer(Call::Send(new)).await {
            Ok(_) => tray.end(&files),
            Err(error) => {
                tray.fail(&files, error.kind());
                let now = sdk::draft(&session, &chat).await;
                if now.is_ok_and(|now| now == Draft::default())
                    && let Err(error) = session.set_draft(&chat, draft).await
                {
                    tracing::warn!(kind = error.kind(), "what was written could not be kept");
                }
            }
        }
    });
}
