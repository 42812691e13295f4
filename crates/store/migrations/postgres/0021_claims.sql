-- See SQLite's migration of this number.
ALTER TABLE intents ADD COLUMN claimed_by BYTEA;
CREATE TABLE account_turns (
    provider_id BYTEA NOT NULL,
    node BYTEA NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (provider_id)
);
