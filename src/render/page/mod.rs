//! The page of a site that is kept by itself, for the person who is called at night: plain HTML without scripts, which
//! loads itself again.

mod bar;

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::barman::ids::BackupId;
use crate::plan::ReplicaPlan;
use crate::plan::cost::totals::Totals;
use crate::plan::scope::leave::Waiting;
use crate::plan::status::ongoing::Doing;
use crate::plan::status::{ReplicaStatus, SiteStatus, Verdict};

use super::ink::clean;
use super::ongoing;
use super::remarks::Remark;
use super::status::reasons;
use super::to_do;
use super::units::{duration, timestamp};
use super::vanished;
use crate::english::{count, list};

/// How often a browser loads it again, in seconds.
const AGAIN: u32 = 5;

const STYLE: &str = include_str!("style.css");

/// What is known of a site.
#[derive(Clone, Copy)]
pub struct Page<'a> {
    /// How each replica stands that was looked at.
    pub status: &'a SiteStatus,
    /// The plans that this was told from, one for each of these.
    pub plans: &'a [&'a ReplicaPlan],
    /// What whoever keeps the site knows of each of them.
    pub kept: &'a [Kept],
    /// Replicas that could not be looked at yet, by their names, and what is wrong with them.
    pub new: &'a [(String, Option<Failing>)],
    /// What is wrong with the site as a whole.
    pub wrong: &'a [String],
    /// When.
    pub now: Timestamp,
}

/// What whoever keeps a site knows of a replica.
#[derive(Debug, Clone)]
pub struct Kept {
    /// When both ends were looked at.
    pub observed: Timestamp,
    /// When the replica is looked at next; `None` while it is at work, or never.
    pub due: Option<Timestamp>,
    /// What is wrong with it, since when and how often in a row.
    pub failing: Option<Failing>,
    /// What is not done by itself, or not now.
    pub waiting: Waiting,
    /// Its backups here, with the times that they ended.
    pub backups: Vec<(BackupId, Option<Timestamp>)>,
    /// What runs.
    pub doing: Vec<Doing>,
    /// The last runs, the newest first.
    pub runs: Vec<Run>,
}

/// What is wrong with a replica.
#[derive(Debug, Clone)]
pub struct Failing {
    /// In words.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// How often in a row.
    pub times: u32,
}

/// An apply that ended.
#[derive(Debug, Clone)]
pub struct Run {
    /// When.
    pub ended: Timestamp,
    /// What it came to.
    pub what: String,
    /// Whether something failed.
    pub failed: bool,
}

/// The page as HTML.
pub fn page(page: Page<'_>) -> String {
    let mut replicas: Vec<Shown<'_>> = page
        .status
        .replicas
        .iter()
        .zip(page.plans)
        .zip(page.kept)
        .map(|((status, plan), kept)| Shown { status, plan, kept, now: page.now })
        .collect();
    replicas.sort_by_key(|shown| shown.status.verdict.rank());
    let title = format!("{} · {}", clean(&page.status.site), headline(&replicas, page.new));
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="refresh" content=(AGAIN);
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Site " (clean(&page.status.site)) }
                    p class="lead" { (headline(&replicas, page.new)) "." }
                    p class="dim" { "As of " (time(page.now)) ", loaded again every " (AGAIN) " s." }
                }
                main {
                    @for wrong in page.wrong { p class="remark error" { b { "Error: " } (clean(wrong)) } }
                    @for gone in &page.status.vanished {
                        p class="remark warning" { b { "Warning: " } (gone.name.as_str()) (vanished::in_short(gone)) "; what is here of it stays" }
                    }
                    (overview(&replicas, page.new))
                    @for shown in &replicas { (shown.section()) }
                }
            }
        }
    };
    whole.into_string()
}

