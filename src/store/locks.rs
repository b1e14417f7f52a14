//! Barman's file locks (Barman `lockfile.py`): `flock` on a file of mode 0600 that holds the holder's PID.
//!
//! The file stays when the lock is released, as Barman's does: whoever unlinks it takes the lock away from those
//! who have it open. Barman's clean-up and its delete do unlink, so after locking the path is looked at again.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Store;
use super::posix::files::unless_stale;
use crate::barman::ids::{BackupId, ServerName, is_unprintable};
use crate::barman::secret::without_secrets;
use crate::error::{Error, Kind};

/// How often a busy lock is tried again.
const POLL: Duration = Duration::from_millis(100);

/// The name of the lock of the note of what is damaged.
pub const DAMAGE_LOCK: &str = "damage.lock";

/// A lock of a server: one of Barman's, or our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockKind {
    /// Our own: held as long as an Antipode is at work on the server.
    Run,
    /// Our own: held while the note of what is damaged or one of what arrived is changed, beside them.
    Damage,
    /// Held while cron works on a server; another cron skips that server.
    Cron,
    /// Held while WAL is copied; another `sync-wals` waits.
    SyncWal,
    /// Held while a backup is copied.
    SyncBackup(BackupId),
    /// Held while a backup is changed: deleted, checked, judged by a retention policy.
    BackupId(BackupId),
    /// Held while any backup of the server is taken or deleted.
    Backup,
    /// Held while xlog.db is read or written; all others wait.
    XlogDb,
}

impl LockKind {
    /// The lock's file in the directory of its kind: Barman's `barman_lock_directory`, or our own one of the catalog.
    pub fn path(self, directory: &Path, server: &ServerName) -> PathBuf {
        directory.join(match self {
            Self::Run => format!("{server}.lock"),
            Self::Damage => DAMAGE_LOCK.to_owned(),
            Self::Cron => format!(".{server}-cron.lock"),
            Self::SyncWal => format!(".{server}-sync-wal.lock"),
            Self::SyncBackup(id) => format!(".{server}-{id}-sync-backup.lock"),
            Self::BackupId(id) => format!(".{server}-{id}.lock"),
            Self::Backup => format!(".{server}-backup.lock"),
            Self::XlogDb => format!(".{server}-xlogdb.lock"),
        })
    }
}

/// A link in the place of a lock would have its target written to.
const NO_LINK: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

/// The process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id, as it wrote it into the lock file.
    pub pid: u32,
    /// Its command line, while it runs on this host.
    pub command: Option<String>,
}

/// A lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("{} is held by {}; wait for it to end, or give more time with --lock-timeout", path.display(), describe(holder.as_ref()))]
    Busy {
        /// The lock's file.
        path: PathBuf,
        /// Who holds it, if the file says so.
        holder: Option<Holder>,
    },
    /// The file cannot be opened or written.
    #[error("{} cannot be locked", path.display())]
    Io {
        /// The lock's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl From<LockError> for Error {
    fn from(error: LockError) -> Self {
        match &error {
            LockError::Busy { .. } => Self::new(Kind::Busy, error.to_string()),
            LockError::Io { source, .. } => {
                let told = Self::new(Kind::from(source), format!("{error}: {source}"));
                match told.kind {
                    Kind::PermissionDenied => told.hint("run as the user that Barman runs as"),
                    _ => told.or_make_room(),
                }
            }
        }
        .because(error)
    }
}

fn describe(holder: Option<&Holder>) -> String {
    holder.map_or_else(|| "another process".to_owned(), ToString::to_string)
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.command {
            Some(command) => write!(f, "process {} ({command})", self.pid),
            None => write!(f, "process {}", self.pid),
        }
    }
}

