//! Who may do what. Decided by method and path alone, in one place, so that no route can be forgotten.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, FromRequestParts, Request, State as FromState};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use subtle::ConstantTimeEq as _;

mod failed_logins;

use failed_logins::FailedLogins;

use super::problem::Problem;
use crate::config::{ApiConfig, TokenList, digest};

/// The files of tokens are looked at so often at the most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a request needs a token for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Nothing: probes, metrics, documentation.
    Nothing,
    /// To read. Open while no read token is set.
    Read,
    /// To change something.
    Change,
}

impl Right {
    /// What a request of this method to this path needs.
    #[must_use]
    pub fn needed(method: &Method, path: &str) -> Self {
        if !path.starts_with("/api/") {
            Self::Nothing
        } else if matches!(*method, Method::GET | Method::HEAD) {
            Self::Read
        } else {
            Self::Change
        }
    }
}

/// Who sent the request: the name of the token. Handlers of changes take it as an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor(pub Arc<str>);

impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(|| Problem::token_missing("API_OPS_TOKENS"))
    }
}

/// The tokens that are valid, and the addresses that have sent others.
pub(super) struct Access {
    tokens: Mutex<Tokens>,
    failed_logins: FailedLogins,
}

struct Tokens {
    ops: TokenList,
    read: TokenList,
    looked: Instant,
}

impl Access {
    pub fn new(config: &ApiConfig) -> Self {
        let (ops, read) = (config.ops_tokens.clone(), config.read_tokens.clone());
        Self {
            tokens: Mutex::new(Tokens { ops, read, looked: Instant::now() }),
            failed_logins: FailedLogins::new(config.failed_logins_per_minute),
        }
    }

    /// Lets a request with these headers pass, or says why not; there is no actor where no token was sent.
    fn admit(&self, right: Right, headers: &HeaderMap, from: IpAddr) -> Result<Option<Actor>, Problem> {
        if right == Right::Nothing {
            return Ok(None);
        }
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.refresh();
        // Said whatever was sent, so that it tells nothing about tokens.
        if right == Right::Change && tokens.ops.is_empty() {
            return Err(Problem::changes_disabled());
        }
        let Some(sent) = bearer(headers) else {
            return match right {
                Right::Change => Err(Problem::token_missing("API_OPS_TOKENS")),
                Right::Read if !tokens.read.is_empty() => Err(Problem::token_missing("API_READ_TOKENS")),
                Right::Read | Right::Nothing => Ok(None),
            };
        };
        match tokens.whose(sent) {
            Some((actor, _)) if right == Right::Read => Ok(Some(actor)),
            Some((actor, Right::Change)) => Ok(Some(actor)),
            Some((actor, _)) => Err(Problem::ops_token_needed(&actor.0)),
            None => match self.failed_logins.note(from, Instant::now()) {
                Ok(()) => {
                    tracing::warn!(%from, "a token came that nobody has");
                    Err(Problem::token_unknown())
                }
                Err(wait) => Err(Problem::too_many_failed_logins(wait)),
            },
        }
    }
}

impl Tokens {
    fn refresh(&mut self) {
        if self.looked.elapsed() >= LOOK_EVERY {
            self.looked = Instant::now();
            self.ops.refresh();
            self.read.refresh();
        }
    }

    /// Compares with every token, to the end of each, so that the time it takes tells nothing.
    fn whose(&self, sent: &[u8]) -> Option<(Actor, Right)> {
        let sent = digest(sent);
        let read = self.read.iter().map(|token| (token, Right::Read));
        // The greater right comes last, and the last match counts.
        let all = read.chain(self.ops.iter().map(|token| (token, Right::Change)));
        let matching = all.filter(|(token, _)| bool::from(token.digest.ct_eq(&sent)));
        matching.last().map(|(token, right)| (Actor(Arc::clone(&token.name)), right))
    }
}

/// The token that was sent; other schemes are somebody else's affair, such as a proxy's.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// The layer around every route.
pub(super) async fn guard(
    FromState(access): FromState<Arc<Access>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let right = Right::needed(request.method(), request.uri().path());
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>();
    // In-process requests come from nowhere and are counted together.
    let from = from.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip());
    if let Some(actor) = access.admit(right, request.headers(), from)? {
        tracing::Span::current().record("actor", &*actor.0);
        request.extensions_mut().insert(actor);
    }
    Ok(next.run(request).await)
}
