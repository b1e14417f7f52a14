//! A store over another: every call is recorded, and one of them goes wrong.
//!
//! # What a power cut takes
//!
//! It comes in the middle of a call, between two steps of what that changes on the disk; from then on every call fails.
//! What was made durable before stays ([`Store`] says which calls do that): a file of a [`Store::write`] to a durable
//! place, and files that a [`Store::sync`] named. Any other file that appeared since the store was opened is lost when the
//! power is back: it is gone, or cut in half, or has its size and time and zeros for content, which is what a file system
//! leaves of writes that it did not come to.
//!
//! A [`Store::sync`] that fails tells of lost writes: then the same is lost, and shows when the host has forgotten what it
//! remembers of the files, as after [`Recording::reboot`].

#![allow(clippy::missing_panics_doc, reason = "it is for tests, which may fail")]

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use walkdir::WalkDir;

use super::cache::{Cache, Cached, Use};
use super::locks::{Lock, LockError, LockKind};
use super::posix::durable::steps;
use super::{At, CatalogError, ChangeError, Entry, Found, GoOn, Place, Posix, Room, Sharing, Since, Store, Volume};
use crate::barman::ids::BackupId;
use crate::barman::layout::ServerDirs;
use crate::barman::wal::WalName;

/// What a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// It looks at something.
    Look,
    /// It changes something, or makes it durable.
    Change,
    /// It lets a file be in another place too: there is one such call for each file.
    Share,
}

/// How far a call gets that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Nothing of it is done.
    Nothing,
    /// So many steps of it are done, or all where it has no more.
    Steps(usize),
    /// All of it is done, and nobody is told.
    Everything,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// The call fails with this error number, and the next works again.
    Fault(i32, Reach),
    /// The call is the last one.
    PowerCut(Reach),
}

/// A store that records what is asked of another.
pub struct Recording {
    inner: Posix,
    server: PathBuf,
    /// The call of this sort that goes wrong, counted from 0.
    mishap: Option<(Touch, usize, Mishap)>,
    /// What is said to be free; what really is unless it is said.
    free: Option<u64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: Vec<(Touch, String)>,
    has_happened: bool,
    is_off: bool,
    /// The inodes of files that a power cut leaves alone.
    durable: BTreeSet<u64>,
}

impl Recording {
    /// Over a catalog of which all is durable.
    pub fn new(dirs: ServerDirs, mishap: Option<(Touch, usize, Mishap)>) -> Arc<Self> {
        let server = dirs.backup_directory.clone();
        let state = State { durable: files(&server).map(|(_, inode)| inode).collect(), ..State::default() };
        Arc::new(Self { inner: Posix::new(dirs), server, mishap, free: None, state: Mutex::new(state) })
    }

    /// Over a catalog on a file system with so much free, whatever is written there.
    pub fn with_free(dirs: ServerDirs, free: u64) -> Arc<Self> {
        Arc::new(Self {
            inner: Posix::new(dirs.clone()),
            server: dirs.backup_directory,
            mishap: None,
            free: Some(free),
            state: Mutex::default(),
        })
    }

