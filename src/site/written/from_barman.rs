//! From a barman.conf to a draft of a site file: the servers that are passive, grouped by their primaries.

use std::collections::BTreeSet;

use crate::barman::conf::{BarmanConf, ConfError};
use crate::barman::ids::ServerName;

use super::access::Access;
use super::settings::{self, NotTaken, ServerSettings};
use super::text;

/// Hosts with these first names are told apart by the next one.
const GENERIC: [&str; 8] = ["backup", "backups", "bak", "barman", "db", "pg", "pgbackup", "postgres"];
/// Transfers at the same time that a primary allows unless the site file says otherwise.
const USUAL_STREAMS: u32 = 8;

/// A site file that does what a barman.conf tells Barman's own sync to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translation {
    /// The file.
    pub text: String,
    /// The replicas in it.
    pub replicas: usize,
    /// The primaries in it.
    pub primaries: usize,
    /// What is not in it, a sentence each.
    pub remarks: Vec<String>,
}

/// Why there is no site file to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Nothing {
    /// Barman could not read it either.
    #[error(transparent)]
    Conf(#[from] ConfError),
    /// `barman_home` is not the path of a directory.
    #[error("`barman_home` is {0}, and a catalog's path is absolute")]
    Home(String),
    /// No server is synchronised.
    #[error("no server of it is synchronised by Barman from a primary that a site file could name")]
    NoReplica {
        /// Which are there, and why each is left out.
        left_out: Vec<String>,
    },
}

/// What goes into a site file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    /// The path of barman.conf.
    pub config: String,
    /// The site's name.
    pub site: String,
    /// `barman_home`.
    pub catalog: String,
    /// Whether every server is passive unless it says otherwise.
    pub all_passive: bool,
    /// In the order in which servers need them.
    pub primaries: Vec<DraftPrimary>,
    /// Sorted by name.
    pub replicas: Vec<DraftReplica>,
    /// Servers that Barman does not synchronise, or that a site file cannot: each with the reason.
    pub left_out: Vec<(String, String)>,
    /// What is not said and holds for all.
    pub common: BTreeSet<NotTaken>,
}

/// A primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftPrimary {
    /// Its name in the site file.
    pub name: String,
    /// How it is reached.
    pub access: Access,
    /// `forward_config_path`
    pub forwards_config: bool,
    /// Transfers at the same time, where that is more than usual.
    pub streams: Option<u32>,
    /// Barman's command for it.
    command: String,
}

/// A replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftReplica {
    /// Its name at both ends.
    pub name: ServerName,
    /// The primary's name in the site file.
    pub primary: String,
    /// Its keys, a line each.
    pub lines: Vec<String>,
    /// What is not said of it.
    pub remarks: Vec<NotTaken>,
}

/// Translates a barman.conf. `config` is its absolute path, `site` a name for this site.
pub fn from_barman_conf(conf: &BarmanConf, config: &str, site: &str) -> Result<Translation, Nothing> {
    let draft = draft(conf, config, site)?;
    if draft.replicas.is_empty() {
        let left_out = draft.left_out.iter().map(|(name, why)| format!("{name}: {why}")).collect();
        return Err(Nothing::NoReplica { left_out });
    }
    Ok(Translation {
        text: text::write(&draft),
        replicas: draft.replicas.len(),
        primaries: draft.primaries.len(),
        remarks: remarks(&draft),
    })
}

fn draft(conf: &BarmanConf, config: &str, site: &str) -> Result<Draft, Nothing> {
    let home = conf.barman_home()?;
    let catalog = home.to_str().filter(|home| home.starts_with('/') && !home.split('/').any(|part| part == ".."));
    let catalog = catalog.ok_or_else(|| Nothing::Home(home.display().to_string()))?.to_owned();
    let all_passive = conf.global_primary_ssh_command()?.is_some();
    let (site, config) = (site.to_owned(), config.to_owned());
    let mut draft = Draft { config, site, catalog, all_passive, ..Draft::default() };
    let mut compressing = Vec::new();
    for section in conf.sections() {
        let server: ServerName = match section.parse() {
            Ok(server) => server,
            Err(error) => {
                draft.leave_out(section, error.to_string());
                continue;
            }
        };
        let settings = settings::read(conf, &server)?;
        match passive_access(conf, &server, &settings)? {
            Ok((command, access)) => {
                let primary = draft.primary(&command, access, &settings);
                compressing.push((primary, settings.compresses.clone()));
                draft.add(server, primary, settings);
            }
            Err(why) => draft.leave_out(section, why),
        }
    }
    draft.left_out.extend(conf.models().map(|model| {
        (
            model.to_owned(),
            "a model; if `barman config-switch` has applied it, its settings are not in this file".to_owned(),
        )
    }));
    draft.compress(&compressing);
    Ok(draft)
}

/// The way to the primary of a server that Barman's cron synchronises, or why it is left out.
fn passive_access(
    conf: &BarmanConf,
    server: &ServerName,
    settings: &ServerSettings,
) -> Result<Result<(String, Access), String>, ConfError> {
    let Some(command) = &settings.command else {
        return Ok(Err("it is not passive, as it has no `primary_ssh_command`".to_owned()));
    };
    if !settings.active {
        return Ok(Err("it has `active = false`, so that Barman's cron does nothing for it".to_owned()));
    }
    let dirs = conf.server(server)?.map(|conf| conf.dirs);
    let is_cloud =
        dirs.is_some_and(|dirs| !dirs.basebackups_directory.is_absolute() || !dirs.wals_directory.is_absolute());
    if is_cloud {
        return Ok(Err("its directories are not on a file system of this machine".to_owned()));
    }
    let access = Access::read(&command.value).map_err(|why| {
        format!("`primary_ssh_command` ({}, [{}]) cannot be translated: {why}", command.file, command.section)
    });
    Ok(access.map(|access| (command.value.clone(), access)))
}

