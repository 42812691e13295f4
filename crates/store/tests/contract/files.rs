//! Files of other versions.

use domain::ids::{CallId, NumberId, OrganizationId};
use domain::ledger::Subject;
use domain::number::period_start;
use domain::{Page, Timestamp};
use store::Store;

use crate::world::World;

fn minutes(count: i64) -> jiff::SignedDuration {
    jiff::SignedDuration::from_mins(count)
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let world = World::new();
    let path = world.store.path().unwrap().to_owned();
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute("INSERT INTO migrations (number, name) VALUES (999, 'later')", []).unwrap();
    let refused = Store::open(&format!("sqlite:{}", path.display())).unwrap_err();
    assert!(refused.to_string().contains("newer"), "{refused}");
}

/// A store as the version before wrote it.
fn before_rents(path: &std::path::Path, created: Timestamp) {
    let db = rusqlite::Connection::open(path).unwrap();
    db.execute_batch("CREATE TABLE migrations (number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL)")
        .unwrap();
    let scripts = [
        include_str!("../../migrations/sqlite/0001_tables.sql"),
        include_str!("../../migrations/sqlite/0002_search.sql"),
        include_str!("../../migrations/sqlite/0003_endpoint_bags.sql"),
        include_str!("../../migrations/sqlite/0004_agent_calls.sql"),
        include_str!("../../migrations/sqlite/0005_platforms_keys_calls.sql"),
    ];
    for (number, script) in (1..).zip(scripts) {
        db.execute_batch(script).unwrap();
        db.execute("INSERT INTO migrations (number, name) VALUES ($1, '')", [number]).unwrap();
    }
    let at = created.as_microsecond();
    db.execute_batch(&format!(
        "INSERT INTO organizations VALUES (zeroblob(16), 1, 'Org', 'approved', NULL, '{{}}', {at}, {at}, 1);
         INSERT INTO holdings VALUES (zeroblob(16), 1);
         INSERT INTO numbers VALUES (zeroblob(16), zeroblob(16), 1, 14155550100, 'US', 'local', 'active', 1, NULL, NULL,
             zeroblob(16), 10000, 20000, 1, 0, 0, NULL, NULL, 'live', 1, 0, '{{}}', '{{}}', 'u', x'00', {at}, {at}, NULL, NULL, 1);
         INSERT INTO postings VALUES (zeroblob(16), x'00000000000000000000000000000001', 'Cash', {at}, 1),
             (zeroblob(16), x'00000000000000000000000000000002', 'number +14155550100 bought', {at}, 3),
             (zeroblob(16), x'00000000000000000000000000000003', 'Call 3', {at}, 5);
         INSERT INTO entries VALUES (zeroblob(16), 1, x'00000000000000000000000000000001', 'wallet', 9, 9),
             (zeroblob(16), 2, x'00000000000000000000000000000001', 'funding', -9, -9),
             (zeroblob(16), 3, x'00000000000000000000000000000002', 'wallet', -3, 6),
             (zeroblob(16), 4, x'00000000000000000000000000000002', 'sales', 3, 3),
             (zeroblob(16), 5, x'00000000000000000000000000000003', 'wallet', -1, 5),
             (zeroblob(16), 6, x'00000000000000000000000000000003', 'sales', 1, 4);"
    ))
    .unwrap();
}

#[test]
fn what_was_bought_before_rents_is_charged_from_its_next_month_on() {
    // Bought years ago on days that some months lack, and in this minute.
    let database = rusqlite::Connection::open_in_memory().unwrap();
    let now = database.query_row("SELECT unixepoch('now')", [], |row| row.get(0)).unwrap();
    let now = Timestamp::from_second(now).unwrap();
    let long_ago = ["2020-01-31T23:59:58.123456Z", "2024-02-29T00:00:00Z", "2021-12-01T12:00:00.5Z"];
    let long_ago = long_ago.map(|text| text.parse::<Timestamp>().unwrap());
    for created in long_ago.into_iter().chain([now - minutes(1), now - minutes(60 * 24 * 27)]) {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("store.db");
        before_rents(&path, created);
        let store = Store::open(&format!("sqlite:{}", path.display())).unwrap();
        let owner = OrganizationId(uuid::Uuid::nil());
        let number = store.number_get(owner, NumberId(uuid::Uuid::nil())).unwrap().unwrap();
        // The first month that begins after now, to the microsecond; the clock is the database's.
        let after =
            |at: Timestamp| (1..1_200).filter_map(|k| period_start(created, k)).find(|start| *start > at);
        let expected = [after(now), after(now + minutes(2))];
        assert!(expected.contains(&number.rented_until), "{created}: {:?}", number.rented_until);
        let just_before = number.rented_until.unwrap() - jiff::SignedDuration::from_micros(1);
        assert_eq!(store.numbers_due(just_before, None, 9).unwrap(), []);
        let entries = store.ledger_list(owner, &Page::first(9)).unwrap().items;
        let subjects: Vec<_> = entries.iter().map(|entry| entry.subject).collect();
        let call = Subject::Call(CallId(uuid::Uuid::from_u128(3)));
        let (bought, cash) = (Subject::Purchase(None), Subject::Funding);
        assert_eq!(subjects, [call, call, bought, bought, cash, cash]);
    }
}
