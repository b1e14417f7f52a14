//! A Barman installation: a version's programs, a barman.conf, a catalog.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::account::ACCOUNT;
use crate::process::{Finished, program, run};
use crate::tools::{BarmanVersion, PostgresRelease};

/// The name of the only server in every catalog of the laboratory.
pub const SERVER: &str = "main";
/// A password that must never leave the primary.
pub const PASSWORD: &str = "s3cret";

/// One barman.conf and what it describes. Several may share a catalog.
#[derive(Debug, Clone)]
pub struct Barman {
    /// The version whose programs run.
    pub version: BarmanVersion,
    /// `barman_home`.
    pub home: PathBuf,
    /// The barman.conf.
    pub config: PathBuf,
    /// Settings of the server `main`, in barman.conf's own words.
    settings: Vec<(String, String)>,
}

impl Barman {
    /// Writes a barman.conf for the catalog in `home`.
    pub fn configure<'a>(
        version: BarmanVersion,
        home: &Path,
        config: &Path,
        settings: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Self {
        let mut barman =
            Self { version, home: ACCOUNT.make_directory(home), config: config.to_owned(), settings: Vec::new() };
        for (key, value) in settings {
            barman.settings.push((key.to_owned(), value));
        }
        barman.write_config();
        barman
    }

    /// Changes or adds a setting of the server.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.retain(|(other, _)| other != key);
        self.settings.push((key.to_owned(), value.to_owned()));
        self.write_config();
    }

    /// A setting of the server, if the barman.conf has it.
    pub fn setting(&self, key: &str) -> Option<&str> {
        let mut settings = self.settings.iter();
        settings.find_map(|(other, value)| (other == key).then_some(value.as_str()))
    }

    fn write_config(&self) {
        let mut text = format!(
            "[barman]\nbarman_home = {home}\nbarman_user = {user}\nlog_file = {config}.log\n\
             log_level = INFO\n\n[{SERVER}]\ndescription = of the laboratory\n",
            home = self.home.display(),
            user = ACCOUNT.name,
            config = self.config.display(),
        );
        for (key, value) in &self.settings {
            writeln!(text, "{key} = {value}").expect("a String takes every write");
        }
        ACCOUNT.write(&self.config, text);
    }

    /// The directory of the server in the catalog, `backup_directory`.
    pub fn server_directory(&self) -> PathBuf {
        self.home.join(SERVER)
    }

    /// The xlog.db, by the name this version gives it.
    pub fn xlogdb(&self) -> PathBuf {
        let name = match self.version {
            BarmanVersion::Newest => format!("{SERVER}-xlog.db"),
            BarmanVersion::Legacy | BarmanVersion::Oldest => "xlog.db".to_owned(),
        };
        self.server_directory().join("wals").join(name)
    }

    /// The backup.info of a backup, where this version puts it.
    pub fn backup_info(&self, id: &str) -> PathBuf {
        match self.version {
            BarmanVersion::Newest => self.server_directory().join(format!("meta/{id}-backup.info")),
            BarmanVersion::Legacy | BarmanVersion::Oldest => {
                self.server_directory().join(format!("base/{id}/backup.info"))
            }
        }
    }

    /// The command line `barman ARGUMENTS`, about to be run. The programs of
    /// this release of `PostgreSQL` are in its PATH.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(self.version.programs().join("barman"));
        command.arg("-c").arg(&self.config).args(arguments);
        command.env(
            "PATH",
            format!(
                "{}:{}:/usr/bin:/bin",
                self.version.programs().display(),
                PostgresRelease::Packaged.programs().display()
            ),
        );
        command
    }

    /// Runs `barman ARGUMENTS` to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Finished {
        run(&mut self.command(arguments))
    }

    /// Runs `barman ARGUMENTS`, which must succeed; returns standard output.
    #[track_caller]
    pub fn expect(&self, arguments: &[&str]) -> String {
        self.run(arguments).expect_success()
    }

    /// The answer of `barman sync-info main`.
    #[track_caller]
    pub fn sync_info(&self) -> Value {
        let answer = self.expect(&["sync-info", SERVER]);
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("sync-info printed no JSON: {error}\n{answer}"))
    }

    /// The ids of the backups that `list-backups` shows, oldest first,
    /// whatever their status.
    #[track_caller]
    pub fn backup_ids(&self) -> Vec<String> {
        let mut ids: Vec<String> =
            self.expect(&["list-backup", "--minimal", SERVER]).lines().map(str::to_owned).collect();
        ids.sort();
        ids
    }

    /// The ids that have a directory under `base/`, in order: the same without
    /// the half second that any Barman takes to start.
    pub fn bases(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.server_directory().join("base")) else {
            return Vec::new();
        };
        let mut ids: Vec<String> = entries
            .map(|entry| entry.expect("an entry of base").file_name())
            .filter_map(|name| name.into_string().ok())
            .collect();
        ids.sort();
        ids
    }

    /// The value of one key in a backup.info.
    #[track_caller]
    pub fn backup_field(&self, id: &str, key: &str) -> String {
        let path = self.backup_info(id);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .unwrap_or_else(|| panic!("no {key} in {}", path.display()))
            .to_owned()
    }

    /// The names in xlog.db, in its own order.
    #[track_caller]
    pub fn xlogdb_names(&self) -> Vec<String> {
        fs::read_to_string(self.xlogdb())
            .expect("read xlog.db")
            .lines()
            .filter_map(|line| line.split('\t').next())
            .map(str::to_owned)
            .collect()
    }
}
