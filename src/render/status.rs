//! How the replicas stand, for people: one line for each where it fits, aligned.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::barman::drill;
use crate::barman::verified::Verified;
use crate::plan::cost::totals::Totals;
use crate::plan::reason::{Note, Warning};
use crate::plan::recovery::Recovery;
use crate::plan::recovery::objective::Objective;
use crate::plan::status::drilled::Drilled;
use crate::plan::status::{ReplicaStatus, SiteStatus, Verdict};
use crate::plan::{Outcome, Plan, ReplicaPlan};

use super::ink::{Ink, Line, clean, width, wrap};
use super::remarks::{self, Remark, labelled};
use super::units::{bytes, duration, timestamp};
use super::{Style, advice, human, ongoing, origin, vanished, verification};
use crate::english::{count, list};

/// The space between two columns.
const GAP: usize = 3;

/// What the columns are called.
const HEADINGS: [&str; COLUMNS] =
    ["replica", "verdict", "recoverable", "lag", "objective", "last apply", "backups here/wanted/primary"];
const COLUMNS: usize = 7;

/// What is known of how the replicas stand, and how it is to be told.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// How each replica stands.
    pub status: &'a SiteStatus,
    /// The plan that this was told from, with a replica for each.
    pub plan: &'a Plan,
    /// When.
    pub now: Timestamp,
    /// Whether only replicas are told that are not well.
    pub quiet: bool,
}

/// How the replicas stand as a text for people.
pub fn status(told: Told<'_>, style: Style) -> String {
    let all = told.status.replicas.iter().zip(&told.plan.replicas);
    let mut shown: Vec<_> = all.filter(|(status, _)| !(told.quiet && status.verdict.is_well())).collect();
    shown.sort_by_key(|(status, _)| status.verdict.rank());
    let mut lines = Vec::new();
    let rows: Vec<[Cell; COLUMNS]> = shown.iter().map(|(status, _)| cells(status, told.now)).collect();
    let columns = style.width.map(usize::from);
    let table = Table::new(&rows, columns);
    if !told.quiet {
        lines.extend([human::title(told.plan), Line::new()]);
    }
    if !rows.is_empty() {
        lines.extend(table.heading());
    }
    for ((status, plan), row) in shown.iter().zip(&rows) {
        lines.extend(table.lines(row));
        if style.verbose {
            lines.extend(reasons(status, plan).iter().flat_map(|reason| reason.lines("  ", columns)));
        }
    }
    if !style.verbose {
        lines.extend(failures(&shown, style));
    }
    lines.extend(about_the_site(told, columns));
    if !told.quiet {
        lines.push(Line::new());
        lines.extend(verdicts(told.status, columns));
    }
    let mut out = String::new();
    for line in lines {
        line.write_to(&mut out, style.colour);
    }
    out
}

/// What is to be said besides: of servers that are copied no longer, and of runs that are at work.
fn about_the_site(told: Told<'_>, columns: Option<usize>) -> Vec<Line> {
    let at_work = told.status.replicas.iter().filter_map(|replica| Some((&replica.name, replica.ongoing.as_ref()?)));
    let ongoing = ongoing::remarks(at_work, told.now);
    let said = vanished::warnings(&told.status.vanished)
        .into_iter()
        .chain(ongoing)
        .chain(origin::remarks(told.status, told.now))
        .chain(waiting(told.status))
        .chain(earlier_looks(told))
        .chain(verified(told.status))
        .chain(disproved(told.status))
        .chain(unwatched(told.status));
    let said = said.filter(|remark| !(told.quiet && remark.label == "note"));
    let lines: Vec<Line> = said.flat_map(|remark| remark.lines("", columns)).collect();
    if lines.is_empty() { lines } else { std::iter::once(Line::new()).chain(lines).collect() }
}

/// What the verdicts rest on that was not looked at now.
fn earlier_looks(told: Told<'_>) -> impl Iterator<Item = Remark> {
    let backups = || told.status.replicas.iter().map(|replica| &replica.backups);
    let number: usize = backups().map(|backups| backups.looked_at_earlier).sum();
    let oldest = backups().filter_map(|backups| backups.oldest_look).min();
    let bases = oldest.map(|oldest| earlier(told, &count(number as u64, "backup"), number != 1, oldest));
    let oldest = backups().filter_map(|backups| backups.wals_looked_at).min();
    let wals = oldest.map(|oldest| earlier(told, "the WAL", false, oldest));
    bases.into_iter().chain(wals)
}

