//! What Antipode can ask of a primary, and nothing else.
//!
//! Every effect on a primary goes through the two traits below: [`BarmanCommands`] runs
//! `barman sync-info` and `barman list-servers --minimal`, [`Files`] lists and copies files
//! (`rsync --server --sender`). Nothing here writes to a primary.

//!
//! [`open`] chooses the implementation: `ssh` (one multiplexed connection per primary, and the system's rsync over it)
//! or `local` (a catalog on a file system of this machine). `fake` is for tests: scripted answers and faults.
//! [`bandwidth`] is what all copies from one primary keep together.

mod activity;
pub mod bandwidth;
mod counter;
#[cfg(test)]
pub mod fake;
pub mod gated;
mod local;
pub mod parts;
pub mod paths;
pub mod patience;
mod patient;
mod private_dir;
mod process;
mod rsync;
mod ssh;
pub mod taps;
mod text;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::barman::ids::ServerName;
use crate::barman::wal::WalName;
use crate::error::{Error, Kind};
use crate::site::model::{Access, Primary};
pub use counter::ByteCounter;
use patience::{Line, Patience};
pub use patient::Teller;
pub use private_dir::PrivateDir;

/// An open way to one primary, shared by all its replicas.
#[derive(Clone)]
pub struct Connection {
    /// Runs Barman there; `None` for a catalog on a file system of this machine, which is read directly.
    pub commands: Option<Arc<dyn BarmanCommands>>,
    /// Lists and copies files.
    pub files: Arc<dyn Files>,
    /// What is known of its line, for all who wait for it.
    pub line: Arc<Line>,
}

/// Opens the way to a primary.
///
/// `runtime_dir` is where the private directory of the ssh socket is made (`XDG_RUNTIME_DIR`, or `/tmp`). When `cancel`
/// fires, everything that runs through the connection ends with an error of the kind `Interrupted`. The caller ends the
/// connection with [`Connection::close`]; one that is dropped is ended too, but blocks its thread for a moment.
pub async fn open(primary: &Primary, runtime_dir: &Path, cancel: &CancellationToken) -> Result<Connection, Error> {
    match &primary.access {
        Access::Ssh { words } => {
            let masters = ssh::Masters::open(primary, words, runtime_dir, cancel).await?;
            let line = Arc::default();
            Ok(Connection {
                commands: Some(Arc::new(ssh::SshBarman::new(primary, Arc::clone(&masters)))),
                files: Arc::new(rsync::RsyncFiles::new(primary, masters, Arc::clone(&line))),
                line,
            })
        }
        Access::Path(home) => {
            let files = Arc::new(local::LocalFiles::open(primary, home, cancel)?);
            Ok(Connection { commands: None, files, line: Arc::default() })
        }
    }
}

/// What is to be known of this machine's rsync before a primary is copied that it reaches over ssh, as such a copy is no safer
/// than the rsync that receives it: faults that are known, and that nothing here shows to be mended. It stops nothing.
pub async fn doubt_of_rsync(primaries: impl IntoIterator<Item = &Primary>) -> Option<Error> {
    let is_over_ssh = |primary: &Primary| matches!(primary.access, Access::Ssh { .. });
    if primaries.into_iter().any(is_over_ssh) { rsync::trust::doubt().await } else { None }
}

impl Connection {
    /// The same connection for questions: an answer that is lost on its way is asked for again, as long as
    /// [`Patience::asking`] says. `told` hears of each wait, and `cancel` ends one.
    #[must_use]
    pub fn patient(&self, primary: &Primary, cancel: &CancellationToken, told: Teller) -> Self {
        let manner = Arc::new(patient::Manner {
            primary: primary.name.clone(),
            patience: Patience::asking(primary.timeouts.idle),
            line: Arc::clone(&self.line),
            cancel: cancel.clone(),
            told,
        });
        let commands = self.commands.clone().map(|inner| -> Arc<dyn BarmanCommands> {
            Arc::new(patient::Patient { inner, manner: Arc::clone(&manner) })
        });
        let files = Arc::new(patient::Patient { inner: Arc::clone(&self.files), manner });
        Self { commands, files, line: Arc::clone(&self.line) }
    }

