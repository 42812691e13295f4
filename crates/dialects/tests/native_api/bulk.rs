//! Many rows in one request.

use domain::error::{Error, What};
use domain::ids::StockId;
use domain::view::RowResult;
use domain::{Op, View};
use serde_json::json;

use crate::support::{Ask, answer, ask, id, uuid};

fn csv(line: &str, body: impl Into<Vec<u8>>) -> Ask {
    ask(line).text("text/csv; charset=utf-8", body)
}

/// Rows as read: the row's debug text, or its error's words.
fn read(ask: &Ask) -> String {
    let rows: Vec<String> = match ask.op() {
        Ok(Op::NumberImportMany(provider, rows)) => std::iter::once(provider.to_string())
            .chain(rows.into_iter().map(|row| row.map_or_else(said, |row| format!("{row:?}"))))
            .collect(),
        Ok(Op::StockAdd(rows)) => {
            rows.into_iter().map(|row| row.map_or_else(said, |row| format!("{row:?}"))).collect()
        }
        Ok(other) => panic!("{other:?}"),
        Err(_) => return ask.refusal(),
    };
    rows.join("\n")
}

fn said(error: Error) -> String {
    format!("{:?} {}: {}", error.kind, error.field.unwrap_or("-"), error.public)
}

#[test]
fn csv_is_read_with_its_corners() {
    let line = format!("POST /api/v1/numbers/import?provider_id={}&environment=sandbox&agent_id=ada", uuid(5));
    let body = "\u{feff}e164, label ,endpoint_id,agent_id\r\n\
        +14155550100,\"front, \"\"desk\"\"\",,\r\n\
        \"+1 415 555 0101\",,44444444-4444-4444-4444-444444444444,\r\n\
        \r\n\
        ,no number,,\r\n\
        +14155550102,too,few\r\n\
        +14155550103,\"two\nlines\",,eve";
    insta::assert_snapshot!(read(&csv(&line, body)), @"");
}

#[test]
fn stock_comes_as_csv_or_as_a_list() {
    let body = "e164,type,setup_cost_cents,monthly_cost_cents,capabilities\n\
        +14155550100,local,100,200,voice sms\n\
        +14155550101,,0,0,\n\
        +14155550102,,1.5,0,\n\
        +14155550103,,-1,0,\n\
        +14155550104,pigeon,1,1,\n\
        +14155550105,,1,1,carrier-pigeon\n";
    let list = json!([{ "e164": "+14155550100", "setup_cost_cents": 1, "monthly_cost_cents": 2 }, 7, "+14155550101"]);
    let both = [read(&csv("POST /api/v1/stock", body)), read(&ask("POST /api/v1/stock").json(&list))];
    insta::assert_snapshot!(both.join("\n\n"), @"");
}

#[test]
fn headings_that_do_not_fit_refuse_the_whole() {
    let line = format!("POST /api/v1/numbers/import?provider_id={}", uuid(5));
    let lines = [
        read(&csv(&line, "")),
        read(&csv(&line, "number,label\n+14155550100,x\n")),
        read(&csv(&line, "+14155550100\n")),
        read(&csv(&line, "label\nx\n")),
        read(&csv(&line, "e164,e164\n")),
        read(&csv("POST /api/v1/numbers/import", "e164\n+14155550100\n")),
        read(&csv(&line, b"e164\n\xff\xfe\n".to_vec())),
    ];
    insta::assert_snapshot!(lines.join("\n"), @"");
}

#[test]
fn rows_of_json_take_what_they_leave_out_from_around_them() {
    let body = json!({
        "provider_id": id(5), "endpoint_id": id(4), "environment": "live",
        "numbers": [
            "+14155550100", { "e164": "+14155550101", "agent_id": "eve" }, { "e164": "+14155550102", "provider_id": id(6) },
            { "e164": "+14155550103", "x": 1 }, { "label": "nobody" }, null,
        ],
    });
    let list = json!([{ "e164": "+14155550100", "provider_id": id(5) }, "+14155550101"]);
    let both = [
        read(&ask("POST /api/v1/numbers/import?environment=sandbox&label=batch").json(&body)),
        read(&ask("POST /api/v1/numbers/import").json(&list)),
    ];
    insta::assert_snapshot!(both.join("\n\n"), @"");
}

#[test]
fn a_hundred_thousand_rows_are_taken_and_one_more_is_not() {
    let line = format!("POST /api/v1/numbers/import?provider_id={}", uuid(5));
    let rows = |count: usize| format!("e164\n{}", "+14155550100\n".repeat(count));
    let most = csv(&line, rows(100_000)).op();
    assert!(matches!(most, Ok(Op::NumberImportMany(_, rows)) if rows.len() == 100_000));
    let refusal = csv(&line, rows(100_001)).refusal();
    assert_eq!(refusal, "413 too_large -: A request may have at most 100000 rows; send the rest in another.");
    let list = json!(vec!["+14155550100"; 100_001]);
    assert_eq!(ask(&line).json(&list).refusal(), refusal);
    assert_eq!(ask("POST /api/v1/stock").json(&list).refusal(), refusal);
}

#[test]
fn each_row_has_a_result() {
    let rows = vec![
        RowResult { e164: "+14155550100".into(), result: Ok(StockId(uuid(6))) },
        RowResult { e164: String::new(), result: Err(Error::missing(What::Stock, "e164")) },
    ];
    let reply = ask("POST /api/v1/stock").json(&json!([])).reply(View::StockAdded(rows));
    insta::assert_snapshot!(answer(&reply), @"");
}
