-- What only one dialect knows of an endpoint: a JSON object of objects by the dialect's name.
ALTER TABLE endpoints ADD COLUMN bags TEXT NOT NULL DEFAULT '{}';
