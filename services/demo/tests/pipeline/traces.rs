//! A record's way through the three layers is one trace, as a collector receives it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use axum::serve::Listener;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan, Produced};
use ordervault_demo::stage::{LAYERS, Service, Stage, until};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

const PATIENCE: Duration = Duration::from_mins(2);
const ORDERS: u64 = 20;

/// A collector that keeps what it is sent: each span with the name of the service that bears it.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

impl Collector {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let routes = self.routes();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        address
    }

    async fn start_with_tls(&self) -> String {
        let listener = Tls::bind().await;
        let address = format!("https://{}", listener.local_addr().unwrap());
        let routes = self.routes();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        address
    }

    fn routes(&self) -> Router {
        Router::new().route("/v1/traces", post(receive)).with_state(self.clone())
    }

    fn spans(&self) -> Vec<(String, Span)> {
        self.0.lock().unwrap().clone()
    }
}

async fn receive(State(collector): State<Collector>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for of_resource in request.resource_spans {
        let attributes = of_resource.resource.unwrap().attributes;
        let name = attributes.into_iter().find(|attribute| attribute.key == "service.name").unwrap();
        let Some(Value::StringValue(service)) = name.value.unwrap().value else { panic!("the service has no name") };
        let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        collector.0.lock().unwrap().extend(spans.map(|span| (service.clone(), span)));
    }
}

/// Listens with the certificate of the test's servers.
struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Tls {
    async fn bind() -> Self {
        let ca = std::env::var("KAFKA_CA").unwrap();
        let directory = Path::new(&ca).parent().unwrap();
        let chain = CertificateDer::pem_file_iter(directory.join("server.pem")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(directory.join("server.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, from) = self.listener.accept().await.unwrap();
            // A client that does not trust the certificate goes away, and the next one is served.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// Three services that have worked off the same few orders and come to their end, so that every span is delivered.
async fn followed(name: &str, settings: &[(&str, &str)], bad: &[&[u8]]) -> Vec<(String, Span)> {
    let collector = Collector::default();
    let endpoint = collector.start().await;
    work_off(name, &endpoint, settings, bad).await;
    collector.spans()
}

async fn work_off(name: &str, endpoint: &str, settings: &[(&str, &str)], bad: &[&[u8]]) {
    let settings: Vec<_> = settings.iter().copied().chain([("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]).collect();
    let mut stage = Stage::build(name, 2).await.unwrap();
    let dictionary = Dictionary::generate(7, 20, 5);
    dictionary.write(&mut stage.redis).await.unwrap();
    let plan = Plan { seed: 7, first_order_id: 1, orders: ORDERS, partitions: 2, mix: Mix::calm() };
    let bad = bad.iter().map(|payload| Produced { key: None, partition: None, payload: payload.to_vec() });
    stage.produce("stg", Backlog::new(&dictionary, plan).chain(bad)).await.unwrap();
    let mut services: Vec<Service> = LAYERS.map(|layer| stage.start(layer, &settings).unwrap()).into();
    for service in &services {
        service.ready(PATIENCE).await.unwrap();
    }
    stage.settle(PATIENCE).await.unwrap();
    for service in &mut services {
        assert!(service.stop(Duration::from_secs(10)).await.unwrap().success());
    }
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_records_way_through_the_layers_is_one_trace_with_the_stages_of_each() {
    let spans = followed("traces", &[("OTEL_TRACES_SAMPLER", "always_on")], &[]).await;
    let mut traces: BTreeMap<Vec<u8>, Vec<&(String, Span)>> = BTreeMap::new();
    for span in &spans {
        traces.entry(span.1.trace_id.clone()).or_default().push(span);
    }
    let whole = traces.values().filter(|spans| {
        let process = |layer: &str| {
            let service = format!("ordervault-{layer}");
            spans.iter().find(|(of, span)| *of == service && span.name.starts_with("process ")).map(|(_, span)| span)
        };
        let (Some(stg), Some(dds), Some(cdm)) = (process("stg"), process("dds"), process("cdm")) else { return false };
        assert!(stg.parent_span_id.is_empty(), "STG begins the trace");
        assert_eq!((&dds.parent_span_id, &cdm.parent_span_id), (&stg.span_id, &dds.span_id));
        let stages = |of: &Span| -> BTreeSet<&str> {
            spans.iter().filter(|(_, span)| span.parent_span_id == of.span_id).map(|(_, span)| &*span.name).collect()
        };
        let own = ["decode", "enrich", "database", "publish"];
        assert!(own.iter().all(|stage| stages(stg).contains(stage)), "{:?}", stages(stg));
        assert!(own.iter().all(|stage| stages(cdm).contains(stage)), "{:?}", stages(cdm));
        assert!(stg.start_time_unix_nano <= dds.start_time_unix_nano, "DDS began before STG");
        true
    });
    // Each order has at least one record, and every record its own trace.
    assert!(whole.count() as u64 >= ORDERS, "{} traces", traces.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_an_error_that_names_its_code() {
    let spans = followed("traces_bad", &[("OTEL_TRACES_SAMPLER", "always_on")], &[b"not JSON"]).await;
    let failed: Vec<&Span> = spans.iter().map(|(_, span)| span).filter(|span| has_failed(span)).collect();
    assert_eq!(failed.len(), 1);
    let code = failed[0].attributes.iter().find(|attribute| attribute.key == "error.type").unwrap();
    let Some(Value::StringValue(code)) = &code.value.as_ref().unwrap().value else { panic!("{code:?}") };
    assert_eq!(code, "invalid_json");
}

fn has_failed(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sampled_is_not_followed_by_any_layer() {
    let spans = followed("traces_none", &[("OTEL_TRACES_SAMPLER", "parentbased_always_off")], &[]).await;
    assert_eq!(spans.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_go_by_tls_to_a_collector_that_the_named_authority_vouches_for_and_to_no_other() {
    for (of, ca, trusted) in [("own", "KAFKA_CA", true), ("other", "KAFKA_OTHER_CA", false), ("system", "", false)] {
        let collector = Collector::default();
        let endpoint = collector.start_with_tls().await;
        let ca = std::env::var(ca).unwrap_or_default();
        let settings = [("OTEL_TRACES_SAMPLER", "always_on"), ("OTEL_EXPORTER_OTLP_CERTIFICATE", &*ca)];
        work_off(&format!("traces_tls_{of}"), &endpoint, &settings, &[]).await;
        let layers: BTreeSet<String> = collector.spans().into_iter().map(|(layer, _)| layer).collect();
        assert_eq!(layers.len(), if trusted { LAYERS.len() } else { 0 }, "{of}: {layers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_holds_up_nothing() {
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", nowhere.local_addr().unwrap());
    drop(nowhere);
    let stage = Stage::build("traces_away", 1).await.unwrap();
    let payload = br#"{"object_id": 1, "object_type": "other"}"#.to_vec();
    stage.produce("stg", [Produced { key: None, partition: None, payload }]).await.unwrap();
    let settings = [("OTEL_TRACES_SAMPLER", "always_on"), ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint)];
    let mut service = stage.start("stg", &settings).unwrap();
    service.ready(PATIENCE).await.unwrap();
    stage.drained("stg", PATIENCE).await.unwrap();
    until("readiness", PATIENCE, async || Ok(service.get("/readyz").await?.0.is_success().then_some(())))
        .await
        .unwrap();
    assert!(service.stop(Duration::from_secs(10)).await.unwrap().success());
    stage.tear_down().await.unwrap();
}
