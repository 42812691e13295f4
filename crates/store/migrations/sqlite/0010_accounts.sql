-- An organization's account at a carrier, as JSON with the key's secret sealed; its id and region stand beside it, since an
-- organization has one provider for each.
ALTER TABLE providers ADD COLUMN account TEXT;
ALTER TABLE providers ADD COLUMN account_id TEXT;
ALTER TABLE providers ADD COLUMN account_region TEXT;
CREATE UNIQUE INDEX providers_by_account ON providers (organization_id, kind, account_id, account_region)
    WHERE account_id IS NOT NULL;
