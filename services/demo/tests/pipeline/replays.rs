//! Ten thousand dead letters replayed: at the rate that was asked for, up to a cap, until a cancellation, over the death
//! of the member at work, and without a trace in the numbers.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan, Produced};
use ordervault_demo::recount::NameCheck;
use ordervault_demo::stage::{OPERATOR, Service, Stage, until};
use serde_json::{Value, json};
use sqlx::Executor as _;
use uuid::Uuid;

use crate::beginnings::replica;

const LAYER: &str = "stg";
const LETTERS: usize = 10_000;
/// Records that come after those, once the cause is mended.
const LATER: usize = 1_500;
const RATE: u32 = 500;
const CAP: u32 = 3_000;
/// As many as a member sends before it notes how far it is, at this rate.
const PORTION: i64 = 50;
const PATIENCE: Duration = Duration::from_mins(2);
const DRAIN: Duration = Duration::from_mins(10);
const A_WHILE: Duration = Duration::from_secs(6);
const SETTINGS: [(&str, &str); 1] = [("DEAD_LETTER_BREAKER_PERCENT", "100")];

async fn count(stage: &Stage, status: &str) -> i64 {
    sqlx::query_scalar("select count(*) from ops.dead_letters where layer = $1 and status = $2")
        .bind(LAYER)
        .bind(status)
        .fetch_one(&stage.pool)
        .await
        .unwrap()
}

/// Asks for a replay of all that PostgreSQL refused; returns the operation.
async fn replay(service: &Service, bounds: &Value) -> Value {
    let mut request = json!({"filter": {"code": "database_refused:23514"}, "dry_run": false, "reason": "mended"});
    request.as_object_mut().unwrap().extend(bounds.as_object().unwrap().clone());
    let (status, operation) = service.post("/api/v1/dead-letters/replays", &request).await.unwrap();
    assert_eq!((status.as_u16(), &operation["kind"]), (202, &json!("dead_letter_replay")), "{operation}");
    operation
}

/// A replay, asked for and done.
async fn replayed(service: &Service, bounds: &Value) -> Value {
    let asked = replay(service, bounds).await;
    service.finished(&asked, DRAIN).await.unwrap()
}

/// Waits until a replay has sent so many.
async fn done(service: &Service, operation: &Value, least: i64) {
    until("a replay", PATIENCE, async || {
        Ok((number(&service.operation(&operation["id"]).await?, "done") >= least).then_some(()))
    })
    .await
    .unwrap();
}

fn number(operation: &Value, name: &str) -> i64 {
    operation["progress"][name].as_i64().unwrap()
}

/// Records a second, by the operation's own account.
fn rate(operation: &Value) -> f64 {
    let time = |name: &str| operation[name].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    let seconds = (time("finished_at") - time("created_at")).as_seconds_f64();
    f64::from(u32::try_from(number(operation, "done")).unwrap()) / seconds
}

fn ids(messages: &[Produced]) -> BTreeSet<i64> {
    let id = |message: &Produced| serde_json::from_slice::<Value>(&message.payload).unwrap()["object_id"].as_i64();
    messages.iter().filter_map(id).collect()
}

/// The member that works on an operation.
async fn runner(stage: &Stage, operation: &Value) -> Uuid {
    let id: Uuid = operation["id"].as_str().unwrap().parse().unwrap();
    sqlx::query_scalar("select runner from ops.operations where id = $1").bind(id).fetch_one(&stage.pool).await.unwrap()
}

/// The members of the layer that live.
async fn members(service: &Service) -> BTreeSet<Uuid> {
    let report = service.consumer().await.unwrap();
    let live = report["members"].as_array().unwrap().iter().filter(|member| member["state"] != "gone");
    live.map(|member| member["id"].as_str().unwrap().parse().unwrap()).collect()
}

/// A stage and records for it, of which PostgreSQL refuses the first `letters`: they are dead letters by now, and the cause
/// is mended. The rest is not yet produced.
async fn scene(name: &str, letters: usize, rest: usize) -> (Stage, Service, Vec<Produced>) {
    let mut stage = Stage::build(name, 3).await.unwrap();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let dictionary = Dictionary::generate(seed, 400, 30);
    dictionary.write(&mut stage.redis).await.unwrap();
    let plan = Plan { seed, first_order_id: 1, orders: 8_000, partitions: 3, mix: Mix::adversarial() };
    let backlog: Vec<Produced> = Backlog::new(&dictionary, plan).take(letters + rest).collect();
    stage.migrate(LAYER).await.unwrap();
    let refuse = "alter table stg.order_events add constraint refused check (object_id < 0)";
    stage.pool.execute(refuse).await.unwrap();
    stage.produce(LAYER, backlog[..letters].to_vec()).await.unwrap();
    let service = replica(&stage, LAYER, &SETTINGS).await;
    stage.drained(LAYER, DRAIN).await.unwrap();
    assert_eq!(count(&stage, "open").await, i64::try_from(letters).unwrap());
    stage.pool.execute("alter table stg.order_events drop constraint refused").await.unwrap();
    (stage, service, backlog)
}

/// Starts a second replica; returns the member that was there before, for telling them apart.
async fn joined(stage: &Stage, first: &Service) -> (Uuid, Service) {
    let member = *members(first).await.first().unwrap();
    let second = replica(stage, LAYER, &SETTINGS).await;
    until("two members", PATIENCE, async || Ok((members(&second).await.len() == 2).then_some(()))).await.unwrap();
    (member, second)
}

