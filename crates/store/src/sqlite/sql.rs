//! Rows and values: how domain types stand in columns, and the two statements by which a versioned row is put.

use domain::e164::E164;
use domain::ids::{
    AgentId, CallId, EndpointId, EventId, IntentId, KeyId, NumberId, OrganizationId, PostingId, ProviderId,
    RateId, StockId, WebhookId,
};
use domain::money::Micros;
use domain::{Bag, Timestamp, What};
use rusqlite::types::FromSql;
use rusqlite::{Connection, ErrorCode, Row, ToSql, ffi};
use uuid::Uuid;

use crate::error::{CommitError, StoreError};

/// An id that is a UUID; 16 bytes in a column, ordered like the UUID.
pub(super) trait Id: Copy {
    fn of(uuid: Uuid) -> Self;
    fn uuid(self) -> Uuid;
}

macro_rules! ids {
    ($($name:ident),+) => {$(
        impl Id for $name {
            fn of(uuid: Uuid) -> Self { Self(uuid) }
            fn uuid(self) -> Uuid { self.0 }
        }
    )+};
}
ids!(
    CallId,
    EndpointId,
    EventId,
    IntentId,
    KeyId,
    NumberId,
    OrganizationId,
    PostingId,
    ProviderId,
    RateId,
    StockId,
    WebhookId
);

pub(super) fn blob(id: impl Id) -> [u8; 16] {
    id.uuid().into_bytes()
}

pub(super) fn blob_of<I: Id>(id: Option<I>) -> Option<[u8; 16]> {
    id.map(blob)
}

pub(super) fn time(at: Timestamp) -> i64 {
    at.as_microsecond()
}

pub(super) fn time_of(at: Option<Timestamp>) -> Option<i64> {
    at.map(time)
}

/// Counters stay far below 2^63; SQL knows no larger integer.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn e164(number: E164) -> i64 {
    int(number.as_u64())
}

