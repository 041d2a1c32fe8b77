//! The road of a batch through DDS.

use chrono::Utc;
use ordervault_contracts::decode::{self, Envelope};
use ordervault_contracts::stg_order::OBJECT_TYPE;
use ordervault_runtime::fault::{RecordFault, StoreError};
use ordervault_runtime::processor::{Decoded, Message, Processor, Skip};
use ordervault_runtime::record::Record;
use sqlx::postgres::{PgConnection, PgPool};

use crate::domain::Order;
use crate::store;

/// DDS keeps nothing between batches.
pub struct DdsProcessor;

impl Processor for DdsProcessor {
    type Fact = Order;

    fn decode(&self, record: &Record) -> Decoded<Order> {
        let Some(value) = &record.value else { return Decoded::Skip(Skip::NullValue) };
        match decode::read(value, OBJECT_TYPE) {
            Ok(Envelope::Message { message, .. }) => match Order::new(message) {
                Ok(order) => Decoded::Fact(order),
                Err(fault) => Decoded::Reject(fault),
            },
            Ok(Envelope::OtherType) => Decoded::Skip(Skip::OtherType),
            Ok(Envelope::NoPayload) => Decoded::Skip(Skip::NoPayload),
            Err(fault) => Decoded::Reject(RecordFault { code: fault.code, message: fault.message }),
        }
    }

    async fn prepare(&self, pool: &PgPool, orders: &[&Order]) -> Result<(), StoreError> {
        store::prepare(pool, orders).await
    }

    async fn apply(&self, tx: &mut PgConnection, orders: &[&Order]) -> Result<(), StoreError> {
        store::apply(tx, orders).await
    }

    fn onward(&self, order: &Order) -> Option<Message> {
        match serde_json::to_vec(&order.report(Utc::now())) {
            Ok(payload) => Some(Message { key: order.keys.order.to_string(), payload }),
            // Text, numbers and keys can always be written as JSON.
            Err(error) => unreachable!("a report is always JSON: {error}"),
        }
    }
}
