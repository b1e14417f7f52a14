//! What is asked of a primary of which nothing is remembered, and that it does not matter where its list was supposed.

use super::*;
use crate::observe::catalog::Depth;

const VERSION: &str = "3.19.1/pg15";

/// What is observed, and what was done there for that.
async fn observe(world: &World, fake: &FakePrimary) -> (PrimaryInventory, Vec<String>) {
    let before = fake.calls().len();
    let there = active(world.observe_fake(fake).await);
    (there, fake.calls()[before..].to_vec())
}

/// How sync-info is asked for what comes after the last line of a primary's list.
fn asked_for_little(fake: &FakePrimary, list: &Path) -> String {
    let content = fake.content(list);
    let position = crate::barman::xlogdb::last_line_offset(&content).unwrap();
    let last = String::from_utf8(content).unwrap().lines().last().unwrap().split('\t').next().unwrap().to_owned();
    format!("sync-info main {last} {position}")
}

#[tokio::test]
async fn where_a_login_begins_in_barman_home_barman_need_not_tell_of_all_wal() {
    for (version, list) in [("3.4.1/pg15", "xlog.db"), ("3.12.1/pg15", "xlog.db"), (VERSION, "main-xlog.db")] {
        let elsewhere = observe(&World::new(), &primary(version)).await;
        let fake = primary(version).home(HOME);
        let (there, calls) = observe(&World::new(), &fake).await;
        assert_eq!(there, elsewhere.0, "{version}");
        assert_eq!(calls[..2], ["fetch ./main/wals".to_owned(), asked_for_little(&fake, &there_path(list))]);
        // The list came before Barman was asked, instead of after.
        let mut others = elsewhere.1;
        assert_eq!(others.remove(3), format!("fetch {HOME}/main/wals"));
        assert_eq!(calls[2..], others[2..], "{version}");
    }
}

/// What may lie where a login begins, and whether Barman is asked for all for it.
type Supposed = (&'static str, bool, fn(&FakePrimary) -> Vec<u8>);

const SUPPOSED: [Supposed; 6] = [
    ("an older list", false, |fake| {
        let list = String::from_utf8(fake.content(there_path("main-xlog.db"))).unwrap();
        list.split_inclusive('\n').take(2).collect::<String>().into_bytes()
    }),
    ("the list of another server", false, |_| format!("{WAL}\t5\t1.5\tNone\tNone\n").into_bytes()),
    ("an empty file", true, |_| Vec::new()),
    ("a line that is being written", true, |_| b"00000001".to_vec()),
    ("a compressed list", true, |_| vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, b'\n', 7]),
    ("a list that ends with no line of Barman's", true, |fake| {
        [fake.content(there_path("main-xlog.db")), b"junk\n".to_vec()].concat()
    }),
];

#[tokio::test]
async fn whatever_lies_where_a_login_begins_the_list_is_that_of_the_place_that_sync_info_tells() {
    let (right, _) = observe(&World::new(), &primary(VERSION)).await;
    for (what, all, content) in SUPPOSED {
        let fake = primary(VERSION);
        let lies = content(&fake);
        let fake = fake.home("/home/ops").file("/home/ops/main/wals/main-xlog.db", lies);
        let (there, calls) = observe(&World::new(), &fake).await;
        assert_eq!(there, right, "{what}");
        assert_eq!(calls[1] == "sync-info main", all, "{what}: {calls:?}");
        assert!(calls.contains(&format!("fetch {HOME}/main/wals")), "{what}: {calls:?}");
    }
}

#[tokio::test]
async fn a_list_that_grew_since_it_was_fetched_is_fetched_again() {
    let world = World::new();
    let fake = primary(VERSION).home("/home/ops");
    // The same list, a line and a second ago.
    let list = fake.content(there_path("main-xlog.db"));
    let fake = fake.file("/home/ops/main/wals/main-xlog.db", list.clone());
    fake.pass(5);
    let line = format!("{NEW}\t7\t1.0\tNone\tNone\n").into_bytes();
    let fake = fake.file(there_path("main-xlog.db"), [list, line].concat());
    let fake = fake.file(there(NEW.parse().unwrap()), "1234567");
    let (there, calls) = observe(&world, &fake).await;
    assert_eq!(there.wals.last().map(|entry| entry.name.to_string()).as_deref(), Some(NEW));
    assert_eq!(calls[3], format!("fetch {HOME}/main/wals"));
    assert_eq!(there, observe(&World::new(), &fake.clone().home("/")).await.0);
}

const NEW: &str = "00000002000000000000003F";

