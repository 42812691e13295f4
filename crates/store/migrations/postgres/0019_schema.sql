-- The schema as SQLite's migrations 1 to 19 leave it, with the same names in the same order of columns; what the values mean is
-- said there. Truths are the integers 0 and 1, texts compare by their bytes, whatever the database's collation is.
-- `organization_id` leads the keys of tenant tables. The global ones are meta, writers, migrations, change_log, keys (by hash),
-- number_claims (by E.164), stock, answers, intents and the search index of the stock; providers and rates hold the operator's own
-- beside the tenants'. Serials and aliases are unique because their counters stand under the lock of meta.
-- A foreign key is named for what it refers to: `…_name_organizations`, `…_name_agents`, `…_name_endpoints`.

-- Both come with PostgreSQL and need no superuser: trigrams of texts, and plain columns beside them in one index.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;

-- One row: what counts for the whole installation, and the lock of all writers: a group's transaction begins by locking it, so
-- writers of all nodes stand in one row. `epoch` is drawn once; what else names a history the server adds. `commits` counts the
-- groups that were committed.
CREATE TABLE meta (
    one SMALLINT PRIMARY KEY CHECK (one = 1),
    epoch BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    alias BIGINT NOT NULL,
    serial BIGINT NOT NULL,
    entry BIGINT NOT NULL,
    commits BIGINT NOT NULL
) WITH (fillfactor = 10);
INSERT INTO meta (one, epoch, generation, alias, serial, entry, commits)
VALUES (1, ('x' || substr(md5(gen_random_uuid()::text), 1, 15))::bit(60)::bigint, 0, 0, 0, 0, 0);

