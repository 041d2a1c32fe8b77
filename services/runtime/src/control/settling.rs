//! When the pauses and resumes that are under way are done: by what the members say of themselves.

use sqlx::postgres::PgPool;
use uuid::Uuid;

use super::GONE_AFTER;

/// Notes which members have carried out the pauses and resumes that are under way, which are gone, and which of these
/// operations are thereby done. A member that is at a later generation has passed the earlier one.
pub async fn settle(pool: &PgPool, layer: &str) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    // One at a time: the rows are few, and two members that settle at once would wait for each other.
    let unfinished: Vec<Uuid> = sqlx::query_scalar(
        "select id from ops.operations where layer = $1 and kind in ('pause', 'resume') and state = 'running' \
         order by id for update skip locked",
    )
    .bind(layer)
    .fetch_all(&mut *tx)
    .await?;
    if unfinished.is_empty() {
        return tx.rollback().await;
    }
    sqlx::query(
        "update ops.operation_results r set outcome = judged.outcome, at = now() \
         from (select p.operation_id, p.nth, \
                      case when m.generation >= o.generation then 'done' \
                           when m.id is null or m.heartbeat < now() - make_interval(secs => $2) then 'gone' end as outcome \
               from ops.operation_results p \
               join ops.operations o on o.id = p.operation_id \
               left join ops.members m on m.id = p.member \
               where p.operation_id = any($1) and p.outcome = 'pending') judged \
         where judged.operation_id = r.operation_id and judged.nth = r.nth and judged.outcome is not null",
    )
    .bind(&unfinished)
    .bind(GONE_AFTER)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "update ops.operations o \
         set progress = jsonb_build_object('members_total', c.total, 'members_done', c.done), \
             state = case when c.pending = 0 then 'done' else o.state end, \
             finished_at = case when c.pending = 0 then now() end \
         from (select u.id, count(r.nth) as total, count(r.nth) filter (where r.outcome = 'done') as done, \
                      count(r.nth) filter (where r.outcome = 'pending') as pending \
               from unnest($1) u(id) left join ops.operation_results r on r.operation_id = u.id group by u.id) c \
         where o.id = c.id",
    )
    .bind(&unfinished)
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}
