//! Settings as the services meet them: every bad one named at the start, and the broker's and the warehouse's TLS.

use std::collections::BTreeMap;
use std::time::Duration;

use ordervault_demo::orders::Produced;
use ordervault_demo::stage::{Service, Stage, until};

const VECTORS: &str = include_str!("../../../dds/tests/data/dds_vectors.jsonl");
const PATIENCE: Duration = Duration::from_mins(1);

/// What a layer's program says to standard error when it is given these settings beside good ones.
async fn refusal(stage: &Stage, layer: &str, settings: &[(&str, &str)]) -> String {
    let output = stage.command(layer, settings).unwrap().output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{layer} {settings:?}: {said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_setting_ends_the_program_with_code_64_and_a_line_that_names_it() {
    let stage = Stage::build("settings", 1).await.unwrap();
    for (name, bad) in [
        ("KAFKA_HOST", "broker one"),
        ("KAFKA_HOST", "one,,two"),
        ("KAFKA_PORT", "0"),
        ("KAFKA_PORT", "70000"),
        ("KAFKA_SOURCE_TOPIC", "two words"),
        ("KAFKA_DESTINATION_TOPIC", ".."),
        ("KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("KAFKA_SASL_MECHANISM", "SCRAM"),
        ("KAFKA_SSL_CA_LOCATION", "/nowhere/ca.pem"),
        ("PG_WAREHOUSE_PORT", "-1"),
        ("PG_WAREHOUSE_SSLMODE", "always"),
        ("PG_WAREHOUSE_SSLROOTCERT", "/"),
        ("HTTP_ADDR", "localhost"),
        ("BATCH_MAX_RECORDS", "0"),
        ("BATCH_MAX_BYTES", "4MB"),
        ("BUFFER_MAX_RECORDS", "many"),
        ("BUFFER_MAX_BYTES", "-1"),
        ("BATCHES_AT_ONCE", "1000"),
        ("API_CORS_ORIGINS", "ops.example"),
        ("API_FAILED_LOGINS_PER_MINUTE", "0"),
        ("LOG_FORMAT", "xml"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
        ("ORDERVAULT_CONFIG", "/nowhere.toml"),
    ] {
        let said = refusal(&stage, "dds", &[(name, bad)]).await;
        let line = said.lines().find(|line| line.starts_with(&format!("{name}: "))).unwrap_or_else(|| panic!("{said}"));
        assert!(line.contains(&format!("held {bad:?}")) && line.contains("takes "), "{line}");
    }
    for (name, bad) in [("REDIS_PORT", "x"), ("REDIS_TLS", "maybe"), ("DICTIONARY_TTL_SECONDS", "31")] {
        let said = refusal(&stage, "stg", &[(name, bad)]).await;
        assert!(said.contains(&format!("{name}: held {bad:?}, takes ")), "{said}");
    }
    for bad in ["24:00", "3:30", "03:30:00", "noon"] {
        let said = refusal(&stage, "cdm", &[("AUDIT_DAILY_AT", bad)]).await;
        assert!(said.contains(&format!("AUDIT_DAILY_AT: held {bad:?}, takes ")), "{said}");
    }
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_bad_settings_are_named_at_once_and_no_secret_is_shown() {
    let stage = Stage::build("settings_all", 1).await.unwrap();
    let settings = [
        ("KAFKA_HOST", ""),
        ("PG_WAREHOUSE_PORT", "x"),
        ("REDIS_HOST", ""),
        ("REDIS_PASSWORD", "swordfish-1"),
        ("PG_WAREHOUSE_PASSWORD", "swordfish-2"),
        ("KAFKA_CONSUMER_PASSWORD", "swordfish-3"),
        ("API_OPS_TOKENS", "alice:good,swordfish-4"),
        ("API_READ_TOKENS_FILE", "/nowhere/tokens"),
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
        ("RUST_LOG", "info,sqlx=loud"),
    ];
    let said = refusal(&stage, "stg", &settings).await;
    let named: Vec<&str> = said.lines().filter_map(|line| line.split_once(": ").map(|(name, _)| name)).collect();
    for name in [
        "KAFKA_HOST",
        "PG_WAREHOUSE_PORT",
        "REDIS_HOST",
        "KAFKA_CONSUMER_USERNAME",
        "API_OPS_TOKENS",
        "API_READ_TOKENS_FILE",
        "RUST_LOG",
    ] {
        assert!(named.contains(&name), "{name} is not named: {said}");
    }
    assert!(!said.contains("swordfish"), "{said}");
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_toml_file_holds_the_same_settings_and_the_environment_wins_over_it() {
    let stage = Stage::build("settings_toml", 1).await.unwrap();
    let path = std::env::temp_dir().join(format!("{}.toml", stage.name));
    std::fs::write(&path, "kafka_port = 99999\nPG_WAREHOUSE_PORTT = 5432\n").unwrap();
    let file = path.to_str().unwrap();
    let said = refusal(&stage, "dds", &[("ORDERVAULT_CONFIG", file)]).await;
    assert!(said.contains("PG_WAREHOUSE_PORTT: ") && said.contains("PG_WAREHOUSE_PORT"), "{said}");
    assert!(!said.contains("KAFKA_PORT: "), "the environment's own is good: {said}");
    let said = refusal(&stage, "dds", &[("ORDERVAULT_CONFIG", file), ("KAFKA_PORT", "")]).await;
    assert!(said.contains("KAFKA_PORT: held \"99999\""), "{said}");
    // A complaint about the file must not quote it.
    std::fs::write(&path, "PG_WAREHOUSE_PASSWORD = swordfish\n").unwrap();
    let said = refusal(&stage, "dds", &[("ORDERVAULT_CONFIG", file)]).await;
    assert!(
        said.starts_with("ORDERVAULT_CONFIG: ") && said.contains("line 1") && !said.contains("swordfish"),
        "{said}"
    );
    std::fs::write(&path, "PG_WAREHOUSE_SSLMODE = [\"verify-full\"]\n").unwrap();
    let said = refusal(&stage, "dds", &[("ORDERVAULT_CONFIG", file), ("PG_WAREHOUSE_SSLMODE", "")]).await;
    assert!(said.starts_with("PG_WAREHOUSE_SSLMODE: "), "{said}");
    std::fs::remove_file(path).unwrap();
    stage.tear_down().await.unwrap();
}

/// The environment of the replaced service, and nothing else, against the listener with SCRAM over TLS.
fn inherited(stage: &Stage) -> BTreeMap<String, String> {
    let ours = stage.environment("dds");
    let mut inherited: BTreeMap<String, String> = [
        "KAFKA_HOST",
        "KAFKA_CONSUMER_GROUP",
        "KAFKA_SOURCE_TOPIC",
        "KAFKA_DESTINATION_TOPIC",
        "PG_WAREHOUSE_HOST",
        "PG_WAREHOUSE_PORT",
        "PG_WAREHOUSE_DBNAME",
        "PG_WAREHOUSE_USER",
        "PG_WAREHOUSE_PASSWORD",
    ]
    .into_iter()
    .map(|name| (name.to_owned(), ours[name].clone()))
    .collect();
    for (name, from) in [
        ("KAFKA_PORT", "KAFKA_SASL_PORT"),
        ("KAFKA_CONSUMER_USERNAME", "KAFKA_SASL_USERNAME"),
        ("KAFKA_CONSUMER_PASSWORD", "KAFKA_SASL_PASSWORD"),
        ("KAFKA_SSL_CA_LOCATION", "KAFKA_CA"),
    ] {
        inherited.insert(name.to_owned(), ours[from].clone());
    }
    inherited
}

/// Waits until `/readyz` says that Kafka is what is wrong, and says it in these words.
async fn kafka_is_not_ready(service: &Service, says: &str) -> String {
    until("a reason", PATIENCE, async || {
        let Ok((status, body)) = service.get("/readyz").await else { return Ok(None) };
        let report: serde_json::Value = serde_json::from_str(&body).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let kafka = checks.iter().find(|check| check["name"] == "kafka").unwrap();
        let reason = kafka["reason"].as_str().unwrap_or_default();
        Ok((status == 503 && kafka["ok"] == false && reason.contains(says)).then(|| reason.to_owned()))
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn scram_over_tls_works_with_the_inherited_names_and_not_with_a_wrong_authority_or_password() {
    let stage = Stage::build("scram", 3).await.unwrap();
    let good = inherited(&stage);
    let other_ca = stage.environment("dds")["KAFKA_OTHER_CA"].clone();
    for (name, wrong, says) in [
        ("KAFKA_SSL_CA_LOCATION", other_ca.as_str(), "certificate verify failed"),
        ("KAFKA_CONSUMER_PASSWORD", "wrong-swordfish", "Authentication failed"),
    ] {
        let mut environment = good.clone();
        environment.insert(name.to_owned(), wrong.to_owned());
        let mut service = stage.start_with("dds", environment).unwrap();
        let reason = kafka_is_not_ready(&service, says).await;
        assert!(!reason.contains("swordfish"), "{reason}");
        assert_eq!(service.get("/livez").await.unwrap().0, 200, "{name}");
        assert_eq!(service.stop(Duration::from_secs(10)).await.unwrap().code(), Some(0), "{name}");
    }
    let vectors: Vec<serde_json::Value> = VECTORS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let messages = vectors.iter().map(|vector| vector["stg_message"].as_str().unwrap().as_bytes().to_vec());
    stage.produce("dds", messages.map(|payload| Produced { key: None, partition: None, payload })).await.unwrap();
    let service = stage.start_with("dds", good).unwrap();
    service.ready(PATIENCE).await.unwrap();
    until("DDS", PATIENCE, async || Ok((stage.lag("dds").await? == 0).then_some(()))).await.unwrap();
    let orders: i64 = sqlx::query_scalar("select count(*) from dds.h_order").fetch_one(&stage.pool).await.unwrap();
    assert!(orders > 0);
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warehouse_whose_authority_is_not_the_named_one_is_not_spoken_to() {
    let stage = Stage::build("verify", 1).await.unwrap();
    let environment = stage.environment("dds");
    let (ca, other_ca) = (environment["KAFKA_CA"].clone(), environment["KAFKA_OTHER_CA"].clone());
    let migrate = async |ca: &str| {
        let settings = [("PG_WAREHOUSE_SSLMODE", "verify-full"), ("PG_WAREHOUSE_SSLROOTCERT", ca)];
        stage.command("dds", &settings).unwrap().arg("migrate").output().await.unwrap()
    };
    assert_eq!(migrate(&other_ca).await.status.code(), Some(1));
    let right = migrate(&ca).await;
    assert!(right.status.success(), "{}", String::from_utf8_lossy(&right.stderr));
    stage.tear_down().await.unwrap();
}
