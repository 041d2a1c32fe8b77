//! The pool, and migrations at start.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use sqlx::migrate::{Migration, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::config::PostgresConfig;
use crate::fault::{Dependency, Fault, Outage, StoreError};

/// Serialises the creation of schemas between replicas and layers that start together.
const MIGRATION_LOCK: i64 = 0x6f72_6465_7276_6c74;

/// The server ends what nobody waits for any more: a session whose client is gone must not hold its locks. What is read
/// after a lock is taken must be what is committed by then, whatever the role's own default is.
const SESSION_BOUNDS: &str = "set statement_timeout = '60s'; set idle_in_transaction_session_timeout = '60s'; \
     set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3; \
     set client_min_messages = warning; set default_transaction_isolation = 'read committed'";

static OPS_MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// An attempt that takes longer than this hangs on a connection that leads nowhere.
const ATTEMPT: Duration = Duration::from_mins(1);

/// A pool is given up at most so often: the next server needs a moment, too.
const RECONNECT_EVERY: Duration = Duration::from_secs(5);

/// The pool, which is given up for a new one when its connections lead nowhere.
#[derive(Clone, Debug)]
pub struct Database {
    options: PgConnectOptions,
    connections: u32,
    present: Arc<Mutex<(PgPool, Instant)>>,
}

impl Database {
    /// A pool that connects when it is first used.
    #[must_use]
    pub fn new(config: &PostgresConfig, layer: &'static str, connections: u32) -> Self {
        let options = config.connect_options(&format!("ordervault-{layer}"));
        let present = Arc::new(Mutex::new((pool(&options, connections), Instant::now())));
        Self { options, connections, present }
    }

    /// The present pool.
    #[must_use]
    pub fn pool(&self) -> PgPool {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Does the work, or gives it up where it hangs: a server may die without its connections being closed.
    pub async fn attempt<T, E>(&self, work: impl Future<Output = Result<T, E>> + Send) -> Result<T, Fault>
    where
        StoreError: From<E>,
    {
        let fault = match tokio::time::timeout(ATTEMPT, work).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => Fault::from(StoreError::from(error)),
            Err(_) => Fault::Outage(Outage::new(Dependency::Postgres, "timeout", "no answer within a minute")),
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
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.1.elapsed() < RECONNECT_EVERY {
            return;
        }
        let (old, _) = std::mem::replace(&mut *present, (pool(&self.options, self.connections), Instant::now()));
        tokio::spawn(async move { old.close().await });
    }
}

fn pool(options: &PgConnectOptions, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(async move { connection.execute(SESSION_BOUNDS).await.map(|_| ()) }))
        .connect_lazy_with(options.clone())
}

/// Brings `ops` and the layer's own schema up to date. Additive, and safe to run by several replicas at once.
pub async fn migrate(
    config: &PostgresConfig,
    layer: &'static str,
    layer_migrations: &Migrator,
) -> Result<(), sqlx::Error> {
    let options = config.connect_options(&format!("ordervault-{layer}-migrate"));
    let mut connection = PgConnection::connect_with(&options).await?;
    connection.execute("set client_min_messages = warning").await?;
    for schema in ["ops", layer] {
        create_schema(&mut connection, schema).await?;
    }
    // The layers share `ops` and the account of what was run there; whichever is a release ahead runs what is new.
    run(&mut connection, &OPS_MIGRATIONS, "ops.schema_migrations").await?;
    run(&mut connection, layer_migrations, &format!("{layer}.schema_migrations")).await?;
    connection.close().await
}

/// Creates the schema unless it is there; a role without the right to create schemas can still use one made for it.
async fn create_schema(connection: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    let mut tx = connection.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK).execute(&mut *tx).await?;
    let there: bool = sqlx::query_scalar("select exists (select from pg_namespace where nspname = $1)")
        .bind(schema)
        .fetch_one(&mut *tx)
        .await?;
    if !there {
        // The name is one of the layers' own, never input.
        tx.execute(AssertSqlSafe(format!("create schema {schema}"))).await?;
    }
    tx.commit().await
}

async fn run(connection: &mut PgConnection, migrations: &Migrator, table: &str) -> Result<(), sqlx::Error> {
    if is_up_to_date(connection, migrations, table).await? {
        return Ok(());
    }
    let mut migrator = Migrator { migrations: migrations.migrations.clone(), ..Migrator::DEFAULT };
    // A binary one release older finds migrations that it does not know, and still runs on them.
    migrator.set_ignore_missing(true);
    migrator.dangerous_set_table_name(table.to_owned());
    // `run` is generic over what it acquires a connection from, and such a future cannot be spawned.
    migrator.run_direct(None, connection, false).await.map_err(sqlx::Error::from)
}

/// Whether nothing is left to run: then a role that may use the tables, but not make any, can start the service.
async fn is_up_to_date(connection: &mut PgConnection, migrations: &Migrator, table: &str) -> Result<bool, sqlx::Error> {
    let there: bool =
        sqlx::query_scalar("select to_regclass($1) is not null").bind(table).fetch_one(&mut *connection).await?;
    if !there {
        return Ok(false);
    }
    // The table's name is one of the layers' own, never input.
    let sql = format!("select version, checksum from {table} where success");
    let done: Vec<(i64, Vec<u8>)> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(connection).await?;
    let is_done = |one: &Migration| done.iter().any(|(version, sum)| *version == one.version && **sum == *one.checksum);
    Ok(migrations.iter().all(is_done))
}
