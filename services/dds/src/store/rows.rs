//! Rows of the vault's three kinds of tables: hubs, links and satellites.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

/// Where every row of the vault says that it comes from.
pub(super) const LOAD_SRC: &str = "orders-system-kafka";

/// Rows of a table with attributes of type `A`, by key: each once, and in key order.
pub(super) type Rows<A> = BTreeMap<Uuid, A>;

/// A satellite's row.
pub(super) struct Satellite<A> {
    pub(super) hub: Uuid,
    pub(super) attributes: A,
    pub(super) effective: NaiveDateTime,
    pub(super) loaded: NaiveDateTime,
}

/// Keeps one row a key: the one with the newest version, of equal ones the later. Within one transaction nobody has seen
/// the other.
pub(super) fn merge<A>(rows: &mut Rows<Satellite<A>>, key: Uuid, row: Satellite<A>) {
    if rows.get(&key).is_none_or(|held| held.effective <= row.effective) {
        rows.insert(key, row);
    }
}

/// Parameters: keys, business keys, time of loading, source.
pub(super) async fn write_hub(
    tx: &mut PgConnection,
    sql: &'static str,
    rows: &Rows<&str>,
    loaded: NaiveDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql)
        .bind(rows.keys().copied().collect::<Vec<_>>())
        .bind(rows.values().copied().collect::<Vec<_>>())
        .bind(loaded)
        .bind(LOAD_SRC)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Parameters: keys, the two hubs' keys, time of loading, source.
pub(super) async fn write_link(
    tx: &mut PgConnection,
    sql: &'static str,
    rows: &Rows<(Uuid, Uuid)>,
    loaded: NaiveDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql)
        .bind(rows.keys().copied().collect::<Vec<_>>())
        .bind(rows.values().map(|ends| ends.0).collect::<Vec<_>>())
        .bind(rows.values().map(|ends| ends.1).collect::<Vec<_>>())
        .bind(loaded)
        .bind(LOAD_SRC)
        .execute(tx)
        .await
        .map(|_| ())
}

/// Parameters: keys, the hub's keys, attributes, versions, times of loading, source.
pub(super) async fn write_satellite(
    tx: &mut PgConnection,
    sql: &'static str,
    rows: &Rows<Satellite<&str>>,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql)
        .bind(rows.keys().copied().collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.hub).collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.attributes).collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.effective).collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.loaded).collect::<Vec<_>>())
        .bind(LOAD_SRC)
        .execute(tx)
        .await
        .map(|_| ())
}

/// The same for a satellite with two attributes.
pub(super) async fn write_pair_satellite<A: AsRef<str>>(
    tx: &mut PgConnection,
    sql: &'static str,
    rows: &Rows<Satellite<(A, A)>>,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql)
        .bind(rows.keys().copied().collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.hub).collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.attributes.0.as_ref()).collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.attributes.1.as_ref()).collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.effective).collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.loaded).collect::<Vec<_>>())
        .bind(LOAD_SRC)
        .execute(tx)
        .await
        .map(|_| ())
}
