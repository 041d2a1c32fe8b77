//! Services killed without a warning and joined by others while the orders flow.

use std::time::Duration;

use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::kafka::Producer;
use ordervault_demo::orders::{Backlog, Mix, Plan, Produced};
use ordervault_demo::stage::{LAYERS, Service, Stage};

const ORDERS: u64 = 20_000;
/// In each round every layer's first replica is killed and started again, and a second one joins and leaves.
const ROUNDS: usize = 7;
/// Longer than a killed member's session, and than a rebalance after it.
const PROGRESS: Duration = Duration::from_mins(2);
const DRAIN: Duration = Duration::from_mins(10);
const GRACE: Duration = Duration::from_secs(10);
/// Small, so that a kill finds a batch in flight.
const SMALL_BATCHES: [(&str, &str); 1] = [("BATCH_MAX_RECORDS", "100")];

/// Waits until the layer is at work, and then for a moment that nobody has chosen.
async fn at_work(stage: &Stage, layer: &str) {
    stage.works(layer, PROGRESS).await.unwrap();
    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..300))).await;
}

/// One layer's round: its replica is killed and started again, a second one joins, works and leaves.
async fn torment(stage: &Stage, layer: &'static str, mut first: Service) -> Service {
    at_work(stage, layer).await;
    first.kill().await.unwrap();
    let first = stage.start(layer, &SMALL_BATCHES).unwrap();
    let mut second = stage.start(layer, &SMALL_BATCHES).unwrap();
    at_work(stage, layer).await;
    assert_eq!(second.stop(GRACE).await.unwrap().code(), Some(0), "{layer}");
    first
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_equal_the_recount_after_twenty_kills_and_replicas_that_come_and_go() {
    let mut stage = Stage::build("kills", 3).await.unwrap();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let dictionary = Dictionary::generate(seed, 400, 30);
    dictionary.write(&mut stage.redis).await.unwrap();
    let plan = Plan { seed, first_order_id: 1, orders: ORDERS, partitions: 3, mix: Mix::adversarial() };
    let backlog: Vec<Produced> = Backlog::new(&dictionary, plan).collect();
    let share = backlog.len().div_ceil(ROUNDS);
    let mut services: Vec<Service> = LAYERS.iter().map(|layer| stage.start(layer, &SMALL_BATCHES).unwrap()).collect();
    let mut producer = Producer::new(&stage.cluster).unwrap();
    let topic = stage.source_topic("stg");
    let (mut kills, mut joins) = (0, 0);
    for orders in backlog.chunks(share) {
        // The orders come while the services are tormented, so that no layer is ever done before its turn.
        let produce = async {
            for (place, message) in orders.iter().enumerate() {
                producer.send(&topic, message).await.unwrap();
                if place % 100 == 0 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            producer.flush().await.unwrap();
        };
        let [cdm, dds, stg] = [services.pop(), services.pop(), services.pop()].map(Option::unwrap);
        let ((), stg, dds, cdm) = tokio::join!(
            produce,
            torment(&stage, "stg", stg),
            torment(&stage, "dds", dds),
            torment(&stage, "cdm", cdm)
        );
        services.extend([stg, dds, cdm]);
        (kills, joins) = (kills + LAYERS.len(), joins + LAYERS.len());
    }
    assert!(kills >= 20 && joins >= 10, "{kills} kills, {joins} replicas that came and went");
    stage.settle(DRAIN).await.unwrap();
    assert_eq!(stage.faults(&services[2]).await.unwrap(), [""; 0]);
    drop(services);
    stage.tear_down().await.unwrap();
}
