//! Migrations at start, and the rights that others have to what they make.

use sqlx::migrate::{Migration, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::config::PostgresConfig;
use crate::session::Session;

/// Serialises the creation of schemas between replicas and layers that start together.
const MIGRATION_LOCK: i64 = 0x6f72_6465_7276_6c74;

static OPS_MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Brings `ops` and the layer's own schema up to date. Additive, and safe to run by several replicas at once.
pub async fn migrate(
    config: &PostgresConfig,
    layer: &'static str,
    layer_migrations: &Migrator,
) -> Result<(), sqlx::Error> {
    let Session { mut connection, lifeline } = open(config, layer).await?;
    lifeline
        .hold(async {
            for schema in ["ops", layer] {
                create_schema(&mut connection, schema).await?;
            }
            // The layers share `ops` and the account of what was run there; whichever is a release ahead runs what is new.
            run(&mut connection, &OPS_MIGRATIONS, "ops.schema_migrations").await?;
            run(&mut connection, layer_migrations, &format!("{layer}.schema_migrations")).await
        })
        .await?;
    connection.close().await
}

/// Gives others their rights to what the migrations made. It may be done again at any time, and by several at once.
pub async fn grant(config: &PostgresConfig, layer: &'static str, grants: &'static str) -> Result<(), sqlx::Error> {
    let Session { mut connection, lifeline } = open(config, layer).await?;
    lifeline
        .hold(async {
            let mut tx = connection.begin().await?;
            sqlx::query("select pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK).execute(&mut *tx).await?;
            // What cannot be granted is an error of the grants' own, and not a warning as well.
            tx.execute("set local client_min_messages = error").await?;
            tx.execute(grants).await?;
            tx.commit().await
        })
        .await?;
    connection.close().await
}

async fn open(config: &PostgresConfig, layer: &'static str) -> Result<Session, sqlx::Error> {
    let options = config.connect_options(&format!("ordervault-{layer}-migrate"));
    Session::open(&options, &["set client_min_messages = warning"]).await
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
