//! Rows and values: how domain types stand in columns, and the two statements by which a versioned row is put.

use domain::e164::E164;
use domain::ids::{
    AgentId, CallId, EndpointId, EventId, IntentId, KeyId, NodeId, NumberId, OrganizationId, PostingId,
    ProviderId, RateId, StockId, WebhookId,
};
use domain::money::Micros;
use domain::{Bag, Timestamp, What};
use uuid::Uuid;

use crate::db::{Cell, Db, Failure, Field, Param, Row, field};
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
    NodeId,
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
pub(crate) struct Columns<'r, 's> {
    row: Row<'r, 's>,
    next: usize,
}

impl<'r, 's> Columns<'r, 's> {
    fn new(row: Row<'r, 's>) -> Self {
        Self { row, next: 0 }
    }

    fn cell(&mut self) -> Result<Cell<'r>, StoreError> {
        let at = self.next;
        self.next += 1;
        self.row.cell(at)
    }

    fn text(&mut self) -> Result<&'r str, StoreError> {
        match self.cell()? {
            Cell::Text(text) => Ok(text),
            Cell::Null | Cell::Int(_) | Cell::Bytes(_) => Err(corrupt("a text", "of another kind")),
        }
    }

    pub(super) fn get<T: Field>(&mut self) -> Result<T, StoreError> {
        let at = self.next;
        self.next += 1;
        field(&self.row, at)
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
        let text = self.text()?;
        parse(text).ok_or_else(|| corrupt("a name", text))
    }

    pub(super) fn agent_of(&mut self) -> Result<Option<AgentId>, StoreError> {
        let text: Option<String> = self.get()?;
        text.map(|t| AgentId::parse(&t).ok_or_else(|| corrupt("an agent's id", &t))).transpose()
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, StoreError> {
        let text = self.text()?;
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
        db: Db<'_>,
        what: What,
        version: u64,
        row: &[&dyn Param],
    ) -> Result<(), Failure> {
        if version == 1 {
            return write(db, &self.insert, row);
        }
        if change(db, &self.update, row)? { Ok(()) } else { Err(Failure::Commit(CommitError::Stale(what))) }
    }
}

/// Runs one writing statement, see [`Db::write`].
pub(super) fn write(db: Db<'_>, sql: &str, row: &[&dyn Param]) -> Result<(), Failure> {
    db.write(sql, row)
}

/// Runs one that is to touch a row, see [`Db::change`].
pub(super) fn change(db: Db<'_>, sql: &str, row: &[&dyn Param]) -> Result<bool, Failure> {
    db.change(sql, row)
}

/// Whether a look-up finds nothing, as is expected, see [`Db::absent`].
pub(super) fn absent(db: Db<'_>, sql: &str, row: &[&dyn Param]) -> Result<bool, StoreError> {
    db.absent(sql, row)
}

/// At most one row.
pub(super) fn one<T>(
    db: Db<'_>,
    sql: &str,
    row: &[&dyn Param],
    read: impl FnOnce(Columns<'_, '_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let (mut read, mut found) = (Some(read), None);
    db.first(sql, row, &mut |row| {
        if let Some(read) = read.take() {
            found = Some(read(Columns::new(row))?);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Every row.
pub(super) fn all<T>(
    db: Db<'_>,
    sql: &str,
    row: &[&dyn Param],
    mut read: impl FnMut(Columns<'_, '_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut items = Vec::new();
    db.all(sql, row, &mut |row| {
        items.push(read(Columns::new(row))?);
        Ok(())
    })?;
    Ok(items)
}

/// Each row of what is never held in memory at once. `see` asks the connection nothing.
pub(super) fn each(
    db: Db<'_>,
    sql: &str,
    mut see: impl FnMut(Columns<'_, '_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    db.each(sql, &mut |row| see(Columns::new(row)))
}

/// Whether there is such a row.
pub(super) fn exists(db: Db<'_>, sql: &str, row: &[&dyn Param]) -> Result<bool, StoreError> {
    db.exists(sql, row)
}
