//! What every layer is made of: settings, the consumer's parts, faults, dead letters, health and metrics.
//!
//! Knows Kafka, PostgreSQL and HTTP, and nothing about orders. Modules stand in reading order.

pub mod config;
pub mod record;
pub mod fault;
pub mod backoff;
pub mod health;
pub mod metrics;
pub mod database;
pub mod dead_letter;
pub mod applied_offsets;
