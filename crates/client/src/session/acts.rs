//! What one can do beside writing, reading and waiting. A `chat` is an account id, the name of a contact, or `me`.

use std::time::Duration;

use super::call::Secret;
use super::{Account, Call};
use crate::error::Error;
use crate::files::{FileContent, OpenedFile};
use crate::said::{LinkPreview, Timer};
use crate::settings::{Settings, SettingsChange};
use crate::store::Deletion;
use crate::types::{ContactInfo, Draft, Message, MessageId, NewAttachment, PictureContent};

impl Account {
    /// As [`Client::wait_until_sent`](crate::Client::wait_until_sent).
    ///
    /// # Errors
    /// As there.
    pub async fn wait_until_sent(&self, timeout: Duration) -> Result<u32, Error> {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.call(Call::WaitUntilSent { timeout_ms }).await
    }

    /// As [`Client::find_message`](crate::Client::find_message).
    ///
    /// # Errors
    /// As there.
    pub async fn find_message(&self, id: &str) -> Result<Message, Error> {
        self.call(Call::FindMessage { id: id.to_owned() }).await
    }

    /// As [`Client::look_up_preview`](crate::Client::look_up_preview).
    ///
    /// # Errors
    /// As there.
    pub async fn look_up_preview(&self, text: &str) -> Result<LinkPreview, Error> {
        self.call(Call::LookUpPreview { text: text.to_owned() }).await
    }

    /// As [`Client::fetch_file`](crate::Client::fetch_file).
    ///
    /// # Errors
    /// As there.
    pub async fn fetch_file(&self, id: &MessageId, place: u32) -> Result<Message, Error> {
        self.call(Call::FetchFile { id: id.clone(), place, write: false }).await
    }

    /// As [`Client::download_file`](crate::Client::download_file).
    ///
    /// # Errors
    /// As there.
    pub async fn download_file(&self, id: &MessageId, place: u32) -> Result<Message, Error> {
        self.call(Call::FetchFile { id: id.clone(), place, write: true }).await
    }

    /// As [`Client::cancel_file`](crate::Client::cancel_file).
    ///
    /// # Errors
    /// As there.
    pub async fn cancel_file(&self, id: &MessageId, place: u32) -> Result<Message, Error> {
        self.call(Call::CancelFile { id: id.clone(), place }).await
    }

    /// As [`Client::save_file`](crate::Client::save_file). A path that is not absolute is one of this process.
    ///
    /// # Errors
    /// As there.
    pub async fn save_file(&self, id: &MessageId, place: u32, to: Option<&str>) -> Result<Message, Error> {
        self.call(Call::SaveFile { id: id.clone(), place, to: to.map(str::to_owned) }).await
    }

    /// The content of a file that is here, in pieces, without a copy on the disk.
    ///
    /// # Errors
    /// If the file is not here yet.
    pub async fn open_file(&self, id: &MessageId, place: u32) -> Result<FileContent, Error> {
        let opened: OpenedFile = self.call(Call::OpenFile { id: id.clone(), place }).await?;
        Ok(FileContent::new(opened)?)
    }

    /// As [`Client::edit`](crate::Client::edit).
    ///
    /// # Errors
    /// As there.
    pub async fn edit(&self, id: &MessageId, text: &str) -> Result<(), Error> {
        self.call(Call::Edit { id: id.clone(), text: text.to_owned() }).await
    }

    /// As [`Client::react`](crate::Client::react).
    ///
    /// # Errors
    /// As there.
    pub async fn react(&self, id: &MessageId, emoji: &str, remove: bool) -> Result<(), Error> {
        self.call(Call::React { id: id.clone(), emoji: emoji.to_owned(), remove }).await
    }

    /// As [`Client::delete`](crate::Client::delete).
    ///
    /// # Errors
    /// As there.
    pub async fn delete(&self, id: &MessageId, from: Deletion) -> Result<(), Error> {
        self.call(Call::Delete { id: id.clone(), from }).await
    }

    /// As [`Client::mark_read`](crate::Client::mark_read).
    ///
    /// # Errors
    /// As there.
    pub async fn mark_read(&self, id: &MessageId) -> Result<(), Error> {
        self.call(Call::MarkRead { id: id.clone() }).await
    }

    /// As [`Client::draft`](crate::Client::draft).
    ///
    /// # Errors
    /// As there.
    pub async fn draft(&self, chat: &str) -> Result<Draft, Error> {
        self.call(Call::Draft { chat: chat.to_owned() }).await
    }

    /// As [`Client::set_draft`](crate::Client::set_draft).
    ///
    /// # Errors
    /// As there.
    pub async fn set_draft(&self, chat: &str, draft: Draft) -> Result<(), Error> {
        self.call(Call::SetDraft { chat: chat.to_owned(), draft }).await
    }

    /// As [`Client::set_unread`](crate::Client::set_unread).
    ///
    /// # Errors
    /// As there.
    pub async fn set_unread(&self, chat: &str, unread: bool) -> Result<(), Error> {
        self.call(Call::SetUnread { chat: chat.to_owned(), unread }).await
    }

    /// As [`Client::set_typing`](crate::Client::set_typing).
    ///
    /// # Errors
    /// As there.
    pub async fn set_typing(&self, chat: &str, typing: bool) -> Result<(), Error> {
        self.call(Call::SetTyping { chat: chat.to_owned(), typing }).await
    }

