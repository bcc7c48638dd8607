//! Versions of the schema.
//!
//! A migration is a text that names nothing of the program, so it does tomorrow what it did when it
//! was released. Each runs in one transaction with the new version number.

use rusqlite::{Connection, TransactionBehavior};

/// The migration at index *n* leads to version *n + 1*. Only ever appended to.
const MIGRATIONS: [&str; 3] = [
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_conversations.sql"),
    include_str!("migrations/0003_search.sql"),
];

/// What the file's version asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SchemaVersion {
    /// Nothing.
    Current,
    /// [`migrate`]; `from` is 0 for an empty file.
    Older { from: usize },
    /// A newer program.
    Newer { found: i64 },
}

/// The newest version this program knows.
pub(super) const NEWEST: usize = MIGRATIONS.len();

/// Reads the version of the file, which is also the first look at its content: fails if the key is
/// wrong.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<SchemaVersion> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(match usize::try_from(found) {
        Ok(NEWEST) => SchemaVersion::Current,
        Ok(from) if from < NEWEST => SchemaVersion::Older { from },
        _ => SchemaVersion::Newer { found },
    })
}

/// Brings the file from version `from` to [`NEWEST`].
pub(super) fn migrate(connection: &mut Connection, from: usize) -> rusqlite::Result<()> {
    for (index, sql) in MIGRATIONS.iter().enumerate().skip(from) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.execute_batch(&format!("PRAGMA user_version = {}", index + 1))?;
        transaction.commit()?;
    }
    Ok(())
}
