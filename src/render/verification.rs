//! What a verification came to, for people.

use std::time::Duration;

use crate::barman::ids::{BackupId, ServerName};
use crate::barman::verified::{Amount, Verified};
use crate::english::{count, exact, list};
use crate::scrub::reads::Subject;
use crate::scrub::{Damaged, Difference, Ended, Outcome};

use super::Style;
use super::ink::{Ink, Line, width, wrap};
use super::reason::shown;
use super::units::{bytes, duration, rate, timestamp};

/// What stands below a replica is indented by.
const INDENT: usize = 4;
/// So many of a kind are told one by one.
const TOLD: usize = 20;

/// What the verification of a replica came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The replica.
    pub name: ServerName,
    /// What it came to.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// What verifications came to, a paragraph each.
pub fn verification(told: &[Told], style: Style) -> String {
    let name = told.iter().map(|told| width(told.name.as_str())).max().unwrap_or_default();
    let mut text = String::new();
    for one in told {
        for line in of(one, name, style) {
            line.write_to(&mut text, style.colour);
        }
    }
    text
}

/// What is wrong, a sentence each, and at the most a few.
pub fn wrong(outcome: &Outcome) -> Vec<String> {
    let damaged = outcome.damaged.iter().map(|one| format!("damaged: {}", damaged(one)));
    let unreadable = outcome.unreadable.iter().map(|(subject, why)| format!("{}: not read: {why}", named(subject)));
    let all: Vec<String> = damaged.chain(unreadable).collect();
    let more = all.len().saturating_sub(TOLD);
    let told = all.into_iter().take(TOLD);
    told.chain((more > 0).then(|| format!("and {} more are damaged", count(more as u64, "file")))).collect()
}

fn of(told: &Told, name: usize, style: Style) -> Vec<Line> {
    let Told { outcome, .. } = told;
    let (ink, verdict) = verdict(outcome);
    let head = Line::new().with(Ink::Strong, told.name.as_str()).pad_to(name + 2);
    let head = head.with(ink, verdict).with(Ink::Plain, "; ").with(Ink::Plain, read(outcome, told.took));
    let mut lines = vec![head];
    lines.extend(bounded(&outcome.damaged, damaged, style, Ink::Remove));
    let differences: Vec<&Difference> = outcome.differences.iter().collect();
    lines.extend(bounded(&differences, |one| difference(one), style, Ink::Remove));
    let unreadable = |(subject, why): &(Subject, String)| format!("{}: not read: {why}", named(subject));
    lines.extend(bounded(&outcome.unreadable, unreadable, style, Ink::Remove));
    let mended = |subject: &Subject| format!("{} was damaged, and is what was written again", named(subject));
    lines.extend(bounded(&outcome.mended, mended, style, Ink::Add));
    let broken = |id: &BackupId| format!("backup {id}: the note of what arrived is damaged itself, and says nothing");
    let broken: Vec<String> = outcome.broken_notes.iter().map(broken).collect();
    lines.extend(bounded(&broken, Clone::clone, style, Ink::Caution));
    if outcome.noted.count > 0 {
        let (files, bytes) = (count(outcome.noted.count, "file"), bytes(outcome.noted.bytes));
        let noted = format!("{files}, {bytes}, that nothing tells the content of: noted now as they are");
        lines.extend(below(&noted, style, Ink::Dim));
    }
    let unlisted: Vec<String> = outcome
        .unlisted
        .iter()
        .map(|(id, (more, first))| {
            format!("backup {id} has {} that its manifest does not list: {}", count(*more, "file"), shown(first))
        })
        .collect();
    lines.extend(bounded(&unlisted, Clone::clone, style, Ink::Dim));
    if outcome.ended == Ended::OutOfTime {
        lines.extend(below(
            "there was no more time: what was not read is read by the next verification",
            style,
            Ink::Dim,
        ));
    }
    lines.extend(outcome.standing.iter().flat_map(|standing| below(&stands(standing), style, Ink::Dim)));
    lines
}

