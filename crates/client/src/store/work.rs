//! One transaction over the tables and the config documents together.
//!
//! The documents (`conclave_confsync`) are the truth about what the account's devices share; tables hold what queries need
//! of it. Both change here, in one transaction: after a kill they agree. The loaded documents are kept between transactions
//! and thrown away when one fails, since the disk then says something else.

use std::collections::BTreeSet;

use conclave_confsync::{AccountDocuments, Contacts, Conversations, Document, UserGroups, UserProfile};
use conclave_crypto::{AccountId, Ed25519Secret};
use conclave_proto::{Namespace, Timestamp};
use rusqlite::{OptionalExtension as _, Transaction, TransactionBehavior};

use super::error::Failure;
use super::{ClientStore, MessageRow, Meta, StoreError, chats, contacts, meta, millis, search};
use crate::types::MessageId;

/// The mailboxes of the account's documents, in the order they are asked for.
pub const DOCUMENT_NAMESPACES: [Namespace; 4] =
    [Namespace::USER_PROFILE, Namespace::CONTACTS, Namespace::CONVO_INFO_VOLATILE, Namespace::USER_GROUPS];

/// What a transaction changed that somebody may want to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Rows that were not here before, in the order they came.
    pub shown: Vec<MessageRow>,
    /// Rows that are different now: edited, reacted to, deleted by their author.
    pub updated: Vec<MessageRow>,
    /// Messages of this account that came further.
    pub states: Vec<MessageRow>,
    /// Rows that are gone, with their chats.
    pub deleted: Vec<(AccountId, MessageId)>,
    /// Who types, and who has stopped.
    pub typing: Vec<(AccountId, bool)>,
    /// Chats of which something beside their rows is different: name, approval, position read, timer.
    pub chats: BTreeSet<AccountId>,
    /// The account's own profile is different.
    pub profile: bool,
    /// Items that were here already.
    pub known: u32,
    /// Items nobody could open.
    pub undecryptable: u32,
    /// Something waits to be sent that did not before.
    pub to_send: bool,
    /// A document waits to be pushed.
    pub to_push: bool,
    /// It is known when something disappears that was not known before.
    pub to_expire: bool,
    /// Something is to be done about files: fetched, stored, cleared away.
    pub files: bool,
}

/// A transaction under way.
pub(super) struct Work<'a> {
    pub(super) tx: &'a Transaction<'a>,
    pub(super) documents: &'a mut AccountDocuments,
    pub(super) own: AccountId,
    pub(super) now: Timestamp,
    pub(super) changes: Changes,
    updated: BTreeSet<MessageId>,
    states: BTreeSet<MessageId>,
    /// Words of messages that are gone, until the index has been looked after.
    pub(super) gone_words: BTreeSet<String>,
}

impl Work<'_> {
    /// A row is different; it is read at the end.
    pub(super) fn touch(&mut self, id: &MessageId) {
        self.updated.insert(id.clone());
    }

    /// A message of ours came further.
    pub(super) fn touch_state(&mut self, id: &MessageId) {
        self.states.insert(id.clone());
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.changes.to_push |= save(self.tx, self.documents)?;
        if !self.gone_words.is_empty() || !self.changes.deleted.is_empty() {
            self.tx
                .prepare_cached("INSERT INTO meta (name, value) VALUES (?1, x'01') ON CONFLICT DO NOTHING")?
                .execute([Meta::Deleted.name()])?;
        }
        search::scrub(self.tx, &std::mem::take(&mut self.gone_words))?;
        for id in std::mem::take(&mut self.updated) {
            match chats::find(self.tx, &self.own, &id) {
                Ok(row) => self.changes.updated.push(row),
                Err(Failure::Store(StoreError::UnknownMessage(_))) => {}
                Err(other) => return Err(other),
            }
        }
        for id in std::mem::take(&mut self.states) {
            match chats::find(self.tx, &self.own, &id) {
                Ok(row) => self.changes.states.push(row),
                Err(Failure::Store(StoreError::UnknownMessage(_))) => {}
                Err(other) => return Err(other),
            }
        }
        // What came and went, or came and changed, in one transaction is told once.
        let shown: BTreeSet<MessageId> = self.changes.shown.iter().map(|row| row.id.clone()).collect();
        let mut refreshed = Vec::new();
        for row in std::mem::take(&mut self.changes.shown) {
            match chats::find(self.tx, &self.own, &row.id) {
                Ok(row) => refreshed.push(row),
                Err(Failure::Store(StoreError::UnknownMessage(_))) => {}
                Err(other) => return Err(other),
            }
        }
        self.changes.shown = refreshed;
        self.changes.updated.retain(|row| !shown.contains(&row.id));
        self.changes.states.retain(|row| !shown.contains(&row.id));
        self.changes.deleted.retain(|(_, id)| !shown.contains(id));
        Ok(())
    }
}

