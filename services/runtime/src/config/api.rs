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
    /// Connections to PostgreSQL for what analysts read.
    pub read_connections: u32,
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
        let read_connections = settings.or("API_READ_CONNECTIONS", 4, "a whole number from 1 to 64", |text| {
            text.parse().ok().filter(|count| (1..=64).contains(count))
        });
        Some(Self {
            ops_tokens: ops_tokens?,
            read_tokens: read_tokens?,
            cors_origins: cors_origins?,
            failed_logins_per_minute: failed_logins_per_minute?,
            read_connections: read_connections?,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Option<ApiConfig>, Vec<String>) {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut settings = Settings::of(pairs);
        let config = ApiConfig::read(&mut settings);
        (config, settings.faults().iter().map(ToString::to_string).collect())
    }

    fn names(list: &TokenList) -> Vec<&str> {
        list.iter().map(|token| &*token.name).collect()
    }

    #[test]
    fn tokens_are_read_with_their_names_and_only_digests_are_kept() {
        let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        let ops = format!("alice:swordfish:with:colons, bob@example.org:sha256:{digest}");
        let (config, faults) = read(&[("API_OPS_TOKENS", &ops), ("API_READ_TOKENS", "alice:secret")]);
        let config = config.unwrap_or_else(|| panic!("{faults:?}"));
        assert_eq!(names(&config.ops_tokens), ["alice", "bob@example.org"]);
        let digests: Vec<_> = config.ops_tokens.iter().chain(config.read_tokens.iter()).map(|one| one.digest).collect();
        assert_eq!(digests[1], digests[2], "a digest and its token are the same");
        assert_ne!(digests[0], digests[1]);
        assert!(!format!("{config:?}").contains("swordfish"));
    }

    #[test]
    fn every_bad_entry_is_named_by_its_place_and_no_token_is_shown() {
        let entries = "alice:good,swordfish,:swordfish,two words:swordfish,carol:,dave:sword fish,eve:sha256:swordfish";
        let (config, faults) = read(&[("API_OPS_TOKENS", entries)]);
        assert!(config.is_none());
        let takes = "takes name:token or name:sha256:<64 hex digits>, joined by commas";
        let held = |what: &str| format!("API_OPS_TOKENS: held {what:?}, {takes}");
        let bad_name = "with a name that is not 1 to 64 letters, digits, '.', '_', '-' or '@'";
        assert_eq!(
            faults,
            [
                held("entry 2 without a colon"),
                held(&format!("entry 3 {bad_name}")),
                held(&format!("entry 4 {bad_name}")),
                held("entry 5 (carol) without a token"),
                held("entry 6 (dave) with a token that holds spaces or characters beyond ASCII"),
                held("entry 7 (eve) with something else than 64 hex digits after sha256:"),
            ]
        );
    }

    #[test]
    fn a_file_of_tokens_must_be_there_and_good_at_the_start() {
        let path = std::env::temp_dir().join(format!("ordervault-api-{}", std::process::id()));
        let setting = [("API_OPS_TOKENS_FILE", path.to_str().unwrap()), ("API_OPS_TOKENS", "alice:fixed")];
        for (content, says) in [
            ("", "no token in it"),
            ("a:b\nswordfish\n", "entry 2 without a colon"),
            ("a:é", "entry 1 (a) with a token"),
        ] {
            std::fs::write(&path, content).unwrap();
            let (config, faults) = read(&setting);
            assert!(config.is_none());
            assert!(faults[0].starts_with("API_OPS_TOKENS_FILE: held ") && faults[0].contains(says), "{faults:?}");
            assert!(!faults[0].contains("swordfish"), "{faults:?}");
        }
        std::fs::write(&path, "bob:one\r\n\ncarol:two,dave:three\n").unwrap();
        assert_eq!(names(&read(&setting).0.unwrap().ops_tokens), ["alice", "bob", "carol", "dave"]);
        std::fs::remove_file(&path).unwrap();
        assert!(read(&setting).1[0].contains("cannot be read"));
    }

    #[test]
    fn origins_are_taken_as_browsers_send_them() {
        let (config, _) = read(&[("API_CORS_ORIGINS", "https://ops.example:8443, http://[::1]:3000")]);
        assert_eq!(config.unwrap().cors_origins, ["https://ops.example:8443", "http://[::1]:3000"]);
        for bad in
            ["*", "ops.example", "https://ops.example/", "https://", "https://a,,https://b", "https://Ops.example"]
        {
            assert!(read(&[("API_CORS_ORIGINS", bad)]).0.is_none(), "{bad}");
        }
    }
}
