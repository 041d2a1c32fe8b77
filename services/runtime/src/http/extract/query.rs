//! The query string.

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

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read(parts.uri.query().unwrap_or_default()).map(Self)
    }
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
