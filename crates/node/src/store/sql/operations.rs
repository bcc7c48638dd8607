//! Applying operations, and the log of those that others may have missed.

use std::time::Duration;

use conclave_crypto::AccountId;
use conclave_proto::{MessageHash, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::deletions::{self, namespace_of};
use super::{expiries, from_sql, limit, messages, owner, owner_or_new, revocations, to_sql};
use crate::store::life::MEMORY;
use crate::store::operation::{Action, Applied, Arrival, Operation, OperationId};
use crate::store::{Logged, OperationKey};

/// Operations of one account that are kept; the oldest go first. Somebody who deletes one message at a time, thirty a day, is
/// remembered for the whole month.
pub(in crate::store) const MAX_OPERATIONS: usize = 1_000;
/// And bytes of their requests. A request larger than this is done and not kept.
pub(in crate::store) const MAX_OPERATION_BYTES: usize = 1024 * 1024;

/// Kinds of logged operations that later messages are held against.
pub(super) const DELETE_RANGE: i64 = 1;
pub(super) const EXPIRE_RANGE: i64 = 2;
/// All others. Of these, revocations have a bound: the time at which the account signed.
const NAMED: i64 = 0;

/// What a row must be to be a revocation, or one taken back.
const IS_REVOCATION: &str = "(kind = 0 AND bound IS NOT NULL)";
/// What a row must be to be the account's last word about a token: it is kept for as long as the account is known, since
/// members that come later have to hear of it.
const IS_LAST_WORD: &str = "(kind = 0 AND bound IS NOT NULL AND EXISTS
    (SELECT 1 FROM revocations WHERE revocations.owner = operations.owner AND revocations.timestamp = bound))";

/// For so long after their time it is looked whether revocations are all that is left of their accounts. A node that does not
/// run in these days looks when the account loses something else.
const LOOKED_AT_FOR: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Does an operation, direct or late, and keeps it if it took something away. Doing it again changes nothing.
pub(in crate::store) fn apply(
    connection: &Connection,
    operation: &Operation,
    arrival: Arrival,
) -> Result<Applied> {
    let owner = owner_or_new(connection, &operation.owner)?;
    let at = operation.at;
    let (applied, keep) = match &operation.action {
        Action::Delete(hashes) => (Applied::Deleted(deletions::delete(connection, owner, hashes, at)?), true),
        Action::DeleteRange { scope, before } => {
            (Applied::Deleted(deletions::delete_range(connection, owner, *scope, *before, at)?), true)
        }
        Action::Expire { messages, mode } => {
            expiries::expire(connection, owner, messages, *mode, at, arrival)?
        }
        Action::ExpireRange { scope, expiry } => {
            (Applied::Shortened(expiries::expire_range(connection, owner, *scope, *expiry, at)?), true)
        }
        Action::Revoke { tokens, timestamp, revoked } => {
            (Applied::Revoked(revocations::revoke(connection, owner, tokens, *timestamp, *revoked)?), true)
        }
    };
    if keep {
        log(connection, owner, operation)?;
    } else {
        super::forget_owner(connection, owner, at)?;
    }
    Ok(applied)
}

fn log(connection: &Connection, owner: i64, operation: &Operation) -> Result<()> {
    if operation.request.len() > MAX_OPERATION_BYTES {
        return Ok(());
    }
    let (kind, namespace, bound) = match &operation.action {
        Action::DeleteRange { scope, before } => (DELETE_RANGE, namespace_of(*scope), *before),
        Action::ExpireRange { scope, expiry } => (EXPIRE_RANGE, namespace_of(*scope), Some(*expiry)),
        Action::Revoke { timestamp, .. } => (NAMED, None, Some(*timestamp)),
        Action::Delete(_) | Action::Expire { .. } => (NAMED, None, None),
    };
    let new = connection
        .prepare_cached(
            "INSERT INTO operations (owner, id, at, kind, namespace, bound, request) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (owner, id) DO NOTHING",
        )?
        .execute(params![
            owner,
            operation.id().0,
            to_sql(operation.at),
            kind,
            namespace,
            bound.map(to_sql),
            operation.request
        ])?;
    if new == 0 {
        return Ok(());
    }
    if operation.is_kept_for_good() {
        // Older words that were kept although their month was over, and are not the last ones any more.
        connection
            .prepare_cached(&format!(
                "DELETE FROM operations WHERE owner = ?1 AND at <= ?2 AND {IS_REVOCATION} AND NOT {IS_LAST_WORD}"
            ))?
            .execute(params![owner, to_sql(operation.at.minus(MEMORY))])?;
    }
    trim(connection, owner)
}

