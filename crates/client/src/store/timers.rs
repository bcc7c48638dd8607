//! Messages that disappear (client-messages 4.10), and what the own swarm is asked to do with what it keeps.

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;

use super::chats::{self, id_bytes};
use super::error::Failure;
use super::work::{Changes, Work};
use super::{ClientStore, MAX_PAGE, MessageRow, StoreError, millis, page, timestamp};
use crate::said::Timer;
use crate::types::MessageId;

/// Deleted in one transaction.
const EXPIRED_AT_ONCE: i64 = 500;

impl Work<'_> {
    /// A message of ours has reached its swarm: from now on its time runs, whichever way it disappears. What was not sent
    /// does not disappear.
    pub(super) fn begin_to_expire(&mut self, row: &MessageRow) -> Result<(), Failure> {
        let (Timer::AfterRead(seconds) | Timer::AfterSend(seconds)) = row.timer else { return Ok(()) };
        let at = self.now.plus(std::time::Duration::from_secs(seconds.into()));
        let began = self
            .tx
            .prepare_cached("UPDATE message SET expires_at = ?2 WHERE id = ?1 AND expires_at IS NULL")?
            .execute((id_bytes(&row.id), millis(at)))?;
        if began > 0 {
            self.changes.to_expire = true;
            self.touch(&row.id);
        }
        Ok(())
    }

    /// Others' messages of a chat up to `time` have been read: those that disappear after that begin to, here and in the
    /// own swarm, from which other devices learn when they were read.
    pub(super) fn begin_to_expire_read(&mut self, chat: &AccountId, time: Timestamp) -> Result<(), Failure> {
        type Waiting = (MessageId, u32, Option<String>, Option<i64>, i64);
        let waiting: Vec<Waiting> = self
            .tx
            .prepare_cached(
                "SELECT id, expire_seconds, own_hash, swarm_expires_at, sent_at FROM message
                 WHERE chat = ?1 AND sort_at <= ?2 AND expire_kind = 1 AND expires_at IS NULL AND outgoing = 0",
            )?
            .query_map((chat.as_bytes(), millis(time)), |row| {
                Ok((chats::message_id(row)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })?
            .collect::<Result<_, _>>()?;
        for (id, seconds, hash, in_swarm, sent_at) in waiting {
            let life = std::time::Duration::from_secs(seconds.into());
            let mut at = self.now.plus(life);
            match in_swarm.map(timestamp) {
                // Another device has read it earlier, and shortened its life. A member says so, and may say anything; but
                // nothing was read before it was sent.
                Some(earlier) if earlier <= at => {
                    at = earlier.max(timestamp(sent_at).min(self.now).plus(life))
                }
                _ => {
                    if let Some(hash) = hash {
                        self.in_own_swarm(&hash, 1, at)?;
                    }
                }
            }
            self.tx
                .prepare_cached("UPDATE message SET expires_at = ?2, swarm_expires_at = ?2 WHERE id = ?1")?
                .execute((id_bytes(&id), millis(at)))?;
            self.changes.to_expire = true;
            self.touch(&id);
        }
        Ok(())
    }

    /// The own swarm is to delete something.
    pub(super) fn delete_in_own_swarm(&mut self, hash: &str) -> Result<(), Failure> {
        self.in_own_swarm(hash, 0, Timestamp(0))
    }

    fn in_own_swarm(&mut self, hash: &str, act: i64, expiry: Timestamp) -> Result<(), Failure> {
        self.tx
            .prepare_cached(
                "INSERT INTO own_swarm (hash, act, expiry, next_try) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET expiry = min(expiry, excluded.expiry)",
            )?
            .execute((hash, act, millis(expiry), millis(self.now)))?;
        self.changes.to_send = true;
        Ok(())
    }
}

/// What the own swarm is to do with something it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSwarmTask {
    /// With what.
    pub hash: String,
    /// Let it go at this time; `None` deletes it at once.
    pub expiry: Option<Timestamp>,
    /// How often it was tried.
    pub attempts: u32,
}

