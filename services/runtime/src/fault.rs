//! Retry or not: whose fault an error is. The one place where that is decided.
//!
//! A fault of the *record* is proven: the same record will fail again for the same reason whatever the surroundings
//! do. Everything else, and everything unknown, is a fault of the *surroundings* and is retried for as long as it
//! lasts, because the other way round a passing fault would lose a good record.

use std::fmt;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use sqlx::postgres::PgDatabaseError;

/// What the service leans on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependency {
    /// The warehouse.
    Postgres,
    /// The broker.
    Kafka,
    /// The dictionary of users, restaurants and menus.
    Redis,
}

impl Dependency {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Postgres, Self::Kafka, Self::Redis];

    /// The name in `/readyz`, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
            Self::Redis => "redis",
        }
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A fault of the surroundings: retried in place.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{dependency}: {detail}")]
pub struct Outage {
    /// What is at fault.
    pub dependency: Dependency,
    /// A short name from a bounded set, for the metrics: `connection`, `sqlstate_40`, `timeout`, `query_canceled`, …
    pub class: String,
    /// What the dependency said.
    pub detail: String,
}

impl Outage {
    /// A fault of `dependency`, said in its own words.
    pub fn new(dependency: Dependency, class: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self { dependency, class: class.into(), detail: detail.to_string() }
    }

    /// Whether a transaction gave way to another: a lost race, a deadlock, a failed serialization (class 40).
    #[must_use]
    pub fn is_contention(&self) -> bool {
        ["raced", "sqlstate_40"].contains(&self.class.as_str())
    }

    /// Whether the work was given up for the time that it took: less of it may be done in that time.
    #[must_use]
    pub fn took_too_long(&self) -> bool {
        ["timeout", QUERY_CANCELED].contains(&self.class.as_str())
    }
}

/// The class of a statement that the server has ended, by the name of its SQLSTATE 57014.
const QUERY_CANCELED: &str = "query_canceled";

/// A proven fault of the record: it becomes a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct RecordFault {
    /// Stable and from a bounded set; names the field where there is one: `missing:payload.user.id`.
    pub code: String,
    /// For a person: what was held, what is expected.
    pub message: String,
}

/// Whose fault an error is.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// Retry.
    #[error(transparent)]
    Outage(Outage),
    /// Do not retry: dead-letter, once the record stands alone.
    #[error(transparent)]
    Record(RecordFault),
}

/// Why a layer's transaction did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// PostgreSQL said no, or could not be asked.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// Another transaction got in between; the same work succeeds when it is done again.
    #[error("another transaction changed {0} at the same time")]
    Raced(&'static str),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Sql(error) => of_sql(&error),
            StoreError::Raced(what) => Self::Outage(Outage::new(Dependency::Postgres, "raced", what)),
        }
    }
}

/// Decides for an error of PostgreSQL or of its driver.
#[must_use]
pub fn of_sql(error: &sqlx::Error) -> Fault {
    use sqlx::Error as E;
    let outage = |class: &str| Fault::Outage(Outage::new(Dependency::Postgres, class, error));
    match error {
        E::Database(refusal) => of_refusal(refusal.as_ref()),
        // A value that cannot be put on the wire is the record's.
        E::Encode(_) | E::InvalidArgument(_) => Fault::Record(refused("encode", &error.to_string())),
        E::Io(_) | E::Tls(_) | E::Protocol(_) | E::WorkerCrashed | E::BeginFailed => outage("connection"),
        E::PoolTimedOut | E::PoolClosed => outage("pool"),
        E::Configuration(_) | E::ConfigFile(_) | E::Migrate(_) => outage("configuration"),
        // These say that a table is not what the code expects: nothing that a record could do.
        E::RowNotFound
        | E::TypeNotFound { .. }
        | E::ColumnIndexOutOfBounds { .. }
        | E::ColumnNotFound(_)
        | E::ColumnDecode { .. }
        | E::Decode(_)
        | E::AnyDriverError(_)
        | E::InvalidSavePointStatement => outage("schema"),
        _ => outage("unknown"),
    }
}

/// Whether a question that met this error will meet it again whatever the surroundings do: what was asked, or what the
/// table holds, cannot be read. A missing grant may still be given.
#[must_use]
pub fn is_lasting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => true,
        sqlx::Error::Database(refusal) => refusal.code().is_some_and(|state| is_lasting_state(&state)),
        _ => false,
    }
}

/// Whether the server ended the question: it took longer than it may, or somebody had it ended.
#[must_use]
pub fn was_ended(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(refusal) if refusal.code().as_deref() == Some("57014"))
}

/// Whether a lock was not to be had in time.
#[must_use]
pub fn is_locked_out(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(refusal) if refusal.code().as_deref() == Some("55P03"))
}

fn is_lasting_state(state: &str) -> bool {
    (state.starts_with("22") || state.starts_with("42")) && state != "42501"
}

/// Where PostgreSQL finds a value too large for an index's row or a table's, by the names of its own functions: the
/// SQLSTATE alone is also that of a server that has no transaction numbers left.
const TOO_LARGE: [&str; 4] =
    ["_bt_check_third_page", "index_form_tuple", "index_form_tuple_context", "RelationGetBufferForTuple"];
/// How the detail of a clash begins, in every language, when the number that a sequence gave is there already.
const OWN_NUMBER: &str = "(id)=(";

