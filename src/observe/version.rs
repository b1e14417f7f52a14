//! Which version of Barman a replica is written for: the strictest reader of the catalog decides its form.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::catalog::looks::{Mark, Marker};
use crate::barman::layout::VersionBounds;
use crate::barman::version::BarmanVersion;
use crate::store::home;
use crate::store::program::{self, Program};

/// What is assumed when nothing tells: the newest version whose formats are known.
pub const NEWEST: BarmanVersion = BarmanVersion::new(3, 19, 1);

/// The last versions before a change of the layout, newest first.
const LAST_BEFORE: [BarmanVersion; 2] = [BarmanVersion::new(3, 13, 1), BarmanVersion::new(3, 12, 1)];

/// A plain start of Barman takes half a second; a host that is busy with a restore is given more.
const PATIENCE: Duration = Duration::from_secs(20);

/// What may tell the version, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VersionSigns {
    /// The site file says so.
    pub declared: Option<BarmanVersion>,
    /// `barman --version` at the site says so.
    pub installed: Option<BarmanVersion>,
    /// What the replica's files tell.
    pub disk: VersionBounds,
    /// The primary's version.
    pub primary: Option<BarmanVersion>,
}

impl VersionSigns {
    /// The version to write for. The disk gives bounds only: within them the primary's version is the best guess.
    pub fn decide(self) -> BarmanVersion {
        if let Some(known) = self.declared.or(self.installed) {
            return known;
        }
        let guess = self.primary.or_else(|| likely(self.disk)).unwrap_or(NEWEST);
        if is_within(guess, self.disk) { guess } else { likely(self.disk).unwrap_or(guess) }
    }
}

/// The version that a catalog with these bounds is taken for; `None` when they say nothing.
pub fn likely(bounds: VersionBounds) -> Option<BarmanVersion> {
    let last = bounds.before.and_then(|before| LAST_BEFORE.into_iter().find(|version| *version < before));
    last.or(bounds.at_least)
}

fn is_within(version: BarmanVersion, bounds: VersionBounds) -> bool {
    bounds.at_least.is_none_or(|first| version >= first) && bounds.before.is_none_or(|end| version < end)
}

/// The program of that name.
const BARMAN: &str = "barman";
/// Where its version is noted from one run to the next, in the catalog's own directory.
const NOTE: &str = "barman.json";

/// Asks the Barman of this host; `None` when there is none, or it does not answer.
pub async fn installed() -> Option<BarmanVersion> {
    version_of(BARMAN).await
}

/// How long what an earlier run was told is believed, and whether what this one is told is kept.
#[derive(Debug, Clone, Copy)]
pub struct Believing {
    /// Nothing is for no time.
    pub for_long: Duration,
    /// Whether it is noted for the next run.
    pub keeps: bool,
    /// The time of this run.
    pub now: Timestamp,
}

/// The same for the Barman that reads a catalog, unless it is the same program that told an earlier run its version: the
/// start of a Barman takes longer than all else of a plan that finds nothing to do.
pub async fn remembered(catalog: &Path, believing: Believing) -> Option<BarmanVersion> {
    remembered_in(&env::var_os("PATH").unwrap_or_default(), catalog, believing).await
}

async fn remembered_in(directories: &OsStr, catalog: &Path, believing: Believing) -> Option<BarmanVersion> {
    let (directories, home) = (directories.to_owned(), catalog.to_owned());
    let found = spawn_blocking(move || {
        let program = program::find(BARMAN, &directories)?;
        let noted = home::noted(&home, NOTE).and_then(|noted| serde_json::from_slice::<Told>(&noted).ok());
        Some((program, noted))
    });
    let Some((program, noted)) = found.await.ok()? else { return installed().await };
    let mark = mark(&program, believing.now);
    if let Some(noted) = noted.filter(|noted| noted.is_believed(&program.path, mark, believing)) {
        return Some(noted.version);
    }
    let version = version_of(&program.path).await?;
    if believing.keeps
        && let Some(mark) = mark
    {
        let told = Told { program: program.path, mark: mark.to_bytes(), at: believing.now, version };
        let home = catalog.to_owned();
        spawn_blocking(move || told.keep(&home)).await.ok()?;
    }
    Some(version)
}

fn mark(program: &Program, now: Timestamp) -> Option<Mark> {
    let mut marker = Marker::default();
    marker.add_stamp(Some(program.stamp));
    marker.mark(now)
}

/// What a Barman told of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    program: PathBuf,
    mark: [u8; 8],
    at: Timestamp,
    version: BarmanVersion,
}

impl Told {
    fn is_believed(&self, program: &Path, mark: Option<Mark>, believing: Believing) -> bool {
        let age = Duration::try_from(believing.now.duration_since(self.at));
        let is_recent = age.is_ok_and(|age| age < believing.for_long);
        is_recent && self.program == program && mark.is_some_and(|mark| mark.to_bytes() == self.mark)
    }

