//! What stands beside the reads: PostgreSQL's own programs with the same questions.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use crate::Error;
use crate::stage::Stage;

/// The statement that the service sent last, as PostgreSQL has it: with `$1` and so on for its values.
pub async fn last_statement(stage: &Stage) -> Result<String, Error> {
    let sql = "select query from pg_stat_activity where datname = current_database() \
               and application_name = 'ordervault-cdm' and query like 'with page%' order by query_start desc limit 1";
    Ok(sqlx::query_scalar(sql).fetch_one(&stage.pool).await?)
}

/// How many times a second pgbench gets an answer to a statement with any of these lists of values.
pub async fn pgbench(
    stage: &Stage,
    statement: &str,
    values: &[Vec<String>],
    connections: usize,
    seconds: u64,
) -> Result<f64, Error> {
    let folder = std::env::temp_dir().join(format!("{}-pgbench", stage.name));
    std::fs::create_dir_all(&folder)?;
    let mut command = program(stage, &pgbench_path());
    command.args(["-n", "-M", "prepared", "-j", "2", "-c", &connections.to_string(), "-T", &seconds.to_string()]);
    // The service's sessions plan each question for the values that it has.
    command.env("PGOPTIONS", "-c plan_cache_mode=force_custom_plan");
    for (number, values) in values.iter().enumerate() {
        // Later values first, lest $1 be taken for the beginning of $10.
        let mut script = statement.replace('\n', " ");
        for place in (1..=values.len()).rev() {
            script = script.replace(&format!("${place}::"), &format!(":value_{number}_{place}::"));
            command.args(["-D", &format!("value_{number}_{place}={}", values[place - 1])]);
        }
        let file = folder.join(format!("{number}.sql"));
        std::fs::write(&file, script + ";\n")?;
        command.arg("-f").arg(file);
    }
    let ran = command.stderr(Stdio::piped()).output().await?;
    std::fs::remove_dir_all(folder)?;
    let said = String::from_utf8_lossy(&ran.stdout);
    let rate = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.ok_or_else(|| io::Error::other(format!("pgbench: {said}{}", String::from_utf8_lossy(&ran.stderr))).into())
}

/// How many bytes psql gets for a query as CSV.
pub async fn psql_copy(stage: &Stage, query: &str) -> Result<usize, Error> {
    let mut command = program(stage, Path::new("psql"));
    let copy = format!("\\copy ({query}) to stdout with (format csv, header)");
    let mut psql = command.args(["-X", "-q", "-c", &copy]).stdout(Stdio::piped()).spawn()?;
    let mut output = psql.stdout.take().ok_or_else(|| io::Error::other("psql has no output"))?;
    let (mut part, mut bytes) = (vec![0; 64 << 10], 0);
    loop {
        match output.read(&mut part).await? {
            0 => break,
            more => bytes += more,
        }
    }
    psql.wait().await?;
    Ok(bytes)
}

/// A program of PostgreSQL's that asks the stage's database.
fn program(stage: &Stage, path: &Path) -> Command {
    let options = stage.pool.connect_options();
    let mut command = Command::new(path);
    command.env("PGHOST", options.get_host()).env("PGPORT", options.get_port().to_string());
    command.env("PGUSER", options.get_username()).env("PGDATABASE", &stage.name);
    command.env("PGPASSWORD", &stage.environment("cdm")["PG_WAREHOUSE_PASSWORD"]).stdin(Stdio::null());
    command
}

/// Debian's packages keep it with the server, out of the way.
fn pgbench_path() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin/pgbench")).filter(|path| path.is_file()).max();
    found.unwrap_or_else(|| PathBuf::from("pgbench"))
}
