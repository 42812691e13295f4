//! What only PostgreSQL is asked. Foreign keys and damaged pages the server sees to itself.

use crate::db::Db;
use crate::error::StoreError;
use crate::rows::doctor::asked;

/// As in [`crate::rows::doctor`], in PostgreSQL's own words.
const CHECKS: [(&str, &str); 4] = [
    (
        "a number is not in the search index",
        "SELECT n.id FROM numbers n WHERE NOT EXISTS (SELECT 1 FROM number_search s WHERE s.row = (1::bigint << 53) - n.alias)",
    ),
    (
        "a rent is for a period behind the one that its number is paid for",
        "SELECT id FROM (SELECT p.id, p.period, n.rented_until, \
         (date_part('year', x.paid) - date_part('year', x.born)) * 12 + date_part('month', x.paid) - date_part('month', x.born) AS next \
         FROM postings p JOIN numbers n ON n.organization_id = p.organization_id AND n.id = p.number_id CROSS JOIN LATERAL \
         (SELECT to_timestamp(n.rented_until / 1000000) AT TIME ZONE 'UTC' AS paid, \
         to_timestamp(coalesce(n.delivered_at, n.created_at) / 1000000) AT TIME ZONE 'UTC' AS born) AS x \
         WHERE p.kind = 'rental') AS rents WHERE rented_until IS NOT NULL AND period >= next",
    ),
    ("two numbers have one alias", "SELECT alias FROM numbers GROUP BY alias HAVING count(*) > 1"),
    (
        "an index is not whole",
        "SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
         WHERE NOT i.indisvalid AND i.indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace)",
    ),
];

pub(crate) fn problems(db: Db<'_>) -> Result<Vec<String>, StoreError> {
    asked(db, &CHECKS)
}
