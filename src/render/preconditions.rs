//! What an action relies on, in words.

use std::borrow::Cow;

use crate::barman::layout::ServerDirs;
use crate::plan::reason::Blocker;
use crate::plan::saved::preconditions::{Precondition, Side, Tally, Topic, Value};

use super::reason::xlogdb as finding;
use crate::english::{count, exact, list};

/// What a precondition is about.
pub fn topic(topic: Topic) -> &'static str {
    match topic {
        Topic::Directories => "its directories",
        Topic::Barman => "the Barman that reads them",
        Topic::Forbidden => "what forbids a change",
        Topic::SegmentSizes => "its segment size",
        Topic::Systems => "its systems",
        Topic::Activity => "the server",
        Topic::Server => "the server's directory",
        Topic::XlogDb => "xlog.db",
        Topic::SyncWals => "sync-wals.info",
        Topic::History => "the history file",
        Topic::WalFiles => "the files",
        Topic::WalFile => "the file",
        Topic::WalNeeded => "what needs them",
        Topic::Backup => "the backup",
        Topic::BaseFiles => "its files",
        Topic::BackupInfo => "its backup.info",
        Topic::Metadata => "its metadata",
        Topic::Place => "its place",
        Topic::Keep => "its keep annotation",
        Topic::Unlinked => "tablespaces that no link leads to",
        Topic::NeededWal => "the WAL that it needs",
        Topic::Parent => "the backup that it builds on",
        Topic::Basis => "the backup whose files it shares",
        Topic::Children => "what builds on it",
        Topic::Staging => "what an interrupted copy left",
        Topic::Selection => "the selection",
        Topic::PruneUnselected => "`prune.unselected`",
        Topic::PruneGone => "`prune.gone_at_primary`",
        Topic::FullBackups => "what stays recoverable",
        Topic::MaxPrune => "`protect.max_prune`",
    }
}

/// Where a precondition holds.
pub fn side(side: Side) -> &'static str {
    match side {
        Side::Here => "here",
        Side::Primary => "at the primary",
        Side::Desired => "by the site file",
    }
}

/// What a precondition is about, and what was found.
pub fn precondition(precondition: &Precondition) -> String {
    format!("{}: {}", topic(precondition.topic), value(precondition.topic, &precondition.value))
}

/// What was found of a topic.
pub fn value(topic: Topic, value: &Value) -> Cow<'static, str> {
    match (topic, value) {
        (Topic::Keep, Value::Absent) => "none".into(),
        (Topic::Basis, Value::Of(backup, state)) if **state == Value::Complete => {
            format!("{backup}: here and whole").into()
        }
        (_, Value::Of(backup, state)) => format!("{backup}: {}", self::value(topic, state)).into(),
        (Topic::Children | Topic::WalNeeded, Value::Nothing) => "nothing that stays".into(),
        (Topic::WalNeeded, Value::Unknown) => "nobody can tell, or nothing may be deleted".into(),
        (_, value) => plain(value).map_or_else(|| told(value).into(), Cow::Borrowed),
    }
}

/// A value that has no parts.
fn plain(value: &Value) -> Option<&'static str> {
    Some(match value {
        Value::Absent => "absent",
        Value::Present => "present",
        Value::AbsentOrUnreadable => "absent or unreadable",
        Value::Nothing => "nothing",
        Value::Unknown => "nobody can tell",
        Value::SystemsForgotten => "not known any more, as no backup is left that tells",
        Value::Unpublished => "an unpublished base",
        Value::BeingDeleted => "being deleted",
        Value::CloudSnapshot => "a snapshot of cloud volumes",
        Value::Unreadable => "unreadable",
        Value::Unusable => "not there, or not complete",
        Value::Copied => "copied by this plan",
        Value::Complete => "complete",
        Value::NotWhole => "damaged",
        Value::AsPlanned => "as the plan has it",
        Value::Reworded => "worded differently",
        Value::WhereRead => "where the site's Barman looks",
        Value::WhereNotRead => "where the site's Barman does not look",
        Value::Selected(true) => "selected",
        Value::Selected(false) => "left out",
        Value::Allowed(true) => "true",
        Value::Allowed(false) => "false",
        Value::Kept => "kept",
        Value::Active => "active",
        _ => return None,
    })
}

