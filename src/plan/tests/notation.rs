//! A notation for catalogs, so that a test shows its whole situation in a few words:
//! `"@21 1/08..0A k  @22<21 1/10..12 failed | 1/08..1F -1/09 1/0B=5 h2<1/1A"`. Before the bar are backups, after it WAL.
//! - `@DAY<PARENT FIRST..LAST`: a backup of that day of November 2026. Words behind it: `k` and `s` a full and a standalone
//!   keep; a status, DONE unless said; `system=7`, `size=5`, `files=abc` (a manifest); there `leaving`, `snapshot`; here
//!   `damaged`, `absent`, `unlinked`, `bare` (a base without backup.info).
//! - `1/08..1F` segments of timeline 1, hexadecimal; `-1/09` without them, `1/09=5` of 5 bytes, `?1/09` listed and gone.
//!   `1/09=5!` is on the disk and not listed; `1/09=5<7` is listed with 7 bytes.
//!   `1/09.partial`, `1/09.backup`; `h2<1/1A` the history of timeline 2, which left timeline 1 in that segment.
//!
//! The empty text is a server that does not exist here. xlog.db and sync-wals.info are right unless a test breaks them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::barman::backup_info::{BackupInfo, Status};
use crate::barman::damage::DamageNote;
use crate::barman::drill::Drills;
use crate::barman::history::HistoryFile;
use crate::barman::ids::{BackupId, SystemId};
use crate::barman::keep::Keep;
use crate::barman::layout::ServerDirs;
use crate::barman::version::BarmanVersion;
use crate::barman::wal::{Lsn, Segment, SegmentSize, Timeline, WalName};
use crate::barman::wal_entry::{Mtime, WalEntry};
use crate::barman::wal_list::WalList;
use crate::barman::wal_map::WalMap;
use crate::observe::inventory::{
    BackupFacts, BaseKind, BaseState, LocalBackup, PrimaryBackup, PrimaryInventory, Published, ReplicaInventory, Room,
    Rooms, SiteBarman, Undescribed, XlogDbState,
};
use crate::verify::checksum::{Algorithm, Checksum};
use crate::verify::manifest::{Manifest, ManifestFile};

pub const BARMAN: BarmanVersion = BarmanVersion::new(3, 19, 1);
pub const SIZE: SegmentSize = SegmentSize::DEFAULT;
const MIB16: u64 = 16 << 20;

/// The backup of a day of November 2026.
pub fn id(day: &str) -> BackupId {
    format!("202611{day}T000000").parse().unwrap()
}

/// Changes a list as if it were its lines.
pub fn edit(list: &mut WalList, change: impl FnOnce(&mut Vec<WalEntry>)) {
    let mut lines: Vec<WalEntry> = list.iter().collect();
    change(&mut lines);
    *list = lines.into_iter().collect();
}

/// What the primary has.
pub fn primary(text: &str) -> PrimaryInventory {
    let catalog = Written::parse(text);
    let children = catalog.children();
    let backups = catalog.backups.values().map(|backup| (backup.id, backup.at_primary(&children)));
    let wals: Vec<WalEntry> = catalog.wals.values().copied().collect();
    PrimaryInventory {
        barman: Some(BARMAN),
        directories: directories("/primary"),
        backups: backups.collect(),
        last: wals.last().map(|entry| (entry.name, 64 * (wals.len() as u64 - 1))),
        wals: wals.into_iter().collect(),
        gone: catalog.gone,
        undescribed: catalog.undescribed,
        pedigree: BTreeSet::new(),
        histories: catalog.histories,
        notes: Vec::new(),
    }
}

