//! Which build this is.

/// The version of the workspace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that was built, where the build was told it by `ORDERVAULT_COMMIT`, as that of the images is.
pub const COMMIT: &str = match option_env!("ORDERVAULT_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
