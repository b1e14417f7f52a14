//! What is asked of a primary when something of it is remembered, and that nothing that changed there is missed.

use super::*;

const VERSION: &str = "3.19.1/pg15";

/// A site that has all, and on whose primary time passes from one observation to the next.
struct Watch {
    world: World,
    fake: FakePrimary,
    now: Timestamp,
    seen: usize,
}

impl Watch {
    fn new() -> Self {
        let (world, fake) = (World::new(), primary(VERSION));
        world.copy_all(VERSION);
        fs::create_dir_all(world.home.path().join("main/.antipode")).unwrap();
        Self { world, fake, now: "2026-11-22T13:00:00Z".parse().unwrap(), seen: 0 }
    }

    /// One that was observed until nothing is asked any more.
    async fn at_rest() -> Self {
        let mut watch = Self::new();
        watch.rest().await;
        watch
    }

    async fn rest(&mut self) {
        for _ in 0..2 {
            self.look(10).await;
        }
        assert_eq!(self.look(10).await.1, [look()]);
    }

    async fn observe(&mut self, seconds: i64, refresh: bool) -> Observation {
        self.now += jiff::SignedDuration::from_secs(seconds);
        self.fake.pass(seconds);
        let connections = BTreeMap::from([("fra".into(), Ok(self.fake.connect()))]);
        self.world.observe_all(Purpose::Plan { refresh }, connections, self.now).await.unwrap()
    }

    /// What the primary is observed to have after so many seconds, and what was done there for that.
    async fn look(&mut self, seconds: i64) -> (PrimaryInventory, Vec<String>) {
        let observed = self.observe(seconds, false).await.replicas.into_values().next().unwrap();
        (active(observed), self.calls())
    }

    fn calls(&mut self) -> Vec<String> {
        let calls = self.fake.calls();
        calls[std::mem::replace(&mut self.seen, calls.len())..].to_vec()
    }

    /// What is observed by a site that remembers nothing.
    async fn look_anew(&mut self) -> PrimaryInventory {
        let there = active(World::new().observe_fake(&self.fake).await);
        self.calls();
        there
    }

    /// Changes a file in place.
    fn change(&mut self, path: impl AsRef<Path>, change: impl Fn(&str) -> String) {
        let path = at(path);
        let content = String::from_utf8(self.fake.content(&path)).unwrap();
        self.fake = self.fake.clone().file(path, change(&content));
    }

    /// Replaces a file by another one with its name.
    fn replace(&mut self, path: impl AsRef<Path>, content: &[u8]) {
        let path = at(path);
        self.fake.lose(&path);
        self.fake = self.fake.clone().file(path, content);
    }

    /// An annotation of a backup that is kept.
    fn kept(&self) -> String {
        ids().iter().map(|id| keep(id)).find(|keep| self.fake.has(at(keep))).unwrap()
    }

    /// Changes the answer of sync-info.
    fn answer(&mut self, change: impl Fn(&str) -> String) {
        let answer = fs::read_to_string(fixture(VERSION).join("primary/sync-info.json")).unwrap();
        self.fake = self.fake.clone().sync_info("main", change(&answer));
    }
}

fn at(path: impl AsRef<Path>) -> PathBuf {
    Path::new(HOME).join("main").join(path)
}

/// The look at all that is remembered, and at what is above it of our own.
fn look() -> String {
    format!("look {HOME}")
}

fn is_asked(calls: &[String]) -> bool {
    calls.iter().any(|call| call.starts_with("sync-info "))
}

fn hash(name: WalName) -> PathBuf {
    Path::new("wals").join(wal_path(name))
}

fn ids() -> Vec<String> {
    let names = fs::read_dir(fixture(VERSION).join("primary/main/meta")).unwrap();
    let names: BTreeSet<String> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.iter().filter_map(|name| Some(name.strip_suffix("-backup.info")?.to_owned())).collect()
}