    /// Whether the call was made that goes wrong.
    pub fn has_happened(&self) -> bool {
        self.state.lock().unwrap().has_happened
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<(Touch, String)> {
        self.state.lock().unwrap().calls.clone()
    }

    /// The host is up again: what was not durable is lost, each file in another way at another turn.
    pub fn reboot(&self, turn: usize) {
        let state = self.state.lock().unwrap();
        for (path, _) in files(&self.server).filter(|(_, inode)| !state.durable.contains(inode)) {
            // Neighbours are lost in different ways, and the same one in another way after another call.
            let name = path.strip_prefix(&self.server).unwrap_or(&path).as_os_str();
            let letters: usize = name.as_bytes().iter().map(|letter| usize::from(*letter)).sum();
            lose(&path, (letters + state.calls.len() + turn) % 3);
        }
    }

    /// Records a call; what is to go wrong with it, if that is so.
    fn record(&self, touch: Touch, call: String) -> io::Result<Option<Mishap>> {
        let mut state = self.state.lock().unwrap();
        if state.is_off {
            return Err(io::Error::other("there is no power"));
        }
        let number = state.calls.iter().filter(|(before, _)| *before == touch).count();
        state.calls.push((touch, call));
        let mishap = self.mishap.filter(|(of, at, _)| (*of, *at) == (touch, number)).map(|(_, _, mishap)| mishap);
        state.has_happened |= mishap.is_some();
        Ok(mishap)
    }

    fn look<T>(
        &self,
        at: At<'_>,
        deed: &str,
        look: impl FnOnce() -> Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        let failed = |source| CatalogError { path: self.inner.local(at), source };
        match self.record(Touch::Look, format!("{deed} {at:?}")).map_err(failed)? {
            Some(Mishap::Fault(errno, _)) => Err(failed(io::Error::from_raw_os_error(errno))),
            Some(Mishap::PowerCut(_)) => {
                self.state.lock().unwrap().is_off = true;
                Err(failed(io::Error::other("the power was cut")))
            }
            None => look(),
        }
    }

    fn change<T>(
        &self,
        call: String,
        all: impl FnOnce() -> Result<T, ChangeError>,
        part: impl FnOnce(usize),
    ) -> Result<T, ChangeError> {
        self.change_of(Touch::Change, call, all, part)
    }

    /// A change of which a part is done step by step.
    fn change_in_steps<T>(&self, call: String, all: impl Fn() -> Result<T, ChangeError>) -> Result<T, ChangeError> {
        self.change(call, &all, |steps| drop(steps::at_most(steps, &all)))
    }

    fn change_of<T>(
        &self,
        touch: Touch,
        call: String,
        all: impl FnOnce() -> Result<T, ChangeError>,
        part: impl FnOnce(usize),
    ) -> Result<T, ChangeError> {
        let failed = |source| ChangeError { deed: "do it in", path: self.server.clone(), source };
        let Some(mishap) = self.record(touch, call).map_err(failed)? else { return all() };
        let (Mishap::Fault(_, reach) | Mishap::PowerCut(reach)) = mishap;
        match reach {
            Reach::Nothing => {}
            Reach::Steps(steps) => part(steps),
            Reach::Everything => drop(all()?),
        }
        Err(failed(match mishap {
            Mishap::Fault(errno, _) => io::Error::from_raw_os_error(errno),
            Mishap::PowerCut(_) => {
                self.state.lock().unwrap().is_off = true;
                io::Error::other("the power was cut")
            }
        }))
    }

    /// From now on a power cut leaves these files alone.
    fn keep(&self, paths: impl IntoIterator<Item = PathBuf>) {
        let inodes: Vec<u64> = paths.into_iter().flat_map(|path| files(&path).map(|(_, inode)| inode)).collect();
        self.state.lock().unwrap().durable.extend(inodes);
    }
}

/// The files at a path or below it, with their inodes.
fn files(path: &Path) -> impl Iterator<Item = (PathBuf, u64)> + use<> {
    let entries = WalkDir::new(path).into_iter().filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    entries.filter_map(|entry| Some((entry.path().to_owned(), entry.metadata().ok()?.ino())))
}

fn lose(path: &Path, how: usize) {
    let metadata = fs::metadata(path).unwrap();
    let mut file = File::options().write(true).open(path).unwrap();
    match how {
        0 => fs::remove_file(path).unwrap(),
        1 => file.set_len(metadata.len() / 2).unwrap(),
        _ => {
            // Files that are made up have something in their first page, and often nothing but zeros after it.
            let from = (metadata.len() / 2).min(4 << 10);
            file.seek(SeekFrom::Start(from)).unwrap();
            file.write_all(&vec![0; usize::try_from(metadata.len() - from).unwrap()]).unwrap();
            file.set_times(FileTimes::new().set_modified(metadata.modified().unwrap())).unwrap();
        }
    }
}

impl Store for Recording {
    fn is_here(&self) -> Result<bool, CatalogError> {
        self.look(Place::Server.into(), "is_here", || self.inner.is_here())
    }

    fn look(&self, at: At<'_>) -> Result<Option<Found>, CatalogError> {
        self.look(at, "look", || self.inner.look(at))
    }

    fn list(&self, at: At<'_>) -> Result<Vec<Entry>, CatalogError> {
        self.look(at, "list", || self.inner.list(at))
    }

    fn open(&self, at: At<'_>) -> Result<Option<File>, CatalogError> {
        self.look(at, "open", || self.inner.open(at))
    }

    fn followed_links(&self) -> Result<Vec<(PathBuf, PathBuf)>, ChangeError> {
        self.inner.followed_links()
    }

    fn shut_group_out(&self) -> Result<(), ChangeError> {
        self.inner.shut_group_out()
    }

    fn staged(&self) -> Result<BTreeSet<BackupId>, CatalogError> {
        self.look(Place::Own.into(), "staged", || self.inner.staged())
    }

    fn unlinked(&self, id: BackupId, oids: &[u32]) -> Vec<u32> {
        self.inner.unlinked(id, oids)
    }

    fn room(&self, volume: Volume) -> Option<Room> {
        let room = self.inner.room(volume)?;
        Some(Room { free: self.free.unwrap_or(room.free), ..room })
    }

    fn cache(&self, kept: Cached, purpose: Use) -> Option<Cache> {
        self.inner.cache(kept, purpose)
    }

    fn local(&self, at: At<'_>) -> PathBuf {
        self.inner.local(at)
    }

    fn since(&self, volume: Volume) -> Result<Since, ChangeError> {
        self.change_of(Touch::Look, format!("since {volume:?}"), || self.inner.since(volume), |_| ())
    }

