//! What barman.conf says of one passive server, as keys of a replica, and what a site file cannot say.

use crate::barman::conf::{BarmanConf, ConfError, Setting, parse_boolean};
use crate::barman::ids::ServerName;

use super::super::scalars::{Rate, Retention, Scalar};
use super::super::yaml;

/// The most that a site file takes for a number of backups.
const MOST_BACKUPS: u32 = 99_999;
/// The most transfers at the same time.
const MOST_STREAMS: u32 = 64;

/// Settings that matter to a passive node and have no counterpart, and what becomes of them.
const UNTRANSLATED: [(&str, &str); 18] = [
    ("basebackup_retry_sleep", TRIES_AGAIN),
    ("basebackup_retry_times", TRIES_AGAIN),
    ("last_backup_maximum_age", CHECKED),
    ("last_backup_minimum_size", CHECKED),
    ("last_wal_maximum_age", "`barman check` goes on reading it; `objective: {rpo: …}` is what Antipode measures"),
    ("parallel_jobs_start_batch_period", STREAMS),
    ("parallel_jobs_start_batch_size", STREAMS),
    ("path_prefix", "`ssh` and `rsync` are looked for in PATH"),
    ("post_delete_retry_script", NO_SCRIPTS),
    ("post_delete_script", NO_SCRIPTS),
    ("post_wal_delete_retry_script", NO_SCRIPTS),
    ("post_wal_delete_script", NO_SCRIPTS),
    ("pre_delete_retry_script", NO_SCRIPTS),
    ("pre_delete_script", NO_SCRIPTS),
    ("pre_wal_delete_retry_script", NO_SCRIPTS),
    ("pre_wal_delete_script", NO_SCRIPTS),
    (
        "tablespace_bandwidth_limit",
        "Barman's own passive node does not go by it either; `transfer.bandwidth` holds for all",
    ),
    ("worm_mode", "a replica is pruned only as `prune` and `protect` allow"),
];
const TRIES_AGAIN: &str = "Antipode decides by itself which failures are tried again, and when";
const CHECKED: &str = "`barman check` goes on reading it; the copying does not depend on it";
const STREAMS: &str = "transfers start as soon as `streams` lets them";
const NO_SCRIPTS: &str = "Antipode runs no scripts when it deletes something";

/// Something that barman.conf says and the site file does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NotTaken {
    /// The file.
    pub file: String,
    /// The section.
    pub section: String,
    /// The key.
    pub key: String,
    /// What becomes of it.
    pub what: String,
}

impl std::fmt::Display for NotTaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}, [{}]): {}", self.key, self.file, self.section, self.what)
    }
}

/// What is copied from where, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// The way to the primary; `None` when the server is not passive.
    pub command: Option<Setting>,
    /// Whether Barman's cron works on it.
    pub active: bool,
    /// Whether the path of this barman.conf is given to the primary's Barman.
    pub forwards_config: bool,
    /// Whether what is copied is compressed on its way.
    pub compresses: Option<Setting>,
    /// Transfers at the same time.
    pub streams: Option<u32>,
    /// The keys of the replica, a line each.
    pub lines: Vec<String>,
    /// What is not said.
    pub remarks: Vec<NotTaken>,
}

/// Reads the settings of a server.
pub fn read(conf: &BarmanConf, server: &ServerName) -> Result<ServerSettings, ConfError> {
    let mut reader = Reader { conf, server, remarks: Vec::new() };
    let active = reader.boolean("active")?.is_none_or(|(active, _)| active);
    let command = reader.first("primary_ssh_command")?;
    let forwards_config = reader.boolean("forward_config_path")?.is_some_and(|(forwards, _)| forwards);
    let compresses = reader.boolean("network_compression")?.filter(|(is_on, _)| *is_on).map(|(_, setting)| setting);
    let retention = reader.retention()?;
    let minimum = reader.number("minimum_redundancy", 0, MOST_BACKUPS)?.filter(|minimum| *minimum > 0);
    let streams = reader.number("parallel_jobs", 1, MOST_STREAMS)?;
    let mut lines = backups(retention.as_deref(), minimum);
    let transfer = reader.transfer(streams)?;
    if !transfer.is_empty() {
        lines.push(format!("transfer: {{{}}}", transfer.join(", ")));
    }
    reader.untranslated()?;
    let remarks = reader.remarks;
    Ok(ServerSettings { command, active, forwards_config, compresses, streams, lines, remarks })
}

