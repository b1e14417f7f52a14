//! A plan for people: what a DBA reads on a terminal, in a log and in a pull request.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::plan::cost::totals::Totals;
use crate::plan::reason::Warning;
use crate::plan::{Outcome, Plan, ReplicaPlan};

use super::ink::{Ink, Line, width, wrap};
use super::remarks::{Remark, Remarks, labelled, remarks, unobserved};
use super::summary;
use super::table::{self, Margin, Mark};
use super::units::{duration, timestamp};
use super::{Style, Whys, held, tree, vanished};
use crate::english::{count, exact};

/// A longer name pushes its state aside instead of all others.
const NAME_COLUMN: usize = 40;
/// More replicas than this are first told in a line each, the worst first.
const FEW: usize = 10;
/// So many that are in sync are then told of, and of others their number.
const IN_SYNC: usize = 20;

/// The plan as a text for people.
pub fn human(plan: &Plan, style: Style, whys: &Whys) -> String {
    let remarks = Remarks::of(plan, style);
    let mut lines = vec![title(plan)];
    lines.extend(legend(plan));
    let blocks = blocks(plan, &remarks, whys, style, Margin::Terminal);
    lines.extend((!blocks.is_empty()).then(Line::new));
    lines.extend(paragraphs(blocks));
    let common = remarks.common_lines(plan, style);
    if !common.is_empty() {
        lines.push(Line::new());
        lines.extend(common);
    }
    let columns = style.width.map(usize::from);
    let vanished: Vec<Line> =
        vanished::warnings(&plan.vanished).iter().flat_map(|warning| warning.lines("", columns)).collect();
    if !vanished.is_empty() {
        lines.push(Line::new());
        lines.extend(vanished);
    }
    let narrowed = narrowed(plan, style);
    if !narrowed.is_empty() {
        lines.push(Line::new());
        lines.extend(narrowed);
    }
    lines.push(Line::new());
    lines.extend(summary_lines(plan, style));
    write(&lines, style)
}

/// The summary of a plan.
pub fn summary_lines(plan: &Plan, style: Style) -> Vec<Line> {
    sentence_lines(summary::sentences(plan, style.verbose), style.width)
}

/// Lines as text.
pub fn write(lines: &[Line], style: Style) -> String {
    let mut out = String::new();
    for line in lines {
        line.write_to(&mut out, style.colour);
    }
    out
}

/// Blocks below each other: states of one line stand together, whatever is longer stands by itself.
pub fn paragraphs(blocks: Vec<Vec<Line>>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut is_short = false;
    for block in blocks {
        let follows = std::mem::replace(&mut is_short, block.len() == 1) && is_short;
        if !follows && !lines.is_empty() {
            lines.push(Line::new());
        }
        lines.extend(block);
    }
    lines
}

/// `site lisbon · 2 replicas · 1 primary`
pub fn title(plan: &Plan) -> Line {
    let primaries: BTreeSet<&str> = plan.replicas.iter().map(|replica| replica.primary.as_str()).collect();
    Line::new()
        .with(Ink::Plain, "site ")
        .with(Ink::Strong, &plan.site)
        .with(Ink::Plain, format!(" · {}", count(plan.replicas.len() as u64, "replica")))
        .with(Ink::Plain, format!(" · {}", count(primaries.len() as u64, "primary")))
}

/// What the symbols in use mean.
fn legend(plan: &Plan) -> Option<Line> {
    let totals = Totals::of(plan);
    let change = match (totals.repair.total() > 0, totals.update.total() > 0) {
        (true, true) => "repair or update",
        (false, true) => "update",
        _ => "repair",
    };
    let in_use = [
        (Mark::Add, "add", totals.add.total() > 0),
        (Mark::Mend, change, totals.repair.total() + totals.update.total() > 0),
        (Mark::Remove, "prune", totals.prune.total() > 0),
        (Mark::Hold, "held", plan.replicas.iter().any(|replica| !replica.held.is_empty())),
    ];
    let mut line = Line::new();
    for (mark, word, _) in in_use.into_iter().filter(|(_, _, is_used)| *is_used) {
        line = if line.width() > 0 { line.with(Ink::Plain, "   ") } else { line };
        line = line.with(mark.ink(), mark.symbol()).with(Ink::Dim, format!(" {word}"));
    }
    (line.width() > 0).then_some(line)
}