    fn sync(&self, volume: Volume, since: Since, written: &[At<'_>]) -> Result<(), ChangeError> {
        let all = || {
            self.inner.sync(volume, since, written)?;
            self.keep(written.iter().map(|at| self.inner.local(*at)));
            Ok(())
        };
        let some = |steps| self.keep(written.iter().take(steps).map(|at| self.inner.local(*at)));
        let synced = self.change(format!("sync {volume:?} {written:?}"), all, some);
        if synced.is_err() {
            self.inner.lose(volume)?;
        }
        synced
    }

    fn has_lost(&self) -> bool {
        self.inner.has_lost()
    }

    fn reread(&self, written: &[At<'_>]) -> Result<(), ChangeError> {
        self.change_of(Touch::Look, format!("reread {written:?}"), || self.inner.reread(written), |_| ())
    }

    fn share(&self, from: Place, to: Place, file: &Path, how: Sharing) -> Result<(), ChangeError> {
        let call = format!("share {from:?} {to:?} {} {how:?}", file.display());
        self.change_of(Touch::Share, call, || self.inner.share(from, to, file, how), |_| ())
    }

    fn link_tablespaces(&self, tree: Place, id: BackupId, oids: &[u32]) -> Result<(), ChangeError> {
        let some = |steps: usize| drop(self.inner.link_tablespaces(tree, id, &oids[..steps.min(oids.len())]));
        self.change(format!("link {tree:?} {oids:?}"), || self.inner.link_tablespaces(tree, id, oids), some)
    }

    fn settle_modes(&self, written: &[At<'_>]) -> Result<(), ChangeError> {
        self.change_of(Touch::Look, format!("settle modes {written:?}"), || self.inner.settle_modes(written), |_| ())
    }

    fn make(&self, place: Place) -> Result<(), ChangeError> {
        self.change_in_steps(format!("make {place:?}"), || self.inner.make(place))
    }

    fn write(&self, place: Place, content: &[u8]) -> Result<(), ChangeError> {
        let path = self.inner.local(place.into());
        let all = || {
            self.inner.write(place, content)?;
            if place.is_durable() {
                self.keep([path.clone()]);
            }
            Ok(())
        };
        let some = |steps| {
            drop(steps::at_most(steps, || self.inner.write(place, content)));
            if place.is_durable() && fs::read(&path).is_ok_and(|written| written == content) {
                self.keep([path.clone()]);
            } else {
                // What a write leaves that does not come to its end.
                drop(fs::write(path.with_file_name(".antipode-aBcDeF.tmp"), &content[..content.len() / 2]));
            }
        };
        self.change(format!("write {place:?}"), all, some)
    }

    fn publish(&self, id: BackupId) -> Result<(), ChangeError> {
        self.change_in_steps(format!("publish {id}"), || self.inner.publish(id))
    }

    fn stage_published(&self, id: BackupId) -> Result<(), ChangeError> {
        self.change_in_steps(format!("stage_published {id}"), || self.inner.stage_published(id))
    }

    fn publish_wals(&self, names: &[WalName]) -> Result<(), ChangeError> {
        self.change_in_steps(format!("publish_wals {names:?}"), || self.inner.publish_wals(names))
    }

    fn remove(&self, at: At<'_>) -> Result<(), ChangeError> {
        self.change_in_steps(format!("remove {at:?}"), || self.inner.remove(at))
    }

    fn remove_wals(&self, names: &BTreeSet<WalName>) -> Result<(), ChangeError> {
        self.change_in_steps(format!("remove_wals {names:?}"), || self.inner.remove_wals(names))
    }

    fn discard(&self, id: BackupId) -> Result<(), ChangeError> {
        self.change_in_steps(format!("discard {id}"), || self.inner.discard(id))
    }

    fn remove_tree(&self, place: Place, go_on: GoOn<'_>) -> Result<bool, ChangeError> {
        self.change_in_steps(format!("remove_tree {place:?}"), || self.inner.remove_tree(place, go_on))
    }

    fn sweep(&self, go_on: GoOn<'_>) -> Result<(), ChangeError> {
        self.change_in_steps("sweep".to_owned(), || self.inner.sweep(go_on))
    }

    fn tidy(&self) -> Result<(), ChangeError> {
        self.change_in_steps("tidy".to_owned(), || self.inner.tidy())
    }

    fn try_lock(&self, kind: LockKind) -> Result<Lock, LockError> {
        let failed = |source| LockError::Io { path: self.server.clone(), source };
        match self.record(Touch::Look, format!("lock {kind:?}")).map_err(failed)? {
            Some(Mishap::Fault(errno, _)) => Err(failed(io::Error::from_raw_os_error(errno))),
            Some(Mishap::PowerCut(_)) => {
                self.state.lock().unwrap().is_off = true;
                Err(failed(io::Error::other("the power was cut")))
            }
            None => self.inner.try_lock(kind),
        }
    }

    fn is_locked(&self, kind: LockKind) -> Result<bool, LockError> {
        self.inner.is_locked(kind)
    }
}
