//! A replica of a layer as a process, and the questions that can be asked of it.

use std::process::ExitStatus;
use std::time::Duration;

use reqwest::StatusCode;
use tokio::process::Child;

use super::until;
use crate::Error;

const ANSWER_IN: Duration = Duration::from_secs(5);

/// A running replica of a layer.
pub struct Service {
    /// The layer.
    pub layer: &'static str,
    /// Where it serves HTTP.
    pub url: String,
    /// The process.
    pub process: Child,
    pub(super) client: reqwest::Client,
}

impl Service {
    pub(super) fn new(layer: &'static str, port: u16, process: Child) -> Self {
        Self { layer, url: format!("http://127.0.0.1:{port}"), process, client: reqwest::Client::new() }
    }

    /// Asks for a path; returns the status and the body.
    pub async fn get(&self, path: &str) -> Result<(StatusCode, String), Error> {
        let answer = self.client.get(format!("{}{path}", self.url)).timeout(ANSWER_IN).send().await?;
        Ok((answer.status(), answer.text().await?))
    }

    /// Waits until `/readyz` answers 200.
    pub async fn ready(&self, patience: Duration) -> Result<(), Error> {
        until(&format!("the start of {}", self.layer), patience, async || {
            // Before it listens nobody answers at all.
            Ok(self.get("/readyz").await.is_ok_and(|(status, _)| status.is_success()).then_some(()))
        })
        .await
    }

    /// Asks the process to stop, as Kubernetes does, and waits for its end.
    pub async fn stop(&mut self, patience: Duration) -> Result<ExitStatus, Error> {
        self.signal("TERM")?;
        let stalled = || Error::Stalled(format!("the end of {}", self.layer), patience.as_secs());
        Ok(tokio::time::timeout(patience, self.process.wait()).await.map_err(|_| stalled())??)
    }

    /// Lets the process stand still, as on a node that is suspended: it keeps what it holds, and says nothing any more.
    pub fn freeze(&self) -> Result<(), Error> {
        self.signal("STOP")
    }

    /// Lets it go on where it stood.
    pub fn thaw(&self) -> Result<(), Error> {
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> Result<(), Error> {
        if let Some(id) = self.process.id() {
            std::process::Command::new("kill").args(["-s", name, &id.to_string()]).status()?;
        }
        Ok(())
    }

    /// Kills the process without a warning.
    pub async fn kill(&mut self) -> Result<(), Error> {
        Ok(self.process.kill().await?)
    }
}
