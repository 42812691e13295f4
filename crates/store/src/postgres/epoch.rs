//! Which history the generations belong to.
//!
//! A server that was restored, or a standby that was promoted, may lack what readers have seen, and may give its generations to
//! other commits: then its history is another one. It is named by the server's system identifier and timeline (each promotion
//! and each restore to a point in time begins a new one), by the table itself (a schema that was loaded anew), and by what was drawn
//! when the schema was made. Where the server tells no system identifier or timeline (some services do not), the others are left.

use super::connection::Connection;
use super::fault::Fault;
use crate::db::{Cell, Db};

const SERVER: &str = "SELECT (SELECT system_identifier FROM pg_control_system())::text \
                      || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";
const TABLE: &str = "SELECT coalesce(to_regclass('meta')::oid::bigint, 0)";

/// The server's part of the name; asked once for each connection, which outlives no promotion of the server to a history of its own
/// (a standby takes no connection of ours before it is promoted).
pub(super) fn history(connection: &Connection) -> Result<String, Fault> {
    let mut text = String::new();
    for sql in [SERVER, TABLE] {
        let told = Db::Postgres(connection).first(sql, &[], &mut |row| {
            match row.cell(0)? {
                Cell::Int(number) => text.push_str(&number.to_string()),
                Cell::Text(said) => text.push_str(said),
                Cell::Null | Cell::Bytes(_) => {}
            }
            text.push('/');
            Ok(())
        });
        if let Err(error) = told {
            if !connection.is_sound() {
                return Err(Fault::Slow);
            }
            tracing::debug!(error = %error, "the server does not name its history");
        }
    }
    Ok(text)
}

/// A number for a history and what was drawn in it: FNV-1a, so that it is the same on every node. It is no secret.
pub(crate) fn of(history: &str, drawn: u64) -> u64 {
    let bytes = history.bytes().chain(drawn.to_be_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash >> 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_timeline_is_another_epoch() {
        let (one, two) = (of("7/00000001/5/", 9), of("7/00000002/5/", 9));
        assert_ne!(one, two);
        assert_ne!(one, of("7/00000001/5/", 8));
        assert_eq!(one, of("7/00000001/5/", 9));
        assert!(i64::try_from(one).is_ok());
    }
}
