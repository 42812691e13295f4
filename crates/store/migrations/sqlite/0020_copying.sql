-- One row while a copy into this store has not ended: of which moment of which store. Such a store is not served.
CREATE TABLE copying (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,
    generation INTEGER NOT NULL
);
