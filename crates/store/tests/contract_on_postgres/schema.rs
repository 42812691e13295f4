//! The schema: the same as SQLite's, made once whoever comes first, and open to nodes of two versions.

use std::collections::BTreeMap;
use std::sync::Arc;
use store::Store;
use tempfile::TempDir;

use crate::home::Home;
use crate::world::World;

/// What PostgreSQL alone has: its writers, and its own search index.
const OWN: [&str; 4] = ["meta.commits", "writers.", "number_search.", "stock_search."];

fn columns_of_postgres() -> Vec<String> {
    let world = World::at(Arc::new(Home::bare()), 1);
    let sql = "SELECT table_name || '.' || column_name || CASE is_nullable WHEN 'NO' THEN ' always' ELSE '' END \
               FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'migrations'";
    world.home.column(sql)
}

fn columns_of_sqlite() -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.db");
    drop(Store::open(&format!("sqlite:{}", path.display())).unwrap());
    let db = rusqlite::Connection::open(path).unwrap();
    let sql = "SELECT t.name || '.' || c.name || CASE WHEN c.\"notnull\" OR c.pk THEN ' always' ELSE '' END \
               FROM pragma_table_list t JOIN pragma_table_info(t.name) c \
               WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name <> 'migrations'";
    let mut statement = db.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn both_engines_have_the_same_columns() {
    let own = |column: &String| OWN.iter().any(|own| column.starts_with(own));
    let tables = |columns: Vec<String>| {
        let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for column in columns.into_iter().filter(|column| !own(column)) {
            let (table, column) = column.split_once('.').unwrap();
            tables.entry(table.to_owned()).or_default().push(column.to_owned());
        }
        for columns in tables.values_mut() {
            columns.sort();
        }
        tables
    };
    let (one, other) = (tables(columns_of_sqlite()), tables(columns_of_postgres()));
    assert!(one.len() > 20, "{one:?}");
    assert_eq!(one, other, "a migration needs its counterpart in the other engine's folder");
}

#[test]
fn of_nodes_that_start_at_once_one_makes_the_schema() {
    let home = Home::new();
    let opened: Vec<_> = std::thread::scope(|scope| {
        let nodes: Vec<_> =
            (0..4).map(|_| scope.spawn(|| Store::open(home.url()).unwrap().generation())).collect();
        nodes.into_iter().map(|node| node.join().unwrap().unwrap()).collect()
    });
    assert!(opened.windows(2).all(|pair| pair[0] == pair[1]), "{opened:?}");
    assert_eq!(home.column("SELECT number FROM migrations ORDER BY 1"), ["19", "20", "21"]);
}

#[tokio::test]
async fn an_older_version_works_with_what_a_newer_one_only_added_and_refuses_the_rest() {
    let world = World::new();
    world.home.run("INSERT INTO migrations (number, name, breaks) VALUES (998, 'more', 0); ALTER TABLE numbers ADD COLUMN later TEXT");
    let id = world.organization().await;
    let world = world.reopened();
    let provider = world.provider(id).await;
    world.number(id, &provider, 14_155_550_100).await;
    world.check();
    world.home.run("INSERT INTO migrations (number, name, breaks) VALUES (999, 'later', 1)");
    let refused = Store::open(world.home.url()).unwrap_err();
    assert!(matches!(&refused, store::StoreError::Url(words) if words.contains("newer")), "{refused}");
}
