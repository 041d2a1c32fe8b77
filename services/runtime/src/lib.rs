//! What every layer is made of: settings, the consumer's parts, faults, dead letters, health and metrics.
//!
//! Knows Kafka, PostgreSQL and HTTP, and not what an order is; only the words for what the API refuses, which stand in
//! one table for all layers, name the layers' things. Modules stand in reading order.

pub mod version;
pub mod config;
pub mod record;
pub mod whole;
pub mod fault;
pub mod backoff;
pub mod health;
pub mod metrics;
pub mod session;
pub mod database;
pub mod migrations;
pub mod reads;
pub mod dead_letter;
pub mod applied_offsets;
pub mod processor;
pub mod traces;
mod kafka_statistics;
pub mod publisher;
pub mod breaker;
pub mod road;
pub mod broker;
pub mod offsets;
pub mod desired_state;
pub mod actual_state;
pub mod control;
pub mod consumer;
pub mod jobs;
pub mod waiting;
pub mod probe;
pub mod http;
mod companions;
pub mod service;
pub mod program;

/// Every layer's program allocates by it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
