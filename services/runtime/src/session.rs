//! Sessions apart from the pools, for what asks for minutes.
//!
//! A server whose host dies does not say so, and a client that waits for an answer would wait for ever. How long an answer may
//! rightly take is not known: a migration waits for another's lock for as long as that takes. So another connection asks
//! from time to time whether the server still has the session.

use std::io;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection as _, Executor as _};

/// For how long a connection is waited for.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How often it is asked whether the session is still there, and for how long an answer is waited for.
const LOOK_EVERY: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection of somebody's own, and what tells whether it still leads to a session.
#[derive(Debug)]
pub struct Session {
    /// Whoever drops it within a question leaves no busy connection behind.
    pub connection: PgConnection,
    /// What is asked over the connection is asked while this is held.
    pub lifeline: Lifeline,
}

/// Which session of which server it is: a process id alone comes back.
#[derive(Clone, Debug)]
pub struct Lifeline {
    options: PgConnectOptions,
    process: i32,
    began: DateTime<Utc>,
}

impl Session {
    /// Connects, and begins with these statements.
    pub async fn open(options: &PgConnectOptions, statements: &[&'static str]) -> Result<Self, sqlx::Error> {
        within(CONNECT_WITHIN, async {
            let mut connection = PgConnection::connect_with(options).await?;
            begin(&mut connection, statements).await?;
            let (process, began) =
                sqlx::query_as("select pid, backend_start from pg_stat_activity where pid = pg_backend_pid()")
                    .fetch_one(&mut connection)
                    .await?;
            Ok(Self { connection, lifeline: Lifeline { options: options.clone(), process, began } })
        })
        .await
    }
}

impl Lifeline {
    /// Does the work, or gives it up as soon as the server says that it has no such session any more. A server that says
    /// nothing may come back with it.
    pub async fn hold<T, E: From<sqlx::Error>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.broken() => Err(sqlx::Error::Io(io::ErrorKind::ConnectionAborted.into()).into()),
        }
    }

    async fn broken(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Ok(false) = within(PATIENCE, self.is_there()).await {
                tracing::warn!(process = self.process, "the server has lost a session that waits for its answer");
                return;
            }
        }
    }

    async fn is_there(&self) -> Result<bool, sqlx::Error> {
        let mut connection = PgConnection::connect_with(&self.options).await?;
        let there =
            sqlx::query_scalar("select exists (select from pg_stat_activity where pid = $1 and backend_start = $2)")
                .bind(self.process)
                .bind(self.began)
                .fetch_one(&mut connection)
                .await?;
        connection.close().await?;
        Ok(there)
    }
}

/// What every session of one kind begins with.
pub async fn begin(connection: &mut PgConnection, statements: &[&'static str]) -> Result<(), sqlx::Error> {
    for statement in statements {
        connection.execute(*statement).await?;
    }
    Ok(())
}

async fn within<T>(
    patience: Duration,
    question: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(patience, question)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())))
}
