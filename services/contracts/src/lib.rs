//! The messages between the layers.
