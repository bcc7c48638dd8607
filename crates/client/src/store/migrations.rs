//! Versions of the schema.
//!
//! A migration is a text that names nothing of the program, so it does tomorrow what it did when it
//! was released. Each runs in one transaction with the new version number.

use rusqlite::{Connection, TransactionBehavior};

/// The migration at index *n* leads to version *n + 1*. Only ever appended to.
const MIGRATIONS: [&str; 9] = [
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_conversations.sql"),
    include_str!("migrations/0003_search.sql"),
    include_str!("migrations/0004_drafts.sql"),
    include_str!("migrations/0005_bounds.sql"),
    include_str!("migrations/0006_files.sql"),
    include_str!("migrations/0007_renewal.sql"),
    include_str!("migrations/0008_pictures.sql"),
    include_str!("migrations/0009_to_write.sql"),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A database of version 3 with what version 4 changes.
    const BEFORE: &str = "
        INSERT INTO account (only, seed, id, name) VALUES (1, zeroblob(16), zeroblob(33), 'Alice');
        INSERT INTO contact (id, wants_delivered) VALUES (unhex('05' || hex(zeroblob(32))), 1);
        INSERT INTO message (id, chat, author, sent_at, arrived_at, sort_at, outgoing, text, printed, edit_id)
        VALUES (zeroblob(16), unhex('05' || hex(zeroblob(32))), zeroblob(33), 1, 1, 1, 1, 'third', 1, unhex('03' || hex(zeroblob(15))));
        INSERT INTO edit (id, target, chat, sent_at, text) VALUES
            (unhex('02' || hex(zeroblob(15))), zeroblob(16), unhex('05' || hex(zeroblob(32))), 2, 'second'),
            (unhex('03' || hex(zeroblob(15))), zeroblob(16), unhex('05' || hex(zeroblob(32))), 3, 'third'),
            (unhex('04' || hex(zeroblob(15))), unhex('09' || hex(zeroblob(15))), unhex('05' || hex(zeroblob(32))), 4, 'of one that is not here');
        INSERT INTO reaction (target, author, emoji, chat, sent_at, removed) VALUES
            (zeroblob(16), unhex('05' || hex(zeroblob(32))), 'here', unhex('05' || hex(zeroblob(32))), 5, 0),
            (unhex('09' || hex(zeroblob(15))), unhex('05' || hex(zeroblob(32))), 'not here', unhex('05' || hex(zeroblob(32))), 6, 0),
            (unhex('09' || hex(zeroblob(15))), zeroblob(33), 'ours', unhex('05' || hex(zeroblob(32))), 7, 0);
        INSERT INTO early_receipt (id, chat, state, expires_at)
        VALUES (unhex('07' || hex(zeroblob(15))), unhex('05' || hex(zeroblob(32))), 4, 8);
        INSERT INTO set_aside (author, sent_at, arrived_at, content) VALUES (unhex('05' || hex(zeroblob(32))), 1, 1, x'00');";

    #[test]
    fn what_version_three_kept_is_there_in_version_four() {
        let mut connection = Connection::open_in_memory().unwrap();
        for sql in MIGRATIONS.iter().take(3) {
            connection.execute_batch(sql).unwrap();
        }
        connection.execute_batch(BEFORE).unwrap();
        connection.execute_batch("PRAGMA user_version = 3").unwrap();
        migrate(&mut connection, 3).unwrap();
        assert_eq!(version(&connection).unwrap(), SchemaVersion::Current);
        let all = |sql: &str| -> Vec<(String, Option<i64>, i64)> {
            let mut statement = connection.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
            rows.collect::<Result<_, _>>().unwrap()
        };
        assert_eq!(
            all("SELECT text, waits, since FROM edit ORDER BY sent_at"),
            [
                (String::new(), None, 2),
                ("third".to_owned(), None, 3),
                ("of one that is not here".to_owned(), Some(0), 4)
            ]
        );
        assert_eq!(
            all("SELECT emoji, waits, since FROM reaction ORDER BY sent_at"),
            [("here".to_owned(), None, 5), ("not here".to_owned(), Some(0), 6), ("ours".to_owned(), None, 7)]
        );
        let receipts = all("SELECT hex(id), state, expires_at FROM early_receipt");
        assert_eq!(receipts, [(format!("07{}", "00".repeat(15)), Some(4), 8)]);
    }
}
