//! What nobody needs any more is removed from `ops`.

use std::time::Duration;

use ordervault_demo::stage::{Stage, until};

const PATIENCE: Duration = Duration::from_mins(3);

#[tokio::test(flavor = "multi_thread")]
async fn operations_past_their_time_are_removed_in_portions_and_no_others() {
    let stage = Stage::build("tidying", 1).await.unwrap();
    stage.migrate("cdm").await.unwrap();
    let old = "insert into ops.operations (id, layer, kind, state, actor, request, finished_at) \
         select gen_random_uuid(), layer, 'pause', 'done', 'a test', '{}', now() - days * interval '1 day' \
         from generate_series(1, 2500), (values ('cdm', 91), ('cdm', 89), ('dds', 91)) age(layer, days); \
         create table portions (operations bigint); \
         create function watch() returns trigger language plpgsql as $$ begin \
             insert into public.portions select count(*) from removed; return null; end $$; \
         create trigger watch after delete on ops.operations referencing old table as removed \
             for each statement execute function watch()";
    sqlx::raw_sql(old).execute(&stage.pool).await.unwrap();
    let service = stage.start("cdm", &[("OPERATIONS_KEEP_DAYS", "90")]).unwrap();
    let counts =
        "select count(*) filter (where layer = 'cdm'), count(*) filter (where layer = 'dds') from ops.operations";
    until("the old ones to be gone", PATIENCE, async || {
        let left: (i64, i64) = sqlx::query_as(counts).fetch_one(&stage.pool).await.unwrap();
        Ok((left == (2_500, 2_500)).then_some(()))
    })
    .await
    .unwrap();
    let most: i64 = sqlx::query_scalar("select max(operations) from portions").fetch_one(&stage.pool).await.unwrap();
    assert_eq!(most, 1_000);
    drop(service);
    stage.tear_down().await.unwrap();
}
