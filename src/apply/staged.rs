//! What lies in staging, and whether it is believed.
//!
//! A file that arrived is known by its size and time, and a lost write leaves behind just these ([`crate::store::posix::disk`]). So:
//!
//! - What this run wrote is believed, and published, once the disk said that it kept it.
//! - A base that an earlier run left is believed when that run ended well. A mark is made durable before the first
//!   write of a run, and taken away when all that lies in staging was synced without a loss. As long as it is there, a
//!   base is compared by content: with its manifest, or else with the primary.
//! - A base that another program copied is never believed: nobody here knows whether it was synced.
//! - A WAL file that an earlier run left is always compared: few are left after a run that ended well.
//!
//! What is compared is not copied again, but for what differs.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use crate::barman::ids::BackupId;
use crate::barman::wal::WalName;
use crate::store::staging::{OWN_DIRECTORY, Staging};
use crate::transport::paths;

use super::failure::Doing;
use super::replica_run::{ReplicaRun, blocking};
use crate::events::Failure;
use crate::store::posix::disk::Disk;
use crate::store::posix::durable;

/// The staging of a replica, which nothing was written to yet.
#[derive(Default)]
pub struct Staged(OnceCell<Arc<Begun>>);

/// The staging of a replica that is written to.
pub struct Begun {
    /// What holds the bases.
    pub bases: Arc<Disk>,
    /// What holds the WAL archive.
    pub wals: Arc<Disk>,
    mark: PathBuf,
    /// Backups of which a part may be on the disk that is not what it should be.
    doubted: Mutex<BTreeSet<BackupId>>,
    /// WAL files that an earlier run left, and that were not compared yet.
    left: Mutex<BTreeSet<WalName>>,
}

impl Staged {
    /// To be called before each write to staging: the first call marks it.
    pub async fn begin(&self, run: &ReplicaRun<'_>) -> Result<Arc<Begun>, Failure> {
        let begin = || async {
            let (staging, dirs) = (run.staging(), &run.target.here);
            let place = Place {
                own: dirs.backup_directory.join(OWN_DIRECTORY),
                mark: staging.unfinished(),
                wals: staging.wals(),
                bases: dirs.basebackups_directory.clone(),
                staging: staging.staging_inside(),
            };
            blocking(move || place.begin().map(Arc::new).doing("begin to write in", &place.own)).await
        };
        self.0.get_or_try_init(begin).await.cloned()
    }

    /// Ends a run: takes the mark away, unless something in staging is not known to be on the disk. That it cannot be
    /// known is no failure: then the next run compares.
    pub async fn end(&self, run: &ReplicaRun<'_>) {
        let Some(begun) = self.0.get().cloned() else { return };
        let staging = run.staging();
        let is_left = |id: &BackupId| staging.base(*id).exists();
        if begun.doubted().iter().any(is_left) || begun.bases.has_lost() || begun.wals.has_lost() {
            return;
        }
        let inside = [staging.staging_inside(), staging.wals()];
        let bases = run.target.here.basebackups_directory.clone();
        let ended = blocking(move || begun.end(&inside, &bases).doing("take away", &begun.mark)).await;
        if let Err(failure) = ended {
            tracing::warn!("what lies in staging will be compared by the next apply: {failure}");
        }
    }
}

/// Where things are staged.
struct Place {
    own: PathBuf,
    mark: PathBuf,
    wals: PathBuf,
    bases: PathBuf,
    staging: PathBuf,
}

impl Place {
    fn begin(&self) -> io::Result<Begun> {
        durable::create_private_directory(&self.own)?;
        let left = names(&self.wals)?.filter_map(|name| name.parse().ok()).collect();
        let was_unfinished = self.mark.exists();
        let staged = names(&self.staging)?.chain(staged_beside(&self.bases)?);
        let doubted = staged.filter(|_| was_unfinished).filter_map(|name| Staging::backup_of(&name)).collect();
        let begun = Begun {
            bases: Arc::new(Disk::open(&self.bases)?),
            wals: Arc::new(Disk::open(&self.wals)?),
            mark: self.mark.clone(),
            doubted: Mutex::new(doubted),
            left: Mutex::new(left),
        };
        durable::write(&self.mark, b"")?;
        Ok(begun)
    }
}

/// The names under which bases are staged beside those that are published.
fn staged_beside(bases: &Path) -> io::Result<impl Iterator<Item = String>> {
    Ok(names(bases)?.filter(|name| name.starts_with('.') && Staging::backup_of(name).is_some()))
}

fn names(directory: &Path) -> io::Result<impl Iterator<Item = String>> {
    Ok(paths::entries(directory)?.into_iter().map(|entry| entry.file_name().to_string_lossy().into_owned()))
}

impl Begun {
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

    fn end(&self, inside: &[PathBuf], bases: &Path) -> io::Result<()> {
        let mut written = inside.to_vec();
        written.extend(staged_beside(bases)?.map(|name| bases.join(name)));
        self.bases.sync(self.bases.since(), &written)?;
        self.wals.sync(self.wals.since(), &written)?;
        durable::remove_file(&self.mark)
    }

    fn doubted(&self) -> MutexGuard<'_, BTreeSet<BackupId>> {
        // Inserting and removing cannot leave the set half-changed; the same goes for the other.
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left(&self) -> MutexGuard<'_, BTreeSet<WalName>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
