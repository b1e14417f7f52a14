//! Why a row is there: one short phrase for each typed reason.

#![deny(clippy::wildcard_enum_match_arm)]

use std::path::Path;

use crate::barman::ids::BackupId;
use crate::barman::keep::Keep;
use crate::observe::inventory::XlogFinding;
use crate::plan::action::{Action, Change};
use crate::plan::reason::Reason;

use crate::english::{count, exact, list, plural};

/// So many keys are named in a phrase; the lines below it show all.
const NAMED_KEYS: usize = 4;
/// So many findings are told in a phrase.
const SHORT_LIST: usize = 2;

/// The phrase for an action. `under` is the backup beneath which it is shown.
pub fn phrase(action: &Action, under: Option<BackupId>) -> String {
    let phrase = of_reason(&action.reason, under);
    match &action.change {
        Change::RepairWals(batch) => match batch.needed_by {
            Some(id) => format!("{phrase}; {}", needed_by(id, under)),
            None => phrase,
        },
        Change::RewriteSyncWals { from: Some((name, _)), to: (newest, _) } if name != newest => {
            format!("ends at {name}, the primary at {newest}")
        }
        Change::RewriteSyncWals { from: Some((_, here)), to: (_, there) } => {
            format!("position {} here, {} at the primary", exact(*here), exact(*there))
        }
        Change::CreateServer => format!("{phrase}: its directories, xlog.db and sync-wals.info"),
        Change::SetKeep { from: Some(from), to, .. } => {
            format!("`{}` here, `{}` at the primary", keep(*from), keep(*to))
        }
        Change::RepairXlogDb { .. }
        | Change::RewriteSyncWals { from: None, .. }
        | Change::ShipHistory { .. }
        | Change::AddWals(_)
        | Change::AddBackup(_)
        | Change::RepairBackup(_)
        | Change::UpdateInfo { .. }
        | Change::LinkTablespaces { .. }
        | Change::SetKeep { from: None, .. }
        | Change::RemoveBackup { .. }
        | Change::RemoveStaging { .. }
        | Change::RemoveWals { .. } => phrase,
    }
}

/// What is wrong with xlog.db, a line each, where that is too much for the phrase.
pub fn findings(reason: &Reason) -> Vec<String> {
    let Reason::XlogDb(findings) = reason else { return Vec::new() };
    if findings.len() > SHORT_LIST { findings.iter().map(|finding| xlogdb(*finding)).collect() } else { Vec::new() }
}

/// How Barman writes a keep annotation.
pub fn keep(keep: Keep) -> &'static str {
    match keep {
        Keep::Full => "full",
        Keep::Standalone => "standalone",
    }
}

