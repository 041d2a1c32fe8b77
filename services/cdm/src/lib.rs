//! CDM: how often each user ordered each dish and category, each restaurant each category. Reads
//! `dds-service-orders`, keeps the ledger, and adds differences to the counters.

use std::io;
use std::sync::Arc;

use ordervault_runtime::config::{RuntimeConfig, Settings};
use ordervault_runtime::health::Health;
use ordervault_runtime::http;
use ordervault_runtime::program::Program;
use ordervault_runtime::service::{self, Service};
use sqlx::migrate::Migrator;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

pub mod config;
pub mod hub_key;
pub mod domain;
pub mod store;
pub mod processor;
pub mod reads;
pub mod contributions;
pub mod audit;
pub mod api;

use audit::Audit;
use config::Config;
use processor::CdmProcessor;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The layer.
pub struct Cdm;

impl Program for Cdm {
    const LAYER: &'static str = "cdm";
    type Config = Config;

    fn read(settings: &mut Settings) -> Option<Config> {
        Config::read(settings)
    }

    fn runtime(config: &Config) -> &RuntimeConfig {
        &config.runtime
    }

    fn migrations() -> &'static Migrator {
        &MIGRATIONS
    }

    fn grants() -> Option<&'static str> {
        Some(include_str!("bi.sql"))
    }

    fn api() -> OpenApiRouter<http::State> {
        api::router()
    }

    fn run(
        config: Config,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> impl Future<Output = io::Result<()>> + Send {
        let audit = Audit { daily_at: config.audit_daily_at };
        let service = Service {
            layer: Self::LAYER,
            config: config.runtime,
            migrations: &MIGRATIONS,
            grants: Self::grants(),
            tidying: Some("select cdm.forget_changes()"),
            processor: CdmProcessor,
            api: Self::api(),
            sources: vec![],
            tasks: vec![Arc::new(audit)],
            health: Arc::new(Health::new(&service::checks(&[]))),
        };
        service.run(listener, shutdown)
    }
}
