//! `antipode restore` and `restore-wal` as programs, over the demo's site.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The demo's site after its apply.
struct Site {
    directory: TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self { directory: tempfile::tempdir().unwrap() };
        let (code, told) = site.antipode_in("", &["demo", "--keep", "kept"]);
        assert_eq!(code, 0, "{told}");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("kept").join(name)
    }

    /// The exit code of a command and all that it prints.
    fn antipode(&self, arguments: &[&str]) -> (i32, String) {
        self.antipode_in("kept", arguments)
    }

    fn antipode_in(&self, directory: &str, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_antipode"));
        command
            .args(arguments)
            .current_dir(self.directory.path().join(directory))
            .env_remove("ANTIPODE_FILE")
            .env_remove("COLUMNS");
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.code().unwrap(), text)
    }

    fn restore(&self, more: &[&str]) -> (i32, String) {
        self.antipode(&[&["restore", "main", "restored/data", "--tablespace", "side:restored/side"], more].concat())
    }

    /// The newest backup that is here.
    fn base(&self) -> PathBuf {
        let mut all: Vec<PathBuf> =
            fs::read_dir(self.path("lisbon/main/base")).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.sort();
        all.pop().unwrap()
    }
}

fn below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn all_files_of_the_newest_backup_are_there_and_recovery_is_told_where_its_wal_is() {
    let site = Site::new();
    let (code, told) = site.restore(&[]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("  recovers to ") && told.contains("proved by the manifest"), "{told}");
    assert!(told.contains("no drill has proved it so far"), "{told}");
    let (base, data) = (site.base().join("data"), site.path("restored/data"));
    for file in below(&base) {
        let to = data.join(file.strip_prefix(&base).unwrap());
        if to.file_name().unwrap() != "postgresql.auto.conf" {
            assert_eq!(fs::read(&file).unwrap(), fs::read(&to).unwrap(), "{}", to.display());
        }
    }
    let conf = fs::read_to_string(data.join("postgresql.auto.conf")).unwrap();
    assert!(conf.contains("restore-wal") && conf.contains("lisbon/main/wals %f %p'"), "{conf}");
    assert!(conf.contains("recovery_target_timeline = '") && data.join("recovery.signal").exists());
    // Nothing is written over, not even what it wrote itself.
    let (code, told) = site.restore(&[]);
    assert!(code == 1 && told.contains("is not empty"), "{told}");
}

#[test]
fn what_was_cut_off_goes_on_and_a_file_that_is_wrong_comes_again() {
    let site = Site::new();
    let id = site.base().file_name().unwrap().to_str().unwrap().to_owned();
    let data = site.path("restored/data");
    fs::create_dir_all(data.join("global")).unwrap();
    // As a kill left it: one file is there, and is wrong.
    let size = fs::metadata(site.base().join("data/global/pg_control")).unwrap().len();
    fs::write(data.join("global/pg_control"), vec![7; usize::try_from(size).unwrap()]).unwrap();
    let (code, told) = site.restore(&["--backup", &id]);
    assert!(code == 1 && told.contains("is not empty"), "{told}");
    let server = fs::canonicalize(site.path("lisbon/main")).unwrap();
    let mark = serde_json::json!({"server": server, "backup": id}).to_string();
    fs::write(site.path("restored/.data.antipode-restore"), mark).unwrap();
    let (code, told) = site.restore(&["--backup", &id]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("It was begun before"), "{told}");
    let control = |directory: &Path| fs::read(directory.join("global/pg_control")).unwrap();
    assert_eq!(control(&data), control(&site.base().join("data")));
    assert!(!site.path("restored/.data.antipode-restore").exists());
}

#[test]
fn a_backup_whose_file_changed_without_a_sign_is_not_called_restored() {
    let site = Site::new();
    let base = site.base().join("data");
    let file = below(&base).into_iter().find(|path| path.to_str().unwrap().contains("/data/base/")).unwrap();
    let (mut content, time) = (fs::read(&file).unwrap(), fs::metadata(&file).unwrap().modified().unwrap());
    content[0] ^= 1;
    fs::write(&file, content).unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
    let (code, told) = site.restore(&[]);
    assert!(code == 1 && told.contains("is not what its manifest says"), "{told}");
    assert!(!site.path("restored/data/recovery.signal").exists());
}

#[test]
fn what_cannot_be_reached_is_said_with_its_times() {
    let site = Site::new();
    for (more, said) in [
        (&["--to", "2020-01-01T00:00:00Z"][..], "which is after 2020-01-01 00:00:00Z"),
        (&["--to", "2999-01-01T00:00:00Z"], "which is before 2999-01-01 00:00:00Z"),
        (&["--backup", "20200101T000000"], "there is no backup 20200101T000000 here"),
        (&["--backup", "newest"], "is no id of a backup"),
        (&["--tablespace", "nowhere:/srv/x"], "has no tablespace 'nowhere'"),
    ] {
        let (code, told) = site.restore(more);
        assert!(code == 1 && told.contains(said), "{more:?}: {told}");
    }
    assert!(!site.path("restored").exists());
    let (code, told) = site.antipode(&["restore", "mian", "restored"]);
    assert!(code == 1 && told.contains("did you mean main?"), "{told}");
    let (code, told) = site.restore(&["--print"]);
    let command = told.lines().last().unwrap();
    assert!(
        code == 0 && command.starts_with("barman restore --target-tli ") && command.ends_with("restored/data"),
        "{told}"
    );
    assert!(!site.path("restored").exists());
}

