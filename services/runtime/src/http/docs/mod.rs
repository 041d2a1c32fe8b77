//! The API's description: the OpenAPI document, made from the routes themselves, and Swagger UI to press them.

use std::collections::BTreeSet;

use utoipa::ToSchema as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, RefOr, Server};
use utoipa_axum::router::OpenApiRouter;

mod errors;
pub(super) mod page;
pub mod tags;

pub use errors::{ChangeErrors, ErrorSet, ReadErrors, responses};

use super::access::Right;
use super::problem::ProblemBody;
use super::{State, shared};

/// The names of the security schemes.
const OPS_TOKEN: &str = "opsToken";
const READ_TOKEN: &str = "readToken";

/// The document of a layer that serves `api` beside what every layer serves. Needs no state and no settings.
pub fn document(layer: &str, api: OpenApiRouter<State>) -> OpenApi {
    let mut document = shared().merge(api).into_openapi();
    document.info = InfoBuilder::new()
        .title(format!("Ordervault {}", layer.to_uppercase()))
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(include_str!("about.md").trim_end().replace("{layer}", &layer.to_uppercase())))
        .license(Some(LicenseBuilder::new().name("Apache 2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    document.servers = Some(vec![Server::new("/")]);

    let mut used_tags = BTreeSet::new();
    let mut used_errors = BTreeSet::new();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            operation.security = Some(security(Right::needed(&method, path)));
            used_tags.extend(operation.tags.iter().flatten().cloned());
            used_errors.extend(operation.responses.responses.values().filter_map(errors::name));
        }
    }
    let of_the_layer = document.tags.take().unwrap_or_default();
    let tags = tags::shared().into_iter().chain(of_the_layer).chain([tags::probes()]);
    document.tags = Some(tags.filter(|tag| used_tags.contains(&tag.name)).collect());

    let components = document.components.get_or_insert_default();
    let mut schemas = vec![(ProblemBody::name().into_owned(), <ProblemBody as utoipa::PartialSchema>::schema())];
    ProblemBody::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components.responses.extend(used_errors.iter().map(|name| (name.clone(), RefOr::T(errors::component(name)))));
    for (name, description) in [
        (OPS_TOKEN, "A token of `API_OPS_TOKENS` or its file: it may change things, and read."),
        (READ_TOKEN, "A token of `API_READ_TOKENS` or its file: it may read. While none is set, reads are open."),
    ] {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build();
        components.add_security_scheme(name, SecurityScheme::Http(scheme));
    }
    document
}

/// The document as the files in `openapi/` hold it.
#[must_use]
pub fn text(document: &OpenApi) -> String {
    // Text, numbers, lists, and maps with names: nothing that JSON could not hold.
    serde_json::to_string_pretty(document).unwrap_or_default() + "\n"
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (axum::http::Method, &mut Operation)> {
    use axum::http::Method as M;
    [
        (M::GET, &mut item.get),
        (M::PUT, &mut item.put),
        (M::POST, &mut item.post),
        (M::DELETE, &mut item.delete),
        (M::OPTIONS, &mut item.options),
        (M::HEAD, &mut item.head),
        (M::PATCH, &mut item.patch),
        (M::TRACE, &mut item.trace),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// What *Authorize* has to hold for an operation. An empty requirement says that it may also be nothing.
fn security(right: Right) -> Vec<SecurityRequirement> {
    let token = |name: &str| SecurityRequirement::new(name, [] as [&str; 0]);
    match right {
        Right::Nothing => Vec::new(),
        Right::Read => vec![SecurityRequirement::default(), token(READ_TOKEN), token(OPS_TOKEN)],
        Right::Change => vec![token(OPS_TOKEN)],
    }
}
