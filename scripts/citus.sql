CREATE EXTENSION IF NOT EXISTS citus;
-- Foreign keys are made after the tables are distributed (psql).
CREATE TEMP TABLE kept AS SELECT conrelid::regclass AS of, conname, pg_get_constraintdef(oid) AS words FROM pg_constraint
  WHERE contype = 'f' AND connamespace = current_schema()::regnamespace;
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', of, conname) FROM kept \gexec
-- The tenants' tables, all by the tenant, side by side.
SELECT create_distributed_table('organizations', 'id');
SELECT create_distributed_table(t, 'organization_id', colocate_with => 'organizations') FROM unnest(ARRAY[
  'agents', 'endpoints', 'endpoint_uses', 'numbers', 'holdings', 'postings', 'entries',
  'calls', 'calls_gone', 'usage', 'events', 'key_usage', 'traces', 'webhooks', 'deliveries']) AS t;
-- What is joined with tenants' rows and has no tenant in its key: each server has all of it.
SELECT create_reference_table('providers');
SELECT create_reference_table('number_search');
-- Stays on the coordinator, but known to Citus: each group of writes has a row of it, so each is one distributed transaction with
-- what it writes to tables of the coordinator that Citus does not know.
SELECT citus_add_local_table_to_metadata('writers');
-- By another key than the tenant's.
SELECT create_distributed_table('number_claims', 'e164', colocate_with => 'none');
-- That of keys stays away: a table of the coordinator cannot refer to a distributed one.
SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', of, conname, words) FROM kept WHERE of <> 'keys'::regclass \gexec