async fn cancel(service: &Service, operation: &Value) {
    let path = format!("/api/v1/operations/{}/cancel", operation["id"].as_str().unwrap());
    let (status, answer) = service.post(&path, &json!({})).await.unwrap();
    assert_eq!(status, 202, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_letters_are_replayed_at_their_rate_none_is_lost_and_none_counts_twice() {
    let (stage, first, backlog) = scene("replays", LETTERS, LATER).await;
    let (refused, later) = backlog.split_at(LETTERS);

    // As fast as this machine can; then no faster than asked for, up to a cap.
    let unhindered = replayed(&first, &json!({"max_per_second": 10_000, "limit": 500})).await;
    assert_eq!((&unhindered["state"], number(&unhindered, "done")), (&json!("done"), 500), "{unhindered}");
    let capped = replayed(&first, &json!({"max_per_second": RATE, "limit": CAP})).await;
    assert_eq!(capped["progress"], json!({"matched": LETTERS - 500, "done": CAP, "succeeded": CAP, "failed": 0}));
    assert_eq!((&capped["state"], &capped["actor"]), (&json!("done"), &json!(OPERATOR)));
    assert_eq!(count(&stage, "resolved").await, 500 + i64::from(CAP));
    assert!(rate(&capped) <= 1.1 * f64::from(RATE), "{capped}");

    // Cancelled in the middle.
    let asked = replay(&first, &json!({"max_per_second": RATE})).await;
    done(&first, &asked, 1_000).await;
    cancel(&first, &asked).await;
    let cancelled = first.finished(&asked, DRAIN).await.unwrap();
    assert_eq!((&cancelled["state"], &cancelled["cancelled_by"]), (&json!("cancelled"), &json!(OPERATOR)));
    assert!(number(&cancelled, "done") < number(&cancelled, "matched"), "{cancelled}");
    assert!(rate(&cancelled) <= 1.1 * f64::from(RATE), "{cancelled}");
    let so_far = 500 + i64::from(CAP) + number(&cancelled, "done");
    assert_eq!(count(&stage, "resolved").await, so_far);
    stage.let_pass(LAYER, A_WHILE, PATIENCE).await.unwrap();
    assert_eq!(count(&stage, "resolved").await, so_far, "it went on after it was cancelled");

    // Newer versions come, and are not to be undone by what is replayed after them.
    assert!(!ids(refused).is_disjoint(&ids(later)), "no order has versions on both sides");
    stage.produce(LAYER, later.to_vec()).await.unwrap();
    stage.drained(LAYER, DRAIN).await.unwrap();

    // On with a new one, whose member is killed in its middle.
    let (first_member, second) = joined(&stage, &first).await;
    let asked = replay(&first, &json!({"max_per_second": RATE})).await;
    done(&first, &asked, 1_000).await;
    let fallen = runner(&stage, &asked).await;
    let (mut victim, survivor) = if fallen == first_member { (first, second) } else { (second, first) };
    victim.kill().await.unwrap();
    let interrupted = survivor.operation(&asked["id"]).await.unwrap();
    assert_eq!(interrupted["state"], "running", "it was over before its member was dead: {interrupted}");
    let resumed = survivor.finished(&asked, DRAIN).await.unwrap();
    assert_eq!((&resumed["state"], number(&resumed, "failed")), (&json!("done"), 0), "{resumed}");
    assert_ne!(runner(&stage, &asked).await, fallen);
    let matched = i64::try_from(LETTERS).unwrap() - so_far;
    // What the dead member had sent and not yet noted is found resolved by the next one.
    assert_eq!(number(&resumed, "matched"), matched);
    assert!((matched - PORTION..=matched).contains(&number(&resumed, "done")), "{resumed}");
    assert_eq!((count(&stage, "resolved").await, count(&stage, "open").await), (i64::try_from(LETTERS).unwrap(), 0));

    let services = ["dds", "cdm"].map(|layer| stage.start(layer, &[]).unwrap());
    stage.settle(DRAIN).await.unwrap();
    for report in stage.recount(&NameCheck::Present).await.unwrap() {
        assert!(report.is_equal(), "{report}");
    }
    drop((services, survivor));
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_cancelled_after_its_member_died_sends_nothing_more() {
    let (stage, first, _) = scene("orphan", 300, 0).await;
    let (first_member, second) = joined(&stage, &first).await;
    let asked = replay(&first, &json!({"max_per_second": 10})).await;
    done(&first, &asked, 10).await;
    let fallen = runner(&stage, &asked).await;
    let (mut victim, survivor) = if fallen == first_member { (first, second) } else { (second, first) };
    victim.kill().await.unwrap();
    // It counts as alive for as long as this test needs it to, and not for longer.
    let lease = async |interval: &str| {
        let sql = "update ops.operations set lease_until = now() + $1::text::interval where runner = $2 and state = 'running'";
        let found = sqlx::query(sql).bind(interval).bind(fallen).execute(&stage.pool).await.unwrap();
        assert_eq!(found.rows_affected(), 1);
    };
    lease("1 hour").await;
    let resolved = count(&stage, "resolved").await;
    assert!((10..300).contains(&resolved), "{resolved}");
    cancel(&survivor, &asked).await;
    lease("0").await;
    let cancelled = survivor.finished(&asked, DRAIN).await.unwrap();
    assert_eq!((&cancelled["state"], &cancelled["cancelled_by"]), (&json!("cancelled"), &json!(OPERATOR)));
    assert_eq!(count(&stage, "resolved").await, resolved, "it went on after it was cancelled");
    drop(survivor);
    stage.tear_down().await.unwrap();
}
