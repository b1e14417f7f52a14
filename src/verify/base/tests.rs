//! Bases of the demo, with their manifests and without, spoilt in one place each.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;
use crate::barman::layout::Layout;
use crate::demo::catalog;
use crate::store::{Place, Posix};
use crate::verify::control_file::ControlFile;
use crate::verify::filenode_map;

/// As the program of that suffix compresses it.
fn compressed(suffix: &str, plain: &[u8]) -> Vec<u8> {
    match suffix {
        ".gz" => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(plain).unwrap();
            gzip.finish().unwrap()
        }
        ".zst" => zstd::encode_all(plain, 1).unwrap(),
        ".lz4" => {
            let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
            lz4.write_all(plain).unwrap();
            lz4.finish().unwrap()
        }
        _ => plain.to_owned(),
    }
}

/// A base of a PostgreSQL 15 with one tablespace, and what its backup.info says.
struct Base {
    home: tempfile::TempDir,
    announced: Announced,
}

impl Base {
    fn with_manifest() -> Self {
        let home = tempfile::tempdir().unwrap();
        let summary = catalog::write(home.path()).unwrap();
        let (dirs, id) = (summary.directories, summary.backups[0]);
        let info = BackupInfo::parse(&fs::read(Layout::NEWEST.backup_info(&dirs, id)).unwrap()).unwrap();
        fs::rename(dirs.base(id), home.path().join("it")).unwrap();
        Self { home, announced: Announced { has_label: false, ..Announced::of(&info) } }
    }

    fn without_manifest() -> Self {
        let base = Self::with_manifest();
        base.remove(MANIFEST);
        base
    }

    /// The same as `pg_basebackup --format=tar` makes it.
    fn archived(suffix: &str) -> Self {
        let base = Self::with_manifest();
        let (root, packed) = (base.path(), base.home.path().join("packed/data"));
        fs::create_dir_all(&packed).unwrap();
        fs::rename(root.join(MANIFEST), packed.join("backup_manifest")).unwrap();
        fs::remove_file(root.join("data/pg_tblspc/16384")).unwrap();
        for (stem, from) in [("base", "data"), ("16384", "16384")] {
            let tar = Command::new("tar").arg("-c").arg("-C").arg(root.join(from)).arg(".").output().unwrap();
            assert!(tar.status.success());
            fs::write(packed.join(format!("{stem}.tar{suffix}")), compressed(suffix, &tar.stdout)).unwrap();
        }
        fs::remove_dir_all(&root).unwrap();
        fs::rename(base.home.path().join("packed"), &root).unwrap();
        let announced = Announced {
            size: Some(Root::new(&Posix::at(&root), Place::Server).bytes().unwrap()),
            packing: Packing::Compressed,
            ..base.announced
        };
        Self { announced, home: base.home }
    }

    fn path(&self) -> PathBuf {
        self.home.path().join("it")
    }

    fn remove(&self, path: &str) -> &Self {
        let path = self.path().join(path);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        self
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path().join(path), content).unwrap();
        self
    }

    fn with_root(&self, judge: impl FnOnce(Root<'_>) -> Result<Vec<Fault>, CatalogError>) -> Vec<String> {
        let faults = judge(Root::new(&Posix::at(&self.path()), Place::Server)).unwrap();
        faults.iter().map(|fault| format!("{}: {}", fault.path.display(), fault.what)).collect()
    }

    fn look(&self) -> Vec<String> {
        self.with_root(|root| look(root, &self.announced))
    }

    fn prove(&self) -> Vec<String> {
        self.with_root(|root| prove(root, &self.announced, &|| true))
    }

    /// What both find.
    #[track_caller]
    fn faults(&self) -> Vec<String> {
        let looked = self.look();
        assert_eq!(looked, self.prove());
        looked
    }
}

