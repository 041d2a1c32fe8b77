//! The body.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use super::misread::Misread;
use super::object::Object;
use crate::http::problem::{Code, Problem};

/// A body may be so long, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;

/// So much of a value is shown to whoever sent it.
const SHOWN: usize = 80;

/// A JSON body, as an extractor and as an answer.
///
/// As an extractor it takes a `T` that derives `Deserialize` with `#[serde(deny_unknown_fields)]`, and reads its own objects
/// with [`object`](super::object) or [`object_or_null`](super::object_or_null). An empty body and `null` are `{}`.
/// A value's own `Deserialize` says in its error what is taken, as in "a whole number from 1 to 10".
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, state).await.map_err(|rejection| not_received(&rejection))?;
        if body.is_empty() {
            return read(b"{}").map(Self);
        }
        if !is_json(&headers) {
            let held = headers.get(CONTENT_TYPE).map_or("none".to_owned(), |held| format!("{held:?}"));
            let detail = format!("the body's Content-Type is {held}: send Content-Type: application/json");
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
        read(&body).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

fn not_received(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new(Code::BodyTooLarge, format!("the body is larger than {BODY_LIMIT} bytes"))
    } else {
        Problem::new(Code::MalformedJson, "the body did not arrive whole")
    }
}

/// `application/json` or `application/…+json`, with or without parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(held) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = held.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let whole: Value = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    if whole.is_null() {
        return read(b"{}");
    }
    if let Some(pointer) = place_of_nul(&whole, String::new()) {
        return Err(Problem::invalid_field(pointer, "holds the character U+0000, which the database cannot hold"));
    }
    // Read from the text once more: a value made of it would have dropped fields that stand twice.
    let mut text = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut text).map(|Object(read)| read);
    read.map_err(|error| {
        if error.inner().classify() == Category::Data {
            misfit(error.path(), &error.inner().to_string(), &whole)
        } else {
            malformed(error.inner())
        }
    })
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(Code::MalformedJson, format!("the body is not JSON: {error}"))
}

fn misfit(path: &Path, message: &str, whole: &Value) -> Problem {
    let place = pointer(path);
    match Misread::of(message) {
        Misread::Unknown { name, hint } => {
            let object = place.strip_suffix(&step(&name)).unwrap_or(&place);
            let detail = format!("there is no field {name:?}; {hint}");
            Problem::new(Code::UnknownField, detail).at(format!("{object}{}", step(&name)), hint)
        }
        Misread::Missing { name } => Problem::invalid_field(place + &step(&name), "is missing"),
        Misread::Twice { name } => Problem::invalid_field(place + &step(&name), "stands twice"),
        Misread::Value { takes } => {
            let held = whole.pointer(&place).map_or_else(|| "nothing".to_owned(), shown);
            Problem::invalid_field(place, format!("holds {held}, takes {takes}"))
        }
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn step(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn pointer(path: &Path) -> String {
    let steps = path.iter().map(|segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => step(key),
        Segment::Enum { variant } => step(variant),
        Segment::Unknown => String::new(),
    });
    steps.collect()
}

/// PostgreSQL's text holds every character but this one.
fn place_of_nul(value: &Value, place: String) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then_some(place),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| place_of_nul(item, format!("{place}/{index}")))
        }
        Value::Object(fields) => fields.iter().find_map(|(name, item)| place_of_nul(item, place.clone() + &step(name))),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}
