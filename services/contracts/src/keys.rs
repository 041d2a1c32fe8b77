//! The vault's keys, as in the services that this replaces: `UUIDv5` over the business key as text.

use std::str::FromStr as _;

use uuid::fmt::Hyphenated;
use uuid::{Uuid, uuid};

/// All keys are made in this namespace.
const NAMESPACE: Uuid = uuid!("7f288a2e-0ad0-4039-8e59-6c9838d87307");

/// The key of a business key: its parts as text, joined by `#$#`.
#[must_use]
pub fn key(parts: &[&str]) -> Uuid {
    match parts {
        [single] => Uuid::new_v5(&NAMESPACE, single.as_bytes()),
        several => Uuid::new_v5(&NAMESPACE, several.join("#$#").as_bytes()),
    }
}

/// The key that a text means: itself where it is one, hyphenated as keys are shown, else that of the business key that it is.
/// Without hyphens it is none, since a source may well make its ids of 32 hexadecimal digits.
#[must_use]
pub fn named(text: &str) -> Uuid {
    Hyphenated::from_str(text).map_or_else(|_| key(&[text]), Uuid::from)
}
