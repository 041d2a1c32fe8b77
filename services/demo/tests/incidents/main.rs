//! Incidents, as whoever is on call sees them: exactly the alerts fire that `dashboards/README.md` promises, and the
//! dashboards say which layer it is, and why. Against a real Prometheus, with the rules' windows and waits shortened.

#![expect(clippy::unwrap_used, reason = "tests may")]

mod watch;

use std::time::Duration;

use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Mix, Produced, Trickle};
use ordervault_demo::own_server::OwnServer;
use ordervault_demo::stage::{LAYERS, Service, Stage, Stream, until};
use serde_json::{Value, json};
use sqlx::Executor as _;
use tokio::process::Command;

use watch::Watch;

const START: Duration = Duration::from_mins(1);
const PATIENCE: Duration = Duration::from_mins(3);

/// A pipeline with orders that come in all the while, and what watches it.
struct Scene {
    stage: Stage,
    dictionary: Dictionary,
    services: Vec<Service>,
    stream: Option<Stream>,
    watch: Watch,
}

/// Orders that come in from now on, with ids from `first`.
fn orders(stage: &Stage, dictionary: &Dictionary, first: i64) -> Stream {
    Stream::begin(stage, "stg", Trickle::new(dictionary, 7, first, Mix::calm()), 40.0).unwrap()
}

