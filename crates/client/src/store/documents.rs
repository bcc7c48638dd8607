//! The config documents between the swarm and the tables: taking in what other devices stored, and handing out what is to
//! be stored (config-and-groups 4, client-messages 5.3, 7).

use std::time::Duration;

use conclave_crypto::Ed25519Public;
use conclave_proto::{MessageHash, Namespace, Timestamp};

use super::error::Failure;
use super::meta::Meta;
use super::work::{self, Changes, DOCUMENT_NAMESPACES, Work};
use super::{ClientStore, StoreError, cursors, incoming, millis};

/// What lies in the swarm longer than this is stored again: entries live for 30 days, and a device may be off for weeks.
const STORE_AGAIN: Duration = Duration::from_secs(5 * 24 * 60 * 60);

/// What a swarm member returned of a document's mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedEntries {
    /// The member.
    pub snode: Ed25519Public,
    /// The mailbox.
    pub namespace: Namespace,
    /// The member's next cursor.
    pub last_hash: Option<String>,
    /// Hash, when it was stored as the member says, and the entry.
    pub entries: Vec<(String, Timestamp, Vec<u8>)>,
}

/// A document, or what it was changed to, that the own swarm is to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentPush {
    /// Its mailbox.
    pub namespace: Namespace,
    /// For [`ClientStore::documents_stored`].
    pub seqno: i64,
    /// What to store.
    pub entries: Vec<Vec<u8>>,
    /// The hashes to delete, after all entries are stored and only then.
    pub obsolete: Vec<String>,
}

impl ClientStore {
    /// Takes in what a member keeps of a document and moves its cursor; then chats and contacts are as the document says.
    ///
    /// # Errors
    /// [`StoreError::NoAccount`], [`StoreError::DiskFull`], …; nothing is taken in then.
    pub fn merge_entries(&self, received: &ReceivedEntries, now: Timestamp) -> Result<Changes, StoreError> {
        let ((), changes) = self.work("merge settings of other devices", now, |work| {
            let namespace = received.namespace;
            let made_here =
                if namespace == Namespace::CONTACTS { work.contacts_made_here()? } else { Vec::new() };
            let Some(document) = work.documents.by_namespace(namespace) else { return Ok(()) };
            let known: std::collections::BTreeSet<String> =
                document.active_hashes().into_iter().map(str::to_owned).collect();
            let entries = received.entries.iter().map(|(hash, _, entry)| (hash.as_str(), entry.as_slice()));
            let merged = document.merge(entries, now);
            for (hash, reason) in &merged.rejected {
                tracing::debug!(hash, %reason, "an entry of a document cannot be read");
            }
            // A merge can leave changes of ours to be pushed; and a document that was never kept has no row to note times in.
            work.changes.to_push |= document.needs_push();
            if !merged.understood.is_empty() {
                work::keep(work.tx, document)?;
            }
            for (hash, stored_at, _) in &received.entries {
                // What this device stored tells it nothing about others, and what was known is no news, however late a member
                // says it came.
                if merged.changed
                    && merged.understood.contains(hash)
                    && !known.contains(hash)
                    && !is_own(work, hash)?
                {
                    work::heard_foreign(work.tx, namespace, (*stored_at).min(now))?;
                }
            }
            if merged.forgotten {
                work.put_back(made_here);
            }
            if merged.changed {
                work.project(namespace)?;
            }
            if let Some(last_hash) = &received.last_hash {
                cursors::move_cursor(work.tx, &received.snode, &work.own, namespace, last_hash, now)?;
            }
            Ok(())
        })?;
        if !changes.deleted.is_empty() {
            self.clear_journal();
        }
        Ok(changes)
    }

