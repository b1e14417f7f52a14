//! The shape of a site file. The JSON Schema is made from these types, and the reader follows the schema.
//!
//! The comments of the fields are what a person sees in an editor.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::model::Auto;
use super::raw_drill::RawDrill;
use super::raw_hooks::RawOn;
use super::scalars::{
    AbsolutePath, Accepted, Barman, Command, Cron, Destination, HomePath, Interval, Jump, Length, LocalServer, Name,
    Objective, OptionName, OptionValue, Percent, Rate, ReadEvery, RemotePath, Reserve, Retention, ServerPattern,
    SshCommand, System, Zone,
};

/// The desired state of one site: which replicas of which primaries this host keeps.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Antipode site")]
#[expect(dead_code, reason = "the schema is made from it; what fits is read as a `RawSite`")]
pub(super) struct Whole {
    /// The version of this file's format: 1.
    #[schemars(extend("const" = 1))]
    version: u32,
    /// The site's name, shown in every plan.
    site: Name,
    /// Where the copies are kept.
    catalog: RawCatalog,
    /// The Barman installations that have the data, by a name of your choice.
    #[schemars(extend("propertyNames" = names::<Name>(), "minProperties" = 1))]
    primaries: BTreeMap<String, RawPrimary>,
    /// What is wanted of every replica and mirror, unless it says otherwise itself. Maps are merged key by key, lists are replaced.
    #[serde(default)]
    defaults: RawPolicy,
    /// The passive copies of single servers, by their name at this site.
    #[serde(default)]
    #[schemars(extend("propertyNames" = names::<LocalServer>()))]
    replicas: BTreeMap<String, RawReplica>,
    /// Primaries of which every other server is copied too, new ones included, each under its own name.
    #[serde(default)]
    mirrors: Vec<RawMirror>,
    /// Servers that are copied no longer and whose directories stay at this site: plans and statuses are silent about them.
    #[serde(default)]
    retired: Vec<LocalServer>,
    /// How what is here is read again, so that rot is found before it is needed.
    #[serde(default)]
    verify: RawVerify,
    /// Who is told when something fails, recovers, is applied, or misses its objective.
    #[serde(default)]
    on: RawOn,
}

/// What fits of a file, `defaults` merged. Everything may be missing, so that a mistake in one part hides none in another.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawSite {
    pub site: Option<Name>,
    pub catalog: Option<RawCatalog>,
    pub primaries: BTreeMap<String, RawPrimary>,
    pub replicas: BTreeMap<String, RawReplica>,
    pub mirrors: Vec<RawMirror>,
    pub retired: Vec<LocalServer>,
    pub verify: RawVerify,
    pub on: RawOn,
}

