-- Where a trunk registers, so that its carrier sends calls.
ALTER TABLE providers ADD COLUMN register TEXT;
