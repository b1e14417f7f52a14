//! The part of the desired state that decides what is planned, by key path: a saved plan carries it, so that a change
//! is noticed and can be named.
//!
//! A comment, another order or another spelling of the same is no change. Neither is a key that only says how fast bytes
//! are moved, how long is waited or what is measured (`bandwidth`, `streams`, `timeouts`, `objective`): these are taken
//! from the site file of the apply.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::barman::ids::ServerName;
use crate::site::KeyPath;
use crate::site::model::{Access, Policy, Primary, Replica, Reuse, Site, WalsFrom};

/// Keys and their values in one form.
pub type Keys = BTreeMap<String, String>;

/// What decides a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Desired {
    /// `catalog.path`
    pub catalog: PathBuf,
    /// The primaries, by their names. How one is reached may hold a secret and is here as a digest.
    pub primaries: BTreeMap<String, Keys>,
    /// The replicas, those of mirrors too, by their names at the site.
    pub replicas: BTreeMap<ServerName, Keys>,
}

/// A key that has another value than a plan was made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedKey {
    /// Where it is in the site file.
    pub path: String,
    /// Its value when the plan was made; `None` when it was not there.
    pub planned: Option<String>,
    /// Its value now.
    pub now: Option<String>,
}

impl Desired {
    /// What a site wants. `replicas` holds those that the site file names and those that its mirrors stand for.
    pub fn of(site: &Site, replicas: &[Replica]) -> Self {
        Self {
            catalog: site.catalog.path.clone(),
            primaries: site.primaries.values().map(|primary| (primary.name.clone(), access(primary))).collect(),
            replicas: replicas.iter().map(|replica| (replica.name.clone(), wanted(replica))).collect(),
        }
    }

    /// The keys of one replica that are not what they were, those of its primary and of the catalog included.
    pub fn changes(&self, now: &Self, site: &Site, replica: &ServerName) -> Vec<ChangedKey> {
        let mut changes = Vec::new();
        if self.catalog != now.catalog {
            let text = |path: &PathBuf| Some(path.display().to_string());
            changes.push(ChangedKey {
                path: "catalog.path".to_owned(),
                planned: text(&self.catalog),
                now: text(&now.catalog),
            });
        }
        let none = Keys::new();
        let [planned, wanted] = [self, now].map(|desired| desired.replicas.get(replica).unwrap_or(&none));
        if wanted.is_empty() {
            let primary = planned.get("primary").map(|primary| format!("primary: {primary}"));
            changes.push(ChangedKey { path: place(site, replica, planned).to_string(), planned: primary, now: None });
            return changes;
        }
        changes.extend(differences(&place(site, replica, wanted), planned, wanted));
        // A replica that is of another primary now says so itself.
        let primary = wanted.get("primary").filter(|primary| planned.get("primary") == Some(primary));
        if let Some(primary) = primary {
            let of = |desired: &Self| desired.primaries.get(primary).cloned().unwrap_or_default();
            changes.extend(differences(&KeyPath::new(["primaries", primary]), &of(self), &of(now)));
        }
        changes
    }
}

/// Where a replica stands in the site file: by its name, or as one that a mirror stands for.
fn place(site: &Site, replica: &ServerName, keys: &Keys) -> KeyPath {
    let mirror = site.mirrors.iter().position(|mirror| keys.get("primary") == Some(&mirror.primary));
    match mirror.filter(|_| !site.replicas.contains_key(replica)) {
        Some(index) => KeyPath::new(["mirrors"]).item(index),
        None => KeyPath::new(["replicas", replica.as_str()]),
    }
}

fn differences(place: &KeyPath, planned: &Keys, now: &Keys) -> Vec<ChangedKey> {
    let keys: BTreeSet<&String> = planned.keys().chain(now.keys()).collect();
    let change = |key: &String| ChangedKey {
        path: format!("{place}.{key}"),
        planned: planned.get(key).cloned(),
        now: now.get(key).cloned(),
    };
    keys.into_iter().map(change).filter(|change| change.planned != change.now).collect()
}

fn wanted(replica: &Replica) -> Keys {
    // Each key by name, so that one which is added to the policy is thought of here.
    // What is accepted is part of the actions that it allows, with its reason; who applies a plan that was reviewed goes by
    // no schedule.
    let Policy {
        backups,
        wals_from,
        prune,
        protect,
        transfer,
        rpo: _,
        max_silence: _,
        accept_systems,
        accept: _,
        schedule: _,
        auto: _,
        rto: _,
        drill: _,
    } = &replica.policy;
    let from = match wals_from {
        WalsFrom::OldestBackup => "oldest-backup",
        WalsFrom::NewestBackup => "newest-backup",
        WalsFrom::BackupsOnly => "backups-only",
    };
    let reuse = match transfer.reuse {
        Reuse::Auto => "auto",
        Reuse::Link => "link",
        Reuse::Reflink => "reflink",
        Reuse::Copy => "copy",
        Reuse::None => "none",
    };
    let systems: Vec<String> = accept_systems.iter().map(ToString::to_string).collect();
    keys([
        ("primary", replica.primary.clone()),
        ("server", replica.server.to_string()),
        ("backups", backups.to_string().replace('`', "")),
        ("wals.from", from.to_owned()),
        ("prune.unselected", prune.unselected.to_string()),
        ("prune.gone_at_primary", prune.gone_at_primary.to_string()),
        ("protect.min_backups", protect.min_backups.to_string()),
        ("protect.max_prune", format!("{}%", protect.max_prune_percent)),
        ("transfer.reuse", reuse.to_owned()),
        ("accept_systems", format!("[{}]", systems.join(", "))),
    ])
}

fn access(primary: &Primary) -> Keys {
    let config = primary.barman_config.iter();
    let barman = digest(primary.barman_command.iter().chain(config));
    match &primary.access {
        Access::Ssh { words } => keys([("ssh", digest(words)), ("barman", barman)]),
        Access::Path(path) => keys([("path", path.display().to_string())]),
    }
}

fn keys<const N: usize>(pairs: [(&str, String); N]) -> Keys {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Words that may hold a secret, so that only a change of them can be told.
fn digest<'a>(words: impl IntoIterator<Item = &'a String>) -> String {
    let mut hasher = Sha256::new();
    for word in words {
        hasher.update((word.len() as u64).to_le_bytes());
        hasher.update(word);
    }
    format!("sha256 {}", hex(&hasher.finalize()))
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