/// The lines of each replica; of many first how each stands, and then what there is to say of some.
pub fn blocks(plan: &Plan, remarks: &Remarks, whys: &Whys, style: Style, margin: Margin) -> Vec<Vec<Line>> {
    let columns = style.width.map(usize::from);
    let names = plan.replicas.iter().map(|r| width(&name(r))).filter(|w| *w <= NAME_COLUMN).max().unwrap_or(0);
    let heading = |replica: &ReplicaPlan| {
        let heading = heading(replica, names, plan.is_empty(), columns, style.verbose);
        heading.into_iter().map(|line| margin.line(line)).collect::<Vec<Line>>()
    };
    let is_long = plan.replicas.len() > FEW;
    let mut hints = BTreeSet::new();
    let mut blocks = Vec::new();
    if is_long {
        blocks.push(standings(plan, style.verbose, margin, heading));
    }
    for (index, replica) in plan.replicas.iter().enumerate() {
        let mut block = heading(replica);
        let headed = block.len();
        let mut rows = tree::rows(replica, whys, style.verbose);
        rows.extend(held::rows(replica));
        block.extend(table::lines(&rows, margin, columns));
        let mut below = Vec::new();
        // A comment on a pull request says it before everything else.
        if let Outcome::Unobserved(Error { hint: Some(hint), .. }) = &replica.outcome
            && margin == Margin::Terminal
            && hints.insert((&replica.primary, hint))
        {
            below.extend(labelled("  ", Ink::Strong, "hint", hint, columns));
        }
        below.extend(remarks.lines_of(index, style));
        block.extend(below.into_iter().map(|line| margin.line(line)));
        if !is_long || block.len() > headed {
            blocks.push(block);
        }
    }
    blocks
}

/// How each of many replicas stands, the worst first.
fn standings(plan: &Plan, verbose: bool, margin: Margin, heading: impl Fn(&ReplicaPlan) -> Vec<Line>) -> Vec<Line> {
    let mut replicas: Vec<&ReplicaPlan> = plan.replicas.iter().collect();
    replicas.sort_by_key(|replica| standing(replica));
    let well = replicas.iter().position(|replica| replica.is_in_sync()).unwrap_or(replicas.len());
    let shown = if verbose || replicas.len() - well <= IN_SYNC + 1 { replicas.len() } else { well + IN_SYNC };
    let mut lines: Vec<Line> = replicas.iter().take(shown).flat_map(|replica| heading(replica)).collect();
    if shown < replicas.len() {
        let more = format!("and {} more in sync; `-v` shows them", exact((replicas.len() - shown) as u64));
        lines.push(margin.line(Line::new().with(Ink::Dim, more)));
    }
    lines
}

/// How much a replica needs somebody: the least is the worst.
fn standing(replica: &ReplicaPlan) -> u8 {
    match &replica.outcome {
        Outcome::Blocked(_) => 0,
        Outcome::Unobserved(_) => 1,
        _ if replica.before.window.is_none() => 2,
        Outcome::Inactive(_) => 5,
        Outcome::Planned if !replica.shortfalls.is_empty() => 3,
        Outcome::Planned if !replica.is_in_sync() => 4,
        Outcome::Planned => 6,
    }
}

/// `main (frankfurt)`, with the server's name at the primary where it is another.
fn name(replica: &ReplicaPlan) -> String {
    if replica.name == replica.server {
        format!("{} ({})", replica.name, replica.primary)
    } else {
        format!("{} ({}: {})", replica.name, replica.primary, replica.server)
    }
}

fn heading(replica: &ReplicaPlan, names: usize, all: bool, columns: Option<usize>, verbose: bool) -> Vec<Line> {
    let server = name(replica);
    let rest = server.strip_prefix(replica.name.as_str()).unwrap_or_default();
    let head = Line::new().with(Ink::Strong, replica.name.as_str()).with(Ink::Dim, rest);
    let (ink, state) = state(replica, all, verbose);
    let at = names.max(head.width()) + 3;
    let room = columns.map_or(usize::MAX, |columns| columns.saturating_sub(at));
    if width(&state) <= room {
        return vec![head.pad_to(at).with(ink, state)];
    }
    // A long state goes below, where there is more room for it.
    let room = columns.unwrap_or(usize::MAX).saturating_sub(4);
    let below = wrap(&state, room).into_iter().map(|text| Line::new().pad_to(4).with(ink, text));
    std::iter::once(head).chain(below).collect()
}

