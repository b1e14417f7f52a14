//! A primary, a site of it, and what must hold of the site's catalog at every instant.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::apply::{Limits, Means, RunLocks, Shared, apply};
use crate::barman::backup_info::Status;
use crate::barman::layout::{Layout, ServerDirs};
use crate::barman::wal::{Segment, WalName};
use crate::demo::catalog::{FIRST_BACKUP, PrimaryCatalog, SECOND_BACKUP};
use crate::events::{Event, Listener, Summary};
use crate::observe::catalog::backups::InfoFile;
use crate::observe::catalog::{Depth, ServerOnDisk};
use crate::observe::inventory::BaseState;
use crate::observe::{Connections, Purpose, observe};
use crate::plan::{Plan, backup, plan};
use crate::site::Site;
use crate::site::model::Replica;
use crate::store::{Place, Posix, Root, Store};
use crate::transport;
use crate::transport::patience::Patience;
use crate::verify::base::{Announced, prove};

const IMPATIENT: Patience = Patience {
    first_pause: Duration::from_millis(10),
    longest_pause: Duration::from_millis(20),
    without_progress: Duration::from_millis(200),
};

/// A primary with both days of the demo's catalog, and a site that has what is copied to it.
pub struct Ground {
    home: TempDir,
    /// What the site has before each trial.
    before: PathBuf,
    site: Site,
}

struct Blind;

impl Listener for Blind {
    fn notice(&self, _event: &Event) {}
}

impl Ground {
    /// A site that has what the primary had after the first day, or nothing, and wants this of what it has now.
    pub async fn new(has_first_day: bool, wanted: &str) -> Self {
        // In memory, where there is such a place: what is synced hundreds of times is synced at once.
        let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut primary = PrimaryCatalog::create(&home.path().join("primary"), "main").unwrap();
        primary.first_day().unwrap();
        unkeep(home.path());
        let mut ground = Self { before: home.path().join("before"), site: site(home.path(), ""), home };
        fs::create_dir(ground.catalog()).unwrap();
        if has_first_day {
            ground.finish().await;
        }
        fs::rename(ground.catalog(), &ground.before).unwrap();
        primary.second_day().unwrap();
        unkeep(ground.home.path());
        ground.site = site(ground.home.path(), wanted);
        ground
    }

    fn catalog(&self) -> PathBuf {
        self.home.path().join("site")
    }

    pub fn dirs(&self) -> ServerDirs {
        ServerDirs::of_catalog(&self.catalog(), "main".parse().unwrap())
    }

    /// Puts the site back to where it began.
    pub fn begin(&self) {
        if self.catalog().exists() {
            fs::remove_dir_all(self.catalog()).unwrap();
        }
        // With its hard links and times.
        assert!(Command::new("cp").arg("-a").arg(&self.before).arg(self.catalog()).status().unwrap().success());
    }

    /// Plans, and applies that over a store.
    pub async fn apply(&self, store: &Arc<dyn Store>) -> Summary {
        let run_lock = RunLocks::of(&self.catalog()).unwrap().acquire(&self.dirs().server, Duration::ZERO).await;
        let connections = self.call().await;
        let plan = self.plan(&connections).await;
        let [replica] = &self.replicas()[..] else { panic!("there is one replica") };
        let plan = &plan.replicas[0];
        let share = Shared::new(Limits::default()).admit([(plan, replica, &self.site.primaries["frankfurt"])]);
        let means = Means {
            replica,
            connection: connections["frankfurt"].as_ref().map_err(Clone::clone),
            stores: &|_| Arc::clone(store),
            lock_timeout: Duration::ZERO,
            patience: IMPATIENT,
            run_lock: run_lock.unwrap(),
            share: share.into_iter().next().unwrap(),
        };
        apply(plan, means, &Blind, &CancellationToken::new()).await
    }

    /// An apply that nothing disturbs does the rest, and leaves nothing to do.
    pub async fn finish(&self) {
        let store: Arc<dyn Store> = Arc::new(Posix::new(self.dirs()));
        let summary = self.apply(&store).await;
        assert_eq!((&summary.failed, &summary.skipped), (&vec![], &vec![]));
        let plan = self.plan(&self.call().await).await;
        assert!(plan.is_empty(), "{:?}", plan.replicas[0].actions);
    }

