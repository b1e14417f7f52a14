//! How the replicas stand, for somebody who goes on watching: what `status` tells, the recovery window of each as a bar in
//! time with the backups on it, what runs, and what the last runs did.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::barman::ids::{BackupId, ServerName};
use crate::english::exact;
use crate::journal::History;
use crate::plan::status::ReplicaStatus;

use super::ink::{Ink, Line, width, wrap};
use super::ongoing::doing;
use super::scale::{LENGTH, Scale, since_oldest, window};
use super::status::{Told, status};
use super::units::{duration, timestamp};
use super::{Style, history};

/// The shortest bar that tells anything, and the longest that is worth its room, in columns.
const BAR: std::ops::RangeInclusive<usize> = 10..=120;

/// Columns where nobody knows how many there are.
const COLUMNS: u16 = 80;

/// What is known of a site while it is watched.
#[derive(Clone, Copy)]
pub struct Watched<'a> {
    /// How the replicas stand.
    pub told: Told<'a>,
    /// The backups of each that are here, with the times that they ended.
    pub backups: &'a BTreeMap<ServerName, Vec<(BackupId, Option<Timestamp>)>>,
    /// The last runs.
    pub history: &'a History,
    /// What went wrong with the look itself.
    pub wrong: &'a [String],
    /// Seconds from one look to the next.
    pub every: u64,
}

/// What a terminal of so many lines shows.
pub fn watch(watched: Watched<'_>, style: Style, rows: usize) -> String {
    let columns = usize::from(style.width.unwrap_or(COLUMNS));
    let mut text = String::new();
    let as_of = format!("{}, looked at again every {}", timestamp(watched.told.now), duration(watched.every));
    for wrong in watched.wrong {
        lines(&mut text, wrap(wrong, columns).into_iter().map(|line| Line::new().with(Ink::Remove, line)), style);
    }
    text.push_str(&status(watched.told, style));
    text.push('\n');
    lines(&mut text, bars(watched, columns), style);
    if !watched.history.runs.is_empty() {
        text.push('\n');
        lines(&mut text, [Line::new().with(Ink::Dim, "last runs")], style);
        text.push_str(&history(watched.history, "", style));
    }
    let end = Line::new().with(Ink::Dim, as_of).text(style.colour);
    fitting(&text, &end, rows)
}

fn lines(text: &mut String, lines: impl IntoIterator<Item = Line>, style: Style) {
    for line in lines {
        line.write_to(text, style.colour);
    }
}

/// As much of a text as there is room for, with the end below it.
fn fitting(text: &str, end: &str, rows: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let room = rows.saturating_sub(2);
    let shown: Vec<&str> = all.iter().copied().take(room).collect();
    let more = match all.len().saturating_sub(room) {
        0 => String::new(),
        more => format!("; {} more than fit here", exact(more as u64)),
    };
    format!("{}\n\n{end}{more}\n", shown.join("\n"))
}

/// The bar of each replica, and what runs there.
fn bars(watched: Watched<'_>, columns: usize) -> Vec<Line> {
    let mut replicas: Vec<&ReplicaStatus> = watched.told.status.replicas.iter().collect();
    replicas.sort_by_key(|replica| replica.verdict.rank());
    let name = replicas.iter().map(|replica| width(replica.name.as_str())).max().unwrap_or_default();
    let none = Vec::new();
    let mut lines = Vec::new();
    for replica in replicas {
        let backups = watched.backups.get(&replica.name).unwrap_or(&none);
        let head = Line::new().with(Ink::Strong, replica.name.as_str()).pad_to(name + 2);
        lines.push(bar(head, replica, backups, (watched.told.now, columns)));
        let steps = replica.ongoing.iter().flat_map(|run| &run.doing);
        lines.extend(steps.map(|step| Line::new().pad_to(name + 2).with(Ink::Caution, doing(step, watched.told.now))));
    }
    if !lines.is_empty() {
        lines.push(Line::new().pad_to(name + 2).with(Ink::Dim, "━ recoverable   ┿ backup   ╌ not recoverable"));
    }
    lines
}

/// From the oldest thing that is here to now.
fn bar(
    head: Line,
    status: &ReplicaStatus,
    backups: &[(BackupId, Option<Timestamp>)],
    (now, columns): (Timestamp, usize),
) -> Line {
    let Some((oldest, scale)) = since_oldest(status, backups, now) else {
        return head.with(Ink::Dim, "nothing here");
    };
    let line = head.with(Ink::Dim, format!("{} ", timestamp(oldest)));
    let room = columns.saturating_sub(line.width() + " now".len() + 1);
    if room < *BAR.start() {
        return line.with(Ink::Dim, "to now");
    }
    let cells = room.min(*BAR.end());
    let ends: Vec<Timestamp> = backups.iter().filter_map(|(_, ended)| *ended).collect();
    drawn(line, (scale, cells), window(status), &ends).with(Ink::Dim, " now")
}

/// Puts the cells of a bar behind a line, neighbours of one colour together.
fn drawn(
    mut line: Line,
    (scale, cells): (Scale, usize),
    window: Option<(Timestamp, Timestamp)>,
    ends: &[Timestamp],
) -> Line {
    let cell = |time: Timestamp| {
        let at = usize::try_from(scale.at(time)).unwrap_or_default();
        at * (cells - 1) / usize::try_from(LENGTH).unwrap_or(1)
    };
    let covered = window.map(|(from, to)| cell(from)..=cell(to));
    let marked: Vec<usize> = ends.iter().copied().map(cell).collect();
    let is_covered = |at: &usize| covered.as_ref().is_some_and(|covered| covered.contains(at));
    let all: Vec<usize> = (0..cells).collect();
    for alike in all.chunk_by(|a, b| is_covered(a) == is_covered(b)) {
        let covered = alike.first().is_some_and(is_covered);
        let (ink, plain, mark) = if covered { (Ink::Add, '━', '┿') } else { (Ink::Remove, '╌', '┼') };
        let drawn: String = alike.iter().map(|at| if marked.contains(at) { mark } else { plain }).collect();
        line = line.with(ink, drawn);
    }
    line
}

#[cfg(test)]
mod tests;
