//! `/api/v1/audit`: the counters against the ledger, the ledger against the vault.

use axum::extract::State as FromState;
use axum::response::Response;
use ordervault_runtime::control::operations::{Kind, NewOperation};
use ordervault_runtime::http::accepted::{self, Created, WaitFor};
use ordervault_runtime::http::docs::{ChangeErrors, tags};
use ordervault_runtime::http::extract::{Json, Query};
use ordervault_runtime::http::fields::Text;
use ordervault_runtime::http::{Actor, Problem, State};
use ordervault_runtime::jobs::lease;
use serde::Deserialize;
use serde_json::json;
use utoipa::openapi::schema::{AdditionalProperties, AnyOfBuilder, Object, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{OpenApiBuilder, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::audit::{Progress, Request};

const AUDIT: &str = "audit";

pub(super) fn routes() -> OpenApiRouter<State> {
    let about = tags::tag(AUDIT, "Proof that the counters are right, and their repair where they are not.");
    let description = OpenApiBuilder::new().tags(Some([about])).build();
    OpenApiRouter::with_openapi(description).routes(routes!(audit))
}

/// A wish for an audit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRequest {
    #[serde(default)]
    repair: bool,
    reason: Option<Text>,
}

/// Audit counters, ledger and vault
///
/// Holds every counter against the sum of the ledger, and the ledger against the vault, in one snapshot: exact also while
/// the consumer works. `results` says of each table whether it is `equal`, `different`, only `behind`, or `skipped` because
/// CDM may not read it, with examples of rows that are wrong. What is only on its way is `behind` and not wrong. With
/// `repair` counters that are wrong are then set to the ledger's sum, while CDM's batches wait; neither ledger nor vault is
/// changed. One audit is done at a time.
#[utoipa::path(
    post, path = "/api/v1/audit", operation_id = "auditCounters", tag = AUDIT, params(WaitFor),
    request_body(content = Option<AuditRequest>, examples(
        ("a look" = (summary = "Only look", value = json!({}))),
        ("a repair" = (summary = "Look, and set counters that are wrong to the ledger's sum", value = json!(
            {"repair": true, "reason": "counters changed by hand, ticket 4711"})))
    )),
    responses(Created, ChangeErrors)
)]
async fn audit(
    FromState(state): FromState<State>,
    actor: Actor,
    Query(wait): Query<WaitFor>,
    Json(request): Json<AuditRequest>,
) -> Result<Response, Problem> {
    if request.repair && request.reason.is_none() {
        return Err(Problem::invalid_field("/reason", "is missing: a repair says why"));
    }
    let new = NewOperation {
        layer: state.layer,
        kind: Kind::Audit,
        actor: &actor.0,
        reason: request.reason.as_ref().map(Text::as_str),
        request: json!(Request { repair: request.repair }),
        progress: Progress::before(),
    };
    let operation = state.database.ask(lease::order(&state.database.pool(), new)).await?;
    Ok(accepted::answer(&state, operation, wait).await)
}

impl ToSchema for AuditRequest {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend(forms().map(|(name, form)| (name.to_owned(), form.into())));
    }
}

impl PartialSchema for AuditRequest {
    fn schema() -> RefOr<Schema> {
        let any_of = AnyOfBuilder::new().description(Some("A wish for an audit."));
        forms().into_iter().fold(any_of, |any_of, (name, _)| any_of.item(Ref::from_schema_name(name))).into()
    }
}

/// Its two forms: only who repairs has to say why.
fn forms() -> [(&'static str, Object); 2] {
    let form = |repair: bool, about: &str| {
        let takes = ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([repair]));
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .property("repair", takes)
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
            .description(Some(about))
    };
    let reason = || Ref::from_schema_name(Text::name());
    let or_none = OneOfBuilder::new().item(reason()).item(ObjectBuilder::new().schema_type(Type::Null));
    let look = form(false, "Only look.").property("reason", or_none).examples([json!({})]);
    let repair = form(true, "Look, and set counters that are wrong to the ledger's sum.")
        .property("reason", reason())
        .required("repair")
        .required("reason")
        .examples([json!({"repair": true, "reason": "counters changed by hand, ticket 4711"})]);
    [("AuditLook", look.build()), ("AuditRepair", repair.build())]
}
