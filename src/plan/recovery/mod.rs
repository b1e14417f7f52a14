//! What recovery can reach at the site, before and after a plan.
//!
//! The windows are those of branches, and the branch that counts is the one that is alive: the one that grew last at the
//! primary. Where no backup here leads to it, the best window of another branch is told, and how far that is behind.

#![deny(clippy::wildcard_enum_match_arm)]

pub(super) mod branch;
pub mod objective;
pub mod origin;
pub mod promise;
pub mod shortfall;
pub mod way;
pub mod window;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::barman::history::HistoryFile;
use crate::barman::ids::BackupId;
use crate::barman::wal::{Segment, Timeline, WalName};
use crate::barman::wal_list::WalList;
use crate::observe::inventory::{BackupFacts, PrimaryInventory, ReplicaInventory};

use super::action::Action;
use super::action::kinds::Effect;
use super::backup::{self, BackupDiff};
use super::held;
use super::reason::Reason;
use crate::observe::wal_files::{WalFile, wal_files};
use branch::{Branch, Signs, archived_at, branches, is_ahead, within};
use origin::Origin;
use window::{Archive, Reach, Segments, Window, reach, recoverable};

/// What recovery can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// The window, in WAL; `None` when no backup is recoverable.
    pub window: Option<Window>,
    /// When its oldest backup ended.
    pub from: Option<Timestamp>,
    /// When its last segment was archived at the primary.
    pub to: Option<Timestamp>,
    /// How many backups are recoverable.
    pub backups: usize,
    /// How many of them are full ones, which stand without another.
    pub full_backups: usize,
    /// How far the window's end is behind the primary's newest WAL; `None` when the primary did not say.
    pub lag: Option<Lag>,
    /// How far the origin is, where the primary is a copy itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

impl Recovery {
    /// Whether the primary is known to have nothing newer.
    pub fn is_level(&self) -> bool {
        self.lag.is_some_and(|lag| lag.segments == 0)
    }
}

/// How far a recovery window's end is behind the primary's newest WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lag {
    /// Segments that the primary archived after it.
    pub segments: u64,
    /// Their stored bytes.
    pub bytes: u64,
    /// Seconds between the two archivings; `None` when no window ends.
    pub seconds: Option<i64>,
}

/// Nothing of an archive whose primary did not say anything is known to be gone.
static NOTHING: BTreeSet<WalName> = BTreeSet::new();

/// Backups and WAL that are, or will be, at the site.
pub struct View<'a> {
    /// The backups whose files are all here.
    whole: Vec<&'a BackupFacts>,
    /// Every backup that either end knows, whatever its state.
    known: Vec<&'a BackupFacts>,
    /// The whole segments.
    segments: &'a Segments,
    /// The history files here.
    histories: BTreeMap<Timeline, HistoryFile>,
    /// The history files at either end.
    ancestry: BTreeMap<Timeline, HistoryFile>,
    /// What the primary has; `None` when it did not say.
    primary: Option<&'a PrimaryInventory>,
    /// What xlog.db here says.
    lines: &'a WalList,
    now: Timestamp,
    /// The branches, once they were asked for.
    branches: OnceCell<Vec<Branch>>,
}

/// A branch beside the one that is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtherBranch {
    /// The timeline that it ends on.
    pub timeline: Timeline,
    /// When its newest segment was archived.
    pub newest: Option<Timestamp>,
    /// Up to when it can be recovered, if at all.
    pub reached: Option<Timestamp>,
}

/// What recovery can reach now, with these segments. Without the primary's answer the lag stays unknown.
pub fn before<'a>(
    primary: Option<&'a PrimaryInventory>,
    here: &'a ReplicaInventory,
    segments: &'a Segments,
    now: Timestamp,
) -> View<'a> {
    let whole = here.published().filter(|facts| here.is_whole(facts.id)).collect();
    let published = here.published().collect();
    View::new(whole, published, here.histories.clone(), primary, here, segments, now)
}

/// What recovery will reach when every action of the plan is done, and these segments are here.
pub fn after<'a>(
    primary: &'a PrimaryInventory,
    here: &'a ReplicaInventory,
    backups: &'a BackupDiff,
    segments: &'a Segments,
    now: Timestamp,
) -> View<'a> {
    let histories = here.histories.iter().chain(&primary.histories).map(|(t, h)| (*t, h.clone())).collect();
    let kept = backups.kept.values().map(|kept| &kept.facts).collect();
    View::new(whole_after(primary, here, backups), kept, histories, Some(primary), here, segments, now)
}

/// The backups that will be recoverable when every action of the plan is done, and these segments are here.
pub fn recoverable_after(
    primary: &PrimaryInventory,
    here: &ReplicaInventory,
    backups: &BackupDiff,
    segments: &Segments,
) -> Vec<BackupId> {
    recoverable(whole_after(primary, here, backups), segments).into_keys().collect()
}

