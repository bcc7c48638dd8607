//! How far each swarm member has been read.

use conclave_crypto::{AccountId, Ed25519Public};
use conclave_proto::{Namespace, Timestamp};
use rusqlite::{OptionalExtension as _, Transaction};

use super::error::Failure;
use super::{ClientStore, StoreError, millis};

impl ClientStore {
    /// The hash after which `snode` is to be read; `None` to read from the beginning. Hashes are
    /// ordered by each member for itself, so a cursor holds for its member only (storage-and-onion
    /// 2.8).
    ///
    /// # Errors
    /// What the disk says.
    pub fn cursor(
        &self,
        snode: &Ed25519Public,
        account: &AccountId,
        namespace: Namespace,
    ) -> Result<Option<String>, StoreError> {
        self.read("read a cursor", |connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT last_hash FROM cursor WHERE snode = ?1 AND account = ?2 AND namespace = ?3",
                )?
                .query_row((snode.as_bytes(), account.as_bytes(), namespace.0), |row| row.get(0))
                .optional()?)
        })
    }
}

pub(super) fn move_to(
    tx: &Transaction<'_>,
    batch: &super::ReceivedBatch,
    last_hash: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    move_cursor(tx, &batch.snode, &batch.account, batch.namespace, last_hash, now)
}

pub(super) fn move_cursor(
    tx: &Transaction<'_>,
    snode: &Ed25519Public,
    account: &AccountId,
    namespace: Namespace,
    last_hash: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    tx.prepare_cached(
        "INSERT INTO cursor (snode, account, namespace, last_hash, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET last_hash = excluded.last_hash, updated_at = excluded.updated_at",
    )?
    .execute((snode.as_bytes(), account.as_bytes(), namespace.0, last_hash, millis(now)))?;
    Ok(())
}