/// A value with its parts.
fn told(value: &Value) -> String {
    match value {
        Value::Bytes(size) => count(*size, "byte"),
        Value::Directories(dirs) => directories(dirs),
        Value::Barman(version) => version.to_string(),
        Value::Forbidden(blocker) => forbidden(blocker),
        Value::SegmentSizes(sizes) => known(sizes.iter().map(|size| count(size.bytes(), "byte"))),
        Value::Systems(systems) => known(systems.iter().map(ToString::to_string)),
        Value::Lines { count: lines, sha256, findings } => {
            let lines = format!("{} to read, sha256 {sha256}…", count(*lines, "line"));
            let findings = findings.iter().map(|found| finding(*found));
            std::iter::once(lines).chain(findings).collect::<Vec<_>>().join(", ")
        }
        Value::Position { name, offset } => format!("{name} at {offset}"),
        Value::History { size, left } => {
            let left = left.map(|(timeline, at)| format!(", left timeline {timeline} at {at}"));
            format!("{}{}", count(*size, "byte"), left.unwrap_or_default())
        }
        Value::Tally(tally) => tallied(*tally),
        Value::Among { present: 0, files, .. } => format!("none of {}", count(*files, "file")),
        Value::Among { present, files, bytes } => {
            format!("{} of {}, {}", exact(*present), count(*files, "file"), count(*bytes, "byte"))
        }
        Value::Wanted(name) => format!("{name} is still wanted"),
        Value::Published { size } => format!("published{}", sized(*size)),
        Value::Unfinished(status) => format!("never finished ({status})"),
        Value::Archived { status, wal, size, system } => {
            let wal = wal.map(|(begin, end)| format!(", begin_wal {begin}, end_wal {end}"));
            let system = system.map(|system| format!(", system {system}"));
            format!("{status}{}{}{}", wal.unwrap_or_default(), sized(*size), system.unwrap_or_default())
        }
        Value::Damaged { files, first } => {
            let first = first.as_ref().map(|file| format!(", the first {}", file.display())).unwrap_or_default();
            format!("{} missing or of another size{first}", count(*files, "file"))
        }
        Value::DiffersIn(keys) => {
            let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
            format!("different in {}", keys.join(", "))
        }
        Value::Keep(keep) => keep.to_string(),
        Value::Oids(oids) if oids.is_empty() => "none".to_owned(),
        Value::Oids(oids) => oids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        Value::Segments { present, all } => {
            let part = if present == all { "all".to_owned() } else { exact(*present) };
            format!("{part} of {}, here or by this plan", count(*all, "segment"))
        }
        Value::Backup(id) => format!("backup {id}"),
        Value::AtLeast(n) => format!("{} or more", count(*n, "full backup")),
        Value::Count(n) => count(*n, "full backup"),
        Value::Exceeded { most, planned } => format!("{most} at once, and the plan deletes {planned}"),
        Value::Inactive(sentence) => sentence.clone(),
        value => plain(value).unwrap_or_default().to_owned(),
    }
}

fn sized(size: Option<u64>) -> String {
    size.map(|size| format!(", {}", count(size, "byte"))).unwrap_or_default()
}

fn known(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    if words.is_empty() { "not known yet".to_owned() } else { list(&words) }
}

fn tallied(tally: Tally) -> String {
    let Tally { files, bytes, as_planned, first } = tally;
    let Some((name, found)) = first else {
        return format!("{} with the planned {}", count(files, "file"), count(bytes, "byte"));
    };
    let state = found.map_or_else(|| "is gone".to_owned(), |size| format!("has {}", count(size, "byte")));
    format!("{} of {} as planned; {name} {state}", exact(as_planned), count(files, "file"))
}

fn forbidden(blocker: &Blocker) -> String {
    match blocker {
        Blocker::OtherSite { site, .. } => format!("site {site} has a replica of this name in the same catalog"),
        Blocker::RunHere => "the site's own Barman takes backups of a server with this name".to_owned(),
        Blocker::NotPassive { backup, .. } => format!("backup {backup} was taken here"),
        Blocker::OtherSystem { new, backup, .. } => format!("backup {backup} is of the new system {new}"),
        Blocker::Inactive(sentence) => format!("its primary says: {sentence}"),
        Blocker::CopyOfOurs => "the server at its primary is a copy of this replica".to_owned(),
        Blocker::OwnCatalog => "its primary is the catalog of this site itself".to_owned(),
        Blocker::TooFewLeft { .. } => "too few recoverable backups would be left".to_owned(),
    }
}

/// Every directory that a change may touch.
fn directories(dirs: &ServerDirs) -> String {
    let paths = dirs.all().map(|path| path.display().to_string());
    format!("{} of {}", paths.join(", "), dirs.server)
}
