//! Which version of Barman a replica is written for: the strictest reader of the catalog decides its form.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::barman::layout::VersionBounds;
use crate::barman::version::BarmanVersion;

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

/// Asks the Barman of this host; `None` when there is none, or it does not answer.
pub async fn installed() -> Option<BarmanVersion> {
    version_of("barman").await
}

async fn version_of(program: &str) -> Option<BarmanVersion> {
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
}
