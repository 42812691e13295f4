-- What stands behind an endpoint: whether it is in use, its own address, what its platform needs to know.
ALTER TABLE endpoints ADD COLUMN status TEXT NOT NULL DEFAULT 'active';
ALTER TABLE endpoints ADD COLUMN url TEXT;
ALTER TABLE endpoints ADD COLUMN config TEXT NOT NULL DEFAULT '{}';

-- From where a key works, and until when.
ALTER TABLE keys ADD COLUMN allowed_addresses TEXT NOT NULL DEFAULT '[]';
ALTER TABLE keys ADD COLUMN expires_at INTEGER;

-- Requests made with a key, by hours since the unix epoch.
CREATE TABLE key_usage (
    organization_id BLOB NOT NULL,
    key_id BLOB NOT NULL,
    hour INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (organization_id, key_id, hour)
) WITHOUT ROWID;

-- Calls whose record was removed: facts that come again must not bring them back.
CREATE TABLE calls_gone (
    organization_id BLOB NOT NULL,
    id BLOB NOT NULL,
    PRIMARY KEY (organization_id, id)
) WITHOUT ROWID;
