-- The client's database, as version 1 makes it. A migration never changes once it is released: the
-- next version is a file of its own beside this one.
--
-- Times are milliseconds since the Unix epoch, network time. Ids of accounts have 33 bytes.
-- The file is encrypted as a whole (SQLCipher), so nothing here is hashed or hidden again.

-- Things there is one of, by name: cached directory, clock offset, the network of the profile, …
-- The names are in `store/meta.rs`.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The account of this profile: at most one row.
CREATE TABLE account (
    only         INTEGER PRIMARY KEY CHECK (only = 1),
    seed         BLOB NOT NULL CHECK (length(seed) IN (16, 32)),
    id           BLOB NOT NULL CHECK (length(id) = 33),
    name         TEXT NOT NULL,
    -- The last sent timestamp given out. Two messages never share one, whatever the clock does.
    last_sent_at INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Everybody this account has exchanged a message with.
CREATE TABLE contact (
    id       BLOB PRIMARY KEY CHECK (length(id) = 33),
    -- What they call themselves, and the sent timestamp of the message that said so.
    name     TEXT,
    named_at INTEGER NOT NULL DEFAULT 0,
    -- What we call them, on this device.
    nickname TEXT,
    -- We have written to them: their messages are no requests.
    approved INTEGER NOT NULL DEFAULT 0 CHECK (approved IN (0, 1))
) STRICT, WITHOUT ROWID;

-- A conversation. Its messages are in `message`; this is what is known beside them.
CREATE TABLE chat (
    id        BLOB PRIMARY KEY CHECK (length(id) = 33),
    -- Messages that sort up to here have been seen by the owner.
    read_upto INTEGER NOT NULL DEFAULT 0,
    -- How many messages it holds; counted along, because counting a million takes too long.
    messages  INTEGER NOT NULL DEFAULT 0,
    unread    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- What is shown in chats, sent and received.
CREATE TABLE message (
    row        INTEGER PRIMARY KEY,
    -- Derived from author and sent timestamp; being unique, it is also the second layer of
    -- deduplication (client-messages 5.5).
    id         BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    chat       BLOB NOT NULL CHECK (length(chat) = 33),
    author     BLOB NOT NULL CHECK (length(author) = 33),
    sent_at    INTEGER NOT NULL,
    -- When it reached this device; of messages written here, the same as sent_at.
    arrived_at INTEGER NOT NULL,
    -- Where it stands in the chat: sent_at, or arrived_at if it claims to be from the future.
    sort_at    INTEGER NOT NULL,
    outgoing   INTEGER NOT NULL CHECK (outgoing IN (0, 1)),
    text       TEXT NOT NULL,
    -- The decrypted Content as it came, so that later versions can read what this one cannot.
    content    BLOB,
    -- Of outgoing messages, how far they have come: 0 queued, 1 failed, 2 stored weakly, 3 stored,
    -- 4 delivered, 5 read. Never becomes smaller. NULL: another device sent it, nobody told us.
    state      INTEGER CHECK (state BETWEEN 0 AND 5),
    -- Verified signatures of the recipient's swarm, and its size by the node list.
    signed     INTEGER,
    swarm      INTEGER,
    -- Of a failure or a failed attempt: what happened.
    reason     TEXT,
    -- The hash of the copy in the account's own swarm, for deleting it there.
    own_hash   TEXT,
    -- A `listen` has printed it (or need not).
    printed    INTEGER NOT NULL CHECK (printed IN (0, 1)),
    CHECK (state IS NULL OR outgoing = 1)
) STRICT;

-- The one order of a chat: (sort_at, author, id). With `outgoing`, unread messages are counted from it alone.
CREATE INDEX message_order ON message (chat, sort_at, author, id, outgoing);
CREATE INDEX message_unprinted ON message (row) WHERE printed = 0;
CREATE INDEX message_own_hash ON message (own_hash) WHERE own_hash IS NOT NULL;

-- Copies of outgoing messages that no majority of a swarm has signed for yet.
CREATE TABLE outbox (
    message  INTEGER NOT NULL REFERENCES message (row) ON DELETE CASCADE,
    -- 0 to the recipient's swarm, 1 to the account's own swarm for its other devices.
    copy     INTEGER NOT NULL CHECK (copy IN (0, 1)),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try INTEGER NOT NULL,
    PRIMARY KEY (message, copy)
) STRICT, WITHOUT ROWID;

CREATE INDEX outbox_due ON outbox (next_try, message, copy);

-- First layer of deduplication: hashes of stored messages that need no second look.
CREATE TABLE seen (
    hash       TEXT PRIMARY KEY,
    -- After this no node has the message any more.
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX seen_expiry ON seen (expires_at);

-- Messages deleted here that a swarm may still hold: they must not come back.
CREATE TABLE deleted (
    id         BLOB PRIMARY KEY CHECK (length(id) = 16),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX deleted_expiry ON deleted (expires_at);

-- Decrypted Contents that show nothing (yet): kinds this version does not know. Bounded in number,
-- oldest dropped first, since strangers can fill it.
CREATE TABLE set_aside (
    row        INTEGER PRIMARY KEY,
    author     BLOB NOT NULL CHECK (length(author) = 33),
    sent_at    INTEGER NOT NULL,
    arrived_at INTEGER NOT NULL,
    content    BLOB NOT NULL
) STRICT;

-- How far each swarm member has been read: its hashes are in an order of its own
-- (storage-and-onion 2.8).
CREATE TABLE cursor (
    snode      BLOB NOT NULL CHECK (length(snode) = 32),
    account    BLOB NOT NULL CHECK (length(account) = 33),
    namespace  INTEGER NOT NULL,
    last_hash  TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (snode, account, namespace)
) STRICT, WITHOUT ROWID;
