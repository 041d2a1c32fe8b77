//! The pools.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Postgres, Transaction};
use tokio::time::Instant;

use crate::config::PostgresConfig;
use crate::fault::{Dependency, Fault, Outage, StoreError};
use crate::reads::Reads;
use crate::session::{self, Session};

/// The server ends what nobody waits for any more: a session whose client is gone must not hold its locks. What is read
/// after a lock is taken must be what is committed by then, whatever the role's own default is.
const SESSION_BOUNDS: &str = "set statement_timeout = '50s'; set idle_in_transaction_session_timeout = '60s'; \
     set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3; \
     set client_min_messages = warning; set default_transaction_isolation = 'read committed'";

/// On top of these, what is asked over HTTP is cheap or comes too late: nobody waits long for an answer. Each question is
/// planned for the filters that it has.
const REQUEST_BOUNDS: &str = "set statement_timeout = '10s'; set idle_in_transaction_session_timeout = '10s'; \
     set plan_cache_mode = force_custom_plan";

/// What asks for minutes has longer for each question, and the server looks whether anybody still waits for the answer;
/// versions that cannot are left as they are.
const SESSION_OF_ITS_OWN_BOUNDS: &str = "set statement_timeout = '15min'; \
     select set_config(name, '2s', false) from pg_settings where name = 'client_connection_check_interval'";

/// So many connections the requests over HTTP share, however many there are.
pub const REQUEST_CONNECTIONS: u32 = 3;

/// For how long a request waits for one of them.
const REQUEST_TURN: Duration = Duration::from_secs(3);

/// What analysts read may take longer, and is never written.
const READ_BOUNDS: &str = "set statement_timeout = '20s'; set default_transaction_read_only = on; \
     set plan_cache_mode = force_custom_plan";

/// A question of a request takes no longer, with its wait for a connection. The server ends a statement before, so whoever
/// has no answer by then has a connection that leads nowhere.
const REQUEST_PATIENCE: Duration = Duration::from_secs(12);

/// An attempt that takes longer than this hangs on a connection that leads nowhere, or is too much work for one.
pub const ATTEMPT: Duration = Duration::from_mins(1);
/// So much sooner the server ends a statement than the attempt is given up, so that it says why.
const SERVER_FIRST: Duration = Duration::from_secs(10);

/// A pool is given up at most so often: the next server needs a moment, too.
const RECONNECT_EVERY: Duration = Duration::from_secs(5);

/// The warehouse, by three pools: that of the layer's own work, that of requests over HTTP, which cannot take a connection
/// from it, and that of analysts' reads, which can take none from either.
#[derive(Clone, Debug)]
pub struct Database {
    work: Renewable,
    requests: Renewable,
    reads: Reads,
    analysts: Renewable,
}

impl Database {
    /// Pools that connect when they are first used; `connections` are for the layer's own work, `read_connections` for
    /// analysts.
    #[must_use]
    pub fn new(config: &PostgresConfig, layer: &'static str, connections: u32, read_connections: u32) -> Self {
        let options = config.connect_options(&format!("ordervault-{layer}"));
        let work = Bounds { connections, turn: Duration::from_secs(10), session: &[SESSION_BOUNDS] };
        let requests =
            Bounds { connections: REQUEST_CONNECTIONS, turn: REQUEST_TURN, session: &[SESSION_BOUNDS, REQUEST_BOUNDS] };
        let reads =
            Bounds { connections: read_connections, turn: REQUEST_TURN, session: &[SESSION_BOUNDS, READ_BOUNDS] };
        let analysts = Renewable::new(options.clone(), reads);
        Self {
            work: Renewable::new(options.clone(), work),
            requests: Renewable::new(options, requests),
            reads: Reads::new(analysts.clone(), read_connections),
            analysts,
        }
    }

    /// The present pool of the layer's own work.
    #[must_use]
    pub fn pool(&self) -> PgPool {
        self.work.pool()
    }

    /// The present pools, with the name of each in the metrics.
    #[must_use]
    pub fn pools(&self) -> [(&'static str, PgPool); 3] {
        [("road", self.work.pool()), ("requests", self.requests.pool()), ("reads", self.analysts.pool())]
    }

    /// A session for what asks for minutes, apart from the pools. Whoever drops it within a question leaves no busy
    /// connection behind, and the server ends the question soon.
    pub async fn session(&self, purpose: &str) -> Result<Session, sqlx::Error> {
        let options = &self.work.options;
        let name = format!("{}-{purpose}", options.get_application_name().unwrap_or_default());
        Session::open(&options.clone().application_name(&name), &[SESSION_BOUNDS, SESSION_OF_ITS_OWN_BOUNDS]).await
    }

    /// The warehouse as handlers of requests ask it.
    #[must_use]
    pub fn for_requests(&self) -> Requests {
        Requests(self.requests.clone())
    }

    /// The warehouse as analysts read it.
    #[must_use]
    pub fn for_analysts(&self) -> Reads {
        self.reads.clone()
    }

    /// Does the work, or gives it up where it hangs: a server may die without its connections being closed.
    pub fn attempt<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send,
    ) -> impl Future<Output = Result<T, Fault>>
    where
        StoreError: From<E>,
    {
        self.attempt_within(ATTEMPT, work)
    }

