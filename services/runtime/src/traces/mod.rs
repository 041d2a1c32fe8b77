//! Traces by OpenTelemetry: a record's way through the layers is one trace, which the header `traceparent` carries on.
//!
//! Off unless an endpoint is set, and then nothing of it is made. What a collector does not take is lost, and holds up
//! nothing.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

mod collector;
mod journey;

pub use journey::Journey;

use crate::config::{KafkaConfig, Sampling, TracesConfig};
use crate::version;

/// How long the last delivery at the service's end may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Follows records, where that is asked for.
pub struct Traces(Option<Following>);

struct Following {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    group: String,
}

impl Traces {
    /// As it is asked for. Where no client for the endpoint can be made, that is logged and nothing is followed: no reason
    /// to let orders wait.
    #[must_use]
    pub fn new(config: &TracesConfig, kafka: &KafkaConfig, layer: &'static str) -> Self {
        let Some(endpoint) = &config.endpoint else { return Self(None) };
        match collector::exporter(endpoint, config.ca.as_deref()) {
            Ok(exporter) => {
                let provider = SdkTracerProvider::builder()
                    .with_sampler(sampler(config.sampling))
                    .with_resource(resource(layer))
                    .with_batch_exporter(exporter)
                    .build();
                let tracer = provider.tracer("ordervault");
                Self(Some(Following { provider, tracer, group: kafka.group.clone() }))
            }
            Err(error) => {
                tracing::error!(%error, "no client for OTEL_EXPORTER_OTLP_ENDPOINT can be made: nothing is followed");
                Self(None)
            }
        }
    }

    /// Delivers what is left, within a second; blocks.
    pub fn end(&self) {
        if let Some(following) = &self.0
            && let Err(error) = following.provider.shutdown_with_timeout(FAREWELL)
        {
            tracing::debug!(%error, "the last spans were not delivered");
        }
    }
}

fn sampler(Sampling { heeds_parent, ratio }: Sampling) -> Sampler {
    let own = Sampler::TraceIdRatioBased(ratio);
    if heeds_parent { Sampler::ParentBased(Box::new(own)) } else { own }
}

/// What bears the spans. `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` add to it and win.
fn resource(layer: &str) -> Resource {
    let named = std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| format!("ordervault-{layer}"));
    let version = KeyValue::new("service.version", version::VERSION);
    Resource::builder().with_attribute(version).with_service_name(named).build()
}
