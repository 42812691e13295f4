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
            .chain(
                rows.into_iter().map(|row| row.map_or_else(|error| said(&error), |row| format!("{row:?}"))),
            )
            .collect(),
        Ok(Op::StockAdd(rows)) => rows
            .into_iter()
            .map(|row| row.map_or_else(|error| said(&error), |row| format!("{row:?}")))
            .collect(),
        Ok(other) => panic!("{other:?}"),
        Err(_) => return ask.refusal(),
    };
    rows.join("\n")
}

fn said(error: &Error) -> String {
    format!("{:?} {}: {}", error.kind, error.field.unwrap_or("-"), error.public)
}

#[test]
fn csv_is_read_with_its_corners() {
    let line =
        format!("POST /api/v1/numbers/import?provider_id={}&environment=sandbox&agent_id=ada", uuid(5));
    let body = "\u{feff}e164, label ,endpoint_id,agent_id\r\n\
        +14155550100,\"front, \"\"desk\"\"\",,\r\n\
        \"+1 415 555 0101\",,44444444-4444-4444-4444-444444444444,\r\n\
        \r\n\
        ,no number,,\r\n\
        +14155550102,too,few\r\n\
        +14155550103,\"two\nlines\",,eve";
    insta::assert_snapshot!(read(&csv(&line, body)), @r#"
    55555555-5555-5555-5555-555555555555
    Import { e164: "+14155550100", setup: NumberSetup { endpoint_id: None, agent_id: Some(AgentId("ada")), label: Some("front, \"desk\""), environment: Some(Sandbox) } }
    Import { e164: "+1 415 555 0101", setup: NumberSetup { endpoint_id: Some(EndpointId(44444444-4444-4444-4444-444444444444)), agent_id: None, label: None, environment: Some(Sandbox) } }
    Missing e164: `e164` is required.
    Malformed -: The row has 3 cells; the first line names 4 columns.
    Import { e164: "+14155550103", setup: NumberSetup { endpoint_id: None, agent_id: Some(AgentId("eve")), label: Some("two\nlines"), environment: Some(Sandbox) } }
    "#);
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
    insta::assert_snapshot!(both.join("\n\n"), @r#"
    StockNew { e164: "+14155550100", country: None, kind: Some(Local), setup_cost_cents: 100, monthly_cost_cents: 200, capabilities: Capabilities { voice: true, sms: true, fax: false } }
    StockNew { e164: "+14155550101", country: None, kind: None, setup_cost_cents: 0, monthly_cost_cents: 0, capabilities: Capabilities { voice: true, sms: false, fax: false } }
    Invalid setup_cost_cents: `setup_cost_cents` must be a whole number of cents, 0 or more.
    Invalid setup_cost_cents: `setup_cost_cents` must be a whole number of cents, 0 or more.
    Invalid type: `type` must be one of `local`, `mobile`, `toll_free`.
    Invalid -: `carrier-pigeon` is not a field of this request.

    StockNew { e164: "+14155550100", country: None, kind: None, setup_cost_cents: 1, monthly_cost_cents: 2, capabilities: Capabilities { voice: true, sms: false, fax: false } }
    Invalid -: The row must be an object.
    Missing setup_cost_cents: `setup_cost_cents` is required.
    "#);
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
    insta::assert_snapshot!(lines.join("\n"), @r"
    400 malformed -: The CSV is empty; its first line must name the columns.
    422 invalid -: `number` is not a column. The first line must name columns among e164, label, endpoint_id, agent_id, environment, provider_id.
    422 invalid -: `+14155550100` is not a column. The first line must name columns among e164, label, endpoint_id, agent_id, environment, provider_id.
    422 missing e164: The column `e164` is required.
    422 invalid -: The column `e164` is named twice.
    422 missing provider_id: `provider_id` is required.
    55555555-5555-5555-5555-555555555555
    Malformed -: `e164` is not valid UTF-8.
    ");
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
    insta::assert_snapshot!(both.join("\n\n"), @r#"
    55555555-5555-5555-5555-555555555555
    Import { e164: "+14155550100", setup: NumberSetup { endpoint_id: Some(EndpointId(44444444-4444-4444-4444-444444444444)), agent_id: None, label: Some("batch"), environment: Some(Live) } }
    Import { e164: "+14155550101", setup: NumberSetup { endpoint_id: None, agent_id: Some(AgentId("eve")), label: Some("batch"), environment: Some(Live) } }
    Invalid provider_id: `provider_id` differs from that of the request; import each trunk's numbers on their own.
    Invalid -: `x` is not a field of this request.
    Missing e164: `e164` is required.
    Invalid -: The row must be an object.

    55555555-5555-5555-5555-555555555555
    Import { e164: "+14155550100", setup: NumberSetup { endpoint_id: None, agent_id: None, label: None, environment: None } }
    Import { e164: "+14155550101", setup: NumberSetup { endpoint_id: None, agent_id: None, label: None, environment: None } }
    "#);
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
    insta::assert_snapshot!(answer(&reply), @r#"
    200
    x-request-id: 00000000-0000-0000-0000-000000000000
    application/json: {
      "created": 1,
      "failed": 1,
      "results": [
        {
          "e164": "+14155550100",
          "error": null,
          "id": "66666666-6666-6666-6666-666666666666"
        },
        {
          "e164": null,
          "error": {
            "code": "missing",
            "detail": "`e164` is required.",
            "field": "e164"
          },
          "id": null
        }
      ]
    }
    "#);
}
