//! When a message was sent, so that no two of an account were sent in the same millisecond: to every program of the protocol
//! two messages of one author and time are one, and one of them is lost.
//!
//! One device counts up. Several take turns: of [`TURNS`] milliseconds each has its own, and which one that is changes with every
//! sixteen by a secret of the account. So devices that write at one time keep out of each other's way, and nobody else can
//! tell from the time which device wrote. The device that made the account has the turn 0, others one by the time at which they
//! came; whoever hears that another takes the same turn takes another one.

use conclave_crypto::hash::blake2b_256_keyed;
use conclave_proto::Timestamp;
use rusqlite::Transaction;

use super::chats::id_bytes;
use super::error::Failure;
use super::meta::{own_id, phrase, value};
use super::work::Work;
use super::{Meta, StoreError, millis, timestamp};
use crate::types::MessageId;

pub(super) const TURNS: u64 = 16;
/// Whoever writes faster than in turns does not run further ahead of the clock than this, in milliseconds: then it takes any time
/// that is free, as others hear of it.
pub(super) const AHEAD_IN_TURN: u64 = 1_000;
const LABEL: &[u8] = b"conclave turns v1";

/// The next sent timestamp, within the transaction of what is sent with it.
pub(super) fn next_sent_timestamp(tx: &Transaction<'_>, now: Timestamp) -> Result<Timestamp, Failure> {
    let own = own_id(tx)?;
    let last: i64 = tx.prepare_cached("SELECT last_sent_at FROM account")?.query_row([], |row| row.get(0))?;
    let used_up = || StoreError::NotAllowed("the last time there is was used as that of a message");
    let free = millis(now).max(last.checked_add(1).ok_or_else(used_up)?);
    let mut next = millis(in_turn(tx, timestamp(free), now)?);
    // Another device of the account may have used the same millisecond.
    let mut taken = tx.prepare_cached(
        "SELECT 1 FROM message WHERE id = ?1 UNION ALL SELECT 1 FROM deleted WHERE id = ?1
         UNION ALL SELECT 1 FROM edit WHERE id = ?1",
    )?;
    while taken.exists([id_bytes(&MessageId::of(&own, timestamp(next)))])? {
        next = next.checked_add(1).ok_or_else(used_up)?;
    }
    tx.prepare_cached("UPDATE account SET last_sent_at = ?1")?.execute([next])?;
    Ok(timestamp(next))
}

/// The first time from `free` on that is this device's turn, if it is not too far from `now`.
fn in_turn(tx: &Transaction<'_>, free: Timestamp, now: Timestamp) -> Result<Timestamp, Failure> {
    let Some(turn) = turn(tx)? else { return Ok(free) };
    let first = free.0 / TURNS;
    for sixteen in [first, first.saturating_add(1)] {
        let place = (turn + offset(tx, sixteen)?) % TURNS;
        let at = Timestamp(sixteen.saturating_mul(TURNS).saturating_add(place));
        if at >= free && at.0 <= now.0.saturating_add(AHEAD_IN_TURN) {
            return Ok(at);
        }
    }
    Ok(free)
}

/// Which turn this device takes. `None` while a restored one has not found the account's settings.
fn turn(tx: &Transaction<'_>) -> Result<Option<u64>, Failure> {
    if let Some(chosen) = value(tx, Meta::Turn)? {
        return Ok(chosen.first().map(|turn| u64::from(*turn) % TURNS));
    }
    if value(tx, Meta::NewAccount)?.is_some() {
        return Ok(Some(0));
    }
    let Some(came) = value(tx, Meta::DocumentsFound)? else { return Ok(None) };
    // Older versions wrote one byte.
    let at = <[u8; 8]>::try_from(came).map_or(0, u64::from_be_bytes);
    Ok(Some(other_turn(at)))
}

/// A turn that is not that of the device that made the account.
const fn other_turn(number: u64) -> u64 {
    1 + number % (TURNS - 1)
}

/// By how much the turns are moved in these sixteen milliseconds.
fn offset(tx: &Transaction<'_>, sixteen: u64) -> Result<u64, Failure> {
    let secret = phrase(tx)?;
    let [first, ..] = blake2b_256_keyed(secret.seed(), &[LABEL, &sixteen.to_be_bytes()]);
    Ok(u64::from(first) % TURNS)
}

impl Work<'_> {
    /// Whether this device sent something then. What it sends to its own account comes back to it; once it is stored, it is known.
    fn sent_here(&self, sent_at: Timestamp) -> Result<bool, Failure> {
        let id = id_bytes(&MessageId::of(&self.own, sent_at));
        Ok(self
            .tx
            .prepare_cached(
                "SELECT 1 FROM outgoing WHERE id = ?1
                 UNION ALL SELECT 1 FROM message WHERE id = ?1 AND state IS NOT NULL",
            )?
            .exists([id])?)
    }

    /// A device of the account sent something then. If that was another, and in this device's turn, this one takes another turn.
    pub(super) fn keep_apart(&self, sent_at: Timestamp) -> Result<(), Failure> {
        let Some(own) = turn(self.tx)?.filter(|turn| *turn > 0) else { return Ok(()) };
        if self.sent_here(sent_at)? {
            return Ok(());
        }
        let place = sent_at.0 % TURNS;
        let theirs = (place + TURNS - offset(self.tx, sent_at.0 / TURNS)?) % TURNS;
        if theirs == own {
            // Two that share one do this by different clocks.
            let other = other_turn(own + self.now.0 % (TURNS - 2));
            let turn = u8::try_from(other).unwrap_or(1);
            self.tx
                .prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?
                .execute((Meta::Turn.name(), [turn]))?;
        }
        Ok(())
    }
}
