//! What members compare, and what is still owed to those who were away.

use std::collections::BTreeSet;

use conclave_crypto::hash::blake2b_256;
use conclave_crypto::{AccountId, Ed25519Public};
use conclave_proto::Timestamp;
use conclave_proto::sync::{
    AccountKeys, BUCKETS, DIGEST_LENGTH, Digests, Keys, MAX_KEYS, Name, State, bucket_of,
};
use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::{from_sql, limit, owner, to_sql};
use crate::store::Owed;

/// What is hashed before the rest, so that the hashes mean nothing elsewhere.
const MESSAGE: &[u8] = b"conclave digest message v1";
const OPERATION: &[u8] = b"conclave digest operation v1";

/// The digests of all buckets. Reads one index from end to end.
pub(in crate::store) fn digests(
    connection: &Connection,
    cutoff: Timestamp,
    newest: Option<i64>,
    operations_until: Timestamp,
) -> Result<Digests> {
    let mut digests = vec![[0; DIGEST_LENGTH]; BUCKETS];
    let mut add = |account: &AccountId, item: [u8; 32]| {
        if let Some(digest) = digests.get_mut(bucket_of(account)) {
            // The order in which members meet items is their own, so the sum must not depend on it.
            digest.iter_mut().zip(item).for_each(|(sum, byte)| *sum ^= byte);
        }
    };
    let mut owners = connection.prepare_cached("SELECT id, account FROM owners")?;
    let mut owners = owners.query([])?;
    while let Some(row) = owners.next()? {
        let (owner, account): (i64, AccountId) = (row.get(0)?, account_in(row, 1)?);
        messages(connection, owner, cutoff, None, newest, |name, state| {
            add(&account, blake2b_256(&[MESSAGE, account.as_bytes(), &name, &state.to_bytes()]));
            true
        })?;
        operations(connection, owner, operations_until, |name| {
            add(&account, blake2b_256(&[OPERATION, account.as_bytes(), &name]));
        })?;
    }
    Ok(Digests(digests))
}

/// The names in a bucket, behind a message of an account.
pub(in crate::store) fn keys(
    connection: &Connection,
    bucket: usize,
    cutoff: Timestamp,
    after: Option<&(AccountId, Name)>,
) -> Result<Keys> {
    let from = after.map_or(&[] as &[u8], |(account, _)| account.as_bytes());
    let mut statement =
        connection.prepare_cached("SELECT id, account FROM owners WHERE account >= ?1 ORDER BY account")?;
    let mut rows = statement.query([from])?;
    let mut found = Keys::default();
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let account = account_in(row, 1)?;
        if bucket_of(&account) != bucket {
            continue;
        }
        if count >= MAX_KEYS {
            found.more = true;
            break;
        }
        let behind = after.filter(|(first, _)| *first == account).map(|(_, name)| name);
        let (keys, more) = account_keys(connection, row.get(0)?, account, cutoff, behind, MAX_KEYS - count)?;
        count += keys.count() + 1;
        found.accounts.push(keys);
        if more {
            found.more = true;
            break;
        }
    }
    Ok(found)
}

/// The names of what is here of an account.
pub(in crate::store) fn keys_of(
    connection: &Connection,
    account: &AccountId,
    cutoff: Timestamp,
) -> Result<AccountKeys> {
    match owner(connection, account)? {
        Some(owner) => {
            account_keys(connection, owner, *account, cutoff, None, usize::MAX).map(|(keys, _)| keys)
        }
        None => Ok(AccountKeys { account: *account, messages: Vec::new(), operations: Vec::new() }),
    }
}

fn account_keys(
    connection: &Connection,
    owner: i64,
    account: AccountId,
    cutoff: Timestamp,
    behind: Option<&Name>,
    most: usize,
) -> Result<(AccountKeys, bool)> {
    let mut keys = AccountKeys { account, messages: Vec::new(), operations: Vec::new() };
    if behind.is_none() {
        operations(connection, owner, Timestamp(u64::MAX), |name| keys.operations.push(name))?;
    }
    let mut more = false;
    messages(connection, owner, cutoff, behind, None, |name, state| {
        more = keys.messages.len() >= most;
        if !more {
            keys.messages.push((name, state));
        }
        !more
    })?;
    Ok((keys, more))
}

/// Of what somebody has of an account, what is not here: messages that are unknown, or in another state there, and
/// operations.
pub(in crate::store) fn lacking(connection: &Connection, keys: &AccountKeys) -> Result<AccountKeys> {
    let mut lacking = AccountKeys { account: keys.account, messages: Vec::new(), operations: Vec::new() };
    let Some(owner) = owner(connection, &keys.account)? else {
        return Ok(AccountKeys {
            messages: keys.messages.clone(),
            operations: keys.operations.clone(),
            ..lacking
        });
    };
    let mut message = connection
        .prepare_cached("SELECT expiry, stored_at, timestamp FROM messages WHERE owner = ?1 AND hash = ?2")?;
    for (name, state) in &keys.messages {
        let known = message.query_row(params![owner, name], |row| state_in(row, 0)).optional()?;
        if known != Some(*state) {
            lacking.messages.push((*name, *state));
        }
    }
    let mut operation =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM operations WHERE owner = ?1 AND id = ?2)")?;
    for name in &keys.operations {
        if !operation.query_row(params![owner, name], |row| row.get(0))? {
            lacking.operations.push(*name);
        }
    }
    Ok(lacking)
}

