//! barman.conf as Barman reads it with Python's `configparser` (Barman `config.py`, `Config` and `ServerConfig`).
//!
//! Only what Antipode needs is worked out: where a server's files are, where the locks are, and what would work
//! against it. Models (`config-switch`) are left out of the list of servers and are not applied.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use configparser::ini::{Ini, IniDefault};

use super::ids::{InvalidId, ServerName};
use super::layout::ServerDirs;

/// The section of what holds for all servers.
const GLOBAL: &str = "barman";
/// The section whose keys Python adds to every other.
const DEFAULT: &str = "DEFAULT";
/// Where the reader puts lines before the first section; no file can name it.
const NO_SECTION: &str = "\0";
/// Python refuses deeper references (`configparser.MAX_INTERPOLATION_DEPTH`).
const MAX_DEPTH: usize = 10;
/// The settings that a server takes from `[barman]` when it has none (Barman `config.py`, `BARMAN_KEYS`).
const INHERITED: [&str; 4] = ["compression", "primary_ssh_command", "retention_policy", "xlogdb_directory"];

type Section = BTreeMap<String, String>;

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

impl fmt::Debug for BarmanConf {
    /// Names no values: passwords are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.sections.keys()).finish()
    }
}

impl BarmanConf {
    /// Reads the main file.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfError> {
        Ok(Self { sections: read_ini(file, text)? })
    }

    /// The directory whose `*.conf` files, sorted by name, are to be given to [`Self::include`]; `~` is not expanded.
    pub fn includes(&self) -> Result<Option<PathBuf>, ConfError> {
        Ok(self.global("configuration_files_directory")?.map(PathBuf::from))
    }

    /// Adds a file; where it names a server that is known, its values win.
    pub fn include(&mut self, file: &str, text: &str) -> Result<(), ConfError> {
        for (name, section) in read_ini(file, text)? {
            let known = self.sections.entry(name.clone()).or_default();
            for (key, value) in section {
                if name == GLOBAL && known.get(&key) != Some(&value) {
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

    /// What holds for every server that does not say otherwise.
    pub fn global_retention_policy(&self) -> Result<Option<String>, ConfError> {
        self.global("retention_policy")
    }

    /// The servers, sorted by name.
    pub fn servers(&self) -> Result<BTreeSet<ServerName>, ConfError> {
        let is_server = |(name, section): &(&String, &Section)| {
            let model = section.get("model").and_then(|value| parse_boolean(value)).unwrap_or(false);
            *name != GLOBAL && *name != DEFAULT && !model
        };
        let sections = self.sections.iter().filter(is_server);
        Ok(sections.map(|(name, _)| name.parse()).collect::<Result<_, InvalidId>>()?)
    }

    /// What the file says about one server; `None` when it has no section.
    pub fn server(&self, server: &ServerName) -> Result<Option<ServerConf>, ConfError> {
        let Some(mut scope) = self.scope(server)? else { return Ok(None) };
        let home = self.barman_home()?;
        // In the order in which Barman reads them: a later one may refer to those before.
        let active = scope.get("active")?.and_then(|value| parse_boolean(&value)).unwrap_or(true);
        let backup_directory = scope.path("backup_directory", home.join(server.as_str()))?;
        let defaults = ServerDirs::of_backup_directory(backup_directory, server.clone());
        let basebackups_directory = scope.path("basebackups_directory", defaults.basebackups_directory)?;
        let compression = scope.get("compression")?;
        let primary_ssh_command = scope.get("primary_ssh_command")?;
        let retention_policy = scope.get("retention_policy")?;
        let wals_directory = scope.path("wals_directory", defaults.wals_directory)?;
        let xlogdb_directory = scope.path("xlogdb_directory", wals_directory.clone())?;
        let dirs =
            ServerDirs { basebackups_directory, wals_directory, xlogdb_directory, server: server.clone(), ..defaults };
        Ok(Some(ServerConf { dirs, active, primary_ssh_command, retention_policy, compression }))
    }

    /// The section of a server, to read its values one by one; `None` when it has none.
    pub(super) fn scope<'a>(&'a self, server: &'a ServerName) -> Result<Option<Scope<'a>>, ConfError> {
        if !self.sections.contains_key(server.as_str()) {
            return Ok(None);
        }
        let mut scope = Scope { conf: self, section: server.as_str(), known: Section::new() };
        scope.know("name", server.as_str());
        scope.know("barman_home", &self.barman_home()?.to_string_lossy());
        scope.know("barman_lock_directory", &self.barman_lock_directory()?.to_string_lossy());
        Ok(Some(scope))
    }

    fn global(&self, key: &str) -> Result<Option<String>, ConfError> {
        let scope = Scope { conf: self, section: GLOBAL, known: Section::new() };
        Ok(scope.in_section(GLOBAL, key)?.filter(|value| !value.is_empty()))
    }

    fn raw(&self, section: &str, key: &str) -> Option<&str> {
        let value = |section: &str| self.sections.get(section)?.get(key).map(String::as_str);
        value(section).or_else(|| value(DEFAULT))
    }
}

/// A section together with the values that Barman has worked out already: references see those first.
pub(super) struct Scope<'a> {
    conf: &'a BarmanConf,
    section: &'a str,
    known: Section,
}

impl Scope<'_> {
    /// Makes a value known to the references of later ones.
    pub(super) fn know(&mut self, key: &str, value: &str) {
        self.known.insert(key.to_owned(), value.to_owned());
    }

    /// What the server's own section says; the empty text is null.
    pub(super) fn own(&self, key: &str) -> Result<Option<String>, ConfError> {
        self.in_section(self.section, key)
    }

    /// What `[barman]` says for all servers; the empty text is null.
    pub(super) fn of_all(&self, key: &str) -> Result<Option<String>, ConfError> {
        self.in_section(GLOBAL, key)
    }

    /// The value of a key: the server's own, else that of `[barman]` where servers inherit it. An empty value
    /// and `None` are null, and stop inheritance.
    fn get(&mut self, key: &str) -> Result<Option<String>, ConfError> {
        let mut value = self.own(key)?;
        if value.is_none() && INHERITED.contains(&key) {
            value = self.of_all(key)?;
        }
        let value = value.filter(|value| !value.is_empty());
        if let Some(value) = &value {
            self.know(key, value);
        }
        Ok(value)
    }

    fn path(&mut self, key: &str, default: PathBuf) -> Result<PathBuf, ConfError> {
        let path = self.get(key)?.map_or(default, PathBuf::from);
        self.know(key, &path.to_string_lossy());
        Ok(path)
    }

    fn in_section(&self, section: &str, key: &str) -> Result<Option<String>, ConfError> {
        let Some(raw) = self.conf.raw(section, key) else { return Ok(None) };
        let reference = |why| ConfError::Reference { section: section.to_owned(), key: key.to_owned(), why };
        let value = self.interpolate(section, raw, 1).map_err(reference)?;
        Ok(Some(if value == "None" { String::new() } else { unquote(&value).to_owned() }))
    }

    /// Replaces `%%` and `%(key)s` (Python `configparser.BasicInterpolation`).
    fn interpolate(&self, section: &str, text: &str, depth: usize) -> Result<String, String> {
        if depth > MAX_DEPTH {
            return Err("it refers to itself".to_owned());
        }
        let mut value = String::new();
        let mut rest = text;
        while let Some((plain, after)) = rest.split_once('%') {
            value.push_str(plain);
            if let Some(after) = after.strip_prefix('%') {
                value.push('%');
                rest = after;
                continue;
            }
            let reference = after.strip_prefix('(').and_then(|after| after.split_once(")s"));
            let (name, after) = reference.ok_or("a `%` must be followed by `%` or `(key)s`")?;
            let name = name.to_lowercase();
            let found = self.known.get(&name).map(String::as_str).or_else(|| self.conf.raw(section, &name));
            let raw = found.ok_or_else(|| format!("it refers to `{name}`, which is not set"))?;
            value.push_str(&self.interpolate(section, raw, depth + 1)?);
            rest = after;
        }
        Ok(value + rest)
    }
}

/// A file as sections of keys. Section names keep their case, keys are lowered, as Python does.
fn read_ini(file: &str, text: &str) -> Result<BTreeMap<String, Section>, ConfError> {
    let syntax = |why: String| ConfError::Syntax { file: file.to_owned(), why };
    let mut rules = IniDefault::default();
    NO_SECTION.clone_into(&mut rules.default_section);
    rules.case_sensitive = true;
    rules.multiline = true;
    rules.enable_inline_comments = false;
    let sections = Ini::new_from_defaults(rules).read(text.to_owned()).map_err(syntax)?;
    if sections.contains_key(NO_SECTION) {
        return Err(syntax("a line comes before the first [section]".to_owned()));
    }
    let mut read = BTreeMap::new();
    for (name, keys) in sections {
        let mut section = Section::new();
        for (key, value) in keys {
            let value = value.ok_or_else(|| syntax(format!("[{name}] {key}: the line has no `=`")))?;
            section.insert(key.to_lowercase(), value);
        }
        read.insert(name, section);
    }
    Ok(read)
}

/// Barman takes one pair of equal quotes away.
fn unquote(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

/// Barman's words for yes and no (Barman `config.py`, `parse_boolean`).
pub(super) fn parse_boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "1" | "on" => Some(true),
        "false" | "f" | "no" | "0" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    const MAIN: &str = r#"
; Barman of Lisbon
[barman]
barman_home = /srv/barman
barman_lock_directory = "/run/barman"
configuration_files_directory = /etc/barman.d
primary_ssh_command = ssh barman@fra
xlogdb_directory = /srv/xlogdb/%(name)s
retention_policy = RECOVERY WINDOW OF
    30 DAYS

[main]
conninfo = host=x password=s3cret#1
Description = 100%% ours ; really
active = Off
backup_directory = /big/%(name)s
wals_directory = %(backup_directory)s/pg_wals
primary_ssh_command = None

[model-a]
model = true
cluster = main
"#;

    fn conf() -> BarmanConf {
        BarmanConf::parse("barman.conf", MAIN).unwrap()
    }

    fn server(conf: &BarmanConf, name: &str) -> ServerConf {
        conf.server(&name.parse().unwrap()).unwrap().unwrap()
    }

    #[test]
    fn global_settings_are_read() {
        let conf = conf();
        assert_eq!(conf.barman_home().unwrap(), Path::new("/srv/barman"));
        assert_eq!(conf.barman_lock_directory().unwrap(), Path::new("/run/barman"));
        assert_eq!(conf.includes().unwrap().unwrap(), Path::new("/etc/barman.d"));
        assert_eq!(conf.servers().unwrap(), BTreeSet::from(["main".parse().unwrap()]));
    }

    #[test]
    fn a_servers_values_are_inherited_referred_to_and_taken_back() {
        let main = server(&conf(), "main");
        assert_eq!(main.dirs.basebackups_directory, Path::new("/big/main/base"));
        assert_eq!(main.dirs.wals_directory, Path::new("/big/main/pg_wals"));
        assert_eq!(main.dirs.xlogdb_directory, Path::new("/srv/xlogdb/main"));
        assert_eq!(main.dirs.meta_directory, Path::new("/big/main/meta"));
        assert_eq!((main.active, main.primary_ssh_command), (false, None));
        assert_eq!(main.retention_policy.as_deref(), Some("RECOVERY WINDOW OF\n30 DAYS"));
    }

    #[test]
    fn an_included_file_adds_and_overrides_servers_only() {
        let mut conf = conf();
        conf.include("b.conf", "[main]\nactive = yes\n[Other]\ndescription: x\n").unwrap();
        assert!(server(&conf, "main").active);
        let other = server(&conf, "Other");
        let default = ServerDirs::of_catalog(Path::new("/srv/barman"), "Other".parse().unwrap());
        assert_eq!(other.dirs.wals_directory, default.wals_directory);
        assert_eq!(other.primary_ssh_command.as_deref(), Some("ssh barman@fra"));
        let error = conf.include("c.conf", "[barman]\nbarman_home = /x\n").unwrap_err();
        assert_eq!(error, ConfError::GlobalInInclude { file: "c.conf".into(), key: "barman_home".into() });
        conf.include("d.conf", "[barman]\nbarman_home = /srv/barman\n").unwrap();
    }

    #[test]
    fn what_barman_could_not_read_is_an_error() {
        for text in ["key = 1\n", "[barman\n", "[barman]\nword\n"] {
            assert!(matches!(BarmanConf::parse("f", text), Err(ConfError::Syntax { .. })), "{text}");
        }
        for value in ["%(nowhere)s", "%(barman_home)s", "50%", "%(open"] {
            let conf = BarmanConf::parse("f", &format!("[barman]\nbarman_home = {value}\n")).unwrap();
            assert!(matches!(conf.barman_home(), Err(ConfError::Reference { .. })), "{value}");
        }
        let conf = BarmanConf::parse("f", "[barman]\n[../x]\na=1\n").unwrap();
        assert_eq!(conf.barman_home(), Err(ConfError::NoHome));
        assert!(matches!(conf.servers(), Err(ConfError::Name(_))));
    }

    #[test]
    fn debug_output_shows_no_password() {
        assert!(!format!("{:?}", conf()).contains("s3cret"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(\\[[a-z]{0,6}\\]?\n|[ a-z%()s=:;#\"]{0,20}\n|\\PC{0,9}){0,8}") {
            if let Ok(conf) = BarmanConf::parse("f", &format!("[barman]\nbarman_home=/x\n{text}")) {
                for name in conf.servers().unwrap_or_default() {
                    let _ = conf.server(&name);
                }
            }
        }
    }
}
