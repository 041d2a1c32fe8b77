//! Batches, and single records, that are too much work for the time that PostgreSQL has for a statement.

use std::time::Duration;

use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan};
use ordervault_demo::stage::{LAYERS, Stage};
use sqlx::AssertSqlSafe;

const DRAIN: Duration = Duration::from_mins(3);
/// Where a layer's orders are written, and how many of them, or which one of many, are too much.
const TABLES: [(&str, &str); 3] = [
    ("stg.order_events", "object_id % 400 = 0"),
    ("dds.h_order", "order_id % 400 = 1"),
    ("cdm.order_ledger", "hashtext(order_id::text) % 400 = 0"),
];

/// Has the server end whatever writes more than twenty rows at once, and what writes certain rows at all within the usual
/// time: a trigger stands in for work that takes that long.
fn slowness(table: &str, heavy: &str) -> String {
    let name = table.replace('.', "_");
    format!(
        "create sequence {name}_ended; \
         create function {name}_slow() returns trigger language plpgsql as $$ begin \
             if (select count(*) > 20 from batch) \
                or (exists (select from batch where {heavy}) \
                    and current_setting('statement_timeout')::interval <= interval '3 minutes') then \
                 perform nextval('{name}_ended'); \
                 raise query_canceled using message = 'canceling statement due to statement timeout'; \
             end if; \
             return null; \
         end $$; \
         create trigger slow after insert on {table} referencing new table as batch \
             for each statement execute function {name}_slow();"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_takes_too_long_is_made_smaller_and_a_record_that_does_is_given_longer() {
    let mut stage = Stage::build("too_much", 3).await.unwrap();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let dictionary = Dictionary::generate(seed, 100, 20);
    dictionary.write(&mut stage.redis).await.unwrap();
    for (layer, (table, heavy)) in LAYERS.into_iter().zip(TABLES) {
        stage.migrate(layer).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(slowness(table, heavy))).execute(&stage.pool).await.unwrap();
    }
    let plan = Plan { seed, first_order_id: 1, orders: 1_500, partitions: 3, mix: Mix::adversarial() };
    stage.produce("stg", Backlog::new(&dictionary, plan)).await.unwrap();
    let services = LAYERS.map(|layer| stage.start(layer, &[]).unwrap());
    stage.settle(DRAIN).await.unwrap();
    assert_eq!(stage.faults(&services[2]).await.unwrap(), [""; 0]);
    for (table, _) in TABLES {
        let ended = format!("select last_value from {}_ended", table.replace('.', "_"));
        let ended: i64 = sqlx::query_scalar(AssertSqlSafe(ended)).fetch_one(&stage.pool).await.unwrap();
        assert!(ended > 10, "only {ended} statements were ended at {table}");
    }
    drop(services);
    stage.tear_down().await.unwrap();
}
