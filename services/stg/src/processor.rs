//! The road of a batch through STG.

use chrono::Utc;
use ordervault_contracts::decode::{self, Envelope};
use ordervault_contracts::source_order::OBJECT_TYPE;
use ordervault_runtime::fault::{Outage, RecordFault, StoreError};
use ordervault_runtime::processor::{Decoded, Message, Processor, Skip};
use ordervault_runtime::record::Record;
use sqlx::postgres::PgConnection;

use crate::dictionary::Dictionary;
use crate::domain::Order;
use crate::store;

/// Keeps what was found in the dictionary of late.
pub struct StgProcessor {
    dictionary: Dictionary,
}

impl StgProcessor {
    /// A processor that asks this dictionary.
    #[must_use]
    pub fn new(dictionary: Dictionary) -> Self {
        Self { dictionary }
    }
}

impl Processor for StgProcessor {
    type Fact = Order;

    fn decode(&self, record: &Record) -> Decoded<Order> {
        let Some(value) = &record.value else { return Decoded::Skip(Skip::NullValue) };
        match decode::read(value, OBJECT_TYPE) {
            Ok(Envelope::Message { message, payload }) => {
                Decoded::Fact(Order::new(message, value.slice_ref(payload.as_bytes()), record))
            }
            Ok(Envelope::OtherType) => Decoded::Skip(Skip::OtherType),
            Ok(Envelope::NoPayload) => Decoded::Skip(Skip::NoPayload),
            Err(fault) => Decoded::Reject(RecordFault { code: fault.code, message: fault.message }),
        }
    }

    async fn enrich(&self, orders: &mut [Order]) -> Result<(), Outage> {
        self.dictionary.look_up(orders).await
    }

    fn lacking(&self, order: &Order) -> Option<RecordFault> {
        order.named().err()
    }

    async fn apply(&self, tx: &mut PgConnection, orders: &[&Order]) -> Result<(), StoreError> {
        store::apply(tx, orders).await
    }

    fn onward(&self, order: &Order) -> Option<Message> {
        let named = order.named().ok()?;
        match serde_json::to_vec(&order.enriched(&named, Utc::now())) {
            Ok(payload) => Some(Message { key: order.message.object_id.to_string(), payload }),
            // Text, numbers and times can always be written as JSON.
            Err(error) => unreachable!("an order is always JSON: {error}"),
        }
    }

    async fn ping(&self) -> Option<Result<(), Outage>> {
        Some(self.dictionary.ping().await)
    }
}
