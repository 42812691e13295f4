-- What only one dialect knows of an agent; who had a call's number when it came; records without their private part; the
-- cheapest number on sale in a country.
ALTER TABLE agents ADD COLUMN bags TEXT NOT NULL DEFAULT '{}';
ALTER TABLE calls ADD COLUMN agent_id TEXT;
ALTER TABLE calls ADD COLUMN redacted_at INTEGER;
-- Calls from before: who has the number now is the best that is known.
UPDATE calls SET agent_id = (
    SELECT n.agent_id FROM numbers n WHERE n.organization_id = calls.organization_id AND n.id = calls.number_id
) WHERE number_id IS NOT NULL;
CREATE INDEX calls_by_agent ON calls (organization_id, agent_id, id) WHERE agent_id IS NOT NULL;
CREATE INDEX stock_for_sale_by_cost ON stock (country, (setup_cost + monthly_cost), id) WHERE state <> 'sold';
