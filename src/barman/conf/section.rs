//! The section that the site's Barman needs for a replica, so that it lists, checks and restores what Antipode
//! brought, and neither copies nor deletes anything itself.
//!
//! From 3.17 on Barman shows an inactive server and leaves it alone otherwise. Before, it shows nothing of one: the
//! server is active then, and passive with a primary that never has anything.

use std::path::Path;

use super::super::ids::ServerName;
use super::super::layout::ServerDirs;
use super::super::secret::without_secrets;
use super::super::version::BarmanVersion;
use super::NOTHING_TO_SYNC;

/// What the first line of a file begins with that Antipode keeps.
pub const MARK: &str = "# Kept by `antipode barman-conf --write`";
/// The first version that shows what it has of an inactive server.
const SHOWS_INACTIVE: BarmanVersion = BarmanVersion::new(3, 17, 0);
/// The first version that resolves every value twice.
const RESOLVES_TWICE: BarmanVersion = BarmanVersion::new(3, 10, 0);
/// The first version that knows `xlogdb_directory`.
const XLOGDB_DIRECTORY: BarmanVersion = BarmanVersion::new(3, 13, 0);

/// A replica as its section describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaSection<'a> {
    /// Its name at the site.
    pub name: &'a ServerName,
    /// Its name at the primary.
    pub server: &'a ServerName,
    /// The primary's name in the site file.
    pub primary: &'a str,
    /// The words of the ssh command; none for a primary that is a path.
    pub ssh: Option<&'a [String]>,
    /// Where its files are.
    pub dirs: &'a ServerDirs,
    /// How its newest WAL is compressed.
    pub compression: Option<&'a str>,
    /// How its newest backup is compressed.
    pub backup_compression: Option<&'a str>,
}

/// A name or value that no section can say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("replica {server}: barman.conf has no way to write {what}")]
pub struct Unwritable {
    /// The replica.
    pub server: ServerName,
    /// What it is.
    pub what: String,
}

impl ReplicaSection<'_> {
    /// The section for a Barman of this version, below the catalog of this `barman_home`. `antipode` is the path of
    /// this program.
    pub fn text(&self, home: &Path, barman: BarmanVersion, antipode: &str) -> Result<String, Unwritable> {
        let name = self.name.as_str();
        if name == "DEFAULT" || name.contains([']', '[']) {
            return Err(self.unwritable(format!("a section named {name:?}")));
        }
        let mut lines = Lines { barman, text: format!("{MARK}; what is changed here is lost.\n[{name}]\n") };
        lines.add("description", &format!("copy of {} at {}, kept by antipode", self.server, self.primary));
        // Nobody runs it: it tells Barman, and a person, where the copy comes from.
        let command = self.ssh.map(|words| without_secrets(&shell_words::join(words)));
        if let Some(command) = command.as_deref().filter(|command| command.contains(char::is_control)) {
            return Err(self.unwritable(format!("the ssh command {command:?}")));
        }
        if barman >= SHOWS_INACTIVE {
            if let Some(command) = &command {
                lines.add("primary_ssh_command", command);
            }
            lines.add("active", "false");
        } else {
            lines.idle(command.as_deref(), antipode);
        }
        self.directories(home, &mut lines)?;
        for (key, value) in [("compression", self.compression), ("backup_compression", self.backup_compression)] {
            // Without `primary_ssh_command` Barman takes the server for one that it runs, and this for its way to.
            if let Some(value) = value.filter(|_| key == "compression" || self.ssh.is_some()) {
                lines.add(key, value);
            }
        }
        Ok(lines.text)
    }

    fn directories(&self, home: &Path, lines: &mut Lines) -> Result<(), Unwritable> {
        let dirs = self.dirs;
        let below = ServerDirs::of_backup_directory(dirs.backup_directory.clone(), self.name.clone());
        let usual = home.join(self.name.as_str());
        for (key, path, default) in [
            ("backup_directory", &dirs.backup_directory, &usual),
            ("basebackups_directory", &dirs.basebackups_directory, &below.basebackups_directory),
            ("wals_directory", &dirs.wals_directory, &below.wals_directory),
            ("xlogdb_directory", &dirs.xlogdb_directory, &dirs.wals_directory),
        ] {
            if path == default || key == "xlogdb_directory" && lines.barman < XLOGDB_DIRECTORY {
                continue;
            }
            let text = path.to_str().filter(|text| !text.contains(char::is_control));
            lines.add(key, text.ok_or_else(|| self.unwritable(format!("the path {}", path.display())))?);
        }
        Ok(())
    }

    fn unwritable(&self, what: String) -> Unwritable {
        Unwritable { server: self.name.clone(), what }
    }
}

/// The lines of a section so far.
struct Lines {
    barman: BarmanVersion,
    text: String,
}

impl Lines {
    fn add(&mut self, key: &str, value: &str) {
        let percent = if self.barman >= RESOLVES_TWICE { "%%%%" } else { "%%" };
        let value = value.replace('%', percent);
        // Barman takes one pair of equal quotes away.
        let is_quoted = |quote: char| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
        let value = if is_quoted('"') || is_quoted('\'') { format!("\"{value}\"") } else { value };
        self.text.push_str(&format!("{key} = {value}\n"));
    }

