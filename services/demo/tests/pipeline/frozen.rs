//! Members that stand still in the middle of their work and wake up when others have long had their partitions.

use std::time::Duration;

use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan};
use ordervault_demo::stage::{LAYERS, Service, Stage, Stream, until};

const ROUNDS: usize = 2;
const START: Duration = Duration::from_mins(1);
/// Longer than the session of a member that says nothing, and the bound of a transaction that it has left open.
const PROGRESS: Duration = Duration::from_mins(3);
const DRAIN: Duration = Duration::from_mins(10);
/// More than the rounds take.
const ORDERS: u64 = 1_000_000;
const PER_SECOND: f64 = 300.0;
/// Small, so that there is always a batch in flight.
const SMALL_BATCHES: [(&str, &str); 1] = [("BATCH_MAX_RECORDS", "100")];

/// How many partitions the living members of a layer hold, each by its own account.
async fn held(stage: &Stage, layer: &str) -> Vec<i64> {
    sqlx::query_scalar(
        "select cardinality(partitions)::bigint from ops.members \
         where layer = $1 and heartbeat > now() - interval '5 seconds' order by id",
    )
    .bind(layer)
    .fetch_all(&stage.pool)
    .await
    .unwrap()
}

async fn shared_by(stage: &Stage, layer: &str, members: usize) {
    until(&format!("{members} members of {layer}"), PROGRESS, async || {
        let held = held(stage, layer).await;
        let all = i64::from(stage.partitions);
        Ok((held.len() == members && held.iter().sum::<i64>() == all && held.iter().all(|own| *own > 0)).then_some(()))
    })
    .await
    .unwrap();
}

/// One of two members stands still; the other takes its partitions and works on them; then the first wakes up.
async fn stand_still(stage: &Stage, layer: &str, members: &[Service]) {
    shared_by(stage, layer, 2).await;
    stage.works(layer, PROGRESS).await.unwrap();
    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..300))).await;
    members[0].freeze().unwrap();
    shared_by(stage, layer, 1).await;
    stage.works(layer, PROGRESS).await.unwrap();
    members[0].thaw().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_wake_up_after_others_took_over_lose_nothing_and_count_nothing_twice() {
    let mut stage = Stage::build("frozen", 3).await.unwrap();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let dictionary = Dictionary::generate(seed, 100, 20);
    dictionary.write(&mut stage.redis).await.unwrap();
    let services = LAYERS.map(|layer| [layer; 2].map(|layer| stage.start(layer, &SMALL_BATCHES).unwrap()));
    for service in services.iter().flatten() {
        service.ready(START).await.unwrap();
    }
    let plan = Plan { seed, first_order_id: 1, orders: ORDERS, partitions: 3, mix: Mix::adversarial() };
    let stream = Stream::begin(&stage, "stg", Backlog::new(&dictionary, plan), PER_SECOND).unwrap();
    for _ in 0..ROUNDS {
        tokio::join!(
            stand_still(&stage, "stg", &services[0]),
            stand_still(&stage, "dds", &services[1]),
            stand_still(&stage, "cdm", &services[2])
        );
    }
    let records = stream.end().await.unwrap();
    println!("{records} records");
    for layer in LAYERS {
        shared_by(&stage, layer, 2).await;
    }
    stage.settle(DRAIN).await.unwrap();
    assert_eq!(stage.faults(&services[2][0]).await.unwrap(), [""; 0]);
    drop(services);
    stage.tear_down().await.unwrap();
}
