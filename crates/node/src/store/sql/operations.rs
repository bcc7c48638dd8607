//! Applying operations, and the log of those that others may have missed.

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::deletions::{self, namespace_of};
use super::{expiries, from_sql, limit, owner, owner_or_new, revocations, to_sql};
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
/// All others.
const NAMED: i64 = 0;

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
        super::forget_owner(connection, owner)?;
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
        _ => (NAMED, None, None),
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
    if new > 0 { trim(connection, owner) } else { Ok(()) }
}

/// Keeps the newest, as many as are allowed.
fn trim(connection: &Connection, owner: i64) -> Result<()> {
    let mut newest = connection.prepare_cached(
        "SELECT at, id, length(request) FROM operations WHERE owner = ?1 ORDER BY at DESC, id DESC",
    )?;
    let mut rows = newest.query([owner])?;
    let (mut count, mut bytes) = (0, 0i64);
    while let Some(row) = rows.next()? {
        count += 1;
        bytes += row.get::<_, i64>(2)?;
        if count > MAX_OPERATIONS || bytes > limit(MAX_OPERATION_BYTES) {
            let (at, id): (i64, [u8; 32]) = (row.get(0)?, row.get(1)?);
            connection
                .prepare_cached("DELETE FROM operations WHERE owner = ?1 AND (at, id) <= (?2, ?3)")?
                .execute(params![owner, at, id])?;
            break;
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

/// Forgets at most `most` operations that no copy can outlive; their owners.
pub(super) fn sweep(connection: &Connection, now: Timestamp, most: usize) -> Result<Vec<i64>> {
    connection
        .prepare_cached(
            "DELETE FROM operations WHERE rowid IN (SELECT rowid FROM operations WHERE at <= ?1 LIMIT ?2) RETURNING owner",
        )?
        .query_map([to_sql(now.minus(MEMORY)), limit(most)], |row| row.get(0))?
        .collect()
}
