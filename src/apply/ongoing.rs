//! The run that is at work on a server, as its lock and its note of progress tell.
//!
//! The time of the lock's file is that of the begin, as the holder writes its id then and nothing else later. Neither file
//! proves anything by itself: whether a run is at work, only the lock tells.

use jiff::Timestamp;

use super::pulse::Note;
use crate::error::Error;
use crate::plan::status::ongoing::Ongoing;
use crate::store::locks::{Holder, LockKind};
use crate::store::{Place, Store};

/// More than the id of a process has.
const MAX_ID: u64 = 64;

/// More than its steps have.
const MAX_NOTE: u64 = 64 << 10;

/// The run that is at work on a server, if there is one.
pub fn ongoing(store: &dyn Store) -> Result<Option<Ongoing>, Error> {
    if !store.is_locked(LockKind::Run)? {
        return Ok(None);
    }
    let Some(began) = modified(store, Place::RunLock)? else { return Ok(None) };
    let last_progress = modified(store, Place::Progress)?.map_or(began, |beat| beat.max(began));
    let holder = store.read(Place::RunLock, MAX_ID)?.and_then(|content| Holder::by(&content));
    // Until it has noted anything, the note of an earlier run lies there.
    let note = store.read(Place::Progress, MAX_NOTE).ok().flatten();
    let note = note.and_then(|note| serde_json::from_slice::<Note>(&note).ok());
    let its_own = note.filter(|note| holder.as_ref().is_some_and(|holder| holder.pid == note.pid));
    Ok(Some(Ongoing {
        pid: holder.as_ref().map(|holder| holder.pid),
        command: holder.and_then(|holder| holder.command),
        began,
        last_progress,
        doing: its_own.map(|note| note.doing).unwrap_or_default(),
    }))
}

fn modified(store: &dyn Store, place: Place) -> Result<Option<Timestamp>, Error> {
    let found = store.look(place.into())?;
    Ok(found.and_then(|found| Timestamp::from_second(found.modified).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use crate::apply::pulse::beat;
    use crate::barman::layout::ServerDirs;
    use crate::plan::status::ongoing::Doing;
    use crate::store::{Posix, home};

    fn set(path: &Path, time: &str) {
        let seconds = u64::try_from(time.parse::<Timestamp>().unwrap().as_second()).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn a_run_is_told_with_its_begin_and_its_last_progress_as_long_as_its_lock_is_held() {
        let catalog = tempfile::tempdir().unwrap();
        let store = |server: &str| Posix::new(ServerDirs::of_catalog(catalog.path(), server.parse().unwrap()));
        let (main, other) = (store("main"), store("other"));
        let ongoing = |store: &Posix| ongoing(store).unwrap();
        assert_eq!(ongoing(&main), None, "no run was ever here");
        home::prepare(catalog.path()).unwrap();
        let held = main.try_lock(LockKind::Run).unwrap();
        let [path, progress] = [Place::RunLock, Place::Progress].map(|place| main.local(place.into()));
        set(&path, "2026-11-22T10:00:00Z");
        let running = ongoing(&main).unwrap();
        assert_eq!((running.pid, running.last_progress), (Some(std::process::id()), running.began));
        assert_eq!(ongoing(&other), None, "it is at work on the one server");
        beat(&main, Vec::new());
        set(&progress, "2026-11-22T10:20:00Z");
        let now = "2026-11-22T12:10:00Z".parse().unwrap();
        let running = ongoing(&main).unwrap();
        assert_eq!((running.age(now), running.idle(now), running.hangs(now)), (7800, 6600, true));
        let began = running.began;
        let step = Doing { what: "copying backup/1".to_owned(), arrived: 1, total: 2, began };
        beat(&main, vec![step.clone()]);
        let running = ongoing(&main).unwrap();
        assert_eq!(running.doing, [step]);
        assert!(!running.hangs(Timestamp::now()), "{running:?}");
        // What an earlier run left says nothing of this one.
        set(&progress, "2026-11-20T00:00:00Z");
        assert_eq!(ongoing(&main).unwrap().last_progress, running.began);
        drop(held);
        assert_eq!(ongoing(&main), None, "its files alone are no run");
    }
}
