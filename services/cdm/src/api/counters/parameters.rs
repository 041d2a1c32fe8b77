//! The parameters that reads have in common.

use std::str::FromStr;

use ordervault_runtime::http::Problem;
use ordervault_runtime::whole::Whole;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::reads::counter::Counter;
use crate::reads::freshness::MinOffset;
use crate::reads::selection::Sort;

/// A number of orders.
pub(super) type OrderCount = Whole<0, { i64::MAX }>;

/// Rows of one page at the most.
pub(super) const LARGEST_PAGE: i64 = 10_000;
/// Rows of one page where nothing is said.
pub(super) const USUAL_PAGE: i64 = 100;

/// How many rows: 1 to 10,000.
pub(super) type Rows = Whole<1, LARGEST_PAGE>;

/// So many offsets may be waited for: more than a topic of orders has partitions.
const MOST_OFFSETS: usize = 100;

/// The offsets that are to be applied before the answer is read.
#[derive(Clone, Debug, Default)]
pub(super) struct MinOffsets(pub Vec<MinOffset>);

impl<'de> Deserialize<'de> for MinOffsets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let one = |text: &str| -> Option<MinOffset> {
            let (partition, offset) = text.split_once(':')?;
            Some(MinOffset { partition: number(partition)?, offset: number(offset)? })
        };
        let all: Option<Vec<MinOffset>> = text.split(',').map(one).collect();
        let all = all.filter(|all| all.len() <= MOST_OFFSETS).map(Self);
        all.ok_or_else(|| D::Error::custom(format!("<partition>:<offset>, as in 0:41, at most {MOST_OFFSETS} times")))
    }
}

/// A number that is not negative, written in the one way that there is.
fn number<T: FromStr + ToString>(digits: &str) -> Option<T> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number: &T| plain && number.to_string() == digits)
}

impl PartialSchema for MinOffsets {
    fn schema() -> RefOr<Schema> {
        let one = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .pattern(Some("^(0|[1-9][0-9]{0,8}):(0|[1-9][0-9]{0,17})$"));
        ArrayBuilder::new().items(one).min_items(Some(1)).max_items(Some(MOST_OFFSETS)).into()
    }
}

impl ToSchema for MinOffsets {}

/// Reads `sort`: a column, with a minus in front the greatest first.
pub(super) fn sort(counter: &Counter, text: Option<&str>) -> Result<Sort, Problem> {
    let Some(text) = text else { return Ok(Sort { column: counter.unique, descending: false }) };
    let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
    let column = counter.columns.iter().find(|column| **column == name);
    column.map(|column| Sort { column, descending }).ok_or_else(|| {
        let held: String = text.chars().take(80).collect();
        let takes = counter.columns.join(", ");
        Problem::invalid_parameter(
            "sort",
            &format!("holds {held:?}, takes one of {takes}, or that with a minus in front"),
        )
    })
}

/// Reads `fields`: columns joined by commas.
pub(super) fn fields(columns: &'static [&'static str], text: Option<&str>) -> Result<Vec<&'static str>, Problem> {
    let Some(text) = text else { return Ok(columns.to_vec()) };
    let mut fields = Vec::new();
    for name in text.split(',') {
        let Some(column) = columns.iter().find(|column| **column == name) else {
            let held: String = name.chars().take(80).collect();
            let takes = columns.join(", ");
            return Err(Problem::invalid_parameter("fields", &format!("names {held:?}, takes some of {takes}")));
        };
        if !fields.contains(column) {
            fields.push(column);
        }
    }
    Ok(fields)
}

/// What `sort` takes of a counter.
pub(super) fn sort_schema(counter: &Counter) -> RefOr<Schema> {
    let both_ways = counter.columns.iter().flat_map(|column| [(*column).to_owned(), format!("-{column}")]);
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .description(Some(
            "A column; with a minus in front the greatest first. Ties are in the order of the ids, the same way.",
        ))
        .enum_values(Some(both_ways))
        .into()
}

/// What `fields` takes.
pub(super) fn fields_schema(columns: &[&str]) -> RefOr<Schema> {
    let one = columns.join("|");
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .description(Some("Columns joined by commas; all of them unless said otherwise."))
        .pattern(Some(format!("^({one})(,({one}))*$")))
        .into()
}
