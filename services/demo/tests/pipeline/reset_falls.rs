//! A reset comes to its end once and right, whatever falls, freezes or changes hands in its middle.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan};
use ordervault_demo::proxy::{Cut, Proxy};
use ordervault_demo::stage::{Commit, Service, Stage, Stream, until};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const LAYER: &str = "cdm";
const PATIENCE: Duration = Duration::from_mins(2);
const DRAIN: Duration = Duration::from_mins(10);
const GRACE: Duration = Duration::from_secs(15);
const RESET: &str = "/api/v1/consumer/offsets/reset";
/// As many orders a second come in all the while.
const LOAD: f64 = 60.0;
/// Small, so that a reset finds batches in flight.
const SMALL_BATCHES: [(&str, &str); 1] = [("BATCH_MAX_RECORDS", "50")];

/// What befalls a member in the middle of a reset.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// It is killed.
    Falls,
    /// It stands still for longer than the group waits for it, and then goes on as if nothing had happened.
    Freezes,
    /// It leaves in good order.
    Leaves,
    /// Another one joins it.
    IsJoined,
}

/// All layers under load, CDM with two members.
struct Scene {
    stage: Stage,
    before: Vec<Service>,
    members: Vec<Service>,
    stream: Stream,
    begun: DateTime<Utc>,
    operations: Vec<Value>,
}

impl Scene {
    /// The second member comes by its database as `settings` say.
    async fn set(name: &str, settings: &[(&str, &str)]) -> Self {
        let mut stage = Stage::build(name, 3).await.unwrap();
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let dictionary = Dictionary::generate(seed, 100, 10);
        dictionary.write(&mut stage.redis).await.unwrap();
        let before = ["stg", "dds"].map(|layer| stage.start(layer, &SMALL_BATCHES).unwrap()).into();
        let settings: Vec<(&str, &str)> = SMALL_BATCHES.iter().chain(settings).copied().collect();
        let members = vec![stage.start(LAYER, &SMALL_BATCHES).unwrap(), stage.start(LAYER, &settings).unwrap()];
        let plan = Plan { seed, first_order_id: 1, orders: 1_000_000, partitions: 3, mix: Mix::adversarial() };
        let stream = Stream::begin(&stage, "stg", Backlog::new(&dictionary, plan), LOAD).unwrap();
        let scene = Self { stage, before, members, stream, begun: Utc::now(), operations: Vec::new() };
        until("work on every partition", PATIENCE, async || {
            let current = current(&scene.stage.commits(LAYER).await?);
            Ok((current.len() == 3 && current.values().all(|offset| *offset > 50)).then_some(()))
        })
        .await
        .unwrap();
        // Each batch takes its time, so that a reset has a middle.
        sqlx::raw_sql(
            "create function cdm.take_time() returns trigger language plpgsql \
                 as $$ begin perform pg_sleep(0.1); return new; end $$; \
             create trigger take_time before insert on ops.applied_offsets \
                 for each row when (new.layer = 'cdm') execute function cdm.take_time()",
        )
        .execute(&scene.stage.pool)
        .await
        .unwrap();
        scene
    }

    /// What every live member holds, once two of them share all partitions.
    async fn shared(&self) -> BTreeMap<String, Vec<i32>> {
        until("two members that share the partitions", PATIENCE, async || {
            let held: Vec<(String, Vec<i32>)> = sqlx::query_as(
                "select id::text, partitions from ops.members \
                 where layer = $1 and heartbeat > now() - interval '5 seconds'",
            )
            .bind(LAYER)
            .fetch_all(&self.stage.pool)
            .await?;
            let all: BTreeSet<i32> = held.iter().flat_map(|(_, partitions)| partitions).copied().collect();
            let shared = all.len() == 3 && held.len() == 2 && held.iter().all(|(_, held)| !held.is_empty());
            Ok(shared.then(|| held.into_iter().collect()))
        })
        .await
        .unwrap()
    }

