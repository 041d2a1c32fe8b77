//! The orderly end of a service that has work.

use std::time::Duration;

use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan};
use ordervault_demo::recount::NameCheck;
use ordervault_demo::stage::{LAYERS, Stage, until};

const START: Duration = Duration::from_mins(1);
const DRAIN: Duration = Duration::from_mins(10);
/// What Kubernetes is told to allow.
const GRACE: Duration = Duration::from_secs(10);
const BATCH: i64 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_asked_to_stop_under_load_ends_well_in_time_and_leaves_at_most_a_batch_to_be_done_again() {
    let mut stage = Stage::build("shutdown", 3).await.unwrap();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let dictionary = Dictionary::generate(seed, 100, 10);
    dictionary.write(&mut stage.redis).await.unwrap();
    let plan = Plan { seed, first_order_id: 1, orders: 10_000, partitions: 3, mix: Mix::adversarial() };
    let records = stage.produce("stg", Backlog::new(&dictionary, plan)).await.unwrap();
    let most = BATCH.to_string();
    for layer in LAYERS {
        let settings = [("BATCH_MAX_RECORDS", most.as_str())];
        let mut service = stage.start(layer, &settings).unwrap();
        let under_load = async || Ok((stage.applied(layer).await > 3 * BATCH).then_some(()));
        until("the first batches", START, under_load).await.unwrap();
        let status = service.stop(GRACE).await.unwrap();
        assert_eq!(status.code(), Some(0), "{layer}");

        let applied = stage.applied(layer).await;
        let committed = i64::try_from(records - stage.lag(layer).await.unwrap()).unwrap();
        assert!(applied < i64::try_from(records).unwrap(), "{layer} was done before it was asked to stop");
        let again = applied - committed;
        assert!((0..=BATCH * i64::from(stage.partitions)).contains(&again), "{layer}: {again} records again");

        let mut service = stage.start(layer, &[]).unwrap();
        until("the rest", DRAIN, async || Ok((stage.lag(layer).await? == 0).then_some(()))).await.unwrap();
        assert_eq!(service.stop(GRACE).await.unwrap().code(), Some(0), "{layer}");
    }
    for report in stage.recount(&NameCheck::Present).await.unwrap() {
        assert!(report.is_equal(), "{report}");
    }
    stage.tear_down().await.unwrap();
}
