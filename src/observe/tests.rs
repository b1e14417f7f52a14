use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::inventory::{Observation, Undescribed};
use super::*;
use crate::barman::backup_info::BackupInfo;
use crate::barman::keep::Keep;
use crate::barman::layout::wal_path;
use crate::barman::wal::{Timeline, WalName};
use crate::barman::wal_list::WalList;
use crate::error::{Error, Kind};
use crate::plan::backup;
use crate::site::drills::Drill;
use crate::site::model::{
    Access, Catalog, Compress, Group, Policy, Protect, Prune, Reserve, Reuse, Selection, Timeouts, Transfer, WalsFrom,
};
use crate::transport::bandwidth::Bandwidths;
use crate::transport::fake::{FakePrimary, Fault};
use crate::verify::base::Announced;
use crate::verify::base::tests::sketch;

mod cache;
mod first;
mod watch;

/// What each primary answers when it is called.
type Connections = BTreeMap<String, Result<Connection, Error>>;

const HOME: &str = "/var/lib/barman";

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

/// A primary that answers as a real one did, with the files that its catalog had and WAL of the listed sizes.
fn primary(version: &str) -> FakePrimary {
    let answer = fs::read(fixture(version).join("primary/sync-info.json")).unwrap();
    let mut fake = FakePrimary::new().sync_info("main", answer);
    let source = fixture(version).join("primary/main");
    for entry in walkdir::WalkDir::new(&source).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file()) {
        let relative = entry.path().strip_prefix(&source).unwrap();
        fake = fake.file(Path::new(HOME).join("main").join(relative), fs::read(entry.path()).unwrap());
    }
    for (name, size) in listed(version) {
        if !matches!(name, WalName::History(_)) {
            fake = fake.file(there(name), vec![0; size]);
        }
    }
    fake
}

/// The WAL that the primary lists.
fn listed(version: &str) -> Vec<(WalName, usize)> {
    let list = walkdir::WalkDir::new(fixture(version).join("primary/main/wals")).into_iter().map(Result::unwrap);
    let list = list.into_iter().find(|entry| entry.file_name().to_string_lossy().ends_with("xlog.db")).unwrap();
    let text = fs::read_to_string(list.path()).unwrap();
    let line = |line: &str| {
        let mut fields = line.split('\t');
        (fields.next().unwrap().parse().unwrap(), fields.next().unwrap().parse().unwrap())
    };
    text.lines().map(line).collect()
}

fn there(name: WalName) -> PathBuf {
    Path::new(HOME).join("main/wals").join(wal_path(name))
}

/// A site with one replica `main` of the primary `fra`.
struct World {
    home: TempDir,
    site: Site,
    turns: Turns,
}

