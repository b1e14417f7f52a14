//! Every series by name, kind, labels and meaning: one table, which the documentation repeats.
//!
//! Names and units are Prometheus': seconds, bytes, `_total` behind what only grows, `_timestamp_seconds` behind a moment
//! in Unix time.

/// A family of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    /// Its name.
    pub name: &'static str,
    /// How its samples behave.
    pub kind: Kind,
    /// The names of its labels; the first is `site`.
    pub labels: &'static [&'static str],
    /// What a sample means, in a sentence.
    pub help: &'static str,
}

/// How the samples of a series behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They come and go.
    Gauge,
    /// They only grow.
    Counter,
    /// They count durations by their length.
    Histogram,
}

impl Kind {
    /// As it stands behind `# TYPE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// Names series, and lists them.
macro_rules! series {
    ($(#[$doc:meta])* $all:ident: $($id:ident: $kind:ident $name:ident($($label:ident)*) $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $id: Series = Series {
                name: stringify!($name),
                kind: Kind::$kind,
                labels: &[$(stringify!($label)),*],
                help: $help,
            };
        )*
        $(#[$doc])*
        pub const $all: &[Series] = &[$($id),*];
    };
}

series! {
    /// How a site stands, as it was looked at last. Without a look there is no sample.
    STATE:
    BUILD_INFO: Gauge antipode_build_info(site version) "Always 1: which antipode wrote this.";
    OBSERVED: Gauge antipode_observed_timestamp_seconds(site)
        "When all replicas were looked at for what is told of how they stand.";
    OBJECTIVES_KEPT: Gauge antipode_objectives_kept(site)
        "Whether every objective is kept, every replica is recoverable, and what is wanted fits here.";
    SITE_ERRORS: Gauge antipode_site_errors(site)
        "Mirrors that could not be resolved: their primaries did not say which servers they have, or names clash.";
    VANISHED: Gauge antipode_replica_vanished(site replica primary cause)
        "Always 1: a server of which something is here, and that nobody copies.";
    VERDICT: Gauge antipode_replica_verdict(site replica primary verdict)
        "How the replica stands: 1 for the verdict that holds, 0 for the others.";
    IS_OBSERVED: Gauge antipode_replica_observed(site replica primary)
        "Whether both ends could be looked at.";
    SUSPENDED: Gauge antipode_replica_suspended(site replica primary)
        "Whether somebody suspended it.";
    SUSPENDED_SINCE: Gauge antipode_replica_suspended_since_timestamp_seconds(site replica primary)
        "Since when it is suspended.";
    SUSPENDED_UNTIL: Gauge antipode_replica_suspended_until_timestamp_seconds(site replica primary)
        "Until when it is suspended, where that was said.";
    WINDOW_START: Gauge antipode_replica_recovery_window_start_timestamp_seconds(site replica primary)
        "The earliest moment that can be recovered: when the oldest recoverable backup ended.";
    WINDOW_END: Gauge antipode_replica_recovery_window_end_timestamp_seconds(site replica primary)
        "The latest moment that can be recovered without a gap: when the last segment was archived.";
    LAG_SEGMENTS: Gauge antipode_replica_lag_segments(site replica primary)
        "WAL segments that the primary archived after the end of the recovery window.";
    LAG_BYTES: Gauge antipode_replica_lag_bytes(site replica primary)
        "Stored bytes of these segments.";
    LAG_SECONDS: Gauge antipode_replica_lag_seconds(site replica primary)
        "Seconds from the end of the recovery window to the newest WAL of the primary.";
    RPO: Gauge antipode_replica_objective_rpo_seconds(site replica primary)
        "The recovery point objective: `objective.rpo` of the site file.";
    LOSS: Gauge antipode_replica_objective_loss_seconds(site replica primary)
        "What would be lost now: the lag or, where the primary did not say, at most the age of the newest WAL.";
    OBJECTIVE_KEPT: Gauge antipode_replica_objective_kept(site replica primary)
        "Whether that is within the objective, and can be shown.";
    ORIGIN_LAG: Gauge antipode_replica_origin_lag_seconds(site replica primary)
        "Seconds from the end of the recovery window to the newest WAL of the origin, where the primary is a copy itself.";
    ORIGIN_SEEN: Gauge antipode_replica_origin_seen_timestamp_seconds(site replica primary)
        "When the origin was looked at for that, by the first of the row.";
    SILENCE_LIMIT: Gauge antipode_replica_silence_limit_seconds(site replica primary)
        "`objective.max_silence` of the site file.";
    SILENCE: Gauge antipode_replica_silence_seconds(site replica primary)
        "Seconds since it was level with its primary, or an apply did all there was to do.";
    SILENCE_KEPT: Gauge antipode_replica_silence_kept(site replica primary)
        "Whether that is not too long.";
    LAST_APPLY: Gauge antipode_replica_last_apply_timestamp_seconds(site replica primary)
        "When the last apply ended that did all there was to do, by the note in the catalog.";
    BACKUPS: Gauge antipode_replica_backups(site replica primary state)
        "Backups: here and whole, recoverable of these, wanted, and at the primary; a backup may be several of these.";
    OLDEST_LOOK: Gauge antipode_replica_oldest_look_timestamp_seconds(site replica primary)
        "The oldest look at a backup or WAL here that this rests on; no sample when all was looked at now.";
    MISSING: Gauge antipode_replica_missing(site replica primary sort)
        "Things that are wanted and not here, and that an apply brings.";
    DAMAGED: Gauge antipode_replica_damaged(site replica primary sort)
        "Things here that are damaged, and that an apply repairs.";
    LACKING: Gauge antipode_replica_lacking(site replica primary cause)
        "Things that are wanted and that no apply can bring, by what is wrong.";
    UNPROVEN: Gauge antipode_replica_unproven_wal_files(site replica primary)
        "WAL files into which nobody can look: only their sizes are known to be right.";
    OLDEST_READ: Gauge antipode_replica_oldest_read_timestamp_seconds(site replica primary)
        "When the file here was read to its end that was not read for the longest time.";
    HERE_BYTES: Gauge antipode_replica_here_bytes(site replica primary)
        "Bytes of what is here, as the last verification counted them.";
    UNREAD_BYTES: Gauge antipode_replica_unread_bytes(site replica primary)
        "Bytes of these that were never read to their end as they are.";
    UNPROVEN_BYTES: Gauge antipode_replica_unproven_bytes(site replica primary)
        "Bytes of these that were read, and of which nothing tells what should be in them.";
    UNCHANGED_BYTES: Gauge antipode_replica_unchanged_bytes(site replica primary)
        "Bytes of these that are what they were when they arrived or were read first, and that nothing else proves.";
    DISPROVED: Gauge antipode_replica_damaged_files(site replica primary)
        "Files here that were read, are not what was written, and are not mended.";
    DRILLED: Gauge antipode_replica_drill_verdict(site replica primary verdict)
        "What the last drill came to: 1 for that, 0 for the others.";
    DRILL_DISPROVED: Gauge antipode_replica_drill_disproved(site replica primary)
        "Whether the last drill that could be run disproved something.";
    LAST_DRILL: Gauge antipode_replica_last_drill_timestamp_seconds(site replica primary)
        "When the last drill was made.";
    LAST_PROVED: Gauge antipode_replica_last_proved_drill_timestamp_seconds(site replica primary)
        "When the last drill was made that proved everything.";
    RECOVERY_TIME: Gauge antipode_replica_recovery_seconds(site replica primary)
        "How long a recovery took in that drill, until PostgreSQL took connections.";
    RECOVERY_FORECAST: Gauge antipode_replica_recovery_forecast_seconds(site replica primary)
        "How long a recovery to the newest point would take now at its pace.";
    RTO: Gauge antipode_replica_rto_seconds(site replica primary)
        "How long a recovery may take, by the site file.";
    PLANNED: Gauge antipode_replica_planned_actions(site replica primary verb)
        "Actions that an apply would do now.";
    TO_COPY: Gauge antipode_replica_to_copy_bytes(site replica primary)
        "Bytes that these bring from the primary, at the most.";
    TO_REUSE: Gauge antipode_replica_to_reuse_bytes(site replica primary)
        "Bytes that these take from backups that are here.";
    WAITING: Gauge antipode_replica_waiting(site replica primary reason)
        "What waits for a person: things held, backups not pruned, blockers, actions without approval.";
    FREE: Gauge antipode_replica_free_bytes(site replica primary)
        "Free bytes where its backups are, rounded down by less than a hundredth.";
    RESERVED: Gauge antipode_replica_reserved_bytes(site replica primary)
        "Bytes of these that are left free for WAL to come.";
    RUN_STARTED: Gauge antipode_replica_run_start_timestamp_seconds(site replica primary)
        "When the run began that is at work on it; no sample when none is.";
    RUN_PROGRESS: Gauge antipode_replica_run_progress_timestamp_seconds(site replica primary)
        "When bytes last arrived in that run, or a step last began or ended.";
}

series! {
    /// What a ledger holds of the runs so far.
    RECORD:
    LAST_OBSERVATION: Gauge antipode_replica_last_observation_timestamp_seconds(site replica primary)
        "When both its ends were last looked at.";
    LAST_PLAN: Gauge antipode_replica_last_plan_timestamp_seconds(site replica primary)
        "When it was last planned, and nothing forbade it.";
    APPLIES: Counter antipode_replica_applies_total(site replica primary result)
        "Applies, by how they ended.";
    APPLY_RESULT: Gauge antipode_replica_last_apply_result(site replica primary result)
        "How its last apply ended: 1 for the result that holds, 0 for the others.";
    ACTIONS: Counter antipode_replica_actions_total(site replica primary sort verb result)
        "Actions of applies, by what they are about, what they come to and how they ended.";
    COPIED: Counter antipode_replica_copied_bytes_total(site replica primary)
        "Bytes that applies brought from the primary, those of steps that failed included.";
    REUSED: Counter antipode_replica_reused_bytes_total(site replica primary)
        "Bytes that actions which were done took from backups here, as they were planned.";
    RETRIES: Counter antipode_replica_retries_total(site replica primary kind)
        "Attempts that failed and were made again, by the kind of error.";
    FAULTS: Counter antipode_replica_faults_total(site replica primary kind)
        "Observations and actions that failed, by the kind of error.";
    SITE_FAULTS: Counter antipode_site_faults_total(site kind)
        "Errors that no replica alone is to blame for, by their kind.";
    STAGE_DURATION: Histogram antipode_stage_duration_seconds(site stage)
        "How long it took to observe, to plan and to apply.";
    RUNS: Counter antipode_runs_total(site command result)
        "Runs of a command, by how they ended.";
    RUN_DURATION: Histogram antipode_run_duration_seconds(site command)
        "How long runs of a command took.";
    RUN_RESULT: Gauge antipode_last_run_result(site command result)
        "How the last run of a command ended: 1 for the result that holds, 0 for the others.";
    RUN_EXIT_CODE: Gauge antipode_last_run_exit_code(site command)
        "The exit code of the last run of a command.";
    RUN_BEGAN: Gauge antipode_last_run_start_timestamp_seconds(site command)
        "When the last run of a command began.";
    RUN_ENDED: Gauge antipode_last_run_end_timestamp_seconds(site command)
        "When the last run of a command ended, however it did.";
    RUN_SUCCEEDED: Gauge antipode_last_run_success_timestamp_seconds(site command)
        "When the last run of a command ended that did what it was to do.";
}

/// Every series, in the order in which they are written.
pub fn all() -> impl Iterator<Item = Series> {
    STATE.iter().chain(RECORD).copied()
}
