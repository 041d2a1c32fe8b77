//! The ledger, the names and the counters: rows in key order, the hottest counters last.

use std::collections::BTreeMap;

use ordervault_runtime::fault::StoreError;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

mod names;
mod ledger;
mod counters;

use crate::domain::{Contribution, Differences, Order};

/// Writes a batch: compares the ledger with the new versions and adds the difference to the counters.
pub async fn apply(tx: &mut PgConnection, orders: &[&Order]) -> Result<(), StoreError> {
    let renamed = names::write(tx, &names::newest(orders)).await?;
    let newest = newest_versions(orders);
    let ids: Vec<Uuid> = newest.keys().copied().collect();
    let held = ledger::read(tx, &ids).await?;

    let mut differences = Differences::default();
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for (id, contribution) in newest {
        match held.get(&id) {
            // Equal versions: the record processed later wins.
            Some(old) if old.version <= contribution.version => {
                differences.replace(Some(old), contribution);
                if old != contribution {
                    changed.push((id, contribution));
                }
            }
            Some(_) => {}
            None => {
                differences.replace(None, contribution);
                new.push((id, contribution));
            }
        }
    }
    differences.settle();
    if ledger::insert(tx, &new).await? < new.len() as u64 {
        return Err(StoreError::Raced("an order of this batch"));
    }
    ledger::update(tx, &changed).await?;

    let categories: BTreeMap<Uuid, &str> =
        orders.iter().flat_map(|order| &order.categories).map(|(id, name)| (*id, name.as_str())).collect();
    counters::add(tx, &differences, &categories).await?;
    counters::rename(tx, &renamed).await?;
    Ok(())
}

/// Of each order the newest version in the batch; of equal ones the later.
fn newest_versions<'o>(orders: &[&'o Order]) -> BTreeMap<Uuid, &'o Contribution> {
    let mut newest: BTreeMap<Uuid, &Contribution> = BTreeMap::new();
    for order in orders {
        let held = newest.entry(order.id).or_insert(&order.contribution);
        if held.version <= order.contribution.version {
            *held = &order.contribution;
        }
    }
    newest
}
