//! DDS: the Data Vault. Reads `stg-service-orders`, fills hubs, links and satellites, sends `dds-service-orders`.

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
pub mod domain;
pub mod store;
pub mod processor;
pub mod reads;
pub mod api;

use config::Config;
use processor::DdsProcessor;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The layer.
pub struct Dds;

impl Program for Dds {
    const LAYER: &'static str = "dds";
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

    fn api() -> OpenApiRouter<http::State> {
        api::router()
    }

    fn run(
        config: Config,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> impl Future<Output = io::Result<()>> + Send {
        let service = Service {
            layer: Self::LAYER,
            config: config.runtime,
            migrations: &MIGRATIONS,
            grants: Self::grants(),
            tidying: None,
            processor: DdsProcessor,
            api: Self::api(),
            sources: vec![],
            tasks: vec![],
            health: Arc::new(Health::new(&service::checks(&[]))),
        };
        service.run(listener, shutdown)
    }
}