    /// The same with another patience than [`ATTEMPT`], which its transaction has to be [`granted`] as well.
    pub async fn attempt_within<T, E>(
        &self,
        patience: Duration,
        work: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, Fault>
    where
        StoreError: From<E>,
    {
        let fault = match tokio::time::timeout(patience, work).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => Fault::from(StoreError::from(error)),
            Err(_) => {
                let said = format_args!("no answer within {} s", patience.as_secs());
                Fault::Outage(Outage::new(Dependency::Postgres, "timeout", said))
            }
        };
        // A server that became read-only, or that is going down, is left for the one that takes its place.
        if matches!(&fault, Fault::Outage(outage) if ["sqlstate_25", "sqlstate_57", "timeout"].contains(&outage.class.as_str()))
        {
            self.reconnect();
        }
        Err(fault)
    }

    /// Lets go of every connection: after a failover they lead to the old server, and new ones to the new. One that hangs
    /// would keep its place in its pool for as long as the network lets it, so the pool goes with it.
    pub fn reconnect(&self) {
        self.work.renew();
        self.requests.renew();
        self.analysts.renew();
    }
}

/// Lets the statements of a transaction take as long as the attempt that they are made in may.
pub async fn granted(tx: &mut PgConnection, patience: Duration) -> Result<(), sqlx::Error> {
    sqlx::query("select set_config('statement_timeout', $1, true)")
        .bind(patience.saturating_sub(SERVER_FIRST).as_millis().to_string())
        .execute(tx)
        .await
        .map(|_| ())
}

/// The warehouse as handlers of requests ask it: over few connections, each question within bounds.
#[derive(Clone, Debug)]
pub struct Requests(Renewable);

impl Requests {
    /// Their present pool; what is asked of it goes through [`Requests::ask`].
    #[must_use]
    pub fn pool(&self) -> PgPool {
        self.0.pool()
    }

    /// A transaction for several questions of which all are to be answered from one state of the warehouse.
    pub async fn snapshot(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        snapshot(&self.pool()).await
    }

    /// Waits for an answer for as long as a request may.
    pub async fn ask<T>(&self, question: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
        let Ok(answer) = tokio::time::timeout(REQUEST_PATIENCE, question).await else {
            self.0.renew();
            return Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
        };
        answer
    }
}

/// A transaction for several questions of which all are to be answered from one state of the warehouse.
pub async fn snapshot(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with("begin isolation level repeatable read, read only").await
}

/// What a pool is bounded by.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    connections: u32,
    /// For how long a connection is waited for.
    turn: Duration,
    /// What each session begins with.
    session: &'static [&'static str],
}

/// A pool that can be given up for a new one.
#[derive(Clone, Debug)]
pub(crate) struct Renewable {
    options: PgConnectOptions,
    bounds: Bounds,
    present: Arc<Mutex<(PgPool, Instant)>>,
}

impl Renewable {
    fn new(options: PgConnectOptions, bounds: Bounds) -> Self {
        let present = Arc::new(Mutex::new((pool(&options, bounds), Instant::now())));
        Self { options, bounds, present }
    }

    pub(crate) fn pool(&self) -> PgPool {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    pub(crate) fn renew(&self) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.1.elapsed() < RECONNECT_EVERY {
            return;
        }
        let (old, _) = std::mem::replace(&mut *present, (pool(&self.options, self.bounds), Instant::now()));
        tokio::spawn(async move { old.close().await });
    }
}

fn pool(options: &PgConnectOptions, bounds: Bounds) -> PgPool {
    PgPoolOptions::new()
        .max_connections(bounds.connections)
        .acquire_timeout(bounds.turn)
        .test_before_acquire(false)
        .after_connect(move |connection, _| Box::pin(session::begin(connection, bounds.session)))
        .connect_lazy_with(options.clone())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{RuntimeConfig, Settings, Topics};

    fn database() -> Database {
        let variables = ["KAFKA_HOST", "PG_WAREHOUSE_HOST", "PG_WAREHOUSE_DBNAME", "PG_WAREHOUSE_USER"];
        let variables: BTreeMap<_, _> = variables.map(|name| (name.to_owned(), "x".to_owned())).into();
        let topics = Topics { group: "g", source: "s", destination: None };
        Database::new(&RuntimeConfig::read(&mut Settings::of(variables), topics).unwrap().postgres, "cdm", 1, 1)
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_without_an_answer_is_given_up_and_the_requests_connections_with_it() {
        let database = database();
        let (work, requests) = (database.pool(), database.for_requests());
        let before = requests.pool();
        let begun = Instant::now();
        let answer = requests.ask(std::future::pending::<Result<(), sqlx::Error>>()).await;
        assert!(
            matches!(&answer, Err(sqlx::Error::Io(error)) if error.kind() == io::ErrorKind::TimedOut),
            "{answer:?}"
        );
        assert_eq!(begun.elapsed(), REQUEST_PATIENCE);
        before.close_event().await;
        assert!(!requests.pool().is_closed());
        assert!(!work.is_closed(), "the layer's own work went with it");
        tokio::time::advance(RECONNECT_EVERY).await;
        let after = requests.pool();
        database.reconnect();
        tokio::join!(work.close_event(), after.close_event());
    }
}
