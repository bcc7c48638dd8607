//! What the owner has begun to write. It stays on this device.

use conclave_crypto::AccountId;
use rusqlite::{OptionalExtension as _, Row};

use super::chats::id_bytes;
use super::work::Changes;
use super::{ClientStore, DraftRow, StoreError};
use crate::types::MessageId;

/// The longest draft kept, in bytes of UTF-8: several times what a message can be, since one cuts it down while writing.
pub const MAX_DRAFT_BYTES: usize = 64 * 1024;

impl ClientStore {
    /// Keeps a draft in place of the one before; an empty one that answers nothing is none.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] above [`MAX_DRAFT_BYTES`], or what the disk says.
    pub fn set_draft(&self, chat: &AccountId, draft: &DraftRow) -> Result<Changes, StoreError> {
        if draft.text.len() > MAX_DRAFT_BYTES {
            let size = draft.text.len();
            return Err(StoreError::TooLarge { what: "a draft", size, limit: MAX_DRAFT_BYTES });
        }
        let empty = draft.text.is_empty() && draft.reply_to.is_none();
        let reply_to = draft.reply_to.as_ref().map(id_bytes);
        self.write("keep a draft", |tx| {
            if empty {
                tx.prepare_cached("DELETE FROM draft WHERE chat = ?1")?.execute([chat.as_bytes()])?;
            } else {
                tx.prepare_cached(
                    "INSERT INTO draft (chat, text, reply_to) VALUES (?1, ?2, ?3)
                     ON CONFLICT (chat) DO UPDATE SET text = excluded.text, reply_to = excluded.reply_to",
                )?
                .execute((chat.as_bytes(), &draft.text, reply_to))?;
            }
            Ok(())
        })?;
        Ok(Changes { chats: [*chat].into(), ..Changes::default() })
    }

    /// The draft of a chat, if there is one.
    ///
    /// # Errors
    /// What the disk says.
    pub fn draft(&self, chat: &AccountId) -> Result<Option<DraftRow>, StoreError> {
        self.read("read a draft", |connection| {
            let draft = connection
                .prepare_cached(
                    "SELECT text AS draft, reply_to AS draft_reply_to FROM draft WHERE chat = ?1",
                )?
                .query_row([chat.as_bytes()], draft_columns)
                .optional()?;
            Ok(draft.flatten())
        })
    }
}

/// A draft out of the columns `draft` and `draft_reply_to`.
pub(super) fn draft_columns(row: &Row<'_>) -> rusqlite::Result<Option<DraftRow>> {
    let Some(text) = row.get::<_, Option<String>>("draft")? else { return Ok(None) };
    let reply_to = row.get_ref("draft_reply_to")?.as_blob_or_null()?.map(hex::encode);
    Ok(Some(DraftRow { text, reply_to: reply_to.as_deref().and_then(MessageId::parse) }))
}
