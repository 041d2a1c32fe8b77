//! Whole numbers as JSON has them: `5` and `5.0` are the same number, within given bounds.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whole<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Whole<MIN, MAX> {
    /// This number, known when the program is compiled.
    #[must_use]
    pub const fn of<const NUMBER: i64>() -> Self {
        const { assert!(MIN <= NUMBER && NUMBER <= MAX) };
        Self(NUMBER)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

/// A number that is written with a point, where it is whole all the same. Of more than 15 digits it is read as one of its
/// neighbours, and so is one too long for 64 bits: neither says which is meant.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "numbers beyond 64 bits are sorted out before")]
pub fn of_point(number: f64) -> Option<i64> {
    const BOUND: f64 = 1e15;
    (number.fract() == 0.0 && number.abs() < BOUND).then_some(number as i64)
}

impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_i64(Bounded::<MIN, MAX>)
    }
}

impl<const MIN: i64, const MAX: i64> Serialize for Whole<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

struct Bounded<const MIN: i64, const MAX: i64>;

impl<const MIN: i64, const MAX: i64> Visitor<'_> for Bounded<MIN, MAX> {
    type Value = Whole<MIN, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {MIN} to {MAX}")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        let fits = (MIN..=MAX).contains(&number).then_some(Whole(number));
        fits.ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        let number = i64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))?;
        self.visit_i64(number)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        let whole = of_point(number).ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))?;
        self.visit_i64(whole)
    }
}

impl<const MIN: i64, const MAX: i64> PartialSchema for Whole<MIN, MAX> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer)).minimum(Some(MIN)).maximum(Some(MAX)).into()
    }
}

impl<const MIN: i64, const MAX: i64> ToSchema for Whole<MIN, MAX> {
    fn name() -> Cow<'static, str> {
        Cow::Owned(format!("WholeNumberFrom{MIN}To{MAX}").replace('-', "Minus"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_whole_however_it_is_written_and_within_its_bounds() {
        let read = |text: &str| serde_json::from_str::<Whole<1, 100>>(text).ok().map(Whole::get);
        assert_eq!(read("5"), Some(5));
        assert_eq!(read("5.0"), Some(5));
        assert_eq!(read("1e2"), Some(100));
        for wrong in ["0", "101", "5.5", "\"5\"", "-1", "1e300", "18446744073709551615", "null", "true"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let read = |text: &str| serde_json::from_str::<Whole<{ i64::MIN }, { i64::MAX }>>(text).ok().map(Whole::get);
        assert_eq!(read("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(read("999999999999999.0"), Some(999_999_999_999_999));
        for unclear in ["-9223372036854775809", "9223372036854775808", "1000000000000000.0", "1e18"] {
            assert_eq!(read(unclear), None, "{unclear}");
        }
    }
}