/// Since when all that is here was read to its end, as far as anybody knows.
fn verified(status: &SiteStatus) -> Option<Remark> {
    let known: Vec<Verified> = status.replicas.iter().filter_map(|replica| replica.verified).collect();
    let mut all = *known.first()?;
    for one in known.iter().skip(1) {
        all.oldest = all.oldest.into_iter().chain(one.oldest).min();
        all.files += one.files;
        all.unread += one.unread;
        all.unproven += one.unproven;
        all.unchanged += one.unchanged;
        all.unchanged_since = all.unchanged_since.into_iter().chain(one.unchanged_since).min();
    }
    let unknown = status.replicas.len() - known.len();
    let of_others = if unknown == 0 {
        String::new()
    } else {
        format!("; of {} nothing was read", count(unknown as u64, "other replica"))
    };
    Some(Remark::note(format!("{}{of_others}", verification::stands(&all))))
}

/// The replicas of which a drill showed that they are not what they are for.
fn disproved(status: &SiteStatus) -> impl Iterator<Item = Remark> {
    status.replicas.iter().filter_map(|replica| {
        let drilled = replica.drilled.as_ref().filter(|drilled| !drilled.kept)?;
        Some(self::drilled(drilled).of(&replica.name))
    })
}

/// What the last drill came to.
fn drilled(drilled: &Drilled) -> Remark {
    let at = timestamp(drilled.at);
    let why = drilled.why.as_deref().map(|why| format!(": {}", clean(why))).unwrap_or_default();
    let last = drilled.proved_at.map_or_else(
        || "; none proved it so far".to_owned(),
        |proved| format!("; the last that proved it was on {}", timestamp(proved)),
    );
    let pace = recovery_time(drilled).map(|pace| format!("; {pace}")).unwrap_or_default();
    let sentence = match drilled.verdict {
        drill::Verdict::Proved => format!("the drill of {at} proved it{pace}"),
        drill::Verdict::NotRun => format!("the drill of {at} could not be run{why}{last}{pace}"),
        drill::Verdict::Disproved => format!("the drill of {at} disproved it{why}{last}{pace}"),
    };
    let is_good = drilled.kept && drilled.verdict == drill::Verdict::Proved;
    Remark { label: if is_good { "note" } else { "warning" }, sentence }
}

/// How long a recovery takes, against what it may take.
fn recovery_time(drilled: &Drilled) -> Option<String> {
    let seconds = |milliseconds: u64| duration(milliseconds.div_ceil(1000));
    let took = seconds(drilled.recovery_milliseconds?);
    let forecast = drilled.forecast_milliseconds.map(|forecast| format!(", and now would take {}", seconds(forecast)));
    let most = drilled.rto_seconds.map(|rto| format!("; `objective.rto` is {}", duration(rto)));
    Some(format!("a recovery took {took}{}{}", forecast.unwrap_or_default(), most.unwrap_or_default()))
}

fn earlier(told: Told<'_>, what: &str, are_several: bool, oldest: Timestamp) -> Remark {
    let age = duration(u64::try_from(told.now.as_second() - oldest.as_second()).unwrap_or_default());
    let (are, them) = if are_several { ("are", "them") } else { ("is", "it") };
    Remark::note(format!(
        "{what} {are} told as an earlier run found {them}, up to {age} ago; `--depth everything` looks at {them} now"
    ))
}

/// `Status: 1 in sync, 2 behind, 1 objective missed.`
fn verdicts(status: &SiteStatus, columns: Option<usize>) -> Vec<Line> {
    let mut verdicts: Vec<Verdict> = status.replicas.iter().map(|replica| replica.verdict).collect();
    verdicts.sort_unstable();
    let counted = verdicts.chunk_by(|a, b| a == b).filter_map(|alike| Some((alike.len(), alike.first()?)));
    let vanished = Some(status.vanished.len()).filter(|n| *n > 0).map(|n| format!("{n} vanished"));
    let detached = Some(status.detached.len()).filter(|n| *n > 0).map(|n| format!("{n} detached"));
    let others = vanished.into_iter().chain(detached);
    let words: Vec<String> = counted.map(|(n, verdict)| format!("{n} {}", verdict.words())).chain(others).collect();
    let text = if words.is_empty() { "the site has no replica".to_owned() } else { words.join(", ") };
    labelled("", Ink::Strong, "Status", &format!("{text}."), columns)
}