/// What the site has. Of WAL files that the primary has too, xlog.db says the same.
pub fn replica(text: &str, primary: &PrimaryInventory) -> ReplicaInventory {
    let catalog = Written::parse(text);
    let line = |entry: &WalEntry| primary.wals.get(entry.name).unwrap_or(WalEntry { size: MIB16, ..*entry });
    let children = catalog.children();
    let published: BTreeSet<BackupId> =
        catalog.backups.values().filter(|b| b.status == Status::Done && !b.has("bare")).map(|b| b.id).collect();
    ReplicaInventory {
        name: None,
        identity: None,
        last_apply: None,
        other_site: None,
        wals_looked_at: None,
        findings: BTreeMap::new(),
        notes: Vec::new(),
        directories: directories("/site"),
        exists: !text.is_empty(),
        unreadable: false,
        barman: BARMAN,
        backups: catalog.backups.values().map(|b| (b.id, b.at_site(&children, &published))).collect(),
        xlogdb: XlogDbState { entries: catalog.wals.values().map(line).collect(), findings: Vec::new() },
        wals: catalog.wals.values().map(|entry| (entry.name, entry.size)).collect(),
        unsound: WalMap::new(),
        damage: DamageNote::default(),
        verified: None,
        drills: Drills::default(),
        whole: BTreeMap::new(),
        histories: catalog.histories,
        sync_wals: primary.last.filter(|_| !text.is_empty()).map(|(name, position)| (name, position.max(1))),
        staged: BTreeMap::new(),
        site_barman: SiteBarman::default(),
        suspended: None,
        rooms: None,
    }
}

/// One file system of sixteen tebibytes with so much free.
pub fn rooms(free: u64) -> Rooms {
    let room = Room { device: 1, free, size: 16 << 40, reserve: 0 };
    Rooms { bases: room, wals: room }
}

fn directories(home: &str) -> ServerDirs {
    ServerDirs::of_catalog(Path::new(home), "main".parse().unwrap())
}

/// One end, as its text says it.
#[derive(Default)]
struct Written {
    backups: BTreeMap<BackupId, Backup>,
    wals: BTreeMap<WalName, WalEntry>,
    gone: BTreeSet<WalName>,
    undescribed: BTreeMap<WalName, Undescribed>,
    histories: BTreeMap<Timeline, HistoryFile>,
}

impl Written {
    fn parse(text: &str) -> Self {
        let (backups, wals) = text.split_once('|').unwrap_or((text, ""));
        let mut catalog = Self::default();
        for backup in backups.split('@').filter(|text| !text.trim().is_empty()) {
            let backup = Backup::parse(backup);
            catalog.backups.insert(backup.id, backup);
        }
        wals.split_whitespace().for_each(|word| catalog.wal(word));
        catalog
    }

    fn wal(&mut self, word: &str) {
        if let Some(history) = word.strip_prefix('h') {
            return self.history(history);
        }
        let (word, undescribed) = split_undescribed(word);
        let (names, size) = split_size(word.trim_start_matches(['-', '?']));
        for name in wal_names(names) {
            if word.starts_with('-') {
                self.wals.remove(&name);
                continue;
            }
            if word.starts_with('?') {
                self.gone.insert(name);
            }
            self.undescribed.extend(undescribed.map(|why| (name, why)));
            self.wals.insert(name, entry(name, size.unwrap_or(MIB16)));
        }
    }

    fn history(&mut self, word: &str) {
        let (word, size) = split_size(word);
        let (timeline, switch) = word.split_once('<').expect("h2<1/1A");
        let timeline = Timeline(timeline.parse().unwrap());
        let left = segment(switch);
        let position = Lsn(left.number(SIZE).unwrap() * SIZE.bytes() + 40);
        let size = size.unwrap_or(42);
        self.histories.insert(timeline, HistoryFile { timeline, size, ancestors: vec![(left.timeline, position)] });
        let name = WalName::History(timeline);
        self.wals.insert(name, entry(name, size));
    }

    fn children(&self) -> BTreeMap<BackupId, Vec<BackupId>> {
        let mut children: BTreeMap<BackupId, Vec<BackupId>> = BTreeMap::new();
        for backup in self.backups.values() {
            if let Some(parent) = backup.parent {
                children.entry(parent).or_default().push(backup.id);
            }
        }
        children
    }
}

