//! Which backups are wanted: computed once, on the whole set that the primary and the site have together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::barman::ids::BackupId;
use crate::barman::keep::Keep;
use crate::site::model::{Rule, Selection};

/// What the selection wants to know of a backup that is, or will be, recoverable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// The backup it builds on, when it is incremental.
    pub parent: Option<BackupId>,
    /// Its keep annotation at either end.
    pub keep: Option<Keep>,
    /// Whether its files are whole here, or can be had of the primary. One that is not takes no good one's place.
    pub is_whole: bool,
}

/// The backups that are wanted. A kept backup always is; an incremental one follows its parents, and a kept one
/// brings them along.
pub fn select(selection: &Selection, candidates: &BTreeMap<BackupId, Candidate>, now: Timestamp) -> BTreeSet<BackupId> {
    let mut selected: BTreeSet<BackupId> = match selection {
        Selection::All => candidates.keys().copied().collect(),
        Selection::Union(rules) => rules.iter().flat_map(|rule| by_rule(*rule, candidates, now)).collect(),
    };
    // Each is walked over once, however many kept ones build on it.
    let mut carried = BTreeSet::new();
    for (id, _) in candidates.iter().filter(|(_, candidate)| candidate.keep.is_some()) {
        let mut next = Some(*id);
        while let Some(id) = next.filter(|id| carried.insert(*id)) {
            next = candidates.get(&id).and_then(|candidate| candidate.parent);
        }
    }
    selected.extend(carried);
    let roots = roots(candidates);
    selected.extend(roots.iter().filter(|(_, root)| selected.contains(root)).map(|(id, _)| *id).collect::<Vec<_>>());
    selected.retain(|id| roots.contains_key(id));
    selected
}

/// Whether a selection depends on the time.
pub fn goes_by_time(selection: &Selection) -> bool {
    let is_by_time = |rule: &Rule| matches!(rule, Rule::Within(_) | Rule::RecoveryWindow { .. });
    matches!(selection, Selection::Union(rules) if rules.iter().any(is_by_time))
}

/// Why a backup is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// Every backup is.
    All,
    /// A rule selects it: its place in the list, and the rule.
    Rule(usize, Rule),
    /// It is kept.
    Kept,
    /// A kept backup builds on it.
    Carries(BackupId),
    /// It is incremental, and this one that it builds on is wanted.
    Follows(BackupId),
}

/// Everything that selects a backup; nothing when it is left out.
pub fn selectors(
    id: BackupId,
    selection: &Selection,
    candidates: &BTreeMap<BackupId, Candidate>,
    now: Timestamp,
) -> Vec<Selector> {
    let Some(candidate) = candidates.get(&id).filter(|_| has_whole_chain(id, candidates)) else { return Vec::new() };
    let mut found = match selection {
        Selection::All => vec![Selector::All],
        Selection::Union(rules) => {
            let selects = |rule: &Rule| by_rule(*rule, candidates, now).contains(&id);
            rules.iter().enumerate().filter(|(_, r)| selects(r)).map(|(i, rule)| Selector::Rule(i, *rule)).collect()
        }
    };
    found.extend(candidate.keep.map(|_| Selector::Kept));
    let kept = candidates.iter().filter(|(_, candidate)| candidate.keep.is_some());
    let carried = kept.map(|(id, _)| *id).find(|kept| ancestors(*kept, candidates).contains(&id));
    found.extend(carried.map(Selector::Carries));
    let root = ancestors(id, candidates).last().copied();
    let followed = root.filter(|root| found.is_empty() && !selectors(*root, selection, candidates, now).is_empty());
    found.extend(followed.map(Selector::Follows));
    found
}

/// What one rule selects among the full backups, newest first, as Barman's `retention_policies.py` does:
/// kept backups count, and a window keeps one backup before it.
fn by_rule(rule: Rule, candidates: &BTreeMap<BackupId, Candidate>, now: Timestamp) -> Vec<BackupId> {
    let newest_first = candidates.iter().rev().filter(|(_, c)| c.parent.is_none());
    match rule {
        Rule::Last(count) | Rule::Redundancy(count) => last(newest_first, count.get()),
        Rule::Within(length) => within(newest_first, length, now),
        Rule::RecoveryWindow { days } => {
            within(newest_first, Duration::from_secs(u64::from(days.get()) * 24 * 60 * 60), now)
        }
    }
}

