//! `cdm.names`: what each dish, restaurant and user is called, by the newest version of the dictionary.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use ordervault_runtime::fault::StoreError;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::{Kind, Name, Order};

/// A dish, a restaurant or a user.
pub(super) type Key = (Kind, Uuid);

/// Held shared by every batch, and alone by one that renames a dish or a restaurant: such a batch rewrites counters of other batches' keys.
const LOCK: i64 = 0x6f76_6e61_6d65;

/// Names to be written, by what is to be done.
#[derive(Default)]
struct Changes<'n> {
    unknown: BTreeMap<Key, &'n Name>,
    /// Called as before, by a newer version, or otherwise, where no counter says so.
    confirmed: BTreeMap<Key, &'n Name>,
    renamed: BTreeMap<Key, &'n Name>,
}

/// Of each thing with a name the newest one in the batch; of equal versions the later.
pub(super) fn newest<'o>(orders: &[&'o Order]) -> BTreeMap<Key, &'o Name> {
    let mut newest: BTreeMap<Key, &Name> = BTreeMap::new();
    for (key, name) in orders.iter().flat_map(|order| &order.names) {
        let held = newest.entry(*key).or_insert(name);
        if held.version <= name.version {
            *held = name;
        }
    }
    newest
}

/// Keeps the newest name of each; returns those that are called otherwise than before.
pub(super) async fn write(tx: &mut PgConnection, names: &BTreeMap<Key, &Name>) -> Result<Vec<Key>, StoreError> {
    let alone = !changes(tx, names).await?.renamed.is_empty();
    let lock = if alone { "select pg_advisory_xact_lock($1)" } else { "select pg_advisory_xact_lock_shared($1)" };
    sqlx::query(lock).bind(LOCK).execute(&mut *tx).await?;
    // Only what is read under the lock holds; before it, somebody may have renamed.
    let mut judged = changes(tx, names).await?;
    if insert(tx, &judged.unknown).await? < judged.unknown.len() as u64 {
        // Another batch was quicker with some. Mostly it says the same, and what it says is committed by now.
        let again = changes(tx, &judged.unknown).await?;
        judged.confirmed.extend(again.confirmed);
        judged.renamed.extend(again.renamed);
    }
    if !judged.renamed.is_empty() && !alone {
        return Err(StoreError::Raced("a name of this batch"));
    }
    let renamed = judged.renamed.keys().copied().collect();
    judged.confirmed.extend(judged.renamed);
    update(tx, &judged.confirmed).await?;
    Ok(renamed)
}

/// Compares with what is there. What is known and as new is left alone, since it is hot: writing would lock it.
async fn changes<'n>(tx: &mut PgConnection, names: &BTreeMap<Key, &'n Name>) -> Result<Changes<'n>, sqlx::Error> {
    let (kinds, ids) = columns(names);
    let held: Vec<(String, Uuid, String, NaiveDateTime)> = sqlx::query_as(
        "select kind, id, name, version from cdm.names \
         join unnest($1::text[], $2::uuid[]) r(kind, id) using (kind, id)",
    )
    .bind(kinds)
    .bind(ids)
    .fetch_all(tx)
    .await?;
    let held: BTreeMap<Key, Name> = held
        .into_iter()
        .filter_map(|(kind, id, name, version)| Some(((Kind::of_name(&kind)?, id), Name { name, version })))
        .collect();
    let mut changes = Changes::default();
    for (key, name) in names {
        let group = match held.get(key) {
            None => &mut changes.unknown,
            Some(old) if old.version <= name.version && old.name != name.name => match key.0 {
                Kind::Product | Kind::Restaurant => &mut changes.renamed,
                Kind::User => &mut changes.confirmed,
            },
            Some(old) if old.version < name.version => &mut changes.confirmed,
            Some(_) => continue,
        };
        group.insert(*key, *name);
    }
    Ok(changes)
}

/// Adds names; says how many were not there.
async fn insert(tx: &mut PgConnection, names: &BTreeMap<Key, &Name>) -> Result<u64, sqlx::Error> {
    write_rows(
        tx,
        "insert into cdm.names (kind, id, name, version) \
         select * from unnest($1::text[], $2::uuid[], $3::text[], $4::timestamp[]) on conflict do nothing",
        names,
    )
    .await
}

async fn update(tx: &mut PgConnection, names: &BTreeMap<Key, &Name>) -> Result<(), sqlx::Error> {
    if names.is_empty() {
        return Ok(());
    }
    // An update takes its rows in the order in which it meets them, so they are locked in key order beforehand.
    let (kinds, ids) = columns(names);
    sqlx::query(
        "select from cdm.names n join unnest($1::text[], $2::uuid[]) r(kind, id) using (kind, id) \
         order by kind, id for update of n",
    )
    .bind(kinds)
    .bind(ids)
    .execute(&mut *tx)
    .await?;
    write_rows(
        tx,
        "update cdm.names n set name = r.name, version = r.version \
         from unnest($1::text[], $2::uuid[], $3::text[], $4::timestamp[]) r(kind, id, name, version) \
         where n.kind = r.kind and n.id = r.id and n.version <= r.version",
        names,
    )
    .await
    .map(|_| ())
}

async fn write_rows(
    tx: &mut PgConnection,
    sql: &'static str,
    names: &BTreeMap<Key, &Name>,
) -> Result<u64, sqlx::Error> {
    if names.is_empty() {
        return Ok(0);
    }
    let (kinds, ids) = columns(names);
    let done = sqlx::query(sql)
        .bind(kinds)
        .bind(ids)
        .bind(names.values().map(|name| name.name.as_str()).collect::<Vec<_>>())
        .bind(names.values().map(|name| name.version).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(done.rows_affected())
}

fn columns(names: &BTreeMap<Key, &Name>) -> (Vec<&'static str>, Vec<Uuid>) {
    names.keys().map(|(kind, id)| (kind.name(), *id)).unzip()
}
