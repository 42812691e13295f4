//! The audit log.

use crate::db::{Db, params};
use domain::caller::{Actor, Person};
use domain::ids::{EventId, KeyId, OrganizationId};
use domain::{Event, Page, Paged, Timestamp, What};
use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};
use uuid::Uuid;

use super::apply::Tx;
use super::list::{List, page_of_ids};
use super::sql::{Columns, bag, blob, time, write};
use crate::error::{CommitError, StoreError};

const SELECT: &str = "SELECT id, organization_id, name, actor, subject, data, at FROM events WHERE true";

/// Events have names from the code, a few dozen. A stored name is given the same life time; a store that was tampered with
/// cannot make this grow without bound.
static NAMES: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);
const NAMES_MAX: usize = 1_000;

fn name_of(text: &str) -> &'static str {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    match names.get(text) {
        Some(name) => name,
        None if names.len() >= NAMES_MAX => "unknown",
        None => {
            let name: &'static str = Box::leak(text.to_owned().into_boxed_str());
            names.insert(name);
            name
        }
    }
}

pub(super) fn actor_text(actor: &Actor) -> String {
    match actor {
        Actor::Operator => "operator".to_owned(),
        Actor::Service => "service".to_owned(),
        Actor::Key(id) => format!("key:{id}"),
        // An issuer holds no space, so the first one ends it.
        Actor::Person(person) => format!("person:{} {}", person.issuer(), person.subject()),
    }
}

pub(super) fn actor_read(text: &str) -> Option<Actor> {
    match text {
        "operator" => Some(Actor::Operator),
        "service" => Some(Actor::Service),
        _ => match text.split_once(':')? {
            ("key", id) => KeyId::parse(id).map(Actor::Key),
            ("person", names) => {
                let (issuer, subject) = names.split_once(' ')?;
                Person::new(issuer, subject).map(Actor::Person)
            }
            _ => None,
        },
    }
}

fn read(mut row: Columns<'_, '_>) -> Result<Event, StoreError> {
    let (id, organization_id) = (row.id()?, row.id()?);
    let name = row.named(|text| Some(name_of(text)))?;
    let actor = row.named(actor_read)?;
    Ok(Event { id, organization_id, name, actor, subject: row.get()?, data: row.json()?, at: row.time()? })
}

/// Writes an entry, and lets the webhooks know that want it.
pub(super) fn put(tx: &mut Tx<'_>, event: &Event) -> Result<(), CommitError> {
    write_down(tx, event)?;
    tx.announce(event);
    Ok(())
}

/// Writes an entry that nobody is sent.
pub(super) fn write_down(tx: &mut Tx<'_>, event: &Event) -> Result<(), CommitError> {
    let Event { id, organization_id, name, actor, subject, data, at } = event;
    let sql = "INSERT INTO events (id, organization_id, name, actor, subject, data, at) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let row =
        params![blob(*id), blob(*organization_id), name, actor_text(actor), subject, bag(data), time(*at)];
    write(tx.db, sql, row).map_err(|f| f.about(What::Request, What::Organization))?;
    tx.touch();
    Ok(())
}

/// The same UUID with another time in its first 48 bits (RFC 9562 section 5.7): events are listed by the time of their ids.
pub(super) fn stamped(id: Uuid, at: Timestamp) -> Uuid {
    let millis = u128::try_from(at.as_millisecond()).unwrap_or(0) & 0xFFFF_FFFF_FFFF;
    Uuid::from_u128((id.as_u128() & (u128::MAX >> 48)) | (millis << 80))
}

pub(crate) fn list(
    db: Db<'_>,
    organization: OrganizationId,
    page: &Page<EventId>,
) -> Result<Paged<Event>, StoreError> {
    let list = List::new(SELECT, Vec::new()).and("organization_id =", blob(organization).to_vec());
    list.page(db, "id", page_of_ids(page), read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_acted_is_read_back_as_written() {
        let person = |issuer, subject| Actor::Person(Person::new(issuer, subject).unwrap());
        let id = KeyId::parse("0190b5b0-1111-7222-8333-444455556666").unwrap();
        for actor in [
            Actor::Operator,
            Actor::Service,
            Actor::Key(id),
            person("https://issuer.example/auth/v1", "auth0|ada: the first"),
            person("i", "operator"),
        ] {
            assert_eq!(actor_read(&actor_text(&actor)), Some(actor));
        }
        for text in ["", "key:7", "person:nobody", "person: ada", "someone"] {
            assert_eq!(actor_read(text), None, "{text}");
        }
    }
}
