//! One verification at work.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::barman::arrival::{ArrivalNote, Arrived};
use crate::barman::damage::{DamageNote, Spoilt};
use crate::barman::ids::{BackupId, ServerName, SystemId};
use crate::barman::verified::{Amount, Verified};
use crate::barman::wal::WalName;
use crate::barman::wal_list::WalList;
use crate::observe::catalog::xlogdb::{XlogDbFile, XlogDbFiles};
use crate::store::locks::LockKind;
use crate::store::{CatalogError, ChangeError, Found, Place, Root, Store, damage};
use crate::verify::base;
use crate::verify::manifest::{Manifest, barman_path};
use crate::verify::tree;

use super::Item;
use super::disk::{self, Here};
use super::judge::{self, Judged, Rule};
use super::lists::{Line, differing};
use super::outcome::{Damaged, Difference, Ended, Outcome};
use super::pace::Pace;
use super::reads::{Read, Reads, Subject, Verdict};
use super::schedule::Candidate;

/// So many files at a time, or so many bytes, before what they came to is noted.
const BATCH_FILES: usize = 4096;
const BATCH_BYTES: u64 = 8 << 30;
/// How often what was read is kept meanwhile: the file may be long.
pub(super) const KEPT_EVERY: Duration = Duration::from_secs(60);
/// How long a list is given to become what it was about to be.
const A_MOMENT: Duration = Duration::from_secs(1);

/// A file and what it was when it was listed.
pub(super) type Listed<'a> = &'a (Subject, Found);

/// A verification of what lies here of a server.
pub(super) struct Work<'a> {
    pub store: &'a dyn Store,
    pub server: &'a ServerName,
    pub here: &'a Here,
    /// What xlog.db says.
    pub lines: Option<&'a WalList>,
    /// How many lines of it are none, or not in their place.
    pub disordered: u64,
    /// The systems that WAL may be of; empty where nobody knows.
    pub systems: BTreeSet<SystemId>,
    pub pace: Pace<'a>,
    /// Who reads.
    pub readers: ThreadPool,
    pub now: Timestamp,
    pub reads: Reads,
    pub outcome: Outcome,
    /// What the files of each backup had in them when they arrived, where that is noted.
    pub arrived: BTreeMap<BackupId, ArrivalNote>,
    /// When what was read was kept last.
    pub kept: Instant,
}

