//! A primary's catalog of one server, written to disk as the events of its life say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::base::{Base, TABLESPACE, lsn};
use super::system::System;
use super::wal::{Packing, Place, Segment};

/// The name of the server at both ends.
pub const SERVER: &str = "main";
/// When its life begins: 2026-11-01 00:00:00 UTC, in seconds.
const BEGIN: u64 = 1_793_491_200;
const HOUR: u64 = 3600;
/// What a file system need not store.
const ZEROS: [u8; 4096] = [0; 4096];

/// Where Barman keeps backup.info, annotations and the list of WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// In `meta/`, as from 3.13.3 on.
    Meta,
    /// In the bases, as before.
    Legacy,
}

impl Layout {
    /// A version of Barman that has it.
    pub fn version(self) -> &'static str {
        match self {
            Self::Meta => "3.19.1",
            Self::Legacy => "3.12.1",
        }
    }

    /// The path of xlog.db below `backup_directory`.
    pub fn xlogdb(self) -> String {
        match self {
            Self::Meta => format!("wals/{SERVER}-xlog.db"),
            Self::Legacy => "wals/xlog.db".to_owned(),
        }
    }

    /// The path of a backup's backup.info below `backup_directory`.
    pub fn backup_info(self, id: &str) -> String {
        match self {
            Self::Meta => format!("meta/{id}-backup.info"),
            Self::Legacy => format!("base/{id}/backup.info"),
        }
    }

    /// The path of a backup's annotation below `backup_directory`.
    pub fn annotation(self, id: &str, key: &str) -> String {
        match self {
            Self::Meta => format!("meta/{id}-{key}"),
            Self::Legacy => format!("base/{id}/annotations/{key}"),
        }
    }
}

/// Something that happens to a server.
#[derive(Debug, Clone)]
pub enum Event {
    /// WAL is archived.
    Archive { segments: u8, packing: Packing },
    /// A backup is taken.
    Backup { segments: u8, form: Form, packing: Packing },
    /// The standby is promoted in the middle of a segment.
    Promote { segments: u8 },
    /// A test restore is promoted so many segments back, archives a little and is abandoned.
    Abandon { back: u8, segments: u8 },
    /// The server is upgraded to another major version; timelines begin again.
    Upgrade,
}

/// What sort of backup it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each may be with each other")]
pub struct Form {
    pub has_tablespace: bool,
    pub has_manifest: bool,
    /// Whether it builds on the newest backup, where that is possible.
    pub is_incremental: bool,
    /// Whether the clock went back: its id sorts before the newest backup's.
    pub sorts_back: bool,
    pub is_kept: bool,
    pub status: &'static str,
}

/// A file of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// What it is, if it is a segment.
    pub segment: Option<Segment>,
    /// What xlog.db says of its size.
    pub size: u64,
    pub modified: u64,
    /// What xlog.db says of its compression.
    pub packing: Packing,
    pub is_listed: bool,
}

/// A backup.
#[derive(Debug, Clone)]
pub struct Backup {
    pub system: System,
    /// The lines of backup.info.
    pub info: BTreeMap<&'static str, String>,
}

/// A primary's catalog of one server.
#[derive(Debug)]
pub struct Primary {
    /// `barman_home`
    pub home: PathBuf,
    pub layout: Layout,
    pub system: System,
    /// By name.
    pub wals: BTreeMap<String, Archived>,
    /// By id.
    pub backups: BTreeMap<String, Backup>,
    timeline: u32,
    newest_timeline: u32,
    /// The number of the next segment.
    next: u64,
    /// The ancestry of the timelines of the system: parent, switch point.
    histories: BTreeMap<u32, (u32, u64)>,
    clock: u64,
}

impl Primary {
    /// An empty catalog.
    pub fn create(home: &Path, layout: Layout) -> Self {
        let server = home.join(SERVER);
        for directory in ["base", "wals", "incoming", "streaming", "errors"] {
            fs::create_dir_all(server.join(directory)).unwrap();
        }
        if layout == Layout::Meta {
            fs::create_dir_all(server.join("meta")).unwrap();
        }
        let primary = Self {
            home: home.to_owned(),
            layout,
            system: System::First,
            wals: BTreeMap::new(),
            backups: BTreeMap::new(),
            timeline: 1,
            newest_timeline: 1,
            next: 1,
            histories: BTreeMap::new(),
            clock: BEGIN,
        };
        primary.write_identity();
        primary.write_xlogdb();
        primary
    }

