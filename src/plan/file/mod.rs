//! Saved plans: the text that `plan -o` writes and `--format json` prints, and what is read back from it.
//!
//! The text is JSON, indented, in one form only: two plans of the same state are the same bytes. Its last member is the
//! SHA-256 of all before it, so that any edit and any cut is noticed. That digest is no signature: whatever the file
//! says is checked as if a stranger had written it, names, ids and paths by the types that they become, and everything
//! that an action relies on once more when it is applied ([`super::stale`]).
//!
//! ```text
//! Plan + facts + desired ──► SavedPlan ──► document ──► text        write
//!                            SavedPlan ◄── document ◄── text        read: form, version, digest, types
//! ```
//!
//! How a primary is reached is in the text as a digest only, so that no secret of a site file gets into it.

mod document;
mod error;
pub mod forms;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::barman::ids::ServerName;
use crate::observe::inventory::Observation;
use crate::site::model::{Replica, Site};
use jiff::Timestamp;

use super::action::{Address, Plan};
use super::desired::{Desired, hex};
use super::facts::{Fact, Grounds};

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

/// A plan with all that is needed to apply it later.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedPlan {
    /// What will be done.
    pub plan: Plan,
    /// The site file that it was made with.
    pub site_file: SiteFile,
    /// What decided it.
    pub desired: Desired,
    /// What its actions rely on.
    pub facts: Facts,
}

/// The site file that a plan was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteFile {
    /// Its name, as the user gave it.
    pub name: String,
    /// The SHA-256 of its bytes, for readers: what matters of it is compared key by key.
    pub digest: String,
}

impl SiteFile {
    /// A file of this name and content.
    pub fn new(name: impl Into<String>, content: &[u8]) -> Self {
        Self { name: name.into(), digest: sha256(content) }
    }
}

/// What the actions of a plan rely on, as it was when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    replicas: BTreeMap<ServerName, Vec<Fact>>,
    actions: BTreeMap<Address, Vec<Fact>>,
}

impl Facts {
    /// What a plan relies on, given what it was made from.
    pub fn of(plan: &Plan, replicas: &[Replica], observation: &Observation, now: Timestamp) -> Self {
        let mut facts = Self::default();
        for planned in plan.replicas.iter().filter(|planned| !planned.actions.is_empty()) {
            let replica = replicas.iter().find(|replica| replica.name == planned.name);
            let ends = replica.zip(observation.replicas.get(&planned.name));
            let Some(grounds) = ends.and_then(|(replica, ends)| Grounds::new(planned, replica, ends, now)) else {
                continue;
            };
            facts.replicas.insert(planned.name.clone(), noted(grounds.of_target()));
            for action in &planned.actions {
                facts.actions.insert(action.address.clone(), noted(grounds.of(action)));
            }
        }
        facts
    }

    /// What all actions of a replica rely on.
    pub fn of_replica(&self, name: &ServerName) -> &[Fact] {
        self.replicas.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// What one action relies on besides.
    pub fn of_action(&self, address: &Address) -> &[Fact] {
        self.actions.get(address).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Facts as they are kept: what they must be is asked again of those that are found later.
fn noted(facts: Vec<Fact>) -> Vec<Fact> {
    facts.into_iter().map(|fact| Fact { required: None, ..fact }).collect()
}

impl SavedPlan {
    /// A plan, with what it was made from.
    pub fn new(
        plan: Plan,
        site_file: SiteFile,
        site: &Site,
        replicas: &[Replica],
        observation: &Observation,
        now: Timestamp,
    ) -> Self {
        let facts = Facts::of(&plan, replicas, observation, now);
        Self { desired: Desired::of(site, replicas), facts, plan, site_file }
    }

    /// The text of the plan.
    pub fn write(&self) -> Result<String, FileError> {
        let unwritable = |error: serde_json::Error| FileError::Unwritable(error.to_string());
        let mut text = serde_json::to_string_pretty(&Document::of(self)?).map_err(unwritable)?;
        // The document is written with an empty digest.
        text.truncate(text.len() - AFTER_DIGEST.len() + 1);
        let digest = sha256(text.as_bytes());
        text.push_str(&digest);
        text.push_str(AFTER_DIGEST);
        Ok(text)
    }

    /// Reads what [`SavedPlan::write`] wrote, and refuses anything else.
    pub fn read(text: &str) -> Result<Self, FileError> {
        check_head(text)?;
        check_digest(text)?;
        let document: Document = serde_json::from_str(text).map_err(|error| FileError::Invalid(error.to_string()))?;
        document.into_saved()
    }
}

/// What tells a plan from other files.
#[derive(Deserialize)]
struct Head {
    format_version: Option<serde_json::Value>,
    antipode: Option<String>,
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
    let (Some(format), Some(antipode), Some(_)) = (head.format_version, head.antipode, head.replicas) else {
        return Err(if head.primaries.is_some() { FileError::SiteFile } else { FileError::NotAPlan });
    };
    if format != FORMAT_VERSION {
        return Err(FileError::Format(format.to_string().chars().take(40).collect()));
    }
    if antipode != VERSION {
        return Err(FileError::Version(antipode.chars().take(40).collect()));
    }
    Ok(())
}

/// Whether a text that is not JSON has the first keys of a site file.
fn is_site_file(text: &str) -> bool {
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    has("site:") || has("primaries:")
}

fn check_digest(text: &str) -> Result<(), FileError> {
    let body = text.strip_suffix(AFTER_DIGEST);
    let parts = body.and_then(|body| body.split_at_checked(body.len().checked_sub(64)?));
    match parts {
        Some((before, digest)) if before.ends_with(BEFORE_DIGEST) && sha256(before.as_bytes()) == digest => Ok(()),
        _ => Err(FileError::Edited),
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
