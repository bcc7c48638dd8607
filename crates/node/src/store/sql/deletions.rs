//! What is gone: deletions by name and by range, and the marks they leave.
//!
//! A *mark* is what is known about a message that is not here: by what its life was cut. A range needs none for each
//! message: it stays in the log of operations, and whatever comes later is held against it.

use std::collections::BTreeMap;

use conclave_proto::rpc::Scope;
use conclave_proto::{MessageHash, Namespace, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::messages::{self, COLUMNS, Found, Record};
use super::operations::{DELETE_RANGE, EXPIRE_RANGE};
use super::{Key, from_sql, limit, to_sql};
use crate::store::life::{Cut, Life};

/// Most marks of one account; the oldest go first. With their index some 1.5 MiB.
pub(in crate::store) const MAX_MARKS: usize = 10_000;

/// Deletes by name. What has never been here is marked all the same: a member that has it may be behind.
pub(super) fn delete(
    connection: &Connection,
    owner: i64,
    hashes: &[MessageHash],
    at: Timestamp,
) -> Result<BTreeMap<Namespace, Vec<MessageHash>>> {
    let mut deleted: BTreeMap<Namespace, Vec<MessageHash>> = BTreeMap::new();
    for key in super::keys(hashes) {
        let Some(mut found) = messages::find(connection, owner, &key)? else {
            mark(connection, owner, &key, &[Cut::deletion(at)])?;
            continue;
        };
        found.record.life.cut(Cut::deletion(at));
        if messages::settle(connection, owner, &found)? {
            deleted.entry(found.record.namespace).or_default().push(MessageHash::from_bytes(&key));
        }
    }
    trim(connection, owner)?;
    Ok(sorted(deleted))
}

/// Deletes what a range covers.
pub(super) fn delete_range(
    connection: &Connection,
    owner: i64,
    scope: Scope,
    before: Option<Timestamp>,
    at: Timestamp,
) -> Result<BTreeMap<Namespace, Vec<MessageHash>>> {
    let namespace = namespace_of(scope);
    let covered: Vec<Found> = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM messages
             WHERE owner = ?1 AND (?2 IS NULL OR namespace = ?2) AND timestamp <= ?3 AND stored_at <= ?4"
        ))?
        .query_map(params![owner, namespace, before.map_or(i64::MAX, to_sql), to_sql(at)], messages::row)?
        .collect::<Result<_>>()?;
    let mut deleted: BTreeMap<Namespace, Vec<MessageHash>> = BTreeMap::new();
    for Found { id, key, record } in covered {
        messages::bury(connection, owner, Some(id), &key, &record)?;
        deleted.entry(record.namespace).or_default().push(MessageHash::from_bytes(&key));
    }
    Ok(sorted(deleted))
}

/// Holds what is now known about a message against the ranges in the log: cuts its life by those later than what was just
/// learnt, and says whether one deletes it. For a client's new message there is none so late.
pub(super) fn apply_ranges(
    connection: &Connection,
    owner: i64,
    record: &mut Record,
    learnt: &Record,
) -> Result<bool> {
    let stored = record.stored;
    let earliest = learnt.life.raises().first().map_or(stored.0, |raise| raise.at.min(stored.0));
    let mut statement = connection.prepare_cached(
        "SELECT kind, at, bound FROM operations
         WHERE owner = ?1 AND at >= ?2 AND kind IN (?3, ?4) AND (namespace IS NULL OR namespace = ?5)",
    )?;
    let mut rows =
        statement.query(params![owner, to_sql(earliest), DELETE_RANGE, EXPIRE_RANGE, record.namespace.0])?;
    let mut covered = false;
    while let Some(row) = rows.next()? {
        let (kind, at): (i64, Timestamp) = (row.get(0)?, from_sql(row.get(1)?));
        let bound = row.get::<_, Option<i64>>(2)?.map(from_sql);
        if kind == EXPIRE_RANGE {
            record.life.cut(Cut { at, expiry: bound.unwrap_or_default() });
        } else if stored.0 <= at && bound.is_none_or(|before| stored.1 <= before) {
            covered = true;
        }
    }
    Ok(covered)
}

/// Remembers cuts of a message that is not here.
pub(super) fn mark(connection: &Connection, owner: i64, key: &Key, cuts: &[Cut]) -> Result<()> {
    if cuts.is_empty() {
        return Ok(());
    }
    let known: Option<Vec<u8>> = connection
        .prepare_cached("SELECT life FROM marks WHERE owner = ?1 AND hash = ?2")?
        .query_row(params![owner, key], |row| row.get(0))
        .optional()?;
    let mut life = match known {
        Some(bytes) => super::life(&bytes, 0)?,
        None => Life::default(),
    };
    cuts.iter().for_each(|cut| life.cut(*cut));
    let until = life.remembered_until().unwrap_or_default();
    connection
        .prepare_cached(
            "INSERT INTO marks (owner, hash, until, life) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (owner, hash) DO UPDATE SET until = ?3, life = ?4",
        )?
        .execute(params![owner, key, to_sql(until), life.encode()])
        .map(|_| ())
}

/// The cuts remembered of a message that comes in now. They lie with the message from here on.
pub(super) fn take_mark(connection: &Connection, owner: i64, key: &Key) -> Result<Vec<Cut>> {
    let known: Option<Vec<u8>> = connection
        .prepare_cached("DELETE FROM marks WHERE owner = ?1 AND hash = ?2 RETURNING life")?
        .query_row(params![owner, key], |row| row.get(0))
        .optional()?;
    known.map_or_else(|| Ok(Vec::new()), |bytes| Ok(super::life(&bytes, 0)?.cuts().to_vec()))
}

/// Keeps the newest [`MAX_MARKS`].
pub(super) fn trim(connection: &Connection, owner: i64) -> Result<()> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM marks WHERE owner = ?1")?
        .query_row([owner], |row| row.get(0))?;
    let excess = count - limit(MAX_MARKS);
    if excess <= 0 {
        return Ok(());
    }
    connection
        .prepare_cached(
            "DELETE FROM marks WHERE owner = ?1 AND hash IN
                 (SELECT hash FROM marks WHERE owner = ?1 ORDER BY until, hash LIMIT ?2)",
        )?
        .execute([owner, excess])
        .map(|_| ())
}

/// Forgets at most `most` marks that no copy can outlive; their owners.
pub(super) fn sweep(connection: &Connection, now: Timestamp, most: usize) -> Result<Vec<i64>> {
    connection
        .prepare_cached(
            "DELETE FROM marks WHERE (owner, hash) IN (SELECT owner, hash FROM marks WHERE until <= ?1 LIMIT ?2)
             RETURNING owner",
        )?
        .query_map([to_sql(now), limit(most)], |row| row.get(0))?
        .collect()
}

/// The one namespace of a scope; nothing for all.
pub(super) const fn namespace_of(scope: Scope) -> Option<i16> {
    match scope {
        Scope::One(namespace) => Some(namespace.0),
        Scope::All => None,
    }
}

/// Hashes in the order of their text, in which nodes sign them.
pub(super) fn sorted(
    mut found: BTreeMap<Namespace, Vec<MessageHash>>,
) -> BTreeMap<Namespace, Vec<MessageHash>> {
    found.values_mut().for_each(|hashes| hashes.sort_unstable());
    found
}