/// How a replica stands. `all` says that the plan is empty, and then the whole window is of interest.
fn state(replica: &ReplicaPlan, all: bool, verbose: bool) -> (Ink, String) {
    let here = replica.before.window.map(|_| match replica.before.to {
        Some(to) => format!("; recoverable here to {}", timestamp(to)),
        None => "; recoverable here".to_owned(),
    });
    let none = if replica.warnings.contains(&Warning::NotLookedAt) { "" } else { "; not recoverable here" };
    let here = here.unwrap_or_else(|| none.to_owned());
    match &replica.outcome {
        Outcome::Inactive(sentence) => (Ink::Caution, format!("inactive at the primary: {}{here}", sentence.trim())),
        Outcome::Unobserved(error) => (Ink::Remove, format!("not observed: {}{here}", error.message.trim())),
        Outcome::Blocked(_) => (Ink::Remove, format!("blocked: nothing is done until this is settled{here}")),
        Outcome::Planned => planned_state(replica, all, verbose),
    }
}

fn planned_state(replica: &ReplicaPlan, all: bool, verbose: bool) -> (Ink, String) {
    let before = &replica.before;
    if before.window.is_none() {
        let yet = if replica.after.window.is_some() { " yet" } else { "" };
        return (Ink::Caution, format!("not recoverable{yet}"));
    }
    let is_level = before.is_level();
    if replica.is_in_sync() {
        let window = if all || verbose { format!(", {}", summary::window(before)) } else { String::new() };
        return (Ink::Add, format!("in sync{window}"));
    }
    let is_incomplete = replica.actions.is_empty() && !replica.shortfalls.is_empty();
    let (ink, incomplete) = if is_incomplete { (Ink::Caution, "incomplete, ") } else { (Ink::Plain, "") };
    let reach = if all || verbose {
        format!("{incomplete}{}", summary::window(before))
    } else {
        let to = before.to.map(|to| format!(" to {}", timestamp(to))).unwrap_or_default();
        format!("{incomplete}recoverable{to}")
    };
    if is_level {
        return (ink, format!("{reach}, level with the primary"));
    }
    let lag = before.lag.unwrap_or_default();
    let segments = count(lag.segments, "segment");
    let behind = match lag.seconds.and_then(|seconds| u64::try_from(seconds).ok()).filter(|s| *s > 0) {
        Some(seconds) if verbose => format!("{} and {segments}", duration(seconds)),
        Some(seconds) => duration(seconds),
        None => segments,
    };
    (ink, format!("{reach}, {behind} behind"))
}

/// The warning that a plan is not the whole one.
pub fn narrowed(plan: &Plan, style: Style) -> Vec<Line> {
    let sentence = summary::left_out(plan);
    let lines = |sentence: String| labelled("", Ink::Caution, "warning", &sentence, style.width.map(usize::from));
    sentence.map(lines).unwrap_or_default()
}

/// The summary, with further lines below the first word after the head.
pub fn sentence_lines(sentences: Vec<summary::Sentence>, columns: Option<u16>) -> Vec<Line> {
    let columns = columns.map_or(usize::MAX, usize::from);
    let mut lines = Vec::new();
    for (head, text) in sentences {
        let at = width(head) + 1;
        for (i, text) in wrap(&text, columns.saturating_sub(at)).into_iter().enumerate() {
            let line = if i == 0 { Line::new().with(Ink::Strong, head) } else { Line::new() };
            lines.push(line.pad_to(at).with(Ink::Plain, text));
        }
    }
    lines
}

/// The plan for people who want to know only what is wrong, and the summary where there is something to do. Nothing at all for a plan with nothing of both.
pub fn quiet(plan: &Plan, style: Style) -> String {
    let mut text = wrong(plan, style);
    if !plan.is_empty() {
        text.push_str(&write(&narrowed(plan, style), style));
        text.push_str(&write(&summary_lines(plan, style), style));
    }
    text
}

/// What is wrong with the replicas of a plan.
pub fn wrong(plan: &Plan, style: Style) -> String {
    let named = |replica: &ReplicaPlan| {
        let name = replica.name.clone();
        errors_and_warnings(replica).map(move |remark| remark.of(&name)).collect::<Vec<_>>()
    };
    let columns = style.width.map(usize::from);
    let said = plan.replicas.iter().flat_map(named).chain(vanished::warnings(&plan.vanished));
    let lines: Vec<_> = said.flat_map(|remark| remark.lines("", columns)).collect();
    write(&lines, style)
}

fn errors_and_warnings(replica: &ReplicaPlan) -> impl Iterator<Item = Remark> {
    let said = remarks(replica, false).into_iter().filter(|remark| remark.label != "note");
    unobserved(replica).into_iter().chain(said)
}
