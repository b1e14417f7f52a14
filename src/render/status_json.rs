//! How the replicas stand, for programs: `status --format json`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::barman::verified::Verified;
use crate::error::{Error, Kind};
use crate::plan::cost::totals::Totals;
use crate::plan::recovery::origin::Origin;
use crate::plan::status::drilled::Drilled;
use crate::plan::status::ongoing::Ongoing;
use crate::plan::status::vanished::{Detached, Vanished};
use crate::plan::status::{Keeper, ReplicaStatus, Verdict};
use crate::plan::{Outcome, ReplicaPlan};
use crate::schedule::Suspension;

use super::remarks::Remark;
use super::status::{Told, reasons};

/// The version of the form.
const FORMAT_VERSION: u32 = 1;

/// How the replicas of a site stand.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Antipode status", deny_unknown_fields)]
pub struct StatusDocument {
    /// The version of this form.
    #[schemars(extend("const" = 1))]
    format_version: u32,
    /// The site's name.
    site: String,
    /// When it was looked at.
    #[schemars(with = "String", extend("format" = "date-time"))]
    observed_at: Timestamp,
    /// Whether every objective is kept, every replica is recoverable, none without an objective is incomplete, and what is
    /// wanted fits here.
    objectives_kept: bool,
    /// The process that keeps the site by itself; null when there is none.
    keeper: Option<Keeper>,
    /// In the order of their names.
    replicas: Vec<Replica>,
    /// Servers that are copied no longer, and of which something is at the site, in the order of their names.
    vanished: Vec<Vanished>,
    /// Those of which somebody said that they stay as they are, in the order of their names.
    detached: Vec<Detached>,
    /// What could not be looked at.
    errors: Vec<Error>,
}

/// How one replica stands.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Replica {
    /// Its name at the site.
    name: String,
    /// The primary's name in the site file.
    primary: String,
    /// The server's name at the primary.
    server: String,
    /// All in a word or two.
    verdict: Verdict,
    /// What sort of thing kept it or its primary from being looked at; null when both were.
    unobserved: Option<Kind>,
    /// What can be recovered; null when nothing can.
    recovery_window: Option<RecoveryWindow>,
    /// How far the window's end is behind the primary's newest WAL; null when the primary did not say.
    lag: Option<Lag>,
    /// How far the origin is; null where the primary is the origin itself, or did not say.
    origin: Option<Origin>,
    /// The recovery point objective; null when there is none.
    objective: Option<Objective>,
    /// How long nothing was heard of the primary; null when that is not watched.
    silence: Option<Silence>,
    /// When the last apply that did all of its work for this replica ended; null when that is not known.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    last_apply: Option<Timestamp>,
    /// Its backups, counted.
    backups: Backups,
    /// How far what is here was read to its end by `verify`; null when nobody knows.
    verified: Option<Verified>,
    /// How many files here were read, are not what was written, and are not mended.
    damaged_files: u64,
    /// What the last drills of it showed; null where none was made.
    drilled: Option<Drilled>,
    /// The run that is at work on it; null when there is none.
    ongoing: Option<Ongoing>,
    /// What was said of it when it was suspended; null when it is not.
    suspended: Option<Suspension>,
    /// What the process that keeps the site leaves to a person; null when there is none.
    waits_for_person: Option<Totals>,
    /// What is behind the verdict, for people.
    reasons: Vec<Reason>,
}

/// From the oldest recoverable point to the newest without a gap.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RecoveryWindow {
    /// When its oldest backup ended; null when that is not known.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    from: Option<Timestamp>,
    /// When its last segment was archived; null when that is not known.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    to: Option<Timestamp>,
    /// Seconds since then.
    age_seconds: Option<u64>,
}

/// How far a window's end is behind the primary's newest WAL.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Lag {
    /// Segments that the primary archived after it.
    segments: u64,
    /// Their stored bytes.
    bytes: u64,
    /// Seconds between the two archivings; null when that is not known.
    seconds: Option<u64>,
}

/// A recovery point objective, and how it is kept.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Objective {
    /// `objective.rpo` of the site file, in seconds.
    rpo_seconds: u64,
    /// What would be lost: the lag or, where the primary did not say, at most the age of the newest WAL. Where the primary is a
    /// copy itself, at most the lag against the origin and the time since that was looked at.
    loss_seconds: Option<u64>,
    /// Whether that is within the objective.
    kept: bool,
}

