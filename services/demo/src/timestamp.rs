//! How the generator writes times.

use chrono::{NaiveDateTime, Timelike};

/// `YYYY-MM-DD HH:MM:SS`, with six digits of a second's fraction only where there is one: both forms occur in
/// the messages, so both are generated.
pub(crate) fn text(time: NaiveDateTime) -> String {
    let format = if time.nanosecond() / 1_000 == 0 { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S%.6f" };
    time.format(format).to_string()
}

/// The present moment in UTC.
pub(crate) fn now() -> NaiveDateTime {
    chrono::Utc::now().naive_utc()
}