/// A cell of the table, and what it says where it stands by itself.
#[derive(Debug, Clone)]
struct Cell {
    ink: Ink,
    text: String,
    /// With the words that its column's heading would give.
    alone: String,
}

impl Cell {
    fn new(ink: Ink, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { ink, alone: text.clone(), text }
    }

    fn alone(self, alone: impl Into<String>) -> Self {
        Self { alone: alone.into(), ..self }
    }
}

fn cells(status: &ReplicaStatus, now: Timestamp) -> [Cell; COLUMNS] {
    [
        Cell::new(Ink::Strong, status.name.as_str()),
        Cell::new(ink(status.verdict), status.verdict.words()),
        reach(status),
        lag(status),
        objective(status),
        last_apply(status, now),
        backups(status),
    ]
}

fn ink(verdict: Verdict) -> Ink {
    match verdict {
        Verdict::InSync => Ink::Add,
        Verdict::Behind | Verdict::Incomplete | Verdict::Suspended | Verdict::Inactive => Ink::Caution,
        Verdict::ObjectiveMissed
        | Verdict::NotRecoverable
        | Verdict::Blocked
        | Verdict::PrimaryUnreachable
        | Verdict::Unreadable => Ink::Remove,
    }
}

fn reach(status: &ReplicaStatus) -> Cell {
    let time = |time: Option<Timestamp>| time.map_or_else(|| "an unknown time".to_owned(), timestamp);
    if status.recovery.window.is_none() {
        return Cell::new(Ink::Dim, "-").alone("nothing to recover from");
    }
    let text = format!("{} to {}", time(status.recovery.from), time(status.recovery.to));
    Cell::new(Ink::Plain, text.clone()).alone(format!("recoverable {text}"))
}

fn lag(status: &ReplicaStatus) -> Cell {
    match (status.recovery.lag, status.age) {
        (Some(lag), _) if status.recovery.window.is_some() && lag.segments == 0 => {
            Cell::new(Ink::Plain, "none").alone("no lag")
        }
        (Some(lag), _) if lag.segments > 0 => {
            let size = format!("{}, {}", count(lag.segments, "segment"), bytes(lag.bytes));
            match lag.seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(duration) {
                Some(time) => Cell::new(Ink::Plain, format!("{time}, {size}")).alone(format!("{time} behind, {size}")),
                None => Cell::new(Ink::Plain, size.clone()).alone(format!("{size} behind")),
            }
        }
        (None, Some(age)) => {
            let text = format!("at most {}", duration(age));
            Cell::new(Ink::Plain, text.clone()).alone(format!("{text} behind"))
        }
        _ => Cell::new(Ink::Dim, "-").alone("lag unknown"),
    }
}

fn objective(status: &ReplicaStatus) -> Cell {
    let Some(objective) = status.objective else { return Cell::new(Ink::Dim, "-").alone("no objective") };
    let (ink, word) = if objective.kept { (Ink::Plain, "kept") } else { (Ink::Remove, "missed") };
    let text = format!("{} {word}", duration(objective.rpo));
    Cell::new(ink, text.clone()).alone(format!("objective {text}"))
}

fn last_apply(status: &ReplicaStatus, now: Timestamp) -> Cell {
    let Some(ended) = status.last_apply else { return Cell::new(Ink::Dim, "-").alone("no apply is known") };
    if status.last_apply_is_ahead {
        return Cell::new(Ink::Dim, "in the future").alone("applied in the future");
    }
    let age = duration(u64::try_from(now.as_second() - ended.as_second()).unwrap_or_default());
    Cell::new(Ink::Plain, format!("{age} ago")).alone(format!("applied {age} ago"))
}

fn backups(status: &ReplicaStatus) -> Cell {
    let number = |n: Option<usize>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let backups = &status.backups;
    let (wanted, there) = (number(backups.wanted), number(backups.at_primary));
    let text = format!("{}/{wanted}/{there}", backups.here);
    let known = backups.wanted.is_some();
    let alone = if known {
        format!("{} of {wanted} backups, {there} at the primary", backups.here)
    } else {
        count(backups.here as u64, "backup")
    };
    Cell::new(Ink::Plain, text).alone(alone)
}

/// Where the columns are.
struct Table {
    /// The width of each; of the first two also where there is no room for the rest beside them.
    widths: [usize; COLUMNS],
    columns: Option<usize>,
    fits: bool,
}

