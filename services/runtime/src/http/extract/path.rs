//! An id in the path.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::http::problem::{Code, Problem};

/// An id that a path names; what cannot be one is an id that nothing has.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

/// An id of a kind of resource.
pub trait PathId: FromStr {
    /// What is answered where nothing has the id.
    const NOT_FOUND: Code;
}

impl<T: PathId, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        read(text.ok().map(|text| text.0).as_deref()).map(Self)
    }
}

/// A path that names two ids.
impl<A: PathId, B: PathId, S: Send + Sync> FromRequestParts<S> for Path<(A, B)> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let texts = axum::extract::Path::<(String, String)>::from_request_parts(parts, state).await;
        let (one, other) = texts.ok().map(|texts| texts.0).unzip();
        Ok(Self((read(one.as_deref())?, read(other.as_deref())?)))
    }
}

fn read<T: PathId>(text: Option<&str>) -> Result<T, Problem> {
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| Problem::new(T::NOT_FOUND, "the path does not name an id of this kind of thing"))
}
