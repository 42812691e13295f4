//! What `docs/scale.md` and `scripts/citus.sql` say of tables that are spread over servers by their tenant (Citus) holds of the schema.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::home::Home;
use crate::world::World;

const PAGE: &str = include_str!("../../../../docs/scale.md");
const SCRIPT: &str = include_str!("../../../../scripts/citus.sql");

fn world() -> World {
    World::at(Arc::new(Home::bare()), 1)
}

/// The tables that are distributed by their tenant.
fn tenants() -> Vec<&'static str> {
    let list = SCRIPT.split_once("ARRAY[").unwrap().1.split_once(']').unwrap().0;
    list.split(',').map(|name| name.trim().trim_matches('\'')).collect()
}

#[test]
fn the_page_names_every_table() {
    let tables = world().home.column("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'");
    assert!(tables.len() > 25, "{tables:?}");
    let unnamed: Vec<_> = tables
        .iter()
        .filter(|name| !PAGE.contains(&format!("`{name}`")) && !SCRIPT.contains(&format!("'{name}'")))
        .collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
}

#[test]
fn a_tenants_table_can_be_spread_by_its_tenant() {
    let (world, tenants) = (world(), tenants());
    assert!(tenants.len() > 10, "{tenants:?}");
    let listed = tenants.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    let column = |sql: &str| world.home.column(&sql.replace("TENANTS", &listed));
    let led = column(
        "SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] \
         WHERE i.indisprimary AND a.attname = 'organization_id' AND c.relname IN (TENANTS)",
    );
    assert_eq!(led.iter().map(String::as_str).collect::<BTreeSet<_>>(), tenants.iter().copied().collect());
    let without = column(
        "SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
         WHERE i.indisunique AND c.relname IN (TENANTS) AND NOT EXISTS ( \
             SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id' AND a.attnum = ANY (i.indkey))",
    );
    assert_eq!(without, Vec::<String>::new(), "unique without the tenant");
    let foreign = column(
        "SELECT k.conname::text FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE k.contype = 'f' AND NOT ( \
             c.relname IN (TENANTS) AND k.confrelid::regclass::text IN ('organizations', TENANTS) AND EXISTS ( \
             SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id' AND a.attnum = k.conkey[1]))",
    );
    assert_eq!(foreign, ["keys_name_organizations"], "the script takes this one away");
}
