-- Version 7: files live as long as their messages, and any device of their sender takes them out of swarms.

-- Whether a file was, or is to be, stored from this device: of others of the account its key may be known as well.
ALTER TABLE file ADD COLUMN sent_here INTEGER NOT NULL DEFAULT 0 CHECK (sent_here IN (0, 1));
UPDATE file SET sent_here = 1 WHERE file_key IS NOT NULL;

-- Of files of this account in swarms: when they were first stored, at the earliest; until when they are kept, at least; when
-- that is to be lengthened, NULL for never; and how often it went wrong.
ALTER TABLE file ADD COLUMN stored_at INTEGER;
ALTER TABLE file ADD COLUMN ends_at INTEGER;
ALTER TABLE file ADD COLUMN renew_at INTEGER;
ALTER TABLE file ADD COLUMN failed_renewals INTEGER NOT NULL DEFAULT 0;
CREATE INDEX file_renewed ON file (renew_at) WHERE renew_at IS NOT NULL;

-- The hash of the list of chunks, where the list itself (`manifest`, then empty) is not known: its swarm has it.
ALTER TABLE gone_file ADD COLUMN list BLOB CHECK (list IS NULL OR length(list) = 32);
