//! Whether this machine's rsync will do.

use std::io;
use std::path::Path;

use crate::error::{Error, Kind};

/// Three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) [u32; 3]);

/// The oldest that is known to work.
const OLDEST: Version = Version([3, 2, 3]);

/// From this one on rsync quotes paths for the remote shell by itself.
pub(super) const QUOTES: Version = Version([3, 2, 4]);

/// From this one on it is known to quote a backtick too: 3.2.7 hands that on, and the shell at the primary would run what
/// stands between two of them.
const QUOTES_BACKTICKS: Version = Version([3, 5, 0]);

/// From this one on rsync can be told to say nothing of what is no regular file.
pub(super) const NONREG: Version = Version([3, 2, 4]);

impl Version {
    /// Whether a directory reaches the primary under its name. Before [`QUOTES`] we quote it ourselves.
    pub(super) fn can_name(self, directory: &Path) -> bool {
        let is_quoted = self < QUOTES || self >= QUOTES_BACKTICKS;
        is_quoted || !directory.as_os_str().as_encoded_bytes().contains(&b'`')
    }
}

/// Asks the rsync of this machine.
pub(super) async fn local() -> Result<Version, Error> {
    let output = super::rsync().arg("--version").output().await.map_err(|error| not_runnable(&error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let first = text.lines().next().unwrap_or_default();
    match parse(first) {
        Some(version) if version >= OLDEST => Ok(version),
        found => Err(too_old(found, first)),
    }
}

/// rsync could not be started.
pub(super) fn not_runnable(error: &io::Error) -> Error {
    let message = format!("`rsync` cannot be run on this machine: {error}");
    Error::new(Kind::ProgramMissing, message).hint("install rsync 3.2.3 or newer")
}

fn too_old(found: Option<Version>, line: &str) -> Error {
    let found = match found {
        Some(Version([major, minor, patch])) => format!("is {major}.{minor}.{patch}"),
        None => format!("calls itself {:?}", line.chars().take(80).collect::<String>()),
    };
    let message = format!("the rsync of this machine {found}; 3.2.3 or newer is needed");
    Error::new(Kind::ProgramTooOld, message).hint("upgrade rsync")
}

/// From `rsync  version 3.2.7  protocol version 31`.
fn parse(line: &str) -> Option<Version> {
    let mut words = line.split_whitespace();
    if (words.next()?, words.next()?) != ("rsync", "version") {
        return None;
    }
    let mut numbers = words.next()?.trim_start_matches('v').split('.').map(|part| {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..digits].parse().ok()
    });
    Some(Version([numbers.next()??, numbers.next()??, numbers.next().flatten().unwrap_or(0)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse("rsync  version 3.5.0  protocol version 32"), Some(Version([3, 5, 0])));
        assert_eq!(parse("rsync  version v3.2.7pre1  protocol version 31"), Some(Version([3, 2, 7])));
        assert_eq!(parse("openrsync: protocol version 29"), None);
        assert!(parse("rsync  version 3.1.3  protocol version 31") < Some(OLDEST));
        assert!(too_old(Some(Version([3, 1, 3])), "").message.contains("is 3.1.3; 3.2.3"));
    }
    #[test]
    fn a_backtick_is_handed_on_only_where_it_is_quoted() {
        let can = |version, directory: &str| Version(version).can_name(Path::new(directory));
        for version in [[3, 2, 3], [3, 5, 0], [4, 0, 0]] {
            assert!(can(version, "/srv/`id`"), "{version:?}");
        }
        for version in [[3, 2, 4], [3, 2, 7], [3, 4, 1]] {
            assert!(!can(version, "/srv/`id`") && can(version, "/srv/it's $HOME"), "{version:?}");
        }
    }
}
