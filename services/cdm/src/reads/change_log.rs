//! The log of what each transaction has changed, as `migrations/0002_reads.sql` keeps it by triggers, whoever writes.

use super::counter::Counter;
use super::snapshot::Snapshot;
use super::statement::Statement;

/// A column `kept`: whether the log still has all that this snapshot has not seen. Older changes are forgotten, and whoever
/// asks for them has to read every counter.
#[must_use]
pub fn kept(counter: &Counter, since: &Snapshot) -> Statement {
    Statement::new("(select since <= ")
        .value(since.lowest.to_string(), "xid8")
        .words(&format!(" from cdm.counter_changes_kept where counter = '{}') as kept", counter.table))
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
