//! What is answered when a request cannot be answered as asked: `application/problem+json` per RFC 9457.
//!
//! Handlers return `Result<_, Problem>` and make problems by the constructors in [`causes`], each named for what happened.

use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

mod causes;
mod code;

pub use code::Code;

use super::request_id;

/// The media type.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A refusal on its way to the client. It bears what the client can do something about, never internals.
#[derive(Clone, Debug)]
pub struct Problem {
    code: Code,
    detail: String,
    errors: Vec<Misfit>,
    operation: Option<Uuid>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A part of the request that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Misfit {
    /// Where it is in the body: a JSON pointer per RFC 6901; empty for the body itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/partitions/0")]
    pub pointer: Option<String>,
    /// Which query parameter it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "limit")]
    pub parameter: Option<String>,
    /// What it holds and what is expected.
    #[schema(example = "holds \"x\", takes a whole number")]
    pub detail: String,
}

/// A refusal, per RFC 9457.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Always `about:blank`: `code` says which problem it is.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The status in words.
    #[schema(example = "Bad Request")]
    title: &'static str,
    /// The status.
    #[schema(example = 400, minimum = 400, maximum = 599)]
    status: u16,
    /// A stable word for what went wrong. New ones may be added.
    #[schema(value_type = String, example = "unknown_parameter")]
    code: Code,
    /// What went wrong in this case, for people.
    #[schema(example = "there is no parameter \"limt\"; the nearest is \"limit\"")]
    detail: String,
    /// The request's id, which the log lines of the request bear too.
    #[schema(example = "019ab7c2-7d3e-7b0a-9d51-3f6c2b8a4e10")]
    request_id: String,
    /// The parts of the request that do not fit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<Misfit>,
    /// The operation that is in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<Uuid>,
}

impl Problem {
    /// A problem of this code; `detail` says what it is in this case, and what to do about it.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), operation: None, headers: Vec::new() }
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// What it is in this case.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The same with a place in the body (a JSON pointer) that does not fit.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(Misfit { pointer: Some(pointer.into()), parameter: None, detail: detail.into() });
        self
    }

    fn at_parameter(mut self, parameter: &str, detail: &str) -> Self {
        self.errors.push(Misfit { pointer: None, parameter: Some(parameter.to_owned()), detail: detail.to_owned() });
        self
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// What the client gets to read, as it is in answer to the present request.
    #[must_use]
    pub fn body(self) -> ProblemBody {
        ProblemBody {
            kind: "about:blank",
            title: self.code.title(),
            status: self.code.status().as_u16(),
            code: self.code,
            detail: self.detail,
            request_id: request_id::present(),
            errors: self.errors,
            operation: self.operation,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let (status, headers) = (self.code.status(), std::mem::take(&mut self.headers));
        let mut response = (status, axum::Json(self.body())).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response.headers_mut().extend(headers);
        response
    }
}