/// For how long a replica was not known to follow its primary.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Silence {
    /// `objective.max_silence` of the site file, in seconds.
    max_seconds: u64,
    /// Seconds since it was level with its primary, or an apply did all there was to do; null when that is not known.
    silent_seconds: Option<u64>,
    /// Whether that is not too long.
    kept: bool,
}

/// Backups, counted.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Backups {
    /// Those here that are published and whole.
    here: usize,
    /// Those of them that were not looked at now, but found whole by an earlier run: `--depth`.
    looked_at_earlier: usize,
    /// When the first of these was looked at; null when all were looked at now.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    oldest_look: Option<Timestamp>,
    /// The oldest look at the WAL here, on which the same rests; null when all of it was looked at now.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    wals_looked_at: Option<Timestamp>,
    /// Those of them that can be recovered.
    recoverable: usize,
    /// Those that the site is to have; null when the primary did not say.
    wanted: Option<usize>,
    /// Those at the primary that can be copied; null when the primary did not say.
    at_primary: Option<usize>,
}

/// A sentence.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Reason {
    /// `error`, `hint`, `warning` or `note`.
    kind: String,
    /// What is said.
    message: String,
}

/// How the replicas stand as JSON.
pub fn status_json(told: Told<'_>, errors: &[Error]) -> String {
    let all = told.status.replicas.iter().zip(&told.plan.replicas);
    let sentence = |remark: Remark| Reason { kind: remark.label.to_owned(), message: super::clean(&remark.sentence) };
    let document = StatusDocument {
        format_version: FORMAT_VERSION,
        site: told.status.site.clone(),
        observed_at: told.now,
        objectives_kept: !told.status.is_missed(),
        keeper: told.status.keeper.clone(),
        replicas: all
            .map(|(status, plan)| {
                replica(status, unobserved(plan), reasons(status, plan).into_iter().map(sentence).collect())
            })
            .collect(),
        vanished: told.status.vanished.clone(),
        detached: told.status.detached.clone(),
        errors: errors.iter().cloned().map(|error| error.rewritten(super::clean)).collect(),
    };
    // Maps with texts as keys, and finite numbers: it always has a text form.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn unobserved(plan: &ReplicaPlan) -> Option<Kind> {
    match &plan.outcome {
        Outcome::Unobserved(error) => Some(error.kind),
        Outcome::Planned | Outcome::Inactive(_) | Outcome::Blocked(_) => None,
    }
}

fn replica(status: &ReplicaStatus, unobserved: Option<Kind>, reasons: Vec<Reason>) -> Replica {
    let recovery = &status.recovery;
    let seconds = |seconds: i64| u64::try_from(seconds).ok();
    Replica {
        name: status.name.to_string(),
        primary: status.primary.clone(),
        server: status.server.to_string(),
        verdict: status.verdict,
        unobserved,
        recovery_window: recovery.window.map(|_| RecoveryWindow {
            from: recovery.from,
            to: recovery.to,
            age_seconds: status.age,
        }),
        lag: recovery.lag.map(|lag| Lag {
            segments: lag.segments,
            bytes: lag.bytes,
            seconds: lag.seconds.and_then(seconds),
        }),
        origin: recovery.origin,
        objective: status.objective.map(|objective| Objective {
            rpo_seconds: objective.rpo,
            loss_seconds: objective.loss,
            kept: objective.kept,
        }),
        silence: status.silence.map(|silence| Silence {
            max_seconds: silence.most,
            silent_seconds: silence.silent,
            kept: silence.kept,
        }),
        last_apply: status.last_apply,
        backups: Backups {
            here: status.backups.here,
            looked_at_earlier: status.backups.looked_at_earlier,
            oldest_look: status.backups.oldest_look,
            wals_looked_at: status.backups.wals_looked_at,
            recoverable: recovery.backups,
            wanted: status.backups.wanted,
            at_primary: status.backups.at_primary,
        },
        verified: status.verified,
        damaged_files: status.damaged,
        drilled: status.drilled.clone(),
        ongoing: status.ongoing.clone(),
        suspended: status.suspended.clone(),
        waits_for_person: status.waits_for_person,
        reasons,
    }
}
