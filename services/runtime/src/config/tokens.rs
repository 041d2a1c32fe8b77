//! Tokens of the API: whose they are, and digests to know them by.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

/// What a list of tokens takes, for people.
pub(super) const TAKES_TOKENS: &str = "name:token or name:sha256:<64 hex digits>, joined by commas";

/// Somebody's token. The token itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whose it is: the actor of what is done with it.
    pub name: Arc<str>,
    /// SHA-256 of the token.
    pub digest: [u8; 32],
}

/// SHA-256 of a token.
#[must_use]
pub fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The tokens that give one right: those of the environment, and those of a file.
#[derive(Clone, Debug, Default)]
pub struct TokenList {
    pub(super) fixed: Vec<Token>,
    pub(super) file: Option<TokenFile>,
}

impl TokenList {
    /// All that are valid now.
    pub fn iter(&self) -> impl Iterator<Item = &Token> {
        self.fixed.iter().chain(self.file.iter().flat_map(|file| &file.tokens))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Reads the file anew if it has changed.
    pub fn refresh(&mut self) {
        if let Some(file) = &mut self.file {
            file.refresh();
        }
    }
}

/// A file of tokens, as it was when it was last good.
#[derive(Clone, Debug)]
pub(super) struct TokenFile {
    path: PathBuf,
    seen: Option<Stamp>,
    tokens: Vec<Token>,
}

/// Tells one content of a file from the next; Kubernetes changes a mounted file by leading its path to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
    inode: u64,
}

impl TokenFile {
    /// Reads it; the error says what is wrong, and shows nothing of the content but names.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let seen = stamp(path);
        Ok(Self { path: path.to_owned(), seen, tokens: tokens_of(path)? })
    }

    /// A file that cannot be read or understood leaves its last good tokens valid: otherwise a slip of an editor would lock
    /// the operators out, or open the reads to everybody.
    fn refresh(&mut self) {
        let now = stamp(&self.path);
        if now == self.seen {
            return;
        }
        self.seen = now;
        let path = self.path.display();
        match tokens_of(&self.path) {
            Ok(tokens) => {
                tracing::info!(%path, tokens = tokens.len(), "the file of tokens has changed and was read");
                self.tokens = tokens;
            }
            Err(fault) => {
                tracing::error!(%path, fault, "the file of tokens is not good; its last good tokens stay valid");
            }
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let of = |file: &Metadata| Some(Stamp { modified: file.modified().ok()?, length: file.len(), inode: file.ino() });
    fs::metadata(path).ok().as_ref().and_then(of)
}

fn tokens_of(path: &Path) -> Result<Vec<Token>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let entries: Vec<&str> = text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty()).collect();
    if entries.is_empty() {
        return Err("no token in it".to_owned());
    }
    parse(&entries).map_err(|faults| faults.join("; "))
}

/// Reads entries; each error names one by its place, and by its name where that can be told from a token.
pub(super) fn parse(entries: &[&str]) -> Result<Vec<Token>, Vec<String>> {
    let mut faults = Vec::new();
    let mut tokens = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let place = format!("entry {}", index + 1);
        match entry.trim().split_once(':') {
            None => faults.push(format!("{place} without a colon")),
            Some((name, _)) if !is_name(name) => {
                faults.push(format!("{place} with a name that is not 1 to 64 letters, digits, '.', '_', '-' or '@'"));
            }
            Some((name, token)) => match digest_of(token) {
                Ok(digest) => tokens.push(Token { name: name.into(), digest }),
                Err(fault) => faults.push(format!("{place} ({name}) {fault}")),
            },
        }
    }
    if faults.is_empty() { Ok(tokens) } else { Err(faults) }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte))
}

fn digest_of(token: &str) -> Result<[u8; 32], &'static str> {
    if token.is_empty() {
        return Err("without a token");
    }
    if let Some(hex) = token.strip_prefix("sha256:") {
        return from_hex(hex).ok_or("with something else than 64 hex digits after sha256:");
    }
    // No header could bring it, or not as it is.
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("with a token that holds spaces or characters beyond ASCII");
    }
    Ok(digest(token.as_bytes()))
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, place) in digest.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[place..place + 2], 16).ok()?;
    }
    Some(digest)
}