fn of_reason(reason: &Reason, under: Option<BackupId>) -> String {
    match reason {
        Reason::MissingHere => "missing here".to_owned(),
        Reason::NeededBy(id) => format!("missing here, {}", needed_by(*id, under)),
        Reason::Interrupted(status) => format!("its copy was begun and never finished ({status})"),
        Reason::Unpublished => "its files are here, its backup.info is not".to_owned(),
        Reason::SizeDiffers { here, there, files } => size_differs(*here, *there, *files),
        Reason::ContentDamaged { files: 1 } => "damaged here".to_owned(),
        Reason::ContentDamaged { files } => format!("{} damaged here", count(*files, "file")),
        Reason::Accepted { here, there, files } => format!("{}; accepted", size_differs(*here, *there, *files)),
        Reason::InfoAccepted(conflicts) => {
            let keys: Vec<String> = conflicts.iter().map(|key| key.key.clone()).collect();
            format!("{} from the primary's; accepted", subject(&keys, "differs", "differ"))
        }
        Reason::Unlinked(n) => {
            format!(
                "no link in pg_tblspc leads to {}; a restore would lose what is in it",
                count(*n as u64, "tablespace")
            )
        }
        Reason::FilesDamaged(files) => {
            let first = files.first().map(|file| shown(file)).unwrap_or_default();
            match files.len() {
                0 | 1 => format!("{first} is missing or damaged"),
                n => format!("{first} and {} more are missing or damaged", exact(n as u64 - 1)),
            }
        }
        Reason::FilesDisproved { files, why } if files.len() < 2 => why.clone(),
        Reason::FilesDisproved { files, why } => {
            format!("{why}; and {} more missing or damaged", count(files.len() as u64 - 1, "file"))
        }
        Reason::ContentDisproved { files: 0 | 1, why } => why.clone(),
        Reason::ContentDisproved { files, why } => format!("{why}; and {} more damaged", count(files - 1, "file")),
        Reason::XlogDb(findings) if findings.len() > SHORT_LIST => format!("{} things are wrong", findings.len()),
        Reason::XlogDb(findings) => findings.iter().map(|finding| xlogdb(*finding)).collect::<Vec<_>>().join(", "),
        Reason::EncodedTwice(keys) => format!("{} encoded twice by Barman's own sync", subject(keys, "was", "were")),
        Reason::InfoDiffers(keys) => format!("{} from the primary's", subject(keys, "differs", "differ")),
        Reason::NotReadBy(version) => format!("Barman {version} does not look where it is"),
        Reason::KeptAtPrimary => "kept at the primary".to_owned(),
        Reason::SyncWalsBroken => "absent or unreadable; Barman's cron would trip over it".to_owned(),
        Reason::SyncWalsBehind => "says something else than the primary".to_owned(),
        Reason::InterruptedAndGone => "its copy was interrupted, and the primary no longer has it".to_owned(),
        Reason::NoRoom => "its copy was interrupted and does not fit; what is worth more needs the room".to_owned(),
        Reason::InterruptedAndUnselected => "its copy was interrupted, and it is not selected".to_owned(),
        Reason::Unselected(rules) => format!("not among {rules}; `prune.unselected` allows it"),
        Reason::GoneAtPrimary => "no longer at the primary; `prune.gone_at_primary` allows it".to_owned(),
        Reason::NoBackupNeedsIt => "no kept backup needs it".to_owned(),
    }
}

fn needed_by(id: BackupId, under: Option<BackupId>) -> String {
    if under == Some(id) { "needed by the backup".to_owned() } else { format!("needed by backup {id}") }
}

fn size_differs(here: u64, there: u64, files: u64) -> String {
    let (here, there) = (count(here, "byte"), exact(there));
    match files {
        0 | 1 => format!("here {here}, {there} at the primary"),
        _ => format!("the first has {here} here, {there} at the primary"),
    }
}

fn subject(keys: &[String], one: &str, many: &str) -> String {
    let mut names: Vec<String> = keys.iter().take(NAMED_KEYS).map(|key| format!("`{key}`")).collect();
    if keys.len() > NAMED_KEYS {
        names.push(format!("{} more", keys.len() - NAMED_KEYS));
    }
    format!("{} {}", list(&names), if keys.len() == 1 { one } else { many })
}

/// What is wrong with xlog.db.
pub fn xlogdb(finding: XlogFinding) -> String {
    let lines = |n| count(n, "line");
    match finding {
        XlogFinding::Missing => "missing here".to_owned(),
        XlogFinding::OtherName => "has the name that another version of Barman uses".to_owned(),
        XlogFinding::TooManyFields(n) => format!("{} with more fields than the site's Barman reads", lines(n)),
        XlogFinding::Unreadable(n) => format!("{} unreadable", lines(n)),
        XlogFinding::Unsorted(n) => format!("{} out of order", lines(n)),
        XlogFinding::Doubled(n) => format!("{} doubled", lines(n)),
        XlogFinding::NotListed(n) => format!("{} not listed", count(n, "file")),
        XlogFinding::NotOnDisk(n) => format!("{} without {} file", lines(n), if n == 1 { "its" } else { "their" }),
        XlogFinding::Differs(n) => format!("{} {} from the primary's", lines(n), plural_verb(n, "differ")),
    }
}

/// A verb in the number that `n` asks for.
fn plural_verb(n: u64, verb: &str) -> String {
    if n == 1 { plural(0, verb) } else { verb.to_owned() }
}

/// A path as text: its names may have any bytes.
pub fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}
