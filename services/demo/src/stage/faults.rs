//! What is wrong with a warehouse that has taken good records only.

use super::{Service, Stage};
use crate::Error;
use crate::recount::NameCheck;

impl Stage {
    /// All of it in words, and nothing if all is well: tables and reads that differ from the recount, findings of the
    /// audit, which shares no code with it, and dead letters. The pipeline has to be settled.
    pub async fn faults(&self, cdm: &Service) -> Result<Vec<String>, Error> {
        let reports = self.recount_with_reads(&NameCheck::Present, cdm).await?;
        let mut faults: Vec<String> =
            reports.iter().filter(|report| !report.is_equal()).map(ToString::to_string).collect();
        faults.extend(cdm.findings().await?.iter().map(|finding| format!("the audit's finding {finding}")));
        let dead_letters: i64 =
            sqlx::query_scalar("select count(*) from ops.dead_letters").fetch_one(&self.pool).await?;
        if dead_letters > 0 {
            faults.push(format!("{dead_letters} dead letters of records that are good"));
        }
        Ok(faults)
    }
}