impl World {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let one = NonZeroU32::MIN;
        let timeouts = Timeouts { connect: Duration::ZERO, idle: Duration::ZERO, sync_info: Duration::ZERO };
        let access = Access::Ssh { words: vec!["ssh".into(), "fra".into()] };
        let primary = Primary {
            name: "fra".into(),
            access,
            barman_command: vec!["barman".into()],
            barman_config: None,
            timeouts,
            refresh_after: Duration::from_secs(3600),
            bandwidth: None,
            streams: one,
            windows: Vec::new(),
        };
        let policy = Policy {
            rto: None,
            drill: Drill::default(),
            backups: Selection::All,
            wals_from: WalsFrom::OldestBackup,
            prune: Prune { unselected: false, gone_at_primary: false },
            protect: Protect { min_backups: 1, max_prune_percent: 25 },
            transfer: Transfer { streams: one, bandwidth: None, reuse: Reuse::Auto, compress: Compress::Auto },
            rpo: None,
            max_silence: None,
            accept_systems: BTreeSet::new(),
            accept: Vec::new(),
            schedule: crate::schedule::Schedule::default(),
            auto: crate::site::model::Auto::default(),
        };
        let name: crate::barman::ids::ServerName = "main".parse().unwrap();
        let replica = Replica { name: name.clone(), primary: "fra".into(), server: name.clone(), policy };
        let catalog = Catalog {
            path: home.path().to_owned(),
            config: None,
            barman: Some("3.19.1".parse().unwrap()),
            deep_every: Duration::ZERO,
            group: Group::None,
            reserve: Reserve::Usual,
        };
        let site = Site {
            name: "lisbon".into(),
            file: "lisbon.yaml".into(),
            catalog,
            primaries: BTreeMap::from([("fra".into(), primary)]),
            replicas: BTreeMap::from([(name, replica)]),
            mirrors: vec![],
            retired: BTreeSet::new(),
            verify: crate::site::model::Verify { every: None, bandwidth: None },
            on: BTreeMap::new(),
        };
        Self { home, site, turns: Turns::default() }
    }

    fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.home.path().join("main").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Gives the site all that the primary has.
    fn copy_all(&self, version: &str) {
        let source = fixture(version).join("primary/main");
        for entry in walkdir::WalkDir::new(&source).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file())
        {
            let relative = entry.path().strip_prefix(&source).unwrap();
            self.write(relative, fs::read(entry.path()).unwrap());
            if let Some(id) = relative.to_str().unwrap().strip_suffix("-backup.info") {
                let base = Path::new("base").join(id.strip_prefix("meta/").unwrap());
                let info = BackupInfo::parse(&fs::read(entry.path()).unwrap()).unwrap();
                sketch(&self.home.path().join("main").join(base), &Announced::of(&info));
            }
        }
        for (name, size) in listed(version) {
            if !matches!(name, WalName::History(_)) {
                self.write(Path::new("wals").join(wal_path(name)), vec![0; size]);
            }
        }
    }

    /// A manifest of every base that [`World::copy_all`] makes.
    fn manifest(&self) -> String {
        let infos = fs::read_dir(self.home.path().join("main/meta")).unwrap().map(|entry| entry.unwrap().path());
        let info = infos.into_iter().find(|path| path.to_str().unwrap().ends_with("-backup.info")).unwrap();
        let announced = Announced::of(&BackupInfo::parse(&fs::read(info).unwrap()).unwrap());
        let files = sketch(&self.home.path().join("sketch"), &announced);
        catalog::tests::manifest(&files.iter().map(|(path, size)| (path.as_str(), *size)).collect::<Vec<_>>())
    }

    async fn observe(&self, connections: Connections) -> ReplicaObservation {
        self.observe_for(Purpose::Plan { refresh: false }, connections).await
    }

    async fn observe_for(&self, purpose: Purpose, connections: Connections) -> ReplicaObservation {
        let now = "2026-11-22T13:00:00Z".parse().unwrap();
        self.observe_all(purpose, connections, now).await.unwrap().replicas.into_values().next().unwrap()
    }

    async fn observe_all(
        &self,
        purpose: Purpose,
        connections: Connections,
        now: Timestamp,
    ) -> Result<Observation, SiteConfError> {
        let cancel = CancellationToken::new();
        let call = |primary: &Primary| std::future::ready(connections[&primary.name].clone()).boxed();
        let terms = Terms { purpose, turns: &self.turns, now, cancel: &cancel };
        let all = std::sync::Mutex::new(BTreeMap::new());
        let each = |name, observed| drop(all.lock().unwrap().insert(name, observed));
        observe(&self.site, self.site.replicas.values(), &call, &backup::to_copy(now), terms, &each).await?;
        Ok(Observation { replicas: all.into_inner().unwrap() })
    }

    async fn observe_fake(&self, fake: &FakePrimary) -> ReplicaObservation {
        self.observe(BTreeMap::from([("fra".into(), Ok(fake.connect()))])).await
    }
}

fn active(observation: ReplicaObservation) -> PrimaryInventory {
    match observation.primary {
        Observed::Active(there) => *there,
        other => panic!("{other:?}"),
    }
}

