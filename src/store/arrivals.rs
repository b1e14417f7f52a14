//! The notes of what files had in them when they arrived ([`crate::barman::arrival`]): an apply writes them, and who verifies
//! adds what is lacking.

use std::path::PathBuf;

use crate::barman::arrival::{ArrivalNote, Arrived};
use crate::barman::ids::BackupId;

use super::place::Place;
use super::{CatalogError, ChangeError, Found, Store, damage};

/// More than what is said of a few million files.
const MAX_NOTE: u64 = 1 << 30;
/// What the notes are called, before the id of their backup.
pub(in crate::store) const PREFIX: &str = "arrived-";

/// What is noted of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// Nothing.
    Nothing,
    /// Something that cannot be understood, and so says nothing.
    Broken,
    /// This.
    Files(ArrivalNote),
}

impl Noted {
    /// What it says of the files.
    pub fn note(self) -> ArrivalNote {
        match self {
            Self::Nothing | Self::Broken => ArrivalNote::default(),
            Self::Files(note) => note,
        }
    }
}

/// What is noted of a backup. A note that is none says nothing.
pub fn of_base(store: &dyn Store, id: BackupId) -> Result<Noted, CatalogError> {
    let at = Place::ArrivalNote(id);
    let Some(found) = store.look(at.into())? else { return Ok(Noted::Nothing) };
    if found.size().is_none_or(|size| size > MAX_NOTE) {
        return Ok(Noted::Broken);
    }
    let note = store.read(at, MAX_NOTE)?;
    Ok(note.and_then(|note| ArrivalNote::parse(&note)).map_or(Noted::Broken, Noted::Files))
}

/// The files that are noted and are not here, or have another size.
pub fn differing(store: &dyn Store, id: BackupId) -> Result<Vec<PathBuf>, CatalogError> {
    let mut differing = Vec::new();
    for (path, arrived) in of_base(store, id)?.note().files {
        if store.size(Place::Base(id).below(&path))? != Some(arrived.size) {
            differing.push(path);
        }
    }
    Ok(differing)
}

/// Notes what a backup is from now on.
pub fn write(store: &dyn Store, id: BackupId, note: &ArrivalNote) -> Result<(), ChangeError> {
    if note.files.is_empty() && !store.has(Place::ArrivalNote(id))? {
        return Ok(());
    }
    store.make(Place::Own)?;
    let _lock = damage::lock(store)?;
    put(store, id, note)
}

/// Adds files of which nothing is noted, unless they are others by now than those that were read, or are being repaired.
pub fn add(store: &dyn Store, id: BackupId, files: Vec<(PathBuf, Found, Arrived)>) -> Result<(), ChangeError> {
    store.make(Place::Own)?;
    let _lock = damage::lock(store)?;
    if store.has(Place::Repairing(id))? {
        return Ok(());
    }
    let mut note = of_base(store, id)?.note();
    let before = note.files.len();
    for (path, found, arrived) in files {
        let is_same = store.look(Place::Base(id).below(&path))?.is_some_and(|now| now.stamp == found.stamp);
        if is_same {
            note.files.entry(path).or_insert(arrived);
        }
    }
    if note.files.len() == before { Ok(()) } else { put(store, id, &note) }
}

/// Forgets a backup that is gone.
pub fn forget(store: &dyn Store, id: BackupId) -> Result<(), ChangeError> {
    if store.has(Place::ArrivalNote(id))? { store.remove(Place::ArrivalNote(id).into()) } else { Ok(()) }
}

/// Forgets all backups of which nothing is here any more, whoever deleted them.
pub fn forget_gone(store: &dyn Store) -> Result<(), ChangeError> {
    for entry in store.list(Place::Own.into())? {
        let Some(id) = entry.name.strip_prefix(PREFIX).and_then(|id| id.parse::<BackupId>().ok()) else { continue };
        // In this order: a base that is published meanwhile is seen in one of the two.
        if !store.has(Place::Staged(id))? && !store.has(Place::Base(id))? {
            forget(store, id)?;
        }
    }
    Ok(())
}

