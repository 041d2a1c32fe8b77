//! The log of what each transaction has changed, as `migrations/0002_reads.sql` keeps it by triggers, whoever writes.

use super::counter::Counter;
use super::snapshot::Snapshot;
use super::statement::Statement;

/// Whether the log still has all that this snapshot has not seen. Older changes are forgotten.
#[must_use]
pub fn kept(counter: &Counter, since: &Snapshot) -> Statement {
    Statement::new("(select since <= ")
        .value(since.lowest.to_string(), "xid8")
        .words(&format!(" from cdm.counter_changes_kept where counter = '{}')", counter.table))
}

/// Whether the log has all that this snapshot has not seen, and that is less than every counter: whoever asks for more had
/// better read those.
#[must_use]
pub fn is_shorter(counter: &Counter, since: &Snapshot) -> Statement {
    kept(counter, since)
        .words(" and (select coalesce(sum(row_count), 0) ")
        .followed(&unseen(counter, since))
        .words(&format!(") <= cdm.changes_to_keep('{}')", counter.table))
}

/// `from … where …`: the entries that this snapshot has not seen, as `entry`.
///
/// The index finds all that come into question by the lowest transaction that was running. What is above every transaction
/// that has ended came with a dump of another server.
#[must_use]
pub fn unseen(counter: &Counter, since: &Snapshot) -> Statement {
    Statement::new(&format!("from cdm.counter_changes entry where counter = '{}' and changed_in >= ", counter.table))
        .value(since.lowest.to_string(), "xid8")
        .words(" and changed_in < pg_snapshot_xmax(pg_current_snapshot()) and not pg_visible_in_snapshot(changed_in, ")
        .value(since.to_string(), "pg_snapshot")
        .words(")")
}
