//! 304: only when nothing has changed, under writers that commit late.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use reqwest::StatusCode;
use serde_json::Value;

use super::scene::Scene;

const PATH: &str = "/api/v1/user-product-counters?limit=1000&include_zero=true&sort=id";
const WRITERS: usize = 4;
const ROUNDS: usize = 1_500;

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_never_said_to_be_unchanged_when_something_was_committed_before_it_was_asked_for() {
    let scene = Scene::new("unchanged").await;
    scene.fill(i64::try_from(WRITERS).unwrap()).await;
    scene.sql("update cdm.user_product_counters set order_cnt = 0").await;
    let done = Arc::new(AtomicBool::new(false));
    let committed: Arc<[AtomicI64]> = (0..WRITERS).map(|_| AtomicI64::new(0)).collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (pool, done, committed) = (scene.stage.pool.clone(), Arc::clone(&done), Arc::clone(&committed));
            tokio::spawn(async move {
                let mut rng = Rng::with_seed(writer as u64);
                for count in 1.. {
                    if done.load(Ordering::SeqCst) {
                        return;
                    }
                    let mut tx = pool.begin().await.unwrap();
                    sqlx::query("update cdm.user_product_counters set order_cnt = $1 where id = $2")
                        .bind(count)
                        .bind(i64::try_from(writer).unwrap() + 1)
                        .execute(&mut *tx)
                        .await
                        .unwrap();
                    // Others begin after it and are quicker.
                    tokio::time::sleep(Duration::from_millis(rng.u64(0..30))).await;
                    tx.commit().await.unwrap();
                    committed[writer].store(count, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(rng.u64(0..60))).await;
                }
            })
        })
        .collect();
    let (mut held, mut tag, mut unchanged): (Vec<i64>, Option<String>, usize) = (vec![0; WRITERS], None, 0);
    for _ in 0..ROUNDS {
        let before: Vec<i64> = committed.iter().map(|count| count.load(Ordering::SeqCst)).collect();
        let mut request = scene.client.get(format!("{}{PATH}", scene.cdm.url));
        if let Some(tag) = &tag {
            request = request.header("if-none-match", tag);
        }
        let answer = request.send().await.unwrap();
        if answer.status() == StatusCode::NOT_MODIFIED {
            unchanged += 1;
            assert_eq!(answer.headers()["etag"].to_str().unwrap(), tag.as_deref().unwrap());
        } else {
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(answer.headers()["cache-control"], "private, max-age=0, must-revalidate");
            tag = Some(answer.headers()["etag"].to_str().unwrap().to_owned());
            let page: Value = answer.json().await.unwrap();
            let items = page["items"].as_array().unwrap();
            held = items.iter().map(|item| item["order_cnt"].as_i64().unwrap()).collect();
        }
        assert!(
            held.iter().zip(&before).all(|(held, before)| held >= before),
            "{held:?} is held, {before:?} was there"
        );
    }
    done.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(unchanged > ROUNDS / 20, "only {unchanged} of {ROUNDS} answers were unchanged");

    // Once nobody writes, nothing changes any more.
    let last = scene.get(PATH).await.headers()["etag"].clone();
    let again =
        scene.client.get(format!("{}{PATH}", scene.cdm.url)).header("if-none-match", &last).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    // In another form it is another answer.
    let as_csv = scene.client.get(format!("{}{PATH}", scene.cdm.url)).header("accept", "text/csv");
    assert_eq!(as_csv.header("if-none-match", &last).send().await.unwrap().status(), StatusCode::OK);
    // What was applied is part of it, also where it has changed no counter.
    scene
        .sql(&format!(
            "insert into ops.applied_offsets (layer, topic, partition, next_offset, record_time) \
             values ('cdm', '{}', 0, 5, '2026-03-01T10:00:00Z')",
            scene.stage.source_topic("cdm")
        ))
        .await;
    let again =
        scene.client.get(format!("{}{PATH}", scene.cdm.url)).header("if-none-match", &last).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::OK);
    assert_eq!(again.headers()["ordervault-applied-offsets"], "0:4");
    assert_eq!(again.headers()["ordervault-as-of"], "2026-03-01T10:00:00.000Z");
    let page: Value = again.json().await.unwrap();
    assert_eq!(page["as_of"], "2026-03-01T10:00:00Z");
    // Nobody takes counters away but by hand.
    let last = scene.get(PATH).await.headers()["etag"].clone();
    scene.sql("delete from cdm.user_product_counters where id = 1").await;
    let again =
        scene.client.get(format!("{}{PATH}", scene.cdm.url)).header("if-none-match", &last).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::OK);
    scene.tear_down().await;
}
