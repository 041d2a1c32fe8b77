//! Rows as CSV or NDJSON, as many as there are, in one snapshot and constant memory: PostgreSQL writes them, and they are
//! passed on as fast as the client takes them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use ordervault_runtime::http::{Problem, State};
use ordervault_runtime::reads::{self, Turn};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Executor as _, Postgres, Row as _};
use tokio::sync::{mpsc, oneshot};

use super::form::Csv;
use super::freshness::Freshness;
use super::page;
use super::selection::{Place, Selection};
use super::statement::Statement;
use super::throttle::Throttle;

/// Bytes that are passed on at once; so many parts may lie between the database and the client.
const PART: usize = 64 << 10;
const PARTS: usize = 4;

/// A client that takes nothing for so long is let go, and its connection with it.
const TAKEN_WITHIN: Duration = Duration::from_mins(1);

/// The first row of a stream has to be there by then.
const BEGUN_WITHIN: Duration = Duration::from_secs(20);

/// A snapshot is held for as long as its stream lasts, which keeps PostgreSQL from tidying up: at most so long. The server
/// is to see soon that a client has gone, where it can.
const SESSION: &str = "set local statement_timeout = '30min'; \
     select set_config(name, '5s', true) from pg_settings where name = 'client_connection_check_interval'";

/// Between the last words of a stream that failed and its end, so that they are sent.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How lines are written.
#[derive(Clone, Copy, Debug)]
pub enum Lines {
    /// As CSV.
    Csv(Csv),
    /// As a JSON object each.
    Json,
}

/// A stream whose beginning is there.
pub struct Stream {
    /// What was applied.
    pub freshness: Freshness,
    /// The place of its last row, where it has a limit and there are rows behind it.
    pub next: Option<Place>,
    /// The lines.
    pub body: Body,
}

/// Which lines a stream has.
pub struct Wanted {
    /// The rows.
    pub selection: Selection,
    /// Behind this place.
    pub after: Option<Place>,
    /// So many at the most; all of them where it says nothing.
    pub limit: Option<i64>,
    /// How they are written.
    pub lines: Lines,
}

/// Begins a stream: returns once its first lines are there, so that what goes wrong until then is answered as a problem.
pub async fn begin(turn: Turn, state: &State, wanted: Wanted) -> Result<Stream, Problem> {
    let (connection, process) = turn.ask(connect).await?;
    let (begun, beginning) = oneshot::channel();
    let (parts, taken) = mpsc::channel(PARTS);
    let topic = Arc::clone(&state.topic);
    let throttle = Throttle::new(Arc::clone(&state.metrics));
    tokio::spawn(async move {
        let source = Source { begun: Some(begun), parts, lines: wanted.lines, throttle };
        // The turn lasts as long as the stream.
        run(&turn, (connection, process), &topic, &wanted, source).await;
    });
    match tokio::time::timeout(BEGUN_WITHIN, beginning).await {
        Ok(Ok(Ok((freshness, next)))) => {
            // Whoever compresses it asks again after its end.
            let lines = stream::unfold(taken, async |mut taken| Some((taken.recv().await?, taken))).fuse();
            Ok(Stream { freshness, next, body: Body::from_stream(lines) })
        }
        Ok(Ok(Err(problem))) => Err(problem),
        // Its sender is gone only where the process ends.
        Ok(Err(_)) => Err(Problem::database_away()),
        Err(_) => Err(Problem::query_too_slow()),
    }
}

type Beginning = (Freshness, Option<Place>);

/// The way of the lines to the client.
struct Source {
    /// Who waits for the first of them.
    begun: Option<oneshot::Sender<Result<Beginning, Problem>>>,
    parts: mpsc::Sender<Result<Bytes, io::Error>>,
    lines: Lines,
    throttle: Throttle,
}

/// Why a stream has ended before its end.
enum Cut {
    /// Nobody takes it any more.
    Left,
    /// The database could not go on.
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for Cut {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

/// A connection, and the number of the server's process that it leads to.
async fn connect(pool: PgPool) -> Result<(PoolConnection<Postgres>, i32), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let process = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *connection).await?;
    Ok((connection, process))
}

async fn run(
    turn: &Turn,
    (mut connection, process): (PoolConnection<Postgres>, i32),
    topic: &str,
    wanted: &Wanted,
    mut source: Source,
) {
    let client = source.parts.clone();
    let ended = tokio::select! {
        ended = copy(&mut connection, topic, wanted, &mut source) => ended,
        () = client.closed() => Err(Cut::Left),
    };
    // What is left of the answer lies in the connection, which is closed.
    match ended {
        Ok(()) => {}
        Err(Cut::Failed(error)) => {
            drop(connection.detach());
            source.fail(error).await;
        }
        Err(Cut::Left) => {
            let connection = connection.detach();
            // The server would go on until it looks for its client, and this turn would be another's by then.
            let end = sqlx::query("select pg_cancel_backend($1)").bind(process);
            if turn.ask(|pool| async move { end.execute(&pool).await }).await.is_err() {
                tracing::debug!(process, "a file that nobody takes could not be ended");
            }
            drop(connection);
        }
    }
}

