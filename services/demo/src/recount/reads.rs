//! The counters as CDM serves them over REST, read like tables.

use serde_json::{Map, Value};

use super::compare::{Report, Table, compare};
use crate::Error;

/// A list of the API's, and how its rows read as a table's.
struct Read {
    /// Under `/api/v1/`.
    path: &'static str,
    key: &'static [&'static str],
    exact: &'static [&'static str],
    names: &'static [&'static str],
}

/// In the order of the marts.
const READS: [Read; 5] = [
    Read {
        path: "user-product-counters",
        key: &["user_id", "product_id"],
        exact: &["order_cnt"],
        names: &["product_name"],
    },
    Read {
        path: "user-category-counters",
        key: &["user_id", "category_id"],
        exact: &["order_cnt", "category_name"],
        names: &[],
    },
    Read {
        path: "restaurant-category-counters",
        key: &["restaurant_id", "category_id"],
        exact: &["order_cnt", "category_name"],
        names: &["restaurant_name"],
    },
    Read { path: "product-counters", key: &["product_id"], exact: &["order_cnt"], names: &["product_name"] },
    Read { path: "category-counters", key: &["category_id"], exact: &["order_cnt", "category_name"], names: &[] },
];

/// Compares every list whole.
pub(super) async fn compare_reads(
    url: &str,
    token: Option<&str>,
    marts: &[Table],
    with_names: bool,
) -> Result<Report, Error> {
    let client = reqwest::Client::new();
    let mut report = Report::default();
    for (read, mart) in READS.iter().zip(marts) {
        let mut request = client.get(format!("{url}/api/v1/{}?format=ndjson", read.path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await?;
        let (status, body) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            return Err(Error::Answered(format!("GET {}", read.path), status, body));
        }
        let rows = body.lines().map(|line| read.row(line, with_names)).collect::<Result<_, _>>();
        let rows = rows.map_err(|error| Error::Answered(format!("GET {}: {error}", read.path), status, body))?;
        report.tables.push(compare(read.path, "served over REST", &mart.rows, rows));
    }
    Ok(report)
}

impl Read {
    fn row(&self, line: &str, with_names: bool) -> serde_json::Result<(String, String)> {
        let row: Map<String, Value> = serde_json::from_str(line)?;
        let text = |column: &&str| match &row[*column] {
            Value::String(text) => format!("{column}={text}"),
            other => format!("{column}={other}"),
        };
        let texts = |columns: &[&str]| columns.iter().map(text).collect::<Vec<_>>().join(" ");
        let names = if with_names { self.names } else { &[] };
        Ok((texts(self.key), texts(&[self.exact, names].concat())))
    }
}