impl Lock {
    /// Takes a lock, or fails at once when it is held.
    pub fn try_acquire(path: &Path) -> Result<Self, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(NO_LINK);
            let file = unless_stale(|| options.open(path)).map_err(io)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(LockError::Busy { path: path.to_owned(), holder: holder(path) });
                }
                Err(TryLockError::Error(error)) => return Err(io(error)),
            }
            if is_at(&file, path).map_err(io)? {
                let mut lock = Self { file, path: path.to_owned() };
                match lock.write_pid() {
                    // Whoever makes room needs the lock, and the kernel keeps it whatever the file says.
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
                    written => written.map_err(io)?,
                }
                return Ok(lock);
            }
            // The file was unlinked between opening and locking: this lock keeps nobody out.
        }
    }

    /// Takes a lock, and tries for `patience` while it is held. Dropping the future gives up.
    pub async fn acquire(path: &Path, patience: Duration) -> Result<Self, LockError> {
        patiently(patience, || Self::try_acquire(path)).await
    }

    /// Whether somebody holds a lock. It is not taken: for an instant it is shared, which only somebody notices who asks
    /// for it in that instant.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        let file = match unless_stale(|| OpenOptions::new().read(true).custom_flags(NO_LINK).open(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        match file.try_lock_shared() {
            Ok(()) => file.unlock().map(|()| false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The lock's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write_pid(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(self.file, "{}", std::process::id())
    }
}

/// Takes a lock, and tries for `patience` while it is held. Dropping the future gives up.
pub async fn acquire(store: &dyn Store, kind: LockKind, patience: Duration) -> Result<Lock, LockError> {
    patiently(patience, || store.try_lock(kind)).await
}

async fn patiently(patience: Duration, take: impl Fn() -> Result<Lock, LockError>) -> Result<Lock, LockError> {
    let deadline = Instant::now() + patience;
    loop {
        match take() {
            Err(LockError::Busy { .. }) if Instant::now() < deadline => {
                sleep(POLL.min(deadline - Instant::now())).await;
            }
            other => return other,
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing releases it too, but a child that inherited the descriptor would keep it.
        let _ = self.file.unlock();
    }
}

/// Whether this file is still the one at the path.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(there) => Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn holder(path: &Path) -> Option<Holder> {
    Holder::by(&std::fs::read(path).ok()?)
}

