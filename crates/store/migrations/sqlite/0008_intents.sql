-- Which phone network a number is part of: public, simulated or test.
ALTER TABLE stock ADD COLUMN network TEXT NOT NULL DEFAULT 'public';
ALTER TABLE numbers ADD COLUMN network TEXT NOT NULL DEFAULT 'public';
CREATE INDEX stock_resting ON stock (until, id) WHERE state = 'quarantined' AND network <> 'public';
CREATE INDEX stock_for_tests ON stock (country, id) WHERE network = 'test' AND state <> 'sold';
CREATE INDEX numbers_for_tests ON numbers (organization_id) WHERE network = 'test' AND held = 1;

-- Work at carriers: written before the carrier is asked. Without a tenant the organization is sixteen zero bytes.
CREATE TABLE intents (
    id BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL,
    work TEXT NOT NULL,
    e164 INTEGER NOT NULL,
    network TEXT NOT NULL,
    provider_id BLOB,
    number_id BLOB,
    stock_id BLOB,
    -- open, done or failed.
    progress TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    told TEXT,
    -- The request that began it: its idempotency slot and a hash of its body.
    slot BLOB,
    body BLOB,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL
) WITHOUT ROWID;
-- Of one number at most one open piece of work.
CREATE UNIQUE INDEX intents_open ON intents (e164) WHERE progress = 'open';
CREATE INDEX intents_due ON intents (next_at, id) WHERE progress = 'open';
CREATE INDEX intents_by_slot ON intents (slot, created_at) WHERE slot IS NOT NULL;
CREATE INDEX intents_by_number ON intents (number_id, created_at) WHERE number_id IS NOT NULL;
