//! Text that PostgreSQL can hold.

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::value::RawValue;

/// The words by which [`crate::decode`] knows this fault again.
pub(crate) const NUL: &str = "the character U+0000, which PostgreSQL cannot hold";

/// Reads a string without U+0000.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.contains('\0') { Err(D::Error::custom(NUL)) } else { Ok(text) }
}

/// Reads a string without U+0000, or null.
pub fn deserialize_optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Option::<String>::deserialize(deserializer)? {
        Some(text) if text.contains('\0') => Err(D::Error::custom(NUL)),
        text => Ok(text),
    }
}

/// Reads a string of an optional field that nothing depends on: whatever else stands there is as good as nothing, also
/// what JSON allows and no type can hold.
pub fn deserialize_if_readable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let held = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(held.get()).ok().filter(|text: &String| !text.contains('\0')))
}
