//! The note of what is damaged here ([`crate::barman::damage`]): who finds damage and who mends it change it side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use jiff::Timestamp;

use crate::barman::damage::{DamageNote, Seen, Spoilt, Thing};
use crate::barman::ids::BackupId;
use crate::barman::wal::WalName;

use super::locks::{Lock, LockError, LockKind};
use super::place::{At, Place};
use super::{CatalogError, ChangeError, Found, Store};

/// More than what is said of a million files.
const MAX_NOTE: u64 = 1 << 30;
/// How long somebody may change the note at a time; nobody holds its lock for longer than a file takes to be written.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is tried again meanwhile.
const POLL: Duration = Duration::from_millis(20);

impl Seen {
    /// What was found, as a damaged file is known by it.
    pub fn of(found: Found) -> Self {
        Self { size: found.stamp.size, inode: found.stamp.inode(), modified: found.modified }
    }
}

/// What is damaged here, as far as the files are still those that were found to be.
pub fn noted(store: &dyn Store) -> Result<DamageNote, CatalogError> {
    let mut damage = read(store)?;
    let mut failure = None;
    damage.retain(|thing, spoilt| match is_same(store, thing, spoilt) {
        Ok(is_same) => is_same,
        Err(error) => {
            failure = Some(error);
            true
        }
    });
    failure.map_or(Ok(damage), Err)
}

