//! The keys of the vault.

use uuid::{Uuid, uuid};

const NAMESPACE: Uuid = uuid!("7f288a2e-0ad0-4039-8e59-6c9838d87307");
const SEPARATOR: &str = "#$#";

/// The key over the parts of a business key, as text.
pub(super) fn key(parts: &[&str]) -> String {
    key_of_joined(&parts.join(SEPARATOR))
}

/// The key over a business key whose parts are joined already.
pub(super) fn key_of_joined(joined: &str) -> String {
    Uuid::new_v5(&NAMESPACE, joined.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_vault_that_is_taken_over() {
        assert_eq!(key(&["2000000007"]), "cc1060d0-a568-5b20-ac56-fa4c8c3067b1");
        assert_eq!(key(&["Закуски"]), "96927a73-3397-50a0-8021-3417b0869c60");
        assert_eq!(key(&["2000000007", "1e-07", "19.99"]), "9b1258fe-5cef-5f23-a302-4814d4e5b830");
        assert_eq!(
            key(&["5ec84d8dbc74254770f58904", " trailing space ", " trailing space "]),
            "2b772094-936a-5f5c-9120-c7b16727bb23"
        );
    }
}
