//! Whether this machine's rsync can be used against it by a primary that was taken over.
//!
//! Its version alone does not tell: distributions mend faults and keep the version. What they mended is in the changelog of
//! the package, by the numbers of the faults, and that is what is looked at. Where there is none to be read, nothing is
//! taken for mended.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::GzDecoder;
use tokio::process::Command;

use crate::error::{Error, Kind};

use super::version::{self, Version};

/// What whoever sends can do to whoever receives, with the version that was the first without it; from rsync's own NEWS. Left
/// out are faults of a daemon and of options that are not used here.
const FAULTS: [(&str, Version); 7] = [
    // Writes files that were not asked for.
    ("CVE-2022-29154", Version([3, 2, 5])),
    // Reads files of the receiver.
    ("CVE-2024-12086", Version([3, 4, 0])),
    // Writes outside of the directory.
    ("CVE-2024-12087", Version([3, 4, 0])),
    // Gets links that lead out past --safe-links.
    ("CVE-2024-12088", Version([3, 4, 0])),
    // Reads memory, where bytes are compressed.
    ("CVE-2026-43618", Version([3, 4, 3])),
    // Ends the receiver.
    ("CVE-2026-43620", Version([3, 4, 3])),
    // Writes memory.
    ("CVE-2026-70458", Version([3, 5, 0])),
];

/// More of a changelog is not read.
const LONGEST: u64 = 16 << 20;

/// Longer is not waited for what a package manager says.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be known of this machine's rsync before files of somebody else are received with it: that faults are known
/// of its version, and nothing here shows that they were mended. `None` also where there is no rsync that would do, which is
/// told when it is needed.
pub(in crate::transport) async fn doubt() -> Option<Error> {
    let version = version::local().await.ok()?;
    if faults(version, "").is_empty() {
        return None;
    }
    let changelog = changelog().await;
    let open = faults(version, changelog.as_deref().unwrap_or_default());
    (!open.is_empty()).then(|| doubted(version, &open, changelog.is_some()))
}

/// The faults of a version that the changelog of its package does not name as mended.
fn faults(version: Version, changelog: &str) -> Vec<&'static str> {
    let is_open = |(name, mended): &(&'static str, Version)| version < *mended && !names(changelog, name);
    FAULTS.iter().filter(|fault| is_open(fault)).map(|(name, _)| *name).collect()
}

/// Whether a text has this name, and not as the beginning of a longer one.
fn names(text: &str, name: &str) -> bool {
    text.split(name).skip(1).any(|behind| !behind.starts_with(|c: char| c.is_ascii_digit()))
}

fn doubted(Version([major, minor, patch]): Version, open: &[&str], is_packaged: bool) -> Error {
    let looked = if is_packaged { "its package names no remedy" } else { "no package shows a remedy" };
    let message = format!(
        "a primary that was taken over could use rsync {major}.{minor}.{patch} against this site: {looked} for {}",
        open.join(", ")
    );
    Error::new(Kind::ProgramTooOld, message)
        .hint("upgrade rsync at this site to 3.5.0 or newer, or to a package of your distribution whose changelog names these")
}

/// The changelog of the package that the rsync of this machine is of.
async fn changelog() -> Option<String> {
    let program = program(&env::var_os("PATH")?)?;
    match debian(&program).await {
        Some(changelog) => Some(changelog),
        None => said(Command::new("rpm").args(["-q", "--changelog", "-f"]).arg(&program)).await,
    }
}

/// The file behind the name `rsync`.
fn program(path: &OsStr) -> Option<PathBuf> {
    let is_program = |file: &PathBuf| {
        fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    env::split_paths(path).map(|directory| directory.join("rsync")).find(is_program)?.canonicalize().ok()
}

/// That of Debian, Ubuntu and their like, where minimal images leave it out.
async fn debian(program: &Path) -> Option<String> {
    let owner = said(Command::new("dpkg-query").arg("--search").arg(program)).await?;
    let directory = Path::new("/usr/share/doc").join(package(&owner, program)?);
    super::blocking(move || {
        let mut text = String::new();
        let read = File::open(directory.join("changelog.Debian.gz"))
            .and_then(|file| GzDecoder::new(file).take(LONGEST).read_to_string(&mut text));
        Ok(read.is_ok().then_some(text))
    })
    .await
    .ok()
    .flatten()
}

/// The package of a file, from `rsync: /usr/bin/rsync` or `rsync:amd64: /usr/bin/rsync`.
fn package<'a>(owner: &'a str, file: &Path) -> Option<&'a str> {
    let line = owner.lines().find_map(|line| line.strip_suffix(file.to_str()?)?.strip_suffix(": "))?;
    let name = line.split(':').next()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    (!name.is_empty() && !name.starts_with('.') && name.chars().all(is_plain)).then_some(name)
}

