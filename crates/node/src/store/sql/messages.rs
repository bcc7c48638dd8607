//! Messages: taking them in, from clients and from other members, and reading them.

use std::collections::BTreeMap;

use conclave_crypto::AccountId;
use conclave_proto::rpc::answers::StoredMessage;
use conclave_proto::{MessageHash, Namespace, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use super::{Key, deletions, from_sql, limit, owner, owner_or_new, to_sql};
use crate::store::life::{Life, Raise};
use crate::store::{MessageCopy, NewMessage, Page, Query, Stored};

/// What each message counts beside its data and hash. (storage-and-onion 2.8)
const MESSAGE_OVERHEAD: u64 = 100;

/// What is known about a message, without its data.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) namespace: Namespace,
    /// When a client last stored it, and the sent time it named then.
    pub(super) stored: (Timestamp, Timestamp),
    pub(super) life: Life,
}

impl Record {
    /// Stored later than any deletion that names it. Of ranges it has to be asked apart.
    fn outlives_deletions(&self) -> bool {
        self.life.deleted_at().is_none_or(|deleted_at| self.stored.0 > deleted_at)
            && self.life.expiry() > Timestamp(0)
    }

    /// When it was last stored or made to live longer.
    pub(super) fn last_addition(&self) -> Timestamp {
        let last_raise = self.life.raises().last().map(|raise| raise.at);
        last_raise.map_or(self.stored.0, |at| at.max(self.stored.0))
    }

    /// The life as it lies in the database: nothing where one raise, by the last store, is all there is to say.
    fn encoded_life(&self) -> Option<Vec<u8>> {
        let plain = matches!(self.life.raises(), [only] if only.at == self.stored.0);
        (!plain || !self.life.cuts().is_empty()).then(|| self.life.encode())
    }
}

/// A record and where it lies.
pub(super) struct Found {
    pub(super) id: i64,
    pub(super) key: Key,
    pub(super) record: Record,
}

/// The columns that [`row`] reads.
pub(super) const COLUMNS: &str = "id, hash, namespace, stored_at, timestamp, expiry, life";

pub(super) fn row(row: &Row<'_>) -> Result<Found> {
    let stored_at = from_sql(row.get(3)?);
    let life = match row.get_ref(6)?.as_blob_or_null().map_err(rusqlite::Error::from)? {
        Some(bytes) => super::life(bytes, 6)?,
        None => Life::of(&[Raise { at: stored_at, expiry: from_sql(row.get(5)?) }], &[]),
    };
    Ok(Found {
        id: row.get(0)?,
        key: row.get(1)?,
        record: Record {
            namespace: Namespace(row.get(2)?),
            stored: (stored_at, from_sql(row.get(4)?)),
            life,
        },
    })
}

pub(super) fn find(connection: &Connection, owner: i64, key: &Key) -> Result<Option<Found>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM messages WHERE owner = ?1 AND hash = ?2"))?
        .query_row(params![owner, key], row)
        .optional()
}

/// What `of` says of each message of an owner, in one namespace or all.
pub(super) fn in_scope<T>(
    connection: &Connection,
    owner: i64,
    namespace: Option<i16>,
    of: impl Fn(Found) -> T,
) -> Result<Vec<T>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM messages WHERE owner = ?1 AND (?2 IS NULL OR namespace = ?2)"
        ))?
        .query_map(params![owner, namespace], |found| row(found).map(&of))?
        .collect()
}

/// A client's message, taken in at `at`.
pub(in crate::store) fn insert(
    connection: &Connection,
    message: &NewMessage,
    at: Timestamp,
) -> Result<Stored> {
    let raise = Raise { at, expiry: message.expiry };
    // A hash that is no hash names no message; whoever calls has computed it.
    let Some(key) = message.hash.to_bytes() else {
        return Ok(Stored { already: false, expiry: message.expiry });
    };
    let owner = owner_or_new(connection, &message.owner)?;
    let news = News {
        owner,
        now: at,
        key,
        record: Record {
            namespace: message.namespace,
            stored: (at, message.timestamp),
            life: Life::of(&[raise], &[]),
        },
        data: &message.data,
    };
    let (already, alive) = absorb(connection, &news)?;
    Ok(Stored { already, expiry: alive.unwrap_or(message.expiry) })
}

