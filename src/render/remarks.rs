//! Errors, warnings and notes below a replica, and once for all where many have the same.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::plan::reason::Note;
use crate::plan::{Outcome, Plan, ReplicaPlan};

use super::ink::{Ink, Line, width, wrap};
use super::{Style, advice, held};
use crate::english::{count, list};

/// What this many replicas have in common is said once.
const COMMON: usize = 4;
/// More remarks of a kind than this are not all shown.
const MANY: usize = 20;
/// So many of them are.
const SHOWN: usize = 12;

/// A sentence to the user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// `error`, `hint`, `warning` or `note`.
    pub label: &'static str,
    /// What is said.
    pub sentence: String,
}

impl Remark {
    /// Something the user should know.
    pub fn note(sentence: String) -> Self {
        Self { label: "note", sentence }
    }

    /// Says first what it is about.
    #[must_use]
    pub fn of(self, what: impl std::fmt::Display) -> Self {
        Self { sentence: format!("{what}: {}", self.sentence), ..self }
    }

    /// As lines, further ones below the sentence's first word.
    pub fn lines(&self, indent: &str, columns: Option<usize>) -> Vec<Line> {
        let ink = match self.label {
            "error" => Ink::Remove,
            "warning" => Ink::Caution,
            _ => Ink::Strong,
        };
        labelled(indent, ink, self.label, &self.sentence, columns)
    }
}

/// Errors, warnings and notes: each replica's own, and those that many have in common.
pub struct Remarks {
    own: Vec<Vec<Remark>>,
    common: Vec<(Remark, Vec<usize>)>,
}

impl Remarks {
    /// Collects them all.
    pub fn of(plan: &Plan, style: Style) -> Self {
        Self::that(plan, style, |_| true)
    }

    /// Collects the notes.
    pub fn notes(plan: &Plan, style: Style) -> Self {
        Self::that(plan, style, |remark| remark.label == "note")
    }

    fn that(plan: &Plan, style: Style, wanted: impl Fn(&Remark) -> bool) -> Self {
        let of_one = |replica| remarks(replica, style.verbose).into_iter().filter(|remark| wanted(remark)).collect();
        let mut own: Vec<Vec<Remark>> = plan.replicas.iter().map(of_one).collect();
        let mut owners: BTreeMap<Remark, Vec<usize>> = BTreeMap::new();
        for (index, remarks) in own.iter().enumerate() {
            for remark in remarks {
                owners.entry(remark.clone()).or_default().push(index);
            }
        }
        owners.retain(|_, owners| owners.len() >= COMMON);
        for remarks in &mut own {
            remarks.retain(|remark| !owners.contains_key(remark));
        }
        let mut common: Vec<(Remark, Vec<usize>)> = owners.into_iter().collect();
        // Warnings before notes.
        common.sort_by_key(|(remark, _)| remark.label == "note");
        Self { own, common }
    }

    /// What is said of one replica alone.
    pub fn lines_of(&self, replica: usize, style: Style) -> Vec<Line> {
        let columns = style.width.map(usize::from);
        let own = self.own.get(replica).map_or(&[][..], Vec::as_slice);
        let mut lines = Vec::new();
        for alike in own.chunk_by(|a, b| a.label == b.label) {
            let shown = if style.verbose || alike.len() <= MANY { alike.len() } else { SHOWN };
            lines.extend(alike.iter().take(shown).flat_map(|remark| remark.lines("  ", columns)));
            if let Some(hidden) = alike.get(shown).filter(|_| shown < alike.len()) {
                let more = count((alike.len() - shown) as u64, &format!("more {}", hidden.label));
                lines.push(Line::new().with(Ink::Dim, format!("  … and {more}; `-v` shows them")));
            }
        }
        lines
    }

    /// What many replicas have in common.
    pub fn common_lines(&self, plan: &Plan, style: Style) -> Vec<Line> {
        let columns = style.width.map(usize::from);
        let mut lines = Vec::new();
        for (remark, owners) in &self.common {
            let who = who(plan, owners, style.verbose);
            let remark = Remark { label: remark.label, sentence: format!("{who}: {}", remark.sentence) };
            lines.extend(remark.lines("", columns));
        }
        lines
    }
}

