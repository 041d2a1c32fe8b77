//! How requests name a user, a restaurant, a dish, a category or an order.

use std::borrow::Cow;
use std::str::FromStr;

use ordervault_contracts::keys;
use serde::de::{Deserialize, Deserializer, Error as _};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

const LONGEST: usize = 500;

/// A hub key, named by itself (a UUID, hyphenated as answers show it), or by what it is made of: the source's own id, or a
/// category's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HubKey(pub Uuid);

/// A text that names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nameless;

impl FromStr for HubKey {
    type Err = Nameless;

    fn from_str(text: &str) -> Result<Self, Nameless> {
        let fits = !text.is_empty() && text.chars().count() <= LONGEST && !text.contains('\0');
        fits.then(|| Self(keys::named(text))).ok_or(Nameless)
    }
}

impl<'de> Deserialize<'de> for HubKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|Nameless| D::Error::custom("a hub key, or an id or name of 1 to 500 characters"))
    }
}

impl PartialSchema for HubKey {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .description(Some("A hub key (a UUID with its hyphens), or the source's own id; of a category, its name."))
            .min_length(Some(1))
            .max_length(Some(LONGEST))
            .pattern(Some(r"^[^\u0000]+$"))
            .into()
    }
}

impl ToSchema for HubKey {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("HubKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_SNACKS: &str = "96927a73-3397-50a0-8021-3417b0869c60";

    fn read(text: &str) -> Option<String> {
        serde_json::from_value::<HubKey>(text.into()).ok().map(|key| key.0.to_string())
    }

    #[test]
    fn a_key_is_named_by_itself_or_by_what_it_is_made_of() {
        assert_eq!(read("Закуски").as_deref(), Some(OF_SNACKS));
        assert_eq!(read(OF_SNACKS).as_deref(), Some(OF_SNACKS));
        assert_eq!(read(&OF_SNACKS.to_uppercase()).as_deref(), Some(OF_SNACKS));
        assert_eq!(read("2000000007").as_deref(), Some("cc1060d0-a568-5b20-ac56-fa4c8c3067b1"));
        // An id of a source that has no hyphens in it, blanks that belong to a name.
        for id in [OF_SNACKS.replace('-', ""), format!("{{{OF_SNACKS}}}"), format!(" {OF_SNACKS}"), " ".to_owned()] {
            assert_eq!(read(&id), Some(keys::key(&[&id]).to_string()), "{id:?}");
        }
    }

    #[test]
    fn a_text_that_is_empty_endless_or_beyond_the_database_names_nothing() {
        for text in ["", "a\0b", &"ж".repeat(501)] {
            assert_eq!(text.parse::<HubKey>(), Err(Nameless), "{text:?}");
            assert_eq!(read(text), None, "{text:?}");
        }
        assert!(read(&"ж".repeat(500)).is_some());
    }
}
