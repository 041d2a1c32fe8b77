//! STG: raw orders, enriched onward. Reads `order-service_orders`, keeps the newest version of every order as it came,
//! adds names and categories from the dictionary, sends `stg-service-orders`.

use std::io;
use std::sync::Arc;

use ordervault_runtime::config::{RuntimeConfig, Settings};
use ordervault_runtime::fault::Dependency;
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
pub mod dictionary;
pub mod store;
pub mod processor;
pub mod republish;
pub mod api;

use config::Config;
use dictionary::Dictionary;
use processor::StgProcessor;
use republish::StoredOrders;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The layer.
pub struct Stg;

impl Program for Stg {
    const LAYER: &'static str = "stg";
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
            migrations: &MIGRATIONS,
            grants: Self::grants(),
            tidying: None,
            processor: StgProcessor::new(Dictionary::new(&config.redis, config.dictionary_ttl)),
            api: Self::api(),
            sources: vec![Arc::new(StoredOrders)],
            tasks: vec![],
            config: config.runtime,
            health: Arc::new(Health::new(&service::checks(&[Dependency::Redis.name()]))),
        };
        service.run(listener, shutdown)
    }
}
