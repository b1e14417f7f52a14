//! barman.conf as Barman reads it with Python's `configparser` (Barman `config.py`, `Config` and `ServerConfig`).
//!
//! Only what Antipode needs is worked out: where a server's files are, where the locks are, and what would work
//! against it, and with [`BarmanConf::settings`] any key of a server. Models (`config-switch`) are left out of the
//! list of servers and are not applied. [`section`] is the way back: what a replica's section says.

mod ini;
pub mod section;
pub(super) mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use super::ids::{InvalidId, ServerName};
use super::layout::ServerDirs;
use super::server_config::is_inherited;
use ini::{Raw, Section};
use values::SectionValues;

/// The section of what holds for all servers.
const GLOBAL: &str = "barman";
/// The section whose keys Python adds to every other.
const DEFAULT: &str = "DEFAULT";
/// The last word of a `primary_ssh_command` that is Antipode itself, telling Barman's own sync that nothing is missing.
pub const NOTHING_TO_SYNC: &str = "nothing-to-sync";

/// A barman.conf with the files that it includes.
#[derive(Clone, PartialEq, Eq)]
pub struct BarmanConf {
    sections: BTreeMap<String, Section>,
}

/// A barman.conf that Barman could not read either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfError {
    /// It is no ini file.
    #[error("{file}: {why}")]
    Syntax {
        /// The file, as it was named to the reader.
        file: String,
        /// What the ini reader says, with the line.
        why: String,
    },
    /// Barman ends when an included file changes what holds for all.
    #[error("{file} changes `{key}` in [barman], which only the main file may; move it there")]
    GlobalInInclude {
        /// The included file.
        file: String,
        /// The key that it sets.
        key: String,
    },
    /// A reference such as `%(name)s` cannot be resolved.
    #[error("[{section}] {key}: {why}")]
    Reference {
        /// The section.
        section: String,
        /// The key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// `barman_home` is missing.
    #[error("`barman_home` is not set in [barman]")]
    NoHome,
    /// A section is named as no server may be.
    #[error(transparent)]
    Name(#[from] InvalidId),
}

/// What barman.conf says about one server, inherited and default values included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConf {
    /// Where its files are.
    pub dirs: ServerDirs,
    /// Whether Barman's cron works on it.
    pub active: bool,
    /// Set: it is passive, and Barman's cron copies from there.
    pub primary_ssh_command: Option<String>,
    /// What Barman's cron deletes by.
    pub retention_policy: Option<String>,
    /// How Barman compresses WAL; its own sync refuses a primary that has another.
    pub compression: Option<String>,
}

impl ServerConf {
    /// Whether its primary is one that never has anything, so that Barman's cron copies nothing.
    pub fn is_idle(&self) -> bool {
        let command = self.primary_ssh_command.as_deref();
        command.is_some_and(|command| command.split_whitespace().last() == Some(NOTHING_TO_SYNC))
    }
}

/// What a section says of one key, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The file.
    pub file: String,
    /// The section, `barman` for what holds for all.
    pub section: String,
    /// The key.
    pub key: String,
    /// Its value, worked out; empty for null.
    pub value: String,
}

impl fmt::Debug for BarmanConf {
    /// Names no values: passwords are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.sections.keys()).finish()
    }
}

