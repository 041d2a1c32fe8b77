//! One release follows another, and comes back, while orders flow: none is lost, and none counts twice.

use std::path::Path;
use std::time::Duration;

use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan};
use ordervault_demo::stage::{LAYERS, Service, Stage, Stream, this_release};
use sqlx::Executor as _;

const REPLICAS: usize = 2;
const START: Duration = Duration::from_mins(1);
const PROGRESS: Duration = Duration::from_mins(2);
const DRAIN: Duration = Duration::from_mins(10);
const GRACE: Duration = Duration::from_secs(10);
/// More than the rolls take.
const ORDERS: u64 = 1_000_000;
const PER_SECOND: f64 = 1_000.0;
/// Small, so that a roll finds batches in flight.
const SMALL_BATCHES: [(&str, &str); 1] = [("BATCH_MAX_RECORDS", "100")];

/// What migrations of a later release may leave behind: they only add.
const LATER_MIGRATIONS: &str = "
    alter table stg.order_events add column later text not null default 'later';
    alter table dds.s_order_status add column later text;
    alter table dds.h_order add column later timestamptz not null default now();
    alter table cdm.user_product_counters add column later integer not null default 0;
    alter table cdm.order_ledger add column later jsonb;
    alter table ops.members add column later text;
    alter table ops.dead_letters add column later text;
    create table cdm.later (id bigint primary key);
    insert into ops.schema_migrations (version, description, success, checksum, execution_time)
        values (9000, 'later', true, 'later', 1);
    insert into stg.schema_migrations select * from ops.schema_migrations where version = 9000;
    insert into dds.schema_migrations select * from ops.schema_migrations where version = 9000;
    insert into cdm.schema_migrations select * from ops.schema_migrations where version = 9000;";

/// As the chart's Deployment does it: one more, and when that is ready one less, until all are of the release.
async fn roll(stage: &Stage, release: &Path, layer: &'static str, before: Vec<Service>) -> Vec<Service> {
    let mut after = Vec::new();
    for mut old in before {
        let new = stage.start_from(release, layer, &SMALL_BATCHES).unwrap();
        new.ready(START).await.unwrap();
        assert_eq!(old.stop(GRACE).await.unwrap().code(), Some(0), "{layer}");
        after.push(new);
    }
    // The release has to work, and not only to be there.
    stage.works(layer, PROGRESS).await.unwrap();
    after
}

/// All layers at once, as `helm upgrade` and `helm rollback` do.
async fn roll_all(stage: &Stage, release: &Path, services: [Vec<Service>; 3]) -> [Vec<Service>; 3] {
    let [stg, dds, cdm] = services;
    let (stg, dds, cdm) = tokio::join!(
        roll(stage, release, "stg", stg),
        roll(stage, release, "dds", dds),
        roll(stage, release, "cdm", cdm)
    );
    [stg, dds, cdm]
}

/// An upgrade, a rollback and an upgrade again.
async fn rolls_in_and_back(name: &str, earlier: &Path, later_migrations: &'static str) {
    let mut stage = Stage::build(name, 3).await.unwrap();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let dictionary = Dictionary::generate(seed, 100, 20);
    dictionary.write(&mut stage.redis).await.unwrap();
    let mut services = LAYERS.map(|layer| {
        (0..REPLICAS).map(|_| stage.start_from(earlier, layer, &SMALL_BATCHES).unwrap()).collect::<Vec<_>>()
    });
    for service in services.iter().flatten() {
        service.ready(START).await.unwrap();
    }
    let plan = Plan { seed, first_order_id: 1, orders: ORDERS, partitions: 3, mix: Mix::adversarial() };
    let stream = Stream::begin(&stage, "stg", Backlog::new(&dictionary, plan), PER_SECOND).unwrap();
    let now = this_release().unwrap();
    // A release's first replica migrates at its start, while the others go on.
    stage.pool.execute(later_migrations).await.unwrap();
    for release in [&*now, earlier, &*now] {
        services = roll_all(&stage, release, services).await;
    }
    let records = stream.end().await.unwrap();
    println!("{records} records");
    stage.settle(DRAIN).await.unwrap();
    assert_eq!(stage.faults(&services[2][0]).await.unwrap(), [""; 0]);
    drop(services);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_rolls_back_onto_the_tables_that_a_later_one_has_added_to() {
    rolls_in_and_back("rolls", &this_release().unwrap(), LATER_MIGRATIONS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tools/check-upgrade builds the earlier release and says where it is"]
async fn an_earlier_release_is_upgraded_and_comes_back() {
    let earlier = std::env::var("ORDERVAULT_EARLIER").unwrap();
    rolls_in_and_back("upgrade", Path::new(&earlier), "").await;
}