impl ClientStore {
    /// One transaction over tables and documents. Committed, and on the disk, if this returns `Ok`.
    pub(super) fn work<T>(
        &self,
        doing: &'static str,
        now: Timestamp,
        work: impl FnOnce(&mut Work<'_>) -> Result<T, Failure>,
    ) -> Result<(T, Changes), StoreError> {
        let mut connection = self.connection();
        let mut kept = self.inner.documents.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Taken out, and put back only when all went well.
        let loaded = kept.take();
        let done = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(Failure::from)
            .and_then(|transaction| {
                let own = meta::own_id(&transaction)?;
                let mut documents = match loaded {
                    Some(documents) => documents,
                    None => load(&transaction)?,
                };
                let mut under_way = Work {
                    tx: &transaction,
                    documents: &mut documents,
                    own,
                    now,
                    changes: Changes::default(),
                    updated: BTreeSet::new(),
                    states: BTreeSet::new(),
                    gone_words: BTreeSet::new(),
                };
                let value = work(&mut under_way)?;
                under_way.finish()?;
                let changes = under_way.changes;
                transaction.commit()?;
                Ok((value, changes, documents))
            });
        let (value, changes, documents) = self.sort(doing, done)?;
        *kept = Some(documents);
        Ok((value, changes))
    }
}

/// Reads the documents. Where there are none yet, they begin with what the tables know.
fn load(tx: &Transaction<'_>) -> Result<AccountDocuments, Failure> {
    let phrase = meta::phrase(tx)?;
    let account = conclave_crypto::Account::from_phrase(&phrase);
    let key = account.ed25519();
    let mut documents = AccountDocuments::new(key);
    let mut found = false;
    for namespace in DOCUMENT_NAMESPACES {
        if let Some(dump) = dump_of(tx, namespace)? {
            found = true;
            restore(&mut documents, namespace, key, &dump)?;
        }
    }
    if !found {
        contacts::adopt(tx, &mut documents)?;
    }
    Ok(documents)
}

fn dump_of(tx: &Transaction<'_>, namespace: Namespace) -> Result<Option<Vec<u8>>, Failure> {
    Ok(tx
        .prepare_cached("SELECT dump FROM document WHERE namespace = ?1")?
        .query_row([namespace.0], |row| row.get(0))
        .optional()?)
}

fn restore(
    documents: &mut AccountDocuments,
    namespace: Namespace,
    key: &Ed25519Secret,
    dump: &[u8],
) -> Result<(), Failure> {
    let damaged = |error: conclave_confsync::DumpError| Failure::from(StoreError::Bug(error.to_string()));
    match namespace {
        Namespace::USER_PROFILE => documents.profile = UserProfile::load(key, dump).map_err(damaged)?,
        Namespace::CONTACTS => documents.contacts = Contacts::load(key, dump).map_err(damaged)?,
        Namespace::CONVO_INFO_VOLATILE => {
            documents.conversations = Conversations::load(key, dump).map_err(damaged)?;
        }
        _ => documents.groups = UserGroups::load(key, dump).map_err(damaged)?,
    }
    Ok(())
}

/// Writes what is different; whether something of it is to be pushed.
fn save(tx: &Transaction<'_>, documents: &mut AccountDocuments) -> Result<bool, Failure> {
    let mut to_push = false;
    for document in documents.iter_mut() {
        if document.needs_dump() {
            keep(tx, document)?;
            to_push |= document.needs_push();
        }
    }
    Ok(to_push)
}

/// Writes a document as it is.
pub(super) fn keep(tx: &Transaction<'_>, document: &mut Document) -> Result<(), Failure> {
    let Some(namespace) = document.kind().namespace() else { return Ok(()) };
    tx.prepare_cached(
        "INSERT INTO document (namespace, dump) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET dump = excluded.dump",
    )?
    .execute((namespace.0, document.dump()))?;
    Ok(())
}

/// When the newest entry of a document that another device wrote was stored.
pub(super) fn foreign_at(tx: &Transaction<'_>, namespace: Namespace) -> Result<Timestamp, Failure> {
    let at: Option<i64> = tx
        .prepare_cached("SELECT foreign_at FROM document WHERE namespace = ?1")?
        .query_row([namespace.0], |row| row.get(0))
        .optional()?;
    Ok(super::timestamp(at.unwrap_or(0)))
}

/// Notes that an entry of another device was stored then.
pub(super) fn heard_foreign(
    tx: &Transaction<'_>,
    namespace: Namespace,
    stored_at: Timestamp,
) -> Result<(), Failure> {
    tx.prepare_cached("UPDATE document SET foreign_at = ?2 WHERE namespace = ?1 AND foreign_at < ?2")?
        .execute((namespace.0, millis(stored_at)))?;
    Ok(())
}
