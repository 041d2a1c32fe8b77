//! What serde says about a misread value, in the words of the API.

/// Why a value could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misread {
    /// A field or parameter of this name is not known; the hint names the nearest that is.
    Unknown { name: String, hint: String },
    /// A field or parameter of this name has to be there.
    Missing { name: String },
    /// A field or parameter of this name stands twice.
    Twice { name: String },
    /// A value is not what is taken, and what that is.
    Value { takes: String },
}

impl Misread {
    /// Reads serde's message, whose forms are those of its `de::Error`.
    pub fn of(message: &str) -> Self {
        // serde_json adds a place, which the path says better.
        let message = message.rsplit_once(" at line ").map_or(message, |(said, _)| said);
        if let Some(rest) = message.strip_prefix("unknown field `") {
            let (name, valid) = rest
                .rsplit_once("`, expected ")
                .or_else(|| rest.rsplit_once("`, there are no fields"))
                .unwrap_or((rest.trim_end_matches('`'), ""));
            return Self::Unknown { name: name.to_owned(), hint: nearest(name, &quoted(valid)) };
        }
        if let Some(name) = message.strip_prefix("missing field `") {
            return Self::Missing { name: name.trim_end_matches('`').to_owned() };
        }
        if let Some(name) = message.strip_prefix("duplicate field `") {
            return Self::Twice { name: name.trim_end_matches('`').to_owned() };
        }
        let by_serde = ["unknown variant `", "invalid type: ", "invalid value: ", "invalid length "];
        let takes = match message.rsplit_once(", expected ") {
            Some((_, expected)) if by_serde.iter().any(|prefix| message.starts_with(prefix)) => expected,
            _ => message,
        };
        Self::Value { takes: in_our_words(takes) }
    }
}

fn quoted(list: &str) -> Vec<&str> {
    list.split('`').skip(1).step_by(2).collect()
}

fn nearest(name: &str, valid: &[&str]) -> String {
    let near = valid.iter().max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
    match near {
        None => "none is taken here".to_owned(),
        Some(near) if valid.len() == 1 => format!("the only one is {near:?}"),
        Some(near) => format!("the nearest is {near:?}, and all are {}", valid.join(", ")),
    }
}

/// What serde, chrono and uuid call things, as a client would; other words are left as they are.
fn in_our_words(takes: &str) -> String {
    let words = match takes {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number that is not negative",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "i8" | "i16" | "i64" | "isize" => "a whole number",
        "f32" | "f64" | "invalid float literal" => "a number",
        "a boolean" | "provided string was not `true` or `false`" => "true or false",
        "a map" => "an object",
        "a sequence" => "an array",
        "unit" => "null",
        "invalid digit found in string"
        | "cannot parse integer from empty string"
        | "number too large to fit in target type"
        | "number too small to fit in target type" => "a whole number within its bounds",
        "an RFC 3339 formatted date and time string"
        | "input is out of range"
        | "no possible date and time matching input"
        | "input is not enough for unique date and time"
        | "input contains invalid characters"
        | "premature end of input"
        | "trailing input" => "a time per RFC 3339, as in 2026-03-01T10:00:00Z",
        other if other.starts_with("struct ") => "an object",
        other if other.starts_with("enum ") || other.ends_with(" enum") => "one of the values that the API lists",
        other if other.starts_with("UUID parsing failed") || other == "a UUID string" => "a UUID",
        other => return other.replace('`', "\""),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_told_with_the_nearest_and_a_name_may_hold_anything() {
        let misread =
            Misread::of("unknown field `limt`, expected one of `limit`, `cursor`, `state` at line 1 column 9");
        let hint = "the nearest is \"limit\", and all are limit, cursor, state".to_owned();
        assert_eq!(misread, Misread::Unknown { name: "limt".to_owned(), hint });
        let misread = Misread::of("unknown field `a`, expected `, b`, expected `reason`");
        let hint = "the only one is \"reason\"".to_owned();
        assert_eq!(misread, Misread::Unknown { name: "a`, expected `, b".to_owned(), hint });
        let misread = Misread::of("unknown field `x`, there are no fields");
        assert_eq!(misread, Misread::Unknown { name: "x".to_owned(), hint: "none is taken here".to_owned() });
    }

    #[test]
    fn no_name_of_a_rust_type_gets_out() {
        for (message, takes) in [
            ("invalid type: sequence, expected struct PauseBody at line 1 column 0", "an object"),
            ("invalid type: string \"1, expected 2\", expected i32", "a whole number from -2147483648 to 2147483647"),
            ("unknown variant `x`, expected `a` or `b`", "\"a\" or \"b\""),
            ("a number from 1 to 10", "a number from 1 to 10"),
        ] {
            assert_eq!(Misread::of(message), Misread::Value { takes: takes.to_owned() });
        }
    }
}