pub(super) fn bag(bag: &Bag) -> String {
    json(bag)
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> String {
    // Row structs have string keys and no failing serializers.
    serde_json::to_string(value).expect("a row struct is always JSON")
}

/// The columns of one row, read from left to right in the order of the statement's column list.
pub(super) struct Columns<'r, 's> {
    row: &'r Row<'s>,
    next: usize,
}

impl<'r, 's> Columns<'r, 's> {
    pub(super) fn new(row: &'r Row<'s>) -> Self {
        Self { row, next: 0 }
    }

    pub(super) fn get<T: FromSql>(&mut self) -> Result<T, StoreError> {
        let at = self.next;
        self.next += 1;
        self.row.get(at).map_err(|e| StoreError::Corrupt(e.to_string()))
    }

    pub(super) fn skip(&mut self) {
        self.next += 1;
    }

    pub(super) fn id<I: Id>(&mut self) -> Result<I, StoreError> {
        self.get::<[u8; 16]>().map(|bytes| I::of(Uuid::from_bytes(bytes)))
    }

    pub(super) fn id_of<I: Id>(&mut self) -> Result<Option<I>, StoreError> {
        Ok(self.get::<Option<[u8; 16]>>()?.map(|bytes| I::of(Uuid::from_bytes(bytes))))
    }

    pub(super) fn uint(&mut self) -> Result<u64, StoreError> {
        let value: i64 = self.get()?;
        u64::try_from(value).map_err(|_| corrupt("a count", &value.to_string()))
    }

    pub(super) fn micros(&mut self) -> Result<Micros, StoreError> {
        self.get().map(Micros)
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StoreError> {
        time_from(self.get()?)
    }

    pub(super) fn time_of(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.get::<Option<i64>>()?.map(time_from).transpose()
    }

    pub(super) fn e164(&mut self) -> Result<E164, StoreError> {
        let value = self.uint()?;
        E164::from_u64(value).ok_or_else(|| corrupt("a phone number", "of a wrong length"))
    }

    /// A value of a closed list, by its name.
    pub(super) fn named<T>(&mut self, parse: impl Fn(&str) -> Option<T>) -> Result<T, StoreError> {
        let text = self.row.get_ref(self.next).and_then(|v| v.as_str().map_err(Into::into));
        let text = text.map_err(|e| StoreError::Corrupt(e.to_string()))?;
        self.next += 1;
        parse(text).ok_or_else(|| corrupt("a name", text))
    }

    pub(super) fn agent_of(&mut self) -> Result<Option<AgentId>, StoreError> {
        let text: Option<String> = self.get()?;
        text.map(|t| AgentId::parse(&t).ok_or_else(|| corrupt("an agent's id", &t))).transpose()
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, StoreError> {
        let text = self.row.get_ref(self.next).and_then(|v| v.as_str().map_err(Into::into));
        let text = text.map_err(|e| StoreError::Corrupt(e.to_string()))?;
        self.next += 1;
        serde_json::from_str(text).map_err(|e| StoreError::Corrupt(e.to_string()))
    }
}

pub(super) fn time_from(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|e| StoreError::Corrupt(e.to_string()))
}

pub(super) fn corrupt(what: &str, text: &str) -> StoreError {
    StoreError::Corrupt(format!("{what}: {text}"))
}

/// The statements of one table, made from one list of columns, so that writing and reading cannot differ in their order.
pub(super) struct Table {
    pub(super) select: String,
    insert: String,
    update: String,
}

impl Table {
    /// `columns` end with `version`; `key` follows them in parameters and in what is read.
    pub(super) fn new(name: &str, columns: &str, key: &str) -> Self {
        let list: Vec<&str> = columns.split(", ").collect();
        let keys: Vec<&str> = key.split(", ").collect();
        let marks = (1..=list.len() + keys.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        let sets = (1..).zip(&list).map(|(n, c)| format!("{c} = ${n}")).collect::<Vec<_>>().join(", ");
        let at = (list.len() + 1..)
            .zip(&keys)
            .map(|(n, c)| format!("{c} = ${n}"))
            .collect::<Vec<_>>()
            .join(" AND ");
        let version = list.len();
        Self {
            select: format!("SELECT {columns}, {key} FROM {name} WHERE true"),
            insert: format!("INSERT INTO {name} ({columns}, {key}) VALUES ({marks})"),
            update: format!("UPDATE {name} SET {sets} WHERE {at} AND version = ${version} - 1"),
        }
    }

    /// Version 1 is inserted; version n takes the place of version n − 1.
    pub(super) fn put(
        &self,
        db: &Connection,
        what: What,
        version: u64,
        row: &[&dyn ToSql],
    ) -> Result<(), Failure> {
        let sql = if version == 1 { &self.insert } else { &self.update };
        match write(db, sql, row)? {
            0 => Err(Failure::Commit(CommitError::Stale(what))),
            _ => Ok(()),
        }
    }
}

/// Runs one writing statement; gives the number of rows it touched.
pub(super) fn write(db: &Connection, sql: &str, row: &[&dyn ToSql]) -> Result<usize, Failure> {
    Ok(db.prepare_cached(sql)?.execute(row)?)
}

/// A statement that did not succeed, before it is known what that means to the caller.
pub(super) enum Failure {
    /// A row with such a key is there already.
    Taken,
    /// A row that is referred to is not there.
    Dangling,
    /// Anything else.
    Commit(CommitError),
}

impl Failure {
    /// Names the things: `own` was to be written, `other` is what it refers to.
    pub(super) fn about(self, own: What, other: What) -> CommitError {
        match self {
            Self::Taken => CommitError::Exists(own),
            Self::Dangling => CommitError::Stale(other),
            Self::Commit(error) => error,
        }
    }
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
                ffi::SQLITE_CONSTRAINT_FOREIGNKEY => return Self::Dangling,
                _ => {}
            }
        }
        Self::Commit(error.into())
    }
}

/// At most one row.
pub(super) fn one<T>(
    db: &Connection,
    sql: &str,
    row: &[&dyn ToSql],
    read: impl FnOnce(Columns<'_, '_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(row)?;
    rows.next()?.map(|row| read(Columns::new(row))).transpose()
}

/// Every row.
pub(super) fn all<T>(
    db: &Connection,
    sql: &str,
    row: &[&dyn ToSql],
    mut read: impl FnMut(Columns<'_, '_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut items = Vec::new();
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(row)?;
    while let Some(row) = rows.next()? {
        items.push(read(Columns::new(row))?);
    }
    Ok(items)
}

/// Whether there is such a row.
pub(super) fn exists(db: &Connection, sql: &str, row: &[&dyn ToSql]) -> Result<bool, StoreError> {
    Ok(db.prepare_cached(sql)?.exists(row)?)
}