/// A file of the archive, written a second after the one before it.
pub fn entry(name: WalName, size: u64) -> WalEntry {
    let number = match name {
        WalName::History(timeline) => u64::from(timeline.0),
        WalName::Segment(s) | WalName::Partial(s) | WalName::BackupLabel { segment: s, .. } => {
            u64::from(s.timeline.0) * 1000 + s.number(SIZE).unwrap_or_default()
        }
    };
    let mtime = Mtime::new(1_795_300_000.0 + f64::from(u32::try_from(number).unwrap_or_default())).unwrap();
    WalEntry { name, size, mtime, compression: None, encryption: None }
}

fn split_undescribed(word: &str) -> (&str, Option<Undescribed>) {
    if let Some(word) = word.strip_suffix('!') {
        return (word, Some(Undescribed::NotListed));
    }
    let Some((word, listed)) = word.split_once('<') else { return (word, None) };
    (word, Some(Undescribed::OtherSize { listed: listed.parse().unwrap() }))
}

fn split_size(word: &str) -> (&str, Option<u64>) {
    word.split_once('=').map_or((word, None), |(word, size)| (word, Some(size.parse().unwrap())))
}

/// `1/1A`
pub fn segment(word: &str) -> Segment {
    let (timeline, number) = word.split_once('/').unwrap_or_else(|| panic!("{word}: expected a form such as 1/1A"));
    let number = u64::from_str_radix(number, 16).unwrap();
    Segment::from_number(Timeline(timeline.parse().unwrap()), number, SIZE).unwrap()
}

/// `1/08..1F`, `1/08`, `1/08.partial`, `1/08.backup`
fn wal_names(word: &str) -> Vec<WalName> {
    if let Some(word) = word.strip_suffix(".partial") {
        return vec![WalName::Partial(segment(word))];
    }
    if let Some(word) = word.strip_suffix(".backup") {
        return vec![WalName::BackupLabel { segment: segment(word), offset: 0x28 }];
    }
    let (first, last) = span(word);
    let number = |segment: Segment| segment.number(SIZE).unwrap();
    (number(first)..=number(last))
        .map(|number| WalName::Segment(Segment::from_number(first.timeline, number, SIZE).unwrap()))
        .collect()
}

fn span(word: &str) -> (Segment, Segment) {
    let (first, last) = word.split_once("..").unwrap_or((word, ""));
    let first = segment(first);
    let last = if last.is_empty() { first } else { segment(&format!("{}/{last}", first.timeline)) };
    (first, last)
}

/// A backup, as its text says it.
pub struct Backup {
    id: BackupId,
    parent: Option<BackupId>,
    span: Option<(Segment, Segment)>,
    status: Status,
    words: Vec<String>,
}

