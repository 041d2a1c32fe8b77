//! The query string.

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_urlencoded::Deserializer;

use super::misread::Misread;
use crate::http::problem::Problem;

/// The parameters of the query string.
///
/// `T` derives `Deserialize` with `#[serde(deny_unknown_fields)]` and has no `flatten`. A value's own `Deserialize` says
/// in its error what is taken, as in "a whole number from 1 to 10".
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

/// For handlers that take no parameter at all.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}

/// The parameters of the query string, of which some may be repeated: their values come joined by commas.
#[derive(Clone, Copy, Debug)]
pub struct RepeatableQuery<T>(pub T);

/// Parameters of which some may be repeated.
pub trait Repeatable: DeserializeOwned {
    /// The names of those.
    const NAMES: &'static [&'static str];
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

impl<T: Repeatable, S: Sync> FromRequestParts<S> for RepeatableQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read(&joined(parts.uri.query().unwrap_or_default(), T::NAMES)).map(Self)
    }
}

/// The query with the values of each repeatable parameter joined at its first place.
fn joined(query: &str, repeatable: &[&str]) -> String {
    let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        // Only a few names are looked for among those before: others may be as many as an address has room for.
        let before = if repeatable.contains(&&*name) { pairs.iter_mut().find(|(held, _)| *held == name) } else { None };
        match before {
            Some((_, values)) => *values = format!("{values},{value}").into(),
            None => pairs.push((name, value)),
        }
    }
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn read<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let pairs = || form_urlencoded::parse(query.as_bytes());
    if let Some((name, _)) = pairs().find(|(_, value)| value.contains('\0')) {
        return Err(Problem::invalid_parameter(&name, "holds the character U+0000, which the database cannot hold"));
    }
    serde_path_to_error::deserialize(Deserializer::new(pairs())).map_err(|error| {
        match Misread::of(&error.inner().to_string()) {
            Misread::Unknown { name, hint } => Problem::unknown_parameter(&name, &hint),
            Misread::Missing { name } => Problem::invalid_parameter(&name, "is missing"),
            Misread::Twice { name } => Problem::invalid_parameter(&name, "stands twice"),
            Misread::Value { takes } => {
                let name = error.path().to_string();
                let held = pairs().find(|(other, _)| *other == name).map(|(_, held)| held).unwrap_or_default();
                let held: String = held.chars().take(80).collect();
                Problem::invalid_parameter(&name, &format!("holds {held:?}, takes {takes}"))
            }
        }
    })
}