/// What a program says that is there and succeeds.
async fn said(command: &mut Command) -> Option<String> {
    let output = command.env("LC_ALL", "C").stdin(std::process::Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, output).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Debian's 3.2.7-1+deb12u1 to u5 have it.
    const BOOKWORM: &str = "    - CVE-2026-43618: Integer overflow in compressed-token decoder (info\n\
        - CVE-2026-43620: Out-of-bounds array read in receiver recv_files()\n\
        * refuse fuzzy options when fuzzy not selected (CVE-2024-12086)\n\
        * Refuse a duplicate dirlist. (CVE-2024-12087)\n  * make --safe-links stricter (CVE-2024-12088)\n";
    /// As a package of Red Hat's might.
    const LATER: &str = "- Resolves: CVE-2026-70458 rsync: out-of-bounds write\n";

    #[test]
    fn a_fault_is_open_until_its_version_or_the_changelog_of_its_package_says_otherwise() {
        let all = [
            "CVE-2022-29154",
            "CVE-2024-12086",
            "CVE-2024-12087",
            "CVE-2024-12088",
            "CVE-2026-43618",
            "CVE-2026-43620",
            "CVE-2026-70458",
        ];
        let both = format!("{BOOKWORM}{LATER}");
        for (version, changelog, expected) in [
            ([3, 5, 0], "", &all[7..]),
            ([4, 0, 0], "", &all[7..]),
            ([3, 4, 4], "", &all[6..]),
            ([3, 4, 1], "", &all[4..]),
            ([3, 2, 7], "", &all[1..]),
            ([3, 2, 3], "", &all[..]),
            ([3, 2, 7], BOOKWORM, &all[6..]),
            ([3, 4, 4], LATER, &all[7..]),
            ([3, 2, 7], &both, &all[7..]),
            ([3, 2, 3], &both, &all[..1]),
            // Another fault, and none.
            ([3, 4, 4], "CVE-2026-704580", &all[6..]),
            ([3, 4, 4], "CVE-2026-704580, CVE-2026-70458", &all[7..]),
            ([3, 4, 4], "New upstream release, fixing 33 CVEs", &all[6..]),
        ] {
            assert_eq!(faults(Version(version), changelog), expected, "{version:?} {changelog:?}");
        }
    }

    #[test]
    fn nothing_is_called_mended_that_was_not_looked_at() {
        let open = ["CVE-2026-70458"];
        let message = |is_packaged| doubted(Version([3, 4, 1]), &open, is_packaged).message;
        assert_eq!(
            message(false),
            "a primary that was taken over could use rsync 3.4.1 against this site: no package shows a remedy for CVE-2026-70458"
        );
        assert!(message(true).ends_with("against this site: its package names no remedy for CVE-2026-70458"));
    }

    #[test]
    fn the_package_of_a_program_is_read_off_what_the_package_manager_says() {
        for (owner, expected) in [
            ("rsync: /usr/bin/rsync\n", Some("rsync")),
            ("rsync:amd64: /usr/bin/rsync\n", Some("rsync")),
            ("diversion by other from: /usr/bin/rsync\nrsync: /usr/bin/rsync\n", None),
            ("rsync-doc: /usr/share/doc/usr/bin/rsync\n", None),
            ("../../etc: /usr/bin/rsync\n", None),
            (": /usr/bin/rsync\n", None),
            ("", None),
        ] {
            assert_eq!(package(owner, Path::new("/usr/bin/rsync")), expected, "{owner}");
        }
    }

    #[test]
    fn the_program_is_the_first_of_its_name_that_can_be_run() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        for name in ["a", "b", "c"] {
            fs::create_dir(home.join(name)).unwrap();
        }
        fs::write(home.join("a/rsync"), "no program").unwrap();
        fs::set_permissions(home.join("a/rsync"), fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(home.join("c/other"), "").unwrap();
        fs::set_permissions(home.join("c/other"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("../c/other", home.join("b/rsync")).unwrap();
        let path = env::join_paths(["a", "b", "c"].map(|name| home.join(name))).unwrap();
        assert_eq!(program(&path), Some(home.join("c/other")));
        assert_eq!(program(home.join("a").as_os_str()), None);
    }
}
