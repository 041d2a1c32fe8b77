//! Counters against the ledger: each is the sum of what the orders contribute, and one that is not there is 0.

use super::check::Check;

/// A table of counters.
pub(super) struct Counter {
    /// The table.
    pub table: &'static str,
    /// Its ids.
    pub ids: [&'static str; 2],
    /// The ledger's list of the second of them.
    list: &'static str,
    /// Makes the counters that are not there out of the rows of `wrong`, with the names of categories in `known`.
    pub add: &'static str,
}

/// All of them, in the order in which batches write them.
pub(super) const COUNTERS: [Counter; 3] = [
    Counter {
        table: "cdm.user_product_counters",
        ids: ["user_id", "product_id"],
        list: "product_ids",
        add: "insert into cdm.user_product_counters (user_id, product_id, product_name, order_cnt) \
              select user_id, product_id, n.name, expected \
              from wrong join cdm.names n on n.kind = 'product' and n.id = product_id where absent",
    },
    Counter {
        table: "cdm.user_category_counters",
        ids: ["user_id", "category_id"],
        list: "category_ids",
        add: "insert into cdm.user_category_counters (user_id, category_id, category_name, order_cnt) \
              select user_id, category_id, known.name, expected \
              from wrong join known on known.id = category_id where absent",
    },
    Counter {
        table: "cdm.restaurant_category_counters",
        ids: ["restaurant_id", "category_id"],
        list: "category_ids",
        add: "insert into cdm.restaurant_category_counters \
                  (restaurant_id, restaurant_name, category_id, category_name, order_cnt) \
              select restaurant_id, n.name, category_id, known.name, expected \
              from wrong join cdm.names n on n.kind = 'restaurant' and n.id = restaurant_id \
                  join known on known.id = category_id where absent",
    },
];

impl Counter {
    /// The question about it.
    pub fn check(&self) -> Check {
        Check { table: self.table, needs: &[], rows: self.rows() }
    }

    /// Every counter that is there or is to be, with what it holds and what the ledger's sum is.
    pub fn rows(&self) -> String {
        let Self { table, ids: [one, other], list, .. } = self;
        format!(
            "select {one}, {other}, coalesce(c.order_cnt, 0) as held, coalesce(l.order_cnt, 0) as expected, \
                    c.id is null as absent, \
                    coalesce(c.order_cnt, 0) <> coalesce(l.order_cnt, 0) as wrong, false as behind \
             from {table} c \
             full join (select {one}, {other}, count(*) as order_cnt from cdm.order_ledger, unnest({list}) {other} \
                        where status <> 'CANCELLED' group by {one}, {other}) l using ({one}, {other})"
        )
    }
}
