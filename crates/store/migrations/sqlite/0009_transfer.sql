-- Whether the agent behind an endpoint may hand a call to somebody else. One dialect kept the word for it; now calls obey it.
ALTER TABLE endpoints ADD COLUMN allow_transfer INTEGER NOT NULL DEFAULT 1;
UPDATE endpoints SET allow_transfer = 0, bags = json_remove(bags, '$.polyai.disableHandoff')
    WHERE json_extract(bags, '$.polyai.disableHandoff') = 1;