/// All in a sentence without a full stop: how many replicas need somebody.
fn headline(replicas: &[Shown<'_>], new: &[(String, Option<Failing>)]) -> String {
    let bad: Vec<&Shown<'_>> = replicas.iter().filter(|shown| !shown.is_well()).collect();
    let looked_at = if new.is_empty() { String::new() } else { format!(", {} not looked at yet", new.len()) };
    match bad.as_slice() {
        [] => format!("{} well{looked_at}", count(replicas.len() as u64, "replica")),
        [one] => format!("{} is {}{looked_at}", one.status.name, one.words()),
        many => {
            let names: Vec<String> = many.iter().take(3).map(|shown| shown.status.name.to_string()).collect();
            let all = count(replicas.len() as u64, "replica");
            let more = if many.len() > 3 { " and others" } else { "" };
            format!("{} of {all} need somebody: {}{more}{looked_at}", many.len(), list(&names))
        }
    }
}

fn overview(replicas: &[Shown<'_>], new: &[(String, Option<Failing>)]) -> Markup {
    html! {
        div class="scroll overview" {
            table {
                caption { "Replicas, the worst first" }
                thead {
                    tr {
                        @for heading in ["Replica", "Verdict", "Recoverable to", "Lag", "Objective", "Next look"] {
                            th scope="col" { (heading) }
                        }
                    }
                }
                tbody {
                    @for shown in replicas { (shown.row()) }
                    @for (name, failing) in new {
                        tr {
                            th scope="row" { (clean(name)) }
                            td colspan="5" class="dim" {
                                @match failing { Some(failing) => (clean(&failing.what)), None => "not looked at yet" }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A replica with all that is known of it.
struct Shown<'a> {
    status: &'a ReplicaStatus,
    plan: &'a ReplicaPlan,
    kept: &'a Kept,
    now: Timestamp,
}

impl Shown<'_> {
    fn is_well(&self) -> bool {
        self.status.verdict.is_well() && self.kept.failing.is_none()
    }

    fn words(&self) -> &'static str {
        match (&self.kept.failing, self.status.verdict) {
            (Some(_), verdict) if verdict.is_well() => "failing",
            (_, verdict) => verdict.words(),
        }
    }

    fn class(&self) -> &'static str {
        match self.status.verdict {
            _ if self.kept.failing.is_some() => "bad",
            Verdict::InSync => "good",
            Verdict::Behind | Verdict::Incomplete | Verdict::Suspended | Verdict::Inactive => "fair",
            Verdict::ObjectiveMissed
            | Verdict::NotRecoverable
            | Verdict::Blocked
            | Verdict::PrimaryUnreachable
            | Verdict::Unreadable => "bad",
        }
    }

    fn row(&self) -> Markup {
        let name = self.status.name.as_str();
        html! {
            tr {
                th scope="row" { a href={ "#" (name) } { (name) } }
                td { span class={ "verdict " (self.class()) } { (self.words()) } }
                td { @match self.status.recovery.to { Some(to) => (time(to)), None => "-" } }
                td { (self.lag()) }
                td { (self.objective()) }
                td { (self.next()) }
            }
        }
    }

    fn lag(&self) -> String {
        match (self.status.recovery.lag, self.status.age) {
            (Some(lag), _) if lag.segments == 0 => "none".to_owned(),
            (Some(lag), _) => {
                let late = lag.seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(duration);
                [Some(count(lag.segments, "segment")), late].into_iter().flatten().collect::<Vec<_>>().join(", ")
            }
            (None, Some(age)) => format!("newest WAL {} old", duration(age)),
            (None, None) => "unknown".to_owned(),
        }
    }

    fn objective(&self) -> String {
        match self.status.objective {
            Some(objective) => {
                let kept = if objective.kept { "kept" } else { "missed" };
                format!("{} {kept}", duration(objective.rpo))
            }
            None => "-".to_owned(),
        }
    }

    fn next(&self) -> String {
        match self.kept.due {
            _ if !self.kept.doing.is_empty() => "at work".to_owned(),
            Some(due) => match u64::try_from(due.as_second() - self.now.as_second()) {
                Ok(seconds) if seconds > 0 => format!("in {}", duration(seconds)),
                _ => "now".to_owned(),
            },
            None => "now".to_owned(),
        }
    }

    fn section(&self) -> Markup {
        let name = self.status.name.as_str();
        html! {
            section id=(name) aria-labelledby={ "h-" (name) } {
                h2 id={ "h-" (name) } { (name) " " span class={ "verdict " (self.class()) } { (self.words()) } }
                p class="dim" {
                    "Copied from " (clean(&self.status.primary)) ", looked at " (ago(self.kept.observed, self.now)) "."
                }
                @if let Some(failing) = &self.kept.failing {
                    p class="remark error" {
                        b { "Error: " } (clean(&failing.what))
                        @if let Some(hint) = &failing.hint { br; span class="dim" { (clean(hint)) } }
                        br; span class="dim" { (count(failing.times.into(), "time")) " in a row, since " (time(failing.since)) }
                    }
                }
                (bar::bar(self.status, &self.kept.backups, self.now))
                (self.doing())
                (self.waiting())
                @for Remark { label, sentence } in self.reasons() {
                    p class={ "remark " (label) } { b { (label) ": " } (clean(&sentence)) }
                }
                (self.runs())
            }
        }
    }

    /// What is behind the verdict, without what is said already.
    fn reasons(&self) -> Vec<Remark> {
        let failing = self.kept.failing.as_ref();
        let is_said = |remark: &Remark| {
            failing.is_some_and(|failing| {
                failing.what.trim() == remark.sentence || failing.hint.as_ref() == Some(&remark.sentence)
            })
        };
        let all = reasons(self.status, self.plan).into_iter();
        all.filter(|remark| !is_said(remark)).collect()
    }

    fn doing(&self) -> Markup {
        html! {
            @for step in &self.kept.doing {
                div class="doing" {
                    p { (ongoing::doing(step, self.now)) }
                    @if step.total > 0 { progress max=(step.total) value=(step.arrived) aria-label=(clean(&step.what)) {} }
                }
            }
        }
    }

    fn waiting(&self) -> Markup {
        let row = |totals: &Totals, of: &str, hint: &str| {
            to_do(totals).map(|what| html! { p class="remark warning" { b { "Waits for " (of) ": " } (what) (hint) } })
        };
        html! {
            @if let Some(row) = row(&self.kept.waiting.for_person, "a person", ". `antipode plan` shows it, and `antipode apply` does it.") { (row) }
            @if let Some(row) = row(&self.kept.waiting.for_window, "a window of the primary", ".") { (row) }
        }
    }

    fn runs(&self) -> Markup {
        html! {
            @if !self.kept.runs.is_empty() {
                div class="scroll" {
                    table {
                        caption { "Last runs that did something" }
                        thead { tr { th scope="col" { "Ended" } th scope="col" { "What" } } }
                        tbody {
                            @for Run { ended, what, failed } in &self.kept.runs {
                                tr { td { (time(*ended)) } td class=[failed.then_some("bad-text")] { (clean(what)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn time(time: Timestamp) -> Markup {
    html! { time datetime=(time.to_string()) { (timestamp(time)) } }
}

fn ago(time: Timestamp, now: Timestamp) -> String {
    match u64::try_from(now.as_second() - time.as_second()) {
        Ok(0) | Err(_) => "now".to_owned(),
        Ok(seconds) => format!("{} ago", duration(seconds)),
    }
}

#[cfg(test)]
mod tests;