impl Table {
    fn new(rows: &[[Cell; COLUMNS]], columns: Option<usize>) -> Self {
        let mut widths = HEADINGS.map(width);
        for row in rows {
            for (at, cell) in widths.iter_mut().zip(row) {
                *at = (*at).max(width(&cell.text));
            }
        }
        // The last column's heading is the long one, and nothing stands behind it.
        let total = widths.iter().sum::<usize>() + GAP * (COLUMNS - 1);
        Self { widths, columns, fits: columns.is_none_or(|columns| total <= columns) }
    }

    fn heading(&self) -> Option<Line> {
        self.fits.then(|| self.row(HEADINGS.map(|heading| (Ink::Dim, heading))))
    }

    fn row(&self, cells: [(Ink, &str); COLUMNS]) -> Line {
        let mut line = Line::new();
        let mut at = 0;
        for ((ink, text), width) in cells.into_iter().zip(self.widths) {
            line = line.pad_to(at).with(ink, text);
            at += width + GAP;
        }
        line
    }

    fn lines(&self, row: &[Cell; COLUMNS]) -> Vec<Line> {
        if self.fits {
            vec![self.row(row.each_ref().map(|cell| (cell.ink, cell.text.as_str())))]
        } else {
            self.folded(row)
        }
    }

    /// Name and verdict, and the rest below, each cell whole as long as it fits into a line.
    fn folded(&self, row: &[Cell; COLUMNS]) -> Vec<Line> {
        let [name, verdict, rest @ ..] = row;
        let [first, ..] = self.widths;
        let head = Line::new().with(name.ink, &name.text).pad_to(first + GAP).with(verdict.ink, &verdict.text);
        let room = self.columns.unwrap_or(usize::MAX).saturating_sub(INDENT);
        let mut lines = vec![head];
        let mut line = Line::new();
        for cell in rest {
            let separator = if line.width() > 0 { " · " } else { "" };
            if line.width() > 0 && line.width() + width(separator) + width(&cell.alone) > room + INDENT {
                lines.push(std::mem::take(&mut line));
            }
            let mut words = wrap(&cell.alone, room).into_iter();
            let begin = if line.width() > 0 { line.with(Ink::Dim, separator) } else { Line::new().pad_to(INDENT) };
            line = begin.with(cell.ink, words.next().unwrap_or_default());
            for text in words {
                lines.push(std::mem::replace(&mut line, Line::new().pad_to(INDENT).with(cell.ink, text)));
            }
        }
        lines.push(line);
        lines
    }
}

/// So many replicas are named in a sentence.
const NAMED: usize = 3;

/// What stands before a line that belongs to the one above.
const INDENT: usize = 2;

/// What is behind a verdict: what went wrong, what should be known, what is to be done.
pub fn reasons(status: &ReplicaStatus, plan: &ReplicaPlan) -> Vec<Remark> {
    let mut reasons = remarks::unobserved(plan);
    if let Outcome::Inactive(sentence) = &plan.outcome {
        reasons.push(Remark::note(format!("inactive at the primary: {}", sentence.trim())));
    }
    reasons.extend(remarks::remarks(plan, true));
    let is_said = plan.warnings.iter().any(|warning| matches!(warning, Warning::BehindObjective { .. }));
    reasons.extend(status.objective.filter(|_| !is_said).and_then(|objective| missed(objective, &status.recovery)));
    reasons.extend(silent(status));
    reasons.extend(status.verified.map(|verified| Remark::note(verification::stands(&verified))));
    reasons.extend(status.drilled.as_ref().map(drilled));
    reasons.extend(to_do(plan).map(|todo| Remark::note(format!("an apply has to {todo}"))));
    reasons
}

/// Why an objective counts as missed.
fn missed(objective: Objective, recovery: &Recovery) -> Option<Remark> {
    let rpo = duration(objective.rpo);
    let sentence = match objective.loss {
        _ if objective.kept => return None,
        Some(loss) if recovery.origin.is_some() => format!(
            "up to {} of the origin may be lost, as its primary is a copy itself, and `objective.rpo` is {rpo}",
            duration(loss)
        ),
        Some(loss) if recovery.lag.is_some() => {
            format!("it is {} behind the primary, and `objective.rpo` is {rpo}", duration(loss))
        }
        Some(loss) => format!(
            "the newest WAL of its window is {} old, and `objective.rpo` is {rpo}; only the primary could tell whether \
             there is newer WAL",
            duration(loss)
        ),
        None => format!("nothing shows how much would be lost, and `objective.rpo` is {rpo}"),
    };
    Some(Remark { label: "warning", sentence })
}

