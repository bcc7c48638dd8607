//! Revoked subaccounts. (storage-and-onion 2.15)
//!
//! For each token the latest word of the account counts, by the time it signed; of two of the same time the revocation. Words
//! that take a revocation back are kept like the others, or an older revocation that comes late would win.

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use conclave_proto::rpc::SubaccountToken;
use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::{limit, owner, to_sql};

/// Revocations kept for an account, and as many of those taken back; the oldest go first. (storage-and-onion 2.15)
const MAX_REVOKED: usize = 50;

/// Revokes tokens or takes that back; how many changed their state.
pub(super) fn revoke(
    connection: &Connection,
    owner: i64,
    tokens: &[SubaccountToken],
    timestamp: Timestamp,
    revoked: bool,
) -> Result<u64> {
    let mut changed = 0;
    for token in tokens {
        let known: Option<(i64, bool)> = connection
            .prepare_cached("SELECT timestamp, revoked FROM revocations WHERE owner = ?1 AND token = ?2")?
            .query_row(params![owner, token.0], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if known.is_some_and(|known| known >= (to_sql(timestamp), revoked)) {
            continue;
        }
        changed += u64::from(known.is_some_and(|(_, was)| was) != revoked);
        connection
            .prepare_cached(
                "INSERT INTO revocations (owner, token, timestamp, revoked) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (owner, token) DO UPDATE SET timestamp = ?3, revoked = ?4",
            )?
            .execute(params![owner, token.0, to_sql(timestamp), revoked])?;
    }
    connection
        .prepare_cached(
            "DELETE FROM revocations WHERE owner = ?1 AND revoked = ?2 AND token NOT IN
                 (SELECT token FROM revocations WHERE owner = ?1 AND revoked = ?2
                  ORDER BY timestamp DESC, token DESC LIMIT ?3)",
        )?
        .execute(params![owner, revoked, limit(MAX_REVOKED)])?;
    Ok(changed)
}

/// The time since which a token is revoked, if it is.
pub(in crate::store) fn revoked_since(
    connection: &Connection,
    account: &AccountId,
    token: &SubaccountToken,
) -> Result<Option<Timestamp>> {
    let Some(owner) = owner(connection, account)? else { return Ok(None) };
    connection
        .prepare_cached("SELECT timestamp FROM revocations WHERE owner = ?1 AND token = ?2 AND revoked")?
        .query_row(params![owner, token.0], |row| row.get(0).map(super::from_sql))
        .optional()
}

/// All revoked tokens, the newest first.
pub(in crate::store) fn revoked(
    connection: &Connection,
    account: &AccountId,
) -> Result<Vec<SubaccountToken>> {
    let Some(owner) = owner(connection, account)? else { return Ok(Vec::new()) };
    connection
        .prepare_cached(
            "SELECT token FROM revocations WHERE owner = ?1 AND revoked ORDER BY timestamp DESC, token",
        )?
        .query_map([owner], |row| row.get(0).map(SubaccountToken))?
        .collect()
}
