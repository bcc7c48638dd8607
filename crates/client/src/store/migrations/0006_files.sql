-- Version 6: files of messages: where they are, their keys, and how far they have come.

CREATE TABLE file (
    row       INTEGER PRIMARY KEY,
    message   BLOB NOT NULL CHECK (length(message) = 16),
    -- Which of the message's files, from 0.
    place     INTEGER NOT NULL,
    -- Where others find it. NULL if its sender did not say.
    url       TEXT,
    key       BLOB,
    digest    BLOB,
    -- Bytes of the content, as its sender says.
    size      INTEGER NOT NULL,
    -- 0 it is elsewhere, 1 it is to be fetched, 2 it is here, 3 it is here and is to be stored in swarms, 4 it could not be
    -- fetched, or stored.
    state     INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 4),
    -- Where its content was written to on this machine, if it was.
    path      TEXT,
    -- Its encrypted bytes: the name of a file in the profile's folder for them, whether it is complete or not.
    blob      TEXT,
    -- The list of its chunks, once it is known, and which of them a majority of their swarm has: a bit each, the manifest
    -- being the last. Only while it is being stored.
    manifest  BLOB,
    stored    BLOB,
    -- From which the key is made that deletes its chunks, of files that were sent from here.
    file_key  BLOB,
    -- Why it went wrong, how often, and when it is tried again.
    reason    TEXT,
    attempts  INTEGER NOT NULL DEFAULT 0,
    next_try  INTEGER NOT NULL DEFAULT 0,
    UNIQUE (message, place)
) STRICT;
CREATE INDEX file_due ON file (next_try, row) WHERE state IN (1, 3);

-- Chunks that the swarms are to forget: what deletes them, until a majority has.
CREATE TABLE gone_file (
    row      INTEGER PRIMARY KEY,
    manifest BLOB NOT NULL,
    file_key BLOB NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try INTEGER NOT NULL
) STRICT;

-- Not to be sent before the files it speaks of are where it says.
ALTER TABLE outgoing ADD COLUMN held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1));