    /// One of the kinds of targets, to anywhere.
    async fn anywhere(&self) -> Value {
        let current = current(&self.stage.commits(LAYER).await.unwrap());
        let to = match fastrand::u8(0..6) {
            0 => json!("earliest"),
            1 => json!("latest"),
            2 => json!({"datetime": self.begun.to_rfc3339_opts(SecondsFormat::Millis, true)}),
            3 => json!({"duration": "PT5S"}),
            4 => json!({"shift_by": -fastrand::i64(1..400)}),
            _ => {
                let offsets = current.iter().map(|(id, offset)| (id.to_string(), json!(fastrand::i64(0..*offset + 9))));
                json!({"offsets": offsets.collect::<serde_json::Map<_, _>>()})
            }
        };
        json!({"to": to, "dry_run": false, "skip_records": true, "reason": "a test"})
    }

    /// One reset, and what befalls a member in its middle.
    async fn round(&mut self, trouble: Trouble) {
        self.shared().await;
        let request = self.anywhere().await;
        let mut victim = self.members.swap_remove(fastrand::usize(..2));
        let keeper = &self.members[0];
        let moment = Duration::from_millis(fastrand::u64(0..250));
        let befall = async {
            tokio::time::sleep(moment).await;
            let at = Utc::now();
            match trouble {
                Trouble::Falls => victim.kill().await.unwrap(),
                Trouble::Freezes => victim.freeze().unwrap(),
                Trouble::Leaves => assert_eq!(victim.stop(GRACE).await.unwrap().code(), Some(0)),
                Trouble::IsJoined => {}
            }
            at
        };
        let joined = matches!(trouble, Trouble::IsJoined).then(|| self.stage.start(LAYER, &SMALL_BATCHES).unwrap());
        let operation = async {
            // A member needs some time before it joins.
            let moment = if joined.is_some() { moment * 10 } else { Duration::ZERO };
            tokio::time::sleep(moment).await;
            let (status, operation) = keeper.post(RESET, &request).await.unwrap();
            assert_eq!(status, 202, "{operation}");
            operation
        };
        let (operation, at) = tokio::join!(operation, befall);
        let ended = keeper.finished(&operation, PATIENCE).await.unwrap();
        assert_eq!(ended["state"], "done", "{trouble:?} {ended}");
        println!("{trouble:?} at {at}: {} since {} {}", request["to"], ended["created_at"], ended["results"]);
        self.operations.push(ended);
        let other = match trouble {
            Trouble::Falls | Trouble::Leaves => self.stage.start(LAYER, &SMALL_BATCHES).unwrap(),
            Trouble::Freezes => {
                victim.thaw().unwrap();
                victim
            }
            Trouble::IsJoined => {
                self.members.push(victim);
                let mut leaves = self.members.swap_remove(fastrand::usize(..2));
                assert_eq!(leaves.stop(GRACE).await.unwrap().code(), Some(0));
                joined.unwrap()
            }
        };
        self.members.push(other);
    }

    /// Every reset was done once, nobody was taken anywhere else, and the tables equal the recount.
    async fn end(mut self) {
        let keeper = &self.members[0];
        self.stream.end().await.unwrap();
        // What was skipped is made good, so that the tables can equal the recount.
        let again = json!({"to": "earliest", "dry_run": false});
        let (status, last) = keeper.post(&format!("{RESET}?wait=60s"), &again).await.unwrap();
        assert_eq!((status.as_u16(), &last["state"]), (200, &json!("done")), "{last}");
        self.operations.push(last);
        self.stage.settle(DRAIN).await.unwrap();
        for operation in &self.operations {
            let path = format!("/api/v1/operations/{}", operation["id"].as_str().unwrap());
            assert_eq!(&keeper.read(&path).await.unwrap(), operation, "it has not ended once");
        }
        let commits = self.stage.commits(LAYER).await.unwrap();
        once(&commits, &self.operations);
        assert_eq!(self.stage.faults(keeper).await.unwrap(), [""; 0]);
        drop((self.before, self.members));
        self.stage.tear_down().await.unwrap();
    }
}

