//! Stored orders sent onward again rebuild the layers behind STG, whatever becomes of the sender.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::NaiveDateTime;
use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::kafka::{Record, read_topic};
use ordervault_demo::orders::{Backlog, Mix, Plan};
use ordervault_demo::recount::{NameCheck, Orders, Recount, Snapshot};
use ordervault_demo::stage::{LAYERS, Service, Stage, until};
use redis::AsyncCommands as _;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_mins(2);
const DRAIN: Duration = Duration::from_mins(10);
const REPUBLISH: &str = "/api/v1/order-events/republish";
/// Orders a second where the middle of a republication is waited for.
const RATE: i64 = 200;
/// As many orders are sent before it is noted how far the republication is: a tenth of a second's.
const PORTION: i64 = RATE / 10;

/// All layers with a hostile backlog behind them, and nothing left of it behind STG, which has two replicas.
struct Scene {
    stage: Stage,
    stg: Vec<Service>,
    behind: Vec<Service>,
    dictionary: Dictionary,
    orders: i64,
}

impl Scene {
    async fn set(name: &str, orders: i64) -> Self {
        let mut stage = Stage::build(name, 3).await.unwrap();
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let dictionary = Dictionary::generate(seed, 200, 20);
        dictionary.write(&mut stage.redis).await.unwrap();
        let count = orders.unsigned_abs();
        // Many without one of the times that make a version, and some without both.
        let mix = Mix { without_sent_dttm: 0.5, without_update_ts: 0.5, ..Mix::adversarial() };
        let plan = Plan { seed, first_order_id: 1, orders: count, partitions: 3, mix };
        stage.produce("stg", Backlog::new(&dictionary, plan)).await.unwrap();
        let mut stg = Vec::new();
        for _ in 0..2 {
            // One after the other, so that the members' ids, which grow with time, stand in the same order.
            stg.push(stage.start("stg", &[]).unwrap());
            stg[stg.len() - 1].ready(PATIENCE).await.unwrap();
        }
        let behind: Vec<Service> = LAYERS[1..].iter().map(|layer| stage.start(layer, &[]).unwrap()).collect();
        for service in &behind {
            service.ready(PATIENCE).await.unwrap();
        }
        stage.settle(DRAIN).await.unwrap();
        for report in stage.recount(&NameCheck::Present).await.unwrap() {
            assert!(report.is_equal(), "{report}");
        }
        let tables: Vec<String> = sqlx::query_scalar(
            "select format('%I.%I', schemaname, tablename) from pg_tables \
             where schemaname in ('dds', 'cdm') and tablename <> 'schema_migrations'",
        )
        .fetch_all(&stage.pool)
        .await
        .unwrap();
        let truncate = format!("truncate {}", tables.join(", "));
        sqlx::query(sqlx::AssertSqlSafe(truncate)).execute(&stage.pool).await.unwrap();
        Self { stage, stg, behind, dictionary, orders }
    }

    /// Counts what would be sent.
    async fn count(&self, mut request: Value) -> i64 {
        request.as_object_mut().unwrap().remove("dry_run");
        let (status, answer) = self.stg[0].post(REPUBLISH, &request).await.unwrap();
        assert_eq!((status.as_u16(), &answer["dry_run"]), (200, &json!(true)), "{answer}");
        answer["count"].as_i64().unwrap()
    }

    async fn begin(&self, request: &Value) -> Value {
        let (status, operation) = self.stg[0].post(REPUBLISH, request).await.unwrap();
        assert_eq!((status.as_u16(), &operation["kind"]), (202, &json!("republish")), "{operation}");
        operation
    }

    async fn finished(&self, operation: &Value) -> Value {
        self.stg[0].finished(operation, PATIENCE).await.unwrap()
    }

    /// Waits until so many orders have been sent and that was noted; returns the operation as it is then.
    async fn sent(&self, operation: &Value, orders: i64) -> Value {
        let path = format!("/api/v1/operations/{}", operation["id"].as_str().unwrap());
        until("the middle", PATIENCE, async || {
            let operation = self.stg[0].read(&path).await?;
            Ok((number(&operation, "done") >= orders).then_some(operation))
        })
        .await
        .unwrap()
    }

    /// The orders that lie on the topic of DDS, each as often as it lies there.
    async fn onward(&self) -> Vec<i64> {
        let (cluster, topic) = (self.stage.cluster.clone(), self.stage.source_topic("dds"));
        let read = tokio::task::spawn_blocking(move || {
            let mut orders = Vec::new();
            let id = |record: Record<'_>| -> i64 { std::str::from_utf8(record.key.unwrap()).unwrap().parse().unwrap() };
            read_topic(&cluster, &topic, |record| orders.push((record.partition, record.offset, id(record)))).unwrap();
            orders
        });
        read.await.unwrap().into_iter().map(|(.., id)| id).collect()
    }

