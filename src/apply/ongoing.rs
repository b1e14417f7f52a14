//! The run that is at work on a server, as its lock and its pulse tell.
//!
//! The time of the lock's file is that of the begin, as the holder writes its id then and nothing else later. Neither file
//! proves anything by itself: whether a run is at work, only the lock tells.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::barman::ids::ServerName;
use crate::plan::status::ongoing::Ongoing;
use crate::store::locks::{Lock, read_holder};
use crate::store::posix::places::OWN_DIRECTORY;

use super::pulse::Pulse;

/// The run's own lock of a server.
pub(super) fn lock(catalog: &Path, server: &ServerName) -> PathBuf {
    catalog.join(OWN_DIRECTORY).join(format!("{server}.lock"))
}

/// The run that is at work on a server, if there is one.
pub fn ongoing(catalog: &Path, server: &ServerName) -> io::Result<Option<Ongoing>> {
    let lock = lock(catalog, server);
    if !Lock::is_held(&lock)? {
        return Ok(None);
    }
    let began = modified(&lock)?;
    let last_progress = modified(Pulse::of(catalog, server).path()).map_or(began, |beat| beat.max(began));
    let holder = read_holder(&lock);
    Ok(Some(Ongoing {
        pid: holder.as_ref().map(|holder| holder.pid),
        command: holder.and_then(|holder| holder.command),
        began,
        last_progress,
    }))
}

fn modified(path: &Path) -> io::Result<Timestamp> {
    Timestamp::try_from(path.metadata()?.modified()?).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::{Duration, SystemTime};

    fn set(path: &Path, time: &str) {
        let seconds = u64::try_from(time.parse::<Timestamp>().unwrap().as_second()).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn a_run_is_told_with_its_begin_and_its_last_progress_as_long_as_its_lock_is_held() {
        let catalog = tempfile::tempdir().unwrap();
        let (main, other) = ("main".parse().unwrap(), "other".parse().unwrap());
        let ongoing = |server| ongoing(catalog.path(), server).unwrap();
        assert_eq!(ongoing(&main), None, "no run was ever here");
        std::fs::create_dir(catalog.path().join(OWN_DIRECTORY)).unwrap();
        let path = lock(catalog.path(), &main);
        let held = Lock::try_acquire(&path).unwrap();
        let pulse = Pulse::of(catalog.path(), &main);
        set(&path, "2026-11-22T10:00:00Z");
        let running = ongoing(&main).unwrap();
        assert_eq!((running.pid, running.last_progress), (Some(std::process::id()), running.began));
        assert_eq!(ongoing(&other), None, "it is at work on the one server");
        pulse.beat();
        set(pulse.path(), "2026-11-22T10:20:00Z");
        let now = "2026-11-22T12:10:00Z".parse().unwrap();
        let running = ongoing(&main).unwrap();
        assert_eq!((running.age(now), running.idle(now), running.hangs(now)), (7800, 6600, true));
        pulse.beat();
        let running = ongoing(&main).unwrap();
        assert!(!running.hangs(Timestamp::now()), "{running:?}");
        // What an earlier run left says nothing of this one.
        set(pulse.path(), "2026-11-20T00:00:00Z");
        assert_eq!(ongoing(&main).unwrap().last_progress, running.began);
        drop(held);
        assert_eq!(ongoing(&main), None, "its files alone are no run");
    }
}
