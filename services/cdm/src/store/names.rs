//! `cdm.names`: what each dish and restaurant is called, by the newest version of the dictionary.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use ordervault_runtime::fault::StoreError;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::{Name, Order};

/// Held shared by every batch, and alone by one that renames: such a batch rewrites counters of other batches' keys.
const LOCK: i64 = 0x6f76_6e61_6d65;

/// Names to be written, by what is to be done.
#[derive(Default)]
struct Changes<'n> {
    unknown: BTreeMap<Uuid, &'n Name>,
    /// Called as before, by a newer version.
    confirmed: BTreeMap<Uuid, &'n Name>,
    renamed: BTreeMap<Uuid, &'n Name>,
}

/// Of each dish and restaurant the newest name in the batch; of equal versions the later.
pub(super) fn newest<'o>(orders: &[&'o Order]) -> BTreeMap<Uuid, &'o Name> {
    let mut newest: BTreeMap<Uuid, &Name> = BTreeMap::new();
    for (id, name) in orders.iter().flat_map(|order| &order.names) {
        let held = newest.entry(*id).or_insert(name);
        if held.version <= name.version {
            *held = name;
        }
    }
    newest
}

/// Keeps the newest name of each; returns those that are called otherwise than before.
pub(super) async fn write(tx: &mut PgConnection, names: &BTreeMap<Uuid, &Name>) -> Result<Vec<Uuid>, StoreError> {
    let alone = !changes(tx, names).await?.renamed.is_empty();
    let lock = if alone { "select pg_advisory_xact_lock($1)" } else { "select pg_advisory_xact_lock_shared($1)" };
    sqlx::query(lock).bind(LOCK).execute(&mut *tx).await?;
    // Only what is read under the lock holds; before it, somebody may have renamed.
    let mut changes_now = changes(tx, names).await?;
    let inserted = insert(tx, &changes_now.unknown).await?;
    changes_now.unknown.retain(|id, _| !inserted.contains(id));
    if !changes_now.unknown.is_empty() {
        // Another batch was quicker with these. Mostly it says the same, and what it says is committed by now.
        let again = changes(tx, &changes_now.unknown).await?;
        changes_now.confirmed.extend(again.confirmed);
        changes_now.renamed.extend(again.renamed);
    }
    if !changes_now.renamed.is_empty() && !alone {
        return Err(StoreError::Raced("a name of this batch"));
    }
    let renamed = changes_now.renamed.keys().copied().collect();
    changes_now.confirmed.extend(changes_now.renamed);
    update(tx, &changes_now.confirmed).await?;
    Ok(renamed)
}

/// Compares with what is there. What is known and as new is left alone, since it is hot: writing would lock it.
async fn changes<'n>(tx: &mut PgConnection, names: &BTreeMap<Uuid, &'n Name>) -> Result<Changes<'n>, sqlx::Error> {
    let ids: Vec<Uuid> = names.keys().copied().collect();
    let held: Vec<(Uuid, String, NaiveDateTime)> =
        sqlx::query_as("select id, name, version from cdm.names where id = any($1)").bind(ids).fetch_all(tx).await?;
    let held: BTreeMap<Uuid, Name> = held.into_iter().map(|(id, name, version)| (id, Name { name, version })).collect();
    let mut changes = Changes::default();
    for (id, name) in names {
        let group = match held.get(id) {
            None => &mut changes.unknown,
            Some(old) if old.version <= name.version && old.name != name.name => &mut changes.renamed,
            Some(old) if old.version < name.version => &mut changes.confirmed,
            Some(_) => continue,
        };
        group.insert(*id, *name);
    }
    Ok(changes)
}

async fn insert(tx: &mut PgConnection, names: &BTreeMap<Uuid, &Name>) -> Result<Vec<Uuid>, sqlx::Error> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(
        "insert into cdm.names (id, name, version) \
         select * from unnest($1::uuid[], $2::text[], $3::timestamp[]) on conflict do nothing returning id",
    )
    .bind(names.keys().copied().collect::<Vec<_>>())
    .bind(names.values().map(|name| name.name.as_str()).collect::<Vec<_>>())
    .bind(names.values().map(|name| name.version).collect::<Vec<_>>())
    .fetch_all(tx)
    .await
}

async fn update(tx: &mut PgConnection, names: &BTreeMap<Uuid, &Name>) -> Result<(), sqlx::Error> {
    if names.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = names.keys().copied().collect();
    // An update takes its rows in the order in which it meets them, so they are locked in key order beforehand.
    sqlx::query("select from cdm.names where id = any($1) order by id for update").bind(&ids).execute(&mut *tx).await?;
    sqlx::query(
        "update cdm.names n set name = r.name, version = r.version \
         from unnest($1::uuid[], $2::text[], $3::timestamp[]) r(id, name, version) \
         where n.id = r.id and n.version <= r.version",
    )
    .bind(&ids)
    .bind(names.values().map(|name| name.name.as_str()).collect::<Vec<_>>())
    .bind(names.values().map(|name| name.version).collect::<Vec<_>>())
    .execute(tx)
    .await
    .map(|_| ())
}
