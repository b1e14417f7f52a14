//! A primary, and a site that is planned and applied in this process.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use antipode::apply::{Companion, Limits, RunLock};
use antipode::barman::layout::ServerDirs;
use antipode::demo::catalog::PrimaryCatalog;
use antipode::events::{Event, Listener, Summary};
use antipode::plan::Plan;
use antipode::site::Site;
use antipode::store::{Posix, home};
use antipode::verify::checksum::{Algorithm, Checksum};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::faulty::{Faulty, Gate};
use super::readable::assert_readable;
use super::stages::{self, Connections, With};

/// A primary with both days of the demo's catalog, and room for sites.
pub struct Ground {
    directory: TempDir,
    /// What a site holds that had everything of the first day.
    day_old: PathBuf,
}

impl Ground {
    pub async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let day_old = directory.path().join("day-old");
        let ground = Self { directory, day_old };
        let mut primary = PrimaryCatalog::create(&ground.primary(), "main").unwrap();
        primary.first_day().unwrap();
        let site = ground.site_at(&ground.day_old);
        let (_, summary) = site.apply(None).await;
        assert_eq!(summary.failed, []);
        primary.second_day().unwrap();
        ground
    }

    /// The same with the first day only, and whoever archives more there. No site has had anything.
    pub fn of_one_day() -> (Self, PrimaryCatalog) {
        let directory = tempfile::tempdir().unwrap();
        let day_old = directory.path().join("day-old");
        let ground = Self { directory, day_old };
        let mut primary = PrimaryCatalog::create(&ground.primary(), "main").unwrap();
        primary.first_day().unwrap();
        (ground, primary)
    }

    /// Where everything is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn primary(&self) -> PathBuf {
        self.directory.path().join("primary")
    }

    /// A site that has nothing.
    pub fn empty_site(&self, name: &str) -> TestSite {
        self.site_at(&self.directory.path().join(name))
    }

    /// A site that has what the primary had a day ago.
    pub fn day_old_site(&self, name: &str) -> TestSite {
        let site = self.empty_site(name);
        // With its hard links and times.
        let copied = Command::new("cp").arg("-a").arg(&self.day_old).arg(&site.catalog).status().unwrap();
        assert!(copied.success());
        site
    }

    /// The primary's directories.
    pub fn primary_dirs(&self) -> ServerDirs {
        ServerDirs::of_catalog(&self.primary(), "main".parse().unwrap())
    }

    fn site_at(&self, catalog: &Path) -> TestSite {
        self.site_that_wants(catalog, "")
    }

    /// The same site with more keys under its replica, such as `, backups: [{last: 1}]`.
    pub fn wanting(&self, site: &TestSite, keys: &str) -> TestSite {
        self.site_that_wants(&site.catalog, keys)
    }

    fn site_that_wants(&self, catalog: &Path, keys: &str) -> TestSite {
        self.site_of(catalog, &format!("main: {{primary: frankfurt{keys}}}"))
    }

    /// A site with these replicas, a line of the site file each.
    pub fn site_of(&self, catalog: &Path, replicas: &str) -> TestSite {
        let text = format!(
            "version: 1\nsite: lisbon\ncatalog: {{path: {}, barman: \"3.19.1\", deep_every: always, reserve: none}}\nprimaries:\n  \
             frankfurt: {{path: {}}}\nreplicas:\n  {replicas}\n",
            catalog.display(),
            self.primary().display()
        );
        let file = catalog.with_extension("yaml");
        fs::write(&file, &text).unwrap();
        let site = stages::declare(&text);
        TestSite { catalog: catalog.to_owned(), file, lock_timeout: stages::LOCK_TIMEOUT, site }
    }
}

/// Takes the lock of a run at a server of a catalog.
pub async fn run_lock(catalog: &Path, server: &str, patience: Duration) -> RunLock {
    home::prepare(catalog).unwrap();
    let dirs = ServerDirs::of_catalog(catalog, server.parse().unwrap());
    RunLock::take(stages::on_disk(&dirs), &dirs.server, patience).await.unwrap()
}

/// A site of the one primary.
pub struct TestSite {
    pub catalog: PathBuf,
    /// Its site file.
    pub file: PathBuf,
    /// How long a busy lock is waited for.
    pub lock_timeout: Duration,
    /// What is declared of it.
    pub site: Site,
}

impl TestSite {
    pub fn dirs(&self) -> ServerDirs {
        ServerDirs::of_catalog(&self.catalog, "main".parse().unwrap())
    }

    pub fn store(&self) -> Posix {
        Posix::new(self.dirs())
    }

    /// Takes the lock of another run.
    pub async fn run_lock(&self, server: &str, patience: Duration) -> RunLock {
        run_lock(&self.catalog, server, patience).await
    }

    pub async fn plan(&self) -> Plan {
        let (plan, _) = stages::look(&self.site, Timestamp::now()).await;
        unblocked(&plan);
        plan
    }

    /// Plans and applies; the wrapper gets all that the apply asks of the primary. The catalog is looked at whenever
    /// anything happens.
    pub async fn apply(&self, faulty: Option<&Arc<Faulty>>) -> (Plan, Summary) {
        self.apply_before(&Watch(self.dirs()), faulty, Limits::default()).await
    }