#[tokio::test]
async fn where_the_supposed_list_is_of_no_use_sync_info_is_asked_for_all() {
    let (right, _) = observe(&World::new(), &primary(VERSION)).await;
    for (fault, at) in [(Kind::PermissionDenied, 0), (Kind::NotFound, 0), (Kind::CommandFailed, 1)] {
        let mut fake = primary(VERSION).home(HOME);
        for _ in 0..at {
            // Nothing is that full.
            fake = fake.fault(Fault::FullAfter(u64::MAX));
        }
        let (there, calls) = observe(&World::new(), &fake.fault(Fault::Fail(fault))).await;
        assert_eq!(there, right, "{fault:?}");
        assert!(calls.iter().any(|call| call == "sync-info main"), "{fault:?}: {calls:?}");
    }
}

#[tokio::test]
async fn where_there_is_no_list_any_more_sync_info_is_asked_for_all_that_it_did_not_tell() {
    let fake = primary(VERSION);
    let list = fake.content(there_path("main-xlog.db"));
    let fake = fake.home("/home/ops").file("/home/ops/main/wals/main-xlog.db", list);
    fake.lose(there_path("main-xlog.db"));
    let (there, calls) = observe(&World::new(), &fake).await;
    assert_eq!(there, observe(&World::new(), &fake.clone().home("/")).await.0);
    assert_eq!(calls.iter().filter(|call| *call == "sync-info main").count(), 1, "{calls:?}");
}

#[tokio::test]
async fn a_refresh_and_a_new_server_ask_where_the_primary_is_known_to_have_its_files() {
    let mut world = World::new();
    fs::create_dir_all(world.home.path().join("main/.antipode")).unwrap();
    let fake = primary(VERSION);
    observe(&world, &fake).await;
    let (before, connections) = (fake.calls().len(), BTreeMap::from([("fra".into(), Ok(fake.connect()))]));
    let refreshed = active(world.observe_for(Purpose::Plan { refresh: true }, connections).await);
    let list = there_path("main-xlog.db");
    assert_eq!(fake.calls()[before..before + 2], [format!("fetch {HOME}/main/wals"), asked_for_little(&fake, &list)]);
    assert_eq!(refreshed, observe(&World::new(), &fake).await.0);

    let other: ServerName = "other".parse().unwrap();
    let replica = world.site.replicas.values().next().unwrap().clone();
    world.site.replicas.insert(other.clone(), Replica { name: other.clone(), server: other, ..replica });
    let before = fake.calls().len();
    world.observe_fake(&fake).await;
    assert!(fake.calls()[before..].contains(&format!("fetch {HOME}/other/wals")), "{:?}", fake.calls());
}

#[tokio::test]
async fn a_status_asks_as_a_plan_does_and_keeps_nothing() {
    let (world, fake) = (World::new(), primary(VERSION).home(HOME));
    let connections = BTreeMap::from([("fra".into(), Ok(fake.connect()))]);
    let there = active(world.observe_for(Purpose::Status { depth: Depth::Lists }, connections).await);
    assert_eq!(fake.calls()[1], asked_for_little(&fake, &there_path("main-xlog.db")));
    assert_eq!(there.wals, observe(&World::new(), &primary(VERSION)).await.0.wals);
    assert!(fs::read_dir(world.home.path()).unwrap().next().is_none());
}

#[tokio::test]
async fn an_archive_of_many_directories_is_listed_as_a_whole_when_all_moved() {
    for (directories, is_whole) in [(15, false), (16, true)] {
        let name = |log: u32| format!("00000001{log:08X}0000000{}", log % 8);
        let lines: String = (0..directories).map(|log| format!("{}\t5\t1.5\tNone\tNone\n", name(log))).collect();
        let paths: Vec<PathBuf> = (0..directories).map(|log| wal_path(name(log).parse().unwrap())).collect();
        let mut files: Vec<(&str, usize)> = paths.iter().map(|path| (path.to_str().unwrap(), 5)).collect();
        // What only the disk has, what is no WAL, and what is not at home.
        let odd = ["0000000100000001/0000000100000001000000FF", "0000000100000001/x", "0000000100000002/sub/x"];
        files.extend(odd.map(|path| (path, 7)));
        files.push(("00000002.history", 7));
        let world = World::new();
        fs::create_dir_all(world.home.path().join("main/.antipode")).unwrap();
        let fake = archive(&lines, &files);
        let (there, calls) = observe(&world, &fake).await;
        assert_eq!(calls.contains(&format!("list {HOME}/main/wals")), is_whole, "{calls:?}");
        assert_eq!((there.wals.len(), there.undescribed.len(), there.gone.len()), (directories as usize + 2, 2, 0));
        assert_eq!(there.histories.len(), 1);
    }
}
