//! The desired state, validated: what the planner and the transport are given.
//!
//! A `Site` holds no spans, no defaults still to be merged and no text still to be parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::barman::ids::{ServerName, SystemId};
use crate::barman::version::BarmanVersion;

use super::drills::Drill;
use super::hooks::Hooks;
use super::pattern::Pattern;
use crate::schedule::{Schedule, Window};

/// The desired state of one host at a disaster-recovery site.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// The site's name, shown in every plan.
    pub name: String,
    /// Where its file is, or what it is called.
    pub file: String,
    /// Where the copies are kept.
    pub catalog: Catalog,
    /// The Barman installations that have the data, by the name the file gives them.
    pub primaries: BTreeMap<String, Primary>,
    /// The replicas that the file names, by their server name at the site.
    pub replicas: BTreeMap<ServerName, Replica>,
    /// Primaries of which every other server is copied too.
    pub mirrors: Vec<Mirror>,
    /// Servers that are copied no longer and whose directories stay, by their names at the site.
    pub retired: BTreeSet<ServerName>,
    /// How what is here is read again.
    pub verify: Verify,
    /// Who is told of what happens.
    pub on: Hooks,
}

/// How what is here is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verify {
    /// Within what time each byte is read; `None`: nothing is read again by itself.
    pub every: Option<Duration>,
    /// Bytes per second that are read beside everything else; `None` is as fast as it goes.
    pub bandwidth: Option<u64>,
}

impl Site {
    /// The site without what these replicas do not need, so that their primaries alone are called. Where the file does not
    /// name all of them, as a mirror may stand for one, nothing is left out.
    #[must_use]
    pub fn only(mut self, replicas: &[impl AsRef<str>]) -> Self {
        let is_meant = |name: &str| replicas.iter().any(|replica| replica.as_ref() == name);
        let named = |replica: &str| self.replicas.keys().any(|name| name.as_str() == replica);
        if !replicas.is_empty() && replicas.iter().all(|replica| named(replica.as_ref())) {
            self.replicas.retain(|name, _| is_meant(name.as_str()));
            self.mirrors.clear();
            let is_called = |primary: &String| self.replicas.values().any(|replica| replica.primary == *primary);
            self.primaries.retain(|name, _| is_called(name));
        }
        self
    }
}

/// `barman_home` at the site, and what is known of the Barman that reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// `barman_home`, absolute.
    pub path: PathBuf,
    /// The site's own barman.conf; `None` when the file does not name one.
    pub config: Option<PathBuf>,
    /// The version of Barman to write for; `None` is `auto`.
    pub barman: Option<BarmanVersion>,
    /// How long a look at the files here is believed while their directories show no change; zero: not at all.
    pub deep_every: Duration,
    /// What the group of its files may do.
    pub group: Group,
    /// What no backup takes of the disks here.
    pub reserve: Reserve,
}

/// What no backup takes of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// A twentieth, and at most 10 GiB.
    Usual,
    /// So many bytes.
    Bytes(u64),
    /// This part, in percent.
    Percent(u8),
}

/// What the group of a catalog's files may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Nothing.
    None,
    /// Read them.
    Read,
}

/// A Barman installation that has the data.
#[derive(Debug, Clone, PartialEq)]
pub struct Primary {
    /// Its name in the site file.
    pub name: String,
    /// How it is reached.
    pub access: Access,
    /// The words that start Barman there, usually `["barman"]`.
    pub barman_command: Vec<String>,
    /// Barman's `forward_config_path`: given to it as `-c`.
    pub barman_config: Option<String>,
    /// When to give up waiting.
    pub timeouts: Timeouts,
    /// How old what it said of itself may be, where nothing that it has shows that it would say otherwise.
    pub refresh_after: Duration,
    /// Bytes per second, shared by all its replicas; `None` is unlimited.
    pub bandwidth: Option<u64>,
    /// Transfers at the same time at the most, all its replicas together.
    pub streams: NonZeroU32,
    /// When it may be copied from without a person, and how fast.
    pub windows: Vec<Window>,
}

/// How a primary is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Over ssh: the whole command as words, `ssh` first and the destination last, `~` expanded.
    Ssh {
        /// For example `["ssh", "-p", "22", "barman@barman.fra.example.com"]`.
        words: Vec<String>,
    },
    /// A catalog (`barman_home`) on a file system of this machine.
    Path(PathBuf),
}

/// When to give up waiting for a primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection to be made.
    pub connect: Duration,
    /// For the next byte of a transfer.
    pub idle: Duration,
    /// For `barman sync-info` to be complete.
    pub sync_info: Duration,
}

/// The passive copy of one server of one primary.
#[derive(Debug, Clone, PartialEq)]
pub struct Replica {
    /// Its name at the site.
    pub name: ServerName,
    /// The primary's name in the site file.
    pub primary: String,
    /// The server's name at the primary.
    pub server: ServerName,
    /// What is wanted of it.
    pub policy: Policy,
}

impl Replica {
    /// The same where a person lets the primary's of these things replace what is good here.
    #[must_use]
    pub fn accepting<'a>(mut self, accepted: impl IntoIterator<Item = &'a Pattern>) -> Self {
        let ours = accepted.into_iter().filter(|pattern| pattern.replica == self.name);
        self.policy.accept.extend(ours.cloned());
        self
    }
}

