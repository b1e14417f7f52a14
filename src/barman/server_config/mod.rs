//! The configuration of one server as sync-info prints it: barman.conf with Barman's defaults and corrections, and
//! without its secrets (Barman `config.py`, `ServerConfig`, and what `server.py` makes of it).

mod keys;
mod kind;

use super::conf::values::SectionValues;
use super::conf::{BarmanConf, ConfError};
use super::ids::ServerName;
use super::python_literal::Literal;
use super::secret::{MASK, without_secrets};
use super::version::BarmanVersion;

pub use keys::is_inherited;
use keys::{Key, Sections};
use kind::{ValueKind, integer};

/// From this version on a retention policy is printed in the words of barman.conf.
const POLICY_IN_WORDS: BarmanVersion = BarmanVersion::new(3, 13, 0);

/// The configuration of one server.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerConfig {
    /// The keys in Barman's order.
    values: Vec<(&'static str, Literal)>,
}

impl ServerConfig {
    /// What this version of Barman prints of a server; `None` when barman.conf has no section of it.
    pub fn read(
        conf: &BarmanConf,
        server: &ServerName,
        version: BarmanVersion,
    ) -> Result<Option<ServerConfig>, ConfError> {
        if !conf.has(server) {
            return Ok(None);
        }
        let mut values = conf.values(server)?;
        let mut config = Self { values: Vec::new() };
        for key in keys::printed(version) {
            let value = config.value(key, &mut values, conf, server, version)?;
            if let Literal::Str(text) = &value {
                values.know(key.name, text);
            }
            config.values.push((key.name, value));
        }
        config.correct(version);
        Ok(Some(config))
    }

    /// The keys and their values, secrets masked, in Barman's order.
    pub fn redacted(&self) -> impl Iterator<Item = (&'static str, Literal)> {
        self.values.iter().map(|(key, value)| (*key, redacted(key, value)))
    }

    /// Whether Barman's commands work on the server.
    pub fn is_active(&self) -> bool {
        self.get("active") != Some(&Literal::Bool(false))
    }

    /// Whether Barman copies the server from another Barman.
    pub fn is_passive(&self) -> bool {
        self.text("primary_ssh_command").is_some()
    }

    /// What a user wrote of the server.
    pub fn description(&self) -> Option<&str> {
        self.text("description")
    }

    /// Why Barman refuses to work on the server, in its words; a server that has such a fault is disabled.
    pub fn faults(&self, server: &ServerName) -> Vec<String> {
        if self.is_passive() {
            return Vec::new();
        }
        let method = self.text("backup_method").unwrap_or_default();
        let mut faults = Vec::new();
        if self.text("conninfo").is_none() {
            faults.push(format!("PostgreSQL connection: Missing 'conninfo' parameter for server '{server}'"));
        }
        match (method, self.text("ssh_command")) {
            ("rsync" | "snapshot", None) => {
                faults.push(format!("Missing or invalid ssh_command in barman configuration for server {server}"));
            }
            ("local-rsync", Some(_)) => faults.push(format!(
                "Local copy requires ssh_command in barman configuration to be empty for server {server}"
            )),
            _ => {}
        }
        let streaming_only = self.is_on("streaming_archiver") && !self.is_on("archiver");
        if streaming_only && self.text("slot_name").is_none() {
            faults.push(
                "Streaming-only archiver requires 'streaming_conninfo' and 'slot_name' options to be properly configured"
                    .to_owned(),
            );
        }
        let unsupported = match method {
            "postgres" => ["reuse_backup", "tablespace_bandwidth_limit"].as_slice(),
            "rsync" | "local-rsync" => ["backup_compression"].as_slice(),
            _ => [].as_slice(),
        };
        let is_set =
            |key: &&&str| self.get(key).is_some_and(|value| !value.is_empty() && value.as_str() != Some("off"));
        let option = |key: &&str| format!("{key} option is not supported by {method} backup_method");
        faults.extend(unsupported.iter().filter(is_set).map(option));
        faults
    }

