//! Giving a dead letter up: it stays, with who did it and why, and its record is not tried again.

use serde_json::json;
use sqlx::postgres::PgPool;
use uuid::Uuid;

use super::browse::LetterStatus;
use crate::control::operations::{self, Kind, NewOperation, Operation};

/// What became of the wish to discard.
#[derive(Clone, Debug)]
pub enum Discarded {
    /// It is recorded as this operation.
    Done(Box<Operation>),
    /// It is resolved or discarded already.
    Closed(LetterStatus),
    /// There is none with this id.
    NotFound,
}

/// Discards an open or waiting dead letter.
pub async fn discard(
    pool: &PgPool,
    layer: &str,
    id: Uuid,
    actor: &str,
    reason: &str,
) -> Result<Discarded, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let status: Option<LetterStatus> =
        sqlx::query_scalar("select status from ops.dead_letters where layer = $1 and id = $2 for update")
            .bind(layer)
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
    match status {
        None => return Ok(Discarded::NotFound),
        Some(closed @ (LetterStatus::Resolved | LetterStatus::Discarded)) => return Ok(Discarded::Closed(closed)),
        Some(LetterStatus::Open | LetterStatus::Waiting) => {}
    }
    sqlx::query(
        "update ops.dead_letters \
         set status = 'discarded', next_attempt_at = null, closed_by = $2, closed_reason = $3 where id = $1",
    )
    .bind(id)
    .bind(actor)
    .bind(reason)
    .execute(&mut *tx)
    .await?;
    let new = NewOperation {
        layer,
        kind: Kind::DeadLetterDiscard,
        actor,
        reason: Some(reason),
        request: json!({"dead_letter": id, "reason": reason}),
        progress: json!({}),
    };
    let recorded = operations::insert(&mut tx, new).await?;
    sqlx::query("update ops.operations set state = 'done', finished_at = now() where id = $1")
        .bind(recorded)
        .execute(&mut *tx)
        .await?;
    let operation = operations::recorded(&mut tx, layer, recorded).await?;
    tx.commit().await?;
    Ok(Discarded::Done(Box::new(operation)))
}
