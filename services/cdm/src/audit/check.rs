//! One question of an audit: the rows of a table, and which of them are wrong or only behind.

use ordervault_runtime::control::outcomes::TableOutcome;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

/// So many rows are shown for an example.
pub(super) const EXAMPLES: i64 = 10;

/// The outcome of a table that has what is wrong.
pub(super) const DIFFERENT: &str = "different";

/// The outcome of a table that could not be looked at.
pub(super) const SKIPPED: &str = "skipped";

/// A question about a table.
pub(super) struct Check {
    /// The table.
    pub table: &'static str,
    /// What it needs to read of the vault.
    pub needs: &'static [&'static str],
    /// A query for all that is looked at. Its columns `wrong` and `behind` say what of it is so; those beside them and
    /// `absent` are shown of an example.
    pub rows: String,
}

/// What was found in a table.
pub(super) struct Found {
    /// Rows that are wrong.
    pub wrong: i64,
    /// Rows that are only behind.
    pub behind: i64,
    /// All of it, as it is recorded.
    pub outcome: TableOutcome,
}

impl Check {
    /// Asks, in the transaction's snapshot.
    pub async fn ask(&self, snapshot: &mut PgConnection) -> Result<Found, sqlx::Error> {
        if let Some(reason) = lacking(snapshot, self.needs).await? {
            let outcome = TableOutcome { table: self.table, outcome: SKIPPED, detail: json!({"reason": reason}) };
            return Ok(Found { wrong: 0, behind: 0, outcome });
        }
        let rows = &self.rows;
        let sql = format!(
            "select count(*), count(*) filter (where wrong), count(*) filter (where behind) from ({rows}) looked_at"
        );
        // The texts are made of constants.
        let (checked, wrong, behind): (i64, i64, i64) =
            sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut *snapshot).await?;
        let mut examples: Vec<Value> = Vec::new();
        if wrong > 0 {
            let sql = format!(
                "select to_jsonb(looked_at) - array['wrong', 'behind', 'absent'] from ({rows}) looked_at \
                 where wrong limit {EXAMPLES}"
            );
            examples = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(snapshot).await?;
        }
        let word = match (wrong, behind) {
            (0, 0) => "equal",
            (0, _) => "behind",
            _ => DIFFERENT,
        };
        let detail = json!({"checked": checked, "wrong": wrong, "behind": behind, "examples": examples});
        Ok(Found { wrong, behind, outcome: TableOutcome { table: self.table, outcome: word, detail } })
    }
}

/// Why one of these tables cannot be read, if that is so: CDM need not have a right to the vault, nor the vault beside it.
pub(super) async fn lacking(connection: &mut PgConnection, tables: &[&str]) -> Result<Option<String>, sqlx::Error> {
    // The catalogue is asked, since a schema that may not be used does not even say what is in it.
    let lacking: Option<(String, bool)> = sqlx::query_as(
        "select needed, c.oid is not null \
         from unnest($1::text[]) needed \
         left join (pg_class c join pg_namespace n on n.oid = c.relnamespace) on n.nspname || '.' || c.relname = needed \
         where c.oid is null or not has_schema_privilege(n.oid, 'usage') or not has_table_privilege(c.oid, 'select') \
         limit 1",
    )
    .bind(tables)
    .fetch_optional(connection)
    .await?;
    let said = |(name, there)| {
        if there { format!("{name} may not be read by this role") } else { format!("there is no {name}") }
    };
    Ok(lacking.map(said))
}
