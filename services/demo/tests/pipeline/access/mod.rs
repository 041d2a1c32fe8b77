//! Who may do what with a running layer, over every operation that its document tells of.

mod document;

mod routes;
mod tokens;