    /// As [`Client::tell_saved`](crate::Client::tell_saved).
    ///
    /// # Errors
    /// As there.
    pub async fn tell_saved(&self, id: &MessageId) -> Result<(), Error> {
        self.call(Call::TellSaved { id: id.clone() }).await
    }

    /// As [`Client::set_timer`](crate::Client::set_timer).
    ///
    /// # Errors
    /// As there.
    pub async fn set_timer(&self, chat: &str, timer: Timer) -> Result<(), Error> {
        self.call(Call::SetTimer { chat: chat.to_owned(), timer }).await
    }

    /// As [`Client::set_priority`](crate::Client::set_priority).
    ///
    /// # Errors
    /// As there.
    pub async fn set_priority(&self, chat: &str, priority: i32) -> Result<(), Error> {
        self.call(Call::SetPriority { chat: chat.to_owned(), priority }).await
    }

    /// As [`Client::set_muted`](crate::Client::set_muted).
    ///
    /// # Errors
    /// As there.
    pub async fn set_muted(&self, chat: &str, until: Option<u64>) -> Result<(), Error> {
        self.call(Call::SetMuted { chat: chat.to_owned(), until }).await
    }

    /// As [`Client::contacts`](crate::Client::contacts).
    ///
    /// # Errors
    /// As there.
    pub async fn contacts(&self, blocked: bool) -> Result<Vec<ContactInfo>, Error> {
        self.call(Call::Contacts { blocked }).await
    }

    /// As [`Client::accept`](crate::Client::accept).
    ///
    /// # Errors
    /// As there.
    pub async fn accept(&self, chat: &str) -> Result<(), Error> {
        self.call(Call::Accept { chat: chat.to_owned() }).await
    }

    /// As [`Client::set_blocked`](crate::Client::set_blocked).
    ///
    /// # Errors
    /// As there.
    pub async fn set_blocked(&self, chat: &str, blocked: bool) -> Result<(), Error> {
        self.call(Call::SetBlocked { chat: chat.to_owned(), blocked }).await
    }

    /// As [`Client::set_nickname`](crate::Client::set_nickname).
    ///
    /// # Errors
    /// As there.
    pub async fn set_nickname(&self, chat: &str, nickname: Option<&str>) -> Result<(), Error> {
        self.call(Call::SetNickname { chat: chat.to_owned(), nickname: nickname.map(str::to_owned) }).await
    }

    /// As [`Client::remove_contact`](crate::Client::remove_contact).
    ///
    /// # Errors
    /// As there.
    pub async fn remove_contact(&self, chat: &str) -> Result<(), Error> {
        self.call(Call::RemoveContact { chat: chat.to_owned() }).await
    }

    /// As [`Client::send_again`](crate::Client::send_again).
    ///
    /// # Errors
    /// As there.
    pub async fn send_again(&self, id: &MessageId) -> Result<Message, Error> {
        self.call(Call::SendAgain { id: id.clone() }).await
    }

    /// Protects the profile by another passphrase, by one for the first time, or by none, while it is in use. What is asked
    /// meanwhile waits; calls that only wait end with [`Error::Locked`].
    ///
    /// # Errors
    /// If `present` does not unlock the profile, or the disk fails: then it is protected as it was.
    pub async fn change_passphrase(&self, present: Option<&str>, new: Option<&str>) -> Result<(), Error> {
        let (present, new) = (present.map(Secret::new), new.map(Secret::new));
        self.call(Call::ChangePassphrase { present, new }).await
    }

    /// As [`Client::set_display_name`](crate::Client::set_display_name).
    ///
    /// # Errors
    /// As there.
    pub async fn set_display_name(&self, name: &str) -> Result<(), Error> {
        self.call(Call::SetDisplayName { name: name.to_owned() }).await
    }

    /// As [`Client::set_picture`](crate::Client::set_picture). A path that is not absolute is one of the process that owns the profile.
    ///
    /// # Errors
    /// As there.
    pub async fn set_picture(&self, file: NewAttachment) -> Result<(), Error> {
        self.call(Call::SetPicture(file)).await
    }

    /// As [`Client::remove_picture`](crate::Client::remove_picture).
    ///
    /// # Errors
    /// As there.
    pub async fn remove_picture(&self) -> Result<(), Error> {
        self.call(Call::RemovePicture).await
    }

    /// As [`Client::picture`](crate::Client::picture).
    ///
    /// # Errors
    /// As there.
    pub async fn picture(&self, chat: &str, side: u32) -> Result<Option<PictureContent>, Error> {
        self.call(Call::Picture { chat: chat.to_owned(), side }).await
    }

    /// As [`Client::settings`](crate::Client::settings).
    ///
    /// # Errors
    /// As there.
    pub async fn settings(&self) -> Result<Settings, Error> {
        self.call(Call::Settings).await
    }

    /// As [`Client::set_settings`](crate::Client::set_settings).
    ///
    /// # Errors
    /// As there; and [`Error::NotLockable`] if it is to lock by itself and has no passphrase.
    pub async fn set_settings(&self, change: impl Into<SettingsChange>) -> Result<(), Error> {
        self.call(Call::SetSettings(change.into())).await
    }
}
