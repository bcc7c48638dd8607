-- Version 2: every kind of one-to-one message, config documents, disappearing messages, and an outbox for everything
-- that is sent, not only for what is shown.

-- The config documents that the account's devices share, as they are kept (`Document::dump`): 2 profile, 3 contacts,
-- 4 read positions, 5 groups and communities.
CREATE TABLE document (
    namespace  INTEGER PRIMARY KEY,
    dump       BLOB NOT NULL,
    -- When the newest entry that another device wrote was stored, as far as we know; 0 for never.
    foreign_at INTEGER NOT NULL DEFAULT 0,
    -- When a majority of the swarm last took it: what lies there longer than some days is stored again, before it goes.
    stored_at  INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What the documents say of a contact, to be joined with. The row of the account itself is the note to self.
ALTER TABLE contact ADD COLUMN known INTEGER NOT NULL DEFAULT 0 CHECK (known IN (0, 1));      -- is in the document
ALTER TABLE contact ADD COLUMN erased_at INTEGER NOT NULL DEFAULT 0;    -- was taken out of the document then
ALTER TABLE contact ADD COLUMN approved_me INTEGER NOT NULL DEFAULT 0 CHECK (approved_me IN (0, 1));
ALTER TABLE contact ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0 CHECK (blocked IN (0, 1));
ALTER TABLE contact ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;     -- below 0 hidden, above pinned
ALTER TABLE contact ADD COLUMN expire_kind INTEGER NOT NULL DEFAULT 0 CHECK (expire_kind BETWEEN 0 AND 2);
ALTER TABLE contact ADD COLUMN expire_seconds INTEGER NOT NULL DEFAULT 0;
ALTER TABLE contact ADD COLUMN muted_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE contact ADD COLUMN profile_at INTEGER NOT NULL DEFAULT 0;   -- when they say they set name and picture
ALTER TABLE contact ADD COLUMN picture_url TEXT;
ALTER TABLE contact ADD COLUMN picture_key BLOB;
-- Their last message asked to be told that it arrived.
ALTER TABLE contact ADD COLUMN wants_delivered INTEGER NOT NULL DEFAULT 0 CHECK (wants_delivered IN (0, 1));

ALTER TABLE chat ADD COLUMN marked_unread INTEGER NOT NULL DEFAULT 0 CHECK (marked_unread IN (0, 1));

-- What a row of a chat is: 0 text and all that comes with it, 1 the timer was changed, 2 a missed call,
-- 3 media was saved, 4 a screenshot was taken, 5 the request was accepted, 6 deleted by its author.
ALTER TABLE message ADD COLUMN kind INTEGER NOT NULL DEFAULT 0 CHECK (kind BETWEEN 0 AND 6);
-- Attachments, link preview, invitation, new timer: JSON, made from the Content.
ALTER TABLE message ADD COLUMN details TEXT;
-- What is quoted: the message's author and sent timestamp. It may be unknown.
ALTER TABLE message ADD COLUMN quote_author BLOB;
ALTER TABLE message ADD COLUMN quote_sent_at INTEGER;
-- When the newest edit was sent, and the id of the message that brought it.
ALTER TABLE message ADD COLUMN edited_at INTEGER;
ALTER TABLE message ADD COLUMN edit_id BLOB;
-- 0 stays, 1 goes so many seconds after it was read, 2 after it was sent; and when, once that is known.
ALTER TABLE message ADD COLUMN expire_kind INTEGER NOT NULL DEFAULT 0 CHECK (expire_kind BETWEEN 0 AND 2);
ALTER TABLE message ADD COLUMN expire_seconds INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN expires_at INTEGER;
-- When the copy in the account's own swarm goes, as a member said.
ALTER TABLE message ADD COLUMN swarm_expires_at INTEGER;

CREATE INDEX message_expiry ON message (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX message_waiting_to_expire ON message (chat, sort_at)
    WHERE expire_kind = 1 AND expires_at IS NULL AND outgoing = 0;

-- Who reacted how to which message. The message itself may come later, or never. A reaction that was taken back stays
-- as such, so that an older one that comes late does not bring it back.
CREATE TABLE reaction (
    target  BLOB NOT NULL CHECK (length(target) = 16),
    author  BLOB NOT NULL CHECK (length(author) = 33),
    emoji   TEXT NOT NULL,
    -- Where it was said; it counts for messages of this chat only.
    chat    BLOB NOT NULL CHECK (length(chat) = 33),
    sent_at INTEGER NOT NULL,
    removed INTEGER NOT NULL CHECK (removed IN (0, 1)),
    PRIMARY KEY (target, author, emoji)
) STRICT, WITHOUT ROWID;

-- Edits of texts, also of texts that have not come yet.
CREATE TABLE edit (
    id      BLOB PRIMARY KEY CHECK (length(id) = 16),
    target  BLOB NOT NULL CHECK (length(target) = 16),
    chat    BLOB NOT NULL CHECK (length(chat) = 33),
    sent_at INTEGER NOT NULL,
    text    TEXT NOT NULL,
    -- The hash of the copy in the account's own swarm, if one is known.
    own_hash TEXT
) STRICT;

CREATE INDEX edit_target ON edit (target, sent_at, id);

-- Receipts for messages of this account that another device sent and that have not come yet.
CREATE TABLE early_receipt (
    id         BLOB PRIMARY KEY CHECK (length(id) = 16),
    chat       BLOB NOT NULL CHECK (length(chat) = 33),
    state      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A deletion that leaves a placeholder where the message would be.
ALTER TABLE deleted ADD COLUMN unsent INTEGER NOT NULL DEFAULT 0 CHECK (unsent IN (0, 1));
-- A deletion on this device only: other devices, and the swarm, keep the message.
ALTER TABLE deleted ADD COLUMN here_only INTEGER NOT NULL DEFAULT 0 CHECK (here_only IN (0, 1));

-- Items that were set aside because their contact was erased elsewhere come back when the contact does.
ALTER TABLE set_aside ADD COLUMN chat BLOB;
ALTER TABLE set_aside ADD COLUMN hash TEXT;
ALTER TABLE set_aside ADD COLUMN stored_at INTEGER;
ALTER TABLE set_aside ADD COLUMN expires_at INTEGER;
CREATE INDEX set_aside_chat ON set_aside (chat) WHERE chat IS NOT NULL;

-- Everything of this account that no majority of a swarm has signed for yet. The id is made of the sent timestamp, as
-- that of a message, also where nothing is shown. Texts lie in tables with row ids only: the other kind is no place for
-- rows that are large, and moves them about.
CREATE TABLE outgoing (
    id        BLOB NOT NULL CHECK (length(id) = 16),
    -- 0 to the recipient's swarm, 1 to the account's own swarm for its other devices.
    copy      INTEGER NOT NULL CHECK (copy IN (0, 1)),
    recipient BLOB NOT NULL CHECK (length(recipient) = 33),
    sent_at   INTEGER NOT NULL,
    -- The Content as it is sealed. NULL: a text that version 1 queued, made from its message.
    content   BLOB,
    -- How long the swarm is to keep it, in milliseconds.
    ttl       INTEGER NOT NULL,
    -- After this it is of no use any more.
    until     INTEGER,
    attempts  INTEGER NOT NULL DEFAULT 0,
    next_try  INTEGER NOT NULL,
    PRIMARY KEY (id, copy)
) STRICT;

INSERT INTO outgoing (id, copy, recipient, sent_at, ttl, attempts, next_try)
SELECT message.id, outbox.copy, CASE outbox.copy WHEN 0 THEN message.chat ELSE message.author END,
       message.sent_at, 1209600000, outbox.attempts, outbox.next_try
FROM outbox JOIN message ON message.row = outbox.message;
DROP TABLE outbox;

CREATE INDEX outgoing_due ON outgoing (next_try, sent_at, id, copy);

-- What the own swarm is to do with messages it keeps: 0 delete, 1 let go at `expiry`.
CREATE TABLE own_swarm (
    hash     TEXT NOT NULL,
    act      INTEGER NOT NULL CHECK (act IN (0, 1)),
    expiry   INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try INTEGER NOT NULL,
    PRIMARY KEY (hash, act)
) STRICT, WITHOUT ROWID;

-- Messages whose senders are to be told that they arrived, once `due_at` has come.
CREATE TABLE owed_receipt (
    chat    BLOB NOT NULL CHECK (length(chat) = 33),
    sent_at INTEGER NOT NULL,
    due_at  INTEGER NOT NULL,
    PRIMARY KEY (chat, sent_at)
) STRICT, WITHOUT ROWID;