fn failure(observation: ReplicaObservation) -> String {
    match observation.primary {
        Observed::Failed(error) => error.message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_primary_is_observed_with_what_sync_info_leaves_out() {
    for version in ["3.4.1/pg15", "3.12.1/pg15", "3.19.1/pg15", "3.19.1/pg17"] {
        let there = active(World::new().observe_fake(&primary(version)).await);
        assert_eq!(there.directories.wals_directory, Path::new("/var/lib/barman/main/wals"), "{version}");
        assert_eq!(there.wals.len(), listed(version).len(), "{version}");
        assert!(there.gone.is_empty(), "{version}: {:?}", there.gone);
        assert_eq!(there.histories[&Timeline(2)].ancestors.len(), 1, "{version}");
        let kept = there.backups.values().next().unwrap().keep;
        assert!(matches!(kept, Some(Keep::Full | Keep::Standalone)), "{version}");
        assert_eq!(there.backups.values().filter(|backup| backup.keep.is_some()).count(), 1, "{version}");
        assert_eq!(there.notes, [] as [String; 0], "{version}");
    }
}

#[tokio::test]
async fn a_site_in_sync_pays_for_the_archive_and_the_annotations_and_nothing_else() {
    let (world, fake) = (World::new(), primary("3.19.1/pg15"));
    world.copy_all("3.19.1/pg15");
    let observation = world.observe_fake(&fake).await;
    assert!(observation.replica.backups.keys().all(|id| observation.replica.is_whole(*id)));
    assert_eq!(active(observation).histories.len(), 1);
    let (main, wals) = (format!("{HOME}/main"), format!("{HOME}/main/wals"));
    let expected = [
        "fetch ./main/wals".to_owned(),
        "sync-info main".to_owned(),
        // Beside the server, our own directory of the catalog.
        format!("look {HOME}"),
        format!("fetch {wals}"),
        format!("look {wals}"),
        format!("fetch {main}"),
    ];
    assert_eq!(fake.calls(), expected);
}

#[tokio::test]
async fn what_is_fetched_to_be_read_and_what_is_copied_share_the_bandwidth_of_their_primary() {
    let (mut world, fake, bandwidths) = (World::new(), primary("3.19.1/pg15"), Arc::<Bandwidths>::default());
    world.turns = Turns::sharing(Arc::clone(&bandwidths));
    world.site.primaries.get_mut("fra").unwrap().bandwidth = Some(800);
    let observation = world.observe_fake(&fake).await;
    assert!(matches!(observation.primary, Observed::Active(_)), "{observation:?}");
    let tap = bandwidths.of(&world.site.primaries["fra"]).tap().unwrap();
    assert!(!fake.taps().is_empty() && fake.taps().iter().all(|taps| taps.iter().eq(&tap)), "{:?}", fake.taps());
}

#[tokio::test]
async fn a_status_fetches_no_manifest_and_still_knows_what_the_primary_lost() {
    let (fake, answers) = (primary("3.19.1/pg15"), |fake: &FakePrimary| [("fra".into(), Ok(fake.connect()))].into());
    let names: Vec<WalName> = listed("3.19.1/pg15").into_iter().map(|(name, _)| name).collect();
    fake.lose(there(names[0]));
    let there = active(World::new().observe_for(Purpose::Status { depth: Depth::Everything }, answers(&fake)).await);
    assert_eq!(there.gone.into_iter().collect::<Vec<_>>(), [names[0]]);
    let is_of_bases = |call: &String| call == "fetch /var/lib/barman/main/base";
    assert!(!fake.calls().iter().any(is_of_bases), "{:?}", fake.calls());
    World::new().observe_fake(&fake).await;
    assert!(fake.calls().iter().any(is_of_bases), "a plan does: {:?}", fake.calls());
}

#[tokio::test]
async fn wal_that_the_primary_lost_is_known_before_it_is_planned() {
    let fake = primary("3.19.1/pg15");
    let names: Vec<WalName> = listed("3.19.1/pg15").into_iter().map(|(name, _)| name).collect();
    fake.lose(there(names[0]));
    let fake = fake.file(there(names[2]), "cut");
    let there = active(World::new().observe_fake(&fake).await);
    assert_eq!(there.gone.into_iter().collect::<Vec<_>>(), [names[0]]);
    assert_eq!(there.undescribed.into_keys().collect::<Vec<_>>(), [names[2]]);
    assert_eq!(there.wals.get(names[2]).unwrap().size, 3);
}

#[tokio::test]
async fn an_inactive_server_is_told_apart_from_one_that_fails() {
    let fake = FakePrimary::new().sync_info("main", "banner\nSkipping inactive server 'main'\n");
    let observation = World::new().observe_fake(&fake).await;
    assert_eq!(observation.primary, Observed::Inactive("Skipping inactive server 'main'".into()));
    let message = failure(World::new().observe_fake(&FakePrimary::new().sync_info("main", "")).await);
    assert!(message.starts_with("primary fra, server main: sync-info printed nothing"), "{message}");
}

#[tokio::test]
async fn an_answer_about_another_server_is_refused() {
    let answer = r#"{"backups": {}, "wals": [], "config": {"name": "other", "backup_directory": "/b/other"}}"#;
    let message = failure(World::new().observe_fake(&FakePrimary::new().sync_info("main", answer)).await);
    assert!(message.contains("sync-info answered for the server other"), "{message}");
}

#[tokio::test]
async fn hostile_paths_never_reach_the_disk() {
    for config in [r#"{"backup_directory": "/b/../../etc"}"#, r#"{"backup_directory": "relative"}"#, "{}"] {
        let answer = format!(r#"{{"backups": {{}}, "wals": [], "config": {config}}}"#);
        let fake = FakePrimary::new().sync_info("main", answer);
        failure(World::new().observe_fake(&fake).await);
        assert_eq!(fake.calls(), ["fetch ./main/wals", "sync-info main"], "{config}");
    }
    let answer = r#"{"backups": {"../../x": {}}, "wals": [], "config": {"backup_directory": "/b"}}"#;
    failure(World::new().observe_fake(&FakePrimary::new().sync_info("main", answer)).await);
}

#[tokio::test]
async fn a_malformed_backup_holds_back_itself_alone() {
    let answer = r#"{"backups": {"20261122T125916": {"status": "DONE", "begin_wal": "000000010000000000000002",
        "end_wal": "00000002.history"}}, "wals": [], "config": {"backup_directory": "/b/main"}}"#;
    let fake = FakePrimary::new().sync_info("main", answer).file("/b/main/wals/x", "");
    let there = active(World::new().observe_fake(&fake).await);
    assert_eq!(there.backups.values().next().unwrap().base, inventory::BaseKind::Unreadable);
    assert!(
        there.notes[0]
            .starts_with("backup 20261122T125916 is left alone until its backup.info there is repaired: end_wal"),
        "{:?}",
        there.notes
    );
}

