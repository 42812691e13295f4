-- The node that works on an intent: until `next_at` no other one does.
ALTER TABLE intents ADD COLUMN claimed_by BLOB;
-- Which node changes something in an organization's account at a carrier, and until when.
CREATE TABLE account_turns (
    provider_id BLOB NOT NULL PRIMARY KEY,
    node BLOB NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL
) WITHOUT ROWID;