/// The backups whose files will all be here.
fn whole_after<'a>(
    primary: &PrimaryInventory,
    here: &ReplicaInventory,
    backups: &'a BackupDiff,
) -> Vec<&'a BackupFacts> {
    // What is held is not mended with the files of something else.
    let comes = |id| backup::is_usable_at(primary, id) && !backups.held.contains_key(&id);
    let will_be_whole = |id| comes(id) || here.is_whole(id);
    backups.kept.iter().filter(|(id, _)| will_be_whole(**id)).map(|(_, kept)| &kept.facts).collect()
}

/// The segments that are whole as far as the site alone can tell.
pub fn segments_here(here: &ReplicaInventory) -> Segments {
    let mut segments = Segments::of_sizes(here.published().map(|facts| facts.segment_size));
    segments.extend(wal_files(None, here).filter(WalFile::is_intact).filter_map(|file| file.name.segment()));
    segments
}

/// What recovery will reach when these actions are done, whatever else a plan had.
pub fn with(primary: &PrimaryInventory, here: &ReplicaInventory, actions: &[Action], now: Timestamp) -> Recovery {
    let mut facts: BTreeMap<BackupId, &BackupFacts> = here.published().map(|facts| (facts.id, facts)).collect();
    let mut whole: BTreeSet<BackupId> = facts.keys().copied().filter(|id| here.is_whole(*id)).collect();
    let mut histories = here.histories.clone();
    let (mut comes, mut goes) = (Vec::new(), BTreeSet::new());
    for action in actions {
        match action.change.effect() {
            Effect::BackupComes(copy) | Effect::FilesCome(copy) => {
                facts.extend(primary.backups.get(&copy.id).map(|backup| (copy.id, &backup.facts)));
                whole.insert(copy.id);
            }
            // What it says of itself may be wrong until then, but for what is held.
            Effect::Info(id, _) if facts.contains_key(&id) && !is_held(primary, here, action, id) => {
                facts.extend(primary.backups.get(&id).filter(|b| backup::is_usable(b)).map(|b| (id, &b.facts)));
            }
            Effect::BackupGoes { id, .. } => {
                facts.remove(&id);
                whole.remove(&id);
            }
            Effect::History(timeline) => {
                histories.extend(primary.histories.get(&timeline).map(|history| (timeline, history.clone())));
            }
            Effect::WalsCome(batch) => comes.extend(batch.names()),
            Effect::WalsGo(_, files) => goes.extend(files.keys().copied()),
            Effect::Server
            | Effect::List
            | Effect::Info(..)
            | Effect::Links(_)
            | Effect::Keep(..)
            | Effect::StagingGoes(_) => {}
        }
    }
    let mut segments = Segments::of_sizes(facts.values().map(|facts| facts.segment_size));
    let stay = wal_files(Some(primary), here).filter(|file| file.is_intact() && !goes.contains(&file.name));
    segments.extend(stay.map(|file| file.name).chain(comes).filter_map(WalName::segment));
    let whole = facts.values().copied().filter(|facts| whole.contains(&facts.id)).collect();
    let facts = facts.into_values().collect();
    View::new(whole, facts, histories, Some(primary), here, &segments, now).recovery()
}

/// Whether a backup.info that is rewritten keeps what the primary contradicts.
fn is_held(primary: &PrimaryInventory, here: &ReplicaInventory, action: &Action, id: BackupId) -> bool {
    let published = here.backups.get(&id).and_then(|local| local.published.as_ref());
    let conflicts = published.zip(primary.backups.get(&id)).map(|(published, there)| held::conflicts(published, there));
    !matches!(action.reason, Reason::InfoAccepted(_)) && conflicts.is_some_and(|keys| !keys.is_empty())
}

impl<'a> View<'a> {
    fn new(
        whole: Vec<&'a BackupFacts>,
        published: Vec<&'a BackupFacts>,
        histories: BTreeMap<Timeline, HistoryFile>,
        primary: Option<&'a PrimaryInventory>,
        here: &'a ReplicaInventory,
        segments: &'a Segments,
        now: Timestamp,
    ) -> Self {
        let there = primary.into_iter().flat_map(|primary| primary.backups.values()).map(|backup| &backup.facts);
        let mut known: Vec<&BackupFacts> = there.chain(published).collect();
        known.sort_by_key(|facts| facts.id);
        let mut ancestry = histories.clone();
        ancestry.extend(primary.into_iter().flat_map(|there| &there.histories).map(|(t, h)| (*t, h.clone())));
        Self {
            whole,
            known,
            segments,
            histories,
            ancestry,
            primary,
            lines: &here.xlogdb.entries,
            now,
            branches: OnceCell::new(),
        }
    }

