//! The kinds of values that several requests bear, each judged where it is read.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::whole::Whole;

const LONGEST_TEXT: usize = 500;

/// What is blank is spelled out: what `\s` stands for differs from one reader of patterns to the next.
const NOT_BLANK: &str =
    r"^[^\u0000]*[^\u0000\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028-\u2029\u202f\u205f\u3000][^\u0000]*$";

/// A text for people, or one to compare with: 1 to 500 characters, not all of them blank, none of them U+0000.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Text(String);

/// Records a second.
pub type Rate = Whole<1, 10_000>;

/// The rate of a request that does not name one.
pub const USUAL_RATE: Rate = Rate::of::<100>();

/// Records at the most.
pub type Cap = Whole<1, 1_000_000_000>;

/// A partition's number.
pub type Partition = Whole<0, 2_147_483_647>;

impl Text {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let fits = text.chars().count() <= LONGEST_TEXT && !text.trim().is_empty() && !text.contains('\0');
        fits.then_some(Self(text)).ok_or_else(|| D::Error::custom("1 to 500 characters, not all of them blank"))
    }
}

impl PartialSchema for Text {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .description(Some("1 to 500 characters, not all of them blank, none of them U+0000."))
            .min_length(Some(1))
            .max_length(Some(LONGEST_TEXT))
            .pattern(Some(NOT_BLANK))
            .into()
    }
}

impl ToSchema for Text {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Text")
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

    #[test]
    fn the_document_calls_blank_what_is_refused_as_blank() {
        let spelled = NOT_BLANK.split(['[', ']']).nth(3).unwrap().trim_start_matches(r"^\u0000");
        let of = |code: &str| char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap();
        let mut documented = Vec::new();
        for range in spelled.replace(r"-\u", "-").split(r"\u").skip(1) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            documented.extend(of(first)..=of(last));
        }
        let refused =
            ('\u{1}'..=char::MAX).filter(|char| serde_json::from_value::<Text>(char.to_string().into()).is_err());
        assert_eq!(documented, refused.collect::<Vec<_>>());
    }
}