fn verdict(outcome: &Outcome) -> (Ink, String) {
    let damaged = outcome.damaged.len() as u64;
    let different = outcome.differences.len() as u64;
    let unreadable = outcome.unreadable.len() as u64;
    let parts = [
        (damaged, format!("{} damaged", count(damaged, "file"))),
        (different, count(different, "difference")),
        (unreadable, format!("{} not read", count(unreadable, "file"))),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect();
    match outcome.standing {
        _ if !parts.is_empty() => (Ink::Remove, list(&parts)),
        Some(standing) if standing.files == Amount::default() => (Ink::Dim, "nothing is here".to_owned()),
        Some(standing) if standing.unread.count == standing.files.count => {
            (Ink::Caution, "nothing is proved".to_owned())
        }
        _ => (Ink::Add, "no damage found".to_owned()),
    }
}

fn read(outcome: &Outcome, took: Duration) -> String {
    let Outcome { read, ended, .. } = outcome;
    match (read.count, ended) {
        (0, Ended::Done) => return "nothing was due".to_owned(),
        (0, Ended::OutOfTime) => return "nothing was read".to_owned(),
        _ => {}
    }
    let seconds = took.as_secs_f64();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a speed is no exact number")]
    #[expect(clippy::cast_precision_loss, reason = "a speed is no exact number")]
    let speed =
        if took.as_secs() > 0 { format!(", {}", rate((read.bytes as f64 / seconds) as u64)) } else { String::new() };
    format!("read {}, {}, in {}{speed}", count(read.count, "file"), bytes(read.bytes), duration(took.as_secs()))
}

/// How far all that is here was read.
pub(super) fn stands(standing: &Verified) -> String {
    let Verified { oldest, files, unread, unproven, unchanged, unchanged_since, .. } = standing;
    let mut parts = vec![format!("{} here, {}", count(files.count, "file"), bytes(files.bytes))];
    parts.extend(oldest.map(|oldest| format!("the oldest read was {}", timestamp(oldest))));
    parts.extend((unread.count > 0).then(|| format!("{} never read", bytes(unread.bytes))));
    let since = unchanged_since.map(|since| format!(" (the oldest on {})", since.strftime("%Y-%m-%d")));
    let unchanged = (unchanged.count > 0).then(|| {
        let since = since.unwrap_or_default();
        format!("{} as it arrived or was read first{since}, proved by nothing else", bytes(unchanged.bytes))
    });
    parts.extend(unchanged);
    parts.extend(
        (unproven.count > 0).then(|| format!("{} unproven: nothing tells what should be in it", bytes(unproven.bytes))),
    );
    parts.join("; ")
}

fn damaged(damaged: &Damaged) -> String {
    let shared = if damaged.is_shared { "; what the primary sent in its place is damaged too" } else { "" };
    let others: Vec<String> = damaged.others.iter().map(named).collect();
    let others = if others.is_empty() { String::new() } else { format!("; the same file is {}", list(&others)) };
    format!("{}: {}{shared}{others}", named(&damaged.subject), damaged.why)
}

fn difference(difference: &Difference) -> String {
    match difference {
        Difference::File(id, path) => format!("backup {id}, {}: missing, or of another size", shown(path)),
        Difference::NotListed(n) => format!("xlog.db: {} not listed", count(*n, "file")),
        Difference::NotOnDisk(n) => format!("xlog.db: {} without a file", count(*n, "line")),
        Difference::Disordered(n) => format!("xlog.db: {} doubled, out of order or unreadable", count(*n, "line")),
        Difference::OtherSize(n) => format!("xlog.db: {} with another size than the file has", count(*n, "line")),
    }
}

/// How a file is called.
pub(super) fn named(subject: &Subject) -> String {
    match subject {
        Subject::OfBase(id, path) => format!("backup {id}, {}", shown(path)),
        Subject::Wal(name) => format!("wal {name}"),
    }
}

fn bounded<T>(all: &[T], tell: impl Fn(&T) -> String, style: Style, ink: Ink) -> Vec<Line> {
    let most = if style.verbose { all.len() } else { TOLD };
    let mut lines: Vec<Line> = all.iter().take(most).flat_map(|one| below(&tell(one), style, ink)).collect();
    if all.len() > most {
        let more = format!("and {} more; -v shows all", exact((all.len() - most) as u64));
        lines.extend(below(&more, style, Ink::Dim));
    }
    lines
}

fn below(text: &str, style: Style, ink: Ink) -> Vec<Line> {
    let columns = style.width.map_or(usize::MAX, |width| usize::from(width).saturating_sub(INDENT));
    wrap(text, columns).iter().map(|line| Line::new().with(Ink::Plain, " ".repeat(INDENT)).with(ink, line)).collect()
}
