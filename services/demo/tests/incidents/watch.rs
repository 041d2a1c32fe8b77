//! A real Prometheus that scrapes services and works by the project's own alerts, with time shortened.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ordervault_demo::stage::{Service, until};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// An alert is to fire this soon, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(4);
/// Half a minute of production is a second here: every window, wait and look back of the rules is that much shorter.
const SHORTER: u64 = 30;

/// Where the project's own files lie.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A Prometheus of a test's own.
pub struct Watch {
    /// Its address.
    pub url: String,
    client: reqwest::Client,
    directory: PathBuf,
    _process: Child,
}

/// An alert with what tells it from others of its name: the layer, and the dependency where it is about one.
pub type Alert = (String, String);

impl Watch {
    /// Scrapes these services every second.
    pub async fn start(services: &[&Service]) -> Self {
        let directory =
            std::env::temp_dir().join(format!("ordervault-watch-{}-{}", std::process::id(), fastrand::u32(..)));
        std::fs::create_dir_all(&directory).unwrap();
        let rules = std::fs::read_to_string(root().join("dashboards/alerts.yaml")).unwrap();
        std::fs::write(directory.join("alerts.yaml"), shortened(&rules)).unwrap();
        std::fs::write(directory.join("prometheus.yml"), configuration(services)).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", directory.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address={free}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let watch =
            Self { url: format!("http://{free}"), client: reqwest::Client::new(), directory, _process: process };
        until("prometheus to have scraped all", PATIENCE, async || {
            let up = watch.ask("sum(up) and on () ordervault:lag_records:sum").await.unwrap_or_default();
            Ok((up.first().map(|series| &series["value"][1]) == Some(&Value::from(services.len().to_string())))
                .then_some(()))
        })
        .await
        .unwrap();
        watch
    }

    /// The series that are the answer to a question; `None` while it is not answered.
    pub async fn ask(&self, question: &str) -> Option<Vec<Value>> {
        let asked = self.client.get(format!("{}/api/v1/query?query={}", self.url, escaped(question)));
        let answer: Value = asked.send().await.ok()?.json().await.ok()?;
        assert_eq!(answer["status"], "success", "{question}: {answer}");
        answer["data"]["result"].as_array().cloned()
    }

    /// Every alert that has fired at any time since the start.
    pub async fn fired(&self) -> BTreeSet<Alert> {
        let series = self.ask(r#"last_over_time(ALERTS{alertstate="firing"}[1h])"#).await.unwrap();
        series.iter().map(|series| alert(&series["metric"])).collect()
    }

    /// Waits until these have fired.
    pub async fn fires(&self, expected: &[(&str, &str)]) {
        let expected: BTreeSet<Alert> =
            expected.iter().map(|(name, of)| ((*name).to_owned(), (*of).to_owned())).collect();
        let what = format!("{expected:?}");
        let waited = until(&what, PATIENCE, async || Ok(expected.is_subset(&self.fired().await).then_some(()))).await;
        if let Err(error) = waited {
            panic!("{error}; there fired {:?}", self.fired().await);
        }
    }

    /// Exactly these have fired since the start, and no others.
    pub async fn fired_exactly(&self, expected: &[(&str, &str)]) {
        let expected: BTreeSet<Alert> =
            expected.iter().map(|(name, of)| ((*name).to_owned(), (*of).to_owned())).collect();
        assert_eq!(self.fired().await, expected);
    }

    /// The answers to all that a panel of a dashboard asks, with its variables set for this pipeline.
    pub async fn panel(&self, dashboard: &str, title: &str, layer: &str) -> Vec<Value> {
        let file = root().join(format!("dashboards/{dashboard}.json"));
        let board: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let panels = board["panels"].as_array().unwrap();
        let panel = panels
            .iter()
            .find(|panel| panel["title"] == title && panel["type"] != "row")
            .unwrap_or_else(|| panic!("no panel {title}"));
        let mut answers = Vec::new();
        for target in panel["targets"].as_array().unwrap() {
            let question = target["expr"].as_str().unwrap();
            let question = question.replace("$layer", layer).replace("$namespace", ".*").replace("$partition", ".*");
            answers.extend(self.ask(&question.replace("$__rate_interval", "10s")).await.unwrap());
        }
        answers
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn alert(labels: &Value) -> Alert {
    let text = |label: &str| labels[label].as_str().unwrap_or_default().to_owned();
    let of = [text("layer"), text("check")].join(" ");
    (text("alertname").trim_start_matches("Ordervault").to_owned(), of.trim().to_owned())
}

fn configuration(services: &[&Service]) -> String {
    let targets: Vec<String> =
        services.iter().map(|service| service.url.trim_start_matches("http://").to_owned()).collect();
    serde_json::json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["alerts.yaml"],
        "scrape_configs": [{"job_name": "ordervault", "static_configs": [{"targets": targets}]}],
    })
    .to_string()
}

/// The rules with every window, wait and look back divided.
fn shortened(rules: &str) -> String {
    let mut shorter = String::new();
    for line in rules.lines() {
        if let Some((what, wait)) =
            line.split_once("for: ").filter(|(what, _)| ["", "keep_firing_"].contains(&what.trim()))
        {
            let _ = writeln!(shorter, "{what}for: {}s", seconds(wait).unwrap() / SHORTER);
            continue;
        }
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('[') {
            let (window, behind) = after.split_once(']').unwrap();
            let _ = write!(shorter, "{before}[{}s]", seconds(window).unwrap() / SHORTER);
            rest = behind;
        }
        // The word stands in what people are told, too.
        let looks_back = rest.split_once(" offset ").and_then(|(before, after)| {
            let (back, behind) = after.split_once(' ')?;
            Some((before, seconds(back)?, behind))
        });
        if let Some((before, back, behind)) = looks_back {
            let _ = write!(shorter, "{before} offset {}s ", back / SHORTER);
            rest = behind;
        }
        shorter.push_str(rest);
        shorter.push('\n');
    }
    shorter
}

/// `None` of what is no duration.
fn seconds(duration: &str) -> Option<u64> {
    let (number, unit) = duration.split_at_checked(duration.len().checked_sub(1)?)?;
    let in_seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    Some(number.parse::<u64>().ok()? * in_seconds)
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Whether the program that this needs is there.
pub fn is_installed() -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| Path::new(&directory).join("prometheus").is_file())
    });
    if !found {
        println!("SKIP prometheus: not installed; ./dev checkers does that");
    }
    found
}
