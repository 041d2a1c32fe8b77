//! A length of time back from now, as ISO 8601 writes it.

use chrono::TimeDelta;
use jiff::{Span, SpanRelativeTo};
use serde::{Serialize, Serializer};

/// A positive length of time, which shows itself as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ago {
    text: String,
    length: TimeDelta,
}

impl Ago {
    pub(super) const TAKES: &'static str =
        "`duration` to be a length of time (ISO 8601) in weeks, days, hours, minutes and seconds, as in PT1H or P7D";

    /// Reads a length of time, or says what is wrong with it. A day has 24 hours.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        // Other forms are understood below which no standard knows, and a sign before the P.
        if !text.starts_with('P') {
            return Err("it does not begin with P");
        }
        let span: Span = text.parse().map_err(|_| "it is no such length")?;
        if span.get_years() != 0 || span.get_months() != 0 {
            return Err("years and months are not all of the same length: say it in days");
        }
        let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| "it is too long")?;
        if !length.is_positive() {
            return Err("it is not longer than nothing");
        }
        let nanos = u32::try_from(length.subsec_nanos()).unwrap_or_default();
        let length = TimeDelta::new(length.as_secs(), nanos).ok_or("it is too long")?;
        Ok(Self { text: text.to_owned(), length })
    }

    /// The length.
    #[must_use]
    pub fn length(&self) -> TimeDelta {
        self.length
    }
}

impl Serialize for Ago {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_days_hours_minutes_and_seconds_are_lengths_of_time() {
        let seconds = |text| Ago::read(text).map(|ago| ago.length().num_seconds());
        assert_eq!(seconds("PT1H"), Ok(3_600));
        assert_eq!(seconds("P1D"), Ok(86_400));
        assert_eq!(seconds("P1W1DT1H1M1S"), Ok(8 * 86_400 + 3_661));
        assert_eq!(Ago::read("PT0.5S").unwrap().length(), TimeDelta::milliseconds(500));
        assert_eq!(Ago::read("PT0.000000001S").unwrap().length(), TimeDelta::nanoseconds(1));
    }

    #[test]
    fn what_has_no_certain_or_no_positive_length_is_refused_with_its_reason() {
        for (text, reason) in [
            ("P1M", "years and months"),
            ("P1Y", "years and months"),
            ("P1Y2M3DT4H", "years and months"),
            ("PT0S", "not longer than nothing"),
            ("P0D", "not longer than nothing"),
            ("-PT1H", "does not begin with P"),
            ("+PT1H", "does not begin with P"),
            ("1 hour", "does not begin with P"),
            ("pt1h", "does not begin with P"),
            ("", "does not begin with P"),
            ("P", "no such length"),
            ("PT", "no such length"),
            ("P-1D", "no such length"),
            ("P1D ago", "no such length"),
            ("PT1H trailing", "no such length"),
            ("P99999999999999999999D", "no such length"),
        ] {
            let refused = Ago::read(text).expect_err(text);
            assert!(refused.contains(reason), "{text}: {refused}");
        }
    }
}
