//! Two ends on disk, and the program's own way from a site file to an apply, in this process.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use antipode::apply::Limits;
use antipode::events::{Event, Listener, Summary};
use antipode::plan::Plan;
use antipode::plan::status::{SiteStatus, status};
use antipode::site::Site;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::stages::{self, With};

/// Longer than anything here takes: whoever needs more is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory in memory, where there is one, and else a temporary one.
pub fn directory() -> TempDir {
    let shared = Path::new("/dev/shm");
    let builder = |parent: &Path| tempfile::Builder::new().prefix("antipode-").tempdir_in(parent);
    builder(shared).or_else(|_| builder(&std::env::temp_dir())).unwrap()
}

/// A site, and how it is looked at and changed.
#[derive(Debug)]
pub struct Ground {
    pub catalog: PathBuf,
    site: Site,
}

/// What was planned, and how the replica stands.
#[derive(Debug)]
pub struct Look {
    pub plan: Plan,
    pub status: SiteStatus,
}

/// An apply that ended.
#[derive(Debug)]
pub struct Applied {
    pub plan: Plan,
    pub summary: Summary,
}

impl Applied {
    /// Whether `antipode apply` would exit 0.
    pub fn is_success(&self) -> bool {
        self.summary.failed.is_empty() && self.summary.skipped.is_empty() && !self.plan.is_blocked()
    }
}

impl Ground {
    /// The site that a site file describes.
    pub fn new(catalog: &Path, text: &str) -> Self {
        Self { catalog: catalog.to_owned(), site: stages::declare(text) }
    }

    /// Plans.
    pub fn look(&self, now: Timestamp) -> Look {
        run(async {
            let (plan, observation) = stages::look(&self.site, now).await;
            let status = status(&plan, &stages::replicas(&self.site), &observation, now);
            Look { plan, status }
        })
    }

    /// Plans and applies; an interruption comes after so many events.
    pub fn apply(&self, now: Timestamp, interrupted_after: Option<usize>) -> Applied {
        run(async {
            let cancel = CancellationToken::new();
            let with = With {
                stores: &stages::on_disk,
                limits: Limits::default(),
                lock_timeout: stages::LOCK_TIMEOUT,
                listener: &Interrupter { left: Mutex::new(interrupted_after), cancel: cancel.clone() },
                cancel: &cancel,
                companion: None,
            };
            let (plan, summary) = stages::plan_and_apply(&self.site, now, with, |_, _| ()).await;
            Applied { plan, summary }
        })
    }
}

/// Runs to the end, which must come.
fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await });
    // A thread that is stuck must not keep the test from saying so.
    runtime.shutdown_background();
    ended.unwrap_or_else(|_| panic!("nothing came of it within {} s", PATIENCE.as_secs()))
}

/// Interrupts an apply.
struct Interrupter {
    /// Events until then.
    left: Mutex<Option<usize>>,
    cancel: CancellationToken,
}

impl Listener for Interrupter {
    fn notice(&self, _event: &Event) {
        if let Some(left) = &mut *self.left.lock().unwrap() {
            if *left == 0 {
                self.cancel.cancel();
            }
            *left = left.saturating_sub(1);
        }
    }
}

/// Everything below a directory, as far as a change would show.
pub fn imprint(directory: &Path) -> BTreeMap<PathBuf, String> {
    let entries = walkdir::WalkDir::new(directory).into_iter().map(Result::unwrap);
    let described = entries.map(|entry| {
        let (path, metadata) = (entry.path(), entry.metadata().unwrap());
        let content = match fs::read_link(path) {
            Ok(target) => target.display().to_string(),
            // A file of this size is read whenever it is looked at; a larger one is known by its times.
            Err(_) if metadata.is_file() && metadata.len() < 1 << 16 => {
                crc32c::crc32c(&fs::read(path).unwrap()).to_string()
            }
            Err(_) => String::new(),
        };
        let (changed, nanoseconds) = (metadata.ctime(), metadata.ctime_nsec());
        let form = format!("{:o} {} {changed}.{nanoseconds} {content}", metadata.mode(), metadata.len());
        (path.to_owned(), form)
    });
    described.collect()
}
