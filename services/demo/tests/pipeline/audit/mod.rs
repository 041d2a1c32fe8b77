//! Audits: what they find, what they take for behind, what they repair, and what becomes of them when they are cancelled
//! or their member falls.

mod scene;

mod finds;
mod behind;
mod snapshot;
mod repairs;
mod falls;
mod lacking;
mod seen;