    /// Everything drains; then STG has what the topic says, and the layers behind it what its newest versions say.
    async fn end(mut self) {
        let stage = &mut self.stage;
        stage.settle(DRAIN).await.unwrap();
        let stored = stage.recount(&NameCheck::Present).await.unwrap().remove(0);
        assert!(stored.is_equal(), "{stored}");
        let newest = newest(stage).await;
        let mut orders = Orders::default();
        for (offset, (timestamp, _, payload)) in (0..).zip(newest.values()) {
            orders.add(Record { partition: 0, offset, timestamp: *timestamp, key: None, payload: Some(payload) });
        }
        let snapshot = Snapshot::read(&mut stage.redis, &orders).await.unwrap();
        let recount = Recount::new(&orders, &snapshot, &NameCheck::Present);
        for report in [recount.compare_dds(&stage.pool).await.unwrap(), recount.compare_cdm(&stage.pool).await.unwrap()]
        {
            assert!(report.is_equal(), "{report}");
        }
        let versions: Vec<(i64, NaiveDateTime)> =
            sqlx::query_as("select order_id, effective_dt from dds.s_order_status join dds.h_order using (h_order_pk)")
                .fetch_all(&stage.pool)
                .await
                .unwrap();
        let versions: BTreeMap<i64, NaiveDateTime> = versions.into_iter().collect();
        assert_eq!(versions, newest.into_iter().map(|(id, (_, version, _))| (id, version)).collect());
        drop((self.stg, self.behind));
        self.stage.tear_down().await.unwrap();
    }
}

fn number(operation: &Value, name: &str) -> i64 {
    operation["progress"][name].as_i64().unwrap()
}

fn time(value: &Value) -> Option<NaiveDateTime> {
    NaiveDateTime::parse_from_str(value.as_str()?, "%Y-%m-%d %H:%M:%S%.f").ok()
}

