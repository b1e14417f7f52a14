//! Which backup's files a copy can take from the site instead of from the primary.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::barman::backup_info::Status;
use crate::barman::ids::BackupId;
use crate::observe::inventory::{BaseState, LocalBackup, PrimaryInventory, ReplicaInventory};
use crate::verify::manifest::{Manifest, ManifestFile, barman_path, identical_files};

use crate::plan::action::ReusedFiles;
use crate::plan::cost::delta;

/// Where files can be taken from: backups that are here, and those that this plan copies before.
pub struct Sources<'a> {
    primary: &'a PrimaryInventory,
    here: &'a ReplicaInventory,
    /// Backups that are here, and whole.
    whole: BTreeSet<BackupId>,
    /// Copies that come earlier in the plan's order. None that comes later is taken from: a backup and its basis
    /// would wait for each other.
    copied: BTreeSet<BackupId>,
}

impl<'a> Sources<'a> {
    /// What is here.
    pub fn new(primary: &'a PrimaryInventory, here: &'a ReplicaInventory) -> Self {
        let whole = here.backups.iter().filter(|(_, local)| is_whole(local)).map(|(id, _)| *id).collect();
        Self { primary, here, whole, copied: BTreeSet::new() }
    }

    /// From now on, this backup is planned to be here.
    pub fn add(&mut self, id: BackupId) {
        self.copied.insert(id);
    }

    /// The files that a backup shares with the nearest one that is here and whole, or else with one that comes
    /// before it in this plan, where they are worth the wait for it. `rate` is what the line is expected to bring in bytes
    /// per second: on a slow one, what is not shared is compared with the same backup.
    pub fn shared_by(&self, id: BackupId, rate: Option<u64>) -> Option<ReusedFiles> {
        let new = self.primary.backups.get(&id)?.manifest.as_ref()?;
        let (from, basis) = self.basis(id)?;
        let same = identical_files(basis, new);
        let bytes = same.iter().filter_map(|path| new.files.get(*path)).map(|file| file.size).sum();
        let all = new.files.values().map(|file| file.size).fold(0, u64::saturating_add);
        let compared = compared(new, basis, &same, rate);
        let saved = u64::saturating_add(bytes, compared);
        let is_worth_it = saved > 0 && (self.whole.contains(&from) || is_worth_waiting(saved, all));
        let files: Vec<_> = same.into_iter().map(barman_path).collect();
        is_worth_it.then_some(ReusedFiles { from, files, bytes, compared })
    }

    fn basis(&self, id: BackupId) -> Option<(BackupId, &Manifest)> {
        let known = |from: BackupId| Some((from, self.manifest(from)?));
        let others = |ids| nearest(ids, id).filter(|from| *from != id).find_map(known);
        others(&self.whole).or_else(|| others(&self.copied))
    }

    fn manifest(&self, id: BackupId) -> Option<&Manifest> {
        let local = self.here.backups.get(&id).filter(|_| self.whole.contains(&id));
        let here = local.and_then(|local| local.manifest.as_ref());
        here.or_else(|| self.primary.backups.get(&id)?.manifest.as_ref()).map(Arc::as_ref)
    }
}

/// Bytes of the files that come as what differs from an older version of each.
fn compared(new: &Manifest, older: &Manifest, same: &[&Path], rate: Option<u64>) -> u64 {
    let is_compared = |(path, file): &(&PathBuf, &ManifestFile)| {
        let older = older.files.get(*path).map(|older| older.size);
        // The paths are in order.
        delta::pays(file.size, older, rate) && same.binary_search(&path.as_path()).is_err()
    };
    new.files.iter().filter(is_compared).map(|(_, file)| file.size).fold(0, u64::saturating_add)
}

/// Whether a copy waits until another is published, for so many bytes of all. Meanwhile the line could bring what
/// differs, and proving a copy takes about as long as bringing a part of it.
fn is_worth_waiting(shared: u64, all: u64) -> bool {
    shared >= all / 8
}

fn is_whole(local: &LocalBackup) -> bool {
    let is_published = local.published.as_ref().is_some_and(|published| published.facts.status == Status::Done);
    is_published && local.base == BaseState::Complete
}

/// Older backups from the newest on, then newer ones from the oldest on.
fn nearest(ids: &BTreeSet<BackupId>, id: BackupId) -> impl Iterator<Item = BackupId> {
    ids.range(..id).rev().chain(ids.range(id..)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_waits_for_another_only_where_it_takes_a_good_part_from_it() {
        for (shared, all, waits) in [(0, 8, false), (1, 8, true), (20, 919, false), (115, 919, true), (900, 919, true)]
        {
            assert_eq!(is_worth_waiting(shared, all), waits, "{shared} of {all}");
        }
    }

    #[test]
    fn on_a_slow_line_what_is_not_shared_is_compared_with_the_older_version_of_each_file() {
        const MB: u64 = 1_000_000;
        let file = |size| ManifestFile { size, mtime: jiff::Timestamp::UNIX_EPOCH, checksum: None };
        let manifest = |files: &[(&str, u64)]| {
            let files = files.iter().map(|(path, size)| (PathBuf::from(path), file(*size))).collect();
            Manifest { files, ..Manifest::default() }
        };
        let older = manifest(&[("same", 9 * MB), ("changed", 7 * MB), ("tiny", 100)]);
        let new = manifest(&[("same", 9 * MB), ("changed", 8 * MB), ("tiny", 200), ("fresh", 5 * MB)]);
        for (rate, bytes) in [(Some(10 * MB), 8 * MB), (Some(500 * MB), 0), (None, 0)] {
            assert_eq!(compared(&new, &older, &[Path::new("same")], rate), bytes, "{rate:?}");
        }
    }
}
