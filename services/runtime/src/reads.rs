//! The warehouse as analysts read it: over a pool of their own, so many at once and no more, so that they can never starve
//! the consumer.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::database::Renewable;
use crate::fault;
use crate::http::Problem;

/// For how long a read waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(2);

/// A read takes no longer, with its wait for a connection: the server ends its statement before.
const PATIENCE: Duration = Duration::from_secs(25);

/// So many requests may wait for something to be applied or changed, each looking again and again.
const WAITING: usize = 32;

/// The analysts' way into the warehouse.
#[derive(Clone, Debug)]
pub struct Reads {
    pool: Renewable,
    turns: Arc<Semaphore>,
    /// Streams last as long as their clients take, and must not take every connection from short reads.
    streams: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// One read's right to a connection, for as long as it is held.
#[derive(Debug)]
pub struct Turn {
    pool: Renewable,
    held: Arc<Vec<OwnedSemaphorePermit>>,
}

/// A request's right to wait, for as long as it is held.
#[derive(Debug)]
pub struct Waiting(#[expect(dead_code, reason = "what counts is for how long it lives")] OwnedSemaphorePermit);

impl Reads {
    pub(crate) fn new(pool: Renewable, connections: u32) -> Self {
        let connections = usize::try_from(connections).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let streams = (connections / 2).max(1);
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { pool, turns: semaphore(connections), streams: semaphore(streams), waiting: semaphore(WAITING) }
    }

    /// Waits for the turn of a read that is answered at once.
    pub async fn turn(&self) -> Result<Turn, Problem> {
        self.take(&[&self.turns]).await
    }

    /// Waits for the turn of a read whose answer is as long as it may be.
    pub async fn stream_turn(&self) -> Result<Turn, Problem> {
        self.take(&[&self.streams, &self.turns]).await
    }

    /// The right to look again and again, where not too many do.
    pub fn wait(&self) -> Result<Waiting, Problem> {
        Arc::clone(&self.waiting).try_acquire_owned().map(Waiting).map_err(|_| Problem::too_many_reads())
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
        Ok(Turn { pool: self.pool.clone(), held: Arc::new(held) })
    }
}

impl Turn {
    /// Waits for an answer for as long as a read may. Its turn lasts until the server has done with it, also where its client
    /// has gone: the connection is busy for so long.
    pub async fn ask<T, Q>(&self, question: impl FnOnce(PgPool) -> Q) -> Result<T, Problem>
    where
        T: Send + 'static,
        Q: Future<Output = Result<T, sqlx::Error>> + Send + 'static,
    {
        let (question, held) = (question(self.pool.pool()), Arc::clone(&self.held));
        let asked = tokio::spawn(async move {
            let answer = tokio::time::timeout(PATIENCE, question).await;
            drop(held);
            answer
        });
        match asked.await {
            Ok(Ok(answer)) => answer.map_err(refusal),
            Ok(Err(_)) => {
                self.pool.renew();
                Err(Problem::database_away())
            }
            Err(fallen) => match fallen.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Problem::database_away()),
            },
        }
    }
}

/// How a read is answered that met this error.
#[must_use]
pub fn refusal(error: sqlx::Error) -> Problem {
    if fault::was_ended(&error) { Problem::query_too_slow() } else { error.into() }
}
