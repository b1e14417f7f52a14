//! Any two inventories: backups in every state at either end, holes, wrong sizes, broken lists, and any policy.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::barman::backup_info::Status;
use crate::barman::keep::Keep;
use crate::barman::wal::{Lsn, Segment, SegmentSize, Timeline, WalName};
use crate::barman::wal_entry::{Mtime, WalEntry};
use crate::barman::wal_list::WalList;
use crate::observe::inventory::XlogFinding;
use crate::observe::inventory::{BaseKind, BaseState, LocalBackup, Published, Undescribed, WholeWal};
use crate::site::model::{Policy, Prune, Rule, Selection, WalsFrom};

use super::case::{Case, case};
use super::notation::{self, BARMAN, SIZE, entry, id, info};

/// A replica in any situation.
pub fn any_case() -> impl Strategy<Value = Case> {
    let backups = vec(any_backup(), 0..9);
    let wals = vec(any_wal(), 0..60);
    (backups, wals, vec(any_history(), 0..3), any_policy(), any_site()).prop_map(
        |(backups, wals, histories, policy, site)| {
            let mut case = case("", "|");
            for (day, backup) in (11..).zip(&backups) {
                backup.add_to(&mut case, day);
            }
            for wal in &wals {
                wal.add_to(&mut case);
            }
            for history in &histories {
                history.add_to(&mut case);
            }
            let gone = &case.primary.gone;
            case.primary.undescribed.retain(|name, _| !gone.contains(name));
            for wal in &wals {
                wal.read(&mut case);
            }
            case.primary.last = case.primary.wals.last().map(|entry| (entry.name, 5));
            case.replica.policy = policy;
            name_children(&mut case);
            site.add_to(&mut case);
            case
        },
    )
}

/// One backup, as it may be at both ends.
#[derive(Debug, Clone)]
struct AnyBackup {
    there: Option<(Status, BaseKind, bool, Option<Keep>)>,
    here: Option<(Option<Status>, BaseState, Option<Keep>)>,
    timeline: u32,
    span: Option<(u64, u64)>,
    /// How many days before it the backup is that it builds on.
    parent: Option<i32>,
    segment_size: SegmentSize,
    files: Option<String>,
    is_read: bool,
    staged: bool,
    /// Whether the primary says that it ends a segment later.
    differs: bool,
}

fn any_status() -> impl Strategy<Value = Status> {
    prop_oneof![
        6 => Just(Status::Done),
        1 => select(vec![Status::WaitingForWals, Status::Started, Status::Failed, Status::Syncing]),
    ]
}

fn any_keep() -> impl Strategy<Value = Option<Keep>> {
    prop_oneof![6 => Just(None), 1 => Just(Some(Keep::Full)), 1 => Just(Some(Keep::Standalone))]
}

fn any_backup() -> impl Strategy<Value = AnyBackup> {
    let base =
        prop_oneof![9 => Just(BaseKind::Files), 1 => Just(BaseKind::CloudSnapshot), 1 => Just(BaseKind::Damaged)];
    let there = (any_status(), base, prop::bool::weighted(0.1), any_keep());
    let state = prop_oneof![
        5 => Just(BaseState::Complete),
        1 => Just(BaseState::Absent),
        1 => Just(BaseState::Damaged { files: vec!["data/PG_VERSION".into()] }),
    ];
    let here = (prop::option::weighted(0.9, any_status()), state, any_keep());
    let ends = (prop::option::weighted(0.7, there), prop::option::weighted(0.6, here));
    let span = prop::option::weighted(0.95, (0..20_u64, 0..4_u64).prop_map(|(first, more)| (first, first + more)));
    let size = prop_oneof![9 => Just(SIZE), 1 => Just(SegmentSize::new(1 << 30).unwrap())];
    let parent = prop::option::weighted(0.4, 1..5_i32);
    let files = prop::option::weighted(0.5, "[abc]{1,3}");
    let flags = (prop::bool::weighted(0.9), prop::bool::weighted(0.2), prop::bool::weighted(0.1));
    (ends, 1..4_u32, span, parent, size, files, flags).prop_map(
        |((there, here), timeline, span, parent, segment_size, files, (is_read, staged, differs))| AnyBackup {
            there,
            here,
            timeline,
            span,
            parent,
            segment_size,
            files,
            is_read,
            staged,
            differs,
        },
    )
}