impl Work<'_> {
    /// Gives the names of a file that nothing is known by the proof of its other names, where they must have the same
    /// checksum: a file that a newer backup shares need not be read again.
    pub fn settle(&mut self, items: &[Item]) -> Result<(), CatalogError> {
        let mut unsettled: BTreeMap<BackupId, Vec<(Listed<'_>, Timestamp, NonZeroU64)>> = BTreeMap::new();
        for item in items.iter().filter(|item| item.names.len() > 1) {
            let known = item.names.iter().find_map(|(subject, found)| {
                let read = self.reads.of(subject, *found).filter(|read| read.result == Verdict::Proved)?;
                Some((read.at, read.sum?))
            });
            let Some((at, sum)) = known else { continue };
            for name @ (subject, found) in &item.names {
                if let Subject::OfBase(id, _) = subject
                    && self.reads.of(subject, *found).is_none()
                {
                    unsettled.entry(*id).or_default().push((name, at, sum));
                }
            }
        }
        for (id, names) in unsettled {
            let Some(base) = self.here.bases.get(&id) else { continue };
            let rule = Rule::of(self.store, id, base)?;
            for ((subject, found), at, sum) in names {
                if let Subject::OfBase(_, path) = subject
                    && rule.sum(path) == Some(sum)
                {
                    self.reads.note(subject.clone(), *found, at, (Verdict::Proved, Some(sum)));
                }
            }
        }
        Ok(())
    }

    /// A file as the schedule sees it. One that is noted as damaged, and that the reads know nothing of, is new; so is one
    /// that the reads know to be damaged, and that is not noted.
    pub fn candidate(&self, item: &Item, noted: &DamageNote) -> Candidate {
        let read = |(subject, found): &(Subject, Found)| {
            let read = self.reads.of(subject, *found)?;
            let holds = is_noted(noted, subject) == (read.result == Verdict::Damaged);
            (holds && !self.lacks_note(subject, read.result)).then_some(read.at)
        };
        let oldest = item.names.iter().map(read).try_fold(None, |oldest: Option<Timestamp>, read| {
            let read = read?;
            Some(Some(oldest.map_or(read, |oldest| oldest.min(read))))
        });
        Candidate { bytes: item.bytes, read: oldest.flatten() }
    }

    /// Whether a file was read in this verification.
    pub fn was_read(&self, item: &Item) -> bool {
        let Some((subject, found)) = item.names.first() else { return false };
        let now = Timestamp::from_second(self.now.as_second()).unwrap_or(self.now);
        self.reads.of(subject, *found).is_some_and(|read| read.at == now)
    }

    /// Reads files, those of a base after each other, so that one manifest is held at a time.
    pub fn read(&mut self, chosen: &[&Item]) -> Result<(), ChangeError> {
        let mut order: Vec<Option<BackupId>> = Vec::new();
        let mut groups: HashMap<Option<BackupId>, Vec<Listed<'_>>> = HashMap::new();
        for name in chosen.iter().filter_map(|item| item.names.first()) {
            let group = base_of(&name.0);
            groups.entry(group).or_insert_with(|| {
                order.push(group);
                Vec::new()
            });
            groups.entry(group).or_default().push(name);
        }
        for group in order {
            self.read_group(group, &groups.remove(&group).unwrap_or_default())?;
        }
        self.read_other_names(chosen)
    }

    /// The other names of what was read must have the same checksum, or are read for themselves.
    fn read_other_names(&mut self, chosen: &[&Item]) -> Result<(), ChangeError> {
        let mut groups: BTreeMap<Option<BackupId>, Vec<Listed<'_>>> = BTreeMap::new();
        for item in chosen.iter().filter(|item| item.names.len() > 1 && self.was_read(item)) {
            for name in item.names.iter().skip(1) {
                groups.entry(base_of(&name.0)).or_default().push(name);
            }
        }
        let sums: HashMap<u64, NonZeroU64> = chosen
            .iter()
            .filter(|item| item.names.len() > 1)
            .filter_map(|item| {
                let (subject, found) = item.names.first()?;
                let read = self.reads.of(subject, *found).filter(|read| read.result == Verdict::Proved)?;
                Some((found.stamp.inode(), read.sum?))
            })
            .collect();
        for (group, names) in groups {
            let mut left = Vec::new();
            let rule = match group.and_then(|id| Some((id, self.here.bases.get(&id)?))) {
                Some((id, base)) => Some(Rule::of(self.store, id, base)?),
                None => None,
            };
            for name in names {
                let (subject, found) = name;
                let must = match (&rule, subject) {
                    (Some(rule), Subject::OfBase(_, path)) => rule.sum(path),
                    _ => None,
                };
                match sums.get(&found.stamp.inode()).filter(|sum| Some(**sum) == must) {
                    Some(sum) => self.reads.note(subject.clone(), *found, self.now, (Verdict::Proved, Some(*sum))),
                    None => left.push(name),
                }
            }
            self.read_group(group, &left)?;
        }
        Ok(())
    }

    fn read_group(&mut self, group: Option<BackupId>, names: &[Listed<'_>]) -> Result<(), ChangeError> {
        if names.is_empty() {
            return Ok(());
        }
        if !self.pace.goes_on() {
            self.outcome.ended = Ended::OutOfTime;
            return Ok(());
        }
        let Some((id, base)) = group.and_then(|id| Some((id, self.here.bases.get(&id)?))) else {
            return self.read_in_batches(None, names);
        };
        let rule = Rule::of(self.store, id, base)?;
        self.compare_names(id, base, &rule)?;
        if matches!(rule, Rule::Archives) {
            return self.read_archives(id, base);
        }
        self.read_in_batches(Some(&rule), names)
    }

    fn read_in_batches(&mut self, rule: Option<&Rule>, names: &[Listed<'_>]) -> Result<(), ChangeError> {
        let mut rest = names;
        while !rest.is_empty() {
            let mut bytes = 0_u64;
            let mut fits = |(_, found): &&(Subject, Found)| {
                bytes = bytes.saturating_add(found.stamp.size);
                bytes <= BATCH_BYTES
            };
            let count = rest.iter().take(BATCH_FILES).take_while(|name| fits(name)).count().max(1);
            let (batch, later) = rest.split_at(count);
            rest = later;
            let noted = damage::noted(self.store)?;
            let judged = self.judge(rule, batch, &noted);
            self.note(judged)?;
        }
        Ok(())
    }

    /// Judges files on all processors, in their order.
    fn judge<'n>(&self, rule: Option<&Rule>, names: &[Listed<'n>], noted: &DamageNote) -> Vec<(Listed<'n>, Judged)> {
        let judge = |name: Listed<'n>| {
            let (subject, found) = name;
            let judged = match (subject, rule) {
                (Subject::OfBase(id, path), Some(rule)) => {
                    judge::of_base(self.store, (*id, path), *found, (rule, self.arrived(subject)), &self.pace)
                }
                (Subject::OfBase(..), None) => Judged::Changed,
                (Subject::Wal(name), _) => self.judge_wal(*name, *found, noted),
            };
            (name, judged)
        };
        // Taken one by one: what comes first is read first, when there is not enough time for all.
        self.readers.install(|| names.iter().par_bridge().map(|name| judge(name)).collect())
    }

    /// A WAL file that is known to be damaged is good only when also the one before it is, and goes on in it: of two that do
    /// not go together either may be the damaged one.
    fn judge_wal(&self, name: WalName, found: Found, noted: &DamageNote) -> Judged {
        let judged = self.judge_segment(name, found);
        let Judged::Good(came @ (Verdict::Proved, _)) = judged else { return judged };
        let before = self.here.neighbours(name).1.filter(|_| noted.wals.contains_key(&name));
        let Some((previous, found)) = before.and_then(|name| Some((name, *self.here.wals.get(&name)?))) else {
            return judged;
        };
        match self.judge_segment(previous, found) {
            Judged::Good((Verdict::Proved, _)) => judged,
            Judged::Parted(_, why) => Judged::Damaged(why),
            Judged::Stopped => Judged::Stopped,
            _ => Judged::Alone(came),
        }
    }

    fn judge_segment(&self, name: WalName, found: Found) -> Judged {
        let line = self.lines.and_then(|lines| lines.get(name));
        let (next, _) = self.here.neighbours(name);
        let around = judge::Around { line: line.as_ref(), systems: &self.systems, next };
        judge::wal(self.store, name, found, around, &self.pace)
    }

    /// A base of archives is judged as a whole.
    fn read_archives(&mut self, id: BackupId, base: &disk::Base) -> Result<(), ChangeError> {
        let root = Root::new(self.store, Place::Base(id));
        let is_encrypted = base.announced.packing == base::Packing::Encrypted;
        let has_manifest = !is_encrypted && base::manifest(root)?.is_some();
        let names: Vec<(Subject, Found)> =
            base.files.iter().map(|(path, found)| (Subject::OfBase(id, path.clone()), *found)).collect();
        let names: Vec<Listed<'_>> = names.iter().collect();
        let read: Vec<(Listed<'_>, Judged)> = if has_manifest {
            names.into_iter().map(|name| (name, Judged::Good((Verdict::Proved, None)))).collect()
        } else {
            self.judge(Some(&Rule::Nothing), &names, &DamageNote::default())
        };
        // What is as it arrived was read to its end then; into what is encrypted nobody can look.
        let is_unchanged = |(_, judged): &(Listed<'_>, Judged)| *judged == Judged::Good((Verdict::Unchanged, None));
        if is_encrypted || read.iter().all(is_unchanged) {
            return self.note(read);
        }
        let faults = base::prove_archives(root, &base.announced, self.pace.go_on(), &self.pace)?;
        let judge = |(name, judged): (Listed<'_>, Judged)| {
            let Subject::OfBase(_, path) = &name.0 else { return Judged::Changed };
            match faults.iter().find(|fault| fault.path == *path) {
                _ if !self.pace.goes_on() => Judged::Stopped,
                Some(fault) => Judged::Damaged(fault.what.to_string()),
                None => judged,
            }
        };
        let judged = read.into_iter().map(|one| (one.0, judge(one))).collect();
        self.note(judged)
    }

    /// Compares the names in a base with what says which there must be: what is missing or has another size, and what nobody
    /// lists.
    pub fn compare_names(&mut self, id: BackupId, base: &disk::Base, rule: &Rule) -> Result<(), CatalogError> {
        let root = Root::new(self.store, Place::Base(id));
        let differing = match rule {
            Rule::Manifest(manifest) => {
                let mut unlisted = base.files.keys().filter(|path| !tree::is_listed(path, manifest));
                if let Some(first) = unlisted.next().cloned() {
                    self.outcome.unlisted.insert(id, (1 + unlisted.count() as u64, first));
                }
                if has_all(base, manifest) { Vec::new() } else { tree::compare_sizes(root, manifest)? }
            }
            Rule::Broken(_) => Vec::new(),
            Rule::Pages(_) | Rule::Archives | Rule::Nothing => base::look(root, &base.announced)?,
        };
        let is_same =
            |path: &Path, arrived: &Arrived| base.files.get(path).is_some_and(|found| found.stamp.size == arrived.size);
        let arrived = self.arrived.get(&id).into_iter().flat_map(|note| &note.files);
        let changed = arrived.filter(|(path, arrived)| !is_same(path, arrived)).map(|(path, _)| path.clone());
        let differing: Vec<PathBuf> = differing.into_iter().map(|fault| fault.path).chain(changed).collect();
        // It may be that it is being deleted, or mended.
        if !differing.is_empty() && disk::is_published(self.store, id)? && !self.store.has(Place::Repairing(id))? {
            // Of the base as a whole, its files are what is missing.
            let path = |path: PathBuf| if path.as_os_str().is_empty() { "data".into() } else { path };
            self.outcome.differences.extend(differing.into_iter().map(|file| Difference::File(id, path(file))));
        }
        Ok(())
    }

    /// Compares the names of bases of which files went away since they were read; what nobody lists is forgotten.
    pub fn compare_lost(&mut self) -> Result<(), CatalogError> {
        for id in &self.here.lost {
            if disk::is_published(self.store, *id)? && !self.store.is_directory(Place::Base(*id))? {
                self.outcome.differences.insert(Difference::File(*id, "data".into()));
            }
        }
        for (id, base) in &self.here.bases {
            let lost: Vec<PathBuf> =
                self.reads.of_base(*id).filter(|path| !base.files.contains_key(*path)).cloned().collect();
            if lost.is_empty() {
                continue;
            }
            let rule = Rule::of(self.store, *id, base)?;
            self.compare_names(*id, base, &rule)?;
            let is_listed = |path: &PathBuf| matches!(&rule, Rule::Manifest(m) if tree::listed(path, m).is_some());
            let is_noted = |path: &PathBuf| self.arrived.get(id).is_some_and(|note| note.files.contains_key(path));
            let forgotten: Vec<PathBuf> = lost.into_iter().filter(|path| !is_listed(path) && !is_noted(path)).collect();
            for path in forgotten {
                self.reads.forget(&Subject::OfBase(*id, path));
            }
        }
        Ok(())
    }

    /// Compares xlog.db with the disk. While an apply is at work it says what will be true in a moment.
    pub fn compare_lists(&mut self) -> Result<(), CatalogError> {
        let first = differing(self.lines, self.here.wal_sizes());
        let is_at_work = || self.store.is_locked(LockKind::Run).unwrap_or(true);
        if first.is_empty() && self.disordered == 0 || is_at_work() {
            return Ok(());
        }
        std::thread::sleep(A_MOMENT);
        let (list, here) = (XlogDbFiles::read(self.store)?, disk::list(self.store, self.server)?);
        let second = differing(list.any().map(|file| &file.entries), here.wal_sizes());
        if is_at_work() {
            return Ok(());
        }
        let disordered = list.any().map_or(0, XlogDbFile::disordered);
        self.outcome.differences.extend((disordered > 0).then_some(Difference::Disordered(disordered)));
        let still = first.into_iter().filter(|(name, how)| second.get(name) == Some(how));
        let mut counts: BTreeMap<Line, u64> = BTreeMap::new();
        still.for_each(|(_, how)| *counts.entry(how).or_default() += 1);
        self.outcome.differences.extend(counts.into_iter().map(|(how, count)| match how {
            Line::Absent => Difference::NotListed(count),
            Line::WithoutFile => Difference::NotOnDisk(count),
            Line::OfOtherSize => Difference::OtherSize(count),
        }));
        Ok(())
    }

    /// What is known now of all that lies here, kept for the next verification and for whoever asks.
    pub fn end(mut self, items: &[Item]) -> Result<Outcome, CatalogError> {
        let noted = damage::noted(self.store)?;
        let mut standing = Verified {
            at: self.now,
            oldest: None,
            files: Amount::default(),
            unread: Amount::default(),
            unchanged: Amount::default(),
            unchanged_since: None,
            unproven: Amount::default(),
            damaged: Amount::default(),
        };
        for item in items {
            standing.files.add(item.bytes);
            let reads: Option<Vec<Read>> =
                item.names.iter().map(|(subject, found)| self.reads.of(subject, *found)).collect();
            let is_damaged = item.names.iter().any(|(subject, _)| is_noted(&noted, subject));
            match reads {
                _ if is_damaged => standing.damaged.add(item.bytes),
                None => standing.unread.add(item.bytes),
                Some(reads) => {
                    let has = |verdict| reads.iter().any(|read| read.result == verdict);
                    if has(Verdict::Unproven) || has(Verdict::Damaged) {
                        standing.unproven.add(item.bytes);
                    } else if has(Verdict::Unchanged) {
                        standing.unchanged.add(item.bytes);
                        let noted = item.names.iter().filter_map(|(subject, _)| Some(self.arrived(subject)?.at));
                        standing.unchanged_since = standing.unchanged_since.into_iter().chain(noted).min();
                    }
                    standing.oldest = standing.oldest.into_iter().chain(reads.iter().map(|read| read.at)).min();
                }
            }
        }
        self.reads.keep(self.store);
        if let Err(error) = self.store.write(Place::Verified, &standing.write()) {
            tracing::debug!("what the verification came to is not noted: {error}");
        }
        self.outcome.damaged = told(&noted, items);
        self.outcome.standing = Some(standing);
        Ok(self.outcome)
    }
}

