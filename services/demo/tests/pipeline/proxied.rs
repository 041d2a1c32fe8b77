//! Servers that are reached through a proxy, which a test tells when to cut.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ordervault_demo::proxy::Proxy;
use tokio::net::TcpListener;

pub async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Where a server listens.
pub fn address(environment: &BTreeMap<String, String>, host: &str, port: &str) -> SocketAddr {
    format!("{}:{}", environment[host], environment[port]).parse().unwrap()
}

/// The environment of the tests, but for one server that is reached through a proxy.
pub async fn behind_a_proxy(host: &str, port: &str) -> (BTreeMap<String, String>, Proxy) {
    let mut environment: BTreeMap<String, String> = std::env::vars().collect();
    let proxy = Proxy::start(listener().await, address(&environment, host, port)).unwrap();
    environment.insert(port.to_owned(), proxy.address.port().to_string());
    (environment, proxy)
}