    /// Plans and applies, copying no more than this.
    pub async fn apply_some(&self, max_bytes: u64) -> (Plan, Summary) {
        let limits = Limits { max_bytes: Some(max_bytes), ..Limits::default() };
        self.apply_before(&Watch(self.dirs()), None, limits).await
    }

    /// The same for a catalog that is damaged to begin with.
    pub async fn apply_blindly(&self, max_bytes: u64) -> (Plan, Summary) {
        let limits = Limits { max_bytes: Some(max_bytes), ..Limits::default() };
        self.apply_before(&Blind, None, limits).await
    }

    /// Plans and applies while somebody watches.
    pub async fn apply_watched(&self, listener: &dyn Listener) -> (Plan, Summary) {
        self.apply_before(listener, None, Limits::default()).await
    }

    /// Plans and applies while nobody watches, over a way to the primary that is faulty.
    pub async fn apply_over(&self, faulty: &Arc<Faulty>) -> (Plan, Summary) {
        self.apply_before(&Blind, Some(faulty), Limits::default()).await
    }

    async fn apply_before(
        &self,
        listener: &dyn Listener,
        faulty: Option<&Arc<Faulty>>,
        limits: Limits,
    ) -> (Plan, Summary) {
        let cancel = CancellationToken::new();
        let with = With {
            stores: &stages::on_disk,
            limits,
            lock_timeout: self.lock_timeout,
            listener,
            cancel: &cancel,
            companion: None,
        };
        let between = |plan: &Plan, connections: &mut Connections| {
            unblocked(plan);
            if let Some(faulty) = faulty {
                for connection in connections.values_mut().map(|connection| connection.as_mut().unwrap()) {
                    connection.files = faulty.around(Arc::clone(&connection.files));
                }
            }
        };
        stages::plan_and_apply(&self.site, Timestamp::now(), with, between).await
    }

    /// Plans and applies over a way to the primary that keeps bases waiting, while somebody goes along.
    pub async fn apply_beside(&self, gate: &Arc<Gate>, companion: &dyn Companion) -> (Plan, Summary) {
        let cancel = CancellationToken::new();
        let with = With {
            stores: &stages::on_disk,
            limits: Limits::default(),
            lock_timeout: self.lock_timeout,
            listener: &Watch(self.dirs()),
            cancel: &cancel,
            companion: Some(companion),
        };
        let between = |plan: &Plan, connections: &mut Connections| {
            unblocked(plan);
            for connection in connections.values_mut().map(|connection| connection.as_mut().unwrap()) {
                connection.files = gate.around(Arc::clone(&connection.files));
            }
        };
        stages::plan_and_apply(&self.site, Timestamp::now(), with, between).await
    }

    /// The next apply does the rest, and then there is nothing left to do; the bytes that it transferred.
    pub async fn converge(&self) -> u64 {
        self.settle(self.apply(None).await).await
    }

    /// The same for a catalog that is damaged to begin with.
    pub async fn repair(&self) -> u64 {
        self.settle(self.apply_before(&Blind, None, Limits::default()).await).await
    }

    async fn settle(&self, (plan, summary): (Plan, Summary)) -> u64 {
        assert_eq!((&summary.failed, &summary.skipped), (&vec![], &vec![]), "{plan:?}");
        let plan = self.plan().await;
        assert!(plan.is_empty(), "{:?}", plan.replicas[0].actions);
        assert_readable(&self.dirs());
        summary.transferred
    }

    /// The bytes of its files, those that backups share counted for each.
    pub fn bytes(&self) -> u64 {
        self.content().keys().map(|path| fs::symlink_metadata(self.catalog.join(path)).unwrap().len()).sum()
    }

    /// Asserts that it holds what the other holds.
    pub fn assert_same(&self, other: &Self, when: &str) {
        let (ours, theirs) = (self.content(), other.content());
        let differs = |(path, _): &(&PathBuf, &String)| ours.get(*path) != theirs.get(*path);
        let differing: BTreeSet<&PathBuf> = ours.iter().chain(&theirs).filter(differs).map(|(path, _)| path).collect();
        assert!(differing.is_empty(), "{when}: {differing:?}");
    }

    /// Every file of the catalog with the checksum of its bytes; locks and our own directories aside.
    pub fn content(&self) -> BTreeMap<PathBuf, String> {
        let walk = walkdir::WalkDir::new(&self.catalog).into_iter().filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            name != ".antipode" && !name.ends_with(".lock")
        });
        let describe = |path: &Path| match fs::read_link(path) {
            Ok(target) => format!("-> {}", target.strip_prefix(&self.catalog).unwrap_or(&target).display()),
            Err(_) => Checksum::of(Algorithm::Crc32c, fs::File::open(path).unwrap()).unwrap().to_string(),
        };
        walk.map(Result::unwrap)
            .filter(|entry| !entry.file_type().is_dir())
            .map(|entry| (entry.path().strip_prefix(&self.catalog).unwrap().to_owned(), describe(entry.path())))
            .collect()
    }
}

fn unblocked(plan: &Plan) {
    assert!(!plan.is_blocked(), "{plan:?}");
}

/// Looks at the catalog whenever something happens.
struct Watch(ServerDirs);

impl Listener for Watch {
    fn notice(&self, _event: &Event) {
        super::readable::assert_listed(&self.0);
    }
}

/// Looks at nothing.
pub struct Blind;

impl Listener for Blind {
    fn notice(&self, _event: &Event) {}
}
