//! The offsets of a running group are taken where the plan says, and the plan is what the topic itself says.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::kafka::read_topic;
use ordervault_demo::orders::{Backlog, Mix, Plan};
use ordervault_demo::stage::{Commit, LAYERS, OPERATOR, OPS_TOKEN, Service, Stage, Stream, until};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};

const LAYER: &str = "cdm";
const PATIENCE: Duration = Duration::from_mins(2);
const DRAIN: Duration = Duration::from_mins(10);
const RESET: &str = "/api/v1/consumer/offsets/reset";
/// As many orders a second come in while a group under load is reset.
const LOAD: f64 = 150.0;
/// Records that the broker has forgotten, so that the earliest offset is not 0.
const FORGOTTEN: i64 = 5;
/// Small, so that a reset finds batches in flight.
const SMALL_BATCHES: [(&str, &str); 1] = [("BATCH_MAX_RECORDS", "50")];

/// All layers, CDM with two replicas, which come last.
struct Scene {
    stage: Stage,
    services: Vec<Service>,
    dictionary: Dictionary,
    seed: u64,
}

impl Scene {
    async fn set(name: &str) -> Self {
        let mut stage = Stage::build(name, 3).await.unwrap();
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let dictionary = Dictionary::generate(seed, 100, 10);
        dictionary.write(&mut stage.redis).await.unwrap();
        let mut services: Vec<Service> =
            LAYERS.iter().map(|layer| stage.start(layer, &SMALL_BATCHES).unwrap()).collect();
        services.push(stage.start(LAYER, &SMALL_BATCHES).unwrap());
        for service in &services {
            service.ready(PATIENCE).await.unwrap();
        }
        Self { stage, services, dictionary, seed }
    }

    fn replica(&self) -> &Service {
        &self.services[fastrand::usize(2..4)]
    }

    fn backlog(&self, first_order_id: i64, orders: u64) -> Backlog {
        let seed = self.seed ^ first_order_id.unsigned_abs();
        let plan = Plan { seed, first_order_id, orders, partitions: 3, mix: Mix::adversarial() };
        Backlog::new(&self.dictionary, plan)
    }

    /// Everything drains, the tables equal the recount, and no offset went back but by a reset.
    async fn end(self) {
        self.stage.settle(DRAIN).await.unwrap();
        assert_eq!(self.stage.faults(self.replica()).await.unwrap(), [""; 0]);
        drop(self.services);
        self.stage.tear_down().await.unwrap();
    }
}

/// A topic as it is read by itself: the time of each record, by partition and offset.
struct Topic(BTreeMap<i32, BTreeMap<i64, i64>>);

impl Topic {
    async fn read(stage: &Stage) -> Self {
        let (cluster, topic) = (stage.cluster.clone(), stage.source_topic(LAYER));
        let read = tokio::task::spawn_blocking(move || {
            let mut records: BTreeMap<i32, BTreeMap<i64, i64>> = BTreeMap::new();
            read_topic(&cluster, &topic, |record| {
                records.entry(record.partition).or_default().insert(record.offset, record.timestamp.unwrap());
            })
            .unwrap();
            records
        });
        let records = read.await.unwrap();
        assert_eq!(records.len(), 3, "a partition is empty");
        Self(records)
    }

    fn all(&self) -> Vec<i32> {
        self.0.keys().copied().collect()
    }

    fn low(&self, partition: i32) -> i64 {
        *self.0[&partition].first_key_value().unwrap().0
    }

    fn high(&self, partition: i32) -> i64 {
        self.0[&partition].last_key_value().unwrap().0 + 1
    }

    /// The first record at or after a time, in milliseconds since 1970.
    fn at(&self, partition: i32, millis: i64) -> i64 {
        let first = self.0[&partition].iter().find(|(_, time)| **time >= millis);
        first.map_or(self.high(partition), |(offset, _)| *offset)
    }