/// Whether every file of a manifest is in a base with its size.
fn has_all(base: &disk::Base, manifest: &Manifest) -> bool {
    manifest.files.iter().all(|(path, file)| {
        let found = base.files.get(&barman_path(path)).or_else(|| base.files.get(&Path::new("data").join(path)));
        found.is_some_and(|found| found.stamp.size == file.size)
    })
}

/// What is noted as damaged, each with its other names.
fn told(noted: &DamageNote, items: &[Item]) -> Vec<Damaged> {
    let names: BTreeMap<&Subject, &Item> = items
        .iter()
        .filter(|item| item.names.len() > 1)
        .flat_map(|i| i.names.iter().map(move |(s, _)| (s, i)))
        .collect();
    let of_bases = noted
        .bases
        .iter()
        .flat_map(|(id, files)| files.iter().map(|(path, spoilt)| (Subject::OfBase(*id, path.clone()), spoilt)));
    let wals = noted.wals.iter().map(|(name, spoilt)| (Subject::Wal(*name), spoilt));
    let damaged = |(subject, spoilt): (Subject, &Spoilt)| {
        let others = names.get(&subject).into_iter().flat_map(|item| &item.names).map(|(other, _)| other);
        let others = others.filter(|other| **other != subject).cloned().collect();
        Damaged { why: spoilt.why.clone(), found: spoilt.found, is_shared: spoilt.is_shared, others, subject }
    };
    of_bases.chain(wals).map(damaged).collect()
}

/// Notes damage, unless it is known: what was found first, and whether the primary has better, is known longer.
pub(super) fn put<K: Ord>(entry: Entry<'_, K, Spoilt>, spoilt: Spoilt) {
    let known = entry.or_insert_with(|| spoilt.clone());
    if known.seen != spoilt.seen {
        *known = spoilt;
    }
}

pub(super) fn is_noted(noted: &DamageNote, subject: &Subject) -> bool {
    match subject {
        Subject::OfBase(id, path) => noted.why(*id, path).is_some(),
        Subject::Wal(name) => noted.wals.contains_key(name),
    }
}

fn base_of(subject: &Subject) -> Option<BackupId> {
    match subject {
        Subject::OfBase(id, _) => Some(*id),
        Subject::Wal(_) => None,
    }
}
