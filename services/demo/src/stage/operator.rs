//! What an operator does with curl: questions and orders to a replica's API.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{OPS_TOKEN, Service, until};
use crate::Error;

/// The longest wait that the API grants.
const WAIT: &str = "wait=60s";
/// Longer than that.
const ANSWER_IN: Duration = Duration::from_secs(90);

impl Service {
    /// Asks for a path that is answered with JSON.
    pub async fn read(&self, path: &str) -> Result<Value, Error> {
        let answer = self.client.get(format!("{}{path}", self.url)).timeout(ANSWER_IN).send().await?;
        let (status, body) = (answer.status(), answer.text().await?);
        match serde_json::from_str(&body) {
            Ok(value) if status.is_success() => Ok(value),
            _ => Err(Error::Answered(format!("GET {path}"), status, body)),
        }
    }

    /// Sends an order with the operator's token; returns the status and the body, whatever they are.
    pub async fn post(&self, path: &str, body: &Value) -> Result<(StatusCode, Value), Error> {
        self.post_as(OPS_TOKEN, path, body).await
    }

    /// As [`Service::post`] does, with another token.
    pub async fn post_as(&self, token: &str, path: &str, body: &Value) -> Result<(StatusCode, Value), Error> {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(token).json(body);
        let answer = request.timeout(ANSWER_IN).send().await?;
        let (status, body) = (answer.status(), answer.text().await?);
        let value = serde_json::from_str(&body);
        value.map(|value| (status, value)).map_err(|_| Error::Answered(format!("POST {path}"), status, body))
    }

    /// `GET /api/v1/consumer`.
    pub async fn consumer(&self) -> Result<Value, Error> {
        self.read("/api/v1/consumer").await
    }

    /// `GET /api/v1/consumer/offsets`.
    pub async fn offsets(&self) -> Result<Value, Error> {
        self.read("/api/v1/consumer/offsets").await
    }

    /// Pauses the layer and waits for its members; returns the operation.
    pub async fn pause(&self, request: &Value) -> Result<Value, Error> {
        self.done(&format!("/api/v1/consumer/pause?{WAIT}"), request).await
    }

    /// Resumes the layer and waits for its members; returns the operation.
    pub async fn resume(&self) -> Result<Value, Error> {
        self.done(&format!("/api/v1/consumer/resume?{WAIT}"), &json!({})).await
    }

    /// Resets the group's offsets and waits for that; returns the operation.
    pub async fn reset(&self, request: &Value) -> Result<Value, Error> {
        self.done(&format!("/api/v1/consumer/offsets/reset?{WAIT}"), request).await
    }

    /// Orders an audit and waits for it; returns the operation.
    pub async fn audit(&self, request: &Value) -> Result<Value, Error> {
        self.done(&format!("/api/v1/audit?{WAIT}"), request).await
    }

    /// What an audit finds: of each table that is not equal, what became of it.
    pub async fn findings(&self) -> Result<Vec<Value>, Error> {
        let audit = self.audit(&json!({})).await?;
        let results = audit["results"].as_array().filter(|results| !results.is_empty());
        let Some(results) = results else {
            return Err(Error::Answered("an audit".to_owned(), StatusCode::OK, audit.to_string()));
        };
        Ok(results.iter().filter(|result| result["outcome"] != "equal").cloned().collect())
    }

    /// An operation as it is now.
    pub async fn operation(&self, id: &Value) -> Result<Value, Error> {
        self.read(&format!("/api/v1/operations/{}", id.as_str().unwrap_or_default())).await
    }

    /// Waits until an operation has come to its end, and returns it.
    pub async fn finished(&self, operation: &Value, patience: Duration) -> Result<Value, Error> {
        until("the operation", patience, async || {
            // A member may just be falling; the question is asked again.
            let Ok(operation) = self.operation(&operation["id"]).await else { return Ok(None) };
            Ok((!operation["finished_at"].is_null()).then_some(operation))
        })
        .await
    }

    /// Sends an order that is to be answered with its finished operation.
    async fn done(&self, path: &str, request: &Value) -> Result<Value, Error> {
        match self.post(path, request).await? {
            (StatusCode::OK, operation) => Ok(operation),
            (status, body) => Err(Error::Answered(format!("POST {path}"), status, body.to_string())),
        }
    }
}