/// The schema of a map's keys.
pub(super) fn names<T: JsonSchema>() -> schemars::Schema {
    T::json_schema(&mut schemars::SchemaGenerator::default())
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawVerify {
    /// Within what time each byte is read again by `antipode verify`, and by `antipode run` as it goes. `never`: only what
    /// `antipode verify` is told to, and what is new. Default 30d.
    pub every: ReadEvery,
    /// How fast `antipode run` reads, in bytes per second with a unit. Default 50MiB/s.
    pub bandwidth: Option<Rate>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCatalog {
    /// `barman_home` at this site.
    pub path: AbsolutePath,
    /// The barman.conf of this site's own Barman, for its lock and other directories. Where it does not exist, Barman's
    /// default places hold.
    pub config: Option<AbsolutePath>,
    /// The version of Barman to write for, in quotes: "3.12". Default `auto`: that of the Barman installed here,
    /// else what the disk shows, else the primary's.
    #[serde(default)]
    pub barman: Barman,
    /// How long a look at the files here is believed while their directories show no change: then they are looked at again
    /// one by one, as with `--refresh`. `always` looks at all of them in each plan. The same holds for the version that the
    /// Barman here told. Default 1d.
    #[serde(default)]
    pub deep_every: Interval,
    /// What the group of the catalog's files may do: `none`, or `read` them. Nobody but the owner writes there, and other users
    /// read nothing, whatever modes the primary has. Default `none`.
    #[serde(default)]
    pub group: RawGroup,
    /// What no backup takes of the disks here, so that WAL still has room, and whoever else lives on them: `10GiB`, `5%` or
    /// `none`. Default `5%` of a disk, and at most 10 GiB.
    pub reserve: Option<Reserve>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawGroup {
    #[default]
    None,
    Read,
}

/// Exactly one of `ssh`, `ssh_command` and `path` says how it is reached.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = one_of(&["ssh", "ssh_command", "path"])))]
pub(super) struct RawPrimary {
    /// Reached over ssh.
    pub ssh: Option<RawSsh>,
    /// Reached over ssh, by a whole command as `primary_ssh_command` in barman.conf: `ssh -p 22 barman@barman.example.com`.
    pub ssh_command: Option<SshCommand>,
    /// A catalog (`barman_home`) on a file system of this machine.
    pub path: Option<AbsolutePath>,
    /// How Barman is run at the primary.
    #[serde(default)]
    pub barman: RawBarman,
    /// When to give up waiting for it.
    #[serde(default)]
    pub timeouts: RawTimeouts,
    /// How old what its Barman said may be while none of its files shows a change: its configuration and its version are
    /// then as old. Default `1h`.
    #[serde(default = "an_hour")]
    pub refresh_after: Length,
    /// What all its replicas together may take: `200MiB/s`. Default `unlimited`. It is kept over all streams and
    /// connections. What comes compressed counts compressed; lists, and what ssh adds, are not counted.
    #[serde(default)]
    pub bandwidth: Rate,
    /// How many transfers run at the same time at the most, all its replicas together. How many do is decided by how far
    /// away the primary is.
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 64))]
    pub streams: NonZeroU32,
    /// When `antipode run` may copy backups from it, and how fast. By default always, and as fast as `bandwidth` says. What
    /// a person applies is bound by none of them.
    #[serde(default)]
    pub windows: Vec<RawWindow>,
}

