use conclave_crypto::{AccountId, IdPrefix};
use conclave_proto::{MessageHash, Namespace, Timestamp};
use rusqlite::{Connection, params};

use crate::store::{MAX_RETRIEVE, MessageStore, NewMessage, Options, Query, StoreError};

/// The tables of version 1, as they were.
const VERSION_1: &str = "
CREATE TABLE owners (
    id       INTEGER PRIMARY KEY,
    account  BLOB NOT NULL UNIQUE CHECK (length(account) = 33)
) STRICT;
CREATE TABLE messages (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    hash       TEXT NOT NULL CHECK (length(hash) = 43),
    owner      INTEGER NOT NULL REFERENCES owners (id),
    namespace  INTEGER NOT NULL,
    timestamp  INTEGER NOT NULL,
    expiry     INTEGER NOT NULL,
    data       BLOB NOT NULL,
    UNIQUE (owner, hash)
) STRICT;
CREATE INDEX messages_by_mailbox ON messages (owner, namespace, id);
CREATE INDEX messages_by_expiry ON messages (expiry);
CREATE TABLE meta (
    name   TEXT PRIMARY KEY,
    value  BLOB NOT NULL
) STRICT;
PRAGMA application_id = 0x436e764e;
PRAGMA user_version = 1;
";

#[tokio::test]
async fn a_database_of_version_2_gets_the_index_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("messages.sqlite");
    drop(MessageStore::open(&path, Options::default()).unwrap());
    let index = |connection: &Connection| -> String {
        let sql = "SELECT sql FROM sqlite_schema WHERE name = 'messages_by_name'";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let old = Connection::open(&path).unwrap();
    let new = index(&old);
    old.execute_batch(
        "DROP INDEX messages_by_name;
         CREATE INDEX messages_by_name ON messages (owner, hash, expiry);
         PRAGMA user_version = 2;",
    )
    .unwrap();
    drop(old);
    MessageStore::open(&path, Options::default()).unwrap().check().unwrap();
    assert_eq!(index(&Connection::open(&path).unwrap()), new);
}

#[tokio::test]
async fn a_database_of_version_1_keeps_its_messages_their_order_and_its_cursors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("messages.sqlite");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(VERSION_1).unwrap();
    let accounts = [1u8, 2].map(|number| AccountId::new(IdPrefix::Account, &[number; 32]));
    for (id, account) in accounts.iter().enumerate() {
        old.execute("INSERT INTO owners VALUES (?1, ?2)", params![id as i64 + 1, account.as_bytes()])
            .unwrap();
    }
    let texts: Vec<String> = (0..40).map(|n| format!("message {n} {}", "x".repeat(n * 200))).collect();
    for (n, text) in texts.iter().enumerate() {
        let (owner, namespace) = (n % 2, [0i16, -11][n / 2 % 2]);
        let hash = MessageHash::of(&accounts[owner], Namespace(namespace), text.as_bytes());
        old.execute(
            "INSERT INTO messages (hash, owner, namespace, timestamp, expiry, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![hash.as_str(), owner as i64 + 1, namespace, 1_000 - n as i64, 90_000 + n as i64, text.as_bytes()],
        )
        .unwrap();
    }
    // The last id had a message once.
    old.execute("UPDATE sqlite_sequence SET seq = 77 WHERE name = 'messages'", []).unwrap();
    old.execute("INSERT INTO meta VALUES ('directory', x'0102')", []).unwrap();
    drop(old);

    for _ in 0..2 {
        let store = MessageStore::open(&path, Options::default()).unwrap();
        store.check().unwrap();
        assert_eq!(store.stats().unwrap().messages, 40);
        assert_eq!(store.meta("directory").unwrap().unwrap(), [1, 2]);
        for (owner, account) in accounts.iter().enumerate() {
            for (parity, namespace) in [0i16, -11].into_iter().enumerate() {
                let query = Query {
                    owner: account,
                    namespace: Namespace(namespace),
                    after: None,
                    max_count: None,
                    max_size: MAX_RETRIEVE,
                };
                let expected: Vec<(u64, u64, &[u8])> = (0..40)
                    .filter(|n| n % 2 == owner && n / 2 % 2 == parity)
                    .map(|n| (1_000 - n as u64, 90_000 + n as u64, texts[n].as_bytes()))
                    .collect();
                let page = store.retrieve(&query).unwrap();
                let found: Vec<(u64, u64, &[u8])> =
                    page.messages.iter().map(|m| (m.timestamp.0, m.expiration.0, &m.data[..])).collect();
                assert_eq!(found, expected);
                let after = Some(page.messages[3].hash);
                let rest = store.retrieve(&Query { after, ..query }).unwrap();
                assert_eq!(rest.messages, page.messages[4..], "a cursor from before means the same");
            }
        }
    }

    let store = MessageStore::open(&path, Options::default()).unwrap();
    let data = b"the first of version 2".to_vec();
    let hash = MessageHash::of(&accounts[0], Namespace(0), &data);
    let (timestamp, expiry) = (Timestamp(2_000), Timestamp(90_000));
    let new = NewMessage { owner: accounts[0], namespace: Namespace(0), hash, timestamp, expiry, data };
    store.store(new, timestamp).await.unwrap();
    drop(store);
    let new = Connection::open(&path).unwrap();
    let id: i64 = new.query_row("SELECT max(id) FROM messages", [], |row| row.get(0)).unwrap();
    assert_eq!(id, 78, "no id is used twice");
    let left: i64 = new
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'messages_1'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
}

#[test]
fn a_migration_that_fails_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("messages.sqlite");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(VERSION_1).unwrap();
    // A row the new tables refuse: what is broken is not half taken over.
    old.execute_batch(
        "PRAGMA foreign_keys = off;
         INSERT INTO messages (hash, owner, namespace, timestamp, expiry, data)
         VALUES ('AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', 9, 0, 1, 1, x'00');",
    )
    .unwrap();
    drop(old);
    let opened = MessageStore::open(&path, Options::default());
    assert!(matches!(opened, Err(StoreError::Failed(_))), "{opened:?}");
    let old = Connection::open(&path).unwrap();
    let version: i64 = old.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let messages: i64 = old.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    assert_eq!((version, messages), (1, 1));
}