/// Every server of a primary that no replica names is copied under its own name.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// The primary's name in the site file.
    pub primary: String,
    /// Patterns (`*`, `?`) of servers that are left out.
    pub except: Vec<String>,
    /// What is wanted of each.
    pub policy: Policy,
}

/// What is wanted of a replica: the keys that `defaults` may set.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Which backups.
    pub backups: Selection,
    /// From where on WAL is kept.
    pub wals_from: WalsFrom,
    /// What may be deleted.
    pub prune: Prune,
    /// What bounds a deletion.
    pub protect: Protect,
    /// How bytes are moved.
    pub transfer: Transfer,
    /// The recovery point objective: how far behind it may be.
    pub rpo: Option<Duration>,
    /// How long nothing may be heard of its primary, nor anything of it applied.
    pub max_silence: Option<Duration>,
    /// Systems whose backups and WAL may arrive although the replica holds another's.
    pub accept_systems: BTreeSet<SystemId>,
    /// Things that the primary's may replace although what is here is good. Each names this replica.
    pub accept: Vec<Pattern>,
    /// How often the controller looks at it.
    pub schedule: Schedule,
    /// What the controller does of itself.
    pub auto: Auto,
    /// The recovery time objective: how long a recovery may take.
    pub rto: Option<Duration>,
    /// How drills are made of it.
    pub drill: Drill,
}

/// Which backups are wanted, of those that the primary and the site have together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Every one.
    All,
    /// Those that at least one of these rules selects; never empty.
    Union(Vec<Rule>),
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("`all`"),
            Self::Union(rules) => {
                let rules: Vec<String> = rules.iter().map(|rule| format!("`{rule}`")).collect();
                f.write_str(&rules.join(", "))
            }
        }
    }
}

/// One rule of a selection. It counts DONE backups that are not incremental.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The newest N.
    Last(NonZeroU32),
    /// Those that ended within this time before now, and one before them so that the window is covered. Now is no later than
    /// the newest WAL or backup of either end.
    Within(Duration),
    /// Barman's `REDUNDANCY n`.
    Redundancy(NonZeroU32),
    /// Barman's `RECOVERY WINDOW OF n DAYS|WEEKS|MONTHS`; a month is 31 days.
    RecoveryWindow {
        /// The window's length in days.
        days: NonZeroU32,
    },
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last(count) => write!(f, "last: {count}"),
            Self::Within(length) => match length.as_secs() {
                seconds if seconds % 86400 == 0 => write!(f, "within: {}d", seconds / 86400),
                seconds if seconds % 3600 == 0 => write!(f, "within: {}h", seconds / 3600),
                seconds => write!(f, "within: {seconds}s"),
            },
            Self::Redundancy(count) => write!(f, "REDUNDANCY {count}"),
            Self::RecoveryWindow { days } => write!(f, "RECOVERY WINDOW OF {days} DAYS"),
        }
    }
}

/// From where on WAL is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalsFrom {
    /// From the begin of the oldest kept backup on.
    OldestBackup,
    /// From the begin of the newest kept backup on; older ones keep what makes them consistent.
    NewestBackup,
    /// Only what makes each kept backup consistent: begin to end.
    BackupsOnly,
}

/// What may be deleted at the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prune {
    /// Backups that the selection leaves out, and then the WAL that no kept backup needs.
    pub unselected: bool,
    /// Backups that the primary no longer has.
    pub gone_at_primary: bool,
}

/// What is done without a person; the rest waits for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auto {
    /// What is missing comes, and what the primary changed follows.
    pub add: bool,
    /// What is wrong here is repaired.
    pub repair: bool,
    /// What `prune` lets go goes.
    pub prune: bool,
}

impl Default for Auto {
    fn default() -> Self {
        Self { add: true, repair: true, prune: false }
    }
}

/// What bounds a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protect {
    /// Recoverable backups that a prune must leave.
    pub min_backups: u32,
    /// Percentage of the replica's backups that one plan may delete (one is always allowed).
    pub max_prune_percent: u8,
}

/// How bytes are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// Transfers at the same time at the most.
    pub streams: NonZeroU32,
    /// Bytes per second; it only lowers the primary's. `None` is unlimited.
    pub bandwidth: Option<u64>,
    /// What is done with files that an older backup at the site already has.
    pub reuse: Reuse,
    /// Whether bytes are compressed on their way.
    pub compress: Compress,
}

/// Whether bytes are compressed on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compress {
    /// Where the line is slower than compressing.
    Auto,
    /// Always, but for what is compressed already; with zstd where both ends have it.
    Zstd,
    /// Never.
    None,
}

/// What is done with files that an older backup at the site already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// The same as `Link`.
    Auto,
    /// One file on disk with two names, or a second copy where it can have no more of them.
    Link,
    /// A copy that shares its blocks (btrfs, XFS).
    Reflink,
    /// A second copy, read from this site instead of from the primary.
    Copy,
    /// Everything comes from the primary.
    None,
}
