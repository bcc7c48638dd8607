//! What the store does inside a transaction. Each function may run twice: when a group of writes fails,
//! its transaction is rolled back and they are tried one by one.

use std::collections::{BTreeMap, BTreeSet};

use conclave_crypto::AccountId;
use conclave_proto::rpc::answers::StoredMessage;
use conclave_proto::{MessageHash, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::{NewMessage, Page, Query, Stats, Stored};

/// What each message counts beside its data and hash. (storage-and-onion 2.8)
const MESSAGE_OVERHEAD: u64 = 100;

pub(super) fn insert(connection: &Connection, message: &NewMessage) -> Result<Stored> {
    let asked = to_sql(message.expiry);
    let owner = owner(connection, &message.owner)?;
    if let Some(owner) = owner {
        let known: Option<(i64, i64)> = connection
            .prepare_cached("SELECT id, expiry FROM messages WHERE owner = ?1 AND hash = ?2")?
            .query_row(params![owner, message.hash.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((id, expiry)) = known {
            if expiry < asked {
                connection
                    .prepare_cached("UPDATE messages SET expiry = ?2 WHERE id = ?1")?
                    .execute([id, asked])?;
            }
            return Ok(Stored { already: true, expiry: from_sql(expiry.max(asked)) });
        }
        if message.namespace.is_public_outbox() && !replaces_outbox(connection, owner, message)? {
            // Obsolete: reported as stored, since keeping it would change nothing that is read.
            return Ok(Stored { already: false, expiry: message.expiry });
        }
    }
    let owner = match owner {
        Some(owner) => owner,
        None => connection
            .prepare_cached("INSERT INTO owners (account) VALUES (?1)")?
            .insert([message.owner.as_bytes().as_slice()])?,
    };
    connection
        .prepare_cached(
            "INSERT INTO messages (hash, owner, namespace, timestamp, expiry, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            message.hash.as_str(),
            owner,
            message.namespace.0,
            to_sql(message.timestamp),
            asked,
            message.data
        ])?;
    Ok(Stored { already: false, expiry: message.expiry })
}

/// Whether `message` is newer than what the outbox holds, which is removed then. Of two with the same time the greater
/// hash stays, so that members who heard of them in different order keep the same one.
fn replaces_outbox(connection: &Connection, owner: i64, message: &NewMessage) -> Result<bool> {
    let newer: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM messages WHERE owner = ?1 AND namespace = ?2 AND (timestamp, hash) > (?3, ?4))",
        )?
        .query_row(
            params![owner, message.namespace.0, to_sql(message.timestamp), message.hash.as_str()],
            |row| row.get(0),
        )?;
    if !newer {
        connection
            .prepare_cached("DELETE FROM messages WHERE owner = ?1 AND namespace = ?2")?
            .execute(params![owner, message.namespace.0])?;
    }
    Ok(!newer)
}

/// Removes at most `most` messages that have expired, and owners left without any.
pub(super) fn sweep(connection: &Connection, now: Timestamp, most: usize) -> Result<usize> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let owners: Vec<i64> = connection
        .prepare_cached(
            "DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE expiry <= ?1 LIMIT ?2) RETURNING owner",
        )?
        .query_map([to_sql(now), most], |row| row.get(0))?
        .collect::<Result<_>>()?;
    let gone = owners.len();
    let mut forget = connection.prepare_cached(
        "DELETE FROM owners WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM messages WHERE owner = ?1)",
    )?;
    for owner in owners.into_iter().collect::<BTreeSet<_>>() {
        forget.execute([owner])?;
    }
    Ok(gone)
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

pub(super) fn page(connection: &Connection, query: &Query<'_>) -> Result<Page> {
    let Some(owner) = owner(connection, query.owner)? else { return Ok(Page::default()) };
    let start: i64 = match query.after {
        Some(hash) => connection
            .prepare_cached("SELECT id FROM messages WHERE owner = ?1 AND hash = ?2 AND namespace = ?3")?
            .query_row(params![owner, hash.as_str(), query.namespace.0], |row| row.get(0))
            .optional()?
            .unwrap_or(0),
        None => 0,
    };
    let most = query.max_count.filter(|count| *count > 0).unwrap_or(u64::MAX);
    let mut statement = connection.prepare_cached(
        "SELECT hash, timestamp, expiry, data FROM messages WHERE owner = ?1 AND namespace = ?2 AND id > ?3 ORDER BY id",
    )?;
    let mut rows = statement.query(params![owner, query.namespace.0, start])?;
    let mut page = Page::default();
    let mut size = 0u64;
    while let Some(row) = rows.next()? {
        let data = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        size = size.saturating_add(accounted_size(data.len()));
        let full = size > query.max_size || page.messages.len() as u64 >= most;
        if full && !page.messages.is_empty() {
            page.more = true;
            break;
        }
        page.messages.push(StoredMessage {
            hash: hash_in(row, 0)?,
            timestamp: from_sql(row.get(1)?),
            expiration: from_sql(row.get(2)?),
            data: data.to_vec(),
        });
    }
    Ok(page)
}

pub(super) fn expiries(
    connection: &Connection,
    account: &AccountId,
    hashes: &[MessageHash],
) -> Result<BTreeMap<MessageHash, Timestamp>> {
    let Some(owner) = owner(connection, account)? else { return Ok(BTreeMap::new()) };
    let mut statement =
        connection.prepare_cached("SELECT expiry FROM messages WHERE owner = ?1 AND hash = ?2")?;
    let mut found = BTreeMap::new();
    for hash in hashes {
        let expiry = statement.query_row(params![owner, hash.as_str()], |row| row.get(0)).optional()?;
        found.extend(expiry.map(|expiry| (*hash, from_sql(expiry))));
    }
    Ok(found)
}

pub(super) fn stats(connection: &Connection) -> Result<Stats> {
    connection.query_row(
        "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM owners), page_count * page_size,
                freelist_count * page_size
         FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
        [],
        |row| {
            let count = |at| row.get(at).map(i64::unsigned_abs);
            Ok(Stats { messages: count(0)?, owners: count(1)?, bytes: count(2)?, free_bytes: count(3)? })
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

fn owner(connection: &Connection, account: &AccountId) -> Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM owners WHERE account = ?1")?
        .query_row([account.as_bytes().as_slice()], |row| row.get(0))
        .optional()
}

/// How much a message counts against the limit of a `retrieve`: its size as base64, whatever the encoding.
fn accounted_size(data: usize) -> u64 {
    let data = u64::try_from(data).unwrap_or(u64::MAX);
    MESSAGE_OVERHEAD + MessageHash::LENGTH as u64 + data.saturating_mul(4) / 3
}

fn hash_in(row: &rusqlite::Row<'_>, column: usize) -> Result<MessageHash> {
    let text = row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?;
    MessageHash::from_text(text).map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(e))
    })
}

/// Times beyond the year 292 million are stored as that year.
fn to_sql(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn from_sql(time: i64) -> Timestamp {
    Timestamp(u64::try_from(time).unwrap_or(0))
}
