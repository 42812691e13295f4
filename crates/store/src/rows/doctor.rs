//! Checks of what must always hold. Each is one question that finds the rows at fault; a sound store has none.

use crate::db::{Cell, Db};

use crate::error::StoreError;

/// At most this many rows are named for each check: the first few tell what is wrong.
const NAMED_MAX: usize = 10;

/// What is checked: a sentence, and a statement whose first column names each row at fault. Tables that may lie on different servers
/// (`scripts/citus.sql`) are compared whole: by EXCEPT, or by NOT IN where what is asked for is little.
const CHECKS: [(&str, &str); 26] = [
    (
        "the entries of a posting do not sum to zero",
        "SELECT posting_id FROM entries GROUP BY organization_id, posting_id HAVING sum(amount) <> 0",
    ),
    (
        "a posting has not its two entries",
        "SELECT p.id FROM postings p WHERE (SELECT count(*) FROM entries e WHERE e.organization_id = p.organization_id \
         AND e.id IN (p.entry, p.entry + 1) AND e.posting_id = p.id) <> 2",
    ),
    (
        "an entry belongs to no posting",
        "SELECT e.id FROM entries e WHERE NOT EXISTS (SELECT 1 FROM postings p \
         WHERE p.organization_id = e.organization_id AND p.id = e.posting_id)",
    ),
    (
        "the ledger of an organization does not sum to zero",
        "SELECT organization_id FROM entries GROUP BY organization_id HAVING sum(amount) <> 0",
    ),
    (
        "an entry's balance does not follow from the one before it",
        "SELECT id FROM (SELECT id, amount, balance_after, lag(balance_after, 1, 0) \
         OVER (PARTITION BY organization_id, account ORDER BY id) AS before FROM entries) AS followed \
         WHERE balance_after <> before + amount",
    ),
    (
        "a held number has no claim on its E.164",
        "SELECT id FROM (SELECT id, e164, organization_id FROM numbers WHERE held = 1 \
         EXCEPT SELECT number_id, e164, organization_id FROM number_claims) AS unclaimed",
    ),
    (
        "a claim belongs to no held number",
        "SELECT number_id FROM (SELECT number_id, e164, organization_id FROM number_claims \
         EXCEPT SELECT id, e164, organization_id FROM numbers WHERE held = 1) AS unheld",
    ),
    (
        "a number is marked as held against its status",
        "SELECT id FROM numbers WHERE (held = 1) <> (status NOT IN ('released', 'deleted'))",
    ),
    (
        "the count of an organization's numbers is wrong",
        "SELECT h.organization_id FROM holdings h WHERE h.held <> (SELECT count(*) FROM numbers n \
         WHERE n.organization_id = h.organization_id AND n.held = 1)",
    ),
    (
        "a held number names a provider that is not there",
        "SELECT id FROM numbers n WHERE held = 1 AND provider_id IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM providers p WHERE p.id = n.provider_id)",
    ),
    (
        "sold stock is held by nobody",
        "SELECT id FROM (SELECT id, number_id, e164 FROM stock WHERE state = 'sold' \
         EXCEPT SELECT stock_id, id, e164 FROM numbers WHERE held = 1 AND stock_id IS NOT NULL) AS unheld",
    ),
    (
        "a held number's stock is not sold to it",
        "SELECT id FROM (SELECT id, stock_id FROM numbers WHERE held = 1 AND stock_id IS NOT NULL \
         EXCEPT SELECT number_id, id FROM stock WHERE state = 'sold') AS unsold",
    ),
    (
        "an agent has two default endpoints in one environment",
        "SELECT agent_id FROM endpoints WHERE is_default = 1 AND agent_id IS NOT NULL \
         GROUP BY organization_id, agent_id, environment HAVING count(*) > 1",
    ),
    (
        "a call was charged otherwise than its postings say",
        "SELECT c.id FROM calls c LEFT JOIN (SELECT p.organization_id AS owner, p.call_id AS call, sum(e.amount) AS paid \
         FROM postings p JOIN entries e ON e.organization_id = p.organization_id AND e.id = p.entry \
         WHERE p.call_id IS NOT NULL GROUP BY 1, 2) x ON x.owner = c.organization_id AND x.call = c.id \
         WHERE c.charged <> coalesce(-x.paid, 0)",
    ),
    (
        "a call is marked as in progress against its status: it would hold money for ever, or none",
        "SELECT id FROM calls WHERE (open = 1) <> (status IN ('ringing', 'answered'))",
    ),
    ("a call was charged before it ended", "SELECT id FROM calls WHERE open = 1 AND charged <> 0"),
    (
        "a number of the stock with a monthly price is held without a time until which it is paid",
        "SELECT id FROM numbers WHERE held = 1 AND stock_id IS NOT NULL AND monthly_cost > 0 AND network <> 'test' \
         AND status <> 'pending' AND rented_until IS NULL AND created_at < 250000000000000000",
    ),
    (
        "a rent is not the monthly price of its number",
        "SELECT p.id FROM postings p JOIN entries e ON e.organization_id = p.organization_id AND e.id = p.entry \
         LEFT JOIN numbers n ON n.organization_id = p.organization_id AND n.id = p.number_id \
         WHERE p.kind = 'rental' AND (n.id IS NULL OR e.amount <> -n.monthly_cost)",
    ),
    (
        "more was given back for a number than was paid",
        "SELECT p.number_id FROM postings p JOIN entries e ON e.organization_id = p.organization_id AND e.id = p.entry \
         WHERE p.number_id IS NOT NULL GROUP BY p.organization_id, p.number_id HAVING sum(e.amount) > 0 \
         AND count(*) FILTER (WHERE p.kind = 'purchase') > 0",
    ),
    (
        "a number is unpaid and not inactive",
        "SELECT id FROM numbers WHERE unpaid = 1 AND held = 1 AND status <> 'inactive'",
    ),
    (
        "sold stock is reserved, or a reservation is nobody's",
        "SELECT id FROM stock WHERE (state = 'sold' AND hold_by IS NOT NULL) OR (hold_by IS NULL) <> (hold_until IS NULL)",
    ),
    (
        "what waits for a webhook is counted wrong",
        "SELECT w.id FROM webhooks w WHERE w.waiting <> (SELECT count(*) FROM deliveries d \
         WHERE d.organization_id = w.organization_id AND d.webhook_id = w.id AND d.state = 'waiting') \
         OR w.due_at IS DISTINCT FROM (SELECT CASE WHEN min(d.state_at) < w.rests_until THEN w.rests_until ELSE min(d.state_at) END \
         FROM deliveries d WHERE d.organization_id = w.organization_id AND d.webhook_id = w.id AND d.state = 'waiting')",
    ),
    (
        "a counter is behind what it has given",
        "SELECT generation FROM meta WHERE generation < (SELECT coalesce(max(generation), 0) FROM change_log) \
         OR alias < (SELECT coalesce(max(alias), 0) FROM numbers) OR entry < (SELECT coalesce(max(id), 0) FROM entries)",
    ),
    (
        "a carrier is asked for a number that does not wait for it",
        "SELECT i.id FROM intents i WHERE i.progress = 'open' AND i.work = 'acquire' \
         AND (i.stock_id IS NOT NULL OR i.network <> 'public') AND (coalesce(i.number_id, i.id), i.organization_id, i.e164) \
         NOT IN (SELECT n.id, n.organization_id, n.e164 FROM numbers n WHERE n.status = 'pending')",
    ),
    (
        "a number waits for a carrier that is not asked",
        "SELECT n.id FROM numbers n WHERE n.status = 'pending' AND n.network <> 'public' AND (n.e164, n.id) NOT IN (SELECT i.e164, \
         i.number_id FROM intents i WHERE i.progress = 'open' AND i.work = 'acquire' AND i.number_id IS NOT NULL)",
    ),
    (
        "a number that was not delivered is still held, or not paid back",
        "SELECT i.id FROM intents i JOIN numbers n ON n.organization_id = i.organization_id AND n.id = i.number_id \
         WHERE i.progress = 'failed' AND i.work = 'acquire' AND (i.stock_id IS NOT NULL OR i.network <> 'public') AND (n.held = 1 OR (SELECT coalesce(sum(e.amount), 0) FROM postings p \
         JOIN entries e ON e.organization_id = p.organization_id AND e.posting_id = p.id AND e.account = 'wallet' \
         WHERE p.organization_id = n.organization_id AND p.number_id = n.id) <> 0)",
    ),
];