fn info() -> String {
    format!("meta/{}-backup.info", ids()[0])
}

fn keep(id: &str) -> String {
    format!("meta/{id}-keep")
}

fn first_wal() -> WalName {
    listed(VERSION)[0].0
}

const LIST: &str = "wals/main-xlog.db";
const NEW: &str = "00000002000000000000003F";

#[tokio::test]
async fn where_nothing_moved_one_look_is_all_that_is_done() {
    let mut watch = Watch::new();
    let first = watch.look(0).await;
    assert_eq!(first.1[1..3], ["sync-info main".to_owned(), look()]);
    let second = watch.look(10).await;
    let last = first.0.last.map(|(name, position)| format!("sync-info main {name} {position}")).unwrap();
    let fetched = format!("fetch {HOME}/main/wals");
    assert_eq!(second.1[..3], [look(), fetched, last], "what was asked first is not believed");
    for _ in 0..2 {
        let (there, calls) = watch.look(10).await;
        assert_eq!(calls, [look()]);
        assert_eq!(there, first.0);
    }
}

#[tokio::test]
async fn new_wal_costs_the_list_and_its_directory() {
    let mut watch = Watch::at_rest().await;
    watch.change(LIST, |lines| format!("{lines}{NEW}\t7\t1.0\tNone\tNone\n"));
    watch.replace(hash(NEW.parse().unwrap()), b"1234567");
    let (there, calls) = watch.look(10).await;
    assert_eq!(calls, [look(), format!("fetch {HOME}/main/wals"), format!("look {HOME}/main/wals")]);
    assert_eq!(there, watch.look_anew().await);
    watch.rest().await;
}

#[tokio::test]
async fn a_new_backup_costs_sync_info_and_the_annotations_that_there_are() {
    let mut watch = Watch::at_rest().await;
    watch.replace("meta/20261123T000000-backup.info", b"status=DONE\n");
    let calls = watch.look(10).await.1;
    assert!(calls.len() == 3 && is_asked(&calls), "{calls:?}");
    assert_eq!([&calls[0], &calls[2]], [&look(), &format!("fetch {HOME}/main")]);
    watch.rest().await;
}

