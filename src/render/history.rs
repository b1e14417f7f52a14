//! The history of a catalog, for people: its runs, the newest first.

use crate::english::{count, exact, list, plural};
use crate::journal::chain::Break;
use crate::journal::{By, Changes, Ended, Failure, History, Outcome, Replica, Told};

use super::Style;
use super::ink::{Ink, Line, width, wrap};
use super::units::{bytes, duration, timestamp};

/// What names of replicas are indented by.
const INDENT: usize = 2;
/// What stands below a replica is indented by.
const BELOW: usize = 6;
/// More replicas than these of which there is nothing else to say than that they are in sync are counted.
const QUIET: usize = 4;
/// The digits of a digest and of a commit that are shown.
const DIGITS: usize = 12;

/// The runs; all that there is to say where there is none is `otherwise`.
pub fn history(history: &History, otherwise: &str, style: Style) -> String {
    let mut lines = Vec::new();
    for run in &history.runs {
        if !lines.is_empty() {
            lines.push(Line::new());
        }
        lines.extend(told(run, style));
    }
    if history.runs.is_empty() {
        lines.push(Line::new().with(Ink::Plain, otherwise));
    }
    let notes = notes(history);
    if !notes.is_empty() {
        lines.push(Line::new());
        lines.extend(notes.iter().flat_map(|note| wrapped(note, 0, Ink::Dim, style)));
    }
    let mut text = String::new();
    for line in lines {
        line.write_to(&mut text, style.colour);
    }
    text
}

/// Where the chain is broken, in words.
pub fn breaks(breaks: &[Break]) -> String {
    let told: Vec<String> = breaks.iter().map(one).collect();
    list(&told)
}

fn one(found: &Break) -> String {
    match found {
        Break::Missing { from, to } if from == to => format!("line {from} is missing"),
        Break::Missing { from, to } => format!("lines {from} to {to} are missing"),
        Break::Changed { line } => format!("line {line} is not as it was written"),
        Break::Misplaced { line } => format!("line {line} is not in its place"),
        Break::Foreign { behind: 0 } => "its first line was not written by antipode".to_owned(),
        Break::Foreign { behind } => {
            format!("what follows the first {} was not written by antipode", count(*behind, "line"))
        }
        Break::CutOff => "its last line was cut off".to_owned(),
        Break::EndUnknown => {
            "the note of its end is missing, so that nothing shows whether runs are missing there".to_owned()
        }
    }
}

fn notes(history: &History) -> Vec<String> {
    let cut = (history.cut > 0).then(|| {
        let were = if history.cut == 1 { "was" } else { "were" };
        format!("{} {were} cut off by a kill or a full disk.", count(history.cut as u64, "line"))
    });
    let later = (history.later > 0).then(|| {
        let lines = plural(history.later as u64, "line");
        format!("Not shown: {} {lines} of another version of antipode.", history.later)
    });
    let dropped = (history.dropped > 0)
        .then(|| format!("Earlier than these {} were dropped to bound its size.", count(history.dropped, "line")));
    cut.into_iter().chain(later).chain(dropped).collect()
}

fn told(run: &Told, style: Style) -> Vec<Line> {
    let mut head = Line::new().with(Ink::Strong, timestamp(run.began)).with(Ink::Plain, "  ");
    head = head.with(Ink::Plain, what(run));
    let (ink, end) = end(run);
    head = head.with(Ink::Plain, ", ").with(ink, end).with(Ink::Dim, format!("  {}", who(&run.by)));
    let mut lines = vec![head];
    for error in &run.errors {
        lines.extend(wrapped(&error.message, INDENT, Ink::Remove, style));
    }
    let (quiet, told): (Vec<&Replica>, Vec<&Replica>) = run.replicas.iter().partition(|replica| is_quiet(replica));
    let (quiet, named) = if quiet.len() > QUIET { (quiet.len(), told) } else { (0, run.replicas.iter().collect()) };
    let name = named.iter().map(|replica| width(&replica.name)).max().unwrap_or_default();
    for replica in named {
        lines.extend(of(replica, INDENT + name + 2, style));
    }
    lines.extend((quiet > 0).then(|| {
        let text = format!("{} in sync", count(quiet as u64, "replica"));
        Line::new().with(Ink::Plain, " ".repeat(INDENT)).with(Ink::Add, text)
    }));
    lines
}

fn is_quiet(replica: &Replica) -> bool {
    let has_changed = !replica.changes.is_empty() || replica.bytes > 0;
    replica.outcome == Outcome::InSync && !has_changed && replica.reasons.is_empty()
}

/// `apply of plan 8c6976e5b541`
fn what(run: &Told) -> String {
    let plan = run.by.plan.as_deref().map(|plan| format!(" of plan {}", short(plan)));
    format!("{}{}", run.by.command, plan.unwrap_or_default())
}

