//! The control plane: an operator's word kept in `ops`, for every replica of a layer and beyond its restarts.
//!
//! The tables are the only place where the members of a layer meet: each keeps what is desired and what it does in step
//! with them, and none talks to another. With PostgreSQL away the last known state holds.

pub mod pauses;
pub mod members;
pub mod operations;
pub mod outcomes;
mod settling;
pub mod resets;
pub mod steering;
pub mod heartbeat;
pub mod ownerless;
pub mod watchman;
pub mod janitor;

/// Who changes something when it is the service itself.
pub const ITSELF: &str = "ordervault";

/// The channel on which PostgreSQL tells every member of a layer that something in `ops` has changed; the payload names
/// the layer.
pub const CHANNEL: &str = "ordervault_ops";

/// A member that has not reported for so long, in seconds, is gone.
pub const GONE_AFTER: f64 = 10.0;

/// A member that has not reported for so long, in seconds, is not waited for at all.
const FORGOTTEN_AFTER: f64 = 600.0;

/// A member that lives has reported within so long, in seconds, of PostgreSQL's return.
const HEARD_WITHIN: f64 = 5.0;

/// Wakes the members of a layer once the transaction is committed.
pub(crate) async fn notify(tx: &mut sqlx::postgres::PgConnection, layer: &str) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(layer).execute(tx).await.map(|_| ())
}
