-- Version 9: files whose content is to be written to the profile's folder as soon as they are here, though whoever asked for
-- it may be gone by then.

ALTER TABLE file ADD COLUMN to_write INTEGER NOT NULL DEFAULT 0 CHECK (to_write IN (0, 1));
CREATE INDEX file_to_write ON file (next_try, row) WHERE state = 2 AND to_write = 1;