#[tokio::test]
async fn all_servers_of_a_primary_are_seen_in_one_look() {
    let mut watch = Watch::new();
    let other: ServerName = "other".parse().unwrap();
    let replica = watch.world.site.replicas.values().next().unwrap().clone();
    watch.world.site.replicas.insert(other.clone(), Replica { name: other.clone(), server: other, ..replica });
    fs::create_dir_all(watch.world.home.path().join("other/.antipode")).unwrap();
    let answer = format!(r#"{{"backups": {{}}, "wals": [], "config": {{"backup_directory": "{HOME}/other"}}}}"#);
    let (lines, path) = (format!("{WAL}\t5\t1.5\tNone\tNone\n"), wal_path(WAL.parse().unwrap()));
    let wals = Path::new(HOME).join("other/wals");
    watch.fake = watch.fake.clone().sync_info("other", answer);
    watch.fake = watch.fake.clone().file(wals.join("other-xlog.db"), lines).file(wals.join(path), "12345");
    for _ in 0..2 {
        watch.observe(10, false).await;
    }
    watch.calls();
    let observed = watch.observe(10, false).await;
    assert_eq!(watch.calls(), [look()]);
    let wals = |name: &str| match &observed.replicas[&name.parse::<ServerName>().unwrap()].primary {
        Observed::Active(there) => there.wals.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!((wals("main"), wals("other")), (listed(VERSION).len(), 1));
}

/// Something that changes at the primary, and whether sync-info must be asked to know of it.
type Change = (&'static str, bool, fn(&mut Watch));

const CHANGES: [Change; 14] = [
    ("a backup's status", true, |watch| {
        watch.change(info(), |text| text.replace("status=DONE", "status=FAILED"));
        watch.answer(|answer| answer.replacen("\"DONE\"", "\"FAILED\"", 1));
    }),
    ("another key of a backup, with as many bytes", true, |watch| {
        watch.change(info(), |text| text.replacen("size=1", "size=2", 1));
        watch.answer(|answer| answer.replacen("\"size\": 1", "\"size\": 2", 1));
    }),
    ("a backup goes", true, |watch| watch.fake.lose(at(info()))),
    ("a base comes", true, |watch| watch.replace("base/20261123T000000/x", b"")),
    ("a backup is kept", true, |watch| {
        let other = ids().iter().map(|id| keep(id)).find(|keep| !watch.fake.has(at(keep))).unwrap();
        watch.replace(other, b"standalone");
    }),
    ("a backup is kept no longer", true, |watch| watch.fake.lose(at(watch.kept()))),
    ("a backup is kept otherwise", true, |watch| {
        let is_full = watch.fake.content(at(watch.kept())) == b"full";
        watch.replace(watch.kept(), if is_full { b"standalone" } else { b"full" });
    }),
    ("a backup is marked for deletion", true, |watch| watch.replace(format!("meta/{}-delete_this", ids()[0]), b"True")),
    ("a backup is kept as an old Barman does it", true, |watch| {
        watch.replace(format!("base/{}/annotations/keep", ids()[0]), b"full");
    }),
    ("WAL goes from the disk", false, |watch| watch.fake.lose(there(first_wal()))),
    ("WAL goes from disk and list", false, |watch| {
        watch.fake.lose(there(first_wal()));
        watch.change(LIST, |lines| lines.split_once('\n').unwrap().1.to_owned());
    }),
    ("WAL is compressed", false, |watch| watch.replace(hash(first_wal()), b"123")),
    ("a line says something else", false, |watch| watch.change(LIST, |lines| lines.replacen("None", "gzip", 1))),
    ("WAL comes that no list names", false, |watch| watch.replace(hash(NEW.parse().unwrap()), b"1234567")),
];

#[tokio::test]
async fn whatever_changes_in_its_files_is_noticed_at_once() {
    for (what, asks, change) in CHANGES {
        let mut watch = Watch::at_rest().await;
        change(&mut watch);
        let (there, calls) = watch.look(10).await;
        assert_eq!(there, watch.look_anew().await, "{what}");
        assert_eq!(is_asked(&calls), asks, "{what}: {calls:?}");
        assert!(calls.len() > 1, "{what}: {calls:?}");
    }
}

#[tokio::test]
async fn a_history_file_that_comes_or_changes_is_noticed() {
    let mut watch = Watch::at_rest().await;
    let line = "1\t0/A0000D8\tx\n2\t0/B0000D8\tx\n";
    watch.replace("wals/00000003.history", line.as_bytes());
    assert_eq!(watch.look(10).await.0, watch.look_anew().await);
    watch.change("wals/00000003.history", |line| format!("{line}\n"));
    let there = watch.look(10).await.0;
    assert_eq!(there.histories[&Timeline(3)].size, line.len() as u64 + 1);
    assert_eq!(there, watch.look_anew().await);
}

#[tokio::test]
async fn what_no_file_shows_is_asked_again_in_time_and_on_demand() {
    let newer = |watch: &mut Watch| watch.answer(|answer| answer.replace("\"3.19.1\"", "\"3.20.0\""));
    let newest = "3.20.0".parse().ok();
    let mut watch = Watch::at_rest().await;
    newer(&mut watch);
    assert_ne!(watch.look(60).await.0.barman, newest, "the answer is a minute old");
    let (there, calls) = watch.look(3600).await;
    assert!(there.barman == newest && is_asked(&calls), "{calls:?}");

    let mut watch = Watch::at_rest().await;
    watch.fake = watch.fake.clone().sync_info("main", "Skipping inactive server 'main'\n");
    let observed = watch.observe(1, true).await.replicas.into_values().next().unwrap();
    assert_eq!(observed.primary, Observed::Inactive("Skipping inactive server 'main'".into()));
}

#[tokio::test]
async fn a_change_within_the_second_of_the_last_look_is_noticed() {
    let mut watch = Watch::at_rest().await;
    watch.change(info(), ToOwned::to_owned);
    watch.look(0).await;
    watch.change(info(), ToOwned::to_owned);
    watch.answer(|answer| answer.replacen("\"DONE\"", "\"FAILED\"", 1));
    let (there, calls) = watch.look(10).await;
    assert!(is_asked(&calls), "{calls:?}");
    assert_eq!(there, watch.look_anew().await);
}

#[tokio::test]
async fn what_is_remembered_may_be_lost_spoilt_or_of_another_primary() {
    for spoil in ["", "{}", "[1"] {
        let mut watch = Watch::at_rest().await;
        watch.world.write(".antipode/primary.json", spoil);
        let (there, calls) = watch.look(10).await;
        assert!(is_asked(&calls), "{spoil:?}: {calls:?}");
        assert_eq!(there, watch.look_anew().await);
    }
    let mut watch = Watch::at_rest().await;
    let primary = watch.world.site.primaries.get_mut("fra").unwrap();
    primary.access = Access::Ssh { words: vec!["ssh".into(), "other".into()] };
    assert!(is_asked(&watch.look(10).await.1));
}

#[tokio::test]
async fn a_server_that_cannot_be_looked_at_fails_alone() {
    let mut watch = Watch::at_rest().await;
    watch.fake = watch.fake.clone().fault(Fault::Fail(Kind::PermissionDenied));
    let (there, calls) = watch.look(10).await;
    assert!(calls[2].starts_with("sync-info ") && calls[0] == calls[3] && calls[0] == look(), "{calls:?}");
    assert_eq!(there, watch.look_anew().await);
}

#[tokio::test]
async fn where_the_list_was_rewritten_sync_info_is_asked_for_all() {
    let mut watch = Watch::at_rest().await;
    watch.change(info(), ToOwned::to_owned);
    // The first is of the look, which a full file system here does not touch.
    watch.fake = watch.fake.clone().fault(Fault::FullAfter(0)).fault(Fault::Fail(Kind::CommandFailed));
    let calls = watch.look(10).await.1;
    assert_eq!(calls[2], "sync-info main");
}

#[tokio::test]
async fn what_a_long_list_came_to_is_remembered_and_may_be_lost_or_spoilt_at_any_moment() {
    let line = |n: u32| format!("00000009{:08X}{:08X}\t{n}\t1795352352.5\tgzip\tNone\n", n / 256, n % 256);
    let mut watch = Watch::new();
    watch.change(LIST, |lines| (0..8000).fold(lines.to_owned(), |lines, n| lines + &line(n)));
    watch.rest().await;
    let note = watch.world.home.path().join("main/.antipode/lists/note");
    let whole = fs::read(&note).unwrap();
    let mut spoilt = whole.clone();
    spoilt[whole.len() / 2] ^= 1;
    let stored = [whole.clone(), Vec::new(), whole[..99].to_vec(), spoilt];
    for ((stored, is_believed), n) in stored.iter().zip([true, false, false, false]).zip(8000..) {
        fs::write(&note, stored).unwrap();
        watch.change(LIST, |lines| lines.to_owned() + &line(n));
        assert_eq!(watch.look(10).await.0, watch.look_anew().await);
        assert_eq!(fs::read(&note).unwrap() == *stored, is_believed, "{} bytes", stored.len());
    }
    fs::write(&note, &whole).unwrap();
    watch.change(LIST, |lines| lines.replacen("\t7\t", "\t8\t", 1));
    assert_eq!(watch.look(10).await.0, watch.look_anew().await);
    assert_ne!(fs::read(&note).unwrap(), whole);
}