    /// `barman_home/SERVER`
    pub fn server(&self) -> PathBuf {
        self.home.join(SERVER)
    }

    /// Half an hour after the last event, in seconds.
    pub fn now(&self) -> i64 {
        i64::try_from(self.clock + HOUR / 2).unwrap()
    }

    /// Does what happens.
    pub fn live(&mut self, event: &Event) {
        self.clock += HOUR;
        match event {
            Event::Archive { segments, packing } => self.archive_segments(*segments, *packing),
            Event::Backup { segments, form, packing } => self.back_up(*segments, *form, *packing),
            Event::Promote { segments } => self.promote(*segments),
            Event::Abandon { back, segments } => self.abandon(*back, *segments),
            Event::Upgrade => self.upgrade(),
        }
        self.write_xlogdb();
    }

    fn archive_segments(&mut self, count: u8, packing: Packing) {
        for _ in 0..count {
            let place = Place { timeline: self.timeline, number: self.next };
            let timeline = self.timeline;
            self.archive_segment(place, timeline, packing);
            self.next += 1;
        }
    }

    fn archive_segment(&mut self, place: Place, header_timeline: u32, packing: Packing) {
        let segment = Segment { system: self.system, place, header_timeline, flavour: 0, packing };
        let name = place.name(self.system.segment_size());
        self.clock += 60;
        self.store(&name, &segment.stored(), packing, Some(segment));
    }

    /// Stores a file in the archive and lists it.
    fn store(&mut self, name: &str, stored: &[u8], packing: Packing, segment: Option<Segment>) {
        write_wal(&self.server().join(wal_path(name)), stored, self.clock);
        let archived = Archived { segment, size: stored.len() as u64, modified: self.clock, packing, is_listed: true };
        self.wals.insert(name.to_owned(), archived);
    }

    fn back_up(&mut self, count: u8, form: Form, packing: Packing) {
        let size = self.system.segment_size();
        let (begun, first) = (self.clock, Place { timeline: self.timeline, number: self.next });
        let id = self.free_id(form.sorts_back);
        self.archive_segments(count.max(1), packing);
        let last = Place { timeline: self.timeline, number: self.next - 1 };
        let parent = self.parent_of(form);
        let (begin, end) = (first.number * size + 40, (last.number + 1) * size);
        let label = format!(
            "START WAL LOCATION: {} (file {})\nCHECKPOINT LOCATION: {}\nBACKUP METHOD: streamed\nBACKUP FROM: primary\n\
             START TIME: 2026-11-01 00:00:00 UTC\nLABEL: pg_basebackup base backup\nSTART TIMELINE: {}\n{}",
            lsn(begin),
            first.name(size),
            lsn(begin + 0x38),
            self.timeline,
            parent.as_ref().map_or(String::new(), |_| format!("INCREMENTAL FROM LSN: {}\n", lsn(size))),
        );
        let history = format!("{label}STOP TIME: 2026-11-01 00:01:00 UTC\nSTOP TIMELINE: {}\n", self.timeline);
        let base = Base {
            system: self.system,
            timeline: self.timeline,
            begin,
            end,
            has_tablespace: form.has_tablespace,
            is_incremental: parent.is_some(),
            label: label.clone(),
            has_manifest: form.has_manifest || parent.is_some(),
            begun,
        };
        let bytes = base.write(&self.server().join("base").join(&id));
        self.store(&format!("{}.00000028.backup", first.name(size)), &packing.pack(history.as_bytes()), packing, None);
        let info = self.info(form, [first, last], &label, bytes, begun, parent.as_deref());
        if let Some(parent) = parent.as_ref().and_then(|parent| self.backups.get_mut(parent)) {
            let children = parent.info.get_mut("children_backup_ids").unwrap();
            *children = if children == "None" { id.clone() } else { format!("{children},{id}") };
        }
        self.backups.insert(id.clone(), Backup { system: self.system, info });
        for changed in parent.iter().chain([&id]) {
            self.write_info(changed);
        }
        if form.is_kept {
            self.annotate(&id, "keep", "full");
        }
    }

    /// An id that no backup has, of the time that it is or, when the clock went back, of a time before the newest.
    fn free_id(&self, sorts_back: bool) -> String {
        let mut time = if sorts_back { self.clock.saturating_sub(30 * HOUR) } else { self.clock };
        while self.backups.contains_key(&id_of(time)) {
            time += 1;
        }
        id_of(time)
    }

