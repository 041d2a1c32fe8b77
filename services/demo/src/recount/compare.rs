//! Expected rows against found ones.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use sqlx::PgPool;

use crate::Error;

/// Differences that are kept as text for each table; more are only counted.
const EXAMPLES: usize = 10;
/// Longer rows (payloads, mostly) are cut for display.
const LONGEST_EXAMPLE: usize = 400;

/// Rows by key. Several values are alternatives of which any is right.
pub(super) type Rows = BTreeMap<String, Vec<String>>;

/// A table as it should be, and how it is read.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// What one row is, for people: `counters`, `rows`.
    pub(super) what: &'static str,
    /// Selects three texts a row: its key, what must be right, and the names, which a run may choose to ignore.
    pub(super) query: &'static str,
    pub(super) rows: Rows,
}

/// How the tables of a schema compare with the recount.
#[derive(Debug, Default)]
pub struct Report {
    /// One for each table, in the schema's order.
    pub tables: Vec<TableReport>,
}

/// How one table compares with the recount.
#[derive(Debug)]
pub struct TableReport {
    /// The table's name without its schema.
    pub table: &'static str,
    /// What one row is, for people.
    pub what: &'static str,
    /// Rows that the recount expects.
    pub expected: usize,
    /// Expected rows that were found as expected.
    pub equal: usize,
    /// Rows that are missing, unexpected or different.
    pub differences: usize,
    /// The first differences in words.
    pub examples: Vec<String>,
}

impl Report {
    /// Whether every table holds exactly what the recount expects.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(|table| table.differences == 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, table) in self.tables.iter().enumerate() {
            if number > 0 {
                writeln!(formatter)?;
            }
            write!(formatter, "{table}")?;
        }
        Ok(())
    }
}

impl fmt::Display for TableReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, what, expected, equal, .. } = self;
        write!(formatter, "{table}: {what} equal: {equal} of {expected}")?;
        if self.differences > 0 {
            write!(formatter, ", differences: {}", self.differences)?;
        }
        for example in &self.examples {
            write!(formatter, "\n  {example}")?;
        }
        let unsaid = self.differences - self.examples.len();
        if unsaid > 0 {
            write!(formatter, "\n  and {unsaid} more")?;
        }
        Ok(())
    }
}

/// Reads each table and compares it.
pub(super) async fn compare_tables(pool: &PgPool, tables: &[Table], with_names: bool) -> Result<Report, Error> {
    let mut report = Report::default();
    for table in tables {
        let found = fetch(pool, table.query, with_names).await?;
        report.tables.push(compare(table.name, table.what, &table.rows, found));
    }
    Ok(report)
}

/// The rows of a query as pairs of key and value.
pub(super) async fn fetch(
    pool: &PgPool,
    query: &'static str,
    with_names: bool,
) -> Result<Vec<(String, String)>, Error> {
    let rows: Vec<(String, String, String)> = sqlx::query_as(query).fetch_all(pool).await?;
    let value = |exact: String, names: String| if with_names { exact + &names } else { exact };
    Ok(rows.into_iter().map(|(key, exact, names)| (key, value(exact, names))).collect())
}

/// Compares one table's rows, in which each key may occur once.
pub(super) fn compare(
    table: &'static str,
    what: &'static str,
    expected: &Rows,
    found: Vec<(String, String)>,
) -> TableReport {
    let mut report =
        TableReport { table, what, expected: expected.len(), equal: 0, differences: 0, examples: Vec::new() };
    let mut seen = HashSet::with_capacity(found.len());
    for (key, value) in found {
        match expected.get(&key) {
            None => report.note(format!("unexpected: {key}: {value}")),
            Some(_) if !seen.insert(key.clone()) => report.note(format!("found twice: {key}: {value}")),
            Some(right) if right.contains(&value) => report.equal += 1,
            Some(right) => report.note(format!("different: {key}: expected {}, found {value}", right.join(" or "))),
        }
    }
    for (key, right) in expected.iter().filter(|(key, _)| !seen.contains(*key)) {
        report.note(format!("missing: {key}: {}", right.join(" or ")));
    }
    report
}

impl TableReport {
    fn note(&mut self, mut difference: String) {
        self.differences += 1;
        if self.examples.len() >= EXAMPLES {
            return;
        }
        if let Some((end, _)) = difference.char_indices().nth(LONGEST_EXAMPLE) {
            difference.truncate(end);
            difference.push('…');
        }
        self.examples.push(difference);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[(&str, &[&str])]) -> Rows {
        rows.iter().map(|(key, values)| ((*key).to_owned(), values.iter().map(ToString::to_string).collect())).collect()
    }

    fn found(rows: &[(&str, &str)]) -> Vec<(String, String)> {
        rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn equal_tables_are_equal() {
        let expected = rows(&[("a", &["order_cnt=1"]), ("b", &["order_cnt=2", "order_cnt=3"])]);
        let report = compare("t", "counters", &expected, found(&[("b", "order_cnt=3"), ("a", "order_cnt=1")]));
        assert_eq!(report.to_string(), "t: counters equal: 2 of 2");
        assert!(Report { tables: vec![report] }.is_equal());
    }

    #[test]
    fn every_kind_of_difference_is_named() {
        let expected = rows(&[("a", &["order_cnt=1"]), ("b", &["order_cnt=2"]), ("c", &["order_cnt=4"])]);
        let table = found(&[("a", "order_cnt=1"), ("a", "order_cnt=1"), ("b", "order_cnt=3"), ("x", "order_cnt=9")]);
        let report = compare("t", "counters", &expected, table);
        let text = "t: counters equal: 1 of 3, differences: 4\n  found twice: a: order_cnt=1\n  different: b: expected \
                    order_cnt=2, found order_cnt=3\n  unexpected: x: order_cnt=9\n  missing: c: order_cnt=4";
        assert_eq!(report.to_string(), text);
        assert!(!Report { tables: vec![report] }.is_equal());
    }

    #[test]
    fn only_the_first_differences_are_told() {
        let table = (0..25).map(|number| (number.to_string(), "Ж".repeat(1_000))).collect();
        let report = compare("t", "rows", &Rows::new(), table);
        assert_eq!((report.differences, report.examples.len()), (25, 10));
        assert!(report.to_string().ends_with("and 15 more"));
        assert_eq!(report.examples[0].chars().count(), LONGEST_EXAMPLE + 1);
    }
}