/// Another member's copy. Whether it was not here and is now.
pub(in crate::store) fn merge(connection: &Connection, copy: &MessageCopy, now: Timestamp) -> Result<bool> {
    let Some(key) = copy.hash().to_bytes() else { return Ok(false) };
    let owner = owner_or_new(connection, &copy.owner)?;
    let news = News {
        owner,
        now,
        key,
        record: Record {
            namespace: copy.namespace,
            stored: (copy.stored_at, copy.timestamp),
            life: Life::of(&copy.raises, &[]),
        },
        data: &copy.data,
    };
    let (already, alive) = absorb(connection, &news)?;
    if alive.is_none() {
        super::forget_owner(connection, owner, now)?;
    }
    Ok(!already && alive.is_some())
}

/// Something learnt about a message.
struct News<'a> {
    owner: i64,
    now: Timestamp,
    key: Key,
    record: Record,
    data: &'a [u8],
}

/// Adds what was learnt to what is known. Says whether the message was here, and its expiry if it is now.
fn absorb(connection: &Connection, news: &News<'_>) -> Result<(bool, Option<Timestamp>)> {
    let owner = news.owner;
    let known = find(connection, owner, &news.key)?;
    let already = known.is_some();
    let mut record = news.record.clone();
    let (id, cuts) = match known {
        Some(known) => {
            record.stored = record.stored.max(known.record.stored);
            known.record.life.raises().iter().for_each(|raise| record.life.raise(*raise));
            (Some(known.id), known.record.life.cuts().to_vec())
        }
        None => (None, deletions::take_mark(connection, owner, &news.key)?),
    };
    cuts.iter().for_each(|cut| record.life.cut(*cut));
    let covered = deletions::apply_ranges(connection, owner, &mut record, &news.record)?;
    if covered || !record.outlives_deletions() || record.life.expiry() <= news.now {
        bury(connection, owner, id, &news.key, &record)?;
        return Ok((already, None));
    }
    if record.namespace.is_public_outbox() && !wins_outbox(connection, news, &record)? {
        // Obsolete: reported as stored, since keeping it would change nothing that is read.
        bury(connection, owner, id, &news.key, &record)?;
        return Ok((already, None));
    }
    match id {
        Some(id) => update(connection, id, &record)?,
        None => {
            connection
                .prepare_cached(
                    "INSERT INTO messages (owner, namespace, stored_at, timestamp, expiry, hash, life, data)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?
                .execute(params![
                    owner,
                    record.namespace.0,
                    to_sql(record.stored.0),
                    to_sql(record.stored.1),
                    to_sql(record.life.expiry()),
                    news.key,
                    record.encoded_life(),
                    news.data,
                ])?;
        }
    }
    Ok((already, Some(record.life.expiry())))
}

/// Whether `record` is the newest of its outbox; then the others go. Of two with the same time the greater hash stays, so
/// that members who heard of them in different order keep the same one. What has expired does not count.
fn wins_outbox(connection: &Connection, news: &News<'_>, record: &Record) -> Result<bool> {
    let others: Vec<Found> = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM messages WHERE owner = ?1 AND namespace = ?2 AND hash <> ?3"
        ))?
        .query_map(params![news.owner, record.namespace.0, news.key], row)?
        .collect::<Result<_>>()?;
    let wins = |other: &Found| {
        other.record.life.expiry() > news.now
            && (other.record.stored.1, other.key) > (record.stored.1, news.key)
    };
    if others.iter().any(wins) {
        return Ok(false);
    }
    for other in others {
        bury(connection, news.owner, Some(other.id), &other.key, &other.record)?;
    }
    Ok(true)
}

/// Writes what has changed about a message that is here.
pub(super) fn update(connection: &Connection, id: i64, record: &Record) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE messages SET stored_at = ?2, timestamp = ?3, expiry = ?4, life = ?5 WHERE id = ?1",
        )?
        .execute(params![
            id,
            to_sql(record.stored.0),
            to_sql(record.stored.1),
            to_sql(record.life.expiry()),
            record.encoded_life(),
        ])
        .map(|_| ())
}

/// Removes a message, if it is here, and remembers what cut its life.
pub(super) fn bury(
    connection: &Connection,
    owner: i64,
    id: Option<i64>,
    key: &Key,
    record: &Record,
) -> Result<()> {
    if let Some(id) = id {
        connection.prepare_cached("DELETE FROM messages WHERE id = ?1")?.execute([id])?;
    }
    deletions::mark(connection, owner, key, record.life.cuts())
}

