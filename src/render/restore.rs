//! What a restore will do, and did.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::barman::ids::ServerName;
use crate::english::{count, exact};
use crate::plan::recovery::way::{Hidden, NoWay, Target, Way};

use super::Style;
use super::ink::{Ink, Line};
use super::units::{bytes, duration, timestamp};

/// Where the second column begins.
const COLUMN: usize = 14;

/// What a restore will do.
#[derive(Debug, Clone, Copy)]
pub struct Restore<'a> {
    /// The server at the site.
    pub server: &'a ServerName,
    /// From what, and how far.
    pub way: &'a Way<'a>,
    /// What was asked for.
    pub target: Target,
    /// Where it goes.
    pub data: &'a PathBuf,
    /// The tablespaces by their names, and where they go.
    pub tablespaces: &'a [(String, PathBuf)],
    /// Bytes that it takes there, where the backups tell.
    pub takes: Option<u64>,
    /// Bytes that are free there, where that could be asked.
    pub free: Option<u64>,
    /// How long it takes until PostgreSQL takes connections, in milliseconds, at the pace of the last drill that proved it;
    /// `None` where none did.
    pub lasts: Option<u64>,
}

/// All that as a text for people.
pub fn restore(restore: Restore<'_>, style: Style) -> String {
    let way = restore.way;
    let row = |label: &str, text: String| {
        Line::new().with(Ink::Dim, format!("  {label}")).pad_to(COLUMN).with(Ink::Plain, text)
    };
    let mut lines = vec![
        Line::new()
            .with(Ink::Strong, restore.server.as_str())
            .with(Ink::Plain, format!(" into {}", restore.data.display())),
        Line::new(),
    ];
    for (place, facts) in way.chain.iter().enumerate() {
        let sort = if place == 0 { "full" } else { "incremental" };
        let ended = facts.end_time.map(|ended| format!(", ended {}", timestamp(ended))).unwrap_or_default();
        let size = facts.size.map(|size| format!(", {}", bytes(size))).unwrap_or_default();
        lines.push(row(if place == 0 { "backup" } else { "" }, format!("{}  {sort}{size}{ended}", facts.id)));
    }
    for (name, directory) in restore.tablespaces {
        lines.push(row("tablespace", format!("{name} into {}", directory.display())));
    }
    for (place, range) in way.wals.iter().enumerate() {
        let all = format!("  {}, {}", count(way.segments, "segment"), bytes(way.bytes));
        let all = if place == 0 { all } else { String::new() };
        lines.push(row(if place == 0 { "wal" } else { "" }, format!("{}{all}", range.display(way.segment_size))));
    }
    lines.push(row("recovers to", reach(restore.target, way)));
    let room = restore.takes.map(|takes| {
        let free = restore.free.map(|free| format!(", {} free", bytes(free))).unwrap_or_default();
        format!("{}{free}", bytes(takes))
    });
    lines.extend(room.map(|room| row("takes", room)));
    let lasts = restore.lasts.map(|lasts| {
        format!(
            "about {} until PostgreSQL takes connections, at the pace of the last drill",
            duration(lasts.div_ceil(1000))
        )
    });
    lines.push(row(
        "lasts",
        lasts.unwrap_or_else(|| "nobody knows how long, as no drill has proved it so far".to_owned()),
    ));
    let mut text = String::new();
    for line in lines {
        line.write_to(&mut text, style.colour);
    }
    text
}

fn reach(target: Target, way: &Way<'_>) -> String {
    let on = format!("timeline {}", way.timeline.0);
    match (target, way.reaches) {
        (Target::Time(time), _) => format!("{}, on {on}", timestamp(time)),
        (Target::Lsn(lsn), _) => format!("{lsn}, on {on}"),
        (Target::Immediate, Some(reaches)) => format!("the end of the backup, {}, on {on}", timestamp(reaches)),
        (Target::Latest, Some(reaches)) => {
            format!("the end of the WAL that is here, archived {}, on {on}", timestamp(reaches))
        }
        (Target::Immediate, None) => format!("the end of the backup, on {on}"),
        (Target::Latest, None) => format!("the end of the WAL that is here, on {on}"),
    }
}

/// Why a restore is not possible, and what may be done.
pub fn no_way(no: NoWay, target: Target) -> (String, String) {
    let time = |time: Option<Timestamp>| time.map_or_else(|| "at an unknown time".to_owned(), timestamp);
    let to = match target {
        Target::Time(to) => timestamp(to),
        Target::Lsn(to) => to.to_string(),
        Target::Latest | Target::Immediate => "the target".to_owned(),
    };
    let look = "`antipode status -v` says what is here, and what is lacking";
    match no {
        NoWay::NothingRecoverable => ("no backup that is here can be restored".to_owned(), look.to_owned()),
        NoWay::NotHere(id) => (format!("there is no backup {id} here"), look.to_owned()),
        NoWay::NotRecoverable(id) => (
            format!("backup {id} cannot be restored: it, a backup that it builds on, or its WAL is not whole"),
            look.to_owned(),
        ),
        NoWay::EndedLater(id, ended) => (
            format!("backup {id} ended {}, which is after {to}", time(ended)),
            "a backup leads to times after its end only: name an earlier one, or none".to_owned(),
        ),
        NoWay::TooEarly(first) => {
            (format!("the first backup that is here ended {}, which is after {to}", time(first)), look.to_owned())
        }
        NoWay::EndsAt(id, end) => (
            format!("the WAL that follows backup {id} ends at {end}, which is not behind {to}"),
            "without --to-lsn it is recovered as far as there is WAL".to_owned(),
        ),
        NoWay::TooLate(id, reaches) => (
            format!("the WAL that follows backup {id} was archived until {}, which is before {to}", time(reaches)),
            "without --to it is recovered as far as there is WAL".to_owned(),
        ),
    }
}

/// Why WAL that nobody here can read keeps recovery from going along it, and what may be done.
pub fn hidden(hidden: Hidden) -> (String, String) {
    let (is, lacks) = if hidden.is_encrypted {
        ("encrypted", "Barman's key")
    } else {
        ("of a custom compression", "the program that made it")
    };
    let (files, are) = (count(hidden.count, "WAL file"), if hidden.count == 1 { "is" } else { "are" });
    let message =
        format!("{files} on the way, from {} on, {are} {is}, and cannot be read without {lacks}", hidden.first);
    (message, "a Barman that has what is needed restores it: `--print` tells its command".to_owned())
}

/// What became of it: the files that were proved, and of how many nothing tells what is in them.
pub fn restored(proved: u64, unproven: u64, seconds: u64) -> String {
    let unproven = (unproven > 0).then(|| format!(", {} that no manifest lists or has a checksum of", exact(unproven)));
    let proved = count(proved, "file");
    format!("Restored in {}: {proved} proved by the manifest{}.", duration(seconds), unproven.unwrap_or_default())
}