/// A window that opens at the times of a cron line. Exactly one of `allow`, `deny` and `bandwidth` says what holds in it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = one_of(&["allow", "deny", "bandwidth"])))]
pub(super) struct RawWindow {
    /// Backups may be copied while it is open, and not while no such window is.
    pub allow: Option<RawAllowed>,
    /// No backup is copied while it is open (`backups`), or nothing at all (`everything`): the newest WAL comes unless it is
    /// denied so. A window that denies is stronger than one that allows.
    pub deny: Option<RawDenied>,
    /// While it is open, all that comes from this primary comes so fast at the most: `20MiB/s`. It only lowers the primary's.
    pub bandwidth: Option<Rate>,
    /// When it opens: the five fields of a crontab, `0 20 * * *`.
    pub cron: Cron,
    /// For how long.
    pub duration: Length,
    /// By which clocks: `Europe/Lisbon`. Default `UTC`.
    #[serde(default)]
    pub time_zone: Zone,
    /// What becomes of copies that run when they are not allowed any more: they go on to their end (`finish`, the default),
    /// or end at once and keep what they have (`stop`).
    #[serde(default)]
    pub overrun: RawOverrun,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawAllowed {
    Backups,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawDenied {
    Backups,
    Everything,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawOverrun {
    #[default]
    Finish,
    Stop,
}

fn an_hour() -> Length {
    Length(Duration::from_secs(3600))
}

const fn eight() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(7)
}

/// The schema of a map that has exactly one of these keys.
pub(super) fn one_of(keys: &[&str]) -> serde_json::Value {
    keys.iter().map(|key| serde_json::json!({ "required": [key] })).collect()
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSsh {
    /// `user@host`, a host of `~/.ssh/config`, or `ssh://user@host:port`.
    pub destination: Destination,
    /// The port, when it is not what ssh would take by itself.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// The private key: an absolute path, or one from `~/` on. No other key is then tried.
    pub identity_file: Option<HomePath>,
    /// Hosts to pass through, separated by commas.
    pub jump: Option<Jump>,
    /// More options of `ssh_config(5)`, such as `Ciphers`. The host key is always checked, whatever is written here.
    #[serde(default)]
    #[schemars(extend("propertyNames" = names::<OptionName>()))]
    pub options: BTreeMap<String, OptionValue>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawBarman {
    /// The words that start Barman there. Default `barman`.
    pub command: Command,
    /// The barman.conf that it shall read (`barman -c`): what `forward_config_path` does in Barman.
    pub config: Option<RemotePath>,
}

impl Default for RawBarman {
    fn default() -> Self {
        Self { command: Command(vec!["barman".to_owned()]), config: None }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTimeouts {
    /// For the connection to be made. Default `15s`.
    pub connect: Length,
    /// For the next byte of a transfer. Default `2m`.
    pub idle: Length,
    /// For `barman sync-info` to be complete. Default `10m`.
    pub sync_info: Length,
}

impl Default for RawTimeouts {
    fn default() -> Self {
        let seconds = |n| Length(Duration::from_secs(n));
        Self { connect: seconds(15), idle: seconds(120), sync_info: seconds(600) }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReplica {
    /// The primary that has the data: one of the names under `primaries`.
    pub primary: String,
    /// The server's name at the primary. Default: the same as here.
    pub server: Option<LocalServer>,
    #[serde(flatten)]
    pub policy: RawPolicy,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMirror {
    /// The primary whose servers are copied: one of the names under `primaries`.
    pub primary: String,
    /// Servers that are left out; `*` is any text and `?` any character.
    #[serde(default)]
    pub except: Vec<ServerPattern>,
    #[serde(flatten)]
    pub policy: RawPolicy,
}

/// What is wanted of a replica.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPolicy {
    /// Which backups: `all` (the default), or a list of rules; what any of them selects is wanted.
    pub backups: RawSelection,
    /// Which WAL.
    pub wals: RawWals,
    /// What may be deleted at this site. By default nothing.
    pub prune: RawPrune,
    /// What bounds a deletion.
    pub protect: RawProtect,
    /// How bytes are moved.
    pub transfer: RawTransfer,
    /// What the replica is measured by.
    pub objective: RawObjective,
    /// Systems (`system_identifier`) that may follow the one the replica holds: list the new one after a `pg_upgrade`.
    pub accept_systems: Vec<System>,
    /// Addresses of things that are good here and differ at the primary, and that the primary's may replace all the same:
    /// `main/wal/00000001000000000000000C`, `main/info/20261122T030000`. Take them out when it is done.
    pub accept: Vec<Accepted>,
    /// How often `antipode run` looks at it and brings what is missing.
    pub schedule: RawSchedule,
    /// What `antipode run` does by itself. The rest waits for a person, who applies it.
    pub auto: RawAuto,
    /// How drills are made: it is restored to a PostgreSQL of this host, which is looked at and removed.
    pub drill: RawDrill,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum RawSelection {
    /// Every backup.
    Word(RawAll),
    /// What any of these rules selects.
    Rules(#[schemars(length(min = 1))] Vec<RawRule>),
}

impl Default for RawSelection {
    fn default() -> Self {
        Self::Word(RawAll::All)
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawAll {
    All,
}

/// One rule. It counts finished backups that are not incremental; incrementals follow their parents.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = one_of(&["last", "within", "retention"])))]
pub(super) struct RawRule {
    /// The newest N.
    #[schemars(range(min = 1, max = 99999))]
    pub last: Option<NonZeroU32>,
    /// Those that ended within this time before now, and one before them: `30d`. Now is never later than what is newest at
    /// either end.
    pub within: Option<Length>,
    /// Barman's wording: `REDUNDANCY 3` or `RECOVERY WINDOW OF 4 WEEKS`.
    pub retention: Option<Retention>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawWals {
    /// From where on WAL is kept: from the begin of the oldest kept backup (the default), of the newest one, or only
    /// what makes each kept backup consistent.
    pub from: RawWalsFrom,
    /// Whether the segment that is still being written is shipped too. Only `false` is supported so far.
    #[schemars(extend("const" = false))]
    pub unfinished: bool,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawWalsFrom {
    #[default]
    OldestBackup,
    NewestBackup,
    BackupsOnly,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPrune {
    /// Whether backups that the rules leave out may be deleted, and then the WAL that no kept backup needs.
    pub unselected: bool,
    /// Whether backups that the primary no longer has may be deleted.
    pub gone_at_primary: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawProtect {
    /// How many recoverable backups a prune must leave.
    #[schemars(range(max = 99999))]
    pub min_backups: u32,
    /// How much of the replica's backups, those to come included, one plan may delete; when it would be more, none is
    /// deleted. One may always go. Default `25%`.
    pub max_prune: Percent,
}

impl Default for RawProtect {
    fn default() -> Self {
        Self { min_backups: 2, max_prune: Percent(25) }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTransfer {
    /// How many transfers of this replica run at the same time at the most.
    #[schemars(range(min = 1, max = 64))]
    pub streams: NonZeroU32,
    /// What this replica may take: `80MiB/s`. It only lowers the primary's. Default `unlimited`.
    pub bandwidth: Rate,
    /// What is done with files that an older backup here already has: hard links, and copies where a file can have no more
    /// of them (`link`), copies that share their blocks (`reflink`), copies (`copy`), or nothing, so that everything comes
    /// from the primary (`none`). `auto`, the default, is `link`.
    pub reuse: RawReuse,
    /// Whether bytes are compressed on their way: where the line is slower than that (`auto`, the default), always
    /// (`zstd`), or never (`none`). What is compressed or encrypted already is left as it is.
    pub compress: RawCompress,
}

impl Default for RawTransfer {
    fn default() -> Self {
        Self { streams: eight(), bandwidth: Rate(None), reuse: RawReuse::Auto, compress: RawCompress::Auto }
    }
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawReuse {
    Auto,
    Link,
    Reflink,
    Copy,
    None,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawCompress {
    Auto,
    Zstd,
    None,
}

/// Either `every` or `cron`. What says neither is looked at every minute.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSchedule {
    /// So long after the last time ended. Default `1m`.
    pub every: Option<Length>,
    /// At the times of a crontab's five fields: `*/5 * * * *`.
    pub cron: Option<Cron>,
    /// By which clocks `cron` is meant: `Europe/Lisbon`. Default `UTC`.
    pub time_zone: Zone,
    /// How much later it may be, so that many replicas do not begin at once. Default `10s`.
    pub jitter: Option<Length>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAuto {
    /// Whether it brings what is missing, and follows what the primary changed.
    pub add: bool,
    /// Whether it repairs what is wrong here.
    pub repair: bool,
    /// Whether it deletes what `prune` lets go.
    pub prune: bool,
}

impl Default for RawAuto {
    fn default() -> Self {
        let Auto { add, repair, prune } = Auto::default();
        Self { add, repair, prune }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawObjective {
    /// The recovery point objective: how far behind the primary the replica may be. Default `none`.
    pub rpo: Objective,
    /// How long nothing may be heard of the primary, or nothing of it applied, before the replica counts as not well.
    /// Default `24h`; `none` is for ever.
    pub max_silence: Objective,
    /// The recovery time objective: how long it may take until a PostgreSQL that is restored from it takes connections, as
    /// the last drill measured it. Default `none`.
    pub rto: Objective,
}

impl Default for RawObjective {
    fn default() -> Self {
        let max_silence = Objective(Some(Duration::from_secs(24 * 3600)));
        Self { rpo: Objective(None), max_silence, rto: Objective(None) }
    }
}
