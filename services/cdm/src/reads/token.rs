//! What clients are given to bring back: opaque, and of one word.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

/// Bytes of a digest that are kept: nobody gains anything by a collision, so none has to be impossible.
const DIGEST: usize = 9;

pub(super) fn write(content: &impl Serialize) -> String {
    // Tuples of text and numbers: nothing that JSON could not hold.
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(content).unwrap_or_default())
}

pub(super) fn read<T: DeserializeOwned>(token: &str) -> Option<T> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(token).ok()?).ok()
}

pub(super) fn digest(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(text)[..DIGEST])
}
