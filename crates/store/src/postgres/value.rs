//! Values on PostgreSQL's wire (its binary format), by the types that our schema has.

use bytes::{BufMut, BytesMut};
use std::error::Error;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::db::{Cell, Param, Value};

type Outcome<T> = Result<T, Box<dyn Error + Sync + Send>>;

impl ToSql for Cell<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Outcome<IsNull> {
        match (*self, kind) {
            (Cell::Null, _) => return Ok(IsNull::Yes),
            (Cell::Int(value), &Type::INT8) => out.put_i64(value),
            (Cell::Int(value), &Type::INT4) => out.put_i32(i32::try_from(value)?),
            (Cell::Int(value), &Type::INT2) => out.put_i16(i16::try_from(value)?),
            (Cell::Int(value), &Type::BOOL) => out.put_u8(u8::from(value != 0)),
            (Cell::Text(text), &(Type::TEXT | Type::VARCHAR)) => put_text(text, out),
            (Cell::Bytes(bytes), &Type::BYTEA) => out.put_slice(bytes),
            _ => return Err(format!("a parameter is no {kind}").into()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A text without the character zero, which PostgreSQL has in no text: as what cannot be shown it is told apart from nothing.
fn put_text(text: &str, out: &mut BytesMut) {
    for (n, part) in text.split('\0').enumerate() {
        if n > 0 {
            out.put_slice("\u{FFFD}".as_bytes());
        }
        out.put_slice(part.as_bytes());
    }
}

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Outcome<IsNull> {
        self.cell().to_sql(kind, out)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'r> FromSql<'r> for Cell<'r> {
    fn from_sql(kind: &Type, raw: &'r [u8]) -> Outcome<Self> {
        Ok(match *kind {
            Type::INT8 => Cell::Int(i64::from_be_bytes(raw.try_into()?)),
            Type::INT4 => Cell::Int(i32::from_be_bytes(raw.try_into()?).into()),
            Type::INT2 => Cell::Int(i16::from_be_bytes(raw.try_into()?).into()),
            Type::BOOL => Cell::Int(i64::from(raw != [0])),
            Type::TEXT | Type::VARCHAR => Cell::Text(std::str::from_utf8(raw)?),
            Type::BYTEA => Cell::Bytes(raw),
            _ => return Err(format!("a column of type {kind}").into()),
        })
    }

    fn from_sql_null(_: &Type) -> Outcome<Self> {
        Ok(Cell::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(cell: Cell<'_>, kind: &Type) -> Vec<u8> {
        let mut out = BytesMut::new();
        cell.to_sql(kind, &mut out).unwrap();
        out.to_vec()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let cells = [
            (Cell::Int(-7), Type::INT8),
            (Cell::Int(1), Type::INT2),
            (Cell::Int(70_000), Type::INT4),
            (Cell::Int(1), Type::BOOL),
            (Cell::Text("Grüße"), Type::TEXT),
            (Cell::Bytes(&[0, 255]), Type::BYTEA),
        ];
        for (cell, kind) in cells {
            assert_eq!(Cell::from_sql(&kind, &written(cell, &kind)).unwrap(), cell, "{kind}");
        }
        assert!(Cell::Int(70_000).to_sql(&Type::INT2, &mut BytesMut::new()).is_err());
        assert!(Cell::Text("7").to_sql(&Type::INT8, &mut BytesMut::new()).is_err());
    }

    #[test]
    fn no_text_holds_the_character_zero() {
        assert_eq!(written(Cell::Text("a\0b"), &Type::TEXT), "a\u{FFFD}b".as_bytes());
        assert_eq!(written(Cell::Text(""), &Type::TEXT), b"");
    }
}