/// The damaged files of a base, in the same way.
pub fn of_base(store: &dyn Store, id: BackupId) -> Result<Vec<PathBuf>, CatalogError> {
    let mut files = Vec::new();
    for (path, spoilt) in read(store)?.of_base(id) {
        if is_same(store, Thing::OfBase(id, path), spoilt)? {
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// Whether a WAL file is known to be damaged.
pub fn has_wal(store: &dyn Store, name: WalName) -> Result<bool, CatalogError> {
    match read(store)?.wals.get(&name) {
        Some(spoilt) => is_same(store, Thing::Wal(name), spoilt),
        None => Ok(false),
    }
}

/// All of a base was proved: nothing of it is damaged.
pub fn base_is_good(store: &dyn Store, id: BackupId) -> Result<(), ChangeError> {
    if read(store)?.bases.contains_key(&id) { change(store, |damage| drop(damage.bases.remove(&id))) } else { Ok(()) }
}

/// WAL files were replaced by proved ones. Of some, and of files beside them, it is known that they are no better than what
/// was there, and why.
pub fn wals_came_anew(
    store: &dyn Store,
    names: &BTreeSet<WalName>,
    no_better: &BTreeMap<WalName, String>,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let noted = read(store)?.wals;
    if no_better.is_empty() && !names.iter().any(|name| noted.contains_key(name)) {
        return Ok(());
    }
    let spoilt = |(name, why): (&WalName, &String)| {
        let found = store.look(Place::Wal(*name).into()).ok()??;
        Some((*name, Spoilt { why: why.clone(), found: now, seen: Seen::of(found), is_shared: true }))
    };
    let spoilt: Vec<(WalName, Spoilt)> = no_better.iter().filter_map(spoilt).collect();
    change(store, |damage| {
        damage.wals.retain(|name, _| !names.contains(name));
        damage.wals.extend(spoilt);
    })
}

/// What was brought anew for files of a base is damaged as well: what is there now is no better.
pub fn base_is_no_better(
    store: &dyn Store,
    id: BackupId,
    faults: impl Iterator<Item = (PathBuf, String)>,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let spoilt = |(path, why): (PathBuf, String)| {
        let found = store.look(Place::Base(id).below(&path)).ok()??;
        found.size().map(|_| (path, Spoilt { why, found: now, seen: Seen::of(found), is_shared: true }))
    };
    let spoilt: Vec<(PathBuf, Spoilt)> = faults.filter_map(spoilt).collect();
    if spoilt.is_empty() {
        return Ok(());
    }
    change(store, |damage| damage.bases.entry(id).or_default().extend(spoilt))
}

/// What was brought anew for a WAL file is damaged as well, and was not put in its place.
pub fn wal_is_no_better(store: &dyn Store, name: WalName) -> Result<(), ChangeError> {
    change(store, |damage| {
        if let Some(spoilt) = damage.wals.get_mut(&name) {
            spoilt.is_shared = true;
        }
    })
}

/// Changes the note, while nobody else does. What is not here any more is left out of it.
pub fn change(store: &dyn Store, change: impl FnOnce(&mut DamageNote)) -> Result<(), ChangeError> {
    store.make(Place::Own)?;
    let _lock = lock(store)?;
    let before = read(store)?;
    let mut now = before.clone();
    change(&mut now);
    now.retain(|thing, _| matches!(store.look(at(thing)), Ok(Some(_)) | Err(_)));
    match (now == before, now.is_empty()) {
        (true, _) => Ok(()),
        (false, true) => store.remove(Place::Damage.into()),
        (false, false) => store.write(Place::Damage, &now.write()),
    }
}

/// Keeps others from changing this note, or one of what arrived.
pub(super) fn lock(store: &dyn Store) -> Result<Lock, ChangeError> {
    let mut waited = Duration::ZERO;
    loop {
        match store.try_lock(LockKind::Damage) {
            Ok(lock) => return Ok(lock),
            Err(LockError::Busy { .. }) if waited < PATIENCE => {
                sleep(POLL);
                waited += POLL;
            }
            Err(LockError::Busy { path, .. }) => {
                return Err(ChangeError { deed: "lock", path, source: io::ErrorKind::WouldBlock.into() });
            }
            Err(LockError::Io { path, source }) => return Err(ChangeError { deed: "lock", path, source }),
        }
    }
}

/// What is noted. A note that cannot be understood says nothing: what it said is found again when the files are read.
fn read(store: &dyn Store) -> Result<DamageNote, CatalogError> {
    let note = store.read(Place::Damage, MAX_NOTE)?;
    Ok(note.and_then(|note| DamageNote::parse(&note)).unwrap_or_default())
}

fn at(thing: Thing<'_>) -> At<'_> {
    match thing {
        Thing::OfBase(id, path) => Place::Base(id).below(path),
        Thing::Wal(name) => Place::Wal(name).into(),
    }
}

fn is_same(store: &dyn Store, thing: Thing<'_>, spoilt: &Spoilt) -> Result<bool, CatalogError> {
    Ok(store.look(at(thing))?.is_some_and(|found| Seen::of(found) == spoilt.seen))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::barman::layout::ServerDirs;
    use crate::store::Posix;

    const ID: &str = "20261122T030000";
    const NAME: &str = "000000010000000000000007";

    struct Ground {
        _home: tempfile::TempDir,
        dirs: ServerDirs,
        store: Posix,
    }

    impl Ground {
        /// With a file of a base and one of WAL, both noted as damaged.
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let dirs = ServerDirs::of_catalog(home.path(), "main".parse().unwrap());
            let store = Posix::new(dirs.clone());
            let ground = Self { _home: home, dirs, store };
            for path in [ground.of_base(), ground.wal()] {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, "it").unwrap();
            }
            let spoilt = |path: &Path| Spoilt {
                why: "block 3".to_owned(),
                found: Timestamp::UNIX_EPOCH,
                seen: Seen::of(Found::of(&fs::metadata(path).unwrap())),
                is_shared: false,
            };
            let [of_base, wal] = [spoilt(&ground.of_base()), spoilt(&ground.wal())];
            let note = |damage: &mut DamageNote| {
                damage.bases.insert(ID.parse().unwrap(), BTreeMap::from([("data/x".into(), of_base)]));
                damage.wals.insert(NAME.parse().unwrap(), wal);
            };
            change(&ground.store, note).unwrap();
            ground
        }

        fn of_base(&self) -> PathBuf {
            self.dirs.base(ID.parse().unwrap()).join("data/x")
        }

        fn wal(&self) -> PathBuf {
            self.dirs.wal(NAME.parse().unwrap())
        }

        fn count(&self) -> usize {
            noted(&self.store).unwrap().count()
        }
    }

    #[test]
    fn damage_holds_until_the_file_is_another_one() {
        let ground = Ground::new();
        let id = ID.parse().unwrap();
        assert_eq!((ground.count(), of_base(&ground.store, id).unwrap()), (2, vec![PathBuf::from("data/x")]));
        assert!(has_wal(&ground.store, NAME.parse().unwrap()).unwrap());
        // A link to it, and another mode, mend nothing.
        fs::hard_link(ground.of_base(), ground.of_base().with_file_name("y")).unwrap();
        assert_eq!(ground.count(), 2);
        fs::write(ground.of_base().with_file_name("new"), "it").unwrap();
        fs::rename(ground.of_base().with_file_name("new"), ground.of_base()).unwrap();
        assert_eq!((ground.count(), of_base(&ground.store, id).unwrap()), (1, vec![]));
        fs::remove_file(ground.wal()).unwrap();
        assert_eq!((ground.count(), has_wal(&ground.store, NAME.parse().unwrap()).unwrap()), (0, false));
    }

    #[test]
    fn what_was_proved_is_damaged_no_longer_and_the_note_of_nothing_is_none() {
        let ground = Ground::new();
        let came = |name: &str, no_better: &[&str]| {
            let no_better = no_better.iter().map(|name| (name.parse().unwrap(), "as it was".to_owned())).collect();
            wals_came_anew(&ground.store, &[name.parse().unwrap()].into(), &no_better, Timestamp::UNIX_EPOCH).unwrap();
        };
        came("000000010000000000000008", &[]);
        assert_eq!(ground.count(), 2);
        came(NAME, &[NAME]);
        assert!(noted(&ground.store).unwrap().wals[&NAME.parse().unwrap()].is_shared);
        came(NAME, &[]);
        assert_eq!(ground.count(), 1);
        base_is_good(&ground.store, ID.parse().unwrap()).unwrap();
        assert_eq!((ground.count(), ground.store.look(Place::Damage.into()).unwrap().is_none()), (0, true));
    }
}
