//! What real Barman versions wrote, read and written again by this crate.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use antipode::barman::backup_info::BackupInfo;
use antipode::barman::conf::BarmanConf;
use antipode::barman::identity::Identity;
use antipode::barman::ids::{BackupId, ServerName};
use antipode::barman::keep::Keep;
use antipode::barman::layout::{Layout, ServerDirs};
use antipode::barman::server_config::ServerConfig;
use antipode::barman::sync_info::listing::Listing;
use antipode::barman::sync_info::write::Answer;
use antipode::barman::sync_info::{Framed, SyncInfo, frame};
use antipode::barman::sync_wals::SyncWals;
use antipode::barman::version::BarmanVersion;
use antipode::barman::xlogdb::{ProblemKind, XlogDb, last_line_offset};

/// One directory of fixtures: a version of Barman with a version of PostgreSQL.
struct Case {
    path: PathBuf,
    version: BarmanVersion,
}

fn cases() -> Vec<Case> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let of = |version: &str, postgresql: &str| Case {
        path: fixtures.join(version).join(postgresql),
        version: version.parse().unwrap(),
    };
    vec![of("3.4.1", "pg15"), of("3.12.1", "pg15"), of("3.19.1", "pg15"), of("3.19.1", "pg17")]
}

impl Case {
    fn read(&self, path: &str) -> Vec<u8> {
        let path = self.path.join(path);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn server() -> ServerName {
        "main".parse().unwrap()
    }

    fn dirs(&self, role: &str) -> ServerDirs {
        ServerDirs::of_catalog(&self.path.join(role), Case::server())
    }

    fn backup_info(&self, role: &str, id: BackupId) -> Vec<u8> {
        fs::read(Layout::of(self.version).backup_info(&self.dirs(role), id)).unwrap()
    }

    fn xlogdb(&self, role: &str) -> Vec<u8> {
        fs::read(Layout::of(self.version).xlogdb(&self.dirs(role))).unwrap()
    }

    fn sync_info(&self, file: &str) -> SyncInfo {
        let stdout = self.read(&format!("primary/{file}"));
        let Ok(Framed::Json(json)) = frame(&stdout) else { panic!("{} has no JSON", self.path.display()) };
        SyncInfo::parse(json).unwrap()
    }
}

#[test]
fn a_backup_info_is_written_as_barman_wrote_it() {
    for case in cases() {
        for id in case.sync_info("sync-info.json").backups.into_keys() {
            for role in ["primary", "passive"] {
                let bytes = case.backup_info(role, id);
                let info = BackupInfo::parse(&bytes).unwrap();
                assert_eq!(info.write(), bytes);
                assert_eq!(info.check(), Ok(()), "{} {role} {id}", case.path.display());
            }
        }
    }
}

#[test]
fn sync_info_gives_the_backup_info_of_the_primary() {
    for case in cases() {
        for (id, info) in case.sync_info("sync-info.json").backups {
            let file = BackupInfo::parse(&case.backup_info("primary", id)).unwrap();
            assert_eq!(info.differing_keys(&file), Vec::<String>::new(), "{} {id}", case.path.display());
            assert_eq!(info.damages(), []);
        }
    }
}

/// Barman's own passive encodes two keys twice; but for those it is the example to follow.
#[test]
fn a_site_stores_what_barmans_passive_stores_without_its_damage() {
    for case in cases() {
        let backups = case.sync_info("sync-info.json").backups;
        let present: BTreeSet<BackupId> = backups.keys().copied().collect();
        for (id, info) in backups {
            let ours = info.for_site(&Case::server(), case.version, &present);
            let theirs = BackupInfo::parse(&case.backup_info("passive", id)).unwrap();
            assert!(theirs.damages().iter().any(|damage| damage.key == "backup_label"));
            assert_eq!(ours.differing_keys(&theirs.repaired()), Vec::<String>::new(), "{} {id}", case.path.display());
            let keys = |info: &BackupInfo| info.fields().map(|(key, _)| key.to_owned()).collect::<Vec<_>>();
            assert_eq!(keys(&ours), keys(&theirs));
        }
    }
}

#[test]
fn xlogdb_is_written_as_the_primary_wrote_it() {
    for case in cases() {
        let bytes = case.xlogdb("primary");
        let db = XlogDb::parse(&bytes);
        assert_eq!(db.problems(), []);
        assert_eq!(db.write(case.version), bytes, "{}", case.path.display());
    }
}

#[test]
fn lines_that_barmans_passive_doubled_are_found() {
    for case in cases() {
        let passive = XlogDb::parse(&case.xlogdb("passive"));
        let doubled = passive.problems().iter().any(|p| matches!(p.kind, ProblemKind::Doubled(_)));
        assert_eq!(doubled, case.version >= BarmanVersion::new(3, 19, 0), "{}", case.path.display());
    }
}

#[test]
fn sync_info_lists_what_is_in_xlogdb() {
    for case in cases() {
        let bytes = case.xlogdb("primary");
        let db = XlogDb::parse(&bytes);
        let info = case.sync_info("sync-info.json");
        assert_eq!(info.version, Some(case.version));
        assert_eq!(info.last_name, db.entries().last().map(|entry| entry.name));
        assert_eq!(Some(info.last_position), last_line_offset(&bytes));
        assert!(!info.wals.is_empty());
        for wal in &info.wals {
            assert_eq!(db.get(wal.name).as_ref(), Some(wal));
        }
        let later = case.sync_info("sync-info-after-000000010000000000000003.json");
        assert!(later.wals.len() < info.wals.len());
        assert!(!format!("{info:?}").contains("s3cret"));
    }
}

#[test]
fn an_inactive_server_is_told_from_an_error() {
    for case in cases() {
        let stdout = case.read("primary/sync-info-inactive.txt");
        assert_eq!(frame(&stdout), Ok(Framed::Inactive("Skipping inactive server 'main'".to_owned())));
        assert!(frame(&case.read("primary/sync-info-unknown.stderr")).is_err());
    }
}

#[test]
fn small_files_are_written_as_barman_wrote_them() {
    for case in cases() {
        let sync_wals = fs::read(case.dirs("passive").sync_wals_info()).unwrap();
        assert_eq!(SyncWals::parse(&sync_wals).map(SyncWals::write), Ok(sync_wals));
        let identity = fs::read(case.dirs("primary").identity()).unwrap();
        assert_eq!(Identity::parse(&identity).unwrap().write(), identity);
    }
}

#[test]
fn keep_annotations_are_where_each_version_puts_them() {
    for case in cases() {
        let dirs = case.dirs("primary");
        let layout = Layout::of(case.version);
        let ids = case.sync_info("sync-info.json").backups.into_keys();
        let kept: Vec<_> = ids.filter_map(|id| fs::read(layout.keep(&dirs, id)).ok()).collect();
        assert_eq!(kept.len(), 1, "{}", case.path.display());
        assert_eq!(Keep::parse(&kept[0]).unwrap().write(), kept[0]);
    }
}

/// The fixtures' sync-info was printed by the Barman that wrote their catalog; its configuration is left out here, as
/// the barman.conf is not kept.
#[test]
fn sync_info_is_printed_as_the_primary_printed_it() {
    for case in cases() {
        let expected = String::from_utf8(case.read("primary/sync-info.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&expected[expected.find("{\n").unwrap()..]).unwrap();
        let version = case.version;
        let conf = BarmanConf::parse("barman.conf", "[barman]\nbarman_home = /b\n[main]\n").unwrap();
        let config = ServerConfig::read(&conf, &Case::server(), version).unwrap().unwrap();
        let ids = case.sync_info("sync-info.json").backups.into_keys();
        let backups = ids.map(|id| (id, BackupInfo::parse(&case.backup_info("primary", id)).unwrap())).collect();
        let xlogdb = case.xlogdb("primary");
        let wals = Listing::read(&xlogdb, 0, None, &backups, version).unwrap();
        let mut printed = Vec::new();
        Answer { version, backups, wals, config: &config }.write(&mut printed).unwrap();
        let printed: serde_json::Value = serde_json::from_slice(&printed).unwrap();
        for key in ["last_position", "last_name", "backups", "wals", "version"] {
            assert_eq!(printed[key], expected[key], "{} {key}", case.path.display());
        }
        let keys = |answer: &serde_json::Value| {
            answer["config"].as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>()
        };
        assert_eq!(keys(&printed), keys(&expected), "{}", case.path.display());
    }
}
