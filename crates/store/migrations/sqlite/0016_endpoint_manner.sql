-- How calls are put to an endpoint. What is there already stays as it was: nothing is asked for, nothing refused.
ALTER TABLE endpoints ADD COLUMN credentials TEXT;
ALTER TABLE endpoints ADD COLUMN media_encryption TEXT NOT NULL DEFAULT 'allowed';
ALTER TABLE endpoints ADD COLUMN headers TEXT NOT NULL DEFAULT '[]';
ALTER TABLE endpoints ADD COLUMN to_form TEXT NOT NULL DEFAULT 'as_received';
ALTER TABLE endpoints ADD COLUMN ring_seconds INTEGER;