/// Keeps the last words about tokens and the newest, as many as are allowed.
fn trim(connection: &Connection, owner: i64) -> Result<()> {
    let (count, bytes): (i64, i64) = connection
        .prepare_cached("SELECT count(*), sum(length(request)) FROM operations WHERE owner = ?1")?
        .query_row([owner], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if count <= limit(MAX_OPERATIONS) && bytes <= limit(MAX_OPERATION_BYTES) {
        return Ok(());
    }
    let mut kept = connection.prepare_cached(&format!(
        "SELECT id, length(request) FROM operations WHERE owner = ?1 ORDER BY {IS_LAST_WORD} DESC, at DESC, id DESC"
    ))?;
    let kept: Vec<([u8; 32], i64)> =
        kept.query_map([owner], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_>>()?;
    let (mut count, mut bytes) = (0, 0i64);
    for (id, length) in kept {
        count += 1;
        bytes += length;
        if count > MAX_OPERATIONS || bytes > limit(MAX_OPERATION_BYTES) {
            connection
                .prepare_cached("DELETE FROM operations WHERE owner = ?1 AND id = ?2")?
                .execute(params![owner, id])?;
        }
    }
    Ok(())
}

/// The log of an account, the oldest first; with `ids` only those.
pub(in crate::store) fn logged(
    connection: &Connection,
    account: &AccountId,
    ids: Option<&[OperationId]>,
) -> Result<Vec<Logged>> {
    let Some(owner) = owner(connection, account)? else { return Ok(Vec::new()) };
    let Some(ids) = ids else {
        return connection
            .prepare_cached("SELECT request FROM operations WHERE owner = ?1 ORDER BY at, id")?
            .query_map([owner], |row| row.get(0).map(Logged))?
            .collect();
    };
    let mut statement =
        connection.prepare_cached("SELECT request FROM operations WHERE owner = ?1 AND id = ?2")?;
    let mut found = Vec::new();
    for id in ids {
        found.extend(statement.query_row(params![owner, id.0], |row| row.get(0).map(Logged)).optional()?);
    }
    Ok(found)
}

/// The names of what is in the log of an account, the oldest first.
pub(in crate::store) fn names(connection: &Connection, account: &AccountId) -> Result<Vec<OperationKey>> {
    let Some(owner) = owner(connection, account)? else { return Ok(Vec::new()) };
    connection
        .prepare_cached("SELECT at, id FROM operations WHERE owner = ?1 ORDER BY at, id")?
        .query_map([owner], |row| {
            Ok(OperationKey { at: from_sql(row.get(0)?), id: OperationId(row.get(1)?) })
        })?
        .collect()
}

/// The time of the latest operation of anybody.
pub(in crate::store) fn last(connection: &Connection) -> Result<Option<Timestamp>> {
    let last = connection.prepare_cached("SELECT max(at) FROM operations")?.query_row([], |row| row.get(0));
    last.map(|at: Option<i64>| at.map(from_sql))
}

/// When something was last added to what an operation is about.
pub(in crate::store) fn last_addition(
    connection: &Connection,
    operation: &Operation,
) -> Result<Option<Timestamp>> {
    let Some(owner) = owner(connection, &operation.owner)? else { return Ok(None) };
    let hashes: Vec<MessageHash> = match &operation.action {
        Action::Delete(hashes) => hashes.clone(),
        Action::Expire { messages, .. } => messages.iter().map(|(hash, _)| *hash).collect(),
        Action::DeleteRange { scope, .. } | Action::ExpireRange { scope, .. } => {
            return messages::in_scope(connection, owner, namespace_of(*scope), |found| {
                found.record.last_addition()
            })
            .map(|times| times.into_iter().max());
        }
        Action::Revoke { .. } => return Ok(None),
    };
    let mut last = None;
    for key in super::keys(&hashes) {
        let found = messages::find(connection, owner, &key)?;
        last = last.max(found.map(|found| found.record.last_addition()));
    }
    Ok(last)
}

/// Forgets at most `most` operations that no copy can outlive; their owners.
pub(super) fn sweep(connection: &Connection, now: Timestamp, most: usize) -> Result<Vec<i64>> {
    let month = now.minus(MEMORY);
    connection
        .prepare_cached(&format!(
            "DELETE FROM operations WHERE rowid IN
                 (SELECT rowid FROM operations WHERE at <= ?1
                  AND (NOT {IS_REVOCATION} OR (at > ?2 AND NOT {IS_LAST_WORD})) LIMIT ?3)
             RETURNING owner"
        ))?
        .query_map(params![to_sql(month), to_sql(month.minus(LOOKED_AT_FOR)), limit(most)], |row| row.get(0))?
        .collect()
}

/// Accounts whose revocations have come to the end of their month: it may be that nothing else is known of them. At most
/// `most`, those first that are not looked at for much longer.
pub(super) fn owners_to_look_at(connection: &Connection, now: Timestamp, most: usize) -> Result<Vec<i64>> {
    let month = now.minus(MEMORY);
    connection
        .prepare_cached(&format!(
            "SELECT owner FROM operations WHERE at <= ?1 AND at > ?2 AND {IS_REVOCATION} ORDER BY at LIMIT ?3"
        ))?
        .query_map(params![to_sql(month), to_sql(month.minus(LOOKED_AT_FOR)), limit(most)], |row| row.get(0))?
        .collect()
}

/// Whether there is an operation of an owner that is a reason to remember it: any but revocations whose month is over.
pub(super) fn matter(connection: &Connection, owner: i64, now: Timestamp) -> Result<bool> {
    connection
        .prepare_cached(&format!(
            "SELECT EXISTS (SELECT 1 FROM operations WHERE owner = ?1 AND NOT (at <= ?2 AND {IS_REVOCATION}))"
        ))?
        .query_row(params![owner, to_sql(now.minus(MEMORY))], |row| row.get(0))
}
