//! A client generated from each document.

use std::path::{Path, PathBuf};

use ordervault_demo::stage::OPS_TOKEN;
use tokio::process::Command;

use super::pipeline;

/// What an operator's program does with the client.
const DRIVE: &str = include_str!("drive.rs");

/// Writes the client of a layer, with the program as its example.
async fn generate(layer: &str, folder: &Path) {
    let generated = Command::new("openapi-generator")
        .args(["generate", "--generator-name", "rust"])
        .args(["--additional-properties", "packageName=ordervault_client,supportAsync=false"])
        .arg("--input-spec")
        .arg(pipeline::document(layer))
        .arg("--output")
        .arg(folder)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&generated.stdout) + String::from_utf8_lossy(&generated.stderr);
    assert!(generated.status.success(), "{layer}: {said}");
    // It lies below this workspace, and is to be none of its members.
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    std::fs::write(folder.join("Cargo.toml"), manifest + "\n[workspace]\n").unwrap();
    std::fs::create_dir_all(folder.join("examples")).unwrap();
    std::fs::write(folder.join("examples/drive.rs"), DRIVE).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openapi-generator, which tools/checkers installs"]
async fn a_generated_client_compiles_and_pauses_resets_and_resumes_every_layer() {
    let (stage, services) = pipeline::running("client", &[]).await;
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&stage.name);
    for service in &services {
        let client = folder.join(service.layer);
        generate(service.layer, &client).await;
        let driven = Command::new("cargo")
            .args(["run", "--quiet", "--example", "drive", "--", &service.url, OPS_TOKEN])
            .current_dir(&client)
            // The clients share what they are built on, also with the next run's.
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients"))
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&driven.stderr);
        assert!(driven.status.success(), "{}: {said}", service.layer);
        assert_eq!(String::from_utf8_lossy(&driven.stdout), "paused, reset 3 partitions, resumed\n");
        let operations = service.read("/api/v1/operations?limit=3").await.unwrap();
        let kinds: Vec<_> = operations["items"].as_array().unwrap().iter().map(|each| each["kind"].clone()).collect();
        assert_eq!(kinds, ["resume", "offset_reset", "pause"], "{operations}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    drop(services);
    stage.tear_down().await.unwrap();
}
