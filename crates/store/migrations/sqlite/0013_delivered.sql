-- When a number's carrier delivered it, where that was waited for. Rent is reckoned from then.
ALTER TABLE numbers ADD COLUMN delivered_at INTEGER;
-- What was there with its purchase is reckoned as before; what was never delivered stays without.
UPDATE numbers SET delivered_at = created_at WHERE network <> 'public' AND status <> 'pending' AND NOT EXISTS (
    SELECT 1 FROM intents i WHERE i.number_id = numbers.id AND i.work = 'acquire' AND i.progress = 'failed'
);
-- What still waits pays its first month from the delivery on, unless it has paid others already.
UPDATE numbers SET rented_until = NULL WHERE network <> 'public' AND status = 'pending' AND NOT EXISTS (
    SELECT 1 FROM postings p WHERE p.organization_id = numbers.organization_id AND p.number_id = numbers.id AND p.kind = 'rental'
);

-- Work at carriers that has ended goes after a while, the longest ended first.
CREATE INDEX intents_ended ON intents (updated_at) WHERE progress <> 'open';
