//! What becomes of pauses and resumes, member by member.

use sqlx::postgres::PgPool;
use uuid::Uuid;

use super::{GONE_AFTER, HEARD_WITHIN};

/// Notes which members have carried out the pauses and resumes that are under way, which are gone, and which of these
/// operations are thereby done. A member that is at a later generation has passed the earlier one. Nobody is gone, and
/// nothing done by nobody, before those that live have had the time to report: PostgreSQL may have been away for all.
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
    // Who reports only now has it still to do: a new member, and one that was taken for gone.
    sqlx::query(
        "update ops.operation_results r set outcome = 'pending', at = now() from ops.members m \
         where r.operation_id = any($1) and r.outcome = 'gone' and m.id = r.member \
               and m.heartbeat > now() - make_interval(secs => $2)",
    )
    .bind(&unfinished)
    .bind(GONE_AFTER)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "insert into ops.operation_results (operation_id, member, outcome) \
         select o.id, m.id, 'pending' from ops.operations o join ops.members m on m.layer = o.layer \
         where o.id = any($1) and m.generation < o.generation and m.heartbeat > now() - make_interval(secs => $2) \
               and not exists (select from ops.operation_results r where r.operation_id = o.id and r.member = m.id)",
    )
    .bind(&unfinished)
    .bind(GONE_AFTER)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "update ops.operation_results r set outcome = judged.outcome, at = now() \
         from (select p.operation_id, p.nth, \
                      case when m.generation >= o.generation then 'done' \
                           when m.id is null then 'gone' \
                           when m.heartbeat < now() - make_interval(secs => $2) \
                                and o.created_at < now() - make_interval(secs => $3) then 'gone' end as outcome \
               from ops.operation_results p \
               join ops.operations o on o.id = p.operation_id \
               left join ops.members m on m.id = p.member \
               where p.operation_id = any($1) and p.outcome = 'pending') judged \
         where judged.operation_id = r.operation_id and judged.nth = r.nth and judged.outcome is not null",
    )
    .bind(&unfinished)
    .bind(GONE_AFTER)
    .bind(HEARD_WITHIN)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "update ops.operations o \
         set progress = jsonb_build_object('members_total', c.total, 'members_done', c.done), \
             state = case when c.over then 'done' else o.state end, finished_at = case when c.over then now() end \
         from (select u.id, count(r.nth) filter (where r.outcome <> 'gone') as total, \
                      count(r.nth) filter (where r.outcome = 'done') as done, \
                      count(r.nth) filter (where r.outcome = 'pending') = 0 \
                      and (count(r.nth) filter (where r.outcome = 'done') > 0 \
                           or u.created_at < now() - make_interval(secs => $2)) as over \
               from (select id, created_at from ops.operations where id = any($1)) u \
               left join ops.operation_results r on r.operation_id = u.id group by u.id, u.created_at) c \
         where o.id = c.id",
    )
    .bind(&unfinished)
    .bind(HEARD_WITHIN)
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}
