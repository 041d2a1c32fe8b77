//! The independent recount: what the tables should hold, counted from the source topic and the dictionary alone.
//!
//! ```text
//! source topic ─▶ Orders (every version) ─┐
//! Redis ────────▶ Snapshot ───────────────┴▶ Recount ─▶ compare_stg, …_dds, …_cdm, …_reads ─▶ Report
//! ```
//!
//! It keeps everything in memory and works in the most obvious way that there is: it has to be right, not quick.
//! The database must be private to the orders of the topic, since whatever else it holds is reported as unexpected.

use std::collections::HashMap;

use redis::aio::ConnectionLike;
use sqlx::PgPool;

use crate::Error;
use crate::kafka::Cluster;

mod orders;

mod dictionary;

mod facts;

mod marts;
mod vault;
mod vault_queries;

mod compare;
mod reads;

mod keys;
mod numbers;

pub use compare::{Report, TableReport};
use compare::{Table, compare, compare_tables, fetch};
pub use dictionary::Snapshot;
use facts::Facts;
pub use orders::Orders;

const ORDER_EVENTS: &str = "SELECT concat('object_id=', object_id), concat('object_type=', object_type, \
    ' sent_dttm=', to_char(sent_dttm, 'YYYY-MM-DD HH24:MI:SS.US'), ' payload=', payload), '' FROM stg.order_events";

/// Which names of users, restaurants and dishes are right. A renaming reaches the tables with the next order that
/// mentions the thing renamed, and nobody can tell from the topic alone which orders were enriched before it.
#[derive(Debug, Clone)]
pub enum NameCheck {
    /// Those that the dictionary has at present: nothing was renamed, or all of it was ordered again since.
    Present,
    /// Those, or former ones, by id.
    PresentOrFormer(HashMap<String, Vec<String>>),
    /// Any.
    Ignored,
}

/// What the tables of all three layers should hold.
#[derive(Debug)]
pub struct Recount {
    summary: Summary,
    with_names: bool,
    events: Vec<Table>,
    vault: Vec<Table>,
    marts: Vec<Table>,
}

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Records on the source topic.
    pub records: u64,
    /// Those that are versions of orders, duplicates included.
    pub versions: usize,
    /// Different orders.
    pub orders: usize,
    /// Versions left out because the dictionary does not have what they refer to.
    pub waiting: usize,
    /// Versions left out because the vault cannot hold them: an amount below 0 or too great.
    pub refused: usize,
}

impl Recount {
    /// Recounts a topic with the dictionary that Redis holds now.
    ///
    /// # Errors
    ///
    /// When the topic or Redis cannot be read.
    pub async fn of_topic(
        cluster: &Cluster,
        topic: &str,
        redis: &mut impl ConnectionLike,
        names: &NameCheck,
    ) -> Result<Self, Error> {
        let orders = Orders::read(cluster, topic).await?;
        let snapshot = Snapshot::read(redis, &orders).await?;
        Ok(Self::new(&orders, &snapshot, names))
    }

    /// Recounts orders that were read before.
    #[must_use]
    pub fn new(orders: &Orders, snapshot: &Snapshot, names: &NameCheck) -> Self {
        let facts = Facts::of(orders, snapshot);
        Self {
            summary: Summary {
                records: orders.records(),
                versions: orders.versions(),
                orders: orders.orders(),
                waiting: facts.waiting,
                refused: facts.refused,
            },
            with_names: !matches!(names, NameCheck::Ignored),
            events: vec![order_events(orders)],
            vault: vault::tables(&facts, names),
            marts: marts::tables(&facts, names),
        }
    }

    /// What was counted.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Compares `stg.order_events`: of every order the newest version, its payload to the letter.
    ///
    /// # Errors
    ///
    /// When the table cannot be read.
    pub async fn compare_stg(&self, pool: &PgPool) -> Result<Report, Error> {
        compare_tables(pool, &self.events, self.with_names).await
    }

    /// Compares the vault: hubs, links and satellites of every version, the current value of each satellite, and the
    /// keys of all names.
    ///
    /// # Errors
    ///
    /// When a table cannot be read.
    pub async fn compare_dds(&self, pool: &PgPool) -> Result<Report, Error> {
        let mut report = compare_tables(pool, &self.vault, self.with_names).await?;
        for (table, query) in vault_queries::NAME_KEYS {
            let found = fetch(pool, query, self.with_names).await?;
            report.tables.push(compare(table, "keys", &vault::name_keys(&found), found));
        }
        Ok(report)
    }

    /// Compares the counters of the three marts, and of the two that are summed over all users. A counter of 0 counts as
    /// absent.
    ///
    /// # Errors
    ///
    /// When a table cannot be read.
    pub async fn compare_cdm(&self, pool: &PgPool) -> Result<Report, Error> {
        compare_tables(pool, &self.marts, self.with_names).await
    }

    /// Compares the same counters as CDM serves them at this address, to whoever has the token where reads need one.
    ///
    /// # Errors
    ///
    /// When it does not serve them.
    pub async fn compare_reads(&self, url: &str, token: Option<&str>) -> Result<Report, Error> {
        reads::compare_reads(url, token, &self.marts, self.with_names).await
    }
}

impl NameCheck {
    /// Every text that is right for the thing with this id, made from its name.
    fn texts(&self, id: &str, present: &str, text: impl Fn(&str) -> String) -> Vec<String> {
        match self {
            Self::Present => vec![text(present)],
            Self::PresentOrFormer(former) => {
                let former = former.get(id).into_iter().flatten().map(String::as_str);
                std::iter::once(present).chain(former).map(text).collect()
            }
            Self::Ignored => vec![String::new()],
        }
    }
}

fn order_events(orders: &Orders) -> Table {
    let rows = orders.events.iter().map(|(id, event)| {
        let said = event
            .said
            .iter()
            .map(|(sent, payload)| format!("object_type=order sent_dttm={} payload={payload}", vault::text(*sent)));
        (format!("object_id={id}"), said.collect())
    });
    Table { name: "order_events", what: "orders", query: ORDER_EVENTS, rows: rows.collect() }
}

#[cfg(test)]
mod tests;
