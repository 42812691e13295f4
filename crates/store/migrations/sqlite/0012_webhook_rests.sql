-- Until when a webhook rests whose receiver failed: `due_at` is not before it.
ALTER TABLE webhooks ADD COLUMN rests_until INTEGER;
-- A number is provisioned too when it is taken back, and one that was released before it was deleted is not released twice.
UPDATE webhooks SET topics = replace(replace(topics, '"number.activated"', '"number.activated","number.restored:active"'),
    '"number.deleted"', '"number.deleted:deleted"')
    WHERE topics <> events;
