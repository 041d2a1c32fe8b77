//! What tests of a single layer begin with.

use std::time::Duration;

use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan, Produced};
use ordervault_demo::stage::{Service, Stage};

/// For a machine on which several tests start services at once.
const START: Duration = Duration::from_mins(2);

/// A stage whose dictionary knows everybody.
pub async fn with_dictionary(name: &str, partitions: i32) -> (Stage, Dictionary) {
    let mut stage = Stage::build(name, partitions).await.unwrap();
    let dictionary = Dictionary::generate(fastrand::u64(..), 50, 5);
    dictionary.write(&mut stage.redis).await.unwrap();
    (stage, dictionary)
}

/// A stage with an empty dictionary, and a replica that is ready.
pub async fn with_replica(
    name: &str,
    partitions: i32,
    layer: &'static str,
    settings: &[(&str, &str)],
) -> (Stage, Service) {
    let stage = Stage::build(name, partitions).await.unwrap();
    let service = replica(&stage, layer, settings).await;
    (stage, service)
}

/// A replica that is ready.
pub async fn replica(stage: &Stage, layer: &'static str, settings: &[(&str, &str)]) -> Service {
    let service = stage.start(layer, settings).unwrap();
    service.ready(START).await.unwrap();
    service
}

/// Orders with nothing wrong in them, for one partition.
pub fn orders(dictionary: &Dictionary, first_order_id: i64, orders: u64) -> Vec<Produced> {
    let plan = Plan { seed: fastrand::u64(..), first_order_id, orders, partitions: 1, mix: Mix::calm() };
    Backlog::new(dictionary, plan).collect()
}
