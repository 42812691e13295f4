-- Who has a number of the stock reserved, and until when.
ALTER TABLE stock ADD COLUMN hold_by BLOB;
ALTER TABLE stock ADD COLUMN hold_until INTEGER;
CREATE INDEX stock_holds ON stock (hold_by, hold_until) WHERE hold_by IS NOT NULL;

-- Until when a number's rent is paid; whether it is off because its rent is not.
ALTER TABLE numbers ADD COLUMN rented_until INTEGER;
ALTER TABLE numbers ADD COLUMN unpaid INTEGER NOT NULL DEFAULT 0;
-- No month after the first was ever charged before this version. None of those is charged now: rent begins at the first
-- anniversary of the purchase from here on ('floor': the 31st of a shorter month is its last day).
UPDATE numbers SET rented_until = (
    SELECT created_at % 1000000 + 1000000 * iif(this > unixepoch('now'), this, next) FROM (
        SELECT unixepoch(second, 'unixepoch', month || ' months', 'floor') AS this,
               unixepoch(second, 'unixepoch', (month + 1) || ' months', 'floor') AS next
        FROM (
            SELECT created_at / 1000000 AS second,
                   max(1, 12 * (strftime('%Y', 'now') - strftime('%Y', created_at / 1000000, 'unixepoch'))
                       + strftime('%m', 'now') - strftime('%m', created_at / 1000000, 'unixepoch')) AS month
        )
    )
) WHERE stock_id IS NOT NULL AND monthly_cost > 0;
CREATE INDEX numbers_due ON numbers (rented_until, alias) WHERE held = 1 AND rented_until IS NOT NULL;
CREATE INDEX numbers_unpaid ON numbers (alias) WHERE unpaid = 1;
CREATE INDEX numbers_by_birth ON numbers (organization_id, created_at);

-- What a posting is about: what kind it is, of which number (and its period) or which call.
ALTER TABLE postings ADD COLUMN kind TEXT NOT NULL DEFAULT 'purchase';
ALTER TABLE postings ADD COLUMN number_id BLOB;
ALTER TABLE postings ADD COLUMN call_id BLOB;
ALTER TABLE postings ADD COLUMN period INTEGER;
UPDATE postings SET kind = 'funding' WHERE EXISTS (
    SELECT 1 FROM entries e WHERE e.organization_id = postings.organization_id AND e.id = postings.entry + 1 AND e.account = 'funding'
);
UPDATE postings SET kind = 'call', call_id = id WHERE kind = 'purchase' AND reason LIKE 'Call %';
