//! The target in the document of the API: its forms, each with no field beside the one that it has.

use serde_json::{Value, json};
use utoipa::openapi::schema::{AdditionalProperties, KnownFormat, Object, ObjectBuilder, OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use super::Target;

impl ToSchema for Target {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend(forms().map(|(name, form)| (name.to_owned(), form.into())));
    }
}

/// The usual ways of writing a length of time; others that mean the same are taken as well.
const DURATION: &str = "^P([1-9][0-9]{0,3}W|[1-9][0-9]{0,4}D|([1-9][0-9]{0,4}D)?T([1-9][0-9]{0,5}H([1-9][0-9]{0,5}M)?([1-9][0-9]{0,5}S)?|[1-9][0-9]{0,5}M([1-9][0-9]{0,5}S)?|[1-9][0-9]{0,5}S))$";

impl PartialSchema for Target {
    fn schema() -> RefOr<Schema> {
        let one_of = OneOfBuilder::new().description(Some("Where to."));
        forms().into_iter().fold(one_of, |one_of, (name, _)| one_of.item(Ref::from_schema_name(name))).into()
    }
}

/// The forms with their names: generators make a type of each, and know none apart that have no name.
fn forms() -> [(&'static str, Object); 5] {
    let text = |format| ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build();
    let number =
        || ObjectBuilder::new().schema_type(Type::Integer).format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)));
    let partition = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^(0|[1-9][0-9]{0,8})$")).build();
    let offsets = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property_names(Some(partition))
        .additional_properties(Some(number().minimum(Some(0))))
        .min_properties(Some(1));
    let end = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["earliest", "latest"]))
        .description(Some("The first record that the broker still has, or past the last one."));
    [
        ("TargetEnd", end.build()),
        (
            "TargetDatetime",
            form(
                "datetime",
                text(SchemaFormat::KnownFormat(KnownFormat::DateTime)),
                "The first record at or after a time (RFC 3339); past the last record where there is none.",
                &json!("2025-01-31T03:00:00Z"),
            ),
        ),
        (
            "TargetDuration",
            form(
                "duration",
                ObjectBuilder::new().schema_type(Type::String).pattern(Some(DURATION)).build(),
                "The first record at or after the time that lies so far back from now: ISO 8601 in weeks, days of \
                 24 hours, hours, minutes and seconds.",
                &json!("PT1H"),
            ),
        ),
        (
            "TargetShift",
            form(
                "shift_by",
                number().build(),
                "So many records on from where the group is, or back where it is negative.",
                &json!(-1000),
            ),
        ),
        (
            "TargetOffsets",
            form(
                "offsets",
                offsets.build(),
                "These offsets, by partition; partitions that are not named stay where they are.",
                &json!({"0": 42}),
            ),
        ),
    ]
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
