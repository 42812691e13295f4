-- Tables. `organization_id` leads the keys of tenant tables; the global ones are meta, migrations, change_log, keys (by hash),
-- number_claims (by E.164), stock and answers. Times are microseconds of the unix epoch (UTC), money is in micro-units,
-- UUIDs are 16 bytes, free objects are JSON text. Statements name their parameters $1, $2, … in order of appearance.

-- One row: what counts for the whole installation. The epoch is drawn once: a copy that went its own way has the same, a new
-- store has another, and a reader whose epoch differs builds anew.
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    alias INTEGER NOT NULL,
    serial INTEGER NOT NULL,
    entry INTEGER NOT NULL
);
INSERT INTO meta (one, epoch, generation, alias, serial, entry) VALUES (1, abs(random() / 2), 0, 0, 0, 0);

CREATE TABLE change_log (
    generation INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    organization_id BLOB NOT NULL,
    key BLOB NOT NULL,
    PRIMARY KEY (generation, kind, organization_id, key)
) WITHOUT ROWID;

CREATE TABLE organizations (
    id BLOB NOT NULL PRIMARY KEY,
    -- A small number that stands for the organization in the search index.
    serial INTEGER NOT NULL UNIQUE,
    name TEXT NOT NULL,
    kyc TEXT NOT NULL,
    number_slots INTEGER,
    settings TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE keys (
    hash BLOB NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    dialect TEXT NOT NULL,
    role TEXT NOT NULL,
    scopes TEXT,
    mode TEXT NOT NULL,
    prefix TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    version INTEGER NOT NULL,
    UNIQUE (organization_id, id)
) WITHOUT ROWID;

CREATE TABLE agents (
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    id TEXT NOT NULL,
    serial INTEGER NOT NULL UNIQUE,
    name TEXT NOT NULL,
    description TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (organization_id, id)
) WITHOUT ROWID;

CREATE TABLE endpoints (
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    agent_id TEXT,
    environment TEXT NOT NULL,
    is_default INTEGER NOT NULL,
    targets TEXT NOT NULL,
    source_addresses TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, agent_id) REFERENCES agents (organization_id, id)
) WITHOUT ROWID;
CREATE INDEX endpoints_by_agent ON endpoints (organization_id, agent_id, environment) WHERE agent_id IS NOT NULL;

-- The operator's own stand under the organization of sixteen zero bytes.
CREATE TABLE providers (
    organization_id BLOB NOT NULL,
    id BLOB NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    label TEXT NOT NULL,
    inbound TEXT,
    outbound TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (organization_id, id)
) WITHOUT ROWID;

CREATE TABLE stock (
    serial INTEGER NOT NULL PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    e164 INTEGER NOT NULL UNIQUE,
    country TEXT NOT NULL,
    kind TEXT NOT NULL,
    setup_cost INTEGER NOT NULL,
    monthly_cost INTEGER NOT NULL,
    voice INTEGER NOT NULL,
    sms INTEGER NOT NULL,
    fax INTEGER NOT NULL,
    -- available, sold or quarantined; the last two name the number, the last says until when.
    state TEXT NOT NULL,
    number_id BLOB,
    until INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL
);
CREATE INDEX stock_for_sale ON stock (id) WHERE state <> 'sold';
CREATE INDEX stock_for_sale_by_country ON stock (country, id) WHERE state <> 'sold';
CREATE INDEX stock_for_sale_by_kind ON stock (country, kind, id) WHERE state <> 'sold';