-- What each writer's last group was, in the transaction of that group: so one that lost the answer to its COMMIT can ask.
CREATE TABLE writers (
    id BYTEA PRIMARY KEY,
    last BIGINT NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE change_log (
    generation BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    organization_id BYTEA NOT NULL,
    key BYTEA NOT NULL,
    PRIMARY KEY (generation, kind, organization_id, key)
);

CREATE TABLE organizations (
    id BYTEA NOT NULL,
    serial BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    kyc TEXT COLLATE "C" NOT NULL,
    number_slots BIGINT,
    settings TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE keys (
    hash BYTEA NOT NULL,
    organization_id BYTEA NOT NULL,
    id BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    dialect TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    scopes TEXT COLLATE "C",
    mode TEXT COLLATE "C" NOT NULL,
    prefix TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT,
    version BIGINT NOT NULL,
    allowed_addresses TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    expires_at BIGINT,
    replaced_at BIGINT,
    PRIMARY KEY (hash),
    UNIQUE (organization_id, id),
    CONSTRAINT keys_name_organizations FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

CREATE TABLE agents (
    organization_id BYTEA NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    serial BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    bags TEXT COLLATE "C" NOT NULL DEFAULT '{}',
    PRIMARY KEY (organization_id, id),
    CONSTRAINT agents_name_organizations FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

CREATE TABLE endpoints (
    organization_id BYTEA NOT NULL,
    id BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    agent_id TEXT COLLATE "C",
    environment TEXT COLLATE "C" NOT NULL,
    is_default SMALLINT NOT NULL,
    targets TEXT COLLATE "C" NOT NULL,
    source_addresses TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    bags TEXT COLLATE "C" NOT NULL DEFAULT '{}',
    status TEXT COLLATE "C" NOT NULL DEFAULT 'active',
    url TEXT COLLATE "C",
    config TEXT COLLATE "C" NOT NULL DEFAULT '{}',
    allow_transfer SMALLINT NOT NULL DEFAULT 1,
    credentials TEXT COLLATE "C",
    media_encryption TEXT COLLATE "C" NOT NULL DEFAULT 'allowed',
    headers TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    to_form TEXT COLLATE "C" NOT NULL DEFAULT 'as_received',
    ring_seconds BIGINT,
    rules TEXT COLLATE "C",
    PRIMARY KEY (organization_id, id),
    CONSTRAINT endpoints_name_organizations FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT endpoints_name_agents FOREIGN KEY (organization_id, agent_id) REFERENCES agents (organization_id, id)
);
CREATE INDEX endpoints_by_agent ON endpoints (organization_id, agent_id, environment) WHERE agent_id IS NOT NULL;

CREATE TABLE providers (
    organization_id BYTEA NOT NULL,
    id BYTEA NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    label TEXT COLLATE "C" NOT NULL,
    inbound TEXT COLLATE "C",
    outbound TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    account TEXT COLLATE "C",
    account_id TEXT COLLATE "C",
    account_region TEXT COLLATE "C",
    calls_max BIGINT,
    register TEXT COLLATE "C",
    PRIMARY KEY (organization_id, id),
    UNIQUE (id)
);
CREATE UNIQUE INDEX providers_by_account ON providers (organization_id, kind, account_id, account_region)
    WHERE account_id IS NOT NULL;

CREATE TABLE stock (
    serial BIGINT NOT NULL GENERATED BY DEFAULT AS IDENTITY,
    id BYTEA NOT NULL,
    e164 BIGINT NOT NULL,
    country TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    setup_cost BIGINT NOT NULL,
    monthly_cost BIGINT NOT NULL,
    voice SMALLINT NOT NULL,
    sms SMALLINT NOT NULL,
    fax SMALLINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    number_id BYTEA,
    until BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    hold_by BYTEA,
    hold_until BIGINT,
    network TEXT COLLATE "C" NOT NULL DEFAULT 'public',
    PRIMARY KEY (serial),
    UNIQUE (e164),
    UNIQUE (id)
);
CREATE INDEX stock_for_sale ON stock (id) WHERE state <> 'sold';
CREATE INDEX stock_for_sale_by_country ON stock (country, id) WHERE state <> 'sold';
CREATE INDEX stock_for_sale_by_kind ON stock (country, kind, id) WHERE state <> 'sold';
CREATE INDEX stock_for_sale_by_cost ON stock (country, (setup_cost + monthly_cost), id) WHERE state <> 'sold';
CREATE INDEX stock_holds ON stock (hold_by, hold_until) WHERE hold_by IS NOT NULL;
CREATE INDEX stock_resting ON stock (until, id) WHERE state = 'quarantined' AND network <> 'public';
CREATE INDEX stock_for_tests ON stock (country, id) WHERE network = 'test' AND state <> 'sold';

CREATE TABLE numbers (
    organization_id BYTEA NOT NULL,
    id BYTEA NOT NULL,
    alias BIGINT NOT NULL,
    e164 BIGINT NOT NULL,
    country TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    held SMALLINT NOT NULL,
    label TEXT COLLATE "C",
    provider_id BYTEA,
    stock_id BYTEA,
    setup_cost BIGINT NOT NULL,
    monthly_cost BIGINT NOT NULL,
    voice SMALLINT NOT NULL,
    sms SMALLINT NOT NULL,
    fax SMALLINT NOT NULL,
    endpoint_id BYTEA,
    agent_id TEXT COLLATE "C",
    environment TEXT COLLATE "C" NOT NULL,
    allow_inbound SMALLINT NOT NULL,
    allow_outbound SMALLINT NOT NULL,
    psa_settings TEXT COLLATE "C" NOT NULL,
    agent_settings TEXT COLLATE "C" NOT NULL,
    sip_username TEXT COLLATE "C" NOT NULL,
    sip_password BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    released_at BIGINT,
    quarantined_until BIGINT,
    version BIGINT NOT NULL,
    rented_until BIGINT,
    unpaid SMALLINT NOT NULL DEFAULT 0,
    network TEXT COLLATE "C" NOT NULL DEFAULT 'public',
    delivered_at BIGINT,
    rules TEXT COLLATE "C",
    PRIMARY KEY (organization_id, id),
    UNIQUE (alias, organization_id),
    CONSTRAINT numbers_name_organizations FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT numbers_name_endpoints FOREIGN KEY (organization_id, endpoint_id) REFERENCES endpoints (organization_id, id),
    CONSTRAINT numbers_name_agents FOREIGN KEY (organization_id, agent_id) REFERENCES agents (organization_id, id)
);
CREATE INDEX numbers_held ON numbers (organization_id, held, id);
CREATE INDEX numbers_rare ON numbers (organization_id, status, id) WHERE status <> 'active';
CREATE INDEX numbers_gone ON numbers (organization_id, e164) WHERE held = 0;
CREATE INDEX numbers_by_endpoint ON numbers (organization_id, endpoint_id, id) WHERE endpoint_id IS NOT NULL;
CREATE INDEX numbers_by_agent ON numbers (organization_id, agent_id, id) WHERE agent_id IS NOT NULL;
CREATE INDEX numbers_by_provider ON numbers (provider_id, organization_id, id) WHERE provider_id IS NOT NULL;
CREATE INDEX numbers_due ON numbers (rented_until, alias) WHERE held = 1 AND rented_until IS NOT NULL;
CREATE INDEX numbers_unpaid ON numbers (alias) WHERE unpaid = 1;
CREATE INDEX numbers_by_birth ON numbers (organization_id, created_at);
CREATE INDEX numbers_for_tests ON numbers (organization_id) WHERE network = 'test' AND held = 1;
CREATE INDEX numbers_sip_username ON numbers (sip_username) WHERE held = 1;

CREATE TABLE number_claims (
    e164 BIGINT NOT NULL,
    organization_id BYTEA NOT NULL,
    number_id BYTEA NOT NULL,
    PRIMARY KEY (e164)
);

CREATE TABLE holdings (
    organization_id BYTEA NOT NULL,
    held BIGINT NOT NULL,
    PRIMARY KEY (organization_id),
    CONSTRAINT holdings_name_organizations FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

CREATE TABLE postings (
    organization_id BYTEA NOT NULL,
    id BYTEA NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    entry BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL DEFAULT 'purchase',
    number_id BYTEA,
    call_id BYTEA,
    period BIGINT,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT postings_name_organizations FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

CREATE TABLE entries (
    organization_id BYTEA NOT NULL,
    id BIGINT NOT NULL,
    posting_id BYTEA NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    amount BIGINT NOT NULL,
    balance_after BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX entries_by_account ON entries (organization_id, account, id);

CREATE TABLE calls (
    organization_id BYTEA NOT NULL,
    id BYTEA NOT NULL,
    number_id BYTEA,
    number BIGINT,
    direction TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    open SMALLINT NOT NULL,
    started_at BIGINT NOT NULL,
    answered_at BIGINT,
    ended_at BIGINT,
    duration_seconds BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    settled SMALLINT NOT NULL,
    minutes BIGINT NOT NULL,
    charged BIGINT NOT NULL,
    facts TEXT COLLATE "C" NOT NULL,
    agent_id TEXT COLLATE "C",
    redacted_at BIGINT,
    told SMALLINT NOT NULL DEFAULT 0,
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX calls_open ON calls (started_at) WHERE open = 1;
CREATE INDEX calls_open_by_organization ON calls (organization_id, id) WHERE open = 1;
CREATE INDEX calls_by_number ON calls (organization_id, number, id) WHERE number IS NOT NULL;
CREATE INDEX calls_rare ON calls (organization_id, status, id) WHERE open = 0 AND status <> 'completed';
CREATE INDEX calls_by_agent ON calls (organization_id, agent_id, id) WHERE agent_id IS NOT NULL;
CREATE INDEX calls_out ON calls (started_at) WHERE direction = 'outbound';

CREATE TABLE usage (
    organization_id BYTEA NOT NULL,
    number_id BYTEA NOT NULL,
    month BIGINT NOT NULL,
    minutes BIGINT NOT NULL,
    PRIMARY KEY (organization_id, number_id, month)
);

CREATE TABLE events (
    organization_id BYTEA NOT NULL,
    id BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    data TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id)
);

CREATE TABLE answers (
    slot BYTEA NOT NULL,
    body BYTEA NOT NULL,
    sealed BYTEA NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (slot)
);
CREATE INDEX answers_by_time ON answers (at);

CREATE TABLE key_usage (
    organization_id BYTEA NOT NULL,
    key_id BYTEA NOT NULL,
    hour BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, key_id, hour)
);

CREATE TABLE calls_gone (
    organization_id BYTEA NOT NULL,
    id BYTEA NOT NULL,
    PRIMARY KEY (organization_id, id)
);

CREATE TABLE webhooks (
    organization_id BYTEA NOT NULL,
    id BYTEA NOT NULL,
    dialect TEXT COLLATE "C" NOT NULL,
    url TEXT COLLATE "C" NOT NULL,
    events TEXT COLLATE "C" NOT NULL,
    topics TEXT COLLATE "C" NOT NULL,
    active SMALLINT NOT NULL,
    secret BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    gone SMALLINT NOT NULL DEFAULT 0,
    waiting BIGINT NOT NULL DEFAULT 0,
    due_at BIGINT,
    rests_until BIGINT,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT webhooks_name_organizations FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX webhooks_due ON webhooks (due_at) WHERE due_at IS NOT NULL AND active = 1 AND gone = 0;
CREATE INDEX webhooks_gone ON webhooks (organization_id, id) WHERE gone = 1;

CREATE TABLE deliveries (
    organization_id BYTEA NOT NULL,
    webhook_id BYTEA NOT NULL,
    event_id BYTEA NOT NULL,
    event TEXT COLLATE "C" NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    details TEXT COLLATE "C" NOT NULL,
    about TEXT COLLATE "C" NOT NULL,
    call_id BYTEA,
    at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    state_at BIGINT NOT NULL,
    last TEXT COLLATE "C",
    PRIMARY KEY (organization_id, webhook_id, event_id)
);
CREATE INDEX deliveries_due ON deliveries (organization_id, webhook_id, state_at, event_id) WHERE state = 'waiting';
CREATE INDEX deliveries_waiting ON deliveries (organization_id, webhook_id, event_id) WHERE state = 'waiting';
CREATE INDEX deliveries_oldest ON deliveries (at) WHERE state = 'waiting';
CREATE INDEX deliveries_by_time ON deliveries (at);
CREATE INDEX deliveries_by_call ON deliveries (organization_id, call_id) WHERE call_id IS NOT NULL;

CREATE TABLE intents (
    id BYTEA NOT NULL,
    organization_id BYTEA NOT NULL,
    work TEXT COLLATE "C" NOT NULL,
    e164 BIGINT NOT NULL,
    network TEXT COLLATE "C" NOT NULL,
    provider_id BYTEA,
    number_id BYTEA,
    stock_id BYTEA,
    progress TEXT COLLATE "C" NOT NULL,
    attempts BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    told TEXT COLLATE "C",
    slot BYTEA,
    body BYTEA,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (id)
);
CREATE UNIQUE INDEX intents_open ON intents (e164) WHERE progress = 'open';
CREATE INDEX intents_due ON intents (next_at, id) WHERE progress = 'open';
CREATE INDEX intents_by_slot ON intents (slot, created_at) WHERE slot IS NOT NULL;
CREATE INDEX intents_by_number ON intents (number_id, created_at) WHERE number_id IS NOT NULL;
CREATE INDEX intents_ended ON intents (updated_at) WHERE progress <> 'open';

CREATE TABLE rates (
    organization_id BYTEA NOT NULL,
    id BYTEA NOT NULL,
    direction TEXT COLLATE "C" NOT NULL,
    prefix TEXT COLLATE "C" NOT NULL,
    per_minute BIGINT NOT NULL,
    setup BIGINT NOT NULL,
    minimum_seconds BIGINT NOT NULL,
    increment_seconds BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE UNIQUE INDEX rates_by_prefix ON rates (organization_id, direction, prefix);

CREATE TABLE traces (
    organization_id BYTEA NOT NULL,
    number_id BYTEA NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (organization_id, number_id)
);

CREATE TABLE endpoint_uses (
    organization_id BYTEA NOT NULL,
    endpoint_id BYTEA NOT NULL,
    holder BYTEA NOT NULL,
    PRIMARY KEY (organization_id, endpoint_id, holder),
    CONSTRAINT endpoint_uses_name_endpoints FOREIGN KEY (organization_id, endpoint_id) REFERENCES endpoints (organization_id, id)
);
CREATE INDEX endpoint_uses_by_holder ON endpoint_uses (organization_id, holder);

-- Text search. A row stands for a number (2^53 minus its alias) or for stock (2^53 minus its serial), as in SQLite's index: in
-- ascending order the newest come first. `tenant` and `agent` are its made-up trigrams; texts are in lower case.
CREATE TABLE number_search (
    row BIGINT PRIMARY KEY,
    tenant TEXT COLLATE "C",
    agent TEXT COLLATE "C",
    digits TEXT COLLATE "C" NOT NULL,
    label TEXT COLLATE "C"
);
CREATE INDEX number_search_newest ON number_search (tenant, row);
CREATE INDEX number_search_by_label ON number_search USING gin (tenant, label gin_trgm_ops);
CREATE INDEX number_search_by_digits ON number_search USING gin (tenant, digits gin_trgm_ops);
CREATE INDEX number_search_by_agent ON number_search (agent, tenant, row) WHERE agent IS NOT NULL;
CREATE TABLE stock_search (
    row BIGINT PRIMARY KEY,
    digits TEXT COLLATE "C" NOT NULL
);
CREATE INDEX stock_search_by_digits ON stock_search USING gin (digits gin_trgm_ops);
