-- See SQLite's migration of this number.
CREATE TABLE copying (
    one SMALLINT NOT NULL PRIMARY KEY CHECK (one = 1),
    epoch BIGINT NOT NULL,
    generation BIGINT NOT NULL
);
