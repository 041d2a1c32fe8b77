//! The constructors of problems, each named for what happened.

use std::fmt;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use uuid::Uuid;

use super::{Code, Problem};
use crate::broker::BrokerError;
use crate::fault::{self, Fault};

/// For how long a client is asked to wait for a dependency.
const DEPENDENCY_AGAIN: Duration = Duration::from_secs(5);

/// For how long a client is asked to wait for its turn to read.
const READS_AGAIN: Duration = Duration::from_secs(2);

/// What the client says who it is with, per RFC 6750.
const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"Bearer realm="ordervault""#);
const CHALLENGE_AFTER_WRONG_TOKEN: HeaderValue =
    HeaderValue::from_static(r#"Bearer realm="ordervault", error="invalid_token""#);

impl Problem {
    /// A value in the body is not one that is taken; `detail` says what it holds and what is taken.
    pub fn invalid_field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let (pointer, detail) = (pointer.into(), detail.into());
        let place = if pointer.is_empty() { "the body" } else { &pointer };
        Self::new(Code::InvalidField, format!("{place} {detail}")).at(pointer, detail)
    }

    /// A query parameter is not one that is taken; `detail` says what it holds and what is taken.
    #[must_use]
    pub fn invalid_parameter(parameter: &str, detail: &str) -> Self {
        Self::new(Code::InvalidParameter, format!("the parameter {parameter} {detail}")).at_parameter(parameter, detail)
    }

    /// There is no query parameter of this name.
    #[must_use]
    pub fn unknown_parameter(parameter: &str, hint: &str) -> Self {
        Self::new(Code::UnknownParameter, format!("there is no parameter {parameter:?}; {hint}"))
            .at_parameter(parameter, hint)
    }

    /// The cursor is not one that was given out.
    #[must_use]
    pub fn invalid_cursor() -> Self {
        Self::invalid_cursor_in("cursor")
    }

    /// The cursor in a parameter is not one that was given out.
    #[must_use]
    pub fn invalid_cursor_in(parameter: &str) -> Self {
        let detail = "was not given out by this list with this filter and sort; leave it out to begin anew";
        Self::new(Code::InvalidCursor, format!("the parameter {parameter} {detail}")).at_parameter(parameter, detail)
    }

    /// The changes since the cursor cannot be known any more.
    #[must_use]
    pub fn cursor_outdated() -> Self {
        let detail = "belongs to another database, or to tables that were made anew since; leave it out, take everything \
                      again, and go on from there";
        Self::new(Code::CursorOutdated, format!("the parameter since {detail}")).at_parameter("since", detail)
    }

    /// The client takes none of the forms that there are.
    #[must_use]
    pub fn not_acceptable(accept: &str) -> Self {
        let accept: String = accept.chars().take(80).collect();
        let served = "application/json, application/x-ndjson and text/csv are served";
        Self::new(Code::NotAcceptable, format!("the header Accept holds {accept:?}; {served}"))
    }

    /// Every turn to read is taken.
    #[must_use]
    pub fn too_many_reads() -> Self {
        Self::new(Code::TooManyReads, "too many reads are under way; API_READ_CONNECTIONS bounds them")
            .retry_after(READS_AGAIN)
    }

    /// The database ended a read for its length.
    #[must_use]
    pub fn query_too_slow() -> Self {
        Self::new(Code::QueryTooSlow, "the query takes too long: narrow the filter, or ask for count=estimated")
    }

    /// The tables are not as far as the client wants them to be.
    #[must_use]
    pub fn offset_not_applied(detail: &str) -> Self {
        Self::new(Code::OffsetNotApplied, format!("the parameter min_offset {detail}"))
            .at_parameter("min_offset", detail)
    }

    /// A token is needed and none came.
    #[must_use]
    pub fn token_missing(variable: &str) -> Self {
        let detail = format!("send Authorization: Bearer <token> with one of the tokens of {variable}");
        Self::new(Code::TokenMissing, detail).with_header(WWW_AUTHENTICATE, CHALLENGE)
    }

    /// A token came that nobody has.
    #[must_use]
    pub fn token_unknown() -> Self {
        let detail = "the token is none of API_OPS_TOKENS or API_READ_TOKENS, nor of their files";
        Self::new(Code::TokenUnknown, detail).with_header(WWW_AUTHENTICATE, CHALLENGE_AFTER_WRONG_TOKEN)
    }

    /// Nobody may change anything.
    #[must_use]
    pub fn changes_disabled() -> Self {
        Self::new(
            Code::ChangesDisabled,
            "changes are off because no ops token is set: start the service with API_OPS_TOKENS=name:token, or with \
             API_OPS_TOKENS_FILE naming a file that holds the same, and send Authorization: Bearer <token>",
        )
    }

    /// The token may only read.
    #[must_use]
    pub fn ops_token_needed(actor: &str) -> Self {
        Self::new(
            Code::OpsTokenNeeded,
            format!("the token of {actor:?} may only read; send one of the tokens of API_OPS_TOKENS"),
        )
    }

    /// Too many wrong tokens came from the client's address.
    #[must_use]
    pub fn too_many_failed_logins(wait: Duration) -> Self {
        Self::new(
            Code::TooManyFailedLogins,
            format!("too many wrong tokens came from this address; try again in {} s", whole_seconds(wait)),
        )
        .retry_after(wait)
    }

    /// No operation has this id.
    pub fn operation_not_found(id: impl fmt::Display) -> Self {
        Self::new(Code::OperationNotFound, format!("there is no operation {id}"))
    }

    /// No dead letter has this id.
    pub fn dead_letter_not_found(id: impl fmt::Display) -> Self {
        Self::new(Code::DeadLetterNotFound, format!("there is no dead letter {id}"))
    }

    /// STG has no order of this number.
    pub fn order_event_not_found(id: impl fmt::Display) -> Self {
        Self::new(Code::OrderEventNotFound, format!("there is no order {id}"))
    }

    /// The layer has no order of this hub key.
    pub fn order_not_found(key: impl fmt::Display) -> Self {
        Self::new(Code::OrderNotFound, format!("there is no order of the hub key {key}"))
    }

    /// CDM has no counter of these two hub keys.
    pub fn counter_not_found(one: impl fmt::Display, other: impl fmt::Display) -> Self {
        Self::new(Code::CounterNotFound, format!("there is no counter of the hub keys {one} and {other}"))
    }

    /// Another reset is under way.
    #[must_use]
    pub fn reset_under_way(operation: Uuid) -> Self {
        let detail = format!("the reset {operation} is under way: wait for its end or cancel it");
        Self::new(Code::ResetUnderWay, detail).about(operation)
    }

    /// The operation has come to its end; `state` is that end.
    #[must_use]
    pub fn operation_finished(operation: Uuid, state: &str) -> Self {
        Self::new(Code::OperationFinished, format!("the operation {operation} is {state} already")).about(operation)
    }

    /// An operation of this kind cannot be cancelled.
    #[must_use]
    pub fn not_cancellable(operation: Uuid, kind: &str) -> Self {
        let detail = format!("the operation {operation} is a {kind}, which cannot be cancelled");
        Self::new(Code::NotCancellable, detail).about(operation)
    }

    /// The dead letter is closed; `status` is how.
    #[must_use]
    pub fn dead_letter_closed(id: Uuid, status: &str) -> Self {
        Self::new(Code::DeadLetterClosed, format!("the dead letter {id} is {status} already"))
    }

    /// The plan that the client has seen is not the one that would be carried out.
    #[must_use]
    pub fn plan_out_of_date() -> Self {
        Self::new(Code::PlanOutOfDate, "If-Match names another plan than the present one: ask for it with a dry run")
    }

    /// The topic has not these partitions.
    #[must_use]
    pub fn unknown_partition(pointer: &str, partition: i32, partitions: usize) -> Self {
        let detail = format!("names the partition {partition}; the topic has {partitions}, from 0");
        Self::new(Code::UnknownPartition, format!("{pointer} {detail}")).at(pointer, detail)
    }

    /// The topic has not the partition that a query parameter names.
    #[must_use]
    pub fn no_such_partition(parameter: &str, partition: i32, last: i32) -> Self {
        let detail = format!("names the partition {partition}; the last one of the topic is {last}");
        Self::new(Code::UnknownPartition, format!("the parameter {parameter} {detail}"))
            .at_parameter(parameter, &detail)
    }

    /// PostgreSQL could not be asked.
    #[must_use]
    pub fn database_away() -> Self {
        Self::new(Code::DatabaseAway, "the database does not answer in time; /readyz says what is known of it")
            .retry_after(DEPENDENCY_AGAIN)
    }

    /// Kafka could not be asked.
    #[must_use]
    pub fn kafka_away() -> Self {
        Self::new(Code::KafkaAway, "Kafka does not answer; /readyz says what is known of it")
            .retry_after(DEPENDENCY_AGAIN)
    }

    /// The same, about an operation.
    fn about(mut self, operation: Uuid) -> Self {
        self.operation = Some(operation);
        self
    }

    fn retry_after(self, wait: Duration) -> Self {
        self.with_header(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)))
    }
}

/// What was met in the database is logged; the client learns whether to wait or to send something else.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        match fault::of_sql(&error) {
            Fault::Outage(outage) => {
                tracing::warn!(class = outage.class, %error, "a request met an outage of the database");
                Self::database_away()
            }
            Fault::Record(refusal) => {
                tracing::warn!(%error, "the database refused a value of a request");
                let detail = format!("the database cannot hold a value of the request ({})", refusal.code);
                Self::new(Code::InvalidField, detail)
            }
        }
    }
}

impl From<BrokerError> for Problem {
    fn from(error: BrokerError) -> Self {
        tracing::warn!(%error, "a request met an outage of Kafka");
        Self::kafka_away()
    }
}

/// Rounded up, so that nobody comes too early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}