/// Whether `record` is gone, now that its life has been cut; removes it then, else writes it.
pub(super) fn settle(connection: &Connection, owner: i64, found: &Found) -> Result<bool> {
    let Found { id, key, record } = found;
    if record.outlives_deletions() {
        update(connection, *id, record)?;
        return Ok(false);
    }
    bury(connection, owner, Some(*id), key, record)?;
    Ok(true)
}

/// Removes at most `most` messages that have expired; their owners. A message whose life was cut leaves that behind, or a
/// member that does not know of it would bring it back.
pub(super) fn sweep(connection: &Connection, now: Timestamp, most: usize) -> Result<Vec<i64>> {
    let gone: Vec<(i64, Key, Option<Vec<u8>>)> = connection
        .prepare_cached(
            "DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE expiry <= ?1 LIMIT ?2)
             RETURNING owner, hash, life",
        )?
        .query_map([to_sql(now), limit(most)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_>>()?;
    for (owner, key, life) in &gone {
        if let Some(life) = life {
            let life = super::life(life, 2)?;
            if life.remembered_until().is_some_and(|until| until > now) {
                deletions::mark(connection, *owner, key, life.cuts())?;
            }
        }
    }
    Ok(gone.into_iter().map(|(owner, ..)| owner).collect())
}

pub(in crate::store) fn page(connection: &Connection, query: &Query<'_>) -> Result<Page> {
    let Some(owner) = owner(connection, query.owner)? else { return Ok(Page::default()) };
    let start: i64 = match query.after.and_then(|hash| hash.to_bytes()) {
        Some(key) => connection
            .prepare_cached("SELECT id FROM messages WHERE owner = ?1 AND hash = ?2 AND namespace = ?3")?
            .query_row(params![owner, key, query.namespace.0], |row| row.get(0))
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
            hash: MessageHash::from_bytes(&row.get(0)?),
            timestamp: from_sql(row.get(1)?),
            expiration: from_sql(row.get(2)?),
            data: data.to_vec(),
        });
    }
    Ok(page)
}

pub(in crate::store) fn expiries(
    connection: &Connection,
    account: &AccountId,
    hashes: &[MessageHash],
) -> Result<BTreeMap<MessageHash, Timestamp>> {
    let Some(owner) = owner(connection, account)? else { return Ok(BTreeMap::new()) };
    let mut statement =
        connection.prepare_cached("SELECT expiry FROM messages WHERE owner = ?1 AND hash = ?2")?;
    let mut found = BTreeMap::new();
    for key in super::keys(hashes) {
        let expiry = statement.query_row(params![owner, key], |row| row.get(0)).optional()?;
        found.extend(expiry.map(|expiry| (MessageHash::from_bytes(&key), from_sql(expiry))));
    }
    Ok(found)
}

/// The names of everything an account has here.
pub(in crate::store) fn hashes(connection: &Connection, account: &AccountId) -> Result<Vec<MessageHash>> {
    let Some(owner) = owner(connection, account)? else { return Ok(Vec::new()) };
    connection
        .prepare_cached("SELECT hash FROM messages WHERE owner = ?1 ORDER BY hash")?
        .query_map([owner], |row| Ok(MessageHash::from_bytes(&row.get(0)?)))?
        .collect()
}

pub(in crate::store) fn copies(
    connection: &Connection,
    account: &AccountId,
    hashes: &[MessageHash],
) -> Result<Vec<MessageCopy>> {
    let Some(owner) = owner(connection, account)? else { return Ok(Vec::new()) };
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS}, data FROM messages WHERE owner = ?1 AND hash = ?2"))?;
    let mut copies = Vec::new();
    for key in super::keys(hashes) {
        let copy = statement.query_row(params![owner, key], |found| {
            let Found { record, .. } = row(found)?;
            Ok(MessageCopy {
                owner: *account,
                namespace: record.namespace,
                timestamp: record.stored.1,
                stored_at: record.stored.0,
                raises: record.life.raises().to_vec(),
                data: found.get(7)?,
            })
        });
        copies.extend(copy.optional()?);
    }
    Ok(copies)
}

/// How much a message counts against the limit of a `retrieve`: its size as base64, whatever the encoding.
fn accounted_size(data: usize) -> u64 {
    let data = u64::try_from(data).unwrap_or(u64::MAX);
    MESSAGE_OVERHEAD + MessageHash::LENGTH as u64 + data.saturating_mul(4) / 3
}
