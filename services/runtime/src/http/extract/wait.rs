//! `?wait=` of whatever takes a while: `#[serde(default)] #[param(inline)] wait: Wait`.

use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};
use utoipa::ToSchema;

/// For how long the client waits for the end of what it began: `30s`, at most `60s`, not at all unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, pattern = "^([0-9]|[1-5][0-9]|60)s$", default = "0s", example = "30s")]
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
        let seconds = text.strip_suffix('s').and_then(|seconds| seconds.parse::<u8>().ok());
        // Written in one way only, as the document's pattern has it.
        let seconds = seconds.filter(|seconds| *seconds <= 60 && text == format!("{seconds}s"));
        let wait = seconds.map(|seconds| Self(Duration::from_secs(seconds.into())));
        wait.ok_or_else(|| D::Error::custom("whole seconds from 0s to 60s, as in 30s"))
    }
}
