//! Services that start at the same moment on a database where nothing is, and starts that have to wait.

use std::time::Duration;

use ordervault_demo::proxy::Cut;
use ordervault_demo::stage::{LAYERS, Service, Stage, until};
use sqlx::{AssertSqlSafe, Connection as _};

use crate::proxied::behind_a_proxy;

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
async fn migrations_that_run_at_the_same_moment_all_succeed() {
    let stage = Stage::build("at_once", 1).await.unwrap();
    let all = LAYERS.iter().flat_map(|layer| [layer; 4]).map(|layer| {
        let mut command = stage.command(layer, &[]).unwrap();
        async move { (layer, command.arg("migrate").output().await.unwrap()) }
    });
    // Unlike a service, the command does not try again.
    for (layer, ended) in futures_util::future::join_all(all).await {
        assert!(ended.status.success(), "{layer}: {}", String::from_utf8_lossy(&ended.stderr));
    }
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_ends_by_itself_and_may_be_run_again() {
    let stage = Stage::build("migrate", 1).await.unwrap();
    for layer in LAYERS {
        for _ in 0..2 {
            stage.migrate(layer).await.unwrap();
        }
    }
    let views: i64 = sqlx::query_scalar("select count(*) from pg_views where schemaname = 'dds'")
        .fetch_one(&stage.pool)
        .await
        .unwrap();
    assert_eq!(views, 5, "a view of current values for each satellite");
    stage.tear_down().await.unwrap();
}

/// The checks that a service shows in its metrics, once `/readyz` has these words.
async fn shown(service: &Service, words: &str) -> Vec<String> {
    until(words, Duration::from_mins(1), async || {
        let Ok((_, ready)) = service.get("/readyz").await else { return Ok(None) };
        Ok(ready.contains(words).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(service.get("/livez").await.unwrap().0, 200);
    let (_, metrics) = service.get("/metrics").await.unwrap();
    let checks = metrics.lines().filter_map(|line| line.strip_prefix("ordervault_check_passing{check=\""));
    checks.map(|line| line.replace("\",layer=\"stg\"}", "")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_says_for_what_and_nothing_of_what_it_has_not_looked_at() {
    let stage = Stage::build("waiting_start", 1).await.unwrap();
    let away = stage.start("stg", &[("PG_WAREHOUSE_PORT", "1")]).unwrap();
    assert_eq!(shown(&away, "refused").await, ["postgres 0", "startup 0"]);
    // Another replica's migration, which takes long.
    let mut other = sqlx::PgConnection::connect_with(&stage.pool.connect_options()).await.unwrap();
    let lock = i64::from_be_bytes(*b"ordervlt");
    sqlx::query("select pg_advisory_lock($1)").bind(lock).execute(&mut other).await.unwrap();
    let service = stage.start("stg", &[]).unwrap();
    assert_eq!(shown(&service, "another's lock").await, ["startup 0"]);
    other.close().await.unwrap();
    service.ready(Duration::from_mins(1)).await.unwrap();
    drop((away, service));
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_is_begun_anew_where_the_servers_host_died_without_a_word_in_its_middle() {
    let stage = Stage::build("silent_migration", 1).await.unwrap();
    let (_, proxy) = behind_a_proxy("PG_WAREHOUSE_HOST", "PG_WAREHOUSE_PORT").await;
    let asks = b"create schema stg";
    proxy.cut_when(Cut::Silently, 1, move |piece| piece.windows(asks.len()).any(|window| window == asks));
    let service = stage.start("stg", &[("PG_WAREHOUSE_PORT", &proxy.address.port().to_string())]).unwrap();
    until("the silence", Duration::from_mins(1), async || Ok((proxy.cuts_left() == 0).then_some(()))).await.unwrap();
    // The next server has never heard of the session.
    let end = "select pg_terminate_backend(pid) from pg_stat_activity \
         where datname = current_database() and application_name = 'ordervault-stg-migrate'";
    sqlx::query(end).execute(&stage.pool).await.unwrap();
    service.ready(Duration::from_mins(1)).await.unwrap();
    drop(service);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_use_the_tables_but_make_none_can_serve_once_they_are_there() {
    let stage = Stage::build("grants", 1).await.unwrap();
    stage.migrate("dds").await.unwrap();
    let role = format!("role_{}", stage.name);
    let grants = format!(
        "create role {role} login password 'r'; grant usage on schema dds, ops to {role}; \
         grant select, insert, update, delete on all tables in schema dds, ops to {role}"
    );
    sqlx::raw_sql(AssertSqlSafe(grants)).execute(&stage.pool).await.unwrap();
    let settings = [("PG_WAREHOUSE_USER", role.as_str()), ("PG_WAREHOUSE_PASSWORD", "r")];
    let service = stage.start("dds", &settings).unwrap();
    service.ready(Duration::from_mins(1)).await.unwrap();
    drop(service);
    let drop_role = format!("drop owned by {role}; drop role {role}");
    sqlx::raw_sql(AssertSqlSafe(drop_role)).execute(&stage.pool).await.unwrap();
    stage.tear_down().await.unwrap();
}