    /// Ends the connection; what still runs through it is cut off.
    pub async fn close(&self) {
        self.files.close().await;
    }
}

/// Runs Barman's own commands at a primary.
#[async_trait]
pub trait BarmanCommands: Send + Sync {
    /// The standard output of `barman sync-info SERVER`, as it came: banners and noise included.
    ///
    /// With a name and where its line begins in xlog.db, only WAL behind that line is listed; Barman fails where there is no
    /// such line. A non-zero exit is an error that carries the end of stderr; an exit of 0 proves nothing about the form.
    async fn sync_info(&self, server: &ServerName, after: Option<(WalName, u64)>) -> Result<Vec<u8>, Error>;

    /// The standard output of `barman list-servers --minimal`, as it came.
    async fn list_servers(&self) -> Result<Vec<u8>, Error>;
}

/// Lists and copies files of a primary.
#[async_trait]
pub trait Files: Send + Sync {
    /// Lists all regular files below a directory of the primary, an absolute path, in the order of their paths.
    async fn list(&self, directory: &Path) -> Result<Vec<RemoteFile>, Error>;

    /// Lists as [`Files::list`] a directory that has many directories: two may walk it at the same time.
    async fn list_wide(&self, directory: &Path) -> Result<Vec<RemoteFile>, Error> {
        self.list(directory).await
    }

    /// Looks at files and directories by their names, all at once, in the order of their paths. What is not there is left
    /// out, as are links and special files.
    async fn look(&self, request: &Look) -> Result<Vec<RemoteEntry>, Error>;

    /// Copies files into a directory that exists. Each appears under its name only when it is whole.
    ///
    /// What is there already and passes [`Fetch::compare`] is not copied again, and a file that was cut off goes on
    /// where it stopped. `counter` grows as bytes arrive, and by the part of a file that was here
    /// already when that file is resumed. When `cancel` fires the transfer ends, its partial files stay, and the
    /// error's kind is `Cancelled`. Several copies into one directory may run at the same time.
    ///
    /// Unfinished work lies beside the files in directories whose names start with [`paths::SCRATCH_PREFIX`]; before the
    /// directory is published, [`paths::remove_scratch`] removes what a crash left of it.
    async fn fetch(&self, request: &Fetch, counter: &ByteCounter, cancel: &CancellationToken)
    -> Result<Fetched, Error>;

    /// Ends the connection that the files come through, and with it that of [`BarmanCommands`].
    async fn close(&self) {}
}

/// A regular file at a primary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemoteFile {
    /// Relative to the directory that was listed.
    pub path: PathBuf,
    /// In bytes.
    pub size: u64,
    /// When it was last modified, in whole seconds since 1970; 0 for a time that no calendar has.
    pub mtime: i64,
}

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Look {
    /// The directory at the primary that all is below, absolute.
    pub from: PathBuf,
    /// Files and directories, by their paths below it: what there is under each name.
    pub names: Vec<PathBuf>,
    /// Directories, by their paths below it: each, and what is directly in it. Such a one may be a link to one.
    pub directories: Vec<PathBuf>,
}

/// A regular file or a directory at a primary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemoteEntry {
    /// Relative to the directory that the look is from.
    pub path: PathBuf,
    /// In bytes; 0 for a directory.
    pub size: u64,
    /// When it was last modified, in whole seconds since 1970; 0 for a time that no calendar has.
    pub mtime: i64,
    /// Whether it is a directory. Its time is that of the last file that came, went or was renamed in it.
    pub is_directory: bool,
}

/// The most files that a listing may have: more than any backup or archive, and little enough to be held in memory.
const MAX_LISTED: usize = 10_000_000;

/// Whether a listing that has so many may have another one.
fn check_room(primary: &str, listed: usize) -> Result<(), Error> {
    if listed < MAX_LISTED {
        return Ok(());
    }
    let message = format!("primary {primary}: a listing of more than {MAX_LISTED} files is refused");
    Err(Error::new(Kind::Untrusted, message))
}

