//! `?wait=` of whatever takes a while.

use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};

/// For how long the client waits for the end of what it began: `30s` or `500ms`, at most `60s`, none unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wait(Duration);

impl Wait {
    /// The time.
    #[must_use]
    pub fn get(self) -> Duration {
        self.0
    }
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wait = if let Some(milliseconds) = text.strip_suffix("ms") {
            milliseconds.parse().ok().map(Duration::from_millis)
        } else {
            text.strip_suffix('s').and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs)
        };
        let wait = wait.filter(|wait| *wait <= Duration::from_mins(1));
        wait.map(Self).ok_or_else(|| D::Error::custom("a time such as 30s or 500ms, at most 60s"))
    }
}