impl BarmanConf {
    /// Reads the main file.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfError> {
        Ok(Self { sections: ini::read(file, text)? })
    }

    /// The directory whose `*.conf` files, sorted by name, are to be given to [`Self::include`]; `~` is not expanded.
    pub fn includes(&self) -> Result<Option<PathBuf>, ConfError> {
        Ok(self.global("configuration_files_directory")?.map(PathBuf::from))
    }

    /// Adds a file; where it names a server that is known, its values win.
    pub fn include(&mut self, file: &str, text: &str) -> Result<(), ConfError> {
        for (name, section) in ini::read(file, text)? {
            let known = self.sections.entry(name.clone()).or_default();
            for (key, value) in section {
                if name == GLOBAL && known.get(&key).map(|known| &known.text) != Some(&value.text) {
                    return Err(ConfError::GlobalInInclude { file: file.to_owned(), key });
                }
                known.insert(key, value);
            }
        }
        Ok(())
    }

    /// The directory of the catalog.
    pub fn barman_home(&self) -> Result<PathBuf, ConfError> {
        self.global("barman_home")?.map(PathBuf::from).ok_or(ConfError::NoHome)
    }

    /// The directory of Barman's locks; `barman_home` unless set.
    pub fn barman_lock_directory(&self) -> Result<PathBuf, ConfError> {
        match self.global("barman_lock_directory")? {
            Some(directory) => Ok(PathBuf::from(directory)),
            None => self.barman_home(),
        }
    }

    /// What holds for every server that does not say otherwise.
    pub fn global_primary_ssh_command(&self) -> Result<Option<String>, ConfError> {
        self.global("primary_ssh_command")
    }

    /// The servers, sorted by name.
    pub fn servers(&self) -> Result<BTreeSet<ServerName>, ConfError> {
        Ok(self.sections().map(str::parse).collect::<Result<_, InvalidId>>()?)
    }

    /// The names of the servers as they stand there, sorted.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        let sections = self.sections.iter().filter(|(name, section)| is_server_section(name) && !is_model(section));
        sections.map(|(name, _)| name.as_str())
    }

    /// The names of the models, sorted.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        let models = self.sections.iter().filter(|(name, section)| is_server_section(name) && is_model(section));
        models.map(|(name, _)| name.as_str())
    }

    /// The keys of a section, and the file that each stands in.
    pub fn keys(&self, section: &str) -> impl Iterator<Item = (&str, &str)> {
        let keys = self.sections.get(section).into_iter().flatten();
        keys.map(|(key, raw)| (key.as_str(), &*raw.file))
    }

    /// What the file says about one server; `None` when it has no section.
    pub fn server(&self, server: &ServerName) -> Result<Option<ServerConf>, ConfError> {
        if !self.sections.contains_key(server.as_str()) {
            return Ok(None);
        }
        let home = self.barman_home()?;
        let mut values = self.values(server)?;
        // In the order in which Barman reads them: a later one may refer to those before.
        let active = values.get("active")?.and_then(|value| parse_boolean(&value)).unwrap_or(true);
        let backup_directory = values.path("backup_directory", home.join(server.as_str()))?;
        let defaults = ServerDirs::of_backup_directory(backup_directory, server.clone());
        let basebackups_directory = values.path("basebackups_directory", defaults.basebackups_directory)?;
        let compression = values.get("compression")?;
        let primary_ssh_command = values.get("primary_ssh_command")?;
        let retention_policy = values.get("retention_policy")?;
        let wals_directory = values.path("wals_directory", defaults.wals_directory)?;
        let xlogdb_directory = values.path("xlogdb_directory", wals_directory.clone())?;
        let dirs =
            ServerDirs { basebackups_directory, wals_directory, xlogdb_directory, server: server.clone(), ..defaults };
        Ok(Some(ServerConf { dirs, active, primary_ssh_command, retention_policy, compression }))
    }

    /// What a server's own section says of a key, and then what `[barman]` does where servers inherit it. Barman
    /// goes by the first that it can read.
    pub fn settings(&self, server: &ServerName, key: &str) -> Result<Vec<Setting>, ConfError> {
        let mut values = self.values(server)?;
        if let Some(conf) = self.server(server)? {
            values.know("backup_directory", &conf.dirs.backup_directory.to_string_lossy());
        }
        let mut settings = Vec::new();
        for section in [server.as_str(), GLOBAL] {
            if section == GLOBAL && !is_inherited(key) {
                continue;
            }
            if let (Some(value), Some(raw)) = (values.in_section(section, key)?, self.raw(section, key)) {
                let (file, section, key) = (raw.file.to_string(), section.to_owned(), key.to_owned());
                settings.push(Setting { file, section, key, value });
            }
        }
        Ok(settings)
    }

    /// Whether there is a section of a server.
    pub fn has(&self, server: &ServerName) -> bool {
        self.sections().any(|name| name == server.as_str())
    }

    /// A server's section, to read its values one by one.
    pub(super) fn values<'a>(&'a self, server: &'a ServerName) -> Result<SectionValues<'a>, ConfError> {
        let mut values = SectionValues::new(self, server.as_str());
        values.know("name", server.as_str());
        values.know("barman_home", &self.barman_home()?.to_string_lossy());
        values.know("barman_lock_directory", &self.barman_lock_directory()?.to_string_lossy());
        Ok(values)
    }

    fn global(&self, key: &str) -> Result<Option<String>, ConfError> {
        let values = SectionValues::new(self, GLOBAL);
        Ok(values.in_section(GLOBAL, key)?.filter(|value| !value.is_empty()))
    }

    fn raw(&self, section: &str, key: &str) -> Option<&Raw> {
        let value = |section: &str| self.sections.get(section)?.get(key);
        value(section).or_else(|| value(DEFAULT))
    }
}

fn is_server_section(name: &str) -> bool {
    name != GLOBAL && name != DEFAULT
}

fn is_model(section: &Section) -> bool {
    section.get("model").and_then(|raw| parse_boolean(&raw.text)).unwrap_or(false)
}

/// Barman's words for yes and no (Barman `config.py`, `parse_boolean`).
pub fn parse_boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "1" | "on" => Some(true),
        "false" | "f" | "no" | "0" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
