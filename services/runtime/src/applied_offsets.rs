//! `ops.applied_offsets`: how far the tables are, written in the transaction that writes them.

use sqlx::postgres::PgConnection;

use crate::record::Record;

/// Notes that everything up to and with `last` is applied, and the time at which the newest of it entered the first topic.
/// Replays do not take it back: what was applied stays so. Records that are newer than all of that and lie before its end are
/// no replay: their topic was deleted and made anew. Whoever empties a layer's tables removes its rows here as well.
/// Nothing has entered a topic after now, whatever a producer's clock says; else its time would stand here for good.
pub async fn advance(
    tx: &mut PgConnection,
    layer: &str,
    last: &Record,
    newest: chrono::DateTime<chrono::Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into ops.applied_offsets as a (layer, topic, partition, next_offset, record_time) \
         values ($1, $2, $3, $4, least($5, now())) \
         on conflict (layer, topic, partition) do update \
         set next_offset = case when excluded.record_time > a.record_time then excluded.next_offset \
                                else greatest(a.next_offset, excluded.next_offset) end, \
             record_time = greatest(a.record_time, excluded.record_time), applied_at = now()",
    )
    .bind(layer)
    .bind(&*last.topic)
    .bind(last.partition)
    .bind(last.offset + 1)
    .bind(newest)
    .execute(tx)
    .await
    .map(|_| ())
}