/// Where the group is, by what it committed last.
fn current(commits: &[Commit]) -> BTreeMap<i32, i64> {
    commits.iter().map(|commit| (commit.partition, commit.offset)).collect()
}

/// What a reset has come to, by partition, which has to stand there once.
fn results(operation: &Value) -> BTreeMap<i32, i64> {
    let mut results = BTreeMap::new();
    for result in operation["results"].as_array().unwrap().iter().filter(|result| result["outcome"] != "lost") {
        let partition = i32::try_from(result["partition"].as_i64().unwrap()).unwrap();
        assert!(results.insert(partition, result["offset"].as_i64().unwrap()).is_none(), "twice: {operation}");
    }
    results
}

/// The commits that bear a reset's mark, in the order in which they came.
fn marked(commits: &[Commit], operation: &Value) -> Vec<(i32, i64)> {
    let ours = commits.iter().filter(|commit| Some(commit.mark.as_str()) == operation["id"].as_str());
    ours.map(|commit| (commit.partition, commit.offset)).collect()
}

/// Each of the resets was committed once for each of its partitions, and no offset went back but by them.
fn once(commits: &[Commit], operations: &[Value]) {
    for operation in operations {
        let mut marked = marked(commits, operation);
        marked.sort_unstable();
        assert_eq!(marked, results(operation).into_iter().collect::<Vec<_>>(), "{operation}");
        for planned in operation["request"]["plan"].as_array().unwrap() {
            let place = (planned["partition"].as_i64().unwrap(), planned["target"].as_i64().unwrap());
            assert!(marked.iter().any(|(id, at)| (i64::from(*id), *at) == place), "{planned} {operation}");
        }
    }
    let mut last = BTreeMap::new();
    for commit in commits {
        let before = last.insert(commit.partition, commit.offset).unwrap_or(0);
        assert!(commit.offset >= before || !commit.mark.is_empty(), "{commit:?} after {before}");
    }
}

/// Ten resets, in whose middle something befalls a member at a moment that nobody has chosen.
async fn ten_rounds(name: &str) {
    use Trouble::{Falls, Freezes, IsJoined, Leaves};
    let mut scene = Scene::set(name, &[]).await;
    let mut troubles = [Falls, Falls, Falls, Falls, Freezes, Leaves, Leaves, Leaves, IsJoined, IsJoined];
    fastrand::shuffle(&mut troubles);
    for trouble in troubles {
        scene.round(trouble).await;
    }
    scene.shared().await;
    scene.end().await;
}

// Two stages at once: most of the time passes until the group notices that a member has fallen.

#[tokio::test(flavor = "multi_thread")]
async fn ten_resets_are_done_once_whatever_befalls_a_member_in_their_middle() {
    ten_rounds("falls").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_more_resets_are_done_once_whatever_befalls_a_member_in_their_middle() {
    ten_rounds("more_falls").await;
}

/// A proxy before the database, for one member alone.
async fn before_the_database() -> Proxy {
    let [host, port] = ["PG_WAREHOUSE_HOST", "PG_WAREHOUSE_PORT"].map(|name| std::env::var(name).unwrap());
    let server: SocketAddr = format!("{host}:{port}").parse().unwrap();
    Proxy::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), server).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_falls_after_the_commit_leaves_the_note_of_it_to_the_next() {
    let proxy = before_the_database().await;
    let port = proxy.address.port().to_string();
    let mut scene = Scene::set("note", &[("PG_WAREHOUSE_PORT", &port)]).await;
    scene.shared().await;
    proxy.cut_when(Cut::Before, usize::MAX, |piece| piece.windows(24).any(|text| text == b"update ops.reset_targets"));
    let request = json!({"to": "earliest", "dry_run": false});
    let (status, operation) = scene.members[0].post(RESET, &request).await.unwrap();
    assert_eq!(status, 202, "{operation}");
    until("the commits of both members", PATIENCE, async || {
        Ok((marked(&scene.stage.commits(LAYER).await?, &operation).len() == 3).then_some(()))
    })
    .await
    .unwrap();
    let path = format!("/api/v1/operations/{}", operation["id"].as_str().unwrap());
    let halfway = until("the note of one member", PATIENCE, async || {
        let halfway = scene.members[0].read(&path).await?;
        Ok((!results(&halfway).is_empty()).then_some(halfway))
    })
    .await
    .unwrap();
    assert_eq!(halfway["state"], "running", "{halfway}");
    scene.members[1].kill().await.unwrap();
    let ended = scene.members[0].finished(&operation, PATIENCE).await.unwrap();
    assert_eq!(ended["state"], "done", "{ended}");
    assert_eq!(results(&ended), [(0, 0), (1, 0), (2, 0)].into());
    scene.operations.push(ended);
    scene.end().await;
}