fn end(run: &Told) -> (Ink, String) {
    match (run.ended, run.milliseconds) {
        (Ended::NotYet, _) => (Ink::Caution, "at work".to_owned()),
        (Ended::ByItself, Some(..1000)) => (Ink::Plain, "under 1 s".to_owned()),
        (Ended::ByItself, Some(milliseconds)) => (Ink::Plain, duration(milliseconds / 1000)),
        (Ended::Unknown, _) | (Ended::ByItself, None) => {
            (Ink::Remove, "of no known end: killed, without power, or unable to write it here".to_owned())
        }
    }
}

/// `barman (sudo by alice) on dr1, site file at commit 5d41402abc4b`
fn who(by: &By) -> String {
    let sudo = by.sudo_user.as_deref().map(|user| format!(" (sudo by {user})")).unwrap_or_default();
    let commit = by.site_file.commit.as_deref();
    let commit = commit.map(|commit| format!(", site file at commit {}", short(commit))).unwrap_or_default();
    format!("{}{sudo} on {}{commit}", by.user, by.host)
}

fn short(digest: &str) -> String {
    digest.chars().take(DIGITS).collect()
}

fn of(replica: &Replica, column: usize, style: Style) -> Vec<Line> {
    let name = Line::new().with(Ink::Plain, " ".repeat(INDENT)).with(Ink::Strong, &replica.name).pad_to(column);
    let mut said = vec![replica.outcome.words().to_owned()];
    said.extend((replica.bytes > 0).then(|| format!("{} copied", bytes(replica.bytes))));
    said.extend((replica.failed > 0).then(|| format!("{} failed", count(replica.failed as u64, "action"))));
    said.extend((replica.left > 0).then(|| format!("{} left", count(replica.left as u64, "action"))));
    let mut lines = vec![name.with(ink(replica.outcome), said.join(", "))];
    for changes in &replica.changes {
        let (sign, ink) = sign(&changes.verb);
        lines.extend(wrapped(&format!("{sign} {}", change(changes, &replica.name)), BELOW, ink, style));
    }
    for failure in &replica.failures {
        lines.extend(wrapped(&format!("! {}", failed(failure, &replica.name)), BELOW, Ink::Remove, style));
    }
    for reason in &replica.reasons {
        lines.extend(wrapped(reason, BELOW, Ink::Dim, style));
    }
    lines
}

fn ink(outcome: Outcome) -> Ink {
    match outcome {
        Outcome::Done | Outcome::InSync => Ink::Add,
        Outcome::Incomplete | Outcome::Interrupted | Outcome::Stopped | Outcome::Inactive => Ink::Caution,
        Outcome::Failed | Outcome::Blocked | Outcome::Unobserved | Outcome::Unknown => Ink::Remove,
    }
}

fn sign(verb: &str) -> (&'static str, Ink) {
    match verb {
        "add" => ("+", Ink::Add),
        "prune" => ("-", Ink::Remove),
        _ => ("~", Ink::Caution),
    }
}

/// `wal 00000001000001A4000000[10..3F] (48 files): missing here`
fn change(changes: &Changes, replica: &str) -> String {
    let head = format!("{replica}/{}", changes.sort);
    let named = changes.addresses.iter().filter_map(|address| address.strip_prefix(&head)?.strip_prefix('/'));
    let named: Vec<&str> = named.collect();
    let others = changes.count.saturating_sub(named.len() as u64);
    let of = match (changes.sort.as_str(), named.len()) {
        // An address may stand for many files.
        ("wal", _) if changes.count > 1 => format!(" {} ({})", named.join(", "), count(changes.count, "file")),
        (_, 0) => String::new(),
        ("wal", _) => format!(" {}", named.join(", ")),
        _ if others > 0 => format!(" {} and {} more", named.join(", "), exact(others)),
        _ => format!(" {}", named.join(", ")),
    };
    format!("{}{of}: {}", changes.sort, changes.why)
}

fn failed(failure: &Failure, replica: &str) -> String {
    let named = failure.address.as_deref().map(|address| format!("{}: ", within(address, replica)));
    format!("{}{}", named.unwrap_or_default(), failure.message)
}

/// An address of a replica below its name.
fn within(address: &str, replica: &str) -> String {
    let below = address.strip_prefix(replica).and_then(|rest| rest.strip_prefix('/'));
    below.unwrap_or(address).replacen('/', " ", 1)
}

fn wrapped(text: &str, indent: usize, ink: Ink, style: Style) -> Vec<Line> {
    let columns = style.width.map_or(usize::MAX, |columns| usize::from(columns).saturating_sub(indent));
    let line = |part: String| Line::new().with(Ink::Plain, " ".repeat(indent)).with(ink, part);
    wrap(&super::clean(text), columns).into_iter().map(line).collect()
}
