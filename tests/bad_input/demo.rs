//! The demo's catalog, made once for all tests: without the checksums of files, which take a debug build seconds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use antipode::demo::catalog::{self, PrimaryCatalog};
use antipode::verify::checksum::{Algorithm, Checksum};

static WHOLE: LazyLock<PathBuf> = LazyLock::new(|| make("whole", |home| drop(catalog::write(home).unwrap())));
static FIRST_DAY: LazyLock<PathBuf> = LazyLock::new(|| {
    make("first-day", |home| drop(PrimaryCatalog::create(home, "main").unwrap().first_day().unwrap()))
});

fn make(name: &str, write: impl Fn(&Path)) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bad-input-{name}"));
    let _absent = fs::remove_dir_all(&home);
    write(&home);
    for base in fs::read_dir(home.join("main/base")).unwrap() {
        let manifest = base.unwrap().path().join("data/backup_manifest");
        let text = fs::read_to_string(&manifest).unwrap();
        let entries = text.lines().map(|line| match line.split_once(", \"Checksum-Algorithm\"") {
            Some((entry, rest)) => format!("{entry} }}{}\n", if rest.ends_with(',') { "," } else { "" }),
            None => format!("{line}\n"),
        });
        fs::write(&manifest, sealed(&entries.collect::<String>())).unwrap();
    }
    home
}

/// A manifest with the checksum of itself made anew.
pub fn sealed(manifest: &str) -> String {
    let (text, _) = manifest.split_once("\"Manifest-Checksum\"").unwrap();
    let checksum = Checksum::of(Algorithm::Sha256, text.as_bytes()).unwrap();
    format!("{text}\"Manifest-Checksum\": \"{checksum}\"}}\n")
}

/// Makes a `barman_home` whose server `main` has two backups and a promotion between them.
pub fn write_whole(home: &Path) {
    fs::create_dir(home).unwrap();
    copy(&WHOLE.join("main"), &home.join("main"));
}

/// Makes a server with one backup in a `barman_home`.
pub fn write_first_day(home: &Path, server: &str) {
    fs::create_dir_all(home).unwrap();
    copy(&FIRST_DAY.join("main"), &home.join(server));
    let wals = home.join(server).join("wals");
    if server != "main" {
        fs::rename(wals.join("main-xlog.db"), wals.join(format!("{server}-xlog.db"))).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["-a", "--reflink=auto", "-T"]).arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}
