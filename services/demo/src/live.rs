//! Where the live view's numbers come from: each service's own `/metrics`, and the counters in the warehouse.

use std::time::{Duration, Instant};

use sqlx::postgres::PgPool;

use crate::stage::{OPS_TOKEN, Service};
use crate::watch::{Histogram, Layer, Snapshot, total};

/// The dishes that the view shows.
const TOP_DISHES: i64 = 5;

/// What was seen of a layer the last time, so that a rate can be told.
#[derive(Clone, Default)]
struct Seen {
    records: f64,
    end_to_end: Histogram,
}

/// Looks at the running services.
pub struct Live<'s> {
    services: &'s [Service],
    pool: PgPool,
    begun: Instant,
    last: Instant,
    seen: Vec<Seen>,
}

impl<'s> Live<'s> {
    /// A view that has seen nothing yet.
    #[must_use]
    pub fn new(services: &'s [Service], pool: PgPool) -> Self {
        let now = Instant::now();
        Self { services, pool, begun: now, last: now, seen: vec![Seen::default(); services.len()] }
    }

    /// What can be seen now; rates and latencies are those since the look before.
    pub async fn snapshot(&mut self, phase: &str) -> Snapshot {
        let since = std::mem::replace(&mut self.last, Instant::now()).elapsed();
        let mut layers = Vec::new();
        for (service, seen) in self.services.iter().zip(&mut self.seen) {
            layers.push(look(service, seen, since).await);
        }
        Snapshot {
            elapsed: self.begun.elapsed(),
            phase: phase.to_owned(),
            layers,
            top_dishes: self.top_dishes().await.unwrap_or_default(),
            notes: self
                .services
                .iter()
                .map(|service| format!("{}  {}/docs  {1}/metrics", service.layer, service.url))
                .chain([format!("to change something in /docs: Authorize with the token {OPS_TOKEN}")])
                .collect(),
        }
    }

    async fn top_dishes(&self) -> Result<Vec<(String, i64)>, sqlx::Error> {
        sqlx::query_as(
            "select product_name, sum(order_cnt)::bigint from cdm.user_product_counters \
             group by product_id, product_name order by 2 desc, 1 limit $1",
        )
        .bind(TOP_DISHES)
        .fetch_all(&self.pool)
        .await
    }
}

async fn look(service: &Service, seen: &mut Seen, since: Duration) -> Layer {
    let state = match service.get("/readyz").await {
        Ok((status, _)) if status.is_success() => "ready",
        Ok(_) => "not ready",
        Err(_) => "away",
    };
    let mut layer = Layer { name: service.layer.to_owned(), state: state.to_owned(), ..Layer::default() };
    let Ok((_, metrics)) = service.get("/metrics").await else { return layer };
    let records = total(&metrics, "ordervault_records_total").unwrap_or_default();
    let end_to_end = Histogram::parse(&metrics, "ordervault_end_to_end_seconds");
    let latest = end_to_end.since(&seen.end_to_end);
    layer.records_per_second = (records - seen.records).max(0.0) / since.as_secs_f64().max(0.001);
    layer.lag = total(&metrics, "ordervault_lag_records").map(whole);
    layer.latency_p50 = latest.quantile(0.5);
    layer.latency_p99 = latest.quantile(0.99);
    *seen = Seen { records, end_to_end };
    layer
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a lag is a count of records")]
fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}