/// A primary that tells of no WAL, has this xlog.db, and these files with their sizes.
fn archive(lines: &str, files: &[(&str, usize)]) -> FakePrimary {
    let answer = r#"{"backups": {}, "wals": [], "config": {"backup_directory": "/var/lib/barman/main"}}"#;
    let mut fake = FakePrimary::new().sync_info("main", answer).file(there_path("main-xlog.db"), lines);
    for (path, size) in files {
        fake = fake.file(there_path(path), vec![0; *size]);
    }
    fake
}

fn there_path(path: &str) -> PathBuf {
    Path::new(HOME).join("main/wals").join(path)
}

fn names(wals: &WalList) -> Vec<String> {
    wals.iter().map(|entry| format!("{} {}", entry.name, entry.size)).collect()
}

#[tokio::test]
async fn the_disk_is_the_set_and_the_list_describes_it() {
    let (a, b, c, d) = (WAL, "000000010000000000000003", "000000010000000000000004", "000000010000000000000005");
    let lines = format!("{a}\t7\t1.5\tgzip\tNone\n{b}\t7\t2.5\tNone\tNone\n{c}\t7\t3.5\tgzip\tgpg\n");
    let hash = |name: &str| format!("0000000100000000/{name}");
    let files = [hash(a), hash(b), hash(d), hash(&format!("{d}.partial")), hash(&format!("{d}.00000028.backup"))];
    let foreign =
        [format!("0000000200000000/{a}"), a.to_owned(), hash("x"), ".antipode.tmp/x/y".into(), hash(".hidden")];
    let sized = files.iter().chain(&foreign).map(|path| (path.as_str(), if path.ends_with(b) { 9 } else { 7 }));
    let there = active(World::new().observe_fake(&archive(&lines, &sized.collect::<Vec<_>>())).await);
    assert_eq!(
        names(&there.wals),
        [format!("{a} 7"), format!("{b} 9"), format!("{c} 7"), format!("{d} 7"), format!("{d}.00000028.backup 7"),]
    );
    let told = |name: &str| there.wals.get(name.parse().unwrap()).unwrap();
    assert_eq!(told(a).compression, "gzip".parse().ok());
    assert_eq!((told(b).mtime.seconds(), told(d).compression), (2.5, None));
    assert_eq!(there.gone.iter().map(ToString::to_string).collect::<Vec<_>>(), [c]);
    let undescribed: Vec<_> = there.undescribed.iter().map(|(name, why)| (name.to_string(), *why)).collect();
    assert_eq!(
        undescribed,
        [
            (b.to_owned(), Undescribed::OtherSize { listed: 7 }),
            (d.to_owned(), Undescribed::NotListed),
            (format!("{d}.00000028.backup"), Undescribed::NotListed),
        ]
    );
    assert_eq!(there.notes, [] as [String; 0]);
}

