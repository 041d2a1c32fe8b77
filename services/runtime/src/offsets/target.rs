//! What a reset is asked to move the group to.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize};

mod schema;
#[cfg(test)]
mod tests;

use super::ago::Ago;
use crate::whole;

/// The forms that are an object with one field.
const FIELDS: &[&str] = &["datetime", "duration", "shift_by", "offsets"];
const TAKES: &str =
    "`earliest`, `latest`, or an object with one of the fields `datetime`, `duration`, `shift_by`, `offsets`";
const TAKES_TIME: &str = "`datetime` to be a time with its distance from UTC (RFC 3339), as in 2025-01-31T03:00:00Z";
const TAKES_SHIFT: &str = "`shift_by` to be a whole number of 64 bits, negative to go back";
const TAKES_OFFSETS: &str = "`offsets` to be a map from partitions to offsets from 0 on, as in {\"0\": 42}";

/// Where to: `"earliest"`, `"latest"`, or an object with one of the other names as its only field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The first record that the broker still has.
    Earliest,
    /// Past the last record.
    Latest,
    /// The first record at or after a time (RFC 3339); past the last record where there is none.
    Datetime(DateTime<Utc>),
    /// The first record at or after the time that lies so far back from now.
    Duration(Ago),
    /// So many records on from where the group is, or back where it is negative.
    ShiftBy(i64),
    /// These offsets, by partition; partitions that are not named stay where they are. `offset` is read as well.
    Offsets(BTreeMap<i32, i64>),
}

impl Target {
    /// The time that is meant, where one is; a time before 1970 is as good as that year's begin.
    #[must_use]
    pub fn time(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Datetime(time) => Some(*time),
            Self::Duration(ago) => Some(now.checked_sub_signed(ago.length()).unwrap_or(DateTime::UNIX_EPOCH)),
            Self::Earliest | Self::Latest | Self::ShiftBy(_) | Self::Offsets(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyForm)
    }
}

struct AnyForm;

impl<'de> Visitor<'de> for AnyForm {
    type Value = Target;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TAKES)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Target, E> {
        match text {
            "earliest" => Ok(Target::Earliest),
            "latest" => Ok(Target::Latest),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Target, A::Error> {
        let Some(field) = map.next_key::<String>()? else {
            return Err(A::Error::custom(format_args!("invalid value: an empty object, expected {TAKES}")));
        };
        let target = match field.as_str() {
            "datetime" => Target::Datetime(map.next_value_seed(Text { takes: TAKES_TIME, read: time })?),
            "duration" => Target::Duration(map.next_value_seed(Text { takes: Ago::TAKES, read: Ago::read })?),
            "shift_by" => Target::ShiftBy(map.next_value_seed(Number { takes: TAKES_SHIFT, least: i64::MIN })?),
            "offsets" | "offset" => Target::Offsets(map.next_value_seed(Offsets)?),
            _ => return Err(A::Error::unknown_field(&field, FIELDS)),
        };
        match map.next_key::<String>()? {
            None => Ok(target),
            Some(other) => {
                Err(A::Error::custom(format_args!("`{field}` and `{other}` in one object, expected one of them")))
            }
        }
    }
}

fn time(text: &str) -> Result<DateTime<Utc>, &'static str> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| "it is no such time")?;
    Ok(time.to_utc())
}

/// A string that is read as something else.
struct Text<T> {
    takes: &'static str,
    read: fn(&str) -> Result<T, &'static str>,
}

impl<'de, T> DeserializeSeed<'de> for Text<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.takes)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).map_err(|reason| {
            E::custom(format_args!("invalid value: string {text:?}, expected {} ({reason})", self.takes))
        })
    }
}

/// A whole number.
struct Number {
    takes: &'static str,
    least: i64,
}

impl<'de> DeserializeSeed<'de> for Number {
    type Value = i64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<i64, D::Error> {
        deserializer.deserialize_i64(self)
    }
}

impl Visitor<'_> for Number {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.takes)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        Some(number)
            .filter(|number| *number >= self.least)
            .ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
        let whole = whole::of_point(number).ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))?;
        self.visit_i64(whole)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }
}

/// Offsets by partition, each partition once.
struct Offsets;

impl<'de> DeserializeSeed<'de> for Offsets {
    type Value = BTreeMap<i32, i64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Offsets {
    type Value = BTreeMap<i32, i64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TAKES_OFFSETS)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut offsets = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let refused =
                |held| A::Error::custom(format_args!("invalid value: {held} {name:?}, expected {TAKES_OFFSETS}"));
            // The number as it is usually written: no other text may mean the same partition.
            let partition = name.parse().ok().filter(|id: &i32| *id >= 0 && id.to_string() == name);
            let partition = partition.ok_or_else(|| refused("partition"))?;
            let offset = map.next_value_seed(Number { takes: TAKES_OFFSETS, least: 0 })?;
            if offsets.insert(partition, offset).is_some() {
                return Err(refused("twice the partition"));
            }
        }
        if offsets.is_empty() {
            return Err(A::Error::custom(format_args!("invalid value: an empty object, expected {TAKES_OFFSETS}")));
        }
        Ok(offsets)
    }
}