/// Barman's passive node copies what its local retention does not find too much, and deletes what it does, down to
/// `minimum_redundancy` backups and all at once. Without a retention policy it copies everything and deletes nothing.
fn backups(retention: Option<&str>, minimum: Option<u32>) -> Vec<String> {
    let Some(retention) = retention else {
        let protect = minimum.map(|minimum| format!("protect: {{min_backups: {minimum}}}"));
        return std::iter::once("backups: all".to_owned()).chain(protect).collect();
    };
    let least = minimum.map(|minimum| format!(", {{last: {minimum}}}")).unwrap_or_default();
    vec![
        format!("backups: [{{retention: {}}}{least}]", yaml::scalar(retention)),
        "prune: {unselected: true}".to_owned(),
        format!("protect: {{min_backups: {}, max_prune: 100%}}", minimum.unwrap_or(1)),
    ]
}

struct Reader<'a> {
    conf: &'a BarmanConf,
    server: &'a ServerName,
    remarks: Vec<NotTaken>,
}

impl Reader<'_> {
    fn say(&mut self, setting: &Setting, what: impl Into<String>) {
        let Setting { file, section, key, .. } = setting.clone();
        self.remarks.push(NotTaken { file, section, key, what: what.into() });
    }

    /// The setting that holds; `None` when there is none or it is null.
    fn first(&self, key: &str) -> Result<Option<Setting>, ConfError> {
        let first = self.conf.settings(self.server, key)?.into_iter().next();
        Ok(first.filter(|setting| !setting.value.is_empty()))
    }

    /// The first value that Barman can read; it says so of the others, and passes over them.
    fn parsed<T>(&mut self, key: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<(T, Setting)>, ConfError> {
        for setting in self.conf.settings(self.server, key)? {
            if setting.value.is_empty() {
                break;
            }
            match parse(setting.value.trim()) {
                Some(value) => return Ok(Some((value, setting))),
                None => self.say(&setting, "Barman cannot read its value and passes over it, and so does this file"),
            }
        }
        Ok(None)
    }

    fn boolean(&mut self, key: &str) -> Result<Option<(bool, Setting)>, ConfError> {
        self.parsed(key, parse_boolean)
    }

    fn number(&mut self, key: &str, least: u32, most: u32) -> Result<Option<u32>, ConfError> {
        let found = self.parsed(key, |text| text.parse::<i64>().ok())?;
        let Some((number, setting)) = found else { return Ok(None) };
        let fitting = u32::try_from(number).ok().filter(|number| (least..=most).contains(number));
        if fitting.is_none() {
            self.say(&setting, format!("{number} is left out: a site file takes {least} to {most}"));
        }
        Ok(fitting)
    }

    /// The retention policy that Barman enforces, in the wording of site files.
    fn retention(&mut self) -> Result<Option<String>, ConfError> {
        for (key, only) in [("retention_policy_mode", "auto"), ("wal_retention_policy", "main")] {
            if let Some(setting) = self.first(key)?.filter(|setting| setting.value != only) {
                self.say(&setting, format!("Barman knows only `{only}` and goes by that, and so does this file"));
            }
        }
        let Some(setting) = self.first("retention_policy")? else { return Ok(None) };
        let words: Vec<String> = setting.value.split_whitespace().map(str::to_ascii_uppercase).collect();
        let text = words.iter().map(|word| without_leading_zeros(word)).collect::<Vec<_>>().join(" ");
        if Retention::parse(&text).is_ok() {
            return Ok(Some(text));
        }
        let is_barmans = matches!(words.first().map(String::as_str), Some("REDUNDANCY" | "RECOVERY"))
            && words.iter().any(|word| word.bytes().all(|b| b.is_ascii_digit()));
        let why = if is_barmans {
            "its number cannot be said in a site file, so every backup is kept; see `backups` in examples/full.yaml"
        } else {
            "Barman cannot read it and deletes nothing, and so does this file"
        };
        self.say(&setting, why);
        Ok(None)
    }

    fn transfer(&mut self, streams: Option<u32>) -> Result<Vec<String>, ConfError> {
        let mut transfer: Vec<String> = streams.iter().map(|streams| format!("streams: {streams}")).collect();
        if let Some((limit, setting)) = self.parsed("bandwidth_limit", |text| text.parse::<i64>().ok())? {
            match u64::try_from(limit).ok().and_then(rate) {
                Some(rate) => transfer.push(format!("bandwidth: {rate}")),
                None if limit == 0 => {}
                None => self.say(&setting, format!("{limit} is left out: it is no rate that a site file takes")),
            }
        }
        let reuse = |text: &str| match text.to_ascii_lowercase().as_str() {
            "off" => Some("none"),
            "copy" => Some("copy"),
            "link" => Some("link"),
            _ => None,
        };
        transfer.extend(self.parsed("reuse_backup", reuse)?.map(|(reuse, _)| format!("reuse: {reuse}")));
        Ok(transfer)
    }

    fn untranslated(&mut self) -> Result<(), ConfError> {
        for (key, what) in UNTRANSLATED {
            if let Some(setting) = self.first(key)? {
                self.say(&setting, format!("not translated; {what}"));
            }
        }
        for (key, file) in self.conf.keys(self.server.as_str()).filter(|(key, _)| key.contains('-')) {
            let what =
                format!("Barman does not know this key, only perhaps `{}`; it is left out", key.replace('-', "_"));
            let (file, section) = (file.to_owned(), self.server.to_string());
            self.remarks.push(NotTaken { file, section, key: key.to_owned(), what });
        }
        Ok(())
    }
}