    fn get(&self, key: &str) -> Option<&Literal> {
        self.values.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    fn is_on(&self, key: &str) -> bool {
        self.get(key) == Some(&Literal::Bool(true))
    }

    fn set(&mut self, key: &str, value: Literal) {
        if let Some((_, old)) = self.values.iter_mut().find(|(name, _)| *name == key) {
            *old = value;
        }
    }

    /// The first value that Barman does not ignore: the server's own, that for all, the default.
    fn value(
        &self,
        key: &Key,
        values: &mut SectionValues<'_>,
        conf: &BarmanConf,
        server: &ServerName,
        version: BarmanVersion,
    ) -> Result<Literal, ConfError> {
        let written = match key.sections {
            Sections::Server => [values.own(key.name)?, None],
            Sections::Both => [values.own(key.name)?, values.of_all(key.name)?],
            Sections::Global => [None, values.of_all(key.name)?],
        };
        let read = written.into_iter().flatten().find_map(|text| key.kind.read(&text, version));
        match read {
            Some(value) => Ok(value),
            None => self.default(key, conf, server),
        }
    }

    fn default(&self, key: &Key, conf: &BarmanConf, server: &ServerName) -> Result<Literal, ConfError> {
        let string = |text: &str| Literal::Str(text.to_owned());
        let number = |number: Option<i64>| number.map_or(Literal::None, |number| Literal::Int(number.into()));
        Ok(match key.kind {
            ValueKind::TextOr(text) | ValueKind::AbsolutePath(Some(text)) | ValueKind::Word(Some(text), _) => {
                string(text)
            }
            ValueKind::Name => string(server.as_str()),
            ValueKind::SameAs(other) => self.get(other).cloned().unwrap_or(Literal::None),
            ValueKind::Below(below) => self.below(below, conf, server)?,
            ValueKind::InHome(name) => string(&conf.barman_home()?.join(name).to_string_lossy()),
            ValueKind::Bool(default) => Literal::Bool(default),
            ValueKind::Int(default) | ValueKind::Size(default) => number(default),
            ValueKind::Options(_) => string(""),
            ValueKind::Level => string("medium"),
            ValueKind::Computed => match key.name {
                "msg_list" => Literal::List(Vec::new()),
                "disabled" => Literal::Bool(false),
                "barman_home" => string(&conf.barman_home()?.to_string_lossy()),
                "barman_lock_directory" => string(&conf.barman_lock_directory()?.to_string_lossy()),
                _ => string(server.as_str()),
            },
            _ => Literal::None,
        })
    }

    fn below(&self, below: &str, conf: &BarmanConf, server: &ServerName) -> Result<Literal, ConfError> {
        let path = match self.text("backup_directory") {
            Some(directory) => format!("{directory}/{below}"),
            None => conf.barman_home()?.join(server.as_str()).to_string_lossy().into_owned(),
        };
        Ok(Literal::Str(path))
    }

    /// What Barman changes once it has read everything.
    fn correct(&mut self, version: BarmanVersion) {
        if !self.is_passive() {
            if !self.is_on("archiver") && !self.is_on("streaming_archiver") {
                self.set("archiver", Literal::Bool(true));
            }
            self.correct_backup_options();
        }
        let redundancy = self.text("minimum_redundancy").and_then(integer).map_or(0, |number| number.max(0));
        self.set("minimum_redundancy", Literal::Int(redundancy));
        let limit = self.text("bandwidth_limit").and_then(integer).map_or(Literal::None, Literal::Int);
        self.set("bandwidth_limit", limit);
        let limits = self.text("tablespace_bandwidth_limit").and_then(limits).unwrap_or(Literal::None);
        self.set("tablespace_bandwidth_limit", limits);
        self.set("retention_policy_mode", Literal::Str("auto".to_owned()));
        let policy = self.text("retention_policy").and_then(|policy| Policy::read(policy, version));
        let wal = policy.as_ref().map_or("main", |policy| &policy.wal).to_owned();
        self.set("wal_retention_policy", Literal::Str(wal));
        if let Some(policy) = policy {
            self.set("retention_policy", Literal::Str(policy.base));
        }
    }

    /// Without a strategy Barman takes the concurrent one; with pg_basebackup there is no other.
    fn correct_backup_options(&mut self) {
        let options = self.text("backup_options").unwrap_or_default();
        let exclusive = options.contains("exclusive_backup") && self.text("backup_method") != Some("postgres");
        if exclusive || options.contains("concurrent_backup") {
            return;
        }
        let external = options.contains("external_configuration");
        let corrected = if external { "concurrent_backup,external_configuration" } else { "concurrent_backup" };
        self.set("backup_options", Literal::Str(corrected.to_owned()));
    }
}

/// `name:100 other:200`
fn limits(text: &str) -> Option<Literal> {
    let pair = |word: &str| {
        let (name, limit) = word.rsplit_once(':')?;
        Some((Literal::Str(name.to_owned()), Literal::Int(integer(limit)?)))
    };
    text.split_whitespace().map(pair).collect::<Option<Vec<_>>>().map(Literal::Dict)
}

/// A retention policy as it is printed, and the one of WAL that follows from it.
struct Policy {
    base: String,
    wal: String,
}

impl Policy {
    fn read(text: &str, version: BarmanVersion) -> Option<Self> {
        let lowered = text.to_lowercase();
        let words: Vec<&str> = lowered.split_whitespace().collect();
        let in_words = version >= POLICY_IN_WORDS;
        let (base, short) = match words.as_slice() {
            ["redundancy", count] => {
                let count = integer(count)?;
                let words = format!("REDUNDANCY {count}");
                (if in_words { words } else { format!("redundancy {count} b") }, format!("{count} b"))
            }
            ["recovery", "window", "of", count, unit] => {
                let count = integer(count)?;
                let unit = match unit.strip_suffix('s').unwrap_or(unit) {
                    "day" => "DAYS",
                    "week" => "WEEKS",
                    "month" => "MONTHS",
                    _ => return None,
                };
                let short = format!("{count} {}", unit.get(..1).unwrap_or_default().to_lowercase());
                (if in_words { format!("RECOVERY WINDOW OF {count} {unit}") } else { format!("window {short}") }, short)
            }
            _ => return None,
        };
        Some(Self { base, wal: if in_words { "MAIN".to_owned() } else { format!("simple-wal {short}") } })
    }
}

/// A value as it may leave this host: without secrets, and of the same shape, so that a Barman which reads the answer finds
/// a text where it expects one.
fn redacted(key: &str, value: &Literal) -> Literal {
    let Literal::Str(text) = value else { return value.clone() };
    Literal::Str(match key {
        // Whatever the command is, its purpose is to print the secret.
        "encryption_passphrase_command" => MASK.to_owned(),
        _ => without_secrets(text),
    })
}

#[cfg(test)]
mod tests;
