//! Two ends on disk, and the program's own way from a site file to an apply, in this process.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use antipode::apply::{Limits, Means, RunLocks, Shared, apply};
use antipode::events::{Event, Listener, Summary};
use antipode::observe::inventory::Observation;
use antipode::observe::{Connections, Purpose, observe};
use antipode::plan::backup;
use antipode::plan::status::{SiteStatus, status};
use antipode::plan::{Plan, plan};
use antipode::site::Site;
use antipode::site::model::Replica;
use antipode::store::Posix;
use antipode::transport;
use antipode::transport::patience::Patience;
use futures::future::{join_all, try_join_all};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes: whoever needs more is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nothing that fails here passes by itself.
const IMPATIENT: Patience = Patience {
    first_pause: Duration::from_millis(10),
    longest_pause: Duration::from_millis(20),
    without_progress: Duration::from_millis(200),
};

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
        let site = antipode::site::load("site.yaml", text, None).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        Self { catalog: catalog.to_owned(), site: site.site }
    }

    /// Plans.
    pub fn look(&self, now: Timestamp) -> Look {
        run(async {
            let connections = self.call().await;
            let (plan, observation) = self.plan_over(&connections, now).await;
            let status = status(&plan, &self.replicas(), &observation, now);
            Look { plan, status }
        })
    }

    /// Plans and applies; an interruption comes after so many events.
    pub fn apply(&self, now: Timestamp, interrupted_after: Option<usize>) -> Applied {
        run(async {
            let locks = RunLocks::of(&self.catalog).unwrap();
            let run_locks = self.site.replicas.keys().map(|name| locks.acquire(name, Duration::from_secs(5)));
            let run_locks = try_join_all(run_locks).await.unwrap();
            let connections = self.call().await;
            let (plan, _) = self.plan_over(&connections, now).await;
            let connections: BTreeMap<_, _> =
                connections.into_iter().map(|(name, connection)| (name, connection.unwrap())).collect();
            let shared = Shared::new(Limits::default());
            let replicas = self.replicas();
            let declared = plan.replicas.iter().zip(&replicas);
            let shares = shared
                .admit(declared.clone().map(|(plan, replica)| (plan, replica, &self.site.primaries[&replica.primary])));
            let (cancel, stores) = (CancellationToken::new(), Posix::opener(self.catalog.clone()));
            let listener = Interrupter { left: Mutex::new(interrupted_after), cancel: cancel.clone() };
            let applies = declared.zip(shares).zip(run_locks).map(|(((plan, replica), share), run_lock)| {
                let means = Means {
                    replica,
                    connection: Ok(&connections[&replica.primary]),
                    stores: &stores,
                    lock_timeout: Duration::from_secs(5),
                    patience: IMPATIENT,
                    run_lock,
                    share,
                };
                apply(plan, means, &listener, &cancel)
            });
            let summary = join_all(applies).await.into_iter().fold(Summary::default(), Summary::and);
            Applied { plan, summary }
        })
    }

    async fn call(&self) -> Connections {
        let mut connections = Connections::new();
        for (name, primary) in &self.site.primaries {
            let call = transport::open(primary, Path::new("/tmp"), &CancellationToken::new()).await;
            connections.insert(name.clone(), call);
        }
        connections
    }

    async fn plan_over(&self, connections: &Connections, now: Timestamp) -> (Plan, Observation) {
        let (replicas, purpose) = (self.replicas(), Purpose::Plan { refresh: false });
        let never = CancellationToken::new();
        let observation =
            observe(&self.site, &replicas, connections, &backup::to_copy(now), purpose, &never).await.unwrap();
        (plan(&self.site, &replicas, &observation, now), observation)
    }

    fn replicas(&self) -> Vec<Replica> {
        self.site.replicas.values().cloned().collect()
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
