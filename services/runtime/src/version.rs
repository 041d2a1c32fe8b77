//! Which build this is.

/// The release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that it was built from: what `ORDERVAULT_COMMIT` held when this crate was compiled, else `unknown`.
pub const COMMIT: &str = match option_env!("ORDERVAULT_COMMIT") {
    // Builds that were told nothing set it to nothing.
    Some(commit) if !commit.is_empty() => commit,
    _ => "unknown",
};
