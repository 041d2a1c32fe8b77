//! Who may use the API, from where, and how often they may err.

use std::num::NonZeroU32;
use std::path::PathBuf;

use axum::http::HeaderValue;

use super::Settings;
use super::tokens::{TAKES_TOKENS, TokenFile, TokenList, parse};

const TAKES_FILE: &str = "the path of a readable file that holds name:token or name:sha256:<64 hex digits>, one a line \
     or joined by commas";

/// The API's settings.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Tokens that may change things, and read.
    pub ops_tokens: TokenList,
    /// Tokens that may read. While there is none, everybody may.
    pub read_tokens: TokenList,
    /// Pages of these origins may use the API; none unless said otherwise.
    pub cors_origins: Vec<HeaderValue>,
    /// So many wrong tokens a minute are answered to one address as such.
    pub failed_logins_per_minute: NonZeroU32,
}

impl ApiConfig {
    pub(super) fn read(settings: &mut Settings) -> Option<Self> {
        let ops_tokens = tokens(settings, "API_OPS_TOKENS", "API_OPS_TOKENS_FILE");
        let read_tokens = tokens(settings, "API_READ_TOKENS", "API_READ_TOKENS_FILE");
        let cors_origins = settings.or(
            "API_CORS_ORIGINS",
            Vec::new(),
            "origins joined by commas, each as a browser sends it: https://host or https://host:port",
            |text| text.split(',').map(|one| origin(one.trim())).collect(),
        );
        let failed_logins_per_minute = settings.or(
            "API_FAILED_LOGINS_PER_MINUTE",
            NonZeroU32::MIN.saturating_add(59),
            "a whole number from 1 to 100000",
            |text| text.parse().ok().filter(|count: &NonZeroU32| count.get() <= 100_000),
        );
        Some(Self {
            ops_tokens: ops_tokens?,
            read_tokens: read_tokens?,
            cors_origins: cors_origins?,
            failed_logins_per_minute: failed_logins_per_minute?,
        })
    }
}

fn tokens(settings: &mut Settings, variable: &'static str, file_variable: &'static str) -> Option<TokenList> {
    let fixed = match settings.secret(variable) {
        None => Some(Vec::new()),
        Some(text) => match parse(&text.split(',').collect::<Vec<_>>()) {
            Ok(tokens) => Some(tokens),
            Err(faults) => {
                for fault in faults {
                    settings.fault(variable, Some(&fault), TAKES_TOKENS);
                }
                None
            }
        },
    };
    let path = settings.optional(file_variable, TAKES_FILE, |text| Some(PathBuf::from(text)))?;
    let file = match path.map(|path| TokenFile::read(&path).map_err(|fault| format!("{}: {fault}", path.display()))) {
        None => None,
        Some(Ok(file)) => Some(file),
        Some(Err(fault)) => {
            settings.fault(file_variable, Some(&fault), TAKES_FILE);
            return None;
        }
    };
    Some(TokenList { fixed: fixed?, file })
}

fn origin(text: &str) -> Option<HeaderValue> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let fits = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_:[]".contains(&byte));
    fits.then(|| HeaderValue::from_str(text).ok()).flatten()
}
