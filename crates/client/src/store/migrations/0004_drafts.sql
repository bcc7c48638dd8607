-- Version 4: what its owner has begun to write, kept until it is sent. On this device only.

-- With row ids: it holds texts.
CREATE TABLE draft (
    chat     BLOB NOT NULL UNIQUE CHECK (length(chat) = 33),
    text     TEXT NOT NULL,
    -- The message it answers.
    reply_to BLOB CHECK (reply_to IS NULL OR length(reply_to) = 16)
) STRICT;