#[test]
fn only_an_archive_that_is_there_and_has_no_such_file_ends_a_recovery() {
    let site = Site::new();
    let archive = site.path("lisbon/main/wals");
    let is_segment = |path: &PathBuf| path.file_name().unwrap().len() == 24 && path.parent() != Some(&archive);
    let segments: Vec<PathBuf> = below(&archive).into_iter().filter(is_segment).collect();
    let fetch = |archive: &str, name: &str| site.antipode(&["restore-wal", archive, name, "pg_wal"]);
    let (mut sizes, mut packed) = (Vec::new(), 0);
    for segment in &segments {
        let name = segment.file_name().unwrap().to_str().unwrap();
        let (code, told) = fetch("lisbon/main/wals", name);
        assert_eq!((code, told.as_str()), (0, ""), "{name}");
        sizes.push(fs::metadata(site.path("pg_wal")).unwrap().len());
        packed += usize::from(fs::metadata(segment).unwrap().len() < 1 << 20);
        let mut magic = [0; 2];
        fs::File::open(site.path("pg_wal")).unwrap().read_exact(&mut magic).unwrap();
        assert_eq!(magic[1] & 0xFE, 0xD0, "{name} is not decompressed");
    }
    assert!(packed > 0 && sizes.iter().all(|size| *size == 1 << 20), "{packed} {sizes:?}");
    let history = fetch("lisbon/main/wals", "00000002.history");
    assert_eq!(history, (0, String::new()));
    for missing in ["0000000100000000000000FF", "00000009.history", "nonsense"] {
        assert_eq!(fetch("lisbon/main/wals", missing), (1, String::new()), "{missing}");
    }
    let name = segments[0].file_name().unwrap().to_str().unwrap();
    let (code, told) = fetch("lisbon/unmounted/wals", name);
    assert!(code == 200 && told.contains("is it mounted?"), "{told}");
    let mut content = fs::read(&segments[0]).unwrap();
    content.truncate(content.len() / 2);
    fs::write(&segments[0], content).unwrap();
    let (code, told) = fetch("lisbon/main/wals", name);
    assert!(code == 200 && told.contains("is not what its name says"), "{told}");
}

/// Begins a file as GnuPG does, and keeps its size.
fn encrypt(path: &Path) {
    let mut content = fs::read(path).unwrap();
    content[..4].copy_from_slice(&[0x85, 0x02, 0x0c, 3]);
    fs::write(path, content).unwrap();
}

#[test]
fn a_segment_with_a_damaged_record_or_that_is_encrypted_stops_a_recovery_and_says_which() {
    let site = Site::new();
    let archive = site.path("lisbon/main/wals");
    let is_plain =
        |path: &PathBuf| path.file_name().unwrap().len() == 24 && fs::metadata(path).unwrap().len() == 1 << 20;
    let segment = below(&archive).into_iter().find(is_plain).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    let fetch = || site.antipode(&["restore-wal", "lisbon/main/wals", name, "pg_wal"]);
    let mut content = fs::read(&segment).unwrap();
    content[9000] ^= 1;
    fs::write(&segment, content).unwrap();
    let (code, told) = fetch();
    assert!(code == 200 && told.contains("is not what its name says: the record at "), "{told}");
    assert!(!site.path("pg_wal").exists());
    encrypt(&segment);
    let (code, told) = fetch();
    assert!(code == 200 && told.contains("is encrypted, and cannot be read without Barman's key"), "{told}");
}

#[test]
fn wal_on_the_way_that_is_listed_as_encrypted_is_told_before_anything_is_copied() {
    let site = Site::new();
    let archive = site.path("lisbon/main/wals");
    let list = archive.join("main-xlog.db");
    let text = fs::read_to_string(&list).unwrap();
    let is_segment = |line: &&str| line.split('\t').next().unwrap().len() == 24;
    let last = text.lines().rfind(is_segment).unwrap();
    let name = last.split('\t').next().unwrap();
    encrypt(&archive.join(&name[..16]).join(name));
    let listed: Vec<&str> = last.split('\t').collect();
    let listed = [&listed[..listed.len() - 1], &["gpg"]].concat().join("\t");
    fs::write(&list, text.replace(last, &listed)).unwrap();
    let (code, told) = site.restore(&[]);
    let expected =
        format!("1 WAL file on the way, from {name} on, is encrypted, and cannot be read without Barman's key");
    assert!(code == 1 && told.contains(&expected), "{told}");
    assert!(!site.path("restored").exists());
    let (code, told) = site.restore(&["--print"]);
    assert!(code == 0 && told.lines().last().unwrap().starts_with("barman restore "), "{told}");
    let (code, told) = site.restore(&["--immediate"]);
    assert_eq!(code, 0, "{told}");
}

#[test]
fn a_verification_without_time_is_no_good_word() {
    let site = Site::new();
    let (code, told) = site.antipode(&["verify", "main", "--max-time", "0s"]);
    assert!(code == 1 && told.contains("nothing was read, as the time was up"), "{told}");
    let (code, told) = site.antipode(&["verify", "main"]);
    assert_eq!(code, 0, "{told}");
    let (code, told) = site.antipode(&["verify", "main", "--max-time", "1h"]);
    assert_eq!(code, 0, "{told}");
}
