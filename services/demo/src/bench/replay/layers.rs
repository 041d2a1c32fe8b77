//! The rows of each layer, and the SQL that writes them.

use super::Kind::{self, Key, Number, Text, Time};
use super::{Rows, Table};

/// What a layer writes.
pub(super) fn rows(layer: &str) -> Rows {
    match layer {
        "stg" => {
            Rows { orders: "select object_id from stg.order_events order by 1", shared: vec![], own: vec![events()] }
        }
        "dds" => Rows {
            orders: "select h_order_pk from dds.h_order order by order_id",
            shared: DIMENSIONS.iter().map(|(table, columns)| vault(table, columns, "")).collect(),
            own: FACTS.iter().map(|(table, columns)| vault(table, columns, "where h_order_pk = any($1)")).collect(),
        },
        _ => Rows {
            orders: "select order_id from cdm.order_ledger order by version, order_id",
            shared: vec![names()],
            own: vec![ledger(), user_products(), user_categories(), restaurant_categories()],
        },
    }
}

fn events() -> Table {
    Table {
        fetch: "select object_id, object_type, sent_dttm, payload::text, version, source_topic, source_partition, \
                source_offset from stg.order_events where object_id = any($1) order by 1"
            .to_owned(),
        write: "insert into stg.order_events as e (object_id, object_type, sent_dttm, payload, version, stored_at, \
                    source_topic, source_partition, source_offset) \
                select a, b, c, d::json, e, now(), f, g, h from unnest($1::bigint[], $2::text[], $3::timestamp[], \
                    $4::text[], $5::timestamp[], $6::text[], $7::bigint[], $8::bigint[]) r(a, b, c, d, e, f, g, h) \
                on conflict (object_id) do update set object_type = excluded.object_type, \
                    sent_dttm = excluded.sent_dttm, payload = excluded.payload, version = excluded.version, \
                    stored_at = excluded.stored_at, source_topic = excluded.source_topic, \
                    source_partition = excluded.source_partition, source_offset = excluded.source_offset \
                where e.version <= excluded.version"
            .to_owned(),
        columns: vec![Number, Text, Time, Text, Time, Text, Number, Number],
    }
}

type Columns = &'static [(&'static str, Kind)];

/// Tables of the vault whose rows many orders share, hubs first.
const DIMENSIONS: [(&str, Columns); 9] = [
    ("h_user", &[("h_user_pk", Key), ("user_id", Text)]),
    ("h_product", &[("h_product_pk", Key), ("product_id", Text)]),
    ("h_category", &[("h_category_pk", Key), ("category_name", Text)]),
    ("h_restaurant", &[("h_restaurant_pk", Key), ("restaurant_id", Text)]),
    ("l_product_category", &[("hk_product_category_pk", Key), ("h_category_pk", Key), ("h_product_pk", Key)]),
    ("l_product_restaurant", &[("hk_product_restaurant_pk", Key), ("h_restaurant_pk", Key), ("h_product_pk", Key)]),
    (
        "s_user_names",
        &[
            ("hk_user_names_pk", Key),
            ("h_user_pk", Key),
            ("username", Text),
            ("userlogin", Text),
            ("effective_dt", Time),
        ],
    ),
    (
        "s_restaurant_names",
        &[("hk_restaurant_names_pk", Key), ("h_restaurant_pk", Key), ("name", Text), ("effective_dt", Time)],
    ),
    ("s_product_names", &[("hk_product_names_pk", Key), ("h_product_pk", Key), ("name", Text), ("effective_dt", Time)]),
];

/// Tables of the vault with rows of each order's own.
const FACTS: [(&str, Columns); 5] = [
    ("h_order", &[("h_order_pk", Key), ("order_id", Number), ("order_dt", Time)]),
    ("l_order_user", &[("hk_order_user_pk", Key), ("h_order_pk", Key), ("h_user_pk", Key)]),
    ("l_order_product", &[("hk_order_product_pk", Key), ("h_order_pk", Key), ("h_product_pk", Key)]),
    ("s_order_status", &[("hk_order_status_pk", Key), ("h_order_pk", Key), ("status", Text), ("effective_dt", Time)]),
    (
        "s_order_cost",
        &[
            ("hk_order_cost_pk", Key),
            ("h_order_pk", Key),
            ("cost", Kind::Amount),
            ("payment", Kind::Amount),
            ("effective_dt", Time),
        ],
    ),
];

