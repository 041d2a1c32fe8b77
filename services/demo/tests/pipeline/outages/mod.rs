//! The surroundings go away and come back while orders flow: nothing is lost, the services stay alive, say what is
//! wrong, and go on by themselves.

mod nameless;
mod scene;

use std::time::Duration;

use ordervault_demo::orders::Produced;
use ordervault_demo::own_server::OwnServer;
use ordervault_demo::proxy::{Cut, Proxy};
use ordervault_demo::stage::{Commit, LAYERS, until};
use serde_json::json;

use crate::proxied::{address, behind_a_proxy, listener};

use scene::{DRAIN, NOTICE, SMALL_BATCHES, START, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_that_crashes_and_comes_back_loses_nothing() {
    let postgres = OwnServer::start("postgres", &[]).unwrap();
    let mut scene = Scene::set(postgres.environment("PG_").unwrap(), "pg_crash").await;
    scene.start().await;
    scene.produce(1_000).await;
    postgres.verb("kill").unwrap();
    scene.produce(1_000).await;
    for layer in LAYERS {
        scene.named(layer, "postgres").await;
    }
    postgres.verb("start").unwrap();
    scene.recovered().await;
    scene.produce(200).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_counted_again_as_soon_as_postgresql_is_back() {
    let postgres = OwnServer::start("postgres", &[]).unwrap();
    let mut scene = Scene::set(postgres.environment("PG_").unwrap(), "pg_letters").await;
    scene.start().await;
    postgres.verb("kill").unwrap();
    scene.named("stg", "postgres").await;
    // The outage has to outlast the wait for a connection, and nobody tells when that is given up.
    tokio::time::sleep(Duration::from_secs(15)).await;
    postgres.verb("start").unwrap();
    scene.recovered().await;
    let bad = Produced { key: None, partition: None, payload: b"nonsense".to_vec() };
    scene.stage.produce("stg", [bad]).await.unwrap();
    until("the dead letter in the metrics", NOTICE, async || {
        let (_, text) = scene.services[0].get("/metrics").await?;
        let mut open =
            text.lines().filter(|line| line.starts_with("ordervault_dead_letters{") && line.contains("open"));
        Ok(open.any(|line| line.ends_with(" 1")).then_some(()))
    })
    .await
    .unwrap();
    drop(scene.services);
    scene.stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_that_is_restarted_loses_nothing() {
    let kafka = OwnServer::start("kafka", &[]).unwrap();
    let mut scene = Scene::set(kafka.environment("KAFKA_").unwrap(), "kafka_restart").await;
    scene.start().await;
    scene.produce(1_500).await;
    kafka.verb("stop").unwrap();
    for layer in LAYERS {
        scene.named(layer, "kafka").await;
    }
    kafka.verb("start").unwrap();
    scene.recovered().await;
    scene.produce(500).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_that_is_away_for_ten_seconds_loses_nothing() {
    let redis = OwnServer::start("redis", &[]).unwrap();
    let mut scene = Scene::set(redis.environment("REDIS_").unwrap(), "redis_away").await;
    scene.start().await;
    redis.verb("stop").unwrap();
    let away = tokio::time::Instant::now();
    scene.produce(1_000).await;
    scene.named("stg", "redis").await;
    tokio::time::sleep_until(away + Duration::from_secs(10)).await;
    assert!(scene.services.iter().all(|service| service.process.id().is_some()), "a service has ended");
    redis.verb("start").unwrap();
    scene.recovered().await;
    // The recount asks the dictionary as well, by a connection that has seen the server go.
    let environment = redis.environment("REDIS_").unwrap();
    let address = format!(
        "redis://:{}@{}:{}",
        environment["REDIS_PASSWORD"], environment["REDIS_HOST"], environment["REDIS_PORT"]
    );
    scene.stage.redis = redis::Client::open(address).unwrap().get_multiplexed_async_connection().await.unwrap();
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_whose_host_dies_without_a_word_is_asked_anew() {
    let (environment, proxy) = behind_a_proxy("REDIS_HOST", "REDIS_PORT").await;
    let mut scene = Scene::set(environment, "redis_silent").await;
    scene.start().await;
    proxy.cut_when(Cut::Silently, 1, |piece| piece.windows(4).any(|window| window == b"MGET"));
    scene.produce(500).await;
    sprung(&proxy).await;
    scene.end().await;
}

async fn sprung(proxy: &Proxy) {
    until("the cuts", DRAIN, async || Ok((proxy.cuts_left() == 0).then_some(()))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_in_the_middle_of_a_commit_lose_nothing_and_count_nothing_twice() {
    let (environment, proxy) = behind_a_proxy("PG_WAREHOUSE_HOST", "PG_WAREHOUSE_PORT").await;
    let mut scene = Scene::set(environment, "cut_commit").await;
    scene.start().await;
    for cut in [Cut::After, Cut::Before] {
        proxy.cut_when(cut, 12, |piece| piece.windows(6).any(|window| window == b"COMMIT"));
        scene.produce(1_500).await;
        sprung(&proxy).await;
    }
    scene.recovered().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_in_the_middle_of_a_publish_lose_nothing() {
    let before_kafka = listener().await;
    let advertised = before_kafka.local_addr().unwrap().port();
    let kafka = OwnServer::start("kafka", &[("KAFKA_ADVERTISED_PORT", advertised.to_string())]).unwrap();
    let mut environment = kafka.environment("KAFKA_").unwrap();
    let proxy = Proxy::start(before_kafka, address(&environment, "KAFKA_HOST", "KAFKA_PORT")).unwrap();
    environment.insert("KAFKA_PORT".to_owned(), advertised.to_string());
    let mut scene = Scene::set(environment, "cut_publish").await;
    scene.produce(3_000).await;
    // The generator is done, so whoever produces now is one of the services. A request begins with its length and its
    // kind, and a produce request is of the kind 0.
    let is_produce = |piece: &[u8]| piece.len() > 100 && piece[4..6] == [0, 0];
    for cut in [Cut::After, Cut::Before] {
        proxy.cut_when(cut, 8, is_produce);
        if scene.services.is_empty() {
            scene.start().await;
        }
        sprung(&proxy).await;
    }
    proxy.cut_all();
    scene.recovered().await;
    scene.end().await;
}

/// Whether one of the requests is to join a group. Each begins with its length and its kind, which is 11 then.
fn asks_to_join(mut requests: &[u8]) -> bool {
    while let [a, b, c, d, high, low, ..] = *requests {
        if [high, low] == [0, 11] {
            return true;
        }
        let length = 4 + usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap();
        requests = requests.get(length..).unwrap_or_default();
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_nobody_can_join_is_taken_where_a_reset_says_and_begins_there() {
    let before_kafka = listener().await;
    let advertised = before_kafka.local_addr().unwrap().port();
    let kafka = OwnServer::start("kafka", &[("KAFKA_ADVERTISED_PORT", advertised.to_string())]).unwrap();
    let mut environment = kafka.environment("KAFKA_").unwrap();
    let proxy = Proxy::start(before_kafka, address(&environment, "KAFKA_HOST", "KAFKA_PORT")).unwrap();
    environment.insert("KAFKA_PORT".to_owned(), advertised.to_string());
    let mut scene = Scene::set(environment, "nobody").await;
    scene.produce(300).await;
    proxy.cut_when(Cut::Before, usize::MAX, asks_to_join);
    let first = scene.stage.start("stg", &SMALL_BATCHES).unwrap();
    let reset = json!({"to": {"offsets": {"0": 40, "2": 60}}, "skip_records": true, "dry_run": false});
    let path = "/api/v1/consumer/offsets/reset?wait=60s";
    // Before it has made its tables and found the broker it cannot take the order.
    let operation = until("the reset", START, async || {
        let answer = first.post(path, &reset).await;
        Ok(answer.ok().filter(|(status, _)| status.is_success()).map(|(_, operation)| operation))
    })
    .await
    .unwrap();
    let operation = first.finished(&operation, NOTICE).await.unwrap();
    let member = &first.read("/api/v1/consumer").await.unwrap()["members"][0];
    assert_eq!((&operation["state"], &member["partitions"]), (&json!("done"), &json!([])), "{operation}");
    let results: Vec<_> = operation["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            assert_eq!((&result["outcome"], &result["member"]), (&json!("applied"), &member["id"]), "{operation}");
            (result["partition"].as_i64().unwrap(), result["offset"].as_i64().unwrap())
        })
        .collect();
    assert_eq!(results, [(0, 40), (2, 60)]);
    let mark = operation["id"].as_str().unwrap().to_owned();
    let committed = |partition, offset| Commit { partition, offset, mark: mark.clone() };
    assert_eq!(scene.stage.commits("stg").await.unwrap(), [committed(0, 40), committed(2, 60)]);

    proxy.cut_when(Cut::Before, 0, |_| true);
    until("the end of the topic", DRAIN, async || Ok((scene.stage.lag("stg").await? == 0).then_some(())))
        .await
        .unwrap();
    let commits = scene.stage.commits("stg").await.unwrap();
    assert!(commits.iter().all(|commit| commit.offset >= [40, 0, 60][usize::try_from(commit.partition).unwrap()]));
    let applied: i64 =
        sqlx::query_scalar("select count(*) from stg.order_events").fetch_one(&scene.stage.pool).await.unwrap();
    assert!(applied < 300, "{applied} orders, though records were skipped");
    // What was skipped is made good.
    let (_, again) = first.post(path, &json!({"to": "earliest", "dry_run": false})).await.unwrap();
    assert_eq!(again["state"], "done", "{again}");
    scene.start().await;
    scene.services.push(first);
    scene.end().await;
}