/// The whole database goes away for the second member, or comes back.
fn away(proxy: &Proxy, is_away: bool) {
    proxy.cut_when(Cut::Before, if is_away { usize::MAX } else { 0 }, |_| true);
    proxy.cut_all();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_waits_for_a_member_without_its_database_refuses_another_meanwhile_and_can_be_cancelled() {
    let proxy = before_the_database().await;
    let port = proxy.address.port().to_string();
    let mut scene = Scene::set("away", &[("PG_WAREHOUSE_PORT", &port)]).await;
    let request = json!({"to": {"shift_by": -30}, "dry_run": false});
    let mut cancelled = Vec::new();
    for is_cancelled in [false, true, false] {
        let held = scene.shared().await;
        away(&proxy, true);
        let first = &scene.members[0];
        let (status, operation) = first.post(RESET, &request).await.unwrap();
        assert_eq!(status, 202, "{operation}");
        let path = format!("/api/v1/operations/{}", operation["id"].as_str().unwrap());
        // The other counts as gone by then, and nobody else may do its part while it is in the group.
        let halfway = until("the first member's part", PATIENCE, async || {
            let report = first.read("/api/v1/consumer").await?;
            let gone = report["members"].as_array().unwrap().iter().filter(|member| member["state"] == "gone").count();
            let halfway = first.read(&path).await?;
            Ok((gone == 1 && !results(&halfway).is_empty()).then_some(halfway))
        })
        .await
        .unwrap();
        let member = halfway["results"][0]["member"].as_str().unwrap();
        let own: Vec<i32> = results(&halfway).into_keys().collect();
        assert_eq!((&halfway["state"], &own), (&json!("running"), &held[member]), "{halfway}");

        let (status, refused) = first.post(RESET, &request).await.unwrap();
        assert_eq!((status.as_u16(), &refused["code"]), (409, &json!("reset_under_way")), "{refused}");
        assert_eq!(refused["operation"], operation["id"]);
        let (status, plan) = first.post(RESET, &json!({"to": "earliest"})).await.unwrap();
        assert_eq!((status.as_u16(), &plan["dry_run"]), (200, &json!(true)), "{plan}");
        if is_cancelled {
            let (status, answer) = first.post(&format!("{path}/cancel"), &json!({})).await.unwrap();
            assert_eq!(status, 202, "{answer}");
        }
        away(&proxy, false);
        let ended = first.finished(&operation, PATIENCE).await.unwrap();
        let (status, refused) = first.post(&format!("{path}/cancel"), &json!({})).await.unwrap();
        assert_eq!((status.as_u16(), &refused["code"]), (409, &json!("operation_finished")), "{refused}");
        if is_cancelled {
            assert_eq!((&ended["state"], results(&ended).len()), (&json!("cancelled"), own.len()), "{ended}");
            cancelled.push((ended, own));
        } else {
            assert_eq!((&ended["state"], results(&ended).len()), (&json!("done"), 3), "{ended}");
            scene.operations.push(ended);
        }
    }
    // The part that a cancellation came before stayed where it was.
    scene.shared().await;
    for (operation, own) in cancelled {
        let commits = scene.stage.commits(LAYER).await.unwrap();
        let mut marked: Vec<i32> = marked(&commits, &operation).into_iter().map(|(id, _)| id).collect();
        marked.sort_unstable();
        assert_eq!(marked, own, "{operation}");
    }
    scene.end().await;
}
