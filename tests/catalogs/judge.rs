//! What can be recovered from a catalog on disk, found out without the program's own code: by whoever has to do it with
//! PostgreSQL and a text editor.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::base::{Announced, judge};
use super::primary::SERVER;
use super::wal::{self, Header, Place};

/// What is on disk of one server.
#[derive(Debug)]
pub struct Judged {
    server: PathBuf,
    /// Whole segments by their names, with what their headers say.
    pub segments: BTreeMap<String, Header>,
    /// Each timeline with the one that it left, and the position at which it did.
    histories: BTreeMap<u32, (u32, u64)>,
    /// Backups with a backup.info that can be read.
    pub backups: BTreeMap<String, Backup>,
}

/// What backup.info says, and whether the base is what it says.
#[derive(Debug)]
pub struct Backup {
    info: BTreeMap<String, String>,
    base: Result<(), String>,
}

impl Backup {
    fn text(&self, key: &str) -> &str {
        self.info.get(key).map_or("None", String::as_str)
    }

    fn number(&self, key: &str) -> u64 {
        self.text(key).parse().unwrap_or(0)
    }

    /// Whether Barman would call it good.
    pub fn is_done(&self) -> bool {
        self.text("status") == "DONE"
    }

    /// The backup that it builds on.
    pub fn parent(&self) -> Option<&str> {
        Some(self.text("parent_backup_id")).filter(|parent| *parent != "None")
    }

    /// The system that it is of.
    pub fn system(&self) -> u64 {
        self.number("systemid")
    }

    /// The size of the segments of its system.
    pub fn segment_size(&self) -> u64 {
        self.number("xlog_segment_size").max(1 << 20)
    }

    /// The segments that make it consistent.
    pub fn span(&self) -> Option<(Place, Place)> {
        let place = |key| Place::of_name(self.text(key), self.segment_size());
        let (first, last) = (place("begin_wal")?, place("end_wal")?);
        (first.timeline == last.timeline && first.number <= last.number).then_some((first, last))
    }
}

impl Judged {
    /// Reads the catalog at `home`.
    pub fn read(home: &Path) -> Self {
        let server = home.join(SERVER);
        let mut judged = Self {
            segments: BTreeMap::new(),
            histories: BTreeMap::new(),
            backups: BTreeMap::new(),
            server: server.clone(),
        };
        judged.read_archive();
        for path in below(&server.join("base")) {
            judged.read_backup(&path.join("backup.info"), &name(&path));
        }
        // What is in meta/ counts.
        for path in below(&server.join("meta")) {
            if let Some(id) = name(&path).strip_suffix("-backup.info") {
                judged.read_backup(&path, id);
            }
        }
        judged
    }

    fn read_archive(&mut self) {
        for path in below(&self.server.join("wals")) {
            if let Some(timeline) = name(&path).strip_suffix(".history") {
                let timeline = u32::from_str_radix(timeline, 16).ok();
                let origin = regular(&path).and_then(|stored| wal::unpack(&stored).ok()).and_then(|text| origin(&text));
                self.histories.extend(timeline.zip(origin));
            }
            if name(&path).len() == 16 && path.is_dir() {
                let segments = below(&path).into_iter().filter_map(|path| Some((name(&path), whole_segment(&path)?)));
                self.segments.extend(segments);
            }
        }
    }

    fn read_backup(&mut self, path: &Path, id: &str) {
        let Some(text) = regular(path).and_then(|bytes| String::from_utf8(bytes).ok()) else { return };
        let lines = text.lines().filter_map(|line| line.split_once('='));
        let info: BTreeMap<String, String> = lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let mut backup = Backup { info, base: Ok(()) };
        let announced = Announced {
            system: backup.system(),
            version: u32::try_from(backup.number("version")).unwrap_or(0),
            has_tablespace: backup.text("tablespaces") != "None",
            has_label: backup.text("backup_label") != "None",
        };
        backup.base = judge(&self.server.join("base").join(id), announced);
        self.backups.insert(id.to_owned(), backup);
    }

