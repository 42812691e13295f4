-- Where an organization's events are sent. `events` are the API's names of what is wanted, `topics` the service's. `waiting`
-- counts its deliveries that are not over, `due_at` is when the first of them is to be tried. One that is removed is `gone`: its
-- deliveries are removed in batches, then it is itself.
CREATE TABLE webhooks (
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    id BLOB NOT NULL,
    dialect TEXT NOT NULL,
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    topics TEXT NOT NULL,
    active INTEGER NOT NULL,
    secret BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    gone INTEGER NOT NULL DEFAULT 0,
    waiting INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER,
    PRIMARY KEY (organization_id, id)
) WITHOUT ROWID;
CREATE INDEX webhooks_due ON webhooks (due_at) WHERE due_at IS NOT NULL AND active = 1 AND gone = 0;
CREATE INDEX webhooks_gone ON webhooks (organization_id, id) WHERE gone = 1;

-- Events on their way: one row for each event and webhook, written in the transaction in which the event is. `about` holds the
-- thing as it was then; `state` is waiting, delivered or given_up, and `state_at` until or since when.
CREATE TABLE deliveries (
    organization_id BLOB NOT NULL,
    webhook_id BLOB NOT NULL,
    event_id BLOB NOT NULL,
    event TEXT NOT NULL,
    actor TEXT NOT NULL,
    subject TEXT NOT NULL,
    details TEXT NOT NULL,
    about TEXT NOT NULL,
    call_id BLOB,
    at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    state TEXT NOT NULL,
    state_at INTEGER NOT NULL,
    last TEXT,
    PRIMARY KEY (organization_id, webhook_id, event_id)
) WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (organization_id, webhook_id, state_at, event_id) WHERE state = 'waiting';
CREATE INDEX deliveries_waiting ON deliveries (organization_id, webhook_id, event_id) WHERE state = 'waiting';
CREATE INDEX deliveries_oldest ON deliveries (at) WHERE state = 'waiting';
CREATE INDEX deliveries_by_time ON deliveries (at);
CREATE INDEX deliveries_by_call ON deliveries (organization_id, call_id) WHERE call_id IS NOT NULL;

-- Which events of a call were made: 1 its start, 2 its end. Those of calls that are over were never sent, and are not now.
ALTER TABLE calls ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
UPDATE calls SET told = 3 WHERE settled = 1;