    /// What the plan has to say of a partition that is to go from `current` to `wanted`.
    fn plan(&self, partition: i32, current: i64, wanted: i64) -> Value {
        let target = wanted.clamp(self.low(partition), self.high(partition));
        let effect = match target.cmp(&current) {
            Ordering::Less => "replay",
            Ordering::Equal => "none",
            Ordering::Greater => "skip",
        };
        json!({
            "partition": partition, "current": current, "target": target, "clamped": target != wanted, "effect": effect,
            "records": (target - current).abs(), "first_record_time": self.0[&partition].get(&target),
        })
    }
}

/// A plan's partitions as [`Topic::plan`] has them: times in milliseconds.
fn planned(plan: &Value) -> Vec<Value> {
    let mut partitions = plan["partitions"].as_array().unwrap().clone();
    for partition in &mut partitions {
        if let Some(time) = partition["first_record_time"].as_str() {
            partition["first_record_time"] = json!(time.parse::<DateTime<Utc>>().unwrap().timestamp_millis());
        }
    }
    partitions
}

/// Asks for a reset; returns the status, the plan's tag, and the answer.
async fn reset(service: &Service, path: &str, request: &Value, tag: Option<&str>) -> (u16, Option<String>, Value) {
    let asked = reqwest::Client::new().post(format!("{}{path}", service.url)).bearer_auth(OPS_TOKEN).json(request);
    let asked = tag.into_iter().fold(asked, |asked, tag| asked.header("if-match", tag));
    let answer = asked.send().await.unwrap();
    let tag = answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
    (answer.status().as_u16(), tag, answer.json().await.unwrap())
}

/// A reset carried out to its end, without a wish as to the plan.
async fn done(service: &Service, mut request: Value) -> Value {
    request["dry_run"] = json!(false);
    let (status, _, operation) = reset(service, &format!("{RESET}?wait=60s"), &request, None).await;
    assert_eq!((status, &operation["state"]), (200, &json!("done")), "{operation}");
    operation
}

/// Where the group is, by what it committed last.
fn current(commits: &[Commit]) -> BTreeMap<i32, i64> {
    commits.iter().map(|commit| (commit.partition, commit.offset)).collect()
}

/// The results of a reset by partition, which has to stand there once: what became of it, and where it goes on.
fn results(operation: &Value) -> BTreeMap<i32, (String, i64)> {
    let mut results = BTreeMap::new();
    for result in operation["results"].as_array().unwrap().iter().filter(|result| result["outcome"] != "lost") {
        let partition = i32::try_from(result["partition"].as_i64().unwrap()).unwrap();
        let what = (result["outcome"].as_str().unwrap().to_owned(), result["offset"].as_i64().unwrap());
        assert!(results.insert(partition, what).is_none(), "twice: {operation}");
    }
    results
}

/// What the plan promises as results.
fn promised(plan: &[Value]) -> BTreeMap<i32, (String, i64)> {
    let promise = |one: &Value| {
        let outcome = if one["clamped"] == true { "clamped" } else { "applied" };
        let partition = i32::try_from(one["partition"].as_i64().unwrap()).unwrap();
        (partition, (outcome.to_owned(), one["target"].as_i64().unwrap()))
    };
    plan.iter().map(promise).collect()
}

/// Where the plan takes each partition.
fn targets(plan: &[Value]) -> BTreeMap<i32, i64> {
    promised(plan).into_iter().map(|(id, (_, target))| (id, target)).collect()
}

/// The commits that bear a reset's mark: one a partition, or somebody was reset twice.
fn marked(commits: &[Commit], operation: &Value) -> BTreeMap<i32, i64> {
    let id = operation["id"].as_str().unwrap();
    let mut marked = BTreeMap::new();
    for commit in commits.iter().filter(|commit| commit.mark == id) {
        assert!(marked.insert(commit.partition, commit.offset).is_none(), "twice: {commits:?} {operation}");
    }
    marked
}

