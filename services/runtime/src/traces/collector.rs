//! The way to the collector.

use std::io;
use std::thread;
use std::time::Duration;

use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use reqwest::Certificate;
use reqwest::blocking::Client;

/// How long a collector may take for one delivery.
const DELIVERY: Duration = Duration::from_secs(5);

/// Why there is no way to the collector.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoWay {
    #[error("OTEL_EXPORTER_OTLP_CERTIFICATE cannot be read: {0}")]
    Certificates(#[source] io::Error),
    #[error("no client can be made: {0:?}")]
    Client(#[from] reqwest::Error),
    #[error("no thread can be started: {0}")]
    Thread(#[source] io::Error),
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
}

/// Sends spans to the endpoint; `ca` is the PEM file of those who may vouch for it, in the place of the system's authorities.
pub(super) fn exporter(endpoint: &str, ca: Option<&str>) -> Result<SpanExporter, NoWay> {
    let authorities = match ca {
        None => None,
        Some(path) => Some(Certificate::from_pem_bundle(&std::fs::read(path).map_err(NoWay::Certificates)?)?),
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client(authorities)?)
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(DELIVERY)
        .with_endpoint(format!("{endpoint}/v1/traces"));
    Ok(exporter.build()?)
}

/// A blocking client is what the exporter's own thread can use, and it refuses to be made on a thread of the runtime.
fn client(authorities: Option<Vec<Certificate>>) -> Result<Client, NoWay> {
    let make = || {
        let client = Client::builder().timeout(DELIVERY);
        match authorities {
            None => client,
            Some(authorities) => client.tls_certs_only(authorities),
        }
        .build()
    };
    thread::scope(|scope| {
        let maker = thread::Builder::new().spawn_scoped(scope, make).map_err(NoWay::Thread)?;
        Ok(maker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?)
    })
}
