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

    /// How many rows to ask for: one more than a page holds says whether there is a next one.
    #[must_use]
    pub fn rows(self) -> i64 {
        i64::from(self.0) + 1
    }

    /// Cuts what was asked for down to a page; returns the cursor of the next one, which is its last item's.
    pub fn cut<T, C>(self, items: &mut Vec<T>, cursor: impl Fn(&T) -> C) -> Option<C> {
        if items.len() <= usize::from(self.0) {
            return None;
        }
        items.truncate(usize::from(self.0));
        items.last().map(cursor)
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
