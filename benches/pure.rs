//! The parts that only compute, on archives of a growing number of WAL files: `cargo bench --bench pure`. What grows
//! with the archive is to grow no faster than it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use divan::Bencher;
use divan::counter::ItemsCount;
use jiff::Timestamp;

use antipode::barman::conf::BarmanConf;
use antipode::barman::damage::DamageNote;
use antipode::barman::findings::Findings;
use antipode::barman::layout::ServerDirs;
use antipode::barman::server_config::ServerConfig;
use antipode::barman::sync_info::listing::Listing;
use antipode::barman::sync_info::write::Answer;
use antipode::barman::version::BarmanVersion;
use antipode::barman::wal::{Segment, Timeline, WalName};
use antipode::barman::wal_entry::{Mtime, WalEntry};
use antipode::barman::wal_map::WalMap;
use antipode::barman::xlogdb::XlogDb;
use antipode::observe::inventory::{
    Observation, Observed, PrimaryInventory, ReplicaInventory, ReplicaObservation, SiteBarman, XlogDbState,
};
use antipode::plan;
use antipode::site::{Site, load};

/// How many WAL files an archive has.
const SIZES: [u32; 3] = [10_000, 100_000, 1_000_000];
const VERSION: BarmanVersion = BarmanVersion::new(3, 19, 1);

const SITE: &str = "version: 1\nsite: lisbon\ncatalog: {path: /srv/lisbon}\n\
    primaries:\n  frankfurt: {path: /srv/frankfurt}\nreplicas:\n  main: {primary: frankfurt}\n";
const CONF: &str = "[barman]\nbarman_home = /srv/lisbon\n[main]\ndescription = main\nconninfo = host=pg\n";

fn main() {
    divan::main();
}

fn archive(files: u32) -> XlogDb {
    let entry = |n: u32| WalEntry {
        name: WalName::Segment(Segment { timeline: Timeline(1), log: n / 256, seg: n % 256 }),
        size: 200_000 + u64::from(n % 1000),
        mtime: Mtime::new(1_795_352_352.261_977_7 + f64::from(n) * 30.3).expect("it is finite"),
        compression: Some("gzip".parse().expect("a name")),
        encryption: None,
    };
    XlogDb::new((0..files).map(entry))
}

#[divan::bench(args = SIZES)]
fn xlogdb_is_read(bencher: Bencher, files: u32) {
    let text = archive(files).write(VERSION);
    bencher.counter(ItemsCount::new(files)).bench(|| XlogDb::parse(divan::black_box(&text)));
}

/// All that happens to it between the disk and the disk, under Barman's lock.
#[divan::bench(args = SIZES)]
fn xlogdb_gets_a_line(bencher: Bencher, files: u32) {
    let archive = archive(files);
    let text = archive.write(VERSION);
    let last = archive.entries().last().expect("there are some");
    let added = WalEntry { name: WalName::History(Timeline(2)), ..last };
    bencher
        .counter(ItemsCount::new(files))
        .bench(|| XlogDb::parse(divan::black_box(&text)).with([added]).write(VERSION));
}

#[divan::bench(args = SIZES)]
fn sync_info_is_written(bencher: Bencher, files: u32) {
    let text = archive(files).write(VERSION);
    let conf = BarmanConf::parse("barman.conf", CONF).expect("it is well formed");
    let config = ServerConfig::read(&conf, &"main".parse().expect("a name"), VERSION).expect("it is well formed");
    let config = config.expect("it has the server");
    bencher.counter(ItemsCount::new(files)).bench(|| {
        let backups = BTreeMap::new();
        let wals = Listing::read(divan::black_box(&text), 0, None, &backups, VERSION).expect("every line is good");
        Answer { version: VERSION, backups, wals, config: &config }.write(std::io::sink()).expect("it is written");
    });
}

/// Both ends have the same, or the site lacks the half that is newer.
#[divan::bench(args = SIZES, consts = [0, 50])]
fn a_replica_is_planned<const PERCENT_LACKING: u32>(bencher: Bencher, files: u32) {
    let site = load("antipode.yaml", SITE, None).expect("it is well formed").site;
    let observation = observation(&site, files, files - files / 100 * PERCENT_LACKING);
    let replicas: Vec<_> = site.replicas.values().cloned().collect();
    bencher
        .counter(ItemsCount::new(files))
        .bench(|| plan::plan(&site, &replicas, divan::black_box(&observation), Timestamp::UNIX_EPOCH));
}

fn observation(site: &Site, there: u32, here: u32) -> Observation {
    let replica = site.replicas.values().next().expect("it has one");
    let dirs = |home: &str| ServerDirs::of_catalog(Path::new(home), replica.name.clone());
    let lines = archive(here).into_entries();
    let primary = PrimaryInventory {
        barman: Some(VERSION),
        directories: dirs("/srv/frankfurt"),
        backups: BTreeMap::new(),
        wals: archive(there).into_entries(),
        gone: BTreeSet::new(),
        undescribed: BTreeMap::new(),
        pedigree: BTreeSet::new(),
        histories: BTreeMap::new(),
        last: None,
        notes: Vec::new(),
    };
    let here = ReplicaInventory {
        suspended: None,
        name: None,
        directories: dirs("/srv/lisbon"),
        exists: true,
        unreadable: false,
        barman: VERSION,
        backups: BTreeMap::new(),
        wals: lines.iter().map(|line| (line.name, line.size)).collect(),
        wals_looked_at: None,
        unsound: WalMap::new(),
        whole: BTreeMap::new(),
        xlogdb: XlogDbState { entries: lines, findings: Vec::new() },
        histories: BTreeMap::new(),
        sync_wals: None,
        staged: BTreeMap::new(),
        site_barman: SiteBarman::default(),
        rooms: None,
        other_site: None,
        identity: None,
        last_apply: None,
        damage: DamageNote::default(),
        verified: None,
        drills: antipode::barman::drill::Drills::default(),
        findings: Findings::default(),
        notes: Vec::new(),
    };
    let ends = ReplicaObservation { primary: Observed::Active(Box::new(primary)), replica: here };
    Observation { replicas: [(replica.name.clone(), ends)].into() }
}