/// See [`crate::Store::doctor`].
pub(crate) fn problems(db: Db<'_>) -> Result<Vec<String>, StoreError> {
    let mut problems = asked(db, &CHECKS)?;
    problems.extend(db.problems()?);
    Ok(problems)
}

/// What these questions find.
pub(crate) fn asked(db: Db<'_>, checks: &[(&str, &str)]) -> Result<Vec<String>, StoreError> {
    let mut problems = Vec::new();
    for (sentence, sql) in checks {
        let named = named(db, &format!("{sql} LIMIT {NAMED_MAX}"))?;
        problems.extend(named.into_iter().map(|row| format!("{sentence}: {row}")));
    }
    Ok(problems)
}

/// The first column of each row.
pub(crate) fn named(db: Db<'_>, sql: &str) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    db.all(sql, &[], &mut |row| {
        found.push(match row.cell(0)? {
            Cell::Null => "?".to_owned(),
            Cell::Int(number) => number.to_string(),
            Cell::Text(text) => text.to_owned(),
            // An id: never a phone number or a name, which the log may not hold.
            Cell::Bytes(bytes) => {
                uuid::Uuid::from_slice(bytes).map_or_else(|_| "?".to_owned(), |id| id.to_string())
            }
        });
        Ok(())
    })?;
    Ok(found)
}
