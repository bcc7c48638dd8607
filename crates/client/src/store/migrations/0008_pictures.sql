-- Version 8: profile pictures that are here or are to be: of contacts, and of the account itself.

CREATE TABLE picture (
    row      INTEGER PRIMARY KEY,
    account  BLOB NOT NULL UNIQUE CHECK (length(account) = 33),
    -- Where others find it, and what opens it: as the documents say, so that a change is noticed.
    url      TEXT NOT NULL,
    key      BLOB NOT NULL CHECK (length(key) = 32),
    -- Its encrypted bytes: the name of a file in the profile's folder for them. NULL until all are here.
    blob     TEXT,
    -- How often it could not be fetched, and when it is tried again. Of the account's own that is here: when it is stored in its
    -- swarms again, which forget it otherwise.
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try INTEGER NOT NULL DEFAULT 0,
    -- Of the account's own, if this device has stored it: the list of its chunks, from which the key is made that deletes them, and
    -- since when that key is in use.
    manifest BLOB,
    file_key BLOB,
    keyed_at INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX picture_due ON picture (next_try);
