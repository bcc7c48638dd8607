-- Version 5: what strangers can make this database keep is bounded for each of them, and takes no place from what belongs
-- to the account.

-- Words about messages that are not here. `waits` is NULL for words of this account and for those whose message is here: no
-- bound counts them. 0: somebody said it whom the account has written to; 1: a stranger. `since` is when it came, by this
-- device's time, since what it says itself may be anything.
ALTER TABLE deleted ADD COLUMN chat BLOB;
ALTER TABLE deleted ADD COLUMN waits INTEGER CHECK (waits IN (0, 1));
ALTER TABLE deleted ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
CREATE INDEX deleted_waiting ON deleted (chat, since) WHERE waits IS NOT NULL;
CREATE INDEX deleted_of_strangers ON deleted (since) WHERE waits = 1;

ALTER TABLE edit ADD COLUMN waits INTEGER CHECK (waits IN (0, 1));
ALTER TABLE edit ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
UPDATE edit SET since = sent_at,
    waits = CASE WHEN EXISTS (SELECT 1 FROM message WHERE message.id = edit.target AND message.chat = edit.chat)
            THEN NULL ELSE 0 END;
CREATE INDEX edit_waiting ON edit (chat, since) WHERE waits IS NOT NULL;
CREATE INDEX edit_of_strangers ON edit (since) WHERE waits = 1;
-- Only the newest text of a message that is here is of use; the others are what their author took back.
UPDATE edit SET text = ''
WHERE EXISTS (SELECT 1 FROM message WHERE message.id = edit.target AND message.edit_id IS NOT NULL
              AND message.edit_id <> edit.id);

ALTER TABLE reaction ADD COLUMN waits INTEGER CHECK (waits IN (0, 1));
ALTER TABLE reaction ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
UPDATE reaction SET since = sent_at,
    waits = CASE WHEN EXISTS (SELECT 1 FROM message WHERE message.id = reaction.target AND message.chat = reaction.chat)
                   OR author = (SELECT id FROM account)
            THEN NULL ELSE 0 END;
CREATE INDEX reaction_waiting ON reaction (chat, since) WHERE waits IS NOT NULL;
CREATE INDEX reaction_of_strangers ON reaction (since) WHERE waits = 1;
CREATE INDEX reaction_author ON reaction (author, sent_at);

-- What is set aside is bounded for each author, and for all strangers together.
ALTER TABLE set_aside ADD COLUMN stranger INTEGER NOT NULL DEFAULT 1 CHECK (stranger IN (0, 1));
CREATE INDEX set_aside_author ON set_aside (author, row);
CREATE INDEX set_aside_of_strangers ON set_aside (row) WHERE stranger = 1;

-- A receipt counts in the chat in which it was said: nobody else's takes its place.
ALTER TABLE early_receipt RENAME TO early_receipt_before;
CREATE TABLE early_receipt (
    chat       BLOB NOT NULL CHECK (length(chat) = 33),
    id         BLOB NOT NULL CHECK (length(id) = 16),
    state      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (chat, id)
) STRICT, WITHOUT ROWID;
INSERT INTO early_receipt (chat, id, state, expires_at) SELECT chat, id, state, expires_at FROM early_receipt_before;
DROP TABLE early_receipt_before;

-- A message that came after its place in the chat had been read past, by nobody who could have seen it: it is unread all
-- the same. And when another device last said how far it has read, as far as we know.
ALTER TABLE message ADD COLUMN late INTEGER NOT NULL DEFAULT 0 CHECK (late IN (0, 1));
ALTER TABLE chat ADD COLUMN read_elsewhere INTEGER NOT NULL DEFAULT 0;
CREATE INDEX message_late ON message (chat, sort_at) WHERE late = 1;

-- Nobody ever read it.
ALTER TABLE contact DROP COLUMN wants_delivered;
