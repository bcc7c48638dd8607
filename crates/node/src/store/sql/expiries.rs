//! Changing how long messages live. (storage-and-onion 2.11, 2.12)

use std::collections::BTreeMap;

use conclave_proto::rpc::{ExpireMode, Scope};
use conclave_proto::{MessageHash, Namespace, Timestamp};
use rusqlite::{Connection, Result, params};

use super::deletions::{self, namespace_of, sorted};
use super::messages::{self, COLUMNS, Found};
use super::to_sql;
use crate::store::life::{Cut, Raise};
use crate::store::operation::{Applied, Arrival};

/// Sets expiries by name. Also says whether other members have to hear of it: only lives that were cut are proven to
/// others by the request; those that were prolonged are told with the copies.
pub(super) fn expire(
    connection: &Connection,
    owner: i64,
    asked: &[(MessageHash, Timestamp)],
    mode: ExpireMode,
    at: Timestamp,
    arrival: Arrival,
) -> Result<(Applied, bool)> {
    let (mut updated, mut unchanged) = (BTreeMap::new(), BTreeMap::new());
    let late = arrival == Arrival::Late;
    let mut cuts = mode == ExpireMode::Shorten || (mode == ExpireMode::Set && late);
    // Where one message is named twice, the last one counts.
    for (hash, expiry) in asked.iter().copied().collect::<BTreeMap<_, _>>() {
        let Some(key) = hash.to_bytes() else { continue };
        let cut = Cut { at, expiry };
        let Some(mut found) = messages::find(connection, owner, &key)? else {
            // What only asks for a set time may be about a message that is long gone everywhere: clients repeat it for as
            // long as they live. If it cut the life of a copy somewhere, that member says so.
            if mode == ExpireMode::Shorten || (mode == ExpireMode::Set && late) {
                deletions::mark(connection, owner, &key, &[cut])?;
            }
            continue;
        };
        let life = &mut found.record.life;
        let before = life.expiry();
        let applies = match mode {
            ExpireMode::Extend => {
                if before < expiry {
                    life.raise(Raise { at, expiry });
                }
                before < expiry
            }
            ExpireMode::Shorten => {
                life.cut(cut);
                before > expiry
            }
            ExpireMode::Set => {
                if before > expiry || late {
                    life.cut(cut);
                    cuts = true;
                }
                life.raise(Raise { at, expiry });
                true
            }
        };
        if applies {
            updated.insert(hash, expiry);
        } else {
            unchanged.insert(hash, before);
        }
        if applies || mode == ExpireMode::Shorten {
            messages::settle(connection, owner, &found)?;
        }
    }
    if cuts {
        deletions::trim(connection, owner)?;
    }
    Ok((Applied::Expired { updated, unchanged }, cuts))
}

/// Shortens everything in a scope that would live longer.
pub(super) fn expire_range(
    connection: &Connection,
    owner: i64,
    scope: Scope,
    expiry: Timestamp,
    at: Timestamp,
) -> Result<BTreeMap<Namespace, Vec<MessageHash>>> {
    let longer: Vec<Found> = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM messages WHERE owner = ?1 AND (?2 IS NULL OR namespace = ?2) AND expiry > ?3"
        ))?
        .query_map(params![owner, namespace_of(scope), to_sql(expiry)], messages::row)?
        .collect::<Result<_>>()?;
    let mut shortened: BTreeMap<Namespace, Vec<MessageHash>> = BTreeMap::new();
    for mut found in longer {
        let before = found.record.life.expiry();
        found.record.life.cut(Cut { at, expiry });
        let gone = messages::settle(connection, owner, &found)?;
        if gone || found.record.life.expiry() < before {
            let hash = MessageHash::from_bytes(&found.key);
            shortened.entry(found.record.namespace).or_default().push(hash);
        }
    }
    Ok(sorted(shortened))
}
