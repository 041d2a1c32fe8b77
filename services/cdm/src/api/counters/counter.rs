//! What every counter's routes are made of: one counter differs from another in its columns and its filters alone.

/// One counter's list and its changes.
macro_rules! counter {
    (
        $module:ident is $counter:ident, $about:tt, $about_changes:tt,
        at $path:tt as $list_id:tt, and $changes_path:tt as $changes_id:tt,
        rows $row:ident { $($(#[$column_attribute:meta])* $column:ident: $column_type:ty,)+ }
        pages $page:ident, $changed:ident
        filters $query:ident { $($(#[$filter_attribute:meta])* $filter:ident: $filter_type:ty => $condition:expr,)+ }
    ) => {
        mod $module {
            use super::*;

            const THIS: &Counter = &$counter;

            #[doc = "One counter. What `fields` leaves out is not there."]
            #[derive(ToSchema)]
            #[expect(dead_code, reason = "it describes the rows, which the database writes")]
            pub struct $row {
                $($(#[$column_attribute])* #[schema(required = false)] $column: $column_type,)+
            }

            #[doc = "A page of counters."]
            #[derive(ToSchema)]
            #[expect(dead_code, reason = "it describes the page, which is made of what the database writes")]
            pub struct $page {
                /// The counters.
                items: Vec<$row>,
                /// The cursor of the next page; null on the last one.
                next_cursor: Option<String>,
                /// The time of the newest record that is applied, UTC; null before the first.
                as_of: Option<DateTime<Utc>>,
                /// How many counters all pages have; null unless `count` asks for it.
                count: Option<i64>,
            }

            #[doc = "Counters that have changed."]
            #[derive(ToSchema)]
            #[expect(dead_code, reason = "it describes the page, which is made of what the database writes")]
            pub struct $changed {
                /// The counters at their present values, also those that are 0.
                items: Vec<$row>,
                /// What to send as `since` the next time.
                next: String,
                /// The time of the newest record that is applied, UTC; null before the first.
                as_of: Option<DateTime<Utc>>,
            }

            #[doc = "Which counters are listed, and how."]
            #[derive(Debug, Deserialize, IntoParams)]
            #[serde(deny_unknown_fields)]
            #[into_params(parameter_in = Query)]
            pub struct $query {
                $($(#[$filter_attribute])* $filter: Option<$filter_type>,)+
                /// Only counters of at least so many orders.
                #[param(inline)]
                order_cnt_min: Option<OrderCount>,
                /// Only counters of at most so many orders.
                #[param(inline)]
                order_cnt_max: Option<OrderCount>,
                /// Also counters that have fallen to 0.
                #[serde(default)]
                #[param(default = false)]
                include_zero: bool,
                /// The column to sort by; with a minus in front the greatest first. Ties are in the order of the ids, the same way.
                #[param(schema_with = sorts)]
                sort: Option<String>,
                /// The columns to show, joined by commas; all unless said otherwise.
                #[param(schema_with = columns)]
                fields: Option<String>,
                /// How many rows at the most, 1 to 10,000. A page of JSON has 100 unless said otherwise; CSV and NDJSON
                /// have all rows.
                #[param(inline)]
                limit: Option<Rows>,
                /// The `next_cursor` of the page before, of the same filter and sort.
                cursor: Option<String>,
                /// Whether to count the rows of all pages: in `count` of the page, and in the header `Ordervault-Count`.
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
                /// Whether a name in a CSV that a spreadsheet would take for a formula (it begins with `=`, `+`, `-`, `@`,
                /// a tab or a line break) gets an apostrophe in front. Programs that read names as they are say `false`.
                #[serde(default = "ordervault_runtime::http::fields::yes")]
                #[param(default = true)]
                escape_formulas: bool,
                /// `<partition>:<offset>` of a record on the layer's topic that must be applied before the answer is
                /// read; may be repeated.
                #[serde(default)]
                #[param(inline, required = false)]
                min_offset: MinOffsets,
                /// For how long to wait for `min_offset`: `30s`, at most `60s`, not at all unless said otherwise.
                #[serde(default)]
                #[param(inline)]
                wait: Wait,
            }

            impl Repeatable for $query {
                const NAMES: &'static [&'static str] = &["min_offset"];
            }

            fn sorts() -> RefOr<Schema> {
                parameters::sort_schema(THIS)
            }

            fn columns() -> RefOr<Schema> {
                parameters::fields_schema(THIS.columns)
            }

            #[doc = $about]
            #[utoipa::path(
                get, path = $path, operation_id = $list_id, tag = COUNTERS,
                summary = $about, description = include_str!("list.md"),
                params($query, ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer.")),
                responses(
                    (status = 200, description = "The counters.",
                     content(($page = "application/json"), (String = "application/x-ndjson"), (String = "text/csv")),
                     headers(
                        ("ETag" = String, description = "Says what was applied."),
                        ("Link" = Option<String>, description = "The next page, `rel=\"next\"`."),
                        ("Ordervault-As-Of" = Option<String>, description = "The time of the newest applied record."),
                        ("Ordervault-Applied-Offsets" = String,
                         description = "The last applied offset of each partition, as `min_offset` takes it."),
                        ("Ordervault-Lag" = Option<i64>, description = "Records that are not applied yet."),
                        ("Ordervault-Count" = Option<i64>, description = "The rows of all pages, if asked for."),
                        ("Ordervault-Changes-Cursor" = String,
                         description = "What has changed since this answer is asked for with this as `since`.")
                     )),
                    (status = 304, description = "Nothing was applied since the answer with this `ETag`."),
                    ListErrors
                )
            )]
            pub(super) async fn list(
                FromState(state): FromState<State>,
                headers: HeaderMap,
                uri: Uri,
                RepeatableQuery(query): RepeatableQuery<$query>,
            ) -> Result<Response, Problem> {
                let mut conditions = Vec::new();
                $(conditions.extend(query.$filter.map($condition));)+
                // Whoever wants the zeros as well says so; a bound of its own may still leave them out.
                let least = query.order_cnt_min.map(OrderCount::get).filter(|least| query.include_zero || *least > 0);
                conditions.extend(least.or((!query.include_zero).then_some(1)).map(Condition::AtLeast));
                conditions.extend(query.order_cnt_max.map(|count| Condition::AtMost(count.get())));
                let sort = parameters::sort(THIS, query.sort.as_deref())?;
                let fields = parameters::fields(THIS.columns, query.fields.as_deref())?;
                let request = ListRequest {
                    selection: Selection { counter: THIS, conditions, sort, fields },
                    limit: query.limit.map(Rows::get),
                    cursor: query.cursor,
                    count: query.count,
                    format: query.format,
                    csv: Csv {
                        delimiter: query.delimiter,
                        bom: query.bom,
                        escape_formulas: query.escape_formulas,
                    },
                    min_offset: query.min_offset.0,
                    wait: query.wait.get(),
                    is_tracked: true,
                };
                list::answer(&state, &headers, &uri, request).await
            }

            #[doc = $about_changes]
            #[utoipa::path(
                get, path = $changes_path, operation_id = $changes_id, tag = COUNTERS,
                summary = $about_changes, description = include_str!("changes.md"),
                params(changes::ChangesQuery),
                responses(
                    (status = 200, description = "The changed counters.", body = $changed, headers(
                        ("Ordervault-As-Of" = Option<String>, description = "The time of the newest applied record."),
                        ("Ordervault-Applied-Offsets" = String,
                         description = "The last applied offset of each partition, as `min_offset` takes it."),
                        ("Ordervault-Lag" = Option<i64>, description = "Records that are not applied yet.")
                    )),
                    ChangesErrors
                )
            )]
            pub(super) async fn changes(
                FromState(state): FromState<State>,
                Query(query): Query<changes::ChangesQuery>,
            ) -> Result<Response, Problem> {
                changes::answer(&state, THIS, query).await
            }
        }
    };
}
