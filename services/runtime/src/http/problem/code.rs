//! Every code that a problem can bear: the one table, from which the answers and the OpenAPI document are made, and to
//! which a test holds `docs/errors.md`.

use std::fmt;

use axum::http::StatusCode;
use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($variant:ident = $name:literal, $status:ident, $meaning:literal;)*) => {
        /// What went wrong, as a word that programs can rely on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// All of them, by status.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word itself.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The status of the answer.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// What it means, and what to do about it.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

codes! {
    MalformedJson = "malformed_json", BAD_REQUEST, "The body is not JSON; `detail` names the line and the column.";
    UnknownField = "unknown_field", BAD_REQUEST, "The body has a field that is not known here; `detail` names the nearest that is.";
    UnknownParameter = "unknown_parameter", BAD_REQUEST, "The query has a parameter that is not known here; `detail` names the nearest that is.";
    InvalidParameter = "invalid_parameter", BAD_REQUEST, "A query parameter holds something that it does not take, or stands twice.";
    InvalidCursor = "invalid_cursor", BAD_REQUEST, "The cursor is not one that the same list, with the same filter and sort, has given out.";
    TokenMissing = "token_missing", UNAUTHORIZED, "A token is needed and none was sent: `Authorization: Bearer <token>`.";
    TokenUnknown = "token_unknown", UNAUTHORIZED, "The token that was sent is none of those that are set.";
    ChangesDisabled = "changes_disabled", FORBIDDEN, "No ops token is set, so nothing can be changed over HTTP; `detail` says how to set one.";
    OpsTokenNeeded = "ops_token_needed", FORBIDDEN, "The token that was sent may only read; a change needs an ops token.";
    NotFound = "not_found", NOT_FOUND, "Nothing is served at this path.";
    OperationNotFound = "operation_not_found", NOT_FOUND, "No operation of this layer has this id; operations are kept for a limited time.";
    DeadLetterNotFound = "dead_letter_not_found", NOT_FOUND, "No dead letter of this layer has this id.";
    OrderEventNotFound = "order_event_not_found", NOT_FOUND, "STG has no order of this number.";
    OrderNotFound = "order_not_found", NOT_FOUND, "The layer has no order of this number or hub key.";
    CounterNotFound = "counter_not_found", NOT_FOUND, "CDM has no counter of these two.";
    UnknownPartition = "unknown_partition", NOT_FOUND, "The topic has no such partition.";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "The path does not take this method; the header `Allow` names those that it takes.";
    NotAcceptable = "not_acceptable", NOT_ACCEPTABLE, "None of the media types of the header `Accept` is among those that are served: `application/json`, `application/x-ndjson`, `text/csv`.";
    Timeout = "timeout", REQUEST_TIMEOUT, "The request was not answered in time. What it began may still go on: look before sending it again.";
    ResetUnderWay = "reset_under_way", CONFLICT, "Another reset of offsets is under way; `operation` is its id.";
    OperationFinished = "operation_finished", CONFLICT, "The operation has come to its end and cannot be cancelled any more.";
    NotCancellable = "not_cancellable", CONFLICT, "An operation of this kind cannot be cancelled.";
    DeadLetterClosed = "dead_letter_closed", CONFLICT, "The dead letter is resolved or discarded, so there is nothing left to do about it.";
    WouldSkipRecords = "would_skip_records", CONFLICT, "The reset would skip records that were never processed; say `\"skip_records\": true` if that is meant.";
    CursorOutdated = "cursor_outdated", GONE, "The cursor belongs to a database, or to a state of its tables, that is no more: start anew without `since`, which gives every counter again.";
    PlanOutOfDate = "plan_out_of_date", PRECONDITION_FAILED, "The offsets have moved since the plan was made: ask for a new plan and send its `ETag`.";
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The body is larger than 64 KiB.";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body is not declared as JSON: send `Content-Type: application/json`.";
    InvalidField = "invalid_field", UNPROCESSABLE_ENTITY, "A value is of the wrong type or outside of what is taken; `errors` points at it.";
    TooManyFailedLogins = "too_many_failed_logins", TOO_MANY_REQUESTS, "Too many wrong tokens came from this address; `Retry-After` says when to try again. A right token always passes.";
    TooManyReads = "too_many_reads", TOO_MANY_REQUESTS, "Too many reads are under way; `Retry-After` says when to try again.";
    DatabaseAway = "database_away", SERVICE_UNAVAILABLE, "PostgreSQL could not be asked, or has not answered in time; `/readyz` says what is known of it. Try again after `Retry-After`.";
    KafkaAway = "kafka_away", SERVICE_UNAVAILABLE, "Kafka could not be asked; `/readyz` says why. Try again after `Retry-After`.";
    InternalFault = "internal_fault", SERVICE_UNAVAILABLE, "The service failed at this request by a fault of its own; the log has it under `request_id`.";
    QueryTooSlow = "query_too_slow", GATEWAY_TIMEOUT, "PostgreSQL did not finish the query in time: narrow the filter, take smaller pages, or ask for `count=estimated`.";
    OffsetNotApplied = "offset_not_applied", GATEWAY_TIMEOUT, "The offset of `min_offset` was not applied within `wait`; `detail` says how far the tables are.";
}

impl Code {
    /// The title of the answer: the status in words, as RFC 9457 has it for problems of the type `about:blank`.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.status().canonical_reason().unwrap_or_default()
    }

    /// The code of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lists_every_code_as_the_table_has_it() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
        let page = std::fs::read_to_string(path).unwrap();
        let listed: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        let expected: Vec<String> = Code::ALL
            .iter()
            .map(|code| format!("| `{code}` | {} | {} |", code.status().as_u16(), code.meaning()))
            .collect();
        assert_eq!(listed, expected, "the rows of docs/errors.md are to be:\n{}\n", expected.join("\n"));
    }

    #[test]
    fn no_code_is_a_500_and_every_name_is_its_own() {
        for code in Code::ALL {
            assert_ne!(code.status(), StatusCode::INTERNAL_SERVER_ERROR, "{code}");
            assert_eq!(Code::of_name(code.name()), Some(*code));
        }
    }
}
