//! The warehouse as analysts read it: over a pool of their own, so many at once and no more, so that they can never starve
//! the consumer.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::database::Renewable;
use crate::http::Problem;

/// For how long a read waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(2);

/// A read takes no longer, with its wait for a connection: the server ends its statement before.
const PATIENCE: Duration = Duration::from_secs(25);

/// How the server says that it ended a statement for its length.
const CANCELLED: &str = "57014";

/// The analysts' way into the warehouse.
#[derive(Clone, Debug)]
pub struct Reads {
    pool: Renewable,
    turns: Arc<Semaphore>,
    /// Streams last as long as their clients take, and must not take every connection from short reads.
    streams: Arc<Semaphore>,
}

/// One read's right to a connection, for as long as it is held.
#[derive(Debug)]
pub struct Turn {
    pool: Renewable,
    _held: Vec<OwnedSemaphorePermit>,
}

impl Reads {
    pub(crate) fn new(pool: Renewable, connections: u32) -> Self {
        let connections = usize::try_from(connections).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let streams = (connections / 2).max(1);
        Self { pool, turns: Arc::new(Semaphore::new(connections)), streams: Arc::new(Semaphore::new(streams)) }
    }

    /// Waits for the turn of a read that is answered at once.
    pub async fn turn(&self) -> Result<Turn, Problem> {
        self.take(&[&self.turns]).await
    }

    /// Waits for the turn of a read whose answer is as long as it may be.
    pub async fn stream_turn(&self) -> Result<Turn, Problem> {
        self.take(&[&self.streams, &self.turns]).await
    }

    async fn take(&self, of: &[&Arc<Semaphore>]) -> Result<Turn, Problem> {
        let take = async {
            let mut held = Vec::with_capacity(of.len());
            for semaphore in of {
                // It is never closed.
                held.extend(Arc::clone(semaphore).acquire_owned().await);
            }
            held
        };
        let held = tokio::time::timeout(TURN_WITHIN, take).await.map_err(|_| Problem::too_many_reads())?;
        Ok(Turn { pool: self.pool.clone(), _held: held })
    }
}

impl Turn {
    /// The pool; what is asked of it goes through [`Turn::ask`].
    #[must_use]
    pub fn pool(&self) -> PgPool {
        self.pool.pool()
    }

    /// Waits for an answer for as long as a read may.
    pub async fn ask<T>(&self, question: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Problem> {
        match tokio::time::timeout(PATIENCE, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(sqlx::Error::Database(refusal))) if refusal.code().as_deref() == Some(CANCELLED) => {
                Err(Problem::query_too_slow())
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                self.pool.renew();
                Err(Problem::database_away())
            }
        }
    }
}
