//! What a verification came to, for programs: `verify --format json`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::barman::ids::BackupId;
use crate::barman::verified::{Amount, Verified};
use crate::error::Error;
use crate::scrub::reads::Subject;
use crate::scrub::{Difference, Ended};

use super::reason::shown;
use super::verification::Told;

/// The version of the form.
const FORMAT_VERSION: u32 = 1;

/// What the verification of a site came to.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Antipode verification", deny_unknown_fields)]
pub struct VerificationDocument<'a> {
    /// The version of this form.
    #[schemars(extend("const" = 1))]
    format_version: u32,
    /// The site's name.
    site: &'a str,
    /// The replicas that were verified.
    replicas: Vec<Replica<'a>>,
    /// Why others could not be.
    errors: Vec<String>,
}

/// What the verification of a replica came to.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Replica<'a> {
    /// Its name.
    name: &'a str,
    /// Whether nothing is damaged, missing or unreadable of all that was looked at.
    good: bool,
    /// Whether all that was asked for was read; else there was no more time.
    complete: bool,
    /// What was read now.
    read: Amount,
    /// How long that took.
    seconds: f64,
    /// What is damaged: what was found now, and what was found before and is not mended.
    damaged: Vec<Damage>,
    /// What was damaged, and is what was written again.
    mended: Vec<File>,
    /// Files that nothing tells the content of, and that were noted now as they are.
    noted: Amount,
    /// Backups of which the note of what arrived was damaged itself, and so says nothing.
    broken_notes: Vec<String>,
    /// Where names and sizes are not what they must be.
    differences: Vec<Different>,
    /// What nobody could open or read.
    unreadable: Vec<Unreadable>,
    /// Backups with files that their manifests do not list.
    unlisted: Vec<Unlisted>,
    /// How far all that is here was read by now.
    standing: Option<Verified>,
}

/// A file, by where it belongs.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(deny_unknown_fields)]
enum File {
    /// One of a backup.
    Backup {
        /// The backup.
        id: String,
        /// Its path below the backup's directory, as text.
        path: String,
    },
    /// A WAL file, by its name.
    Wal(String),
}

/// A file that is not what was written.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Damage {
    /// Which.
    file: File,
    /// What is wrong with it.
    why: String,
    /// When it was found.
    #[schemars(with = "String", extend("format" = "date-time"))]
    found: Timestamp,
    /// Whether what the primary sent in its place was damaged too.
    shared_by_primary: bool,
    /// Other names of the same file, which are damaged with it.
    also: Vec<File>,
}

/// Where names and sizes are not what they must be.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(deny_unknown_fields)]
enum Different {
    /// A file of a backup is missing, or has another size.
    File(File),
    /// So many WAL files are not in xlog.db.
    NotListed(u64),
    /// So many lines of xlog.db have no file.
    NotOnDisk(u64),
    /// So many lines of xlog.db have another size than their files.
    OtherSize(u64),
    /// So many lines of xlog.db are doubled, out of order, or none at all.
    Disordered(u64),
}

/// A file that nobody could open or read.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Unreadable {
    /// Which.
    file: File,
    /// What the system said.
    why: String,
}

/// A backup with files that its manifest does not list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Unlisted {
    /// The backup.
    id: String,
    /// How many.
    count: u64,
    /// The first.
    first: String,
}

/// The verification as JSON.
pub fn verification_json(site: &str, told: &[Told], errors: &[Error]) -> String {
    let document = VerificationDocument {
        format_version: FORMAT_VERSION,
        site,
        replicas: told.iter().map(replica).collect(),
        errors: errors.iter().map(|error| error.message.clone()).collect(),
    };
    // Texts, numbers and times: it always has a text form.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn replica(told: &Told) -> Replica<'_> {
    let outcome = &told.outcome;
    let damaged = outcome.damaged.iter().map(|damaged| Damage {
        file: file(&damaged.subject),
        why: damaged.why.clone(),
        found: damaged.found,
        shared_by_primary: damaged.is_shared,
        also: damaged.others.iter().map(file).collect(),
    });
    let unlisted = outcome.unlisted.iter().map(|(id, (count, first))| Unlisted {
        id: id.to_string(),
        count: *count,
        first: shown(first),
    });
    let unreadable =
        outcome.unreadable.iter().map(|(subject, why)| Unreadable { file: file(subject), why: why.clone() });
    Replica {
        name: told.name.as_str(),
        good: outcome.is_good(),
        complete: outcome.ended == Ended::Done,
        read: outcome.read,
        seconds: told.took.as_secs_f64(),
        damaged: damaged.collect(),
        mended: outcome.mended.iter().map(file).collect(),
        noted: outcome.noted,
        broken_notes: outcome.broken_notes.iter().map(BackupId::to_string).collect(),
        differences: outcome.differences.iter().map(different).collect(),
        unreadable: unreadable.collect(),
        unlisted: unlisted.collect(),
        standing: outcome.standing,
    }
}

fn file(subject: &Subject) -> File {
    match subject {
        Subject::OfBase(id, path) => File::Backup { id: id.to_string(), path: shown(path) },
        Subject::Wal(name) => File::Wal(name.to_string()),
    }
}

fn different(difference: &Difference) -> Different {
    match difference {
        Difference::File(id, path) => Different::File(File::Backup { id: id.to_string(), path: shown(path) }),
        Difference::NotListed(count) => Different::NotListed(*count),
        Difference::NotOnDisk(count) => Different::NotOnDisk(*count),
        Difference::OtherSize(count) => Different::OtherSize(*count),
        Difference::Disordered(count) => Different::Disordered(*count),
    }
}
