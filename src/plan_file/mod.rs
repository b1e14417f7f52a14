//! The file of a saved plan: the text that `plan -o` writes and `--format json` prints, and what is read back from it.
//!
//! The text is JSON, indented, in one form only: two plans of the same state are the same bytes. Its last member is the
//! SHA-256 of all before it, so that any edit and any cut is noticed. That digest is no signature: whatever the file
//! says is checked as if a stranger had written it, names, ids and paths by the types that they become, and everything
//! that an action relies on once more when it is applied ([`crate::plan::saved::stale`]).
//!
//! ```text
//! Plan + preconditions + desired ──► SavedPlan ──► document ──► text        write
//!                            SavedPlan ◄── document ◄── text        read: form, version, digest, types
//! ```
//!
//! How a primary is reached is in the text as a digest only, so that no secret of a site file gets into it.

mod document;
mod error;

use serde::Deserialize;

use crate::plan::saved::preconditions::PRECONDITIONS_VERSION;
use crate::plan::saved::{SavedPlan, sha256};

pub use document::Document;
pub use error::FileError;

/// The version of the format.
pub const FORMAT_VERSION: u32 = 1;
/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What stands before the digest.
const BEFORE_DIGEST: &str = ",\n  \"digest\": \"";
/// What stands after it.
const AFTER_DIGEST: &str = "\"\n}\n";

/// The text of a plan.
pub fn write(saved: &SavedPlan) -> Result<String, FileError> {
    let unwritable = |error: serde_json::Error| FileError::Unwritable(error.to_string());
    let mut text = serde_json::to_string_pretty(&Document::of(saved)?).map_err(unwritable)?;
    // The document is written with an empty digest.
    text.truncate(text.len() - AFTER_DIGEST.len() + 1);
    let digest = sha256(text.as_bytes());
    text.push_str(&digest);
    text.push_str(AFTER_DIGEST);
    Ok(text)
}

/// Reads what [`write`] wrote, and refuses anything else.
pub fn read(text: &str) -> Result<SavedPlan, FileError> {
    check_head(text)?;
    digest(text)?;
    let document: Document = serde_json::from_str(text).map_err(|error| FileError::Invalid(error.to_string()))?;
    document.into_saved()
}

/// What tells a plan from other files.
#[derive(Deserialize)]
struct Head {
    format_version: Option<serde_json::Value>,
    preconditions_version: Option<serde_json::Value>,
    primaries: Option<serde::de::IgnoredAny>,
    replicas: Option<serde::de::IgnoredAny>,
}

/// Whether the file is a plan of this format and version.
fn check_head(text: &str) -> Result<(), FileError> {
    let head: Head = serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Eof => FileError::CutOff,
        serde_json::error::Category::Data => FileError::NotAPlan,
        _ if is_site_file(text) => FileError::SiteFile,
        _ => FileError::NotJson { line: error.line(), column: error.column() },
    })?;
    let (Some(format), Some(_)) = (head.format_version, head.replicas) else {
        return Err(if head.primaries.is_some() { FileError::SiteFile } else { FileError::NotAPlan });
    };
    let short = |version: &serde_json::Value| version.to_string().chars().take(40).collect();
    if format != FORMAT_VERSION {
        return Err(FileError::Format(short(&format)));
    }
    let preconditions = head.preconditions_version.unwrap_or_default();
    if preconditions == PRECONDITIONS_VERSION { Ok(()) } else { Err(FileError::Preconditions(short(&preconditions))) }
}

/// Whether a text that is not JSON has the first keys of a site file.
fn is_site_file(text: &str) -> bool {
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    has("site:") || has("primaries:")
}

/// The digest that the text of a plan ends with, if it is that of the text.
pub fn digest(text: &str) -> Result<&str, FileError> {
    let body = text.strip_suffix(AFTER_DIGEST);
    let parts = body.and_then(|body| body.split_at_checked(body.len().checked_sub(64)?));
    match parts {
        Some((before, digest)) if before.ends_with(BEFORE_DIGEST) && sha256(before.as_bytes()) == digest => Ok(digest),
        _ => Err(FileError::Edited),
    }
}

#[cfg(test)]
mod tests;
