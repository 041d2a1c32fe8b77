//! The messages that pass between the layers, and how a record is judged to be one.
//!
//! Unknown fields are ignored everywhere. A field that the replaced services do not send is optional on the way in.

pub mod decode;
pub mod object;
pub mod text;
pub mod number;
pub mod time;
pub mod keys;
pub mod source_order;
pub mod stg_order;
pub mod order_report;