/// Errors and warnings, each once with the replicas that it is about, errors first. A primary that cannot be observed
/// is one of them.
pub fn urgent(plan: &Plan, verbose: bool) -> Vec<(Remark, String)> {
    let mut owners: Vec<(Remark, Vec<usize>)> = Vec::new();
    for (index, replica) in plan.replicas.iter().enumerate() {
        let unobserved = not_observed(replica).into_iter();
        for remark in unobserved.chain(remarks(replica, verbose)).filter(|remark| remark.label != "note") {
            match owners.iter_mut().find(|(known, _)| *known == remark) {
                Some((_, owners)) => owners.push(index),
                None => owners.push((remark, vec![index])),
            }
        }
    }
    owners.sort_by_key(|(remark, _)| remark.label != "error");
    owners.into_iter().map(|(remark, owners)| (remark, who(plan, &owners, verbose))).collect()
}

fn not_observed(replica: &ReplicaPlan) -> Option<Remark> {
    let Outcome::Unobserved(Error { message, hint, .. }) = &replica.outcome else { return None };
    let hint = hint.as_ref().map(|hint| format!("; {}", hint.trim())).unwrap_or_default();
    Some(Remark { label: "error", sentence: format!("not observed: {}{hint}", message.trim()) })
}

fn who(plan: &Plan, owners: &[usize], verbose: bool) -> String {
    if owners.len() > 1 && owners.len() == plan.replicas.len() && !verbose {
        return format!("all {}", count(owners.len() as u64, "replica"));
    }
    let shown = if verbose { owners.len() } else { COMMON - 1 };
    let mut names: Vec<String> =
        owners.iter().take(shown).filter_map(|i| Some(plan.replicas.get(*i)?.name.to_string())).collect();
    if owners.len() > shown {
        names.push(format!("{} more", owners.len() - shown));
    }
    list(&names)
}

/// Why nothing was observed of a replica.
pub fn unobserved(plan: &ReplicaPlan) -> Vec<Remark> {
    let Outcome::Unobserved(Error { message, hint, .. }) = &plan.outcome else { return Vec::new() };
    let hint = hint.clone().map(|sentence| Remark { label: "hint", sentence });
    std::iter::once(Remark { label: "error", sentence: message.trim().to_owned() }).chain(hint).collect()
}

/// What there is to say of a replica: errors, then warnings, then notes.
pub fn remarks(replica: &ReplicaPlan, verbose: bool) -> Vec<Remark> {
    let blockers = match &replica.outcome {
        Outcome::Blocked(blockers) => blockers.as_slice(),
        _ => &[],
    };
    let errors = blockers.iter().map(|b| Remark { label: "error", sentence: advice::blocker(replica, b) });
    let held = held::summary(replica).map(|sentence| Remark { label: "error", sentence });
    let errors = errors.chain(held);
    let shortfalls = replica.shortfalls.iter().map(|s| advice::shortfall(replica, s, verbose));
    let warnings = replica.warnings.iter().map(advice::warning);
    let warnings = shortfalls.chain(warnings).map(|sentence| Remark { label: "warning", sentence });
    // The heading shows the name at the primary.
    let notes = replica.notes.iter().filter(|note| !matches!(note, Note::Renamed(_)));
    let notes = notes.map(|n| Remark { label: "note", sentence: advice::note(n) });
    errors.chain(warnings).chain(notes).collect()
}

/// `warning: …`, with further lines below the sentence's first word.
pub fn labelled(indent: &str, ink: Ink, label: &str, sentence: &str, columns: Option<usize>) -> Vec<Line> {
    let at = width(indent) + width(label) + 2;
    let room = columns.map_or(usize::MAX, |columns| columns.saturating_sub(at));
    let mut lines = wrap(sentence, room).into_iter();
    let head = Line::new().with(Ink::Plain, indent).with(ink, label).with(Ink::Plain, ": ");
    let first = head.with(Ink::Plain, lines.next().unwrap_or_default());
    std::iter::once(first).chain(lines.map(|text| Line::new().pad_to(at).with(Ink::Plain, text))).collect()
}