const WAL: &str = "000000010000000000000002";

#[tokio::test]
async fn wal_of_a_cluster_whose_names_sort_before_the_first_backup_is_seen() {
    let lines = format!("{WAL}\t5\t1.5\tNone\tNone\n000000030000000000000001\t5\t1.5\tNone\tNone\n");
    let wals = r#"[{"name": "000000030000000000000001", "size": 5, "time": 1.5}]"#;
    let answer = format!(r#"{{"backups": {{}}, "wals": {wals}, "config": {{"backup_directory": "{HOME}/main"}}}}"#);
    let files = [("0000000100000000/000000010000000000000002", 5), ("0000000300000000/000000030000000000000001", 5)];
    let there = active(World::new().observe_fake(&archive(&lines, &files).sync_info("main", answer)).await);
    assert_eq!(names(&there.wals), [format!("{WAL} 5"), "000000030000000000000001 5".to_owned()]);
    assert_eq!((there.gone.len(), there.undescribed.len()), (0, 0));
}

#[tokio::test]
async fn where_there_is_no_list_sync_info_describes() {
    let wals = format!(r#"[{{"name": "{WAL}", "size": 5, "time": 1.5, "compression": "zstd"}}]"#);
    let answer = format!(r#"{{"backups": {{}}, "wals": {wals}, "config": {{"backup_directory": "{HOME}/main"}}}}"#);
    let fake = archive("", &[("0000000100000000/000000010000000000000002", 5)]).sync_info("main", answer);
    fake.lose(there_path("main-xlog.db"));
    let there = active(World::new().observe_fake(&fake).await);
    assert_eq!((there.wals.last().unwrap().compression, there.undescribed.len()), ("zstd".parse().ok(), 0));
    let older = fake.file(there_path("xlog.db"), format!("{WAL}\t5\t1.5\tgzip\n"));
    assert_eq!(active(World::new().observe_fake(&older).await).wals.last().unwrap().compression, "gzip".parse().ok());
}

#[tokio::test]
async fn a_line_that_is_being_written_is_none_yet() {
    let fake = archive(&format!("{WAL}\t5\t1."), &[("0000000100000000/000000010000000000000002", 5)]);
    let there = active(World::new().observe_fake(&fake).await);
    assert_eq!(there.undescribed.into_values().collect::<Vec<_>>(), [Undescribed::NotListed]);
    assert_eq!(there.notes, [] as [String; 0]);
    let fetches = fake.calls().iter().filter(|call| *call == &format!("fetch {HOME}/main/wals")).count();
    assert_eq!(fetches, 2, "it is looked for once more: {:?}", fake.calls());
}

#[tokio::test]
async fn a_list_out_of_order_is_a_note() {
    let line = |name: &str| format!("0000000100000000000000{name}\t1\t1.0\tNone\n");
    let fake = archive(&[line("0B"), line("0A"), line("0A")].concat(), &[]).file(there_path("x"), "");
    let there = active(World::new().observe_fake(&fake).await);
    assert!(there.wals.iter().is_sorted_by(|a, b| a.name < b.name) && there.wals.len() == 2);
    let note = "its xlog.db has lines that are doubled, out of order or unreadable; \
                `barman rebuild-xlogdb` there repairs it";
    assert_eq!(there.notes, [note]);
}

#[tokio::test]
async fn an_unreachable_primary_leaves_the_site_observed() {
    let world = World::new();
    world.copy_all("3.19.1/pg15");
    let error = Error::new(Kind::Unreachable, "primary fra: no route to host");
    let observation = world.observe(BTreeMap::from([("fra".into(), Err(error))])).await;
    assert_eq!(observation.replica.backups.len(), 3);
    assert_eq!(failure(observation), "primary fra: no route to host");
}

#[tokio::test]
async fn a_line_that_is_lost_midway_is_a_failure_of_this_replica() {
    let fake = primary("3.19.1/pg15").fault(Fault::FullAfter(0)).fault(Fault::Fail(Kind::Lost));
    let message = failure(World::new().observe_fake(&fake).await);
    assert_eq!(message, "primary fra, server main: scripted: lost");
}

#[tokio::test]
async fn a_catalog_on_this_host_says_the_same_as_its_barman() {
    let version = "3.19.1/pg15";
    let mut world = World::new();
    let other = World::new();
    other.copy_all(version);
    let asked = active(world.observe_fake(&primary(version)).await);
    let primary = world.site.primaries.get_mut("fra").unwrap();
    primary.access = Access::Path(other.home.path().to_owned());
    let cancel = CancellationToken::new();
    let connection = crate::transport::open(primary, Path::new("/tmp"), &cancel).await;
    let read = active(world.observe(BTreeMap::from([("fra".into(), connection)])).await);
    assert_eq!(read.wals, asked.wals);
    assert_eq!((read.last, read.gone, read.histories), (asked.last, asked.gone, asked.histories));
    assert_eq!(read.undescribed, asked.undescribed);
    for (id, backup) in &asked.backups {
        assert_eq!((&backup.facts, backup.keep), (&read.backups[id].facts, read.backups[id].keep), "{id}");
    }
}

#[tokio::test]
async fn a_catalog_on_this_host_without_the_server_is_a_failure() {
    let mut world = World::new();
    let other = tempfile::tempdir().unwrap();
    let primary = world.site.primaries.get_mut("fra").unwrap();
    primary.access = Access::Path(other.path().to_owned());
    let connection = crate::transport::open(primary, Path::new("/tmp"), &CancellationToken::new()).await;
    let message = failure(world.observe(BTreeMap::from([("fra".into(), connection)])).await);
    assert!(message.starts_with("primary fra, server main: there is no directory "), "{message}");
}

#[tokio::test]
async fn manifests_are_fetched_where_files_can_be_shared() {
    let version = "3.19.1/pg15";
    let world = World::new();
    world.copy_all(version);
    let manifest = world.manifest();
    let fake = primary(version);
    let ids: Vec<_> = world.observe_fake(&fake).await.replica.backups.into_keys().collect();
    for id in &ids {
        world.write(format!("base/{id}/data/backup_manifest"), &manifest);
    }
    // Only the newest is missing, and the nearest before it is the one that it can share files with.
    fs::remove_dir_all(world.home.path().join(format!("main/base/{}", ids[2]))).unwrap();
    let fake = fake.file(format!("{HOME}/main/base/{}/data/backup_manifest", ids[2]), manifest.clone());
    let observation = world.observe_fake(&fake).await;
    let here: Vec<bool> = observation.replica.backups.values().map(|local| local.manifest.is_some()).collect();
    assert_eq!(here, [false, true, false]);
    let there: Vec<bool> = active(observation).backups.values().map(|backup| backup.manifest.is_some()).collect();
    assert_eq!(there, [false, false, true]);
    let fake = fake.file(format!("{HOME}/main/base/{}/data/backup_manifest", ids[2]), "{}");
    let there = active(world.observe_fake(&fake).await);
    assert!(there.notes[0].starts_with(&format!("backup {} is copied in full: ", ids[2])), "{:?}", there.notes);
}

#[tokio::test]
async fn a_catalog_here_that_cannot_be_read_is_a_failure_of_its_replica() {
    let world = World::new();
    world.write("base/x", "");
    std::os::unix::fs::symlink("meta", world.home.path().join("main/meta")).unwrap();
    let message = failure(world.observe_fake(&primary("3.19.1/pg15")).await);
    assert!(message.starts_with("replica main, at the site: ") && message.contains("main/meta"), "{message}");
}

#[tokio::test]
async fn the_directories_and_plans_of_the_sites_own_barman_are_observed() {
    let mut world = World::new();
    let home = world.home.path().to_owned();
    let conf = home.join("barman.conf");
    let text = format!("[barman]\nbarman_home = {0}\n[main]\nwals_directory = {0}/pg_wals\n", home.display());
    fs::write(&conf, text).unwrap();
    fs::create_dir_all(home.join("main")).unwrap();
    fs::create_dir_all(home.join("pg_wals/0000000100000000")).unwrap();
    fs::write(home.join("pg_wals/0000000100000000/000000010000000000000002"), "x").unwrap();
    world.site.catalog.config = Some(conf.clone());
    let replica = world.observe_fake(&primary("3.19.1/pg15")).await.replica;
    assert_eq!(replica.wals.len(), 1);
    assert_eq!(replica.site_barman.section, inventory::SiteSection::Present);
    assert!(replica.site_barman.active && !replica.site_barman.passive);
    fs::write(&conf, "[barman\n").unwrap();
    let error =
        world.observe_all(Purpose::Plan { refresh: false }, BTreeMap::new(), Timestamp::now()).await.unwrap_err();
    assert!(error.to_string().contains("barman.conf"), "{error}");
}
