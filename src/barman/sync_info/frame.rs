//! Finds the answer in what arrived on stdout: login banners may come before it, and noise after it.

use super::SyncInfoError;
use crate::barman::ids::is_unprintable;
use crate::barman::secret::without_secrets;

/// The keys of the answer; it starts with one of them, whatever the order in which a Python wrote them.
const TOP_KEYS: [&[u8]; 6] =
    [b"\"last_position\"", b"\"last_name\"", b"\"backups\"", b"\"wals\"", b"\"version\"", b"\"config\""];

/// What Barman prints, with exit code 0, for a server that is inactive at the primary (Barman `cli.py`,
/// `get_server_list`; the same words in 2.19 to 3.19.1).
const INACTIVE: &str = "Skipping inactive server '";

/// What sync-info printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framed<'a> {
    /// The JSON and all that follows it.
    Json(&'a [u8]),
    /// Barman's sentence about a server that is inactive at the primary.
    Inactive(String),
}

/// Finds the JSON, or Barman's sentence about an inactive server, in what `barman sync-info` wrote to stdout.
pub fn frame(stdout: &[u8]) -> Result<Framed<'_>, SyncInfoError> {
    if let Some(json) = json_start(stdout).and_then(|start| stdout.get(start..)) {
        return Ok(Framed::Json(json));
    }
    let text = String::from_utf8_lossy(stdout);
    let is_sentence = |line: &&str| line.starts_with(INACTIVE) && line.ends_with('\'');
    match text.lines().map(str::trim).find(is_sentence) {
        Some(sentence) => Ok(Framed::Inactive(excerpt(sentence))),
        None => Err(SyncInfoError::NotJson { excerpt: excerpt(text.trim()) }),
    }
}

/// The first brace that is followed by one of the answer's keys: a banner may hold braces too.
fn json_start(stdout: &[u8]) -> Option<usize> {
    let braces = stdout.iter().enumerate().filter(|(_, b)| **b == b'{').map(|(at, _)| at);
    braces.into_iter().find(|at| {
        let inside = stdout.get(at + 1..).unwrap_or_default().trim_ascii_start();
        TOP_KEYS.iter().any(|key| inside.starts_with(key))
    })
}

/// Enough of a foreign text for a message, harmless on a terminal.
pub(super) fn excerpt(text: &str) -> String {
    // What is masked may be longer than what is shown: the whole text is looked at, up to a bound.
    let text = without_secrets(&text.chars().take(4096).collect::<String>());
    text.chars().take(200).map(|c| if is_unprintable(c) { ' ' } else { c }).collect()
}
