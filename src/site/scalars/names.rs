//! Names, paths, commands and versions.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Mistake, Scalar, UNPRINTABLE};
use crate::barman::ids::{ServerName, SystemId, is_unprintable};
use crate::barman::version::BarmanVersion;
use crate::site::pattern::Pattern;

/// The name that the file gives to the site or to a primary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::site) struct Name(pub String);

impl Scalar for Name {
    const FORMAT: &'static str = "name";

    fn pattern() -> String {
        "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        if first && text.len() <= 63 && text.chars().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        let help = "use up to 63 ASCII letters, digits, `.`, `_` and `-`, beginning with a letter or digit";
        Err(Mistake::new(format!("{text:?} cannot be a name here"), help))
    }
}

/// A server's name, at the site or at a primary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::site) struct LocalServer(pub ServerName);

impl Scalar for LocalServer {
    const FORMAT: &'static str = "server-name";

    /// Counts characters where the parser counts bytes: a long name that is not ASCII passes here.
    fn pattern() -> String {
        let inside = format!(r"/\\{UNPRINTABLE}");
        format!(r"^(?!(all|barman)$)[^\s.{inside}-]([^{inside}]{{0,98}}[^\s{inside}])?$")
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        let help = "a server's name is a directory in the catalog: write it as Barman has it";
        text.parse().map(Self).map_err(|error: crate::barman::ids::InvalidId| Mistake::new(error.to_string(), help))
    }
}

/// Servers that a mirror leaves out: `*` is any text, `?` any character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::site) struct ServerPattern(pub String);

impl Scalar for ServerPattern {
    const FORMAT: &'static str = "server-pattern";

    fn pattern() -> String {
        format!(r"^[^/\\{UNPRINTABLE}]+$")
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        let harmless = |c: char| !is_unprintable(c) && !matches!(c, '/' | '\\');
        if !text.is_empty() && text.chars().all(harmless) {
            return Ok(Self(text.to_owned()));
        }
        let help = "write a server's name, with `*` for any text and `?` for any character";
        Err(Mistake::new(format!("{text:?} matches no server name"), help))
    }
}

/// An absolute path on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::site) struct AbsolutePath(pub PathBuf);

impl Scalar for AbsolutePath {
    const FORMAT: &'static str = "absolute-path";

    fn pattern() -> String {
        format!("^{}$", absolute_pattern())
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        absolute(text).map(|path| Self(path.to_owned()))
    }
}

fn absolute_pattern() -> String {
    format!(r"(?!(.*/)?\.\.(/|$))/[^{UNPRINTABLE}]*")
}

fn absolute(text: &str) -> Result<&Path, Mistake> {
    let mistake = |why, help| Err(Mistake::new(format!("{text:?} {why}"), help));
    if text.chars().any(is_unprintable) {
        return mistake("contains a control or formatting character", "remove what does not belong into a path");
    }
    if !text.starts_with('/') {
        return mistake("is not an absolute path", "write the path from `/` on");
    }
    if Path::new(text).components().any(|part| part == std::path::Component::ParentDir) {
        return mistake("contains `..`", "write where it leads to");
    }
    Ok(Path::new(text))
}

/// An absolute path, or one below the home directory: `~/.ssh/id_dr`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::site) struct HomePath(pub String);

impl Scalar for HomePath {
    const FORMAT: &'static str = "home-path";

    fn pattern() -> String {
        format!("^~?{}$", absolute_pattern())
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        match absolute(text.strip_prefix('~').unwrap_or(text)) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) if !text.starts_with(['/', '~']) => {
                Err(Mistake::new(format!("{text:?} is not an absolute path"), "write the path from `/` or `~/` on"))
            }
            Err(mistake) => Err(mistake),
        }
    }
}

/// A path at the primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::site) struct RemotePath(pub String);

impl Scalar for RemotePath {
    const FORMAT: &'static str = "remote-path";

    fn pattern() -> String {
        format!("^{}$", absolute_pattern())
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        absolute(text).map(|_| Self(text.to_owned()))
    }
}

/// A command as shell words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::site) struct Command(pub Vec<String>);

impl Scalar for Command {
    const FORMAT: &'static str = "command";

    fn pattern() -> String {
        format!(r"^[^\s{UNPRINTABLE}-][^{UNPRINTABLE}]*$")
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        let mistake = |why: &str| {
            Mistake::new(
                format!("`{text}` is not a command: {why}"),
                "write words as in a shell, such as `sudo barman`",
            )
        };
        let words = words(text).map_err(&mistake)?;
        match words.first() {
            Some(first) if !first.is_empty() && !text.starts_with(|c: char| c == '-' || c.is_whitespace()) => {
                Ok(Self(words))
            }
            _ => Err(mistake("its first word is not a program")),
        }
    }
}

