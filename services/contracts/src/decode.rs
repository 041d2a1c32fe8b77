//! From a record's bytes to a message, or to a fault that names the field.

use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::object;
use crate::text::NUL;
use crate::time::UNREADABLE;

/// What bytes are.
#[derive(Debug)]
pub enum Envelope<'a, Message> {
    /// A message of the kind that was asked for, with its payload as it came.
    Message {
        /// The message.
        message: Message,
        /// Its payload, to the letter.
        payload: &'a str,
    },
    /// A message of another kind.
    OtherType,
    /// A message without a payload.
    NoPayload,
}

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// From a bounded set: `invalid_json`, `invalid_utf8`, or a kind with the field it concerns, as in
    /// `missing:payload.user.id`, `duplicate:object_id`, `wrong_type:payload.cost`, `unreadable_time:payload.date`, `out_of_range:object_id`,
    /// `nul_character:payload.final_status`, `lone_surrogate:payload.user.id`. The places in a list are left out of the name.
    pub code: String,
    /// For a person: where exactly, what was held, what is expected.
    pub message: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// The words by which a reader's complaint begins, and the kind of fault that they tell of.
const KINDS: [(&str, &str); 8] = [
    ("missing field", "missing"),
    ("duplicate field", "duplicate"),
    (UNREADABLE, "unreadable_time"),
    (NUL, "nul_character"),
    ("invalid value", "out_of_range"),
    ("number out of range", "out_of_range"),
    ("lone leading surrogate", "lone_surrogate"),
    ("unexpected end of hex escape", "lone_surrogate"),
];

#[derive(Deserialize)]
struct Outline<'a> {
    object_type: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// Judges bytes that are to be a message of kind `object_type`.
pub fn read<'a, Message: DeserializeOwned>(
    bytes: &'a [u8],
    object_type: &str,
) -> Result<Envelope<'a, Message>, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|error| Malformed {
        code: "invalid_utf8".to_owned(),
        message: format!("the value is not UTF-8: {error}"),
    })?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let outline: Result<Outline<'a>, _> = object::deserialize(&mut reader);
    let outline = outline.and_then(|outline| reader.end().map(|()| outline)).map_err(|error| not_an_object(&error))?;
    let Some(kind) = outline.object_type else {
        return Err(Malformed { code: "missing:object_type".to_owned(), message: "object_type is missing".to_owned() });
    };
    match serde_json::from_str::<String>(kind.get()) {
        Ok(kind) if kind == object_type => {}
        Ok(_) => return Ok(Envelope::OtherType),
        Err(_) => {
            let held: String = kind.get().chars().take(60).collect();
            let message = format!("object_type: {held}, expected a string");
            return Err(Malformed { code: "wrong_type:object_type".to_owned(), message });
        }
    }
    let Some(payload) = outline.payload else { return Ok(Envelope::NoPayload) };
    match serde_json::from_str(text) {
        Ok(message) => Ok(Envelope::Message { message, payload: payload.get() }),
        // The path is only asked for when there is a fault to be named, since finding it makes reading slower.
        Err(_) => Err(with_path::<Message>(text)),
    }
}

fn not_an_object(error: &serde_json::Error) -> Malformed {
    let said = error.to_string();
    if said.starts_with("duplicate field") {
        return Malformed { code: format!("duplicate:{}", field_named(&said, ".")), message: said };
    }
    let code = if error.is_data() { "wrong_type:(record)" } else { "invalid_json" };
    Malformed { code: code.to_owned(), message: format!("the value is not a JSON object: {said}") }
}

fn with_path<Message: DeserializeOwned>(text: &str) -> Malformed {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let Err(error) = serde_path_to_error::deserialize::<_, Message>(&mut deserializer) else {
        // What follows the message is at fault then, and that is a fault of the JSON.
        return Malformed { code: "invalid_json".to_owned(), message: "more follows the JSON object".to_owned() };
    };
    let (place, error) = (error.path().to_string(), error.into_inner());
    let said = error.to_string();
    // JSON it is, as its outline has shown, with numbers and texts that JSON allows and no type can hold.
    let kind = match KINDS.iter().find(|(words, _)| said.starts_with(words)) {
        Some((_, kind)) => kind,
        None if error.is_data() => "wrong_type",
        None => return Malformed { code: "invalid_json".to_owned(), message: said },
    };
    let place = if ["missing", "duplicate"].contains(&kind) { field_named(&said, &place) } else { place };
    Malformed { code: format!("{kind}:{}", without_indices(&place)), message: format!("{place}: {said}") }
}

/// The field between the marks of a message about the object at `place`.
fn field_named(said: &str, place: &str) -> String {
    let field = said.split('`').nth(1).unwrap_or_default();
    if place == "." { field.to_owned() } else { format!("{place}.{field}") }
}

/// `products[3].id` as `products[].id`, so that the set of codes is bounded.
fn without_indices(place: &str) -> String {
    let mut bounded = String::with_capacity(place.len());
    let mut inside = false;
    for character in place.chars() {
        match character {
            '[' => inside = true,
            ']' => inside = false,
            _ if inside => continue,
            _ => {}
        }
        bounded.push(character);
    }
    bounded
}
