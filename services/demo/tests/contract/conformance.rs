//! Requests of every kind against each layer, and whether what comes back is what its document says.

use std::path::Path;

use futures_util::future::join_all;
use ordervault_demo::stage::{OPS_TOKEN, Service};
use tokio::process::Command;

use super::pipeline;

/// How many requests each layer has to stand, at the least.
const CASES: u64 = 2_000;

/// How many requests there were, by the report.
fn cases(report: &str) -> u64 {
    let generated = report.lines().find_map(|line| line.trim().split_once(" generated"));
    generated.map_or(0, |(cases, _)| cases.parse().unwrap())
}

/// What schemathesis says of a layer; it ends with an error when an answer is not as the document has it.
async fn report(service: &Service) -> String {
    let ran = Command::new("schemathesis")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .args([
            "run",
            "--url",
            &service.url,
            "--header",
            &format!("Authorization: Bearer {OPS_TOKEN}"),
            "--checks=all",
            "--no-color",
        ])
        .arg(pipeline::document(service.layer))
        .output()
        .await
        .unwrap();
    let report = String::from_utf8_lossy(&ran.stdout).into_owned();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{}:\n{report}\n{said}", service.layer);
    report
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs schemathesis, which tools/checkers installs"]
async fn two_thousand_requests_a_layer_are_answered_as_its_document_says() {
    let (stage, services) = pipeline::running("conformance", &[]).await;
    for report in join_all(services.iter().map(report)).await {
        println!("{report}");
        assert!(cases(&report) >= CASES, "{report}");
    }
    drop(services);
    stage.tear_down().await.unwrap();
}
