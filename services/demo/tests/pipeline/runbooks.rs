//! The lines of every runbook, run as they stand against running services.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan, Produced};
use ordervault_demo::recount::NameCheck;
use ordervault_demo::stage::{LAYERS, OPS_TOKEN, Service, Stage};
use tokio::process::Command;

const START: Duration = Duration::from_mins(1);
const DRAIN: Duration = Duration::from_mins(5);

fn runbooks() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/runbooks");
    let mut pages: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    pages
}

/// All that stands in a page's `sh` fences, one after the other.
fn lines(page: &Path) -> String {
    let text = std::fs::read_to_string(page).unwrap();
    let mut script = String::from("set -euo pipefail\n");
    let mut inside = false;
    for line in text.lines() {
        match (inside, line) {
            (false, "```sh") => inside = true,
            (true, "```") => inside = false,
            (true, line) => writeln!(script, "{line}").unwrap(),
            (false, _) => {}
        }
    }
    script
}

async fn run(page: &Path, environment: &[(&str, String)]) {
    let name = page.file_name().unwrap().to_string_lossy();
    let script = lines(page);
    let ran = Command::new("bash")
        .args(["-c", &script])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .await
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    println!("== {name}\n{said}");
    assert!(ran.status.success(), "{name} ended with {}:\n{said}", ran.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_every_runbook_work_and_leave_the_numbers_right() {
    let mut stage = Stage::build("runbooks", 3).await.unwrap();
    let dictionary = Dictionary::generate(7, 100, 10);
    dictionary.write(&mut stage.redis).await.unwrap();
    let plan = Plan { seed: 7, first_order_id: 1, orders: 1_000, partitions: 3, mix: Mix::adversarial() };
    stage.produce("stg", Backlog::new(&dictionary, plan)).await.unwrap();
    let services: Vec<Service> = LAYERS.iter().map(|layer| stage.start(layer, &[]).unwrap()).collect();
    for service in &services {
        service.ready(START).await.unwrap();
    }
    stage.settle(DRAIN).await.unwrap();
    // What a producer gone wrong leaves in DDS.
    let bad = (0..3).map(|partition| Produced {
        key: None,
        partition: Some(partition),
        payload: br#"{"object_id": 1, "object_type": "order", "payload": {}}"#.to_vec(),
    });
    stage.produce("dds", bad).await.unwrap();
    stage.settle(DRAIN).await.unwrap();

    let told = stage.environment("cdm");
    let warehouse = format!(
        "postgres://{}:{}@{}:{}/{}",
        told["PG_WAREHOUSE_USER"],
        told["PG_WAREHOUSE_PASSWORD"],
        told["PG_WAREHOUSE_HOST"],
        told["PG_WAREHOUSE_PORT"],
        told["PG_WAREHOUSE_DBNAME"]
    );
    let environment = [
        ("STG", services[0].url.clone()),
        ("DDS", services[1].url.clone()),
        ("CDM", services[2].url.clone()),
        ("TOKEN", OPS_TOKEN.to_owned()),
        ("WAREHOUSE", warehouse),
    ];
    let pages = runbooks();
    assert_eq!(pages.len(), 15, "{pages:?}");
    for page in &pages {
        run(page, &environment).await;
    }
    stage.settle(DRAIN).await.unwrap();
    for report in stage.recount(&NameCheck::Present).await.unwrap() {
        assert!(report.is_equal(), "{report}");
    }
    drop(services);
    stage.tear_down().await.unwrap();
}
