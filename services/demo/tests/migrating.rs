//! Services that start at the same moment on a database where nothing is.

use std::time::Duration;

use ordervault_demo::stage::{LAYERS, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_of_every_layer_migrate_an_empty_database_at_the_same_moment() {
    let stage = Stage::build("migrating", 3).await.unwrap();
    let services: Vec<_> =
        LAYERS.iter().flat_map(|layer| [layer; 2]).map(|layer| stage.start(layer, &[]).unwrap()).collect();
    for service in &services {
        service.ready(Duration::from_mins(1)).await.unwrap();
    }
    let twice: i64 = sqlx::query_scalar(
        "select count(*) from (select version from ops.schema_migrations group by version having count(*) > 1) twice",
    )
    .fetch_one(&stage.pool)
    .await
    .unwrap();
    assert_eq!(twice, 0);
    drop(services);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_ends_by_itself_and_may_be_run_again() {
    let stage = Stage::build("migrate", 1).await.unwrap();
    for layer in LAYERS {
        for _ in 0..2 {
            assert!(stage.command(layer, &[]).unwrap().arg("migrate").status().await.unwrap().success(), "{layer}");
        }
    }
    let views: i64 = sqlx::query_scalar("select count(*) from pg_views where schemaname = 'dds'")
        .fetch_one(&stage.pool)
        .await
        .unwrap();
    assert_eq!(views, 5, "a view of current values for each satellite");
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_says_by_its_exit_code_whether_the_service_beside_it_is_ready() {
    let stage = Stage::build("healthcheck", 1).await.unwrap();
    let service = stage.start("dds", &[]).unwrap();
    service.ready(Duration::from_mins(1)).await.unwrap();
    let address = service.url.trim_start_matches("http://").to_owned();
    let ask = |address: String| {
        let mut command = stage.command("dds", &[("HTTP_ADDR", &address)]).unwrap();
        async move { command.arg("healthcheck").output().await.unwrap() }
    };
    assert!(ask(address).await.status.success());
    let unanswered = ask("127.0.0.1:1".to_owned()).await;
    assert_eq!(unanswered.status.code(), Some(1));
    assert!(String::from_utf8(unanswered.stderr).unwrap().contains("127.0.0.1:1 does not answer"));
    drop(service);
    stage.tear_down().await.unwrap();
}
