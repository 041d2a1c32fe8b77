//! One order's way as the layers' APIs tell it, held to what the messages of its topic say.

mod scene;

mod stored;
mod vault;
mod counted;
mod moments;