async fn copy(connection: &mut PgConnection, topic: &str, wanted: &Wanted, source: &mut Source) -> Result<(), Cut> {
    connection.execute("begin isolation level repeatable read, read only").await?;
    connection.execute(SESSION).await?;
    let columns = Freshness::columns(wanted.selection.counter, topic);
    let row = Statement::new("select ").followed(&columns).query().fetch_one(&mut *connection).await?;
    let freshness = Freshness::of_row(&row)?;
    let next = match wanted.limit {
        None => None,
        Some(limit) => {
            let bounds = page::bounds(&wanted.selection, wanted.after.as_ref(), limit);
            let last: Option<Vec<String>> = bounds.query().fetch_one(&mut *connection).await?.try_get("last")?;
            last.and_then(|last| last.try_into().ok())
        }
    };
    let (rows, options) = wanted.rows();
    let rows = rows.set_in(connection).await?;
    let command = format!("copy ({rows}) to stdout ({options})");
    {
        let mut lines = connection.copy_out_raw(&command).await?;
        let mut part = BytesMut::with_capacity(PART + (PART >> 2));
        if let Lines::Csv(Csv { bom: true, .. }) = wanted.lines {
            part.extend_from_slice("\u{feff}".as_bytes());
        }
        let mut beginning = Some((freshness, next));
        while let Some(line) = lines.next().await {
            wanted.lines.write(&line?, &mut part);
            if part.len() >= PART || beginning.is_some() {
                source.begin(&mut beginning);
                source.throttle.give_way().await;
                source.pass_on(part.split().freeze()).await?;
                source.throttle.go_on();
                part.reserve(PART + (PART >> 2));
            }
        }
        source.begin(&mut beginning);
        source.pass_on(part.freeze()).await?;
    }
    connection.execute("rollback").await?;
    Ok(())
}

impl Wanted {
    /// What is copied, and how.
    fn rows(&self) -> (Statement, &'static str) {
        let order = self.selection.order("c");
        let limit = self.limit.map_or(String::new(), |limit| format!(" limit {limit}"));
        let rows = |columns: &str| self.selection.rows(columns, self.after.as_ref()).words(&order).words(&limit);
        match self.lines {
            Lines::Csv(csv) => (rows(&csv.columns(&self.selection.fields)), csv.options()),
            Lines::Json => {
                let fields = self.selection.fields.iter().map(|field| format!("c.{field}")).collect::<Vec<_>>();
                let rows =
                    Statement::new("select row_to_json(row) from ").nested(&rows(&fields.join(", "))).words(" row");
                // JSON has no such characters, so none of its lines is quoted.
                (rows, r"format csv, quote E'\x01', delimiter E'\x02'")
            }
        }
    }
}

impl Lines {
    /// PostgreSQL ends a line with a line feed; RFC 4180 has a carriage return before it.
    fn write(self, line: &[u8], part: &mut BytesMut) {
        match (self, line.strip_suffix(b"\n")) {
            (Self::Csv(_), Some(line)) => {
                part.extend_from_slice(line);
                part.extend_from_slice(b"\r\n");
            }
            _ => part.extend_from_slice(line),
        }
    }

    /// The last line of a stream that failed: no row looks like it.
    fn failed(self, detail: &str) -> String {
        match self {
            Self::Csv(_) => format!("#failed: {detail}\r\n"),
            Self::Json => format!("{}\n", serde_json::json!({"failed": detail})),
        }
    }
}

impl Source {
    /// Tells whoever waits that the stream has begun.
    fn begin(&mut self, beginning: &mut Option<Beginning>) {
        if let (Some(begun), Some(beginning)) = (self.begun.take(), beginning.take()) {
            // Nobody waits any more where the client has gone.
            let _ = begun.send(Ok(beginning));
        }
    }

    async fn pass_on(&self, part: Bytes) -> Result<(), Cut> {
        match tokio::time::timeout(TAKEN_WITHIN, self.parts.send(Ok(part))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Cut::Left),
        }
    }

    /// Before its beginning a stream that fails is a problem; later its last line says so, and it is cut off without the
    /// end that HTTP has for whole answers.
    async fn fail(mut self, error: sqlx::Error) {
        if let Some(begun) = self.begun.take() {
            let _ = begun.send(Err(reads::refusal(error)));
            return;
        }
        tracing::warn!(%error, "a stream of rows has failed in its middle");
        let last = self.lines.failed("the database could not go on; what is above is not all");
        if self.pass_on(Bytes::from(last)).await.is_ok() {
            tokio::time::sleep(LAST_WORDS).await;
            let _ = self.parts.send(Err(io::ErrorKind::BrokenPipe.into())).await;
        }
    }
}