    fn keep(&self, catalog: &Path) {
        // Nothing but a path that is no text can fail to be written; without the note it is asked again.
        let written = serde_json::to_vec(self).map_err(std::io::Error::from);
        if let Err(error) = written.and_then(|told| home::note(catalog, NOTE, &told)) {
            tracing::debug!("the version of Barman is not remembered: {error}");
        }
    }
}

async fn version_of(program: impl AsRef<OsStr>) -> Option<BarmanVersion> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    if output.status.success() { parse_version(&String::from_utf8_lossy(&output.stdout)) } else { None }
}

/// Finds the version in `3.19.1 Barman by EnterpriseDB (www.enterprisedb.com)`; older ones put the name first. This
/// program may be installed under Barman's name, and is no Barman all the same.
fn parse_version(stdout: &str) -> Option<BarmanVersion> {
    if !stdout.to_lowercase().contains("barman") {
        return None;
    }
    stdout.split_whitespace().find_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_strongest_sign_decides() {
        // declared, installed, on disk at least and before, at the primary: written for
        for (case, expected) in [
            (["3.4.1", "3.12.1", "3.14", "", "3.19.1"], "3.4.1"),
            (["", "3.12.1", "3.14", "", "3.19.1"], "3.12.1"),
            (["", "", "3.14", "", "3.19.1"], "3.19.1"),
            (["", "", "3.14", "", "3.12.1"], "3.14.0"),
            (["", "", "3.14", "", ""], "3.14.0"),
            (["", "", "", "3.13", "3.19.1"], "3.12.1"),
            (["", "", "", "3.13", "3.4.1"], "3.4.1"),
            (["", "", "3.13", "3.13.2", "3.19.1"], "3.13.1"),
            (["", "", "3.13", "3.13.2", "3.13.0"], "3.13.0"),
            (["", "", "", "", "3.12.1"], "3.12.1"),
            (["", "", "", "", ""], "3.19.1"),
        ] {
            let [declared, installed, at_least, before, primary] = case.map(|text| text.parse().ok());
            let disk = VersionBounds { at_least, before };
            let signs = VersionSigns { declared, installed, disk, primary };
            assert_eq!(signs.decide().to_string(), expected, "{case:?}");
        }
    }

    #[test]
    fn the_version_is_found_in_what_barman_prints() {
        for (text, version) in [
            ("3.19.1 Barman by EnterpriseDB (www.enterprisedb.com)\n", Some("3.19.1")),
            ("barman 2.19\n", Some("2.19.0")),
            ("barman without a version\n", None),
            ("antipode 0.1.0\n", None),
        ] {
            assert_eq!(parse_version(text).map(|v| v.to_string()).as_deref(), version);
        }
    }

    #[tokio::test]
    async fn a_host_without_barman_is_no_error() {
        assert_eq!(version_of("antipode-no-such-program").await, None);
    }

    /// A catalog, and a Barman of which every start is counted.
    struct Ground(tempfile::TempDir);

    impl Ground {
        fn new() -> Self {
            let ground = Self(tempfile::tempdir().unwrap());
            fs::create_dir(ground.0.path().join(".antipode")).unwrap();
            ground.install("3.12.1");
            ground
        }

        fn install(&self, version: &str) {
            let program = self.0.path().join("barman");
            let script = format!("#!/bin/sh\necho . >> {}/starts\necho {version} Barman\n", self.0.path().display());
            fs::write(&program, script).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }

        /// What a run some hours later finds, and how often a Barman was started until then.
        async fn ask(&self, hours: i64, for_hours: u64, keeps: bool) -> (String, usize) {
            let now = Timestamp::now() + jiff::SignedDuration::from_hours(hours);
            let believing = Believing { for_long: Duration::from_secs(3600 * for_hours), keeps, now };
            let version = remembered_in(self.0.path().as_os_str(), self.0.path(), believing).await.unwrap();
            let starts = fs::read_to_string(self.0.path().join("starts")).unwrap_or_default().lines().count();
            (version.to_string(), starts)
        }
    }

    #[tokio::test]
    async fn the_same_program_is_not_asked_again_for_as_long_as_it_is_believed() {
        let ground = Ground::new();
        let told = |version: &str, starts| (version.to_owned(), starts);
        assert_eq!(ground.ask(1, 24, false).await, told("3.12.1", 1));
        assert_eq!(ground.ask(1, 24, true).await, told("3.12.1", 2), "nothing was kept");
        assert_eq!(ground.ask(24, 24, true).await, told("3.12.1", 2));
        assert_eq!(ground.ask(25, 24, true).await, told("3.12.1", 3), "too long ago");
        assert_eq!(ground.ask(25, 0, true).await, told("3.12.1", 4), "nothing is believed");
        ground.install("3.19.1");
        assert_eq!(ground.ask(26, 24, true).await, told("3.19.1", 5), "another program");
        fs::write(ground.0.path().join(".antipode/barman.json"), "{").unwrap();
        assert_eq!(ground.ask(26, 24, true).await, told("3.19.1", 6), "spoilt");
        assert_eq!(ground.ask(0, 24, true).await, told("3.19.1", 7), "it changed a moment ago");
    }
}