fn without_leading_zeros(word: &str) -> &str {
    if word.bytes().all(|b| b.is_ascii_digit()) {
        let trimmed = word.trim_start_matches('0');
        if trimmed.is_empty() { "0" } else { trimmed }
    } else {
        word
    }
}

/// Barman gives its kB/s to rsync, which takes them for KiB/s.
fn rate(limit: u64) -> Option<String> {
    let text = match limit {
        0 => return None,
        1..=999_999 => format!("{limit}KiB/s"),
        _ => {
            let thousandths = limit % 1024 * 1000 / 1024;
            let fraction = format!("{thousandths:03}");
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            format!("{}{point}{fraction}MiB/s", limit / 1024)
        }
    };
    Rate::parse(&text).is_ok().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_rsync_makes_of_it() {
        assert_eq!(rate(0), None);
        assert_eq!(rate(4000).as_deref(), Some("4000KiB/s"));
        assert_eq!(rate(2 << 20).as_deref(), Some("2048MiB/s"));
        assert_eq!(rate((2 << 20) + 512).as_deref(), Some("2048.5MiB/s"));
        assert_eq!(rate(u64::MAX), None);
    }

    /// The lines and the remarks of a server with these settings.
    fn translated(text: &str) -> (String, Vec<String>) {
        let conf = BarmanConf::parse("f", &format!("[barman]\nbarman_home = /b\n[main]\n{text}\n")).unwrap();
        let settings = read(&conf, &"main".parse().unwrap()).unwrap();
        (settings.lines.join("; "), settings.remarks.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_spelling_of_a_retention_policy_that_barman_reads_is_translated() {
        for (policy, expected) in [
            ("REDUNDANCY 3", "[{retention: REDUNDANCY 3}]"),
            ("redundancy\t003", "[{retention: REDUNDANCY 3}]"),
            ("Recovery  Window of 30 DAY", "[{retention: RECOVERY WINDOW OF 30 DAY}]"),
            ("RECOVERY WINDOW OF\n  2 weeks", "[{retention: RECOVERY WINDOW OF 2 WEEKS}]"),
            ("'RECOVERY WINDOW OF 1 MONTHS'", "[{retention: RECOVERY WINDOW OF 1 MONTHS}]"),
        ] {
            let (lines, remarks) = translated(&format!("retention_policy = {policy}"));
            let rest = "; prune: {unselected: true}; protect: {min_backups: 1, max_prune: 100%}";
            assert_eq!(lines, format!("backups: {expected}{rest}"));
            assert_eq!(remarks, [""; 0]);
        }
        for policy in ["REDUNDANCY 0", "RECOVERY WINDOW OF 123456 DAYS", "7 days", "RECOVERY WINDOW OF 2 YEARS"] {
            let (lines, remarks) = translated(&format!("retention_policy = {policy}"));
            assert_eq!((lines.as_str(), remarks.len()), ("backups: all", 1), "{policy}");
        }
        assert_eq!(translated("retention_policy ="), ("backups: all".to_owned(), Vec::new()));
    }

    #[test]
    fn values_that_barman_passes_over_are_passed_over_and_told() {
        let (lines, remarks) = translated("parallel_jobs = many\nreuse_backup = hard\nminimum_redundancy = 2");
        assert_eq!(lines, "backups: all; protect: {min_backups: 2}");
        assert_eq!(remarks.len(), 2);
        assert!(remarks[0].starts_with("parallel_jobs (f, [main]): Barman cannot read"), "{remarks:?}");
        let (lines, remarks) = translated("parallel_jobs = 65\nbandwidth_limit = -1\nretention-policy = REDUNDANCY 1");
        assert_eq!((lines.as_str(), remarks.len()), ("backups: all", 3), "{remarks:?}");
    }
}
