//! What is good here and differs at the primary: it waits for a person.
//!
//! A primary is untrusted, and may be wrong: restored from something old, spoilt by its disk, or not ours any more. So
//! nothing that is good here is replaced because the primary says otherwise. Only what is provably broken here is
//! mended unasked: of another size than its own form has, with a header that is not its name's, not to be decompressed,
//! encoded twice. Keys of a backup.info that Barman changes in the life of a backup are followed unasked as well.
//! Everything else is *held*: it is shown with both values until `--accept ADDRESS`, or a line under `accept` in the
//! site file, lets the primary's replace it. What does not depend on it goes on. Consent that is about nothing which
//! waits is told: it is an error on the command line, and a note where it stands in the site file.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::barman::ids::BackupId;
use crate::barman::wal::{Timeline, WalName};
use crate::barman::wal_set::WalRange;
use crate::observe::inventory::{PrimaryBackup, Published};
use crate::site::model::Policy;
use crate::site::pattern::Pattern;

use super::action::Address;
use super::action::address::Names;
use super::wal::runs::Run;

/// Something that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// What is to be accepted.
    pub address: Address,
    /// How it differs.
    pub what: Difference,
}

impl Held {
    /// Whether an address is its own, or that of a WAL file of it.
    pub fn is_about(&self, address: &str) -> bool {
        let is_file = |files: &[HeldFile]| {
            let name = address.strip_prefix(self.address.replica()).and_then(|rest| rest.strip_prefix("/wal/"));
            name.is_some_and(|name| files.iter().any(|file| file.name.to_string() == name))
        };
        self.address.as_str() == address || matches!(&self.what, Difference::Wals { files, .. } if is_file(files))
    }

    /// Whether a pattern names it, or a part of it.
    pub fn is_named_by(&self, pattern: &Pattern) -> bool {
        match &self.what {
            Difference::Wals { files, .. } => files.iter().any(|file| pattern.names_wal(file.name)),
            Difference::History { timeline, .. } => pattern.names("history", &format!("{:08X}", timeline.0)),
            Difference::Info { backup, .. } => pattern.names("info", backup.as_str()),
        }
    }
}

/// How what is here differs from the primary's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", content = "of", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Difference {
    /// WAL files that are whole here, and have another size at the primary; or the same, and a backup that comes needs one
    /// that was archived at another time.
    Wals {
        /// The segments, as a range for readers; `None` when there is no whole segment among them.
        range: Option<WalRange>,
        /// The files, sorted by name; never empty.
        files: Vec<HeldFile>,
    },
    /// A history file that can be read here, and has another size at the primary.
    History {
        /// Its timeline.
        timeline: Timeline,
        /// Bytes here.
        here: u64,
        /// Bytes at the primary.
        there: u64,
    },
    /// A published backup whose backup.info says something else than the primary's of what a restore rests on.
    Info {
        /// The backup.
        backup: BackupId,
        /// The keys with both values; never empty.
        keys: Vec<HeldKey>,
    },
}

/// A WAL file with its sizes at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldFile {
    /// Its name.
    pub name: WalName,
    /// Bytes here.
    pub here: u64,
    /// Bytes at the primary.
    pub there: u64,
}

/// A key of backup.info with its values at both ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldKey {
    /// The key.
    pub key: String,
    /// What it says here.
    pub here: String,
    /// What the primary says; `None` when that is null.
    pub there: Option<String>,
}

/// What a published backup says otherwise than the primary of what a restore rests on; nothing when it is accepted.
pub fn info(policy: &Policy, published: &Published, there: &PrimaryBackup) -> Vec<HeldKey> {
    let keys = conflicts(published, there);
    if accepts(policy, "info", published.facts.id.as_str()) { Vec::new() } else { keys }
}

/// The same, accepted or not. What was encoded twice is compared as it should be.
pub fn conflicts(published: &Published, there: &PrimaryBackup) -> Vec<HeldKey> {
    let (ours, theirs) = (published.info.repaired(), there.info.repaired());
    let key = |key: &'static str| HeldKey {
        key: key.to_owned(),
        here: ours.get(key).unwrap_or_default().to_owned(),
        there: theirs.get(key).map(str::to_owned),
    };
    ours.restore_conflicts(&theirs).into_iter().map(key).collect()
}

/// Whether a person lets the primary's thing of this kind and name replace the one here.
pub fn accepts(policy: &Policy, kind: &str, name: &str) -> bool {
    policy.accept.iter().any(|pattern| pattern.names(kind, name))
}

/// Whether a person lets the primary's WAL file of this name replace the one here.
pub fn accepts_wal(policy: &Policy, name: WalName) -> bool {
    policy.accept.iter().any(|pattern| pattern.names_wal(name))
}

/// What waits of WAL files that were gathered into runs.
pub fn wals(names: Names<'_>, runs: &[Run<HeldFile>]) -> impl Iterator<Item = Held> {
    runs.iter().map(move |(range, files)| Held {
        address: names.wals(*range, files.first().map(|file| file.name)),
        what: Difference::Wals { range: *range, files: files.clone() },
    })
}

/// The keys of what waits.
pub fn names(keys: &[HeldKey]) -> BTreeSet<&str> {
    keys.iter().map(|key| key.key.as_str()).collect()
}
