//! What an operator asks of a service by its API, with the stage's ops token.

use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::time::Duration;

use super::{OPS_TOKEN, Service, until};
use crate::Error;

/// Longer than any `?wait=`.
const ANSWER_IN: Duration = Duration::from_secs(70);

impl Service {
    /// Asks for a path with the ops token; returns the status and the answer.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value), Error> {
        let request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(OPS_TOKEN);
        let request = body.into_iter().fold(request, reqwest::RequestBuilder::json);
        let answer = request.timeout(ANSWER_IN).send().await?;
        Ok((answer.status(), answer.json().await?))
    }

    /// Reads.
    pub async fn read(&self, path: &str) -> Result<Value, Error> {
        Ok(self.ask(Method::GET, path, None).await?.1)
    }

    /// Changes something.
    pub async fn post(&self, path: &str, body: &Value) -> Result<(StatusCode, Value), Error> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// Waits until an operation has come to its end, and returns it.
    pub async fn finished(&self, operation: &Value, patience: Duration) -> Result<Value, Error> {
        let path = format!("/api/v1/operations/{}", operation["id"].as_str().unwrap_or_default());
        until("the operation", patience, async || {
            // A member may just be falling; the question is asked again.
            let Ok(operation) = self.read(&path).await else { return Ok(None) };
            Ok((!operation["finished_at"].is_null()).then_some(operation))
        })
        .await
    }
}
