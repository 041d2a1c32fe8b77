//! A batch's way along the road, as spans of those of its records that are followed.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;

use super::Traces;
use crate::fault::RecordFault;
use crate::metrics::Stage;
use crate::record::Record;

/// The spans of a batch's records, each open until the batch is at its end. Dropped before that, they end with it.
pub struct Journey<'t> {
    tracer: Option<&'t SdkTracer>,
    followed: BTreeMap<(i32, i64), Context>,
}

impl Traces {
    /// Begins a span for each record that is followed: one `process` of the layer, child of that of the layer before.
    #[must_use]
    pub fn set_out(&self, records: &[Record]) -> Journey<'_> {
        let Some(following) = &self.0 else { return Journey { tracer: None, followed: BTreeMap::new() } };
        let tracer = &following.tracer;
        let began = SystemTime::now();
        let span = |record: &Record| {
            let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(record));
            let span = tracer
                .span_builder(format!("process {}", record.topic))
                .with_kind(SpanKind::Consumer)
                .with_start_time(began)
                .with_attributes([
                    KeyValue::new("messaging.system", "kafka"),
                    KeyValue::new("messaging.operation.type", "process"),
                    KeyValue::new("messaging.operation.name", "process"),
                    KeyValue::new("messaging.destination.name", record.topic.to_string()),
                    KeyValue::new("messaging.destination.partition.id", record.partition.to_string()),
                    KeyValue::new("messaging.kafka.offset", record.offset),
                    KeyValue::new("messaging.consumer.group.name", following.group.clone()),
                    KeyValue::new("messaging.batch.message_count", i64::try_from(records.len()).unwrap_or(i64::MAX)),
                ])
                .start_with_context(tracer, &parent);
            let context = parent.with_span(span);
            context.span().is_recording().then_some((place(record), context))
        };
        Journey { tracer: Some(tracer), followed: records.iter().filter_map(span).collect() }
    }
}

impl Journey<'_> {
    /// A stage is over that began at `began`.
    pub fn passed(&self, stage: Stage, began: Instant) {
        let Some(tracer) = self.tracer.filter(|_| !self.followed.is_empty()) else { return };
        let ended = SystemTime::now();
        let began = ended - began.elapsed();
        for context in self.followed.values() {
            let span = tracer.span_builder(stage.name()).with_start_time(began).start_with_context(tracer, context);
            context.with_span(span).span().end_with_timestamp(ended);
        }
    }

    /// A record became a dead letter.
    pub fn failed(&self, record: &Record, fault: &RecordFault) {
        let Some(context) = self.followed.get(&place(record)) else { return };
        let span = context.span();
        span.set_attribute(KeyValue::new("error.type", fault.code.clone()));
        span.set_status(Status::error(fault.to_string()));
    }

    /// What the onward message of a record bears as its `traceparent`; `None` where the record is not followed.
    #[must_use]
    pub fn traceparent(&self, record: &Record) -> Option<String> {
        let context = self.followed.get(&place(record))?;
        let span = context.span().span_context().clone();
        Some(format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8()))
    }
}

fn place(record: &Record) -> (i32, i64) {
    (record.partition, record.offset)
}

/// A record's headers, as the propagator reads them.
struct Headers<'r>(&'r Record);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.header(key)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.headers.iter().map(|header| header.name.as_str()).collect()
    }
}
