//! What lies in staging, and whether it is believed.
//!
//! A file that arrived is known by its size and time, and a lost write leaves behind just these ([`super::posix::disk`]).
//! So:
//!
//! - What this run wrote is believed, and published, once the disk said that it kept it.
//! - A base that an earlier run left is believed when that run ended well. A mark is made durable before the first
//!   write of a run, and taken away when all that lies in staging was synced without a loss. As long as it is there, a
//!   base is compared by content: with its manifest, or else with the primary.
//! - After a run that was told of a loss nothing in staging is believed, and none of it is kept: what is read of a file
//!   shows nothing of what the file system lost about it (an ext4 without a journal loses inodes like anything else).
//! - A base that another program copied is never believed: nobody here knows whether it was synced.
//! - A WAL file that an earlier run left is always compared: few are left after a run that ended well.
//!
//! What is compared is not copied again, but for what differs.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::barman::ids::BackupId;
use crate::barman::wal::WalName;

use super::place::{At, Place};
use super::{ChangeError, Since, Store, Volume};

/// What the mark says of a run that was told of a loss.
const LOST: &[u8] = b"lost writes\n";

/// The staging of a server that is written to.
pub struct Staged {
    store: Arc<dyn Store>,
    /// Backups of which a part may be on the disk that is not what it should be.
    doubted: Mutex<BTreeSet<BackupId>>,
    /// WAL files that an earlier run left, and that were not compared yet.
    left: Mutex<BTreeSet<WalName>>,
}

impl Staged {
    /// To be called before the first write to staging: marks it.
    pub fn begin(store: Arc<dyn Store>) -> Result<Self, ChangeError> {
        store.make(Place::Own)?;
        let mark = store.read(Place::Unfinished, LOST.len() as u64)?;
        if mark.as_deref() == Some(LOST) {
            empty(store.as_ref())?;
        }
        let left =
            store.list(Place::Arrivals.into())?.into_iter().filter_map(|entry| entry.name.parse().ok()).collect();
        let doubted = if mark.is_some() { store.staged()? } else { BTreeSet::new() };
        store.since(Volume::Bases)?;
        store.since(Volume::Wals)?;
        store.write(Place::Unfinished, b"")?;
        Ok(Self { store, doubted: Mutex::new(doubted), left: Mutex::new(left) })
    }

    /// Whether what is staged of a backup must be compared by content.
    pub fn doubts(&self, id: BackupId) -> bool {
        self.doubted().contains(&id)
    }

    /// Notes that a backup was written by somebody else.
    pub fn doubt(&self, id: BackupId) {
        self.doubted().insert(id);
    }

    /// Notes that all of a backup was compared and is on the disk.
    pub fn believe(&self, id: BackupId) {
        self.doubted().remove(&id);
    }

    /// Whether a WAL file lies in staging that an earlier run left there and that was not compared yet.
    pub fn is_left(&self, name: WalName) -> bool {
        self.left().contains(&name)
    }

    /// Notes that these WAL files were compared.
    pub fn believe_wals(&self, names: &[WalName]) {
        self.left().retain(|name| !names.contains(name));
    }

    /// As [`Store::sync`]; a loss is noted at once, as the run may be killed before it ends.
    pub fn sync(&self, volume: Volume, since: Since, written: &[At<'_>]) -> Result<(), ChangeError> {
        let synced = self.store.sync(volume, since, written);
        if synced.is_err() {
            // A disk that lost writes may refuse this one too; then the next run compares.
            let _refused = self.store.write(Place::Unfinished, LOST);
        }
        synced
    }

    /// Ends a run: takes the mark away, unless something in staging is not known to be on the disk. Then the next run
    /// compares.
    pub fn end(&self) -> Result<(), ChangeError> {
        for id in self.doubted().iter() {
            if self.store.has(Place::Staged(*id))? {
                return Ok(());
            }
        }
        if self.store.has_lost() {
            return self.store.write(Place::Unfinished, LOST);
        }
        let bases = self.store.staged()?.into_iter().map(Place::Staged);
        let written: Vec<At<'_>> = bases.chain([Place::Arrivals]).map(At::from).collect();
        for volume in [Volume::Bases, Volume::Wals] {
            self.sync(volume, self.store.since(volume)?, &written)?;
        }
        self.store.remove(Place::Unfinished.into())
    }

    fn doubted(&self) -> MutexGuard<'_, BTreeSet<BackupId>> {
        // Inserting and removing cannot leave the set half-changed; the same goes for the other.
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left(&self) -> MutexGuard<'_, BTreeSet<WalName>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes all that lies in staging.
fn empty(store: &dyn Store) -> Result<(), ChangeError> {
    for place in store.staged()?.into_iter().map(Place::Staged).chain([Place::Arrivals]) {
        store.remove_tree(place, &|| true)?;
    }
    Ok(())
}