impl Backup {
    pub fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace().map(str::to_owned);
        let day = words.next().unwrap();
        let (day, parent) = day.split_once('<').map_or((day.as_str(), None), |(day, parent)| (day, Some(id(parent))));
        let words: Vec<String> = words.collect();
        let status = words.iter().find_map(|word| match word.as_str() {
            "waiting" => Some(Status::WaitingForWals),
            word => word.to_uppercase().parse().ok(),
        });
        let span = words.iter().find(|word| word.contains('/')).map(|word| span(word));
        Self { id: id(day), parent, span, status: status.unwrap_or(Status::Done), words }
    }

    fn has(&self, word: &str) -> bool {
        self.words.iter().any(|other| other == word)
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn keep(&self) -> Option<Keep> {
        if self.has("k") {
            return Some(Keep::Full);
        }
        self.has("s").then_some(Keep::Standalone)
    }

    pub fn facts(&self) -> BackupFacts {
        let (begin_wal, end_wal) = self.span.unzip();
        BackupFacts {
            id: self.id,
            status: self.status,
            timeline: begin_wal.map_or(Timeline(1), |begin| begin.timeline),
            begin_wal,
            end_wal,
            end_lsn: None,
            end_time: Some(format!("{}T01:00:00Z", &self.id.as_str()[..8]).parse().unwrap()),
            system: Some(SystemId(self.value("system").map_or(7, |system| system.parse().unwrap()))),
            size: Some(self.value("size").map_or(1000, |size| size.parse().unwrap())),
            segment_size: SIZE,
            tablespaces: Vec::new(),
            parent: self.parent,
        }
    }

    fn manifest(&self) -> Option<Arc<Manifest>> {
        Some(Arc::new(manifest(self.value("files")?)))
    }

    fn at_primary(&self, children: &BTreeMap<BackupId, Vec<BackupId>>) -> PrimaryBackup {
        PrimaryBackup {
            info: info(&self.facts(), children.get(&self.id).map_or(&[], Vec::as_slice)),
            facts: self.facts(),
            base: if self.has("snapshot") { BaseKind::CloudSnapshot } else { BaseKind::Files },
            keep: self.keep(),
            going_away: self.has("leaving"),
            manifest: self.manifest(),
        }
    }

    fn at_site(&self, children: &BTreeMap<BackupId, Vec<BackupId>>, here: &BTreeSet<BackupId>) -> LocalBackup {
        let info = info(&self.facts(), children.get(&self.id).map_or(&[], Vec::as_slice));
        let info = info.for_site(&"main".parse().unwrap(), BARMAN, here);
        let published =
            Published { facts: self.facts(), info: info.with_status(self.status), damage: vec![], is_read: true };
        let damaged = self.has("damaged") || self.status != Status::Done;
        LocalBackup {
            published: (!self.has("bare")).then_some(published),
            looked_at: None,
            base: match (self.has("absent"), damaged) {
                (true, _) => BaseState::Absent,
                (_, true) => BaseState::Damaged { files: vec!["data/base/1/2".into()] },
                _ => BaseState::Complete,
            },
            unlinked: if self.has("unlinked") { vec![16384] } else { Vec::new() },
            keep: self.keep(),
            manifest: self.manifest(),
        }
    }
}

/// A manifest of files of 100 bytes, each named by a letter.
pub fn manifest(letters: &str) -> Manifest {
    let file = ManifestFile {
        size: 100,
        mtime: "2026-11-01T00:00:00Z".parse().unwrap(),
        checksum: Checksum::from_hex(Algorithm::Crc32c, "00000000"),
    };
    Manifest { files: letters.chars().map(|c| (c.to_string().into(), file.clone())).collect(), ..Manifest::default() }
}

/// The backup.info that these facts were read from.
pub fn info(facts: &BackupFacts, children: &[BackupId]) -> BackupInfo {
    let text = |value: Option<String>| value.unwrap_or_else(|| "None".to_owned());
    let children: Vec<String> = children.iter().map(ToString::to_string).collect();
    let lines = [
        ("status", facts.status.to_string()),
        ("mode", "postgres".to_owned()),
        ("timeline", facts.timeline.to_string()),
        ("begin_wal", text(facts.begin_wal.map(|segment| segment.to_string()))),
        ("end_wal", text(facts.end_wal.map(|segment| segment.to_string()))),
        ("end_time", text(facts.end_time.map(|time| time.strftime("%Y-%m-%d %H:%M:%S+00:00").to_string()))),
        ("systemid", text(facts.system.map(|system| system.to_string()))),
        ("size", text(facts.size.map(|size| size.to_string()))),
        ("xlog_segment_size", facts.segment_size.bytes().to_string()),
        ("backup_label", "'START WAL LOCATION: 0/8000028 (file 000000010000000000000008)\\n'".to_owned()),
        ("parent_backup_id", text(facts.parent.map(|parent| parent.to_string()))),
        ("children_backup_ids", text((!children.is_empty()).then(|| children.join(",")))),
    ];
    let lines = lines.map(|(key, value)| format!("{key}={value}"));
    BackupInfo::parse(lines.join("\n").as_bytes()).unwrap()
}
