//! A number that keeps its own text: `300.50` stays `300.50`.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// More digits than any amount has; PostgreSQL takes some ten thousand.
const LONGEST_DECIMAL: usize = 100;

/// A JSON number as it was written.
#[derive(Clone, Debug)]
pub struct Number(Box<RawValue>);

impl Number {
    /// The number as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// Whether it is less than zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.as_f64() < 0.0
    }

    /// The number as Python prints it, which is how keys bear it: an integer as it is, anything with a fraction or
    /// an exponent as the shortest text of its 64-bit value.
    #[must_use]
    pub fn as_python_prints(&self) -> String {
        let text = self.text();
        if !text.contains(['.', 'e', 'E']) {
            return if text == "-0" { "0".to_owned() } else { text.to_owned() };
        }
        python_float(self.as_f64())
    }

    /// The number as PostgreSQL reads it into a decimal column: its own text, unless that has an exponent or digits
    /// beyond what PostgreSQL takes.
    #[must_use]
    pub fn as_decimal(&self) -> Cow<'_, str> {
        let text = self.text();
        if text.contains(['e', 'E']) || text.len() > LONGEST_DECIMAL {
            return Cow::Owned(self.as_python_prints());
        }
        Cow::Borrowed(text)
    }

    /// The number as 64 bits hold it.
    #[must_use]
    pub fn as_f64(&self) -> f64 {
        // The text has been read as a JSON number, and every JSON number is one that Rust reads.
        self.text().parse().unwrap_or(f64::NAN)
    }
}

/// `repr` of a Python float: exponents below -4 and from 16 on, at least two digits in them.
fn python_float(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "inf".to_owned() } else { "-inf".to_owned() };
    }
    let shortest = format!("{value:e}");
    let Some((digits, exponent)) = shortest.split_once('e') else { return shortest };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) || value == 0.0 {
        return format!("{value:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if raw.get().starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Ok(Self(raw));
        }
        let held: String = raw.get().chars().take(60).collect();
        Err(D::Error::custom(format_args!("invalid type: {held}, expected a number")))
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_python_prints_them() {
        for (text, printed) in [
            ("300", "300"),
            ("-0", "0"),
            ("300.50", "300.5"),
            ("300.0", "300.0"),
            ("1e2", "100.0"),
            ("1E+2", "100.0"),
            ("1e-7", "1e-07"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("12345678901234.75", "12345678901234.75"),
            ("1e15", "1000000000000000.0"),
            ("1e16", "1e+16"),
            ("1.5e300", "1.5e+300"),
            ("-0.0", "-0.0"),
            ("1e999", "inf"),
        ] {
            let number: Number = serde_json::from_str(text).unwrap();
            assert_eq!(number.as_python_prints(), printed, "{text}");
            assert_eq!(serde_json::to_string(&number).unwrap(), text);
        }
    }

    #[test]
    fn a_number_as_a_string_is_none() {
        assert!(serde_json::from_str::<Number>(r#""300""#).is_err());
        assert!(serde_json::from_str::<Number>("true").is_err());
    }
}
