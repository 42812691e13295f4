//! CSV bodies (RFC 4180) as rows of fields, so that rows are read alike from CSV and JSON. The first line names the columns;
//! an empty cell is an absent field.

use serde_json::Value;

use domain::Bag;
use domain::error::{Error, Kind, Result, What};

/// The most rows of a request.
pub(super) const ROWS_MAX: usize = 100_000;

/// That a request has too many rows.
pub(super) fn too_many(what: What) -> Error {
    Error::new(
        Kind::TooLarge,
        what,
        format!("A request may have at most {ROWS_MAX} rows; send the rest in another."),
    )
}

/// The rows of a CSV body. A row that cannot be read is an error of that row; a heading that cannot is one of the request.
pub(super) fn rows(body: &[u8], what: What, columns: &[&'static str]) -> Result<Vec<Result<Bag>>> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(body);
    let mut records = reader.byte_records();
    let unreadable =
        |error: csv::Error| Error::new(Kind::Malformed, what, format!("The CSV cannot be read: {error}."));
    let heading = match records.next() {
        Some(record) => heading(&record.map_err(unreadable)?, what, columns)?,
        None => {
            return Err(Error::new(
                Kind::Malformed,
                what,
                "The CSV is empty; its first line must name the columns.",
            ));
        }
    };
    let mut rows = Vec::new();
    for record in records {
        if rows.len() == ROWS_MAX {
            return Err(too_many(what));
        }
        rows.push(row(&record.map_err(unreadable)?, what, &heading));
    }
    Ok(rows)
}

fn heading(record: &csv::ByteRecord, what: What, columns: &[&'static str]) -> Result<Vec<&'static str>> {
    let mut names = Vec::new();
    for cell in record {
        let cell = String::from_utf8_lossy(cell);
        let Some(name) = columns.iter().find(|name| **name == cell.trim()) else {
            let words = format!(
                "`{}` is not a column. The first line must name columns among {}.",
                cell.trim().escape_debug(),
                columns.join(", ")
            );
            return Err(Error::new(Kind::Invalid, what, words));
        };
        if names.contains(name) {
            return Err(Error::new(Kind::Invalid, what, format!("The column `{name}` is named twice.")));
        }
        names.push(*name);
    }
    if names.contains(&"e164") {
        Ok(names)
    } else {
        Err(Error::new(Kind::Missing, what, "The column `e164` is required.").at("e164"))
    }
}

fn row(record: &csv::ByteRecord, what: What, heading: &[&'static str]) -> Result<Bag> {
    if record.len() != heading.len() {
        let words =
            format!("The row has {} cells; the first line names {} columns.", record.len(), heading.len());
        return Err(Error::new(Kind::Malformed, what, words));
    }
    let mut row = Bag::new();
    for (name, cell) in heading.iter().zip(record) {
        let cell = std::str::from_utf8(cell)
            .map_err(|_| Error::new(Kind::Malformed, what, format!("`{name}` is not valid UTF-8.")))?;
        if !cell.trim().is_empty() {
            row.insert((*name).to_owned(), Value::from(cell.trim()));
        }
    }
    Ok(row)
}