    async fn call(&self) -> Connections {
        let mut connections = Connections::new();
        for (name, primary) in &self.site.primaries {
            let call = transport::open(primary, Path::new("/tmp"), &CancellationToken::new()).await;
            connections.insert(name.clone(), call);
        }
        connections
    }

    async fn plan(&self, connections: &Connections) -> Plan {
        let (replicas, now, token) = (self.replicas(), Timestamp::now(), CancellationToken::new());
        let purpose = Purpose::Plan { refresh: false };
        let observed = observe(&self.site, &replicas, connections, &backup::to_copy(now), purpose, &token).await;
        let plan = plan(&self.site, &replicas, &observed.unwrap(), now);
        assert!(!plan.is_blocked(), "{plan:?}");
        plan
    }

    fn replicas(&self) -> Vec<Replica> {
        self.site.replicas.values().cloned().collect()
    }

    /// All that is listed, or is DONE, is whole.
    pub fn assert_whole(&self, when: &str) {
        let (dirs, store) = (self.dirs(), Posix::new(self.dirs()));
        let there = ServerDirs::of_catalog(&self.home.path().join("primary"), dirs.server.clone());
        let catalog = ServerOnDisk::read(&store, &dirs.server, Depth::Everything).unwrap();
        assert_eq!(catalog.backups.broken().next(), None, "{when}");
        let listed = catalog.xlogdb.named.unwrap_or_default();
        assert!(!listed.is_faulty(), "{when}: {listed:?}");
        for entry in &listed.entries {
            let whole = fs::read(there.wal(entry.name)).unwrap();
            let here = fs::read(dirs.wal(entry.name)).ok();
            assert!(here.as_ref() == Some(&whole), "{when}: {} is listed and not whole", entry.name);
        }
        for (id, backup) in &catalog.backups.by_id {
            let Some(InfoFile::Readable(metadata)) = backup.info() else { continue };
            if metadata.facts.status != Status::Done {
                continue;
            }
            assert_eq!(backup.base, BaseState::Complete, "{when}: {id} is DONE");
            let faults = prove(Root::new(&store, Place::Base(*id)), &Announced::of(&metadata.info), &|| true);
            assert_eq!(faults.unwrap(), [], "{when}: {id} is DONE");
            let size = metadata.info.xlog_segment_size().unwrap();
            let segment = |name: Option<WalName>| name.and_then(WalName::segment).unwrap();
            let [begin, end] = [metadata.info.begin_wal(), metadata.info.end_wal()].map(|name| segment(name.unwrap()));
            for number in begin.number(size).unwrap()..=end.number(size).unwrap() {
                let name = WalName::Segment(Segment::from_number(begin.timeline, number, size).unwrap());
                assert!(listed.entries.iter().any(|entry| entry.name == name), "{when}: {id} is DONE without {name}");
            }
        }
    }
}

/// Lets nobody at the primary keep a backup for good.
fn unkeep(home: &Path) {
    let dirs = ServerDirs::of_catalog(&home.join("primary"), "main".parse().unwrap());
    for id in [FIRST_BACKUP, SECOND_BACKUP] {
        let _absent = fs::remove_file(Layout::NEWEST.keep(&dirs, id.parse().unwrap()));
    }
}

fn site(home: &Path, wanted: &str) -> Site {
    let text = format!(
        "version: 1\nsite: lisbon\ncatalog: {{path: {}, barman: \"3.19.1\"}}\nprimaries:\n  frankfurt: {{path: {}}}\n\
         replicas:\n  main: {{primary: frankfurt{wanted}}}\n",
        home.join("site").display(),
        home.join("primary").display()
    );
    crate::site::load("site.yaml", &text, None).unwrap().site
}

/// How often each call was made, for messages.
pub fn counted(calls: &[(crate::store::recording::Touch, String)]) -> BTreeMap<&str, usize> {
    let mut counted = BTreeMap::new();
    for (_, call) in calls {
        *counted.entry(call.split(' ').next().unwrap_or_default()).or_default() += 1;
    }
    counted
}
