//! Objects as what has fields; `Deserialize`, where it is derived, takes their values in an array as well.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// A `T` that was an object.
pub(super) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

/// For `#[serde(deserialize_with)]` on a field with fields.
///
/// # Errors
///
/// When it is no object, or not one of a `T`.
pub fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(value)| value)
}

/// As [`object`], where there may be none.
///
/// # Errors
///
/// When it is neither null nor an object, or not one of a `T`.
pub fn object_or_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::<Object<T>>::deserialize(deserializer).map(|held| held.map(|Object(value)| value))
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Range {
        from: Option<i64>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Wish {
        #[serde(deserialize_with = "object")]
        one: Range,
        #[serde(default, deserialize_with = "object_or_null")]
        other: Option<Range>,
    }

    #[test]
    fn values_in_an_array_are_no_object() {
        let read = |text: &str| serde_json::from_str::<Wish>(text).map_err(|error| error.to_string());
        let one = Range { from: Some(1) };
        assert_eq!(read(r#"{"one": {"from": 1}, "other": null}"#), Ok(Wish { one, other: None }));
        let other = Some(Range { from: None });
        assert_eq!(read(r#"{"one": {}, "other": {}}"#), Ok(Wish { one: Range { from: None }, other }));
        for wrong in [r#"{"one": [1]}"#, r#"{"one": {}, "other": [1]}"#] {
            let said = read(wrong).unwrap_err();
            assert!(said.starts_with("invalid type: sequence, expected an object"), "{said}");
        }
    }
}
