-- Version 3: full-text search over messages.

-- The number a message has in the index: 256 for each millisecond of `sort_at`, so that walking the index backwards is
-- walking through time. NULL: nothing of it is to be found.
ALTER TABLE message ADD COLUMN doc INTEGER;
CREATE UNIQUE INDEX message_doc ON message (doc) WHERE doc IS NOT NULL;

-- The words of messages as the program cuts them, separated by spaces:
--   words    words, and two neighbours at a time of scripts that do without spaces, in the order of the text
--   singles  the characters of such scripts, each once
--   about    chat, author, direction and kinds, by which a search is narrowed
-- Contentless: the text itself is in `message`, once. `prefix` serves words of which only the beginning is given.
CREATE VIRTUAL TABLE search USING fts5 (
    words, singles, about,
    content = '', columnsize = 0, tokenize = 'ascii', prefix = '2 3'
);

-- What is taken out of the index is taken out at once and overwritten, not marked and cleared up some day.
INSERT INTO search (search, rank) VALUES ('secure-delete', 1);

-- Every word of the index with its places, to look whether a word is still there.
CREATE VIRTUAL TABLE search_word USING fts5vocab ('search', 'instance');

-- How far the index has come. Messages in rows above `backlog` are in it (those that are to be); those up to it are
-- taken in from the newest on, some at a time, because only the program can cut a text into words.
CREATE TABLE search_state (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    backlog INTEGER NOT NULL,
    -- By which rules the words were cut. Others: everything is taken in again.
    rules   TEXT NOT NULL
) STRICT;

INSERT INTO search_state (only, backlog, rules) SELECT 1, coalesce(max(row), 0), '' FROM message;