/// Splits a command as a shell does, or says why not.
pub(super) fn words(text: &str) -> Result<Vec<String>, &'static str> {
    if text.chars().any(is_unprintable) {
        return Err("it contains a control or formatting character");
    }
    shell_words::split(text).map_err(|_| "a quote is not closed")
}

/// The version of Barman to write for: `auto` or `3.12`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::site) struct Barman(pub Option<BarmanVersion>);

impl Scalar for Barman {
    const FORMAT: &'static str = "barman-version";

    fn pattern() -> String {
        r"^(auto|[0-9]{1,4}\.[0-9]{1,4}(\.[0-9]{1,4})?)$".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        if text == "auto" {
            return Ok(Self(None));
        }
        let parts: Vec<&str> = text.split('.').collect();
        let number = |part: &&str| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        let version = text.parse().ok().filter(|_| (2..=3).contains(&parts.len()) && parts.iter().all(number));
        let help = "write `auto`, or a version such as \"3.12\" or \"3.19.1\"";
        version
            .map(|version| Self(Some(version)))
            .ok_or_else(|| Mistake::new(format!("`{text}` is not a version of Barman"), help))
    }
}

/// The system identifier of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::site) struct System(pub SystemId);

impl Scalar for System {
    const FORMAT: &'static str = "system-identifier";

    fn pattern() -> String {
        format!("^({})$", up_to(&u64::MAX.to_string()))
    }

    fn types() -> Value {
        json!({ "type": ["string", "integer"], "minimum": 1, "maximum": u64::MAX })
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        let id = text.parse().ok().filter(|_| plain);
        let help = "write the digits that `pg_controldata` shows as \"Database system identifier\"";
        id.map(Self).ok_or_else(|| Mistake::new(format!("`{text}` is not a system identifier"), help))
    }
}

/// The address of something that is held, or the first parts of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::site) struct Accepted(pub Pattern);

impl Scalar for Accepted {
    const FORMAT: &'static str = "address";

    fn pattern() -> String {
        format!(r"^[^/\\{UNPRINTABLE}]+(/[^/{UNPRINTABLE}]+){{0,2}}/?$")
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        let help = "write it as the plan shows it, such as `main/wal/00000001000000000000000C`";
        let pattern = text.parse().ok().filter(|_| !text.chars().any(is_unprintable));
        pattern.map(Self).ok_or_else(|| Mistake::new(format!("{text:?} is not an address"), help))
    }
}

/// A pattern for the numbers from 1 to one given by its digits: those with fewer digits, those that fall below it at one
/// of its digits, and itself.
fn up_to(most: &str) -> String {
    let mut choices = vec![format!("[1-9][0-9]{{0,{}}}", most.len() - 2)];
    for (i, digit) in most.char_indices() {
        let least = if i == 0 { '1' } else { '0' };
        if digit > least {
            let below = char::from_u32(u32::from(digit) - 1).unwrap_or(least);
            choices.push(format!("{}[{least}-{below}][0-9]{{{}}}", &most[..i], most.len() - i - 1));
        }
    }
    choices.push(most.to_owned());
    choices.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_go_down_only() {
        assert!(AbsolutePath::parse("/var/lib/barman").is_ok());
        for bad in ["", "barman", "./barman", "/var/../etc", "/a\nb", "~/barman"] {
            assert!(AbsolutePath::parse(bad).is_err(), "{bad:?}");
        }
        assert!(HomePath::parse("~/.ssh/id").is_ok());
        for bad in ["~", "~root/.ssh/id", ".ssh/id"] {
            assert!(HomePath::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn commands_are_shell_words() {
        assert_eq!(Command::parse("sudo -u barman barman").map(|c| c.0.len()), Ok(4));
        for bad in ["", " ", "'barman", "-c", "a\u{1b}b", "''"] {
            assert!(Command::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn versions_keep_their_zeros() {
        assert_eq!(Barman::parse("3.10"), Ok(Barman(Some(BarmanVersion::new(3, 10, 0)))));
        assert_eq!(Barman::parse("auto"), Ok(Barman(None)));
        for bad in ["", "3", "3.", "3.12.1.4", "3.12a1", "latest", "v3.12"] {
            assert!(Barman::parse(bad).is_err(), "{bad:?}");
        }
    }
}
