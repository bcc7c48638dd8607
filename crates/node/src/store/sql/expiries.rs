//! Changing how long messages live. (storage-and-onion 2.11, 2.12)

use std::collections::BTreeMap;

use conclave_proto::rpc::{ExpireMode, Scope};
use conclave_proto::{MessageHash, Namespace, Timestamp};
use rusqlite::{Connection, Result, params};

use super::deletions::{self, namespace_of, sorted};
use super::messages::{self, COLUMNS, Found, Record};
use super::to_sql;
use crate::store::life::{Cut, Life, Raise};
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
    // Where one message is named twice, the last one counts.
    let asked: BTreeMap<MessageHash, Timestamp> = asked.iter().copied().collect();
    let mut named = Vec::new();
    for (hash, expiry) in asked {
        if let Some(key) = hash.to_bytes() {
            named.push((hash, key, expiry, messages::find(connection, owner, &key)?));
        }
    }
    // What only asks for a set time may be about messages that are long gone everywhere: clients repeat it for as long as
    // they live. If it cut the life of a copy somewhere, that member says so; and whoever keeps it to say so must hold
    // everything that comes later against it, whether that is here now or not.
    let cuts = match mode {
        ExpireMode::Extend => false,
        ExpireMode::Shorten => true,
        ExpireMode::Set => {
            let is_cut = |found: &Found, expiry| found.record.life.expiry() > expiry;
            arrival == Arrival::Late
                || named.iter().any(|(.., expiry, found)| found.as_ref().is_some_and(|f| is_cut(f, *expiry)))
        }
    };
    let (mut updated, mut unchanged) = (BTreeMap::new(), BTreeMap::new());
    for (hash, key, expiry, found) in named {
        let cut = Cut { at, expiry };
        let Some(mut found) = found else {
            if cuts {
                deletions::mark(connection, owner, &key, &[cut])?;
            }
            continue;
        };
        let life = &mut found.record.life;
        let (known, before) = (life.clone(), life.expiry());
        if cuts {
            life.cut(cut);
        }
        if mode != ExpireMode::Shorten {
            // Also where it changes nothing now: a cut that was made before it may still be heard of.
            let raise = Raise { at, expiry };
            life.raise(raise);
            // It may have been on its way for longer than something that shortened everything.
            let learnt = Record { life: Life::of(&[raise], &[]), ..found.record.clone() };
            deletions::apply_ranges(connection, owner, &mut found.record, &learnt)?;
        }
        let is_news = found.record.life != known;
        let applies = match mode {
            ExpireMode::Extend => before < expiry,
            ExpireMode::Shorten => before > expiry,
            ExpireMode::Set => true,
        };
        if applies {
            updated.insert(hash, expiry);
        } else {
            unchanged.insert(hash, before);
        }
        if is_news {
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