    /// Whether this segment of a backup's system is here, whole, and what its name says.
    fn has(&self, backup: &Backup, place: Place) -> bool {
        let size = backup.segment_size();
        self.segments.get(&place.name(size)).is_some_and(|header| {
            header.system == backup.system()
                && header.segment_size == size
                && header.address == place.number * size
                && header.timeline <= place.timeline
        })
    }

    /// Why a backup cannot be restored; `Ok` when it can.
    pub fn restores(&self, id: &str) -> Result<(), String> {
        let backup = self.backups.get(id).ok_or_else(|| format!("{id} has no backup.info that can be read"))?;
        if !backup.is_done() {
            return Err(format!("{id} is {}", backup.text("status")));
        }
        backup.base.clone().map_err(|fault| format!("the base of {id}: {fault}"))?;
        let (first, last) = backup.span().ok_or_else(|| format!("{id} does not say what WAL it needs"))?;
        let mut needed = (first.number..=last.number).map(|number| Place { timeline: first.timeline, number });
        if let Some(lacking) = needed.find(|place| !self.has(backup, *place)) {
            return Err(format!("{id} lacks {}", lacking.name(backup.segment_size())));
        }
        match backup.parent() {
            // A loop would not end; ids of parents are smaller or the chain is broken.
            Some(parent) if parent >= id => Err(format!("{id} builds on {parent}")),
            Some(parent) => self.restores(parent),
            None => Ok(()),
        }
    }

    /// The backups that can be restored.
    pub fn recoverable(&self) -> BTreeSet<String> {
        self.backups.keys().filter(|id| self.restores(id).is_ok()).cloned().collect()
    }

    /// How far recovery from a backup gets without a gap: the last segment, on each timeline that it can enter.
    pub fn reach(&self, id: &str) -> BTreeMap<u32, u64> {
        let backup = &self.backups[id];
        let Some((first, last)) = backup.span() else { return BTreeMap::new() };
        let size = backup.segment_size();
        let mut reached = BTreeMap::new();
        let mut to_enter = vec![(first.timeline, first.number, last.number)];
        while let Some((timeline, from, least)) = to_enter.pop() {
            let mut next = from;
            while self.has(backup, Place { timeline, number: next }) {
                next += 1;
            }
            if next > from {
                reached.insert(timeline, next - 1);
            }
            for (child, (parent, switch)) in &self.histories {
                let number = switch / size;
                if *parent == timeline && number >= least && number <= next && !reached.contains_key(child) {
                    to_enter.push((*child, number, number));
                }
            }
        }
        reached
    }

    /// The timelines that recovery from one of these could ever enter, were all WAL there.
    pub fn descendants(&self, timeline: u32) -> BTreeSet<u32> {
        let mut found = BTreeSet::from([timeline]);
        loop {
            let before = found.len();
            let children: Vec<u32> = self
                .histories
                .iter()
                .filter(|(_, (parent, _))| found.contains(parent))
                .map(|(child, _)| *child)
                .collect();
            found.extend(children);
            if found.len() == before {
                return found;
            }
        }
    }
}

/// The newest line of a history file: the timeline that was left, and where.
fn origin(text: &[u8]) -> Option<(u32, u64)> {
    let text = std::str::from_utf8(text).ok()?;
    let mut fields = text.lines().rfind(|line| !line.trim().is_empty() && !line.starts_with('#'))?.split_whitespace();
    let (parent, position) = (fields.next()?.parse().ok()?, fields.next()?);
    let (high, low) = position.split_once('/')?;
    let part = |text| u64::from_str_radix(text, 16).ok();
    Some((parent, part(high)? << 32 | part(low)?))
}

fn whole_segment(path: &Path) -> Option<Header> {
    (name(path).len() == 24).then(|| wal::read(&regular(path)?).ok())?
}

/// The content of a regular file, or of one that a link leads to.
fn regular(path: &Path) -> Option<Vec<u8>> {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file()).then(|| fs::read(path).ok())?
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn below(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).map_or_else(|_| Vec::new(), |entries| entries.flatten().map(|entry| entry.path()).collect())
}
