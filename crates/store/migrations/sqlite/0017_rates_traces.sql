-- What calls cost, by the prefix of the called number. organization_id of zeros: everybody's without one of their own.
CREATE TABLE rates (
    organization_id BLOB NOT NULL,
    id BLOB NOT NULL,
    direction TEXT NOT NULL,
    prefix TEXT NOT NULL,
    per_minute INTEGER NOT NULL,
    setup INTEGER NOT NULL,
    minimum_seconds INTEGER NOT NULL,
    increment_seconds INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (organization_id, id)
);
CREATE UNIQUE INDEX rates_by_prefix ON rates (organization_id, direction, prefix);

-- Until when calls of a number are traced.
CREATE TABLE traces (
    organization_id BLOB NOT NULL,
    number_id BLOB NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (organization_id, number_id)
);