impl Draft {
    fn leave_out(&mut self, section: &str, why: String) {
        self.left_out.push((section.to_owned(), why));
    }

    /// The primary that this command leads to: the same command is the same primary.
    fn primary(&mut self, command: &str, access: Access, settings: &ServerSettings) -> usize {
        let is_same = |p: &DraftPrimary| p.command == command && p.forwards_config == settings.forwards_config;
        let at = self.primaries.iter().position(is_same).unwrap_or_else(|| {
            let taken: BTreeSet<&str> = self.primaries.iter().map(|primary| primary.name.as_str()).collect();
            let name = primary_name(&access.host, &taken);
            let forwards_config = settings.forwards_config;
            self.primaries.push(DraftPrimary {
                name,
                access,
                forwards_config,
                streams: None,
                command: command.to_owned(),
            });
            self.primaries.len() - 1
        });
        if let Some(primary) = self.primaries.get_mut(at) {
            primary.streams = primary.streams.max(settings.streams.filter(|streams| *streams > USUAL_STREAMS));
        }
        at
    }

    fn add(&mut self, name: ServerName, primary: usize, settings: ServerSettings) {
        let Some(primary) = self.primaries.get(primary).map(|primary| primary.name.clone()) else { return };
        let (own, common) = settings.remarks.into_iter().partition(|remark| remark.section == name.as_str());
        let common: Vec<NotTaken> = common;
        self.common.extend(common);
        self.replicas.push(DraftReplica { name, primary, lines: settings.lines, remarks: own });
    }

    /// A connection is compressed for all replicas of its primary, or for none.
    fn compress(&mut self, compressing: &[(usize, Option<crate::barman::conf::Setting>)]) {
        for (at, primary) in self.primaries.iter_mut().enumerate() {
            let mut settings = compressing.iter().filter(|(of, _)| *of == at).map(|(_, setting)| setting);
            if settings.clone().all(Option::is_some) {
                primary.access.compress();
            } else if let Some(setting) = settings.find_map(Option::as_ref) {
                self.common.insert(NotTaken {
                    file: setting.file.clone(),
                    section: setting.section.clone(),
                    key: setting.key.clone(),
                    what: format!(
                        "not translated, as other servers of {} do without it; a connection is compressed for all",
                        primary.name
                    ),
                });
            }
        }
    }
}

/// A name derived from a host: its first part that tells something, else all of it.
fn primary_name(host: &str, taken: &BTreeSet<&str>) -> String {
    let clean: String =
        host.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' }).collect();
    let clean = clean.trim_matches(['.', '-', '_']).to_ascii_lowercase();
    let is_address = clean.chars().all(|c| c.is_ascii_digit() || ".-".contains(c));
    let parts: Vec<&str> = clean.split('.').collect();
    let telling = parts.iter().take(parts.len().saturating_sub(1).max(1)).find(|part| !GENERIC.contains(*part));
    let short = telling.filter(|_| !is_address).map_or(clean.as_str(), |part| part);
    let full = if clean.is_empty() { "primary" } else { &clean };
    let candidates =
        [short, full].into_iter().filter(|name| !name.is_empty()).map(|name| name.chars().take(50).collect());
    let numbered = (2..).map(|n| format!("{}-{n}", full.chars().take(50).collect::<String>()));
    let usable =
        |name: &String| name.starts_with(|c: char| c.is_ascii_alphanumeric()) && !taken.contains(name.as_str());
    candidates.chain(numbered).find(usable).unwrap_or_default()
}

fn remarks(draft: &Draft) -> Vec<String> {
    let own = draft.replicas.iter().flat_map(|replica| &replica.remarks);
    let mut remarks: Vec<String> = draft.common.iter().chain(own).map(ToString::to_string).collect();
    for primary in &draft.primaries {
        let left_out = primary.access.left_out.iter();
        remarks.extend(left_out.map(|(words, why)| format!("primary {}: `{words}` is left out: {why}", primary.name)));
    }
    remarks.extend(draft.left_out.iter().map(|(name, why)| format!("[{name}] is left out: {why}")));
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_primary_is_named_after_what_its_host_tells() {
        let taken = BTreeSet::from(["fra", "lon"]);
        for (host, name) in [
            ("frankfurt", "frankfurt"),
            ("barman.fra2.example.com", "fra2"),
            ("barman.fra.example.com", "barman.fra.example.com"),
            ("barman", "barman"),
            ("backup.com", "backup.com"),
            ("10.0.0.5", "10.0.0.5"),
            ("2001:db8::1", "2001-db8--1"),
            ("Tokyo_1.example.com", "tokyo_1"),
            ("lon", "lon-2"),
            ("é", "primary"),
        ] {
            assert_eq!(primary_name(host, &taken), name, "{host}");
        }
        assert!(primary_name(&"x".repeat(200), &taken).len() <= 63);
    }
}