/// Accounts of which anything is known, behind one of them, in their order.
pub(in crate::store) fn accounts(
    connection: &Connection,
    after: Option<&AccountId>,
    most: usize,
) -> Result<Vec<AccountId>> {
    let after = after.map_or(&[] as &[u8], |after| after.as_bytes());
    connection
        .prepare_cached("SELECT account FROM owners WHERE account > ?1 ORDER BY account LIMIT ?2")?
        .query_map(params![after, limit(most)], |row| account_in(row, 0))?
        .collect()
}

/// Notes that a member was not told of something.
pub(in crate::store) fn owe(connection: &Connection, member: &Ed25519Public, owed: &Owed) -> Result<()> {
    // What is not here any more is owed to nobody.
    let Some(owner) = owner(connection, owed.account())? else { return Ok(()) };
    let (kind, name) = owed.code();
    connection
        .prepare_cached(
            "INSERT INTO pending (member, owner, kind, name) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )?
        .execute(params![member.as_bytes(), owner, kind, name])
        .map(|_| ())
}

/// What is owed to a member, some of it.
pub(in crate::store) fn owed(
    connection: &Connection,
    member: &Ed25519Public,
    most: usize,
) -> Result<Vec<Owed>> {
    connection
        .prepare_cached(
            "SELECT owners.account, kind, name FROM pending JOIN owners ON owners.id = pending.owner
             WHERE member = ?1 LIMIT ?2",
        )?
        .query_map(params![member.as_bytes(), limit(most)], |row| {
            let (kind, name): (i64, Name) = (row.get(1)?, row.get(2)?);
            Ok(Owed::of_code(account_in(row, 0)?, kind, name))
        })?
        .collect()
}

/// Notes that a member has been told.
pub(in crate::store) fn settle(
    connection: &Connection,
    member: &Ed25519Public,
    settled: &[Owed],
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM pending WHERE member = ?1 AND owner = (SELECT id FROM owners WHERE account = ?2)
         AND kind = ?3 AND name = ?4",
    )?;
    for owed in settled {
        let (kind, name) = owed.code();
        statement.execute(params![member.as_bytes(), owed.account().as_bytes(), kind, name])?;
    }
    Ok(())
}

/// To whom something is owed.
pub(in crate::store) fn creditors(connection: &Connection) -> Result<BTreeSet<[u8; 32]>> {
    connection
        .prepare_cached("SELECT DISTINCT member FROM pending")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Forgets what is owed to a member.
pub(in crate::store) fn write_off(connection: &Connection, member: &[u8; 32]) -> Result<()> {
    connection.prepare_cached("DELETE FROM pending WHERE member = ?1")?.execute([member]).map(|_| ())
}

/// The messages of an owner that are still there at `cutoff`, by name, out of an index alone; until `each` has enough.
fn messages(
    connection: &Connection,
    owner: i64,
    cutoff: Timestamp,
    behind: Option<&Name>,
    newest: Option<i64>,
    mut each: impl FnMut(Name, State) -> bool,
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT hash, expiry, stored_at, timestamp FROM messages INDEXED BY messages_by_name
         WHERE owner = ?1 AND hash > ?3 AND expiry > ?2 AND id <= ?4 ORDER BY hash",
    )?;
    let behind = behind.map_or(&[] as &[u8], |name| name.as_slice());
    let mut rows = statement.query(params![owner, to_sql(cutoff), behind, newest.unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        if !each(row.get(0)?, state_in(row, 1)?) {
            break;
        }
    }
    Ok(())
}

fn operations(
    connection: &Connection,
    owner: i64,
    until: Timestamp,
    mut each: impl FnMut(Name),
) -> Result<()> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM operations WHERE owner = ?1 AND at <= ?2 ORDER BY id")?;
    let mut rows = statement.query(params![owner, to_sql(until)])?;
    while let Some(row) = rows.next()? {
        each(row.get(0)?);
    }
    Ok(())
}

/// The number of the message taken in last.
pub(in crate::store) fn newest(connection: &Connection) -> Result<i64> {
    connection.prepare_cached("SELECT coalesce(max(id), 0) FROM messages")?.query_row([], |row| row.get(0))
}

/// Three columns: expiry, last store, what that said.
fn state_in(row: &rusqlite::Row<'_>, column: usize) -> Result<State> {
    let time = |nth| row.get(column + nth).map(from_sql);
    Ok(State { expiry: time(0)?, stored_at: time(1)?, timestamp: time(2)? })
}

fn account_in(row: &rusqlite::Row<'_>, column: usize) -> Result<AccountId> {
    let bytes = row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from)?;
    AccountId::from_slice(bytes).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, Box::new(error))
    })
}