impl Holder {
    /// Who holds a lock, by what is in its file and in `/proc`.
    pub fn by(content: &[u8]) -> Option<Self> {
        let pid = std::str::from_utf8(content).ok()?.trim().parse().ok()?;
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok().map(|bytes| {
            let words = without_secrets(&String::from_utf8_lossy(&bytes).replace('\0', " "));
            words.trim().chars().map(|c| if is_unprintable(c) { ' ' } else { c }).take(200).collect()
        });
        Some(Self { pid, command: command.filter(|command: &String| !command.is_empty()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};

    fn at(directory: &tempfile::TempDir) -> PathBuf {
        LockKind::Cron.path(directory.path(), &"main".parse().unwrap())
    }

    #[test]
    fn the_files_have_barmans_names() {
        let server = "main".parse().unwrap();
        let id = "20261122T125916".parse().unwrap();
        for (kind, name) in [
            (LockKind::Cron, ".main-cron.lock"),
            (LockKind::SyncWal, ".main-sync-wal.lock"),
            (LockKind::SyncBackup(id), ".main-20261122T125916-sync-backup.lock"),
            (LockKind::BackupId(id), ".main-20261122T125916.lock"),
            (LockKind::Backup, ".main-backup.lock"),
            (LockKind::XlogDb, ".main-xlogdb.lock"),
        ] {
            assert_eq!(kind.path(Path::new("/srv"), &server), Path::new("/srv").join(name));
        }
    }

    #[test]
    fn a_held_lock_names_its_holder_and_a_dropped_one_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let path = at(&directory);
        let lock = Lock::try_acquire(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let Err(LockError::Busy { holder: Some(holder), .. }) = Lock::try_acquire(&path) else { panic!("not busy") };
        assert_eq!(holder.pid, std::process::id());
        assert!(holder.command.is_some());
        drop(lock);
        assert!(path.exists(), "Barman leaves its lock files too");
        Lock::try_acquire(&path).unwrap();
    }

    #[test]
    fn a_lock_that_was_unlinked_keeps_nobody_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = at(&directory);
        let orphan = Lock::try_acquire(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(!is_at(&orphan.file, &path).unwrap());
        let lock = Lock::try_acquire(&path).unwrap();
        assert!(is_at(&lock.file, &path).unwrap() && !is_at(&orphan.file, &path).unwrap());
    }

    #[test]
    fn what_to_do_about_a_lock_that_cannot_be_taken_depends_on_why() {
        for (kind, advice) in [
            (io::ErrorKind::PermissionDenied, Some("run as the user that Barman runs as")),
            (io::ErrorKind::StorageFull, Some("free space")),
            (io::ErrorKind::ReadOnlyFilesystem, Some("mounted read-only")),
            (io::ErrorKind::NotFound, None),
        ] {
            let error = Error::from(LockError::Io { path: "/b/.main-cron.lock".into(), source: kind.into() });
            assert!(error.message.starts_with("/b/.main-cron.lock cannot be locked: "), "{error:?}");
            let hint = error.hint.unwrap_or_default();
            assert!(advice.map_or(hint.is_empty(), |advice| hint.contains(advice)), "{hint}");
        }
    }

    #[test]
    fn a_link_in_the_place_of_a_lock_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, target) = (at(&directory), directory.path().join("target"));
        std::fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(matches!(Lock::try_acquire(&path), Err(LockError::Io { .. })));
        assert_eq!(std::fs::read(&target).unwrap(), b"precious");
    }

    #[test]
    fn a_directory_that_is_missing_is_no_busy_lock() {
        let error = Lock::try_acquire(Path::new("/nonexistent/.main-cron.lock")).unwrap_err();
        assert!(matches!(error, LockError::Io { .. }));
    }

    #[tokio::test]
    async fn a_busy_lock_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = at(&directory);
        let lock = Lock::try_acquire(&path).unwrap();
        let busy = Lock::acquire(&path, Duration::from_millis(20)).await;
        assert!(matches!(busy, Err(LockError::Busy { .. })));
        let waiting = tokio::spawn(async move { Lock::acquire(&path, Duration::from_secs(30)).await.is_ok() });
        sleep(Duration::from_millis(20)).await;
        drop(lock);
        assert!(waiting.await.unwrap());
    }

    /// Barman locks with Python's `fcntl.flock`.
    #[test]
    fn locks_are_seen_by_python_and_pythons_are_seen_here() {
        let directory = tempfile::tempdir().unwrap();
        let path = at(&directory);
        let script = "import fcntl, os, sys\n\
            fd = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR, 0o600)\n\
            try:\n    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n\
            except BlockingIOError:\n    print('busy'); sys.exit()\n\
            os.write(fd, b'%d\\n' % os.getpid())\n\
            print('held', flush=True)\n\
            sys.stdin.read()\n";
        let python = || {
            let mut command = Command::new("python3");
            command.args(["-c", script]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped());
            command.spawn().expect("python3 is among what the tests need")
        };
        let answer = |child: &mut std::process::Child| {
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            line.trim().to_owned()
        };
        let mut child = python();
        assert_eq!(answer(&mut child), "held");
        let Err(LockError::Busy { holder, .. }) = Lock::try_acquire(&path) else { panic!("not busy") };
        let holder = holder.unwrap();
        assert_eq!(holder.pid, child.id());
        assert!(holder.command.unwrap().contains("python3"));
        drop(child.stdin.take());
        child.wait().unwrap();

        let _lock = Lock::try_acquire(&path).unwrap();
        let mut child = python();
        assert_eq!(answer(&mut child), "busy");
        child.wait().unwrap();
    }
}