fn of_refusal(refusal: &dyn sqlx::error::DatabaseError) -> Fault {
    let state = refusal.code().unwrap_or_default();
    let postgres = refusal.try_downcast_ref::<PgDatabaseError>();
    let routine = postgres.and_then(PgDatabaseError::routine).unwrap_or_default();
    let detail = postgres.and_then(PgDatabaseError::detail).unwrap_or_default();
    if is_the_records(&state, routine, detail) {
        return Fault::Record(refused(&state, refusal.message()));
    }
    let class = match state.as_ref() {
        "57014" => QUERY_CANCELED.to_owned(),
        _ => format!("sqlstate_{}", state.get(..2).unwrap_or_default()),
    };
    Fault::Outage(Outage::new(Dependency::Postgres, class, format_args!("{} (SQLSTATE {state})", refusal.message())))
}

fn is_the_records(state: &str, routine: &str, detail: &str) -> bool {
    match (state.get(..2).unwrap_or_default(), state) {
        // A sequence at its end, or behind the numbers that are there, is no fault of the record that comes next.
        (_, "2200H") => false,
        (_, "23505") => !detail.find('(').is_some_and(|key| detail[key..].starts_with(OWN_NUMBER)),
        // Data exceptions and integrity violations: the value itself is refused, and will be again. So is a document
        // that is nested too deeply.
        ("22" | "23", _) | (_, "54001") => true,
        (_, "54000") => TOO_LARGE.contains(&routine),
        _ => false,
    }
}

fn refused(state: &str, message: &str) -> RecordFault {
    RecordFault { code: format!("database_refused:{state}"), message: format!("PostgreSQL refuses it: {message}") }
}

/// Decides for an error of the broker or of its client, met while a record was sent onward.
#[must_use]
pub fn of_kafka(error: &KafkaError) -> Fault {
    use RDKafkaErrorCode as C;
    let code = error.rdkafka_error_code();
    let outage = |class: &str| Fault::Outage(Outage::new(Dependency::Kafka, class, error));
    match code {
        // The broker's limit on the size of one message: only the record can reach it.
        Some(C::MessageSizeTooLarge | C::InvalidMessageSize) => Fault::Record(RecordFault {
            code: "message_too_large".to_owned(),
            message: format!("the onward message is larger than the broker takes: {error}"),
        }),
        Some(C::MessageTimedOut | C::OperationTimedOut | C::RequestTimedOut) => outage("timeout"),
        Some(C::BrokerTransportFailure | C::AllBrokersDown | C::Resolve | C::NetworkException) => outage("connection"),
        Some(C::Authentication | C::SaslAuthenticationFailed | C::SSL) => outage("authentication"),
        Some(C::TopicAuthorizationFailed | C::GroupAuthorizationFailed | C::ClusterAuthorizationFailed) => {
            outage("authorization")
        }
        Some(C::UnknownTopic | C::UnknownTopicOrPartition | C::UnknownPartition) => outage("topic"),
        Some(C::QueueFull) => outage("queue_full"),
        Some(C::Fatal) => outage("fatal"),
        Some(_) => outage("broker"),
        None => outage("unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_error_counts_as_a_fault_of_the_surroundings() {
        assert!(matches!(of_sql(&sqlx::Error::WorkerCrashed), Fault::Outage(_)));
        assert!(matches!(of_kafka(&KafkaError::Canceled), Fault::Outage(_)));
        assert!(matches!(of_kafka(&KafkaError::MessageProduction(RDKafkaErrorCode::Unknown)), Fault::Outage(_)));
    }

    #[test]
    fn a_question_that_cannot_be_read_will_never_be_answered_and_one_that_is_not_answered_now_may_be() {
        assert!(is_lasting(&sqlx::Error::Decode("not JSON".into())));
        assert!(!is_lasting(&sqlx::Error::PoolTimedOut));
        let lasting = ["22P02", "22008", "42703", "42501", "57014", "40001", "53300"].map(is_lasting_state);
        assert_eq!(lasting, [true, true, true, false, false, false, false]);
    }

    #[test]
    fn only_what_is_proven_to_be_the_records_is_refused_with_it() {
        let own = "Key (id)=(7) already exists.";
        let others = "Key (h_user_pk, note)=(7, (id)=(7)) already exists.";
        for (state, routine, detail, is_the_records) in [
            ("22P02", "", "", true),
            ("23514", "ExecConstraints", "", true),
            ("2200H", "nextval_internal", "", false),
            ("23505", "_bt_check_unique", others, true),
            ("23505", "_bt_check_unique", own, false),
            ("23505", "_bt_check_unique", "Schlüssel »(id)=(7)« existiert bereits.", false),
            ("54001", "check_stack_depth", "", true),
            ("54000", "_bt_check_third_page", "", true),
            ("54000", "index_form_tuple_context", "", true),
            ("54000", "GetNewTransactionId", "", false),
            ("54000", "GetNewMultiXactId", "", false),
            ("57P03", "ProcessStartupPacket", "", false),
            ("", "", "", false),
        ] {
            assert_eq!(self::is_the_records(state, routine, detail), is_the_records, "{state} {routine} {detail}");
        }
    }

    #[test]
    fn a_message_that_the_broker_never_takes_is_the_records_fault() {
        let fault = of_kafka(&KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge));
        assert!(matches!(fault, Fault::Record(fault) if fault.code == "message_too_large"));
    }
}
