//! Whether orders that the vault has and the ledger has not may still be on their way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ordervault_runtime::broker::{Broker, BrokerError, First};
use ordervault_runtime::offsets::Standing;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

/// For how long it is waited that CDM has done what lay on its topic, as long as it gets on with it.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Why any order may be on its way, for all that is known of the topic before the snapshot is taken.
///
/// What counts are the group's offsets: they are committed after the rows are, and unlike the account of what was once
/// applied they go back where CDM is made anew.
pub(super) async fn on_topic(broker: &Arc<Broker>) -> Option<String> {
    match has_done_all(broker).await {
        Ok(true) => None,
        Ok(false) => Some("CDM has not done all that lay on its topic when the audit began".to_owned()),
        Err(error) => Some(format!("the broker does not say how far CDM is: {error}")),
    }
}

/// Whether all is done that lies on the topic now, within a time.
async fn has_done_all(broker: &Arc<Broker>) -> Result<bool, BrokerError> {
    let _turn = broker.turn().await?;
    let begun = Instant::now();
    let mut held = standings(broker).await?;
    let ends: BTreeMap<i32, i64> = held.iter().map(|(id, standing)| (*id, standing.high)).collect();
    loop {
        if held.iter().all(|(id, standing)| ends.get(id).is_none_or(|end| standing.next() >= *end)) {
            return Ok(true);
        }
        tokio::time::sleep(LOOK_EVERY).await;
        let later = standings(broker).await?;
        let gets_on = later.iter().any(|(id, now)| held.get(id).is_none_or(|then| now.next() > then.next()));
        if !gets_on || begun.elapsed() > PATIENCE {
            return are_marks(broker, &later, &ends).await;
        }
        held = later;
    }
}

/// Whether no record lies where CDM is not: the marks of transactions it has nothing to do with.
async fn are_marks(
    broker: &Arc<Broker>,
    standings: &BTreeMap<i32, Standing>,
    ends: &BTreeMap<i32, i64>,
) -> Result<bool, BrokerError> {
    let open = standings.iter().filter(|(id, standing)| ends.get(id).is_some_and(|end| standing.next() < *end));
    let open: BTreeMap<i32, i64> = open.map(|(id, standing)| (*id, standing.next())).collect();
    let asked = open.clone();
    let firsts = broker.ask(move |broker| broker.first_records(&asked)).await?;
    Ok(open.keys().all(|id| firsts.get(id) == Some(&First::Nothing)))
}

async fn standings(broker: &Arc<Broker>) -> Result<BTreeMap<i32, Standing>, BrokerError> {
    let standings = broker.ask(|broker| Standing::ask(broker, &broker.partitions()?, None)).await?;
    standings.into_iter().map(|(id, standing)| Ok((id, standing?))).collect()
}

/// Why any order may be on its way, for all that is known in the snapshot.
pub(super) async fn in_snapshot(snapshot: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    // A DDS that is paused, away or only just back may have rows committed that it has not told CDM of.
    sqlx::query_scalar(
        "select case \
             when exists (select from ops.dead_letters where layer = 'cdm' and status in ('open', 'waiting') \
                                                             and (key is null or octet_length(key) <> 36)) \
                 then 'a dead letter of CDM is open whose order is not known' \
             when exists (select from ops.applied_offsets where layer = 'dds') \
                  and (exists (select from ops.pauses where layer = 'dds' and (until is null or until > now())) \
                       or not exists (select from ops.members \
                                      where layer = 'dds' and heartbeat > now() - interval '10 seconds' \
                                            and started_at < now() - interval '60 seconds')) \
                 then 'DDS is paused, away or just back, and may have more to send' \
             when exists (select from ops.operations where kind = 'republish' and state in ('accepted', 'running')) \
                 then 'stored orders are being sent onward again' end",
    )
    .fetch_one(snapshot)
    .await
}