/// The newest that are whole, so many of them, and what is damaged among those.
fn last<'a>(newest_first: impl Iterator<Item = (&'a BackupId, &'a Candidate)>, count: u32) -> Vec<BackupId> {
    let mut left = count;
    let counted = newest_first.take_while(|(_, candidate)| {
        let has_room = left > 0;
        left = left.saturating_sub(u32::from(candidate.is_whole));
        has_room
    });
    counted.map(|(id, _)| *id).collect()
}

fn within<'a>(
    newest_first: impl Iterator<Item = (&'a BackupId, &'a Candidate)>,
    length: Duration,
    now: Timestamp,
) -> Vec<BackupId> {
    let mut selected = Vec::new();
    for (id, candidate) in newest_first {
        selected.push(*id);
        let started_before =
            now.checked_sub(length).is_ok_and(|start| candidate.end_time.is_some_and(|end| end < start));
        // What is damaged is no beginning of a window.
        if started_before && candidate.is_whole {
            break;
        }
    }
    selected
}

/// The full backup at the beginning of each chain, by each backup of it. One that builds on what is not there, or in the end
/// on itself, is left out.
fn roots(candidates: &BTreeMap<BackupId, Candidate>) -> BTreeMap<BackupId, BackupId> {
    let mut known: BTreeMap<BackupId, Option<BackupId>> = BTreeMap::new();
    for id in candidates.keys() {
        let (mut walked, mut at) = (Vec::new(), *id);
        let root = loop {
            match (known.get(&at), candidates.get(&at)) {
                (Some(found), _) => break *found,
                (None, None) => break None,
                (None, Some(candidate)) => {
                    // Until more is known: whoever comes back here goes in a circle.
                    known.insert(at, None);
                    walked.push(at);
                    match candidate.parent {
                        None => break Some(at),
                        Some(parent) => at = parent,
                    }
                }
            }
        };
        known.extend(walked.into_iter().map(|id| (id, root)));
    }
    known.into_iter().filter_map(|(id, root)| Some((id, root?))).collect()
}

/// The backups that an incremental one builds on, nearest first. Ends at a parent that is not a candidate, and at a loop.
pub fn ancestors(id: BackupId, candidates: &BTreeMap<BackupId, Candidate>) -> Vec<BackupId> {
    let (mut chain, mut seen) = (Vec::new(), BTreeSet::from([id]));
    let mut next = candidates.get(&id).and_then(|c| c.parent);
    while let Some(parent) = next.filter(|parent| seen.insert(*parent)) {
        chain.push(parent);
        next = candidates.get(&parent).and_then(|c| c.parent);
    }
    chain
}