fn put(store: &dyn Store, id: BackupId, note: &ArrivalNote) -> Result<(), ChangeError> {
    if note.files.is_empty() { forget(store, id) } else { store.write(Place::ArrivalNote(id), &note.write()) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use jiff::Timestamp;

    use super::*;
    use crate::barman::arrival::When;
    use crate::barman::layout::ServerDirs;
    use crate::store::Posix;

    const ID: &str = "20261122T030000";

    struct Ground {
        _home: tempfile::TempDir,
        dirs: ServerDirs,
        store: Posix,
        id: BackupId,
    }

    impl Ground {
        /// With a base of one file.
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let dirs = ServerDirs::of_catalog(home.path(), "main".parse().unwrap());
            let (store, id) = (Posix::new(dirs.clone()), ID.parse().unwrap());
            fs::create_dir_all(dirs.base(id)).unwrap();
            fs::write(dirs.base(id).join("x"), "it").unwrap();
            Self { _home: home, dirs, store, id }
        }

        fn found(&self) -> Found {
            Found::of(&fs::metadata(self.dirs.base(self.id).join("x")).unwrap())
        }

        fn add(&self, digest: u8) {
            let files = vec![("x".into(), self.found(), arrived(digest))];
            add(&self.store, self.id, files).unwrap();
        }

        fn noted(&self) -> Noted {
            of_base(&self.store, self.id).unwrap()
        }

        fn digest(&self) -> u8 {
            self.noted().note().files[Path::new("x")].digest[0]
        }
    }

    fn arrived(digest: u8) -> Arrived {
        Arrived { size: 2, digest: [digest; 32], at: Timestamp::UNIX_EPOCH, when: When::Later }
    }

    #[test]
    fn what_is_noted_once_is_replaced_by_an_apply_alone() {
        let ground = Ground::new();
        assert_eq!(ground.noted(), Noted::Nothing);
        ground.add(1);
        ground.add(2);
        assert_eq!(ground.digest(), 1);
        let note = ArrivalNote { files: [("x".into(), arrived(3))].into_iter().collect() };
        write(&ground.store, ground.id, &note).unwrap();
        assert_eq!(ground.digest(), 3);
        write(&ground.store, ground.id, &ArrivalNote::default()).unwrap();
        assert_eq!(ground.noted(), Noted::Nothing);
    }

    #[test]
    fn nothing_is_noted_of_a_file_that_is_another_by_now_or_is_being_repaired() {
        let ground = Ground::new();
        let found = ground.found();
        fs::write(ground.dirs.base(ground.id).join("new"), "it").unwrap();
        fs::rename(ground.dirs.base(ground.id).join("new"), ground.dirs.base(ground.id).join("x")).unwrap();
        add(&ground.store, ground.id, vec![("x".into(), found, arrived(1))]).unwrap();
        assert_eq!(ground.noted(), Noted::Nothing);
        crate::store::repairs::note(&ground.store, ground.id, &["x".into()]).unwrap();
        ground.add(1);
        assert_eq!(ground.noted(), Noted::Nothing);
    }

    #[test]
    fn a_note_that_is_broken_or_a_link_says_nothing_and_is_made_anew() {
        let ground = Ground::new();
        ground.add(1);
        let path = ground.store.local(Place::ArrivalNote(ground.id).into());
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(ground.noted(), Noted::Broken);
        fs::remove_file(&path).unwrap();
        let elsewhere = ground.dirs.base(ground.id).join("elsewhere");
        fs::write(&elsewhere, &whole).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert_eq!(ground.noted(), Noted::Broken);
        ground.add(2);
        assert_eq!((ground.digest(), fs::read(&elsewhere).unwrap()), (2, whole));
    }

    #[test]
    fn what_is_missing_or_cut_is_told_and_the_note_of_a_backup_that_is_gone_goes_too() {
        let ground = Ground::new();
        ground.add(1);
        assert!(differing(&ground.store, ground.id).unwrap().is_empty());
        fs::write(ground.dirs.base(ground.id).join("x"), "i").unwrap();
        assert_eq!(differing(&ground.store, ground.id).unwrap(), [PathBuf::from("x")]);
        fs::remove_file(ground.dirs.base(ground.id).join("x")).unwrap();
        assert_eq!(differing(&ground.store, ground.id).unwrap(), [PathBuf::from("x")]);
        forget_gone(&ground.store).unwrap();
        assert_ne!(ground.noted(), Noted::Nothing);
        fs::remove_dir(ground.dirs.base(ground.id)).unwrap();
        forget_gone(&ground.store).unwrap();
        assert_eq!(ground.noted(), Noted::Nothing);
    }
}
