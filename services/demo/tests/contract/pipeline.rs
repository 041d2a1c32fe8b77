//! A pipeline with something in it for every path of the documents.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan, Produced};
use ordervault_demo::stage::{LAYERS, Service, Stage};

const START: Duration = Duration::from_mins(1);
const DRAIN: Duration = Duration::from_mins(5);

/// A running replica of each layer, that have processed orders and put records aside.
pub async fn running(prefix: &str, settings: &[(&str, &str)]) -> (Stage, Vec<Service>) {
    let mut stage = Stage::build(prefix, 3).await.unwrap();
    let dictionary = Dictionary::generate(11, 50, 8);
    dictionary.write(&mut stage.redis).await.unwrap();
    let plan = Plan { seed: 11, first_order_id: 1, orders: 500, partitions: 3, mix: Mix::adversarial() };
    stage.produce("stg", Backlog::new(&dictionary, plan)).await.unwrap();
    for layer in LAYERS {
        let bad = (0..9).map(|n| Produced { key: None, partition: Some(n % 3), payload: b"not JSON".to_vec() });
        stage.produce(layer, bad).await.unwrap();
    }
    let services: Vec<Service> = LAYERS.iter().map(|layer| stage.start(layer, settings).unwrap()).collect();
    for service in &services {
        service.ready(START).await.unwrap();
    }
    stage.settle(DRAIN).await.unwrap();
    (stage, services)
}

/// The committed document of a layer.
pub fn document(layer: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi").join(layer).with_extension("json")
}
