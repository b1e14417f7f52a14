//! Plans as values, in few words.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::{BackupId, ServerName};
use crate::barman::layout::ServerDirs;
use crate::barman::version::BarmanVersion;
use crate::barman::wal::{SegmentSize, Timeline, WalName};
use crate::barman::wal_entry::{Mtime, WalEntry};
use crate::barman::wal_set::WalRange;
use crate::plan::action::{Action, BackupCopy, Change, WalBatch};
use crate::plan::cost::estimate::Pace;
use crate::plan::reason::Reason;
use crate::plan::recovery::window::{Point, Window};
use crate::plan::recovery::{Lag, Recovery};
use crate::plan::{Outcome, Plan, ReplicaPlan, Target};

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;
pub const SEGMENT: u64 = 16 * MIB;

pub fn site(replicas: Vec<ReplicaPlan>) -> Plan {
    let (site, catalog) = ("lisbon".into(), "/var/lib/barman".into());
    Plan { site, catalog, replicas, vanished: Vec::new(), detached: Vec::new(), narrowed: None }
}

/// A replica of frankfurt that is in sync.
pub fn replica(name: &str) -> ReplicaPlan {
    let now = reached("2026-10-21 03:04:11", "2026-11-22 09:26:26");
    ReplicaPlan {
        name: server(name),
        primary: "frankfurt".into(),
        server: server(name),
        outcome: Outcome::Planned,
        target: Some(Target {
            here: ServerDirs::of_catalog("/var/lib/barman".as_ref(), server(name)),
            there: ServerDirs::of_catalog("/var/lib/barman".as_ref(), server(name)),
            barman: BarmanVersion::new(3, 19, 1),
            segment_size: SegmentSize::DEFAULT,
            segment_sizes: vec![SegmentSize::DEFAULT],
            sync_wals: None,
            systems: Vec::new(),
            free: Some(1229 * GIB),
            reserve: 0,
            pace: Pace::default(),
        }),
        actions: Vec::new(),
        held: Vec::new(),
        before: now,
        after: now,
        shortfalls: Vec::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
        left_out: 0,
    }
}

pub fn server(name: &str) -> ServerName {
    name.parse().unwrap()
}

/// `id("1122")`: a backup of 2026-11-22 at three in the morning.
pub fn id(day: &str) -> BackupId {
    format!("2026{day}T030000").parse().unwrap()
}

pub fn range(timeline: u32, first: u64, last: u64) -> WalRange {
    WalRange { timeline: Timeline(timeline), first, last }
}

fn time(text: &str) -> Timestamp {
    format!("{}Z", text.replace(' ', "T")).parse().unwrap()
}

/// What recovery reaches between two moments.
pub fn reached(from: &str, to: &str) -> Recovery {
    let end = Point { timeline: Timeline(1), number: 0x1A47E };
    Recovery {
        window: Some(Window { oldest: id("1021"), end, segment_size: SegmentSize::DEFAULT }),
        from: Some(time(from)),
        to: Some(time(to)),
        backups: 7,
        full_backups: 7,
        lag: Some(Lag::default()),
        origin: None,
    }
}

pub fn lag(segments: u64, seconds: i64) -> Lag {
    Lag { segments, bytes: segments * SEGMENT, seconds: Some(seconds) }
}

impl ReplicaPlan {
    pub(crate) fn of(mut self, actions: impl IntoIterator<Item = Action>) -> Self {
        self.actions.extend(actions);
        for action in &mut self.actions {
            let rest = action.address.as_str().split_once('/').unwrap().1.to_owned();
            action.address = format!("{}/{rest}", self.name).parse().unwrap();
        }
        self
    }

    pub(crate) fn new_here(mut self) -> Self {
        self.before = Recovery { lag: Some(Lag::default()), ..Recovery::default() };
        self
    }

    pub(crate) fn behind(mut self, to: &str, segments: u64, seconds: i64) -> Self {
        self.before.to = Some(time(to));
        self.before.lag = Some(lag(segments, seconds));
        self
    }
}

/// An action whose address names the replica `x` until `ReplicaPlan::of` corrects it.
pub fn action(kind: &str, change: Change, reason: Reason) -> Action {
    Action { address: format!("x/{kind}").parse().unwrap(), change, reason }
}

pub fn create() -> Action {
    action("server", Change::CreateServer, Reason::MissingHere)
}

pub fn history(timeline: u32) -> Action {
    let change = Change::ShipHistory { timeline: Timeline(timeline), entry: None, size: 41 };
    action(&format!("history/{timeline:08X}"), change, Reason::MissingHere)
}

pub fn copy(day: &str, size: u64) -> BackupCopy {
    BackupCopy {
        id: id(day),
        info: BackupInfo::default(),
        size,
        needed: None,
        tablespaces: Vec::new(),
        parent: None,
        reuse: None,
        adopt: false,
        resume: false,
        staged: 0,
    }
}

pub fn add(copy: BackupCopy) -> Action {
    action(&format!("backup/{}", copy.id), Change::AddBackup(Box::new(copy)), Reason::MissingHere)
}

pub fn batch(range: WalRange, needed_by: Option<&str>) -> WalBatch {
    let entry = |number| WalEntry {
        name: WalName::Segment(
            crate::barman::wal::Segment::from_number(range.timeline, number, SegmentSize::DEFAULT).unwrap(),
        ),
        size: SEGMENT,
        mtime: Mtime::new(0.0).unwrap(),
        compression: None,
        encryption: None,
    };
    let entries = (range.first..=range.last).map(entry).collect();
    WalBatch {
        range: Some(range),
        entries,
        here: BTreeMap::new(),
        undescribed: BTreeSet::new(),
        disproved: BTreeMap::new(),
        needed_by: needed_by.map(id),
        accepted: false,
    }
}

pub fn wals(range: WalRange, needed_by: Option<&str>) -> Action {
    let reason = needed_by.map_or(Reason::MissingHere, |day| Reason::NeededBy(id(day)));
    let address = format!("wal/{}", range.address(SegmentSize::DEFAULT));
    action(&address, Change::AddWals(batch(range, needed_by)), reason)
}

pub fn truncated(range: WalRange, here: u64) -> Action {
    let batch = batch(range, None);
    let reason = Reason::SizeDiffers { here, there: SEGMENT, files: batch.entries.len() as u64 };
    action(&format!("wal/{}", range.address(SegmentSize::DEFAULT)), Change::RepairWals(batch), reason)
}

pub fn remove(day: &str, size: Option<u64>, reason: Reason) -> Action {
    action(
        &format!("backup/{}", id(day)),
        Change::RemoveBackup { id: id(day), size, parent: None, leaves: Vec::new() },
        reason,
    )
}