/// Whether every backup that this one builds on is there, up to a full one.
fn has_whole_chain(id: BackupId, candidates: &BTreeMap<BackupId, Candidate>) -> bool {
    let chain = ancestors(id, candidates);
    let root = chain.last().copied().unwrap_or(id);
    candidates.get(&root).is_some_and(|c| c.parent.is_none())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// `"1122 1123<1122 1124k"`: a backup a day of 2026-MM-DD, `<` names a parent, `k` a full and `s` a standalone keep.
    fn candidates(notation: &str) -> BTreeMap<BackupId, Candidate> {
        notation
            .split_whitespace()
            .map(|word| {
                let keep = match word.chars().last() {
                    Some('k') => Some(Keep::Full),
                    Some('s') => Some(Keep::Standalone),
                    _ => None,
                };
                let word = word.trim_end_matches(['k', 's']);
                let (own, parent) = word.split_once('<').map_or((word, None), |(own, parent)| (own, Some(id(parent))));
                let end = format!("2026-{}-{}T01:00:00Z", &own[..2], &own[2..]).parse().unwrap();
                (id(own), Candidate { end_time: Some(end), parent, keep, is_whole: true })
            })
            .collect()
    }

    fn id(day: &str) -> BackupId {
        format!("2026{day}T000000").parse().unwrap()
    }

    fn selected(rules: &[Rule], notation: &str) -> String {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let selection = if rules.is_empty() { Selection::All } else { Selection::Union(rules.to_vec()) };
        let ids = select(&selection, &candidates(notation), now);
        ids.iter().map(|id| id.as_str()[4..8].to_owned()).collect::<Vec<_>>().join(" ")
    }

    fn n(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    fn days(count: u64) -> Rule {
        Rule::Within(Duration::from_secs(count * 86400))
    }

    #[test]
    fn rules_select_as_barman_does() {
        let five = "1115 1117 1119 1120 1121";
        assert_eq!(selected(&[], five), five);
        assert_eq!(selected(&[Rule::Last(n(2))], five), "1120 1121");
        assert_eq!(selected(&[Rule::Redundancy(n(9))], five), five);
        // The window begins on the 18th at noon: the backup of the 17th covers its first day.
        assert_eq!(selected(&[days(4)], five), "1117 1119 1120 1121");
        assert_eq!(selected(&[Rule::RecoveryWindow { days: n(1) }], five), "1121");
        assert_eq!(selected(&[Rule::Last(n(1)), days(4)], five), "1117 1119 1120 1121");
    }

    #[test]
    fn incrementals_do_not_count_and_follow_their_parents() {
        let chain = "1115 1116<1115 1117<1116 1119 1120<1119";
        assert_eq!(selected(&[Rule::Last(n(1))], chain), "1119 1120");
        assert_eq!(selected(&[Rule::Last(n(2))], chain), "1115 1116 1117 1119 1120");
    }

    #[test]
    fn a_child_is_never_selected_without_its_parents() {
        assert_eq!(selected(&[], "1116<1115 1119"), "1119");
        assert_eq!(selected(&[], "1116<1117 1117<1116 1119"), "1119");
    }

    #[test]
    fn a_backup_has_a_selector_exactly_when_it_is_selected() {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let notation = "1110k 1111<1110 1115 1116<1115 1117<1116k 1118<1101 1119 1120<1119 1121";
        for rules in [vec![], vec![Rule::Last(n(1))], vec![Rule::Last(n(2)), days(4)]] {
            let selection = if rules.is_empty() { Selection::All } else { Selection::Union(rules) };
            let all = candidates(notation);
            let selected = select(&selection, &all, now);
            for id in all.keys() {
                assert_eq!(!selectors(*id, &selection, &all, now).is_empty(), selected.contains(id), "{id}");
            }
        }
        let last = Selection::Union(vec![days(1), Rule::Last(n(2))]);
        let why = |day: &str| selectors(id(day), &last, &candidates(notation), now);
        assert_eq!(why("1121"), [Selector::Rule(0, days(1)), Selector::Rule(1, Rule::Last(n(2)))]);
        assert_eq!(why("1120"), [Selector::Follows(id("1119"))]);
        assert_eq!(why("1115"), [Selector::Carries(id("1117"))]);
        assert_eq!(why("1110"), [Selector::Kept]);
    }

    proptest! {
        /// Whatever they build on: what is not there, themselves, each other.
        #[test]
        fn what_is_selected_has_a_selector_whatever_backups_build_on(
            backups in vec((proptest::option::weighted(0.6, 1_u32..16), 0..6_u8), 1..14),
            last in 1..4_u32,
        ) {
            let now = "2026-11-22T12:00:00Z".parse().unwrap();
            let word = |(day, (parent, keep)): (usize, &(Option<u32>, u8))| {
                let parent = parent.map(|parent| format!("<11{parent:02}")).unwrap_or_default();
                format!("11{:02}{parent}{}", day + 1, if *keep == 0 { "k" } else { "" })
            };
            let notation = backups.iter().enumerate().map(word).collect::<Vec<_>>().join(" ");
            let all = candidates(&notation);
            for selection in [Selection::All, Selection::Union(vec![Rule::Last(n(last)), days(10)])] {
                let selected = select(&selection, &all, now);
                for id in all.keys() {
                    let is_selected = !selectors(*id, &selection, &all, now).is_empty();
                    prop_assert_eq!(is_selected, selected.contains(id), "{} of {}", id, notation);
                }
            }
        }
    }

    #[test]
    fn a_chain_of_any_length_is_walked_over_once() {
        let first = "2000-01-01T00:00:00Z".parse::<Timestamp>().unwrap();
        let at = |number: i64| first + jiff::SignedDuration::from_mins(number);
        let id = |number: i64| -> BackupId { at(number).strftime("%Y%m%dT%H%M%S").to_string().parse().unwrap() };
        let candidate = |number: i64| {
            let parent = (number > 0).then(|| id(number - 1));
            let keep = (number % 2 == 1).then_some(Keep::Full);
            (id(number), Candidate { end_time: Some(at(number)), parent, keep, is_whole: true })
        };
        let all: BTreeMap<BackupId, Candidate> = (0..30_000).map(candidate).collect();
        assert_eq!(select(&Selection::Union(vec![Rule::Last(n(1))]), &all, at(30_000)).len(), 30_000);
    }

    #[test]
    fn kept_backups_are_always_selected_and_count() {
        assert_eq!(selected(&[Rule::Last(n(1))], "1110k 1115 1119"), "1110 1119");
        assert_eq!(selected(&[Rule::Last(n(1))], "1115 1119 1120s"), "1120");
        assert_eq!(selected(&[Rule::Last(n(1))], "1110 1111<1110k 1119"), "1110 1111 1119");
    }
}
