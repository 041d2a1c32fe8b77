//! The operations that a running layer's document tells of, asked for as the document shows.

use ordervault_demo::stage::Service;
use reqwest::{Client, Method, Response};
use serde_json::Value;

/// An id that nothing has.
const NOTHINGS_ID: &str = "019ab7c2-7d3e-7b0a-9d51-3f6c2b8a4e10";

/// One of the document's operations.
pub struct Operation {
    /// Its `operationId`.
    pub id: String,
    /// Its method.
    pub method: Method,
    /// Its path, with an id that nothing has where it takes one.
    pub path: String,
    /// The first example of its body, where it takes one: what Swagger UI fills in.
    pub body: Option<Value>,
}

impl Operation {
    /// Asks a replica, as whoever bears this token.
    pub async fn ask(&self, service: &Service, token: Option<&str>) -> Response {
        let mut request = Client::new().request(self.method.clone(), format!("{}{}", service.url, self.path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = &self.body {
            request = request.json(body);
        }
        request.send().await.unwrap()
    }
}

/// All operations of the document that a replica serves.
pub async fn operations(service: &Service) -> Vec<Operation> {
    let document = service.read("/openapi.json").await.unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let body = &operation["requestBody"]["content"]["application/json"];
            operations.push(Operation {
                id: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                path: filled(path),
                body: body["examples"].as_object().map(|examples| examples.values().next().unwrap()["value"].clone()),
            });
        }
    }
    operations
}

/// A path with an id that nothing has in the place of each that it takes.
fn filled(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { NOTHINGS_ID } else { segment });
    segments.collect::<Vec<_>>().join("/")
}