/// Writes a cluster that is as small as one can be, for a backup.info that says this; its files, as a manifest has them.
pub fn sketch(base: &Path, announced: &Announced) -> Vec<(String, usize)> {
    let release = announced.release.clone().unwrap_or_else(|| "15".to_owned());
    let control = ControlFile { system: announced.system.unwrap_or(SystemId(1)), version: 999, catalog: 202_209_061 };
    let mut files = vec![
        ("PG_VERSION".to_owned(), format!("{release}\n").into_bytes()),
        ("backup_label".to_owned(), b"START WAL LOCATION".to_vec()),
        ("global/pg_control".to_owned(), control.write(b"")),
        ("global/1262".to_owned(), vec![0; 8192]),
        ("global/pg_filenode.map".to_owned(), filenode_map::of_files(&[1262])),
        ("base/1/1259".to_owned(), vec![0; 8192]),
        ("base/1/PG_VERSION".to_owned(), format!("{release}\n").into_bytes()),
        ("base/1/pg_filenode.map".to_owned(), filenode_map::of_files(&[1259])),
        ("pg_xact/0000".to_owned(), vec![0; 8192]),
        ("pg_multixact/offsets/0000".to_owned(), vec![0; 8192]),
    ];
    files.extend(announced.tablespaces.iter().map(|oid| (format!("pg_tblspc/{oid}/PG_{release}_1/2"), vec![0; 8192])));
    let bytes: usize = files.iter().map(|(_, content)| content.len()).sum();
    let rest = usize::try_from(announced.size.unwrap_or(0)).unwrap().saturating_sub(bytes);
    for (path, content) in &files {
        let path = base.join(crate::verify::manifest::barman_path(Path::new(path)));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    fs::File::create(base.join("data/base/1/16400")).unwrap().set_len(rest as u64).unwrap();
    for directory in
        ["notify", "subtrans", "twophase", "serial", "snapshots", "logical", "replslot", "commit_ts", "wal"]
    {
        fs::create_dir_all(base.join(format!("data/pg_{directory}"))).unwrap();
    }
    for directory in ["data/pg_tblspc", "data/pg_multixact/members"] {
        fs::create_dir_all(base.join(directory)).unwrap();
    }
    let files = files.into_iter().map(|(path, content)| (path, content.len()));
    files.chain([("base/1/16400".to_owned(), rest)]).collect()
}

#[test]
fn a_whole_base_has_no_fault_with_a_manifest_or_without() {
    assert_eq!(Base::with_manifest().faults(), [] as [&str; 0]);
    assert_eq!(Base::without_manifest().faults(), [] as [&str; 0]);
}

#[test]
fn what_a_server_cannot_start_without_is_missed_by_name() {
    for gone in [
        "data/PG_VERSION",
        "data/global/pg_control",
        "data/global/pg_filenode.map",
        "data/global/1262",
        "data/base/1/PG_VERSION",
        "data/base/5/pg_filenode.map",
        "data/base/5/1259",
        "data/backup_label",
        "data/base",
        "data/global",
        "data/pg_notify",
        "data/pg_tblspc",
        "data/pg_twophase",
        "data/pg_replslot",
        "data/pg_wal",
        "data/pg_xact",
        "data/pg_multixact",
        "16384",
    ] {
        for base in [Base::with_manifest(), Base::without_manifest()] {
            let faults = base.remove(gone).faults();
            assert!(faults.iter().any(|fault| fault.starts_with(gone)), "{gone}: {faults:?}");
        }
    }
}

#[test]
fn an_emptied_base_is_no_backup() {
    for size in [None, Some(7 << 20)] {
        let mut base = Base::without_manifest();
        base.announced.size = size;
        for entry in fs::read_dir(base.path().join("data")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
        assert!(base.faults().contains(&"data/PG_VERSION: it is missing".to_owned()));
        base.write("data/PG_VERSION", "junk");
        assert!(base.faults().len() > 10);
    }
}

#[test]
fn what_is_of_another_cluster_is_told() {
    for base in [Base::with_manifest(), Base::without_manifest()] {
        let Base { announced, home } = base;
        for (announced, fault) in [
            (
                Announced { system: Some(SystemId(77)), ..announced.clone() },
                "data/global/pg_control: it is of system 7432190876543210987, and backup.info says 77",
            ),
            (
                Announced { release: Some("17".to_owned()), tablespaces: vec![], ..announced.clone() },
                "data/PG_VERSION: it is of PostgreSQL 15, and backup.info says 17",
            ),
            (Announced { tablespaces: vec![16384, 16400], ..announced.clone() }, "16400: it is missing"),
        ] {
            let base = Base { announced, home: tempfile::tempdir().unwrap() };
            assert!(
                Command::new("cp")
                    .arg("-a")
                    .arg(home.path().join("it"))
                    .arg(base.home.path())
                    .status()
                    .unwrap()
                    .success()
            );
            assert_eq!(base.faults(), [fault]);
        }
    }
}

#[test]
fn spoilt_content_of_the_right_size_is_seen_where_a_server_would_fail_first() {
    let base = Base::without_manifest();
    base.write("data/global/pg_control", [0; 8192]);
    assert_eq!(base.faults(), ["data/global/pg_control: it is no control file: it begins with other bytes"]);
    let base = Base::without_manifest();
    base.write("data/base/5/pg_filenode.map", [0; 512]);
    assert_eq!(base.faults(), ["data/base/5/pg_filenode.map: it is no whole map of the system catalogs"]);
    let base = Base::without_manifest();
    base.write("data/PG_VERSION", "9.6\n");
    assert!(base.faults()[0].starts_with("data/PG_VERSION: it is of PostgreSQL 9.6"));
}

#[test]
fn the_text_of_the_label_stands_for_the_file() {
    let mut base = Base::without_manifest();
    base.remove("data/backup_label").announced.has_label.then_some(()).ok_or(()).unwrap_err();
    assert_eq!(base.faults(), ["data/backup_label: it is missing, and its text is not in backup.info either"]);
    base.announced.has_label = true;
    assert_eq!(base.faults(), [] as [&str; 0]);
}

#[test]
fn a_base_without_most_of_its_bytes_is_no_backup() {
    let base = Base::without_manifest();
    base.remove("data/base/5/16385").remove("16384/PG_15_202209061/5/16395");
    let faults = base.faults();
    assert_eq!(faults.len(), 1);
    assert!(faults[0].contains("bytes in all, and backup.info says"), "{faults:?}");
}

#[test]
fn a_manifest_that_lists_one_file_is_none() {
    let base = Base::with_manifest();
    let manifest = crate::observe::catalog::tests::manifest(&[("PG_VERSION", 3)]);
    base.write(MANIFEST, manifest);
    let faults = base.look();
    for told in ["data/global/pg_control: backup_manifest does not list it", "data/base: no whole database"] {
        assert!(faults.iter().any(|fault| fault.contains(told)), "{told}: {faults:?}");
    }
}

#[test]
fn a_manifest_that_is_cut_off_or_changed_is_the_fault() {
    for spoil in [
        |text: String| text[..text.len() / 2].to_owned(),
        |text: String| text.replace("base/5", "base/6"),
        |_| String::new(),
    ] {
        let base = Base::with_manifest();
        let whole = fs::read_to_string(base.path().join(MANIFEST)).unwrap();
        base.write(MANIFEST, spoil(whole));
        let faults = base.faults();
        assert!(faults.len() == 1 && faults[0].starts_with(MANIFEST), "{faults:?}");
    }
}

#[test]
fn a_link_is_no_file_and_no_directory() {
    for name in ["data/PG_VERSION", "data/pg_notify", "data/pg_wal", "data/base/1"] {
        let base = Base::without_manifest();
        fs::rename(base.path().join(name), base.home.path().join("elsewhere")).unwrap();
        symlink(base.home.path().join("elsewhere"), base.path().join(name)).unwrap();
        let faults = base.faults();
        // A database that is not there may have been dropped: only its bytes are missed.
        assert!(name == "data/base/1" || faults.iter().any(|fault| fault.starts_with(name)), "{name}: {faults:?}");
    }
}

#[test]
fn an_incremental_backup_has_changes_under_other_names() {
    let base = Base::without_manifest();
    for directory in ["global", "base/1", "base/5"] {
        for number in ["1262", "1259"] {
            let at = |name: String| base.path().join("data").join(directory).join(name);
            let _absent = fs::rename(at(number.to_owned()), at(format!("INCREMENTAL.{number}")));
        }
    }
    assert_eq!(base.faults(), [] as [&str; 0]);
}

#[test]
fn archives_are_read_to_the_end_before_they_are_believed() {
    for suffix in ["", ".gz", ".zst", ".lz4"] {
        let base = Base::archived(suffix);
        assert_eq!(base.faults(), [] as [&str; 0], "{suffix}");
        let archive = format!("data/base.tar{suffix}");
        let whole = fs::read(base.path().join(&archive)).unwrap();
        base.write(&archive, &whole[..whole.len() - whole.len() / 50]);
        let faults = base.prove();
        assert!(faults.len() == 1 && faults[0].starts_with(&archive), "{suffix}: {faults:?}");
        base.write(&archive, "x".repeat(whole.len()));
        assert!(base.faults()[0].starts_with(&archive), "{suffix}");
        base.write(&archive, "");
        assert_eq!(base.faults()[0], format!("{archive}: it is empty"));
        base.remove(&archive);
        assert_eq!(base.faults()[0], "data/base.tar: it is missing");
    }
}

#[test]
fn an_archive_without_a_cluster_is_no_backup() {
    let base = Base::archived("");
    let root = base.home.path().join("junk");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("PG_VERSION"), "15\n").unwrap();
    let mut tar = Command::new("tar");
    assert!(
        tar.arg("-cf").arg(base.path().join("data/base.tar")).arg("-C").arg(&root).arg(".").status().unwrap().success()
    );
    let unannounced = Base { announced: Announced { size: None, ..base.announced.clone() }, home: base.home };
    let faults = unannounced.prove();
    assert!(faults.iter().any(|fault| fault.contains("data/global/pg_control: it is missing")), "{faults:?}");
    unannounced.remove(MANIFEST);
    assert!(!unannounced.prove().is_empty());
}

#[test]
fn encrypted_archives_need_only_be_there() {
    let base = Base::archived(".gz");
    let data = base.path().join("data");
    for stem in ["base", "16384"] {
        fs::remove_file(data.join(format!("{stem}.tar.gz"))).unwrap();
        fs::write(data.join(format!("{stem}.tar.gz.gpg")), b"\x85\x02\x0c").unwrap();
    }
    let base = Base { announced: Announced { packing: Packing::Encrypted, ..base.announced.clone() }, home: base.home };
    assert_eq!(base.faults(), [] as [&str; 0]);
    base.write("data/16384.tar.gz.gpg", "");
    assert_eq!(base.faults(), ["data/16384.tar.gz.gpg: it is empty"]);
}

#[test]
fn a_cloud_snapshot_has_no_files() {
    let announced = Announced { is_snapshot: true, size: Some(1 << 40), ..Announced::default() };
    assert_eq!(look(Root::new(&Posix::at(Path::new("/nowhere")), Place::Server), &announced).unwrap(), []);
}

#[test]
fn releases_are_written_as_in_pg_version() {
    for (version, text) in [(150_018, "15"), (170_000, "17"), (90_603, "9.6"), (90_000, "9.0"), (180_001, "18")] {
        assert_eq!(release(version), text);
    }
}
