//! The kinds of values that several requests bear, each judged where it is read.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

const LONGEST_TEXT: usize = 500;
const HIGHEST_RATE: u32 = 10_000;

/// A text for people, or one to compare with: 1 to 500 characters, not all of them blank, none of them U+0000.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Text(String);

/// Records a second: 1 to 10,000; 100 unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rate(u32);

impl Text {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self(100)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let fits = text.chars().count() <= LONGEST_TEXT && !text.trim().is_empty() && !text.contains('\0');
        fits.then_some(Self(text)).ok_or_else(|| D::Error::custom("1 to 500 characters, not all of them blank"))
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rate = u32::deserialize(deserializer)?;
        let fits = (1..=HIGHEST_RATE).contains(&rate);
        fits.then_some(Self(rate)).ok_or_else(|| D::Error::custom("a whole number from 1 to 10000"))
    }
}

impl PartialSchema for Text {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .description(Some("1 to 500 characters, not all of them blank, none of them U+0000."))
            .min_length(Some(1))
            .max_length(Some(LONGEST_TEXT))
            .pattern(Some(r"^[^\u0000]*[^\s\u0000][^\u0000]*$"))
            .into()
    }
}

impl ToSchema for Text {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Text")
    }
}

impl PartialSchema for Rate {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Integer))
            .description(Some("Records a second, 1 to 10000."))
            .minimum(Some(1))
            .maximum(Some(HIGHEST_RATE))
            .default(Some(100.into()))
            .into()
    }
}

impl ToSchema for Rate {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Rate")
    }
}

/// For what is so unless said otherwise.
#[must_use]
pub fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_neither_blank_nor_endless() {
        let read = |text: &str| serde_json::from_value::<Text>(text.into()).is_ok();
        assert!(read("why not"));
        for wrong in ["", "  ", "a\0b", &"x".repeat(501)] {
            assert!(!read(wrong), "{wrong:?}");
        }
    }
}