impl Scene {
    async fn set(mut stage: Stage, replicas_of_cdm: usize, settings: &[(&'static str, &str)]) -> Self {
        let dictionary = Dictionary::generate(7, 50, 10);
        dictionary.write(&mut stage.redis).await.unwrap();
        let layers = LAYERS.iter().chain(std::iter::repeat_n(&"cdm", replicas_of_cdm - 1));
        let services: Vec<Service> = layers.map(|layer| stage.start(layer, settings).unwrap()).collect();
        for service in &services {
            service.ready(START).await.unwrap();
        }
        let stream = Some(orders(&stage, &dictionary, 1));
        let watch = Watch::start(&services.iter().collect::<Vec<_>>()).await;
        Self { stage, dictionary, services, stream, watch }
    }

    fn of(&self, layer: &str) -> &Service {
        self.services.iter().find(|service| service.layer == layer).unwrap()
    }

    async fn shows_one_replica_of_cdm(&self) {
        until("one replica on the dashboard", PATIENCE, async || {
            let alive = self.watch.panel("pipeline", "How many replicas live?", "cdm").await;
            let of_cdm = alive.iter().find(|series| series["metric"]["layer"] == "cdm");
            Ok(of_cdm.is_some_and(|series| series["value"][1] == "1").then_some(()))
        })
        .await
        .unwrap();
    }

    async fn end_orders(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.end().await.unwrap();
        }
    }

    /// Waits until all is well again; then exactly these have fired since the start.
    async fn fired_exactly(mut self, expected: &[(&str, &str)]) {
        for service in &self.services {
            service.ready(START).await.unwrap();
        }
        self.end_orders().await;
        self.stage.settle(PATIENCE).await.unwrap();
        until("nothing to fire any more", PATIENCE, async || {
            let firing = self.watch.ask(r#"ALERTS{alertstate="firing"}"#).await;
            Ok(firing.is_some_and(|firing| firing.is_empty()).then_some(()))
        })
        .await
        .unwrap();
        self.watch.fired_exactly(expected).await;
        drop(self.services);
        self.stage.tear_down().await.unwrap();
    }
}

/// What a panel that shows 1 for well and 0 for not says is not well, by one label.
async fn unwell(watch: &Watch, panel: &str, layer: &str, label: &str) -> Vec<String> {
    let series = watch.panel("layer", panel, layer).await;
    let unwell = series.iter().filter(|series| series["value"][1] == "0");
    unwell.map(|series| series["metric"][label].as_str().unwrap().to_owned()).collect()
}

/// A server goes, the alert names it for each of these layers and nothing else fires, and after it nothing more.
async fn goes_away(name: &'static str, prefix: &str, check: &str, layers: &[&str]) {
    if !watch::is_installed() {
        return;
    }
    let server = OwnServer::start(name, &[]).unwrap();
    let stage = Stage::build_on(server.environment(prefix).unwrap(), &format!("incident_{name}"), 3).await.unwrap();
    let mut scene = Scene::set(stage, 1, &[]).await;
    let of: Vec<String> = layers.iter().map(|layer| format!("{layer} {check}")).collect();
    let expected: Vec<(&str, &str)> = of.iter().map(|of| ("DependencyAway", &**of)).collect();
    // A producer that sees its broker go and come back may stay silent for ever: librdkafka's issue 5301.
    let producer_outlives = name != "kafka";
    if !producer_outlives {
        scene.end_orders().await;
    }
    server.verb("stop").unwrap();
    scene.watch.fires(&expected).await;
    for layer in LAYERS {
        let expected: &[&str] = if layers.contains(&layer) { &[check] } else { &[] };
        assert_eq!(unwell(&scene.watch, "Which checks fail?", layer, "check").await, expected, "{layer}");
    }
    server.verb("start").unwrap();
    if !producer_outlives {
        scene.stream = Some(orders(&scene.stage, &scene.dictionary, 1_000_000));
    }
    scene.fired_exactly(&expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_normal_running_every_panel_and_every_alert_finds_what_it_asks_for_and_none_fires() {
    if !watch::is_installed() {
        return;
    }
    let stage = Stage::build("incident_none", 3).await.unwrap();
    let scene = Scene::set(stage, 1, &[]).await;
    scene.of("cdm").audit(&json!({})).await.unwrap();
    scene.of("cdm").read("/api/v1/product-counters").await.unwrap();
    let warehouse = scene.stage.environment("cdm");
    let of = |name: &str| warehouse[&format!("PG_WAREHOUSE_{name}")].clone();
    let address =
        format!("postgres://{}:{}@{}:{}/{}", of("USER"), of("PASSWORD"), of("HOST"), of("PORT"), of("DBNAME"));
    // Rates are known after a while, so it is asked until all of it is there.
    let check = || async {
        let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/check-watching");
        Command::new(tool).args(["--live", &scene.watch.url, &address]).output().await
    };
    let checked = until("every panel and every alert to have data", PATIENCE, async || {
        Ok(check().await?.status.success().then_some(()))
    });
    if let Err(error) = checked.await {
        panic!("{error}\n{}", String::from_utf8_lossy(&check().await.unwrap().stdout));
    }
    scene.fired_exactly(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_database_is_named_for_every_layer_and_nothing_else_fires() {
    goes_away("postgres", "PG_", "postgres", &LAYERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_kafka_is_named_for_every_layer_and_nothing_else_fires() {
    goes_away("kafka", "KAFKA_", "kafka", &LAYERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_redis_is_named_for_stg_alone() {
    goes_away("redis", "REDIS_", "redis", &["stg"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_stream_trips_the_breaker_of_the_layer_that_reads_it() {
    if !watch::is_installed() {
        return;
    }
    let stage = Stage::build("incident_poison", 3).await.unwrap();
    let scene = Scene::set(stage, 1, &[("DEAD_LETTER_BREAKER_RECORDS", "100")]).await;
    let poison = (0..1_000).map(|_| Produced { key: None, partition: None, payload: b"poison".to_vec() });
    scene.stage.produce("stg", poison).await.unwrap();
    scene.watch.fires(&[("BreakerTripped", "stg")]).await;
    let why = scene.watch.panel("layer", "Why is it paused?", "stg").await;
    let breaker = why.iter().find(|series| series["metric"]["kind"] == "dead_letter_breaker").unwrap();
    assert_eq!(breaker["value"][1], "1");
    // Once it is resumed, what was set aside is still there to be looked at; the last of it may trip the breaker again.
    let told = ("DeadLettersOpen".to_owned(), "stg".to_owned());
    until("the poison that was set aside to be told of", 2 * PATIENCE, async || {
        let stg = scene.of("stg");
        if stg.consumer().await?["desired_state"] == "paused" {
            stg.resume().await?;
        }
        let open: i64 = sqlx::query_scalar("select count(*) from ops.dead_letters where status = 'open'")
            .fetch_one(&scene.stage.pool)
            .await?;
        Ok((open == 1_000 && scene.watch.fired().await.contains(&told)).then_some(()))
    })
    .await
    .unwrap();
    let codes = scene.watch.panel("layer", "Which dead letters are there?", "stg").await;
    assert!(codes.iter().any(|series| series["metric"]["code"] == "invalid_json"), "{codes:?}");
    sqlx::query("delete from ops.dead_letters").execute(&scene.stage.pool).await.unwrap();
    scene.fired_exactly(&[("BreakerTripped", "stg"), ("DeadLettersOpen", "stg")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_on_purpose_tells_of_nothing_but_its_length() {
    if !watch::is_installed() {
        return;
    }
    let stage = Stage::build("incident_paused", 3).await.unwrap();
    let scene = Scene::set(stage, 1, &[]).await;
    scene.of("cdm").pause(&json!({"reason": "menu migration"})).await.unwrap();
    until("lag over the objective", PATIENCE, async || {
        let behind = scene.watch.ask(r#"ordervault:lag_seconds:max{layer="cdm"} > 45"#).await;
        Ok(behind.is_some_and(|behind| !behind.is_empty()).then_some(()))
    })
    .await
    .unwrap();
    scene.watch.fired_exactly(&[]).await;
    scene.watch.fires(&[("PausedLong", "cdm")]).await;
    scene.of("cdm").resume().await.unwrap();
    scene.fired_exactly(&[("PausedLong", "cdm")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_hangs_is_told_of_though_its_dependencies_answer() {
    if !watch::is_installed() {
        return;
    }
    let stage = Stage::build("incident_hung", 3).await.unwrap();
    let scene = Scene::set(stage, 1, &[]).await;
    // Somebody holds a lock for long: the server answers, and no batch comes to its end.
    let mut other = scene.stage.pool.begin().await.unwrap();
    other.execute("lock table cdm.user_product_counters in access exclusive mode").await.unwrap();
    scene.watch.fires(&[("NoProgress", "cdm")]).await;
    assert_eq!(unwell(&scene.watch, "Which checks fail?", "cdm", "check").await, [""; 0]);
    other.rollback().await.unwrap();
    scene.fired_exactly(&[("NoProgress", "cdm")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_stands_still_is_told_of_while_the_others_do_its_work() {
    if !watch::is_installed() {
        return;
    }
    let stage = Stage::build("incident_still", 3).await.unwrap();
    let scene = Scene::set(stage, 2, &[]).await;
    let still = scene.services.last().unwrap();
    still.freeze().unwrap();
    scene.watch.fires(&[("TargetDown", "cdm")]).await;
    scene.shows_one_replica_of_cdm().await;
    still.thaw().unwrap();
    scene.fired_exactly(&[("TargetDown", "cdm")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_lost_is_told_of_while_the_others_go_on() {
    if !watch::is_installed() {
        return;
    }
    let stage = Stage::build("incident_lost", 3).await.unwrap();
    let mut scene = Scene::set(stage, 2, &[]).await;
    let mut lost = scene.services.pop().unwrap();
    lost.kill().await.unwrap();
    scene.watch.fires(&[("TargetDown", "cdm")]).await;
    scene.shows_one_replica_of_cdm().await;
    // It stays lost, so its alert fires on; nothing else does.
    scene.end_orders().await;
    scene.stage.settle(PATIENCE).await.unwrap();
    scene.watch.fired_exactly(&[("TargetDown", "cdm")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_database_shows_as_growing_lag_of_the_layer_that_it_slows() {
    if !watch::is_installed() {
        return;
    }
    let stage = Stage::build("incident_slow", 3).await.unwrap();
    let scene = Scene::set(stage, 1, &[("BATCH_MAX_RECORDS", "10")]).await;
    let slow = "create function cdm.slow() returns trigger language plpgsql as 'begin perform pg_sleep(3); return null; end'; \
                create trigger slow before insert on cdm.user_product_counters for each statement execute function cdm.slow()";
    scene.stage.pool.execute(slow).await.unwrap();
    scene.watch.fires(&[("LagGrows", "cdm")]).await;
    let time = scene.watch.panel("layer", "Where does the time go?", "cdm").await;
    let share = |series: &&Value| series["value"][1].as_str().unwrap().parse::<f64>().unwrap();
    let most = time.iter().max_by(|one, other| share(one).total_cmp(&share(other))).unwrap();
    assert_eq!(most["metric"]["stage"], "database");
    scene.stage.pool.execute("drop trigger slow on cdm.user_product_counters").await.unwrap();
    scene.fired_exactly(&[("LagGrows", "cdm")]).await;
}