/// A table of the vault; what every one of its tables has is added to the columns.
fn vault(table: &str, columns: Columns, condition: &str) -> Table {
    let columns: Vec<(&str, Kind)> = columns.iter().copied().chain([("load_dt", Time), ("load_src", Text)]).collect();
    let joined = |one: &dyn Fn(usize, &str, Kind) -> String| {
        let all = columns.iter().enumerate().map(|(place, (name, kind))| one(place, name, *kind));
        all.collect::<Vec<_>>().join(", ")
    };
    let names = joined(&|_, name, _| name.to_owned());
    let fetched = joined(&|_, name, kind| format!("{name}::{}", kind.sent_as()));
    let parameters = joined(&|place, _, kind| format!("${}::{}[]", place + 1, kind.sent_as()));
    let written = joined(&|_, name, kind| format!("{name}::{}", kind.kept_as()));
    Table {
        fetch: format!("select {fetched} from dds.{table} {condition} order by 1"),
        write: format!(
            "insert into dds.{table} ({names}) select {written} from unnest({parameters}) r({names}) on conflict do nothing"
        ),
        columns: columns.iter().map(|column| column.1).collect(),
    }
}

fn names() -> Table {
    Table {
        fetch: "select kind, id, name, version from cdm.names order by 1, 2".to_owned(),
        write: "insert into cdm.names (kind, id, name, version) \
                select * from unnest($1::text[], $2::uuid[], $3::text[], $4::timestamp[])"
            .to_owned(),
        columns: vec![Text, Key, Text, Time],
    }
}

fn ledger() -> Table {
    Table {
        fetch: "select order_id, version, status, user_id, restaurant_id, product_ids::text, category_ids::text \
                from cdm.order_ledger where order_id = any($1) order by 1"
            .to_owned(),
        write: "insert into cdm.order_ledger \
                    (order_id, version, status, user_id, restaurant_id, product_ids, category_ids) \
                select a, b, c, d, e, f::uuid[], g::uuid[] from unnest($1::uuid[], $2::timestamp[], $3::text[], \
                    $4::uuid[], $5::uuid[], $6::text[], $7::text[]) r(a, b, c, d, e, f, g) on conflict do nothing"
            .to_owned(),
        columns: vec![Key, Time, Text, Key, Key, Text, Text],
    }
}

// The counters are not rows of an order: what a batch adds to each is summed beforehand.

fn user_products() -> Table {
    Table {
        fetch: "select user_id, product, name, count(*) from cdm.order_ledger, unnest(product_ids) product \
                join cdm.names on kind = 'product' and id = product where order_id = any($1) and status <> 'CANCELLED' \
                group by 1, 2, 3 order by 1, 2"
            .to_owned(),
        write: "insert into cdm.user_product_counters as c (user_id, product_id, product_name, order_cnt) \
                select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[]) \
                on conflict (user_id, product_id) do update set order_cnt = c.order_cnt + excluded.order_cnt"
            .to_owned(),
        columns: vec![Key, Key, Text, Number],
    }
}

fn user_categories() -> Table {
    Table {
        fetch:
            "select user_id, category, category_name, count(*) from cdm.order_ledger, unnest(category_ids) category \
                join (select distinct category_id, category_name from cdm.restaurant_category_counters) n \
                    on category_id = category \
                where order_id = any($1) and status <> 'CANCELLED' group by 1, 2, 3 order by 1, 2"
                .to_owned(),
        write: "insert into cdm.user_category_counters as c (user_id, category_id, category_name, order_cnt) \
                select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[]) \
                on conflict (user_id, category_id) do update set order_cnt = c.order_cnt + excluded.order_cnt"
            .to_owned(),
        columns: vec![Key, Key, Text, Number],
    }
}

fn restaurant_categories() -> Table {
    Table {
        fetch: "select restaurant_id, name, category, category_name, count(*) \
                from cdm.order_ledger join cdm.names on kind = 'restaurant' and id = restaurant_id, unnest(category_ids) category \
                join (select distinct category_id, category_name from cdm.user_category_counters) n \
                    on category_id = category \
                where order_id = any($1) and status <> 'CANCELLED' group by 1, 2, 3, 4 order by 1, 3"
            .to_owned(),
        write: "insert into cdm.restaurant_category_counters as c \
                    (restaurant_id, restaurant_name, category_id, category_name, order_cnt) \
                select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::bigint[]) \
                on conflict (restaurant_id, category_id) do update set order_cnt = c.order_cnt + excluded.order_cnt"
            .to_owned(),
        columns: vec![Key, Text, Key, Text, Number],
    }
}
