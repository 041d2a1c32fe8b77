use serde_json::{Value, json};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::*;

fn read(value: &Value) -> Result<Target, String> {
    let text = value.to_string();
    let deserializer = &mut serde_json::Deserializer::from_str(&text);
    serde_path_to_error::deserialize(deserializer).map_err(|error| error.to_string())
}

#[test]
fn each_form_is_read_and_shows_itself_as_it_was_written() {
    let time = DateTime::parse_from_rfc3339("2025-01-31T03:00:00Z").unwrap().to_utc();
    for (form, target) in [
        (json!("earliest"), Target::Earliest),
        (json!("latest"), Target::Latest),
        (json!({"datetime": "2025-01-31T03:00:00Z"}), Target::Datetime(time)),
        (json!({"duration": "P1DT2H"}), Target::Duration(Ago::read("P1DT2H").unwrap())),
        (json!({"shift_by": -5}), Target::ShiftBy(-5)),
        (json!({"shift_by": i64::MIN}), Target::ShiftBy(i64::MIN)),
        (json!({"offsets": {"0": 42, "11": 0}}), Target::Offsets(BTreeMap::from([(0, 42), (11, 0)]))),
    ] {
        assert_eq!(read(&form), Ok(target.clone()));
        assert_eq!(serde_json::to_value(&target).unwrap(), form);
    }
}

#[test]
fn an_offset_in_the_singular_and_a_time_elsewhere_are_read_as_well() {
    assert_eq!(read(&json!({"offset": {"3": 7}})), Ok(Target::Offsets(BTreeMap::from([(3, 7)]))));
    let utc = read(&json!({"datetime": "2025-01-31T03:00:00Z"}));
    assert_eq!(read(&json!({"datetime": "2025-01-31T06:30:00+03:30"})), utc);
}

#[test]
fn what_is_no_target_is_refused_with_the_field_what_it_held_and_what_is_expected() {
    for (form, says) in [
        (json!("later"), ["\"later\"", "`earliest`, `latest`, or an object"]),
        (json!(5), ["integer `5`", "`earliest`, `latest`, or an object"]),
        (json!(null), ["null", "`earliest`, `latest`, or an object"]),
        (json!({}), ["an empty object", "one of the fields `datetime`"]),
        (json!({"dattime": "x"}), ["unknown field `dattime`", "`datetime`, `duration`, `shift_by`, `offsets`"]),
        (json!({"datetime": 5}), ["datetime: invalid type: integer `5`", "`datetime` to be a time"]),
        (json!({"datetime": "2025-01-31 03:00"}), ["datetime: invalid value", "RFC 3339"]),
        (json!({"datetime": "2025-01-31T03:00:00"}), ["datetime: invalid value", "distance from UTC"]),
        (json!({"duration": "P1M"}), ["duration: invalid value: string \"P1M\"", "say it in days"]),
        (json!({"duration": 3600}), ["duration: invalid type: integer `3600`", "ISO 8601"]),
        (json!({"shift_by": "5"}), ["shift_by: invalid type: string \"5\"", "`shift_by` to be a whole number"]),
        (
            json!({"shift_by": 1.5}),
            ["shift_by: invalid value: floating point `1.5`", "`shift_by` to be a whole number"],
        ),
        (json!({"shift_by": u64::MAX}), ["shift_by: invalid value", "64 bits"]),
        (json!({"shift_by": 1, "duration": "PT1H"}), ["`duration` and `shift_by`", "expected one of them"]),
        (json!({"offsets": {}}), ["offsets: invalid value: an empty object", "`offsets` to be a map"]),
        (json!({"offsets": [1]}), ["offsets: invalid type: sequence", "`offsets` to be a map"]),
        (json!({"offsets": {"a": 1}}), ["partition \"a\"", "`offsets` to be a map"]),
        (json!({"offsets": {"-1": 1}}), ["partition \"-1\"", "`offsets` to be a map"]),
        (json!({"offsets": {"01": 1}}), ["partition \"01\"", "`offsets` to be a map"]),
        (json!({"offsets": {"0": -1}}), ["offsets.0: invalid value: integer `-1`", "from 0 on"]),
        (json!({"offsets": {"0": "1"}}), ["offsets.0: invalid type: string", "from 0 on"]),
    ] {
        let error = read(&form).expect_err(&form.to_string());
        assert!(says.iter().all(|says| error.contains(says)), "{form}: {error}");
    }
    let twice = serde_json::from_str::<Target>(r#"{"offsets": {"0": 1, "0": 2}}"#).unwrap_err();
    assert!(twice.to_string().contains("twice the partition \"0\""), "{twice}");
}

#[test]
fn a_length_of_time_leads_back_from_now_and_never_beyond_all_times() {
    let now = DateTime::from_timestamp(1_750_000_000, 0).unwrap();
    let back = |text| Target::Duration(Ago::read(text).unwrap()).time(now);
    assert_eq!(back("PT1H").unwrap().timestamp(), 1_750_000_000 - 3_600);
    assert!(back("PT631107417600S").unwrap() <= DateTime::UNIX_EPOCH);
    assert_eq!(Target::ShiftBy(1).time(now), None);
}

#[test]
fn the_document_shows_every_form_with_an_example_that_is_one() {
    let mut named = Vec::new();
    Target::schemas(&mut named);
    let one_of: Vec<Value> =
        named.iter().map(|(name, _)| json!({"$ref": format!("#/components/schemas/{name}")})).collect();
    assert_eq!(serde_json::to_value(Target::schema()).unwrap()["oneOf"], json!(one_of));
    let mut kinds = std::collections::HashSet::new();
    for (_, form) in named {
        let form = serde_json::to_value(form).unwrap();
        let examples = form["enum"].as_array().or(form["examples"].as_array()).unwrap();
        for example in examples {
            kinds.insert(std::mem::discriminant(&read(example).expect("the example is a target")));
        }
        assert!(form["type"] == "string" || form["additionalProperties"] == json!(false), "{form}");
    }
    assert_eq!(kinds.len(), 6);
}
