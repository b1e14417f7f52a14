//! What drills came to, as a page for an auditor: everything in one file, without scripts, also for a printer.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::barman::drill::{Aim, Drill, Step, Verdict};

use super::super::ink::clean;
use super::super::units::{bytes, duration, timestamp};
use super::{came_to, recovered, seconds, sentence, words};

const STYLE: &str = include_str!("style.css");

/// A page of drills.
pub fn html(drills: &[Drill]) -> String {
    let site = drills.first().map_or("", |drill| drill.site.as_str());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Restore drills of " (site) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Restore drills of " (site) }
                p {
                    "Each was restored from the copy at this site alone, replayed by PostgreSQL, looked at, and removed. What is "
                    "proved was tried and found right; what could not be tried is never called proved."
                }
                @for drill in drills { (article(drill)) }
            }
        }
    };
    page.into_string()
}

fn class(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Proved) => "proved",
        Some(Verdict::NotRun) => "not-run",
        Some(Verdict::Disproved) => "disproved",
        None => "not-tried",
    }
}

fn article(drill: &Drill) -> Markup {
    html! {
        article {
            h2 { (drill.replica) ": " span class=(class(Some(drill.verdict))) { (words(drill.verdict)) } }
            p { (sentence(drill)) "." }
            dl {
                dt { "made" }
                dd { (timestamp(drill.began)) ", in " (seconds(drill.milliseconds)) ", on " (clean(&drill.host)) ", by antipode " (drill.version) }
                dt { "point" }
                dd { (drill.point) }
                @if let Some(aim) = &drill.aim { (aimed(aim)) }
                @if drill.verdict == Verdict::Proved { dt { "recovery" } dd { (recovered(drill)) } }
                @if let Some(pace) = drill.pace {
                    dt { "restore" }
                    dd { (bytes(pace.backup_bytes)) " in " (seconds(pace.restore_milliseconds)) }
                    dt { "replay" }
                    dd { (pace.segments) " WAL files in " (seconds(pace.recovery_milliseconds)) }
                }
                @if let Some(rto) = drill.rto_seconds { dt { "objective" } dd { (duration(rto)) " to recover" } }
            }
            (steps(&drill.steps))
            @if !drill.databases.is_empty() {
                table {
                    caption { "Databases" }
                    thead { tr { th scope="col" { "name" } th scope="col" { "size" } } }
                    tbody {
                        @for database in &drill.databases {
                            tr { th scope="row" { (clean(&database.name)) } td { (bytes(database.bytes)) } }
                        }
                    }
                }
            }
        }
    }
}

fn aimed(aim: &Aim) -> Markup {
    let backups: Vec<String> = aim.backups.iter().map(ToString::to_string).collect();
    html! {
        dt { "backup" }
        dd { (backups.join(", ")) ", PostgreSQL " (aim.release) }
        dt { "WAL" }
        dd { "up to " (aim.last_wal) " on timeline " (aim.timeline) }
        @if let Some(lsn) = aim.lsn { dt { "target" } dd { (lsn) } }
        @if let Some(time) = aim.time { dt { "target" } dd { (timestamp(time)) } }
    }
}

fn steps(steps: &[Step]) -> Markup {
    html! {
        table {
            caption { "Steps" }
            thead {
                tr { th scope="col" { "step" } th scope="col" { "result" } th scope="col" { "what was found" } th scope="col" { "time" } }
            }
            tbody {
                @for step in steps {
                    tr {
                        th scope="row" { (step.what.words()) }
                        td class=(class(step.verdict)) { (came_to(step)) }
                        td class="found" { (clean(&step.told)) }
                        td { (seconds(step.milliseconds)) }
                    }
                }
            }
        }
    }
}
