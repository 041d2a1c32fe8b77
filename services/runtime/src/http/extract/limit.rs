//! `?limit=` of the lists, a field of their parameters: `#[serde(default)] #[param(inline)] limit: Limit`.

use serde::de::{Deserialize, Deserializer, Error as _};
use utoipa::ToSchema;

/// How many items one page of a list holds at the most: 1 to 1,000, 100 unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(minimum = 1, maximum = 1000, default = 100)]
pub struct Limit(u16);

impl Limit {
    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let limit = text.parse().ok().filter(|limit| (1..=1_000).contains(limit));
        limit.map(Self).ok_or_else(|| D::Error::custom("a whole number from 1 to 1000"))
    }
}
