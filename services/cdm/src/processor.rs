//! The road of a batch through CDM.

use ordervault_contracts::decode::{self, Envelope};
use ordervault_contracts::order_report::{OBJECT_TYPE, OrderReport};
use ordervault_runtime::fault::{RecordFault, StoreError};
use ordervault_runtime::processor::{Decoded, Message, Processor, Skip};
use ordervault_runtime::record::Record;
use sqlx::postgres::PgConnection;

use crate::domain::Order;
use crate::store;

/// CDM keeps nothing between batches.
pub struct CdmProcessor;

impl Processor for CdmProcessor {
    type Fact = Order;

    fn decode(&self, record: &Record) -> Decoded<Order> {
        let Some(value) = &record.value else { return Decoded::Skip(Skip::NullValue) };
        match decode::read::<OrderReport>(value, OBJECT_TYPE) {
            Ok(Envelope::Message { message, .. }) => Decoded::Fact(Order::new(&message)),
            Ok(Envelope::OtherType) => Decoded::Skip(Skip::OtherType),
            Ok(Envelope::NoPayload) => Decoded::Skip(Skip::NoPayload),
            Err(fault) => Decoded::Reject(RecordFault { code: fault.code, message: fault.message }),
        }
    }

    async fn apply(&self, tx: &mut PgConnection, orders: &[&Order]) -> Result<(), StoreError> {
        store::apply(tx, orders).await
    }

    fn onward(&self, _: &Order) -> Option<Message> {
        None
    }
}