    /// An active server of which nothing is to be synchronised and nothing deleted.
    fn idle(&mut self, command: Option<&str>, antipode: &str) {
        self.text.push_str(
            "# This Barman shows nothing of an inactive server. So it is active, and its primary is a program that\n\
             # tells Barman's own sync that nothing is missing.\n",
        );
        if let Some(command) = command {
            self.text.push_str(&format!("# The way to the primary: {command}\n"));
        }
        self.add("primary_ssh_command", &format!("{antipode} {NOTHING_TO_SYNC}"));
        self.text.push_str("retention_policy =\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::BarmanConf;
    use super::*;
    use proptest::prelude::*;

    const NEWEST: BarmanVersion = BarmanVersion::new(3, 19, 1);
    const LEGACY: BarmanVersion = BarmanVersion::new(3, 12, 1);

    fn text(ssh: Option<&[String]>, dirs: &ServerDirs, barman: BarmanVersion) -> String {
        let name = dirs.server.clone();
        let section = ReplicaSection {
            name: &name,
            server: &"main".parse().unwrap(),
            primary: "frankfurt",
            ssh,
            dirs,
            compression: Some("gzip"),
            backup_compression: Some("zstd"),
        };
        section.text(Path::new("/b"), barman, "/usr/bin/antipode").unwrap()
    }

    fn usual(name: &str) -> ServerDirs {
        ServerDirs::of_catalog(Path::new("/b"), name.parse().unwrap())
    }

    #[test]
    fn a_new_barman_is_given_an_inactive_server() {
        let words = ["ssh", "-o", "ProxyCommand=nc %h", "barman@fra"].map(str::to_owned);
        insta::assert_snapshot!(text(Some(&words), &usual("main"), NEWEST), @r"
        # Kept by `antipode barman-conf --write`; what is changed here is lost.
        [main]
        description = copy of main at frankfurt, kept by antipode
        primary_ssh_command = ssh -o 'ProxyCommand=nc %%%%h' barman@fra
        active = false
        compression = gzip
        backup_compression = zstd
        ");
        insta::assert_snapshot!(text(None, &usual("main"), NEWEST), @r"
        # Kept by `antipode barman-conf --write`; what is changed here is lost.
        [main]
        description = copy of main at frankfurt, kept by antipode
        active = false
        compression = gzip
        ");
    }

    #[test]
    fn an_old_barman_is_given_a_primary_that_never_has_anything() {
        let words = ["ssh", "barman@fra"].map(str::to_owned);
        let dirs = ServerDirs { wals_directory: "/wals/main".into(), ..usual("main-tokyo") };
        insta::assert_snapshot!(text(Some(&words), &dirs, LEGACY), @r"
        # Kept by `antipode barman-conf --write`; what is changed here is lost.
        [main-tokyo]
        description = copy of main at frankfurt, kept by antipode
        # This Barman shows nothing of an inactive server. So it is active, and its primary is a program that
        # tells Barman's own sync that nothing is missing.
        # The way to the primary: ssh barman@fra
        primary_ssh_command = /usr/bin/antipode nothing-to-sync
        retention_policy =
        wals_directory = /wals/main
        compression = gzip
        backup_compression = zstd
        ");
    }

    #[test]
    fn a_name_that_no_section_can_have_is_refused() {
        for name in ["DEFAULT", "a]b"] {
            let dirs = usual(name);
            let section = ReplicaSection {
                name: &dirs.server,
                server: &dirs.server,
                primary: "p",
                ssh: None,
                dirs: &dirs,
                compression: None,
                backup_compression: None,
            };
            assert!(section.text(Path::new("/b"), NEWEST, "x").is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            word in "[ -~]{0,12}",
            directory in "/[a-z%'\" ;#=]{0,9}[a-z]",
            name in "[a-zA-Z0-9_%;# .é]{0,5}[a-z]",
            newest: bool,
        ) {
            prop_assume!(name.parse::<ServerName>().is_ok());
            let words = ["ssh".to_owned(), "-o".to_owned(), word, "barman@fra".to_owned()].to_vec();
            let barman = if newest { NEWEST } else { LEGACY };
            let dirs = ServerDirs { wals_directory: directory.clone().into(), xlogdb_directory: directory.into(), ..usual(&name) };
            let text = text(Some(&words), &dirs, barman);
            let mut conf = BarmanConf::parse("f", "[barman]\nbarman_home = /b\nretention_policy = REDUNDANCY 1\n").unwrap();
            conf.include("d", &text).unwrap();
            let read = conf.server(&dirs.server).unwrap().unwrap();
            prop_assert_eq!(&read.dirs, &dirs, "{}", text);
            prop_assert_eq!(read.active, !newest);
            prop_assert_eq!(read.is_idle(), !newest);
            if newest {
                let command = read.primary_ssh_command.unwrap_or_default();
                prop_assert_eq!(shell_words::split(&command).unwrap(), words, "{}", text);
            } else {
                prop_assert_eq!(read.retention_policy, None);
            }
        }
    }
}