    /// What it comes to.
    pub fn recovery(&self) -> Recovery {
        let recoverable = recoverable(self.whole.iter().copied(), self.segments);
        let branches = self.branches();
        let judged = self.judged(branches, &recoverable);
        let window = judged.map(|(_, reach)| reach.window);
        let to = judged.and_then(|(_, reach)| self.to(&reach));
        Recovery {
            window,
            from: window.and_then(|w| recoverable.get(&w.oldest)).and_then(|facts| facts.end_time),
            to,
            backups: recoverable.len(),
            full_backups: recoverable.values().filter(|facts| facts.parent.is_none()).count(),
            lag: self.primary.map(|primary| self.lag(judged, branches.first(), primary)),
            origin: self.primary.and_then(|primary| Origin::of(primary, window, to, self.now)),
        }
    }

    /// The branches beside the one that is judged, that which grew last first.
    pub fn other_branches(&self) -> Vec<OtherBranch> {
        let recoverable = recoverable(self.whole.iter().copied(), self.segments);
        let branches = self.branches();
        let judged = self.judged(branches, &recoverable).map_or(0, |(place, _)| place);
        let others = branches.iter().enumerate().filter(|(place, _)| *place != judged);
        let other = |(_, branch): (usize, &Branch)| OtherBranch {
            timeline: branch.timeline(),
            newest: branch.newest(),
            reached: reach(branch, &recoverable, self.archive()).and_then(|reach| self.to(&reach)),
        };
        others.map(other).collect()
    }

    /// Every branch that has WAL, that which grew last first.
    pub fn branches(&self) -> &[Branch] {
        self.branches.get_or_init(|| self.found_branches())
    }

    fn found_branches(&self) -> Vec<Branch> {
        branches(Signs {
            backups: &self.known,
            histories: &self.ancestry,
            segments: self.segments,
            wals: self.wals(),
            gone: self.primary.map_or(&NOTHING, |primary| &primary.gone),
            lines: self.lines,
            now: self.now,
        })
    }

    /// The branch that is judged, by its place, and what is reached on it: the one that is alive or, where no backup
    /// leads there, the one that is reached furthest in time.
    fn judged(&self, branches: &[Branch], recoverable: &BTreeMap<BackupId, &BackupFacts>) -> Option<(usize, Reach)> {
        let reached = branches.iter().enumerate().filter_map(|(place, branch)| {
            let reach = reach(branch, recoverable, self.archive())?;
            Some((place, reach))
        });
        let reached: Vec<(usize, Reach)> = reached.collect();
        let alive = reached.iter().find(|(place, _)| *place == 0);
        alive.or_else(|| reached.iter().rev().max_by_key(|(_, reach)| self.to(reach))).copied()
    }

    fn archive(&self) -> Archive<'_> {
        Archive { segments: self.segments, histories: &self.histories }
    }

    fn wals(&self) -> Option<&'a WalList> {
        self.primary.map(|primary| &primary.wals)
    }

    /// Up to when recovery gets: when the window's last segment was archived, and never earlier than when a backup ended
    /// from which it is reached.
    fn to(&self, reach: &Reach) -> Option<Timestamp> {
        self.archived(reach.window).max(reach.consistent)
    }

    /// When the window's last segment was archived, as the primary says or else xlog.db.
    fn archived(&self, window: Window) -> Option<Timestamp> {
        let name = WalName::Segment(Segment::from_number(window.end.timeline, window.end.number, window.segment_size)?);
        let entry = self.wals().and_then(|wals| wals.get(name)).or_else(|| self.lines.get(name))?;
        archived_at(entry.mtime)
    }

    /// What the primary archived on the branch that is alive, past the window's end.
    fn lag(&self, judged: Option<(usize, Reach)>, alive: Option<&Branch>, primary: &PrimaryInventory) -> Lag {
        let Some(alive) = alive else { return Lag::default() };
        let from = match judged {
            Some((0, Reach { place: (stretch, number), .. })) => (stretch, number.saturating_add(1)),
            Some(_) => alive.tip(),
            None => (0, 0),
        };
        let size = alive.segment_size();
        let mut lag = Lag::default();
        let mut newest = None;
        for entry in alive.from(from).flat_map(|range| within(&primary.wals, range, size)) {
            lag.segments += 1;
            lag.bytes = lag.bytes.saturating_add(entry.size);
            newest = newest.max(archived_at(entry.mtime));
        }
        lag.seconds =
            judged.and_then(|(_, reach)| self.seconds(&reach, newest.filter(|_| lag.segments > 0), lag.segments));
        lag
    }

    /// Seconds from a window's end to the newest of the segments that follow it; `None` where the times disagree with
    /// the order of the segments, or lie in the future, and so show nothing.
    fn seconds(&self, reach: &Reach, newest: Option<Timestamp>, segments: u64) -> Option<i64> {
        if segments == 0 {
            return Some(0);
        }
        let (archived, to) = (self.archived(reach.window), self.to(reach)?);
        // What is dated in the future was archived by now.
        let newest = newest?.min(self.now);
        let is_evidence = archived.is_none_or(|archived| !is_ahead(archived, self.now) && archived <= newest);
        is_evidence.then(|| (newest.as_second() - to.as_second()).max(0))
    }
}