CREATE TABLE numbers (
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    id BLOB NOT NULL,
    -- Given at birth, never given again; also the number's row in the search index.
    alias INTEGER NOT NULL UNIQUE,
    e164 INTEGER NOT NULL,
    country TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    -- Whether the status is one of those in which the organization holds the number.
    held INTEGER NOT NULL,
    label TEXT,
    provider_id BLOB,
    stock_id BLOB,
    setup_cost INTEGER NOT NULL,
    monthly_cost INTEGER NOT NULL,
    voice INTEGER NOT NULL,
    sms INTEGER NOT NULL,
    fax INTEGER NOT NULL,
    endpoint_id BLOB,
    agent_id TEXT,
    environment TEXT NOT NULL,
    allow_inbound INTEGER NOT NULL,
    allow_outbound INTEGER NOT NULL,
    psa_settings TEXT NOT NULL,
    agent_settings TEXT NOT NULL,
    sip_username TEXT NOT NULL,
    sip_password BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    released_at INTEGER,
    quarantined_until INTEGER,
    version INTEGER NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, endpoint_id) REFERENCES endpoints (organization_id, id),
    FOREIGN KEY (organization_id, agent_id) REFERENCES agents (organization_id, id)
);
CREATE INDEX numbers_held ON numbers (organization_id, held, id);
CREATE INDEX numbers_rare ON numbers (organization_id, status, id) WHERE status <> 'active';
CREATE INDEX numbers_gone ON numbers (organization_id, e164) WHERE held = 0;
CREATE INDEX numbers_by_endpoint ON numbers (organization_id, endpoint_id, id) WHERE endpoint_id IS NOT NULL;
CREATE INDEX numbers_by_agent ON numbers (organization_id, agent_id, id) WHERE agent_id IS NOT NULL;
CREATE INDEX numbers_by_provider ON numbers (provider_id, organization_id, id) WHERE provider_id IS NOT NULL;

-- Who holds a number: at most one, world-wide.
CREATE TABLE number_claims (
    e164 INTEGER NOT NULL PRIMARY KEY,
    organization_id BLOB NOT NULL,
    number_id BLOB NOT NULL
);

-- How many numbers an organization holds: counting them at each purchase would take time with their number.
CREATE TABLE holdings (
    organization_id BLOB NOT NULL PRIMARY KEY REFERENCES organizations (id),
    held INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE postings (
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    id BLOB NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL,
    -- The first of its entries, which have consecutive ids.
    entry INTEGER NOT NULL,
    PRIMARY KEY (organization_id, id)
) WITHOUT ROWID;

CREATE TABLE entries (
    organization_id BLOB NOT NULL,
    id INTEGER NOT NULL,
    posting_id BLOB NOT NULL,
    account TEXT NOT NULL,
    amount INTEGER NOT NULL,
    balance_after INTEGER NOT NULL,
    PRIMARY KEY (organization_id, id)
) WITHOUT ROWID;
CREATE INDEX entries_by_account ON entries (organization_id, account, id);

-- Calls: the set of facts of each, and beside it what is asked for: a fold of the facts, rewritten with them.
CREATE TABLE calls (
    organization_id BLOB NOT NULL,
    id BLOB NOT NULL,
    number_id BLOB,
    number INTEGER,
    direction TEXT NOT NULL,
    status TEXT NOT NULL,
    -- Whether more is to come.
    open INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    answered_at INTEGER,
    ended_at INTEGER,
    duration_seconds INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    -- Whether its terminal event was written; the minutes counted and the money posted so far.
    settled INTEGER NOT NULL,
    minutes INTEGER NOT NULL,
    charged INTEGER NOT NULL,
    -- One fact a line.
    facts TEXT NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX calls_open ON calls (started_at) WHERE open = 1;
CREATE INDEX calls_open_by_organization ON calls (organization_id, id) WHERE open = 1;
CREATE INDEX calls_by_number ON calls (organization_id, number, id) WHERE number IS NOT NULL;
CREATE INDEX calls_rare ON calls (organization_id, status, id) WHERE open = 0 AND status <> 'completed';

-- Minutes of a number's calls by the month (its first microsecond, UTC) of their answer.
CREATE TABLE usage (
    organization_id BLOB NOT NULL,
    number_id BLOB NOT NULL,
    month INTEGER NOT NULL,
    minutes INTEGER NOT NULL,
    PRIMARY KEY (organization_id, number_id, month)
) WITHOUT ROWID;

CREATE TABLE events (
    organization_id BLOB NOT NULL,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    actor TEXT NOT NULL,
    subject TEXT NOT NULL,
    data TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (organization_id, id)
) WITHOUT ROWID;

CREATE TABLE answers (
    slot BLOB NOT NULL PRIMARY KEY,
    body BLOB NOT NULL,
    sealed BLOB NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX answers_by_time ON answers (at);
