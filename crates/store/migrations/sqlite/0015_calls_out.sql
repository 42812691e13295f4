-- What was begun today counts for a day's cap, also after a restart.
CREATE INDEX calls_out ON calls (started_at) WHERE direction = 'outbound';
