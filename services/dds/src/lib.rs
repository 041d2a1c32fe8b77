//! DDS: the Data Vault.
