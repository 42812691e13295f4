//! Statements on a connection of SQLite: prepared once, parameters bound where they stand.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, ToSql, ffi, params_from_iter};

use crate::db::{Cell, Failure, Param, Row, See};
use crate::error::StoreError;

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

pub(crate) fn cell<'r>(row: &'r rusqlite::Row<'_>, at: usize) -> Result<Cell<'r>, StoreError> {
    let corrupt = |text: String| StoreError::Corrupt(text);
    Ok(match row.get_ref(at).map_err(|e| corrupt(e.to_string()))? {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Int(value),
        ValueRef::Text(text) => Cell::Text(std::str::from_utf8(text).map_err(|e| corrupt(e.to_string()))?),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes),
        ValueRef::Real(_) => return Err(corrupt(format!("column {at} holds a fraction"))),
    })
}

pub(crate) fn write(db: &Connection, sql: &str, row: &[&dyn Param]) -> Result<usize, Failure> {
    Ok(db.prepare_cached(sql)?.execute(params_from_iter(row.iter().map(|param| param.cell())))?)
}

pub(crate) fn first(
    db: &Connection,
    sql: &str,
    row: &[&dyn Param],
    see: &mut See<'_>,
) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params_from_iter(row.iter().map(|param| param.cell())))?;
    match rows.next()? {
        Some(row) => see(Row::Sqlite(row)),
        None => Ok(()),
    }
}

pub(crate) fn all(
    db: &Connection,
    sql: &str,
    row: &[&dyn Param],
    see: &mut See<'_>,
) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params_from_iter(row.iter().map(|param| param.cell())))?;
    while let Some(row) = rows.next()? {
        see(Row::Sqlite(row))?;
    }
    Ok(())
}

pub(crate) fn each(db: &Connection, sql: &str, see: &mut See<'_>) -> Result<(), StoreError> {
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        see(Row::Sqlite(row))?;
    }
    Ok(())
}

pub(crate) fn exists(db: &Connection, sql: &str, row: &[&dyn Param]) -> Result<bool, StoreError> {
    Ok(db.prepare_cached(sql)?.exists(params_from_iter(row.iter().map(|param| param.cell())))?)
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        if let rusqlite::Error::SqliteFailure(code, _) = &error
            && code.code == ErrorCode::ConstraintViolation
        {
            match code.extended_code {
                ffi::SQLITE_CONSTRAINT_UNIQUE
                | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                | ffi::SQLITE_CONSTRAINT_ROWID => return Self::Taken,
                ffi::SQLITE_CONSTRAINT_FOREIGNKEY => return Self::Dangling(None),
                _ => {}
            }
        }
        Self::Commit(error.into())
    }
}
