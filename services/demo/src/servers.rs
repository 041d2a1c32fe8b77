//! The servers that the environment names, by the names that the services have for them.

use std::str::FromStr;

use redis::aio::MultiplexedConnection;
use redis::{ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo};
use sqlx::postgres::{PgConnectOptions, PgPool, PgSslMode};

use crate::Error;
use crate::kafka::Cluster;

/// The broker of `KAFKA_HOST`, with or without a port, and `KAFKA_PORT`.
pub fn kafka() -> Result<Cluster, Error> {
    let brokers = brokers(&required("KAFKA_HOST")?, parsed("KAFKA_PORT", 9092)?);
    Ok(Cluster { brokers })
}

/// The dictionary of `REDIS_HOST`, `REDIS_PORT` and `REDIS_PASSWORD`.
pub async fn dictionary() -> Result<MultiplexedConnection, Error> {
    let address = ConnectionAddr::Tcp(required("REDIS_HOST")?, parsed("REDIS_PORT", 6379)?);
    let mut login = RedisConnectionInfo::default();
    if let Some(password) = held("REDIS_PASSWORD") {
        login = login.set_password(password);
    }
    let info = address.into_connection_info()?.set_redis_settings(login);
    Ok(redis::Client::open(info)?.get_multiplexed_async_connection().await?)
}

/// The database of `PG_WAREHOUSE_…`.
pub async fn warehouse() -> Result<PgPool, Error> {
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&required("PG_WAREHOUSE_HOST")?)
        .port(parsed("PG_WAREHOUSE_PORT", 5432)?)
        .database(&required("PG_WAREHOUSE_DBNAME")?)
        .username(&required("PG_WAREHOUSE_USER")?)
        .ssl_mode(parsed("PG_WAREHOUSE_SSLMODE", PgSslMode::Require)?);
    if let Some(password) = held("PG_WAREHOUSE_PASSWORD") {
        options = options.password(&password);
    }
    Ok(PgPool::connect_with(options).await?)
}

/// A token of `API_READ_TOKENS` with which CDM lets one read; a digest is none.
#[must_use]
pub fn read_token() -> Option<String> {
    held("API_READ_TOKENS").as_deref().and_then(first_token).map(str::to_owned)
}

fn first_token(named: &str) -> Option<&str> {
    let tokens = named.split(',').filter_map(|one| one.trim().split_once(':'));
    tokens.map(|(_, token)| token).find(|token| !token.starts_with("sha256:"))
}

fn brokers(hosts: &str, port: u16) -> String {
    let with_port = |host: &str| if host.contains(':') { host.to_owned() } else { format!("{host}:{port}") };
    hosts.split(',').map(|host| with_port(host.trim())).collect::<Vec<_>>().join(",")
}

/// What a variable holds; an empty one counts as unset, as it does for the services.
fn held(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn required(name: &str) -> Result<String, Error> {
    held(name).ok_or_else(|| Error::NotSet(name.to_owned()))
}

fn parsed<T: FromStr>(name: &str, default: T) -> Result<T, Error> {
    let Some(value) = held(name) else { return Ok(default) };
    value.parse().map_err(|_| Error::NotSet(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_keeps_the_port_that_it_brings() {
        assert_eq!(brokers("a, b:9091", 9092), "a:9092,b:9091");
    }

    #[test]
    fn a_reader_shows_a_token_and_never_a_digest() {
        assert_eq!(first_token("bi:sha256:00ff, ops:a:b"), Some("a:b"));
        assert_eq!(first_token("bi:sha256:00ff"), None);
    }
}
