-- A key that was replaced is not replaced once more: its last day has begun.
ALTER TABLE keys ADD COLUMN replaced_at INTEGER;