/// A copy from a directory at the primary into one at the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// The directory at the primary: absolute, or `.` and what is below where a login there begins.
    pub from: PathBuf,
    /// The directory here, absolute; it exists.
    pub into: PathBuf,
    /// What of it.
    pub what: What,
    /// A directory here that holds older versions under the same relative names: what did not change within a file
    /// is read from it instead of from the primary. Never modified, never linked to.
    pub basis: Option<PathBuf>,
    /// How what is here already is compared with what the primary has.
    pub compare: Compare,
    /// Bytes per second that this copy may use by itself; `None` is unlimited.
    pub bandwidth: Option<u64>,
    /// Where the right to each byte is drawn, of limits that it keeps together with others ([`bandwidth`]).
    pub taps: Vec<PathBuf>,
    /// Whether bytes are compressed on their way, where there is one.
    pub compress: bool,
    /// How much may come, whatever the primary sends.
    pub limit: Limit,
}

/// How much a copy may bring. It is kept while bytes come: what a primary said of a size need not be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Bytes of its largest file.
    pub largest: u64,
    /// Bytes of all its files.
    pub all: u64,
    /// Whether a file that is larger there is left out like one that is missing. Otherwise it is an error.
    pub skips: bool,
}

impl Limit {
    /// So many bytes may always come: small files come with what is said of them.
    const SOME: u64 = 1 << 20;

    /// What files of these sizes need. rsync brings a file twice whose first copy does not verify, as what an earlier run left
    /// of it was of another version.
    pub fn of(sizes: impl IntoIterator<Item = u64>) -> Self {
        let none = Self { largest: Self::SOME, all: Self::SOME, skips: false };
        sizes.into_iter().fold(none, |limit, size| Self {
            largest: limit.largest.max(size),
            all: limit.all.saturating_add(size.saturating_mul(2)),
            ..limit
        })
    }

    /// What so many files need that are read here, of which none is larger than this.
    pub fn of_files(count: usize, largest: u64) -> Self {
        let all = largest.saturating_mul(count as u64).max(Self::SOME);
        Self { largest: largest.max(Self::SOME), all, skips: true }
    }

    /// The error of a copy that brought more.
    fn exceeded(self, primary: &str, from: &Path) -> Error {
        let from = from.display().to_string();
        let message = format!(
            "primary {primary}: more came of {} than there was: files of up to {} bytes, {} in all",
            from.escape_debug(),
            self.largest,
            self.all
        );
        Error::new(Kind::Untrusted, message).hint("see what the primary has there; what came is not used")
    }
}

/// How a file that is here already is compared with the primary's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compare {
    /// By its size and time of modification: for what is known to have reached the disk.
    #[default]
    Times,
    /// By its content, which is read at both ends: for what a lost write may have left behind these two. What differs
    /// is mended from what is here.
    Content,
}

/// What of a directory to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// These files, by their paths relative to the directory. They land flat or nested as `flatten` says.
    Files {
        /// Relative paths.
        paths: Vec<PathBuf>,
        /// Whether each lands directly in `into`, under its last component.
        flatten: bool,
    },
    /// The directories of a tree with their modes and times and the symbolic links in them, and no files: but for empty
    /// ones, perhaps.
    ///
    /// A symbolic link that points out of `into` is not kept there, whoever made it: links such as those of `pg_tblspc`
    /// are made after the copy, or the tree is copied from where they point inside.
    Directories {
        /// What is left out with all below it, by its path below the directory, such as `annotations`; without wildcards.
        exclude: Vec<PathBuf>,
    },
    /// A part of a file. It lands directly in `into`, under the last component of the file's path, in a file that is as
    /// long as the whole up to the end of the part: behind what there is of it already, or behind a hole.
    Part(Part),
}

/// A part of a file that comes by itself; [`parts`] has its place here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The file, relative to the directory.
    pub path: PathBuf,
    /// Which of its bytes; never none.
    pub bytes: Range<u64>,
    /// The size of the file. With its last byte come its mode and time.
    pub size: u64,
}

/// What a copy did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetched {
    /// Bytes that crossed the wire.
    pub transferred: u64,
    /// What the primary does not have (any more): of files asked for by name, and of a tree what vanished while it was
    /// copied. Sorted.
    pub missing: Vec<PathBuf>,
    /// Symbolic links of a tree that were left out because they point out of it. Sorted.
    pub refused: Vec<PathBuf>,
}

/// Runs something that blocks on disk or CPU without holding up the transfers.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|stopped| Err(stopped.into()))
}