impl AnyBackup {
    fn add_to(&self, case: &mut Case, day: i32) {
        let id = id(&day.to_string());
        let mut facts = notation::Backup::parse(&day.to_string()).facts();
        let segment = |number| Segment::from_number(Timeline(self.timeline), number, self.segment_size);
        facts.begin_wal = self.span.and_then(|(first, _)| segment(first));
        facts.end_wal = self.span.and_then(|(_, last)| segment(last));
        facts.timeline = Timeline(self.timeline);
        facts.segment_size = self.segment_size;
        facts.parent = self.parent.filter(|days| day - days > 10).map(|days| notation::id(&(day - days).to_string()));
        let manifest = self.files.as_ref().map(|files| std::sync::Arc::new(notation::manifest(files)));
        if let Some((status, base, going_away, keep)) = self.there {
            facts.status = status;
            let manifest = manifest.clone();
            let mut facts = facts.clone();
            if self.differs {
                facts.end_wal = self.span.and_then(|(_, last)| segment(last + 1));
            }
            let info = info(&facts, &[]);
            let backup = crate::observe::inventory::PrimaryBackup { facts, info, base, keep, going_away, manifest };
            case.primary.backups.insert(id, backup);
        }
        if let Some((status, base, keep)) = self.here.clone() {
            facts.status = status.unwrap_or(Status::Done);
            let published = Published { info: info(&facts, &[]), facts, damage: Vec::new(), is_read: self.is_read };
            let published = status.map(|_| published);
            let unlinked = if self.staged { vec![16384] } else { Vec::new() };
            case.here.backups.insert(id, LocalBackup { published, base, looked_at: None, unlinked, keep, manifest });
        }
        if self.staged {
            case.here.staged.insert(id, 0);
        }
    }
}

/// Gives each backup.info the children that the same end has, and turns those here into a site's.
fn name_children(case: &mut Case) {
    let parents = |id, parent: Option<_>| parent.map(|parent| (parent, id));
    let there: Vec<_> = case.primary.backups.iter().filter_map(|(id, b)| parents(*id, b.facts.parent)).collect();
    for (id, backup) in &mut case.primary.backups {
        let children: Vec<_> = there.iter().filter(|(parent, _)| parent == id).map(|(_, child)| *child).collect();
        backup.info = info(&backup.facts, &children);
    }
    let here: BTreeSet<_> = case.here.published().map(|facts| facts.id).collect();
    for local in case.here.backups.values_mut() {
        if let Some(published) = &mut local.published {
            let info = info(&published.facts, &[]).for_site(&case.replica.name, BARMAN, &here);
            published.info = info.with_status(published.facts.status);
        }
    }
}

/// A WAL file, as it may be at both ends.
#[derive(Debug, Clone)]
struct AnyWal {
    name: WalName,
    there: Option<u64>,
    gone: bool,
    undescribed: Option<Undescribed>,
    here: Option<u64>,
    /// The size and the time that xlog.db here says.
    line: Option<(u64, bool)>,
    /// Whether a segment that differs here was read and found whole.
    whole: bool,
}

fn any_wal() -> impl Strategy<Value = AnyWal> {
    let name = (1..4_u32, 0..20_u64, 0..12_u8).prop_map(|(timeline, number, kind)| {
        let segment = Segment::from_number(Timeline(timeline), number, SIZE).unwrap();
        match kind {
            0 => WalName::Partial(segment),
            1 => WalName::BackupLabel { segment, offset: 40 },
            _ => WalName::Segment(segment),
        }
    });
    let size = || prop::option::weighted(0.8, select(vec![9_u64, 9, 9, 9, 9, 5, 0]));
    let line = prop::option::weighted(0.8, (select(vec![9_u64, 9, 9, 5]), prop::bool::weighted(0.1)));
    let listed = select(vec![9_u64, 5, 0]).prop_map(|listed| Undescribed::OtherSize { listed });
    let undescribed = prop::option::weighted(0.1, prop_oneof![Just(Undescribed::NotListed), listed]);
    let sizes = (size(), size(), line);
    let flags = (prop::bool::weighted(0.05), undescribed, prop::bool::weighted(0.5));
    (name, sizes, flags).prop_map(|(name, (there, here, line), (gone, undescribed, whole))| AnyWal {
        name,
        there,
        gone,
        undescribed,
        here,
        line,
        whole,
    })
}

impl AnyWal {
    /// What an observation finds of a segment that both ends have, each with another size.
    fn read(&self, case: &mut Case) {
        let there = case.primary.wals.get(self.name).map_or(0, |entry| entry.size);
        let here = case.here.wals.get(self.name).unwrap_or_default();
        let is_offered = there > 0 && !case.primary.gone.contains(&self.name);
        if self.whole && is_offered && here > 0 && here != there && self.name.segment().is_some() {
            case.here.whole.insert(self.name, WholeWal::Read { compression: None });
        }
    }

