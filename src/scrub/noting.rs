//! What a verification leaves behind of what it read: that it did, what is damaged, and what a file was that nothing tells the
//! content of.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;

use crate::barman::arrival::{Arrived, Digest, When};
use crate::barman::damage::{Seen, Spoilt};
use crate::barman::ids::{BackupId, printable};
use crate::store::arrivals::Noted;
use crate::store::{CatalogError, ChangeError, Found, Place, arrivals, damage};
use crate::verify::base::MANIFEST;

use super::disk;
use super::judge::Judged;
use super::outcome::Ended;
use super::reads::{Subject, Verdict};
use super::work::{KEPT_EVERY, Listed, Work, is_noted, put};

impl Work<'_> {
    /// Reads what is noted of the bases that are here.
    pub fn load_arrivals(&mut self) -> Result<(), CatalogError> {
        for id in self.here.bases.keys() {
            match arrivals::of_base(self.store, *id)? {
                Noted::Nothing => {}
                Noted::Broken => drop(self.outcome.broken_notes.insert(*id)),
                Noted::Files(note) => drop(self.arrived.insert(*id, note)),
            }
        }
        Ok(())
    }

    /// What is noted of a file.
    pub(super) fn arrived(&self, subject: &Subject) -> Option<&Arrived> {
        let Subject::OfBase(id, path) = subject else { return None };
        self.arrived.get(id)?.files.get(path)
    }

    /// Whether a file that was read must be read again, as what it was compared with, or noted as, is lost.
    pub(super) fn lacks_note(&self, subject: &Subject, result: Verdict) -> bool {
        let Subject::OfBase(id, _) = subject else { return false };
        let has_manifest = || self.here.bases.get(id).is_some_and(|base| base.files.contains_key(Path::new(MANIFEST)));
        let must_have = match result {
            Verdict::Unchanged => true,
            Verdict::Unproven => !has_manifest(),
            Verdict::Proved | Verdict::Damaged => false,
        };
        must_have && self.arrived(subject).is_none()
    }

    /// Notes what files came to: what is damaged only when its backup is published still, and what it was compared with
    /// holds still.
    pub(super) fn note(&mut self, judged: Vec<(Listed<'_>, Judged)>) -> Result<(), ChangeError> {
        let gone = self.gone(&judged)?;
        let noted = damage::noted(self.store)?;
        let (mut spoilt, mut good, mut new) = (Vec::new(), Vec::new(), BTreeMap::new());
        let parted: Vec<(Subject, Found, String)> =
            judged.iter().filter_map(|(_, judged)| self.parted(judged)).collect();
        for (subject, found, why) in &parted {
            self.reads.note(subject.clone(), *found, self.now, (Verdict::Damaged, None));
            spoilt.push((subject.clone(), printable(why), Seen::of(*found)));
        }
        for ((subject, found), judged) in judged {
            match judged {
                Judged::Good(_) | Judged::Alone(_) if parted.iter().any(|(other, ..)| other == subject) => {
                    self.outcome.read.add(found.stamp.size);
                }
                Judged::Good(came) => {
                    self.outcome.read.add(found.stamp.size);
                    self.reads.note(subject.clone(), *found, self.now, came);
                    good.push(subject.clone());
                }
                // It was something else once, and nothing says any more what: that it can be read mends nothing.
                // The same where what it has in common with the file beside it was not looked at.
                Judged::New((Verdict::Unproven, _), _) | Judged::Alone(_) if is_noted(&noted, subject) => {
                    self.outcome.read.add(found.stamp.size);
                    self.reads.note(subject.clone(), *found, self.now, (Verdict::Damaged, None));
                }
                Judged::Alone(came) => {
                    self.outcome.read.add(found.stamp.size);
                    self.reads.note(subject.clone(), *found, self.now, came);
                }
                Judged::New(came, digest) => {
                    self.outcome.read.add(found.stamp.size);
                    self.reads.note(subject.clone(), *found, self.now, came);
                    good.push(subject.clone());
                    if let Subject::OfBase(id, path) = subject {
                        let files: &mut Vec<_> = new.entry(*id).or_default();
                        files.push((path.clone(), *found, self.as_it_is(*found, digest)));
                    }
                }
                Judged::Damaged(why) | Judged::Parted(_, why) if !gone.contains(subject) => {
                    self.outcome.read.add(found.stamp.size);
                    self.reads.note(subject.clone(), *found, self.now, (Verdict::Damaged, None));
                    spoilt.push((subject.clone(), printable(&why), Seen::of(*found)));
                }
                Judged::Damaged(_) | Judged::Parted(..) | Judged::Changed => {}
                Judged::Unreadable(why) => self.outcome.unreadable.push((subject.clone(), printable(&why))),
                Judged::Stopped => self.outcome.ended = Ended::OutOfTime,
            }
        }
        self.note_damage(spoilt, &good)?;
        self.note_new(new);
        if self.kept.elapsed() > KEPT_EVERY {
            self.reads.keep(self.store);
            self.kept = Instant::now();
        }
        Ok(())
    }

    /// The WAL file with which another one does not go together.
    fn parted(&self, judged: &Judged) -> Option<(Subject, Found, String)> {
        let Judged::Parted(next, why) = judged else { return None };
        Some((Subject::Wal(*next), *self.here.wals.get(next)?, why.clone()))
    }

    /// Those of the damaged files of which nothing is said, as their backup goes away, is being repaired, or is compared
    /// with something else by now.
    fn gone(&self, judged: &[(Listed<'_>, Judged)]) -> Result<BTreeSet<Subject>, CatalogError> {
        let is_damaged = |(_, judged): &&(Listed<'_>, Judged)| matches!(judged, Judged::Damaged(_));
        let (mut gone, mut ids) = (BTreeSet::new(), BTreeMap::new());
        for (name, _) in judged.iter().filter(is_damaged) {
            let Subject::OfBase(id, path) = &name.0 else { continue };
            let (is_away, note) = match ids.entry(*id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => {
                    let is_away = !disk::is_published(self.store, *id)? || self.store.has(Place::Repairing(*id))?;
                    unknown.insert((is_away, arrivals::of_base(self.store, *id)?.note()))
                }
            };
            if *is_away || note.files.get(path) != self.arrived(&name.0) {
                gone.insert(name.0.clone());
            }
        }
        Ok(gone)
    }

    fn as_it_is(&self, found: Found, digest: Digest) -> Arrived {
        let at = Timestamp::from_second(self.now.as_second()).unwrap_or(self.now);
        Arrived { size: found.stamp.size, digest, at, when: When::Later }
    }

    /// Notes what files are that nothing is known of, so that the next verification has something to compare them with.
    fn note_new(&mut self, new: BTreeMap<BackupId, Vec<(PathBuf, Found, Arrived)>>) {
        for (id, files) in new {
            let sizes: Vec<u64> = files.iter().map(|(_, found, _)| found.stamp.size).collect();
            let known: Vec<(PathBuf, Arrived)> =
                files.iter().map(|(path, _, arrived)| (path.clone(), *arrived)).collect();
            match arrivals::add(self.store, id, files) {
                Ok(()) => {
                    for size in sizes {
                        self.outcome.noted.add(size);
                    }
                    self.arrived.entry(id).or_default().files.extend(known);
                }
                Err(error) => tracing::debug!("what is in backup {id} is not noted: {error}"),
            }
        }
    }

    fn note_damage(&mut self, spoilt: Vec<(Subject, String, Seen)>, good: &[Subject]) -> Result<(), ChangeError> {
        let noted = damage::noted(self.store)?;
        let mended: Vec<&Subject> = good.iter().filter(|subject| is_noted(&noted, subject)).collect();
        if spoilt.is_empty() && mended.is_empty() {
            return Ok(());
        }
        self.outcome.mended.extend(mended.iter().copied().cloned());
        let found = self.now;
        damage::change(self.store, |note| {
            for subject in &mended {
                match subject {
                    Subject::OfBase(id, path) => drop(note.bases.get_mut(id).and_then(|files| files.remove(path))),
                    Subject::Wal(name) => drop(note.wals.remove(name)),
                }
            }
            for (subject, why, seen) in spoilt {
                let spoilt = Spoilt { why, found, seen, is_shared: false };
                match subject {
                    Subject::OfBase(id, path) => put(note.bases.entry(id).or_default().entry(path), spoilt),
                    Subject::Wal(name) => put(note.wals.entry(name), spoilt),
                }
            }
        })
    }
}
