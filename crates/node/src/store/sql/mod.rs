//! What the store does inside a transaction, one module for each concept. Each function may run twice: when a group of
//! writes fails, its transaction is rolled back and they are tried one by one.
//!
//! The rules (docs/decisions/0007): a message is alive while it was stored later than anything that deletes it, and its
//! life has not come to its end. Whatever can arrive late is looked at as if it had come in time: what is known only adds up.

pub(super) mod deletions;
pub(super) mod expiries;
pub(super) mod messages;
pub(super) mod operations;
pub(super) mod revocations;
pub(super) mod sync;

use std::collections::BTreeSet;

use conclave_crypto::AccountId;
use conclave_proto::{MessageHash, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::Stats;
use super::life::Life;

/// Removes at most `most` of each kind of thing whose time is over, and accounts about which nothing is known any more.
/// Returns how many messages went, and whether that was all.
pub(super) fn sweep(connection: &Connection, now: Timestamp, most: usize) -> Result<(usize, bool)> {
    let messages = messages::sweep(connection, now, most)?;
    let marks = deletions::sweep(connection, now, most)?;
    let operations = operations::sweep(connection, now, most)?;
    let all = [&messages, &marks, &operations].iter().all(|owners| owners.len() < most);
    let gone = messages.len();
    let revoking = operations::owners_to_look_at(connection, now, most)?;
    let owners: BTreeSet<i64> = messages.into_iter().chain(marks).chain(operations).chain(revoking).collect();
    for owner in owners {
        forget_owner(connection, owner, now)?;
    }
    Ok((gone, all))
}

/// Forgets an owner of whom there are neither messages nor anything to remember; its revocations go with it, once they have
/// been useless for a month.
fn forget_owner(connection: &Connection, owner: i64, now: Timestamp) -> Result<()> {
    let has_any: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM messages WHERE owner = ?1) OR EXISTS (SELECT 1 FROM marks WHERE owner = ?1)",
        )?
        .query_row([owner], |row| row.get(0))?;
    if !has_any && !operations::matter(connection, owner, now)? {
        connection.prepare_cached("DELETE FROM operations WHERE owner = ?1")?.execute([owner])?;
        connection.prepare_cached("DELETE FROM revocations WHERE owner = ?1")?.execute([owner])?;
        connection.prepare_cached("DELETE FROM owners WHERE id = ?1")?.execute([owner])?;
    }
    Ok(())
}

pub(super) fn set_meta(connection: &Connection, name: &str, value: &[u8]) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
        )?
        .execute(params![name, value])
        .map(|_| ())
}

pub(super) fn meta(connection: &Connection, name: &str) -> Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

pub(super) fn stats(connection: &Connection) -> Result<Stats> {
    connection.query_row(
        "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM owners), (SELECT count(*) FROM marks),
                (SELECT count(*) FROM operations), page_count * page_size, freelist_count * page_size
         FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
        [],
        |row| {
            let count = |at| row.get(at).map(i64::unsigned_abs);
            Ok(Stats {
                messages: count(0)?,
                owners: count(1)?,
                tombstones: count(2)?,
                operations: count(3)?,
                bytes: count(4)?,
                free_bytes: count(5)?,
            })
        },
    )
}

/// The first problem SQLite finds, if any.
pub(super) fn problem(connection: &Connection) -> Result<Option<String>> {
    let found: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    let orphan: bool =
        connection
            .query_row("SELECT EXISTS (SELECT 1 FROM pragma_foreign_key_check)", [], |row| row.get(0))?;
    Ok(match found.as_str() {
        "ok" if orphan => Some("a message without an owner".into()),
        "ok" => None,
        _ => Some(found),
    })
}

/// The row of an account, if anything is known about it.
fn owner(connection: &Connection, account: &AccountId) -> Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM owners WHERE account = ?1")?
        .query_row([account.as_bytes().as_slice()], |row| row.get(0))
        .optional()
}

fn owner_or_new(connection: &Connection, account: &AccountId) -> Result<i64> {
    match owner(connection, account)? {
        Some(owner) => Ok(owner),
        None => connection
            .prepare_cached("INSERT INTO owners (account) VALUES (?1)")?
            .insert([account.as_bytes().as_slice()]),
    }
}

/// A hash as it lies here: its 32 bytes.
type Key = [u8; 32];

/// The keys of hashes that can be some message's, each once.
fn keys(hashes: &[MessageHash]) -> BTreeSet<Key> {
    hashes.iter().filter_map(MessageHash::to_bytes).collect()
}

fn life(bytes: &[u8], column: usize) -> Result<Life> {
    Life::decode(bytes).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, "not a message's life".into())
    })
}

/// Times beyond the year 292 million are stored as that year.
fn to_sql(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn from_sql(time: i64) -> Timestamp {
    Timestamp(u64::try_from(time).unwrap_or(0))
}

fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}