    fn add_to(&self, case: &mut Case) {
        add(&mut case.primary.wals, self.there.map(|size| entry(self.name, size)));
        case.primary.gone.extend((self.gone && self.there.is_some()).then_some(self.name));
        let why = self.undescribed.filter(|_| self.there.is_some() && !self.gone);
        case.primary.undescribed.extend(why.map(|why| (self.name, why)));
        case.here.wals.extend(self.here.map(|size| (self.name, size)));
        let late = Mtime::new(1.5).unwrap();
        let line = |(size, late_line): (u64, bool)| {
            let entry = entry(self.name, size);
            WalEntry { mtime: if late_line { late } else { entry.mtime }, ..entry }
        };
        add(&mut case.here.xlogdb.entries, self.line.map(line));
    }
}

fn add(list: &mut WalList, entry: Option<WalEntry>) {
    *list = std::mem::take(list).with(entry.into_iter().collect());
}

/// A history file: its timeline, where it left the one before, and whether each end has it, the primary's list too.
#[derive(Debug, Clone)]
struct AnyHistory {
    timeline: u32,
    switch: u64,
    there: bool,
    listed: bool,
    here: Option<u64>,
}

fn any_history() -> impl Strategy<Value = AnyHistory> {
    let here = prop::option::of(select(vec![42_u64, 42, 5]));
    (2..4_u32, 0..20_u64, any::<bool>(), any::<bool>(), here)
        .prop_map(|(timeline, switch, there, listed, here)| AnyHistory { timeline, switch, there, listed, here })
}

impl AnyHistory {
    fn add_to(&self, case: &mut Case) {
        let timeline = Timeline(self.timeline);
        let name = WalName::History(timeline);
        if case.primary.histories.contains_key(&timeline) || case.here.histories.contains_key(&timeline) {
            return;
        }
        let ancestors = vec![(Timeline(self.timeline - 1), Lsn(self.switch * SIZE.bytes() + 40))];
        let history = |size| crate::barman::history::HistoryFile { timeline, size, ancestors: ancestors.clone() };
        if self.there {
            case.primary.histories.insert(timeline, history(42));
        }
        add(&mut case.primary.wals, self.listed.then(|| entry(name, 42)));
        if let Some(size) = self.here {
            case.here.wals.insert(name, size);
            case.here.histories.insert(timeline, history(size));
        }
    }
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let rule = prop_oneof![
        (1..6_u32).prop_map(|count| Rule::Last(NonZeroU32::new(count).unwrap())),
        (0..20_u64).prop_map(|days| Rule::Within(Duration::from_secs(days * 86400))),
    ];
    let selection = prop_oneof![Just(Selection::All), vec(rule, 1..3).prop_map(Selection::Union)];
    let from = select(vec![WalsFrom::OldestBackup, WalsFrom::NewestBackup, WalsFrom::BackupsOnly]);
    let percent = select(vec![0_u8, 25, 100]);
    let accept = prop_oneof![3 => Just(vec![]), 1 => select(vec!["main", "main/wal", "main/info"]).prop_map(|a| vec![a.parse().unwrap()])];
    (selection, from, any::<bool>(), any::<bool>(), 0..3_u32, percent, accept).prop_map(
        |(backups, wals_from, unselected, gone_at_primary, min_backups, max_prune_percent, accept)| {
            let mut policy = case("", "").replica.policy;
            policy.backups = backups;
            policy.wals_from = wals_from;
            policy.prune = Prune { unselected, gone_at_primary };
            policy.protect.min_backups = min_backups;
            policy.protect.max_prune_percent = max_prune_percent;
            policy.accept = accept;
            policy
        },
    )
}

/// The state of the site's own files.
#[derive(Debug, Clone)]
struct AnySite {
    exists: bool,
    findings: Vec<XlogFinding>,
    sync_wals: Option<u64>,
}

fn any_site() -> impl Strategy<Value = AnySite> {
    let finding = select(vec![XlogFinding::Doubled(1), XlogFinding::Unsorted(1), XlogFinding::OtherName]);
    let findings = prop_oneof![
        Just(vec![]),
        Just(vec![]),
        Just(vec![XlogFinding::Missing]),
        finding.prop_map(|finding| vec![finding]),
    ];
    (prop::bool::weighted(0.9), findings, prop::option::of(4..6_u64))
        .prop_map(|(exists, findings, sync_wals)| AnySite { exists, findings, sync_wals })
}

impl AnySite {
    fn add_to(&self, case: &mut Case) {
        if !self.exists {
            case.here = notation::replica("", &case.primary);
            return;
        }
        if self.findings.contains(&XlogFinding::Missing) {
            case.here.xlogdb.entries = WalList::default();
        }
        case.here.xlogdb.findings.clone_from(&self.findings);
        case.here.sync_wals = self.sync_wals.zip(case.primary.last).map(|(position, (name, _))| (name, position));
    }
}
