//! Sets of refusals that operations name in their `responses(…)`.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::http::header::{HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use utoipa::IntoResponses;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Response, ResponseBuilder};

use crate::http::problem::{Code, PROBLEM_JSON};

const RESPONSES: &str = "#/components/responses/";

/// What an operation can answer beside what it is for.
pub trait ErrorSet {
    /// The codes.
    fn codes() -> Vec<Code>;
}

/// What every read can answer.
pub struct ReadErrors;

impl ErrorSet for ReadErrors {
    fn codes() -> Vec<Code> {
        vec![
            Code::UnknownParameter,
            Code::InvalidParameter,
            Code::TokenMissing,
            Code::TokenUnknown,
            Code::Timeout,
            Code::InvalidField,
            Code::TooManyFailedLogins,
            Code::DatabaseAway,
            Code::InternalFault,
        ]
    }
}

impl IntoResponses for ReadErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(Self::codes())
    }
}

/// Declares a set of what an operation can answer: the codes of another set and further ones.
///
/// ```
/// use ordervault_runtime::http::docs::ReadErrors;
///
/// ordervault_runtime::error_set! {
///     /// What a read of one operation can answer.
///     pub OneOperationErrors: ReadErrors + OperationNotFound
/// }
/// ```
#[macro_export]
macro_rules! error_set {
    ($(#[$attribute:meta])* $visibility:vis $name:ident: $base:ident $(+ $code:ident)+) => {
        $(#[$attribute])*
        $visibility struct $name;

        impl $crate::http::docs::ErrorSet for $name {
            fn codes() -> Vec<$crate::http::Code> {
                let mut codes = <$base as $crate::http::docs::ErrorSet>::codes();
                codes.extend([$($crate::http::Code::$code),+]);
                codes
            }
        }

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
                $crate::http::docs::responses(<Self as $crate::http::docs::ErrorSet>::codes())
            }
        }
    };
}

error_set! {
    /// What every change can answer.
    pub ChangeErrors: ReadErrors
        + MalformedJson
        + UnknownField
        + ChangesDisabled
        + OpsTokenNeeded
        + BodyTooLarge
        + UnsupportedMediaType
}

/// The responses of these codes, by status.
pub fn responses(codes: impl IntoIterator<Item = Code>) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<String, Vec<Code>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status().as_str().to_owned()).or_default().push(code);
    }
    let reference = |mut codes: Vec<Code>| {
        codes.sort_unstable();
        codes.dedup();
        let names: Vec<&str> = codes.iter().map(|code| code.name()).collect();
        RefOr::Ref(Ref::new(format!("{RESPONSES}{}", names.join("."))))
    };
    by_status.into_iter().map(|(status, codes)| (status, reference(codes))).collect()
}

/// The name of the component that a response refers to.
pub(super) fn name(response: &RefOr<Response>) -> Option<String> {
    match response {
        RefOr::Ref(reference) => reference.ref_location.strip_prefix(RESPONSES).map(str::to_owned),
        RefOr::T(_) => None,
    }
}

/// The component of this name, which is made of the codes that it stands for.
pub(super) fn component(name: &str) -> Response {
    let codes: Vec<Code> = name.split('.').filter_map(Code::of_name).collect();
    let lines: Vec<String> = codes.iter().map(|code| format!("`{code}`: {}", code.meaning())).collect();
    let examples = codes.iter().map(|code| (code.name(), ExampleBuilder::new().value(Some(example(*code))).build()));
    let content =
        ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).examples_from_iter(examples).build();
    let mut response = ResponseBuilder::new().description(lines.join("\n\n")).content(PROBLEM_JSON, content);
    for (header, description, kind) in [
        (WWW_AUTHENTICATE, "How to say who one is.", Type::String),
        (RETRY_AFTER, "Seconds until a further attempt makes sense.", Type::Integer),
    ] {
        if codes.iter().any(|code| bears(*code, &header)) {
            let schema = Some(ObjectBuilder::new().schema_type(kind));
            let documented = HeaderBuilder::new().schema(schema).description(Some(description)).build();
            response = response.header(header.as_str(), documented);
        }
    }
    response.build()
}

fn example(code: Code) -> serde_json::Value {
    serde_json::json!({
        "type": "about:blank",
        "title": code.title(),
        "status": code.status().as_u16(),
        "code": code,
        "detail": code.meaning(),
        "request_id": "019ab7c2-7d3e-7b0a-9d51-3f6c2b8a4e10",
    })
}

/// Whether answers with this code bear the header.
fn bears(code: Code, header: &HeaderName) -> bool {
    match *header {
        WWW_AUTHENTICATE => code.status() == StatusCode::UNAUTHORIZED,
        RETRY_AFTER => {
            matches!(code, Code::TooManyFailedLogins | Code::TooManyReads | Code::DatabaseAway | Code::KafkaAway)
        }
        _ => false,
    }
}
