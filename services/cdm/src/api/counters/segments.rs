//! `/api/v1/users`: who ordered something often enough, for marketing.

use axum::extract::State as FromState;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use chrono::{DateTime, Utc};
use ordervault_runtime::http::extract::{Repeatable, RepeatableQuery, Wait};
use ordervault_runtime::http::{Problem, State};
use serde::Deserialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::COUNTERS;
use super::list::{self, ListErrors, ListRequest};
use super::parameters::{self, MinOffsets, OrderCount, Rows};
use crate::hub_key::HubKey;
use crate::reads::counter::{SEGMENT_COLUMNS, USERS_OF_CATEGORY, USERS_OF_PRODUCT};
use crate::reads::form::{Csv, Delimiter, Format};
use crate::reads::page::Count;
use crate::reads::selection::{Condition, Selection, Sort};

/// A user of a segment. What `fields` leaves out is not there.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the rows, which the database writes")]
pub struct SegmentUser {
    /// The user's hub key.
    #[schema(required = false)]
    user_id: Uuid,
    /// The user's name; null where no report has borne it yet.
    #[schema(required = false)]
    user_name: Option<String>,
    /// Their orders with this dish, or something of this category, in them.
    #[schema(required = false)]
    order_cnt: i64,
}

/// A page of users.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the page, which is made of what the database writes")]
pub struct SegmentPage {
    /// The users, those with the most orders first.
    items: Vec<SegmentUser>,
    /// The cursor of the next page; null on the last one.
    next_cursor: Option<String>,
    /// The time of the newest record that is applied, UTC; null before the first.
    as_of: Option<DateTime<Utc>>,
    /// How many users all pages have; null unless `count` asks for it.
    count: Option<i64>,
}

/// Which users, and how they are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SegmentQuery {
    /// Who ordered something of this category: hub key, or name. Either this or `product`.
    #[serde(alias = "category_id", alias = "category_name")]
    #[param(inline, example = "Закуски")]
    category: Option<HubKey>,
    /// Who ordered this dish: hub key, or the source's own id. Either this or `category`.
    #[serde(alias = "product_id")]
    #[param(inline)]
    product: Option<HubKey>,
    /// Only users with at least so many orders; 1 unless said otherwise.
    #[param(inline)]
    order_cnt_min: Option<OrderCount>,
    /// Only users with at most so many orders.
    #[param(inline)]
    order_cnt_max: Option<OrderCount>,
    /// The columns to show, joined by commas; all unless said otherwise.
    #[param(schema_with = columns)]
    fields: Option<String>,
    /// How many rows at the most, 1 to 10,000. A page of JSON has 100 unless said otherwise; CSV and NDJSON have all rows.
    #[param(inline)]
    limit: Option<Rows>,
    /// The `next_cursor` of the page before, of the same filter.
    cursor: Option<String>,
    /// Whether to count the users of all pages: in `count` of the page, and in the header `Ordervault-Count`.
    #[serde(default)]
    #[param(inline)]
    count: Count,
    /// The form of the answer, where the header `Accept` cannot be set.
    #[param(inline)]
    format: Option<Format>,
    /// What stands between the values of a CSV.
    #[serde(default)]
    #[param(inline)]
    delimiter: Delimiter,
    /// Whether a CSV begins with a byte order mark, by which Excel knows UTF-8.
    #[serde(default)]
    #[param(default = false)]
    bom: bool,
    /// Whether a name in a CSV that a spreadsheet would take for a formula gets an apostrophe in front.
    #[serde(default = "ordervault_runtime::http::fields::yes")]
    #[param(default = true)]
    escape_formulas: bool,
    /// `<partition>:<offset>` of a record on the layer's topic that must be applied before the answer is read; may be
    /// repeated.
    #[serde(default)]
    #[param(inline, required = false)]
    min_offset: MinOffsets,
    /// For how long to wait for `min_offset`: `30s`, at most `60s`, not at all unless said otherwise.
    #[serde(default)]
    #[param(inline)]
    wait: Wait,
}

impl Repeatable for SegmentQuery {
    const NAMES: &'static [&'static str] = &["min_offset"];
}

fn columns() -> RefOr<Schema> {
    parameters::fields_schema(SEGMENT_COLUMNS)
}

/// Users of a segment
///
/// The users who ordered a dish, or something of a category, at least so many times, with their names, those with the most
/// orders first: whom a campaign is for. Pages, forms and freshness as those of the counters.
#[utoipa::path(
    get, path = "/api/v1/users", operation_id = "listUsersOfSegment", tag = COUNTERS, params(SegmentQuery),
    responses(
        (status = 200, description = "The users.",
         content((SegmentPage = "application/json"), (String = "application/x-ndjson"), (String = "text/csv")),
         headers(
            ("Link" = Option<String>, description = "The next page, `rel=\"next\"`."),
            ("Ordervault-As-Of" = Option<String>, description = "The time of the newest applied record."),
            ("Ordervault-Applied-Offsets" = String,
             description = "The last applied offset of each partition, as `min_offset` takes it."),
            ("Ordervault-Lag" = Option<i64>, description = "Records that are not applied yet."),
            ("Ordervault-Count" = Option<i64>, description = "The users of all pages, if asked for.")
         )),
        ListErrors
    )
)]
pub(super) async fn list(
    FromState(state): FromState<State>,
    headers: HeaderMap,
    uri: Uri,
    RepeatableQuery(query): RepeatableQuery<SegmentQuery>,
) -> Result<Response, Problem> {
    let (counter, of) = match (query.category, query.product) {
        (Some(category), None) => (&USERS_OF_CATEGORY, Condition::Is("category_id", category.0)),
        (None, Some(product)) => (&USERS_OF_PRODUCT, Condition::Is("product_id", product.0)),
        (None, None) => {
            return Err(Problem::invalid_parameter("category", "is missing; so is product, and one is needed"));
        }
        (Some(_), Some(_)) => {
            return Err(Problem::invalid_parameter("product", "stands beside category; only one of them is taken"));
        }
    };
    let least = query.order_cnt_min.map_or(1, OrderCount::get).max(1);
    let mut conditions = vec![of, Condition::AtLeast(least)];
    conditions.extend(query.order_cnt_max.map(|count| Condition::AtMost(count.get())));
    let request = ListRequest {
        selection: Selection {
            counter,
            conditions,
            sort: Sort { column: "order_cnt", descending: true },
            fields: parameters::fields(SEGMENT_COLUMNS, query.fields.as_deref())?,
        },
        limit: query.limit.map(Rows::get),
        cursor: query.cursor,
        count: query.count,
        format: query.format,
        csv: Csv { delimiter: query.delimiter, bom: query.bom, escape_formulas: query.escape_formulas },
        min_offset: query.min_offset.0,
        wait: query.wait.get(),
        // Names of users come and go without their counters.
        is_tracked: false,
    };
    list::answer(&state, &headers, &uri, request).await
}
