//! The target in the document of the API: a form for each variant, and no field beside the one that it has.

use serde_json::{Value, json};
use utoipa::openapi::schema::{AdditionalProperties, KnownFormat, Object, ObjectBuilder, OneOfBuilder, Schema};
use utoipa::openapi::{RefOr, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use super::Target;

impl ToSchema for Target {}

/// The usual ways of writing a length of time; others that mean the same are taken as well.
const DURATION: &str = "^P([1-9][0-9]{0,3}W|[1-9][0-9]{0,4}D|([1-9][0-9]{0,4}D)?T([1-9][0-9]{0,5}H([1-9][0-9]{0,5}M)?([1-9][0-9]{0,5}S)?|[1-9][0-9]{0,5}M([1-9][0-9]{0,5}S)?|[1-9][0-9]{0,5}S))$";

impl PartialSchema for Target {
    fn schema() -> RefOr<Schema> {
        let text = |format| ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build();
        let number = || {
            ObjectBuilder::new().schema_type(Type::Integer).format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        };
        let offsets = ObjectBuilder::new()
            .schema_type(Type::Object)
            .property_names(Some(
                ObjectBuilder::new().schema_type(Type::String).pattern(Some("^(0|[1-9][0-9]{0,8})$")).build(),
            ))
            .additional_properties(Some(number().minimum(Some(0))))
            .min_properties(Some(1));
        OneOfBuilder::new()
            .description(Some("Where to."))
            .item(word("earliest", "The first record that the broker still has."))
            .item(word("latest", "Past the last record."))
            .item(form(
                "datetime",
                text(SchemaFormat::KnownFormat(KnownFormat::DateTime)),
                "The first record at or after a time (RFC 3339); past the last record where there is none.",
                &json!("2025-01-31T03:00:00Z"),
            ))
            .item(form(
                "duration",
                ObjectBuilder::new().schema_type(Type::String).pattern(Some(DURATION)).build(),
                "The first record at or after the time that lies so far back from now: ISO 8601 in weeks, days of \
                 24 hours, hours, minutes and seconds.",
                &json!("PT1H"),
            ))
            .item(form(
                "shift_by",
                number().build(),
                "So many records on from where the group is, or back where it is negative.",
                &json!(-1000),
            ))
            .item(form(
                "offsets",
                offsets.build(),
                "These offsets, by partition; partitions that are not named stay where they are.",
                &json!({"0": 42}),
            ))
            .into()
    }
}

fn word(word: &str, description: &str) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some([word])).description(Some(description)).build()
}

fn form(field: &str, takes: Object, description: &str, example: &Value) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property(field, takes)
        .required(field)
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
        .description(Some(description))
        .examples([json!({field: example})])
        .build()
}
