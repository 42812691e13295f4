-- What is said of where calls go: JSON, by the names of the native API; null: nothing.
ALTER TABLE numbers ADD COLUMN rules TEXT;
ALTER TABLE endpoints ADD COLUMN rules TEXT;
-- How many calls from a trunk may be in progress.
ALTER TABLE providers ADD COLUMN calls_max INTEGER;

-- Which endpoints are named by such rules, and by whose: an endpoint that is named cannot go.
CREATE TABLE endpoint_uses (
    organization_id BLOB NOT NULL,
    endpoint_id BLOB NOT NULL,
    -- The number, or the endpoint, that names it.
    holder BLOB NOT NULL,
    PRIMARY KEY (organization_id, endpoint_id, holder),
    FOREIGN KEY (organization_id, endpoint_id) REFERENCES endpoints (organization_id, id)
) WITHOUT ROWID;
CREATE INDEX endpoint_uses_by_holder ON endpoint_uses (organization_id, holder);