    /// The documents that are to be stored now: those with changes, and those that lie in the swarm for long. What is
    /// handed out stays due until it is [confirmed](Self::documents_stored).
    ///
    /// # Errors
    /// What the disk says.
    pub fn document_pushes(&self, now: Timestamp) -> Result<Vec<DocumentPush>, StoreError> {
        self.work("write settings for other devices", now, |work| {
            let mut pushes = Vec::new();
            for namespace in DOCUMENT_NAMESPACES {
                let long_ago = millis(now.minus(STORE_AGAIN));
                let aged: bool = work
                    .tx
                    .prepare_cached(
                        "SELECT 1 FROM document WHERE namespace = ?1 AND stored_at BETWEEN 1 AND ?2",
                    )?
                    .exists((namespace.0, long_ago))?;
                let Some(document) = work.documents.by_namespace(namespace) else { continue };
                let lies_long = aged && document.seqno() > 0;
                if !document.needs_push() && !lies_long {
                    continue;
                }
                match document.push(now) {
                    Ok(push) => pushes.push(DocumentPush {
                        namespace,
                        seqno: push.seqno,
                        entries: push.messages,
                        obsolete: push.obsolete,
                    }),
                    Err(error) => tracing::warn!(%error, "settings cannot be shared with other devices"),
                }
            }
            // When it comes back, it is no word of another device.
            for push in &pushes {
                for entry in &push.entries {
                    let hash = MessageHash::of(&work.own, push.namespace, entry);
                    incoming::remember(work.tx, hash.as_str(), now, now)?;
                }
            }
            Ok(pushes)
        })
        .map(|(pushes, _)| pushes)
    }

    /// Whether a document has changes that no majority of the swarm has.
    ///
    /// # Errors
    /// What the disk says.
    pub fn documents_wait(&self, now: Timestamp) -> Result<bool, StoreError> {
        self.work("look at the documents", now, |work| {
            Ok(work.documents.iter_mut().any(|document| document.needs_push()))
        })
        .map(|(wait, _)| wait)
    }

    /// A majority of the swarm has all entries of these pushes, under these hashes.
    ///
    /// # Errors
    /// What the disk says.
    pub fn documents_stored(
        &self,
        stored: &[(Namespace, i64, Vec<String>)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.work("note what other devices can read", now, |work| {
            for (namespace, seqno, hashes) in stored {
                if let Some(document) = work.documents.by_namespace(*namespace) {
                    document.confirm_pushed(*seqno, hashes.iter().cloned());
                }
                work.tx
                    .prepare_cached("UPDATE document SET stored_at = ?2 WHERE namespace = ?1")?
                    .execute((namespace.0, millis(now)))?;
            }
            Ok(())
        })
        .map(|((), _)| ())
    }

    /// Begins with the account's documents: those of a new account are made, those of another are waited for. With
    /// `looked`, a majority of the swarm has said what it keeps: what is not there does not exist.
    ///
    /// # Errors
    /// What the disk says.
    pub fn begin_documents(&self, looked: bool, now: Timestamp) -> Result<Changes, StoreError> {
        let new = self.meta(Meta::NewAccount)?.is_some();
        if looked && self.meta(Meta::DocumentsFound)?.is_none() {
            self.set_meta(Meta::DocumentsFound, &now.0.to_be_bytes())?;
        }
        if !new && !looked {
            return Ok(Changes::default());
        }
        self.work("begin the documents", now, |work| {
            let name: String = work.tx.query_row("SELECT name FROM account", [], |row| row.get(0))?;
            let profile = &mut work.documents.profile;
            if !profile.name().is_empty() || name.is_empty() {
                return Ok(());
            }
            let bug = |error: conclave_confsync::EditError| StoreError::Bug(error.to_string());
            profile.set_name(&name, now).map_err(bug)?;
            if new {
                // Nobody has written notes yet (client-messages 7.1).
                profile.set_note_to_self_priority(-1).map_err(bug)?;
            }
            work.project_profile()
        })
        .map(|((), changes)| changes)
    }

    /// Whether the account's documents may still be somewhere else, to be found before messages are read.
    ///
    /// # Errors
    /// What the disk says.
    pub fn looks_for_documents(&self) -> Result<bool, StoreError> {
        Ok(self.meta(Meta::NewAccount)?.is_none() && self.meta(Meta::DocumentsFound)?.is_none())
    }
}

/// Whether this device stored the entry with this hash.
fn is_own(work: &Work<'_>, hash: &str) -> Result<bool, Failure> {
    Ok(work.tx.prepare_cached("SELECT 1 FROM seen WHERE hash = ?1")?.exists([hash])?)
}

impl Work<'_> {
    fn project(&mut self, namespace: Namespace) -> Result<(), Failure> {
        match namespace {
            Namespace::USER_PROFILE => self.project_profile(),
            Namespace::CONTACTS => self.project_contacts(),
            Namespace::CONVO_INFO_VOLATILE => self.project_conversations(),
            // Groups and communities come with groups and communities.
            _ => Ok(()),
        }
    }
}