/// Why a replica counts as not well of whose primary nothing was heard.
fn silent(status: &ReplicaStatus) -> Option<Remark> {
    let silence = status.silence.filter(|silence| !silence.kept && status.recovery.window.is_some())?;
    let most = duration(silence.most);
    let sentence = match silence.silent {
        Some(silent) => format!(
            "for {} it was not known to follow its primary, and `objective.max_silence` is {most}; see whether applies run, \
             and what they say",
            duration(silent)
        ),
        None => format!("nothing shows when it last followed its primary, and `objective.max_silence` is {most}"),
    };
    Some(Remark { label: "warning", sentence })
}

/// What whoever keeps the site leaves to a person.
fn waiting(status: &SiteStatus) -> impl Iterator<Item = Remark> {
    status.replicas.iter().filter_map(|replica| {
        let to_do = super::summary::to_do(replica.waits_for_person.as_ref()?)?;
        Some(
            Remark { label: "warning", sentence: format!("{to_do} waits for a person: `antipode apply`") }
                .of(&replica.name),
        )
    })
}

/// What is not watched, as nobody said how far behind it may be.
fn unwatched(status: &SiteStatus) -> Option<Remark> {
    let is_meant = |replica: &&ReplicaStatus| replica.objective.is_none() && replica.verdict != Verdict::Inactive;
    let names: Vec<String> = status.replicas.iter().filter(is_meant).map(|replica| replica.name.to_string()).collect();
    let silent = status.replicas.iter().filter(is_meant).all(|replica| replica.silence.is_some());
    let only = if silent {
        "only what can be recovered, and how long nothing is heard, is watched"
    } else {
        "only what can be recovered is watched"
    };
    let named = match names.as_slice() {
        [] => return None,
        names if names.len() > NAMED => count(names.len() as u64, "replica"),
        names => list(names),
    };
    Some(Remark::note(format!("no `objective.rpo` says how far behind {named} may be: {only}")))
}

/// What an apply would do, in a few words.
fn to_do(plan: &ReplicaPlan) -> Option<String> {
    super::summary::to_do(&Totals::of_replica(plan))
}

/// What no verdict says and nobody may overlook: what will be lacking whatever is applied, times that show nothing,
/// backups of which nobody said whether they stay, those that cannot be had as they are at the primary, and WAL of which
/// nobody can tell whether it is any.
fn to_know(plan: &ReplicaPlan) -> impl Iterator<Item = Remark> {
    let lacking = plan.shortfalls.iter().map(|shortfall| advice::shortfall(plan, shortfall, false));
    let is_grave = |warning: &&Warning| {
        matches!(
            warning,
            Warning::PruneHeld(_)
                | Warning::RefusedBefore { .. }
                | Warning::DatedAhead { .. }
                | Warning::AppliedAhead(_)
                | Warning::Suspended(_)
        )
    };
    let warnings = lacking.chain(plan.warnings.iter().filter(is_grave).map(advice::warning));
    let is_told = |note: &&Note| {
        matches!(
            note,
            Note::KeptHereOnly { .. }
                | Note::LinksLeftOut { .. }
                | Note::Unlisted { .. }
                | Note::Unproven { .. }
                | Note::TimeStandsStill { .. }
        )
    };
    let notes = plan.notes.iter().filter(is_told).map(advice::note);
    let warnings = warnings.map(|sentence| Remark { label: "warning", sentence });
    warnings.chain(notes.map(|sentence| Remark { label: "note", sentence }))
}

/// What went wrong, each once, however many replicas it is true of, and what waits for somebody's word about its fate.
fn failures(shown: &[(&ReplicaStatus, &ReplicaPlan)], style: Style) -> Vec<Line> {
    let blockers = |status: &ReplicaStatus, plan: &ReplicaPlan| {
        let errors = remarks::remarks(plan, false).into_iter().filter(|remark| remark.label == "error");
        errors.chain(to_know(plan)).chain(silent(status)).map(|remark| remark.of(&plan.name)).collect::<Vec<_>>()
    };
    let mut said = BTreeSet::new();
    let all =
        shown.iter().flat_map(|(status, plan)| remarks::unobserved(plan).into_iter().chain(blockers(status, plan)));
    let once = all.filter(|remark| said.insert(remark.clone()));
    let lines: Vec<Line> = once.flat_map(|remark| remark.lines("", style.width.map(usize::from))).collect();
    if lines.is_empty() { lines } else { std::iter::once(Line::new()).chain(lines).collect() }
}