    /// The backup that an incremental one builds on: the newest of its system that is whole.
    fn parent_of(&self, form: Form) -> Option<String> {
        let can_be_parent =
            |backup: &Backup| backup.system == self.system && backup.info.get("status").is_some_and(|s| s == "DONE");
        let newest = self.backups.iter().rev().find(|(_, backup)| can_be_parent(backup)).map(|(id, _)| id.clone());
        // Before PostgreSQL 17 there were none, and before Barman 3.11 neither.
        let is_possible = self.system == System::Second && self.layout == Layout::Meta;
        newest.filter(|_| form.is_incremental && !form.sorts_back && is_possible)
    }

    fn info(
        &self,
        form: Form,
        [first, last]: [Place; 2],
        label: &str,
        bytes: u64,
        begun: u64,
        parent: Option<&str>,
    ) -> BTreeMap<&'static str, String> {
        let size = self.system.segment_size();
        let major = self.system.major();
        let tablespaces = format!("[('side', {TABLESPACE}, '/srv/side')]");
        let text = |text: &str| text.to_owned();
        let mut info = BTreeMap::from([
            ("backup_label", format!("'{}'", label.replace('\n', "\\n"))),
            ("begin_offset", text("40")),
            ("begin_time", python_time(begun)),
            ("begin_wal", first.name(size)),
            ("begin_xlog", lsn(first.number * size + 40)),
            ("compression", text("None")),
            ("config_file", format!("/var/lib/postgresql/{major}/main/postgresql.conf")),
            ("copy_stats", text("{'copy_time': 1.5, 'total_time': 1.5}")),
            ("deduplicated_size", bytes.to_string()),
            ("end_offset", text("0")),
            ("end_time", python_time(self.clock)),
            ("end_wal", last.name(size)),
            ("end_xlog", lsn((last.number + 1) * size)),
            ("error", text("None")),
            ("hba_file", format!("/var/lib/postgresql/{major}/main/pg_hba.conf")),
            ("ident_file", format!("/var/lib/postgresql/{major}/main/pg_ident.conf")),
            ("included_files", text("None")),
            ("mode", text("postgres")),
            ("pgdata", format!("/var/lib/postgresql/{major}/main")),
            ("server_name", text(SERVER)),
            ("size", bytes.to_string()),
            ("status", text(form.status)),
            ("systemid", self.system.id().to_string()),
            ("tablespaces", if form.has_tablespace { tablespaces } else { text("None") }),
            ("timeline", first.timeline.to_string()),
            ("version", self.system.version().to_string()),
            ("xlog_segment_size", size.to_string()),
        ]);
        info.insert("children_backup_ids", text("None"));
        info.insert("cluster_size", bytes.to_string());
        info.insert("data_checksums", text("on"));
        info.insert("parent_backup_id", parent.unwrap_or("None").to_owned());
        info.insert("summarize_wal", text(if major >= 17 { "on" } else { "None" }));
        if self.layout == Layout::Meta {
            info.insert("encryption", text("None"));
        }
        info
    }

    /// Writes the backup.info of a backup.
    pub fn write_info(&self, id: &str) {
        let mut text = String::new();
        for (key, value) in &self.backups[id].info {
            writeln!(text, "{key}={value}").unwrap();
        }
        fs::write(self.server().join(self.layout.backup_info(id)), text).unwrap();
    }

    /// Writes an annotation of a backup.
    pub fn annotate(&self, id: &str, key: &str, text: &str) {
        let path = self.server().join(self.layout.annotation(id, key));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Timeline and WAL go on from the middle of the next segment.
    fn promote(&mut self, count: u8) {
        let size = self.system.segment_size();
        let last = Place { timeline: self.timeline, number: self.next };
        let segment = Segment {
            system: self.system,
            place: last,
            header_timeline: self.timeline,
            flavour: 0,
            packing: Packing::Gzip,
        };
        self.store(&format!("{}.partial", last.name(size)), &segment.stored(), Packing::Gzip, None);
        self.branch_off(self.timeline, self.next * size + 0x28C0);
        self.timeline = self.newest_timeline;
        let (parent, first) = (last.timeline, Place { timeline: self.timeline, number: self.next });
        self.archive_segment(first, parent, Packing::Gzip);
        self.next += 1;
        self.archive_segments(count, Packing::Gzip);
    }

    /// The history file of a new timeline.
    fn branch_off(&mut self, parent: u32, switch: u64) {
        self.newest_timeline += 1;
        let timeline = self.newest_timeline;
        self.histories.insert(timeline, (parent, switch));
        let (mut text, mut at) = (Vec::new(), timeline);
        while let Some((parent, switch)) = self.histories.get(&at) {
            text.push(format!("{parent}\t{}\tno recovery target specified\n", lsn(*switch)));
            at = *parent;
        }
        text.reverse();
        let text = text.join("\n");
        self.store(&format!("{timeline:08X}.history"), text.as_bytes(), Packing::Plain, None);
    }

    fn abandon(&mut self, back: u8, count: u8) {
        let size = self.system.segment_size();
        // Not before the timeline itself began.
        let oldest = self.histories.get(&self.timeline).map_or(1, |(_, switch)| switch / size + 1);
        let from = self.next.saturating_sub(u64::from(back) + 1).max(oldest);
        if from >= self.next {
            return;
        }
        let (live, next) = (self.timeline, self.next);
        self.branch_off(live, from * size + 0x3000);
        let dead = self.newest_timeline;
        for number in from..from + u64::from(count) {
            let header = if number == from { live } else { dead };
            self.archive_segment(Place { timeline: dead, number }, header, Packing::Gzip);
        }
        (self.timeline, self.next) = (live, next);
    }

    fn upgrade(&mut self) {
        let Some(upgraded) = self.system.upgraded() else { return };
        self.system = upgraded;
        // `pg_upgrade` goes on behind the old system's WAL; what is archived is not overwritten.
        self.next += 1;
        self.timeline = 1;
        self.newest_timeline = 1;
        self.histories.clear();
        let places = self.wals.keys().filter_map(|name| Place::of_name(name, upgraded.segment_size()));
        let newest = places.filter(|place| place.timeline == 1).map(|place| place.number).max();
        self.next = self.next.max(newest.map_or(1, |newest| newest + 2));
        // The history files of the old system are in nobody's way: the new timelines get other numbers only when it
        // is promoted, and then overwrite them as PostgreSQL's archive_command would refuse to.
        self.newest_timeline = self
            .wals
            .keys()
            .filter_map(|name| u32::from_str_radix(name.strip_suffix(".history")?, 16).ok())
            .max()
            .unwrap_or(1);
        self.write_identity();
    }

    fn write_identity(&self) {
        let text = format!("{{\"systemid\": \"{}\", \"version\": \"{}\"}}", self.system.id(), self.system.major());
        fs::write(self.server().join("identity.json"), text).unwrap();
    }

    /// Writes the list of WAL.
    pub fn write_xlogdb(&self) {
        let lines: Vec<String> =
            self.wals.iter().filter(|(_, wal)| wal.is_listed).map(|(name, wal)| self.line(name, wal)).collect();
        self.write_lines(&lines);
    }

    /// The line of a file in xlog.db.
    pub fn line(&self, name: &str, wal: &Archived) -> String {
        let encryption = if self.layout == Layout::Meta { "\tNone" } else { "" };
        format!("{name}\t{}\t{}.0\t{}{encryption}\n", wal.size, wal.modified, wal.packing.word())
    }

    /// Writes the list of WAL with these lines.
    pub fn write_lines(&self, lines: &[String]) {
        fs::write(self.server().join(self.layout.xlogdb()), lines.concat()).unwrap();
    }
}

/// The path of a file of the archive below `backup_directory`.
pub fn wal_path(name: &str) -> PathBuf {
    let wals = Path::new("wals");
    if name.ends_with(".history") { wals.join(name) } else { wals.join(&name[..16]).join(name) }
}

/// Writes a file with holes where it has zeros, and dates it.
pub fn write_wal(path: &Path, content: &[u8], modified: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = fs::File::create(path).unwrap();
    file.set_len(content.len() as u64).unwrap();
    for (offset, block) in (0..).step_by(4096).zip(content.chunks(4096)) {
        if !ZEROS.starts_with(block) {
            file.write_all_at(block, offset).unwrap();
        }
    }
    file.set_modified(time(modified)).unwrap();
}

/// A moment.
pub fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The same as a timestamp.
pub fn timestamp(seconds: u64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap()
}

fn id_of(seconds: u64) -> String {
    timestamp(seconds).strftime("%Y%m%dT%H%M%S").to_string()
}

fn python_time(seconds: u64) -> String {
    timestamp(seconds).strftime("%Y-%m-%d %H:%M:%S+00:00").to_string()
}