/// No offset goes back but by a reset.
fn never_back(commits: &[Commit]) {
    let mut last = BTreeMap::new();
    for commit in commits {
        let before = last.insert(commit.partition, commit.offset).unwrap_or(0);
        assert!(commit.offset >= before || !commit.mark.is_empty(), "{commit:?} after {before}");
    }
}

/// Has the broker forget the first records of each partition.
async fn forget(stage: &Stage) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &stage.cluster.brokers).create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..3 {
        list.add_partition_offset(&stage.source_topic(LAYER), partition, Offset::Offset(FORGOTTEN)).unwrap();
    }
    let forgotten = admin.delete_records(&list, &AdminOptions::new()).await.unwrap();
    assert!(forgotten.elements().iter().all(|element| element.error().is_ok()), "{forgotten:?}");
}

/// Waits until every record that STG has been given lies on the topic of the layer.
async fn arrived(stage: &Stage) {
    until("the layers before", DRAIN, async || {
        Ok((stage.lag("stg").await? == 0 && stage.lag("dds").await? == 0).then_some(()))
    })
    .await
    .unwrap();
}

/// Where a request takes a partition from an offset.
type Wanted<'t> = Box<dyn Fn(i32, i64) -> i64 + 't>;

/// A reset of a paused group from its dry run to its end, and that it does what is expected and no more. `old_tag` is
/// the tag of an earlier plan; returns that of this one.
async fn taken(scene: &Scene, mut request: Value, expected: Vec<Value>, old_tag: Option<String>) -> String {
    let (stage, service) = (&scene.stage, scene.replica());
    let before = stage.commits(LAYER).await.unwrap();
    let (status, tag, plan) = reset(service, RESET, &request, None).await;
    assert_eq!((status, &plan["dry_run"]), (200, &json!(true)), "{plan}");
    assert_eq!(planned(&plan), expected, "{request}");
    let tag = tag.unwrap();
    assert_eq!(stage.commits(LAYER).await.unwrap(), before, "a dry run has changed something");

    request["dry_run"] = json!(false);
    request["reason"] = json!("a test");
    if expected.iter().any(|one| one["effect"] == "skip") {
        let (status, _, refused) = reset(service, RESET, &request, Some(&tag)).await;
        assert_eq!((status, &refused["code"]), (409, &json!("would_skip_records")), "{refused}");
        request["skip_records"] = json!(true);
    }
    if let Some(old) = old_tag {
        let (status, _, refused) = reset(service, RESET, &request, Some(&old)).await;
        assert_eq!((status, &refused["code"]), (412, &json!("plan_out_of_date")), "{refused}");
    }
    assert_eq!(stage.commits(LAYER).await.unwrap(), before, "a refused reset has changed something");

    let (status, _, operation) = reset(service, &format!("{RESET}?wait=60s"), &request, Some(&tag)).await;
    assert_eq!((status, &operation["state"]), (200, &json!("done")), "{operation}");
    assert_eq!((&operation["actor"], &operation["reason"]), (&json!(OPERATOR), &json!("a test")));
    let count = expected.len();
    assert_eq!(operation["progress"], json!({"partitions_total": count, "partitions_done": count}));
    assert_eq!(results(&operation), promised(&expected), "{operation}");
    let after = stage.commits(LAYER).await.unwrap();
    assert_eq!(marked(&after, &operation), targets(&expected));
    assert_eq!(after.len(), before.len() + count, "more was committed than the reset");
    let shown = service.read("/api/v1/consumer/offsets").await.unwrap();
    let shown = shown["partitions"].as_array().unwrap().iter().zip(0..);
    let shown: BTreeMap<i32, i64> = shown.map(|(one, id)| (id, one["committed"].as_i64().unwrap())).collect();
    assert_eq!(shown, current(&after));
    tag
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_group_is_taken_exactly_where_the_topic_says_and_nowhere_by_a_dry_run() {
    let scene = Scene::set("targets").await;
    let stage = &scene.stage;
    stage.produce("stg", scene.backlog(1, 700)).await.unwrap();
    stage.settle(DRAIN).await.unwrap();
    forget(stage).await;
    let (status, paused) =
        scene.replica().post("/api/v1/consumer/pause?wait=60s", &json!({"reason": "a test"})).await.unwrap();
    assert_eq!((status.as_u16(), &paused["state"]), (200, &json!("done")), "{paused}");
    // As many again that are not processed, so that there is something before the group and something behind it.
    stage.produce("stg", scene.backlog(10_000, 700)).await.unwrap();
    arrived(stage).await;
    let topic = Topic::read(stage).await;
    let begun = current(&stage.commits(LAYER).await.unwrap());
    let middle = topic.0[&1].values().nth(topic.0[&1].len() / 3).copied().unwrap();
    let datetime = |millis: i64, more: TimeDelta| {
        let time = DateTime::from_timestamp_millis(millis).unwrap() + more;
        json!({"datetime": time.to_rfc3339_opts(SecondsFormat::Micros, true)})
    };
    let all = topic.all();

    // Which partitions each request has to take where, from where they are.
    let (low, high) = (|id, _| topic.low(id), |id, _| topic.high(id));
    let at = |millis| -> Wanted<'_> {
        let topic = &topic;
        Box::new(move |id, _| topic.at(id, millis))
    };
    let cases: Vec<(Value, Vec<i32>, Wanted<'_>)> = vec![
        (json!({"to": "latest"}), all.clone(), Box::new(high)),
        (json!({"to": "earliest"}), all.clone(), Box::new(low)),
        (json!({"to": "latest", "partitions": [2, 0]}), vec![0, 2], Box::new(high)),
        (json!({"to": datetime(middle, TimeDelta::zero())}), all.clone(), at(middle)),
        (json!({"to": datetime(middle, TimeDelta::microseconds(300))}), all.clone(), at(middle + 1)),
        (json!({"to": {"datetime": "1969-07-20T20:17:40+02:00"}}), all.clone(), Box::new(low)),
        (json!({"to": {"datetime": "2099-01-01T00:00:00Z"}, "partitions": [1]}), vec![1], Box::new(high)),
        (json!({"to": {"duration": "P1D"}}), all.clone(), Box::new(low)),
        (json!({"to": {"shift_by": 17}}), all.clone(), Box::new(|_, current| current + 17)),
        (json!({"to": {"shift_by": -3}, "partitions": [0, 1]}), vec![0, 1], Box::new(|_, current| current - 3)),
        (json!({"to": {"shift_by": i64::MIN}, "partitions": [2]}), vec![2], Box::new(|_, _| i64::MIN)),
        (json!({"to": {"shift_by": i64::MAX}}), all.clone(), Box::new(|_, _| i64::MAX)),
        (
            json!({"to": {"offsets": {"0": FORGOTTEN - 1, "1": begun[&1], "2": 99_999_999}}}),
            all.clone(),
            Box::new(|partition, _| [FORGOTTEN - 1, begun[&1], 99_999_999][usize::try_from(partition).unwrap()]),
        ),
        (json!({"to": {"offsets": {"0": 20, "1": 30}}, "partitions": [1]}), vec![1], Box::new(|_, _| 30)),
        (json!({"to": {"offsets": {"2": begun[&2]}}}), vec![2], Box::new(|_, current| current.min(begun[&2]))),
    ];
    let mut old_tag = None;
    for (request, partitions, wanted) in cases {
        let from = current(&stage.commits(LAYER).await.unwrap());
        let plan = partitions.iter().map(|id| topic.plan(*id, from[id], wanted(*id, from[id]))).collect();
        old_tag = Some(taken(&scene, request, plan, old_tag).await);
    }
    // A length of time is counted back from the moment of the request, which lies between two of ours.
    let seconds = (Utc::now().timestamp_millis() - middle) / 1_000 + 1;
    let back_from = |now: DateTime<Utc>| now.timestamp_millis() - 1_000 * seconds;
    let (first, request) = (back_from(Utc::now()), json!({"to": {"duration": format!("PT{seconds}S")}}));
    let (_, _, plan) = reset(scene.replica(), RESET, &request, None).await;
    let last = back_from(Utc::now());
    for (id, target) in targets(plan["partitions"].as_array().unwrap()) {
        assert!((topic.at(id, first)..=topic.at(id, last)).contains(&target), "{plan}");
    }
    let operations = scene.replica().read("/api/v1/operations?kind=offset_reset").await.unwrap();
    assert_eq!(operations["items"].as_array().unwrap().len(), 15, "one for each reset, none for what was refused");
    let (status, _, refused) =
        reset(scene.replica(), RESET, &json!({"to": "earliest", "partitions": [1, 7]}), None).await;
    assert_eq!((status, &refused["code"]), (404, &json!("unknown_partition")), "{refused}");

    // The group begins where it was taken: nothing that the resets skipped is left out in the end.
    done(
        scene.replica(),
        json!({"to": {"offsets": {"0": begun[&0], "1": begun[&1], "2": begun[&2]}}, "skip_records": true}),
    )
    .await;
    scene.replica().post("/api/v1/consumer/resume?wait=60s", &json!({})).await.unwrap();
    scene.stage.settle(DRAIN).await.unwrap();
    let commits = scene.stage.commits(LAYER).await.unwrap();
    never_back(&commits);
    assert_eq!(current(&commits), topic.all().into_iter().map(|id| (id, topic.high(id))).collect());
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_under_load_is_taken_once_where_the_operation_says_and_the_counters_stay_a_recount() {
    let scene = Scene::set("load").await;
    let stage = &scene.stage;
    stage.produce("stg", scene.backlog(1, 500)).await.unwrap();
    let stream = Stream::begin(stage, "stg", scene.backlog(10_000, 1_000_000), LOAD).unwrap();
    until("work on every partition", PATIENCE, async || {
        let committed = current(&stage.commits(LAYER).await?);
        Ok((committed.len() == 3 && committed.values().all(|offset| *offset > 50)).then_some(()))
    })
    .await
    .unwrap();
    let begun = Utc::now();
    let cases = [
        json!({"to": "earliest"}),
        json!({"to": {"datetime": begun.to_rfc3339_opts(SecondsFormat::Millis, true)}}),
        json!({"to": {"shift_by": -40}}),
        json!({"to": {"shift_by": -1_000_000}, "partitions": [1]}),
        json!({"to": {"offsets": {"0": 10, "2": 33}}}),
        json!({"to": {"duration": "PT3S"}}),
        json!({"to": {"duration": "PT1S"}}),
        json!({"to": "latest", "partitions": [0, 2]}),
        json!({"to": {"shift_by": 5}}),
        json!({"to": "earliest"}),
    ];
    let mut operations = Vec::new();
    for mut request in cases {
        request["skip_records"] = json!(true);
        operations.push(done(scene.replica(), request).await);
    }
    stream.end().await.unwrap();
    // What was skipped is made good, so that the tables can equal the recount.
    operations.push(done(scene.replica(), json!({"to": "earliest"})).await);
    stage.settle(DRAIN).await.unwrap();
    let commits = stage.commits(LAYER).await.unwrap();
    never_back(&commits);
    for operation in &operations {
        let plan = operation["request"]["plan"].as_array().unwrap();
        assert_eq!(results(operation), promised(plan), "{operation}");
        assert_eq!(marked(&commits, operation), targets(plan), "{operation}");
    }
    let ids: BTreeSet<&str> = operations.iter().map(|operation| operation["id"].as_str().unwrap()).collect();
    let marks: BTreeSet<&str> =
        commits.iter().map(|commit| commit.mark.as_str()).filter(|mark| !mark.is_empty()).collect();
    assert_eq!(marks, ids);
    scene.end().await;
}