/// Of each order on the source topic the newest version: when it entered Kafka, its version, and the message.
async fn newest(stage: &Stage) -> BTreeMap<i64, (Option<i64>, NaiveDateTime, Vec<u8>)> {
    let (cluster, topic) = (stage.cluster.clone(), stage.source_topic("stg"));
    let read = tokio::task::spawn_blocking(move || {
        let mut newest: BTreeMap<i64, (Option<i64>, NaiveDateTime, Vec<u8>)> = BTreeMap::new();
        let (mut by_update, mut by_sending, mut by_date) = (0, 0, 0);
        read_topic(&cluster, &topic, |record| {
            let message: Value = serde_json::from_slice(record.payload.unwrap()).unwrap();
            let payload = &message["payload"];
            let (times, count) = match (time(&payload["update_ts"]), time(&message["sent_dttm"])) {
                (Some(updated), _) => (updated, &mut by_update),
                (None, Some(sent)) => (sent, &mut by_sending),
                (None, None) => (time(&payload["date"]).unwrap(), &mut by_date),
            };
            *count += 1;
            let held = newest.entry(message["object_id"].as_i64().unwrap()).or_default();
            if held.1 <= times {
                *held = (record.timestamp, times, record.payload.unwrap().to_vec());
            }
        })
        .unwrap();
        assert!(by_update > 0 && by_sending > 0 && by_date > 0, "a kind of version is missing");
        newest
    });
    read.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn emptied_layers_are_rebuilt_from_stored_orders_though_the_sender_falls_and_somebody_cancels() {
    let mut scene = Scene::set("republish", 3_000).await;
    let (all, half) = (scene.orders, scene.orders / 2);
    assert_eq!(scene.count(json!({})).await, all);
    let lower = json!({"ids": {"to": half}, "max_per_second": RATE, "dry_run": false, "reason": "a test"});
    assert_eq!(scene.count(lower.clone()).await, half);
    let before = i64::try_from(scene.onward().await.len()).unwrap();

    // Whoever sends falls in the middle, and the other replica goes on from there.
    let operation = scene.begin(&lower).await;
    scene.sent(&operation, half / 10).await;
    let runner: String = sqlx::query_scalar("select runner::text from ops.operations where id::text = $1")
        .bind(operation["id"].as_str().unwrap())
        .fetch_one(&scene.stage.pool)
        .await
        .unwrap();
    let shown = scene.stg[0].read("/api/v1/consumer").await.unwrap();
    let place = shown["members"].as_array().unwrap().iter().position(|member| member["id"] == *runner).unwrap();
    scene.stg.remove(place).kill().await.unwrap();
    let ended = scene.finished(&operation).await;
    assert_eq!((&ended["state"], number(&ended, "done")), (&json!("done"), half), "{ended}");
    assert_eq!((number(&ended, "matched"), number(&ended, "failed")), (half, 0), "{ended}");
    let onward = i64::try_from(scene.onward().await.len()).unwrap() - before;
    assert!((half..=half + PORTION).contains(&onward), "{onward} orders were sent, of {half}");

    // The other half is cancelled in its middle; nothing is sent any more, until the rest is asked for.
    let before = i64::try_from(scene.onward().await.len()).unwrap();
    let upper = json!({"ids": {"from": half + 1}, "max_per_second": RATE / 4, "dry_run": false});
    assert_eq!(scene.count(upper.clone()).await, all - half);
    let operation = scene.begin(&upper).await;
    scene.sent(&operation, 1).await;
    let path = format!("/api/v1/operations/{}/cancel", operation["id"].as_str().unwrap());
    let (status, answer) = scene.stg[0].post(&path, &json!({"reason": "enough"})).await.unwrap();
    assert_eq!(status, 202, "{answer}");
    let cancelled = scene.finished(&operation).await;
    let done = number(&cancelled, "done");
    assert!(cancelled["state"] == "cancelled" && (1..all - half).contains(&done), "{cancelled}");
    let rest = json!({"ids": {"from": half + done + 1}, "max_per_second": 10_000, "dry_run": false});
    assert_eq!(scene.count(rest.clone()).await, all - half - done);
    assert_eq!(i64::try_from(scene.onward().await.len()).unwrap(), before + done);
    let ended = scene.finished(&scene.begin(&rest).await).await;
    assert_eq!((&ended["state"], number(&ended, "done")), (&json!("done"), all - half - done), "{ended}");
    assert_eq!(i64::try_from(scene.onward().await.len()).unwrap(), before + all - half);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_chosen_by_their_time_and_wait_for_users_who_have_left() {
    let mut scene = Scene::set("republish_times", 400).await;
    let newest = newest(&scene.stage).await;
    let user = |message: &[u8]| -> String {
        serde_json::from_slice::<Value>(message).unwrap()["payload"]["user"]["id"].as_str().unwrap().to_owned()
    };
    let gone = user(&newest[&1].2);
    let theirs = i64::try_from(newest.values().filter(|(.., message)| user(message) == gone).count()).unwrap();
    let _: () = scene.stage.redis.del(&gone).await.unwrap();
    // A replica that has not heard of the user.
    let mut forgetful = scene.stage.start("stg", &[]).unwrap();
    forgetful.ready(PATIENCE).await.unwrap();
    std::mem::swap(&mut scene.stg[0], &mut forgetful);
    scene.stg.truncate(1);
    drop(forgetful);

    let sent: Vec<(i64, NaiveDateTime)> =
        sqlx::query_as("select object_id, sent_dttm from stg.order_events order by sent_dttm, object_id")
            .fetch_all(&scene.stage.pool)
            .await
            .unwrap();
    // At or after the beginning, before the end: an order at the boundary belongs to the second part.
    let boundary = sent[sent.len() / 2].1;
    let chosen = |is_chosen: &dyn Fn(NaiveDateTime) -> bool| -> BTreeSet<i64> {
        sent.iter().filter(|(_, sent)| is_chosen(*sent)).map(|(id, _)| *id).collect()
    };
    let (first, second) = (chosen(&|sent| sent < boundary), chosen(&|sent| sent >= boundary));
    let mut failed = 0;
    let mut waiting = BTreeSet::new();
    for (range, ids) in [("to", first), ("from", second)] {
        let before = scene.onward().await.len();
        let request = json!({"sent": {range: boundary.and_utc()}, "max_per_second": 10_000, "dry_run": false});
        assert_eq!(scene.count(request.clone()).await, i64::try_from(ids.len()).unwrap());
        let ended = scene.finished(&scene.begin(&request).await).await;
        assert_eq!((&ended["state"], number(&ended, "done")), (&json!("done"), number(&ended, "matched")), "{ended}");
        failed += number(&ended, "failed");
        let lacking = ids.iter().copied().filter(|id| user(&newest[id].2) == gone);
        waiting.extend(lacking.clone());
        let lacking: BTreeSet<i64> = lacking.collect();
        let mut expected: Vec<i64> = ids.difference(&lacking).copied().collect();
        expected.sort_unstable();
        assert_eq!(scene.onward().await.len() - before, expected.len(), "{range}");
    }
    assert_eq!(failed, theirs);
    let letters: Vec<(i64, String, String)> = sqlx::query_as(
        r#"select "offset", status, code from ops.dead_letters where topic = 'stg.order_events' order by "offset""#,
    )
    .fetch_all(&scene.stage.pool)
    .await
    .unwrap();
    let expected: Vec<(i64, String, String)> =
        waiting.iter().map(|id| (*id, "waiting".to_owned(), "user_unknown".to_owned())).collect();
    assert_eq!(letters, expected);

    scene.dictionary.write(&mut scene.stage.redis).await.unwrap();
    scene.stage.settle(DRAIN).await.unwrap();
    let resolved: i64 = sqlx::query_scalar("select count(*) from ops.dead_letters where status = 'resolved'")
        .fetch_one(&scene.stage.pool)
        .await
        .unwrap();
    assert_eq!(resolved, theirs);
    scene.end().await;
}
