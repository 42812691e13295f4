//! PARITY.md is printed from the tables. After a change: `UPDATE_PARITY=1 cargo test -p dialects --test parity`, and commit it.

mod facts;
mod structure;

use std::fmt::Write as _;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../PARITY.md");

/// Who may ask what needs no right.
fn without_scope(dialect: &dyn dialects::Dialect, endpoint: &dialects::Endpoint) -> &'static str {
    let (request_id, headers) = (uuid::Uuid::nil(), http::HeaderMap::new());
    match dialect.open(endpoint, &dialects::Context { request_id, headers, limits: None }) {
        Some(_) => "anybody",
        None => "any key",
    }
}

fn printed() -> String {
    let mut page = String::from(
        "# Parity\n\nWhat each API serves, printed from the tables that mount it (`crates/dialects/tests/parity.rs`), and where it \
         differs from what its vendor publishes.\n",
    );
    for dialect in dialects::all() {
        write!(
            page,
            "\n## {}\n\n| method | path | operation | right |\n| --- | --- | --- | --- |\n",
            dialect.name()
        )
        .expect("a String takes any text");
        for endpoint in dialect.endpoints() {
            let right = endpoint
                .scope
                .map_or_else(|| without_scope(dialect, endpoint).to_owned(), |scope| format!("`{scope}`"));
            writeln!(page, "| {} | `{}` | {} | {right} |", endpoint.method, endpoint.path, endpoint.verb)
                .expect("a String takes any text");
        }
        page.push('\n');
        for deviation in dialect.deviations() {
            writeln!(page, "- {deviation}").expect("a String takes any text");
        }
        let mut heading =
            "\nWhere its document differs from the contract, place by place (`*`: any text):\n\n";
        for listed in structure::listed().iter().filter(|listed| listed.dialect == dialect.name()) {
            writeln!(page, "{heading}- {}", listed.reason).expect("a String takes any text");
            heading = "";
            for line in &listed.differences {
                writeln!(page, "  - `{line}`").expect("a String takes any text");
            }
        }
    }
    page
}

#[test]
fn the_page_is_what_the_tables_say() {
    let printed = printed();
    if std::env::var_os("UPDATE_PARITY").is_some() {
        std::fs::write(FILE, &printed).expect("PARITY.md can be written");
    }
    let written = std::fs::read_to_string(FILE).expect("PARITY.md is there");
    assert!(written == printed, "PARITY.md is not what the tables say; run with UPDATE_PARITY=1");
}
