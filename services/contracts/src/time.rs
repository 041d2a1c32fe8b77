//! Times as the messages write them: `YYYY-MM-DD HH:MM:SS[.ffffff]`, or with `T`, UTC.

use std::fmt;

use chrono::{Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

/// The words by which [`crate::decode`] knows this fault again.
pub(crate) const UNREADABLE: &str = "an unreadable time";

/// A point in time, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub NaiveDateTime);

impl Time {
    /// Reads the one form that messages use.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if !text.is_ascii() || bytes.len() < 19 {
            return None;
        }
        let digits = |from: usize, to: usize| {
            let part = &text[from..to];
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u32>().ok()).flatten()
        };
        let separators = (bytes[4], bytes[7], bytes[13], bytes[16]) == (b'-', b'-', b':', b':');
        if !separators || !matches!(bytes[10], b' ' | b'T') {
            return None;
        }
        let year = i32::try_from(digits(0, 4)?).ok().filter(|year| *year > 0)?;
        let date = NaiveDate::from_ymd_opt(year, digits(5, 7)?, digits(8, 10)?)?;
        let micros = match &text[19..] {
            "" => 0,
            fraction => {
                let fraction = fraction.strip_prefix('.').filter(|rest| (1..=6).contains(&rest.len()))?;
                digits(20, text.len())? * 10_u32.pow(6 - u32::try_from(fraction.len()).ok()?)
            }
        };
        let time = NaiveTime::from_hms_micro_opt(digits(11, 13)?, digits(14, 16)?, digits(17, 19)?, micros)?;
        Some(Self(date.and_time(time)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written by hand, since several times stand in every message and a format string is read anew for each.
        let (date, time) = (self.0.date(), self.0.time());
        let (year, month, day) = (date.year(), date.month(), date.day());
        write!(f, "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())?;
        match time.nanosecond() / 1_000 {
            0 => Ok(()),
            micros => write!(f, ".{micros:06}"),
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::read(&text).ok_or_else(|| {
            let held: String = text.chars().take(60).collect();
            D::Error::custom(format_args!("{UNREADABLE}: {held:?}, expected YYYY-MM-DD HH:MM:SS[.ffffff]"))
        })
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a time of an optional field that nothing depends on: whatever else stands there is as good as nothing.
pub fn deserialize_if_readable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    text::deserialize_if_readable(deserializer).map(|text| text.and_then(|text| Time::read(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_that_messages_use_are_read_and_written_alike() {
        for (text, written) in [
            ("2022-11-19 16:06:36", "2022-11-19 16:06:36"),
            ("2022-11-19T16:06:36", "2022-11-19 16:06:36"),
            ("2022-11-19 16:06:36.5", "2022-11-19 16:06:36.500000"),
            ("2022-11-19 16:06:36.000001", "2022-11-19 16:06:36.000001"),
        ] {
            assert_eq!(Time::read(text).unwrap().to_string(), written);
        }
    }

    #[test]
    fn anything_else_is_unreadable() {
        for text in [
            "",
            "2022-11-19",
            "2022-13-19 16:06:36",
            "2022-02-30 00:00:00",
            "2022-11-19 24:00:00",
            "2022-11-19 16:06:60",
            "2022-11-19 16:06:36.",
            "2022-11-19 16:06:36.1234567",
            "2022-11-19 16:06:36Z",
            "2022-11-19 16:06:36+00",
            "+022-11-19 16:06:36",
            "0000-01-01 00:00:00",
            "2022-11-19_16:06:36",
            "ноябрь 19, 2022 в 16:06",
        ] {
            assert_eq!(Time::read(text), None, "{text}");
        }
    }
}