impl ClientStore {
    /// Deletes what has disappeared by `now`, and keeps it from coming back.
    ///
    /// # Errors
    /// What the disk says.
    pub fn expire(&self, now: Timestamp) -> Result<Changes, StoreError> {
        let any = self.read("look for what has disappeared", |connection| {
            Ok(connection
                .prepare_cached("SELECT 1 FROM message WHERE expires_at <= ?1")?
                .exists([millis(now)])?)
        })?;
        if !any {
            return Ok(Changes::default());
        }
        let ((), changes) = self.work("delete what has disappeared", now, |work| {
            let ids: Vec<MessageId> = work
                .tx
                .prepare_cached("SELECT id FROM message WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2")?
                .query_map((millis(now), EXPIRED_AT_ONCE), chats::message_id)?
                .collect::<Result<_, _>>()?;
            for id in ids {
                let row = chats::find(work.tx, &work.own, &id)?;
                work.unqueue(&id)?;
                chats::remove(work, &row)?;
            }
            Ok(())
        })?;
        self.clear_journal();
        Ok(changes)
    }

    /// When there is something to do next: when something becomes due after `now`, or when receipts are, or a message
    /// disappears. `None` if nothing is to be waited for.
    ///
    /// # Errors
    /// What the disk says.
    pub fn next_look(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let times =
            [self.next_due(now)?, self.next_own_swarm_task(now)?, self.next_receipt()?, self.next_expiry()?];
        Ok(times.into_iter().flatten().min())
    }

    /// When a message disappears next.
    ///
    /// # Errors
    /// What the disk says.
    pub fn next_expiry(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read("look for what disappears", |connection| {
            let next: Option<i64> = connection
                .prepare_cached("SELECT min(expires_at) FROM message WHERE expires_at IS NOT NULL")?
                .query_row([], |row| row.get(0))?;
            Ok(next.map(timestamp))
        })
    }

    /// What the own swarm is to be asked for now; at most `limit` or [`MAX_PAGE`].
    ///
    /// # Errors
    /// What the disk says.
    pub fn own_swarm_tasks(&self, now: Timestamp, limit: usize) -> Result<Vec<OwnSwarmTask>, StoreError> {
        self.read("look for tasks of the own swarm", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT hash, act, expiry, attempts FROM own_swarm WHERE next_try <= ?1 ORDER BY next_try LIMIT ?2",
            )?;
            let tasks = statement.query_map((millis(now), page(limit.min(MAX_PAGE))), |row| {
                let expiry: i64 = row.get("expiry")?;
                Ok(OwnSwarmTask {
                    hash: row.get("hash")?,
                    expiry: (row.get::<_, i64>("act")? == 1).then(|| timestamp(expiry)),
                    attempts: row.get("attempts")?,
                })
            })?;
            Ok(tasks.collect::<Result<_, _>>()?)
        })
    }

    /// When a task of the own swarm becomes due after `now`.
    fn next_own_swarm_task(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.read("look for tasks of the own swarm", |connection| {
            let next: Option<i64> = connection
                .prepare_cached("SELECT min(next_try) FROM own_swarm WHERE next_try > ?1")?
                .query_row([millis(now)], |row| row.get(0))?;
            Ok(next.map(timestamp))
        })
    }

    /// The own swarm has done these, by a majority; cursors that stood at what is deleted are of no use any more
    /// (client-messages 5.5).
    ///
    /// # Errors
    /// What the disk says.
    pub fn own_swarm_did(&self, tasks: &[OwnSwarmTask]) -> Result<(), StoreError> {
        self.write("note what the own swarm did", |tx| {
            for task in tasks {
                let act = i64::from(task.expiry.is_some());
                tx.prepare_cached("DELETE FROM own_swarm WHERE hash = ?1 AND act = ?2")?
                    .execute((&task.hash, act))?;
                if act == 0 {
                    tx.prepare_cached("DELETE FROM cursor WHERE last_hash = ?1")?.execute([&task.hash])?;
                }
            }
            Ok(())
        })
    }

    /// The own swarm did not do these; they are tried again at `next_try`, `max` times at most: what is not deleted by then
    /// goes when its life ends.
    ///
    /// # Errors
    /// What the disk says.
    pub fn own_swarm_failed(
        &self,
        tasks: &[OwnSwarmTask],
        next_try: Timestamp,
        max: u32,
    ) -> Result<(), StoreError> {
        self.write("note what the own swarm did not do", |tx| {
            for task in tasks {
                tx.prepare_cached(
                    "UPDATE own_swarm SET attempts = attempts + 1, next_try = ?3 WHERE hash = ?1 AND act = ?2",
                )?
                .execute((&task.hash, i64::from(task.expiry.is_some()), millis(next_try)))?;
            }
            tx.prepare_cached("DELETE FROM own_swarm WHERE attempts >= ?1")?.execute([max])?;
            Ok(())
        })
    }
}
