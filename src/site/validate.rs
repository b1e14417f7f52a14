//! From the shape of a file to a [`Site`]: what no single value can tell by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::access::access;
use super::model::{
    Auto, Catalog, Compress, Group, Mirror, Policy, Primary, Protect, Prune, Replica, Reserve, Reuse, Rule, Selection,
    Site, Timeouts, Transfer, Verify, WalsFrom,
};
use super::path::{KeyPath, LineNumbers};
use super::raw::{
    RawCompress, RawDenied, RawGroup, RawMirror, RawOverrun, RawPolicy, RawPrimary, RawReplica, RawReuse, RawRule,
    RawSchedule, RawSelection, RawSite, RawWalsFrom, RawWindow,
};
use super::scalars::{self, LocalServer, Rate};
use super::suggest::did_you_mean;
use crate::barman::ids::ServerName;
use crate::diag::Diagnostic;
use crate::schedule::{Beat, Overrun, Permission, Schedule, Window};

/// What is read in a second beside everything else, in bytes, where nothing says so: a disk hardly notices.
const GENTLE: u64 = 50 << 20;

/// What validation looks things up in, and where it puts the mistakes it finds.
pub(super) struct Context<'a> {
    /// Where each key path stands.
    pub lines: &'a LineNumbers,
    /// The home directory that `~` stands for.
    pub home: Option<&'a Path>,
    /// Every primary that the file names, also those that are wrong in themselves.
    pub primaries: Vec<&'a str>,
    pub mistakes: Vec<Diagnostic>,
}

impl Context<'_> {
    /// Reports a mistake in the value of a key path.
    pub fn value(&mut self, path: &KeyPath, diagnostic: Diagnostic) {
        self.mistakes.push(diagnostic.at(path, self.lines.value(path)));
    }
}

/// Makes a site of what fits; `None` when a part is missing. It is whole only if no mistake is in the context.
pub(super) fn site(raw: RawSite, context: &mut Context<'_>) -> Option<Site> {
    let catalog = raw.catalog.map(|raw| Catalog {
        path: raw.path.0,
        config: raw.config.map(|config| config.0),
        barman: raw.barman.0,
        deep_every: raw.deep_every.0,
        group: match raw.group {
            RawGroup::None => Group::None,
            RawGroup::Read => Group::Read,
        },
        reserve: match raw.reserve {
            None => Reserve::Usual,
            Some(scalars::Reserve::Bytes(bytes)) => Reserve::Bytes(bytes),
            Some(scalars::Reserve::Percent(percent)) => Reserve::Percent(percent),
        },
    });
    let primaries = primaries(raw.primaries, catalog.as_ref().map(|catalog| catalog.path.as_path()), context);
    let replicas: BTreeMap<ServerName, Replica> =
        raw.replicas.into_iter().filter_map(|(name, raw)| replica(&name, raw, context)).collect();
    let mirrors = mirrors(raw.mirrors, context);
    let retired = retired(raw.retired, &replicas, context);
    let verify = Verify {
        every: raw.verify.every.0,
        bandwidth: raw.verify.bandwidth.map_or(Some(GENTLE), |Rate(bandwidth)| bandwidth),
    };
    let (name, file, on) = (raw.site?.0, String::new(), raw.on.hooks());
    Some(Site { name, file, catalog: catalog?, primaries, replicas, mirrors, retired, verify, on })
}

/// Who is copied is not retired.
fn retired(
    raw: Vec<LocalServer>,
    replicas: &BTreeMap<ServerName, Replica>,
    context: &mut Context<'_>,
) -> BTreeSet<ServerName> {
    for (i, LocalServer(name)) in raw.iter().enumerate().filter(|(_, server)| replicas.contains_key(&server.0)) {
        let diagnostic = Diagnostic::error("retired-replica", format!("`{name}` is a replica, and retired"));
        let help = "leave it out here, or take it out of `replicas`";
        context.value(&KeyPath::new(["retired"]).item(i), diagnostic.help(help));
    }
    raw.into_iter().map(|server| server.0).collect()
}

fn primaries(
    raw: BTreeMap<String, RawPrimary>,
    catalog: Option<&Path>,
    context: &mut Context<'_>,
) -> BTreeMap<String, Primary> {
    let mut primaries = BTreeMap::new();
    for (name, raw) in raw {
        let path = KeyPath::new(["primaries", &name]);
        if let (Some(source), Some(catalog)) = (&raw.path, catalog) {
            refuse_overlap(&source.0, catalog, &path.key("path"), context);
        }
        if let Some(primary) = primary(&name, raw, &path, context) {
            primaries.insert(name, primary);
        }
    }
    primaries
}

/// A primary's catalog that is the site's would be copied onto itself.
fn refuse_overlap(source: &Path, catalog: &Path, path: &KeyPath, context: &mut Context<'_>) {
    if !source.starts_with(catalog) && !catalog.starts_with(source) {
        return;
    }
    let message = format!("`{path}` is the site's own catalog: {} and {} overlap", source.display(), catalog.display());
    let help = "a primary's catalog and the site's are two directories, neither inside the other";
    context.value(path, Diagnostic::error("own-catalog", message).help(help));
}

fn primary(name: &str, raw: RawPrimary, path: &KeyPath, context: &mut Context<'_>) -> Option<Primary> {
    let access = access(raw.ssh, raw.ssh_command, raw.path, path, context)?;
    let timeouts = raw.timeouts;
    let windows = raw.windows.iter().enumerate();
    let windows = windows.filter_map(|(i, raw)| window(raw, &path.key("windows").item(i), context)).collect();
    Some(Primary {
        name: name.to_owned(),
        access,
        barman_command: raw.barman.command.0,
        barman_config: raw.barman.config.map(|config| config.0),
        timeouts: Timeouts { connect: timeouts.connect.0, idle: timeouts.idle.0, sync_info: timeouts.sync_info.0 },
        bandwidth: raw.bandwidth.0,
        refresh_after: raw.refresh_after.0,
        streams: raw.streams,
        windows,
    })
}

/// A window has exactly one permission: the reader has seen to it.
fn window(raw: &RawWindow, path: &KeyPath, context: &mut Context<'_>) -> Option<Window> {
    let permission = match (raw.allow, raw.deny, raw.bandwidth) {
        (Some(_), ..) => Permission::Allow,
        (_, Some(RawDenied::Backups), _) => Permission::DenyBackups,
        (_, Some(RawDenied::Everything), _) => Permission::DenyEverything,
        (.., Some(Rate(Some(limit)))) => Permission::Bandwidth(limit),
        (.., Some(Rate(None))) => {
            let diagnostic = Diagnostic::error("no-limit", "a window that limits nothing changes nothing");
            context.value(&path.key("bandwidth"), diagnostic.help("write a rate, as in `20MiB/s`"));
            return None;
        }
        (None, None, None) => return None,
    };
    let overrun = match raw.overrun {
        RawOverrun::Finish => Overrun::Finish,
        RawOverrun::Stop => Overrun::Stop,
    };
    Some(Window { permission, opens: raw.cron.in_zone(&raw.time_zone)?, duration: raw.duration.0, overrun })
}

fn replica(name: &str, raw: RawReplica, context: &mut Context<'_>) -> Option<(ServerName, Replica)> {
    let path = KeyPath::new(["replicas", name]);
    check_primary(&raw.primary, &path, context);
    // The reader has checked the names of replicas already.
    let name: ServerName = name.parse().ok()?;
    let server = raw.server.map_or_else(|| name.clone(), |server| server.0);
    refuse_foreign(&raw.policy, &name, &path, context);
    refuse_two_beats(&raw.policy, &path, context);
    refuse_unfinished(&raw.policy, &path, context);
    Some((name.clone(), Replica { name, primary: raw.primary, server, policy: policy(raw.policy) }))
}

fn mirrors(raw: Vec<RawMirror>, context: &mut Context<'_>) -> Vec<Mirror> {
    let mut seen = BTreeSet::new();
    let mut mirrors = Vec::new();
    for (i, raw) in raw.into_iter().enumerate() {
        let path = KeyPath::new(["mirrors"]).item(i);
        check_primary(&raw.primary, &path, context);
        if !seen.insert(raw.primary.clone()) {
            let diagnostic = Diagnostic::error("duplicate-mirror", format!("`{}` is mirrored twice", raw.primary));
            let help = "a mirror copies every server already: keep one, and write a replica for a server that needs something else";
            context.value(&path.key("primary"), diagnostic.help(help));
        }
        refuse_unfinished(&raw.policy, &path, context);
        refuse_two_beats(&raw.policy, &path, context);
        let except = raw.except.into_iter().map(|pattern| pattern.0).collect();
        mirrors.push(Mirror { primary: raw.primary, except, policy: policy(raw.policy) });
    }
    mirrors
}

fn check_primary(name: &str, path: &KeyPath, context: &mut Context<'_>) {
    // Where no primary is named at all, that is the mistake.
    if context.primaries.is_empty() || context.primaries.contains(&name) {
        return;
    }
    let help = did_you_mean(name, &context.primaries);
    let diagnostic = Diagnostic::error("unknown-primary", format!("no primary is called `{}`", name.escape_debug()));
    context.value(&path.key("primary"), diagnostic.help(help));
}

/// A segment that is still being written grows under one name and size: shipping it is another job than shipping WAL.
fn refuse_unfinished(raw: &RawPolicy, path: &KeyPath, context: &mut Context<'_>) {
    if raw.wals.unfinished {
        let diagnostic =
            Diagnostic::error("unsupported", "segments that are still being written cannot be shipped yet");
        context.value(&path.key("wals").key("unfinished"), diagnostic.help("say `false`, or leave it out"));
    }
}

/// A replica is looked at by one schedule.
fn refuse_two_beats(raw: &RawPolicy, path: &KeyPath, context: &mut Context<'_>) {
    if raw.schedule.every.is_some() && raw.schedule.cron.is_some() {
        let diagnostic = Diagnostic::error("two-schedules", "`every` and `cron` are two schedules");
        context.value(&path.key("schedule").key("cron"), diagnostic.help("keep one of them"));
    }
}

/// What a replica accepts is its own.
fn refuse_foreign(raw: &RawPolicy, name: &ServerName, path: &KeyPath, context: &mut Context<'_>) {
    for (i, accepted) in raw.accept.iter().enumerate().filter(|(_, accepted)| accepted.0.replica != *name) {
        let message = format!("`{}` is not of the replica `{name}`", accepted.0);
        let help = format!("what a replica accepts begins with its own name: `{name}/…`");
        context.value(&path.key("accept").item(i), Diagnostic::error("foreign-address", message).help(help));
    }
}

fn policy(raw: RawPolicy) -> Policy {
    Policy {
        backups: selection(raw.backups),
        wals_from: match raw.wals.from {
            RawWalsFrom::OldestBackup => WalsFrom::OldestBackup,
            RawWalsFrom::NewestBackup => WalsFrom::NewestBackup,
            RawWalsFrom::BackupsOnly => WalsFrom::BackupsOnly,
        },
        prune: Prune { unselected: raw.prune.unselected, gone_at_primary: raw.prune.gone_at_primary },
        protect: Protect { min_backups: raw.protect.min_backups, max_prune_percent: raw.protect.max_prune.0 },
        transfer: Transfer {
            streams: raw.transfer.streams,
            bandwidth: raw.transfer.bandwidth.0,
            reuse: match raw.transfer.reuse {
                RawReuse::Auto => Reuse::Auto,
                RawReuse::Link => Reuse::Link,
                RawReuse::Reflink => Reuse::Reflink,
                RawReuse::Copy => Reuse::Copy,
                RawReuse::None => Reuse::None,
            },
            compress: match raw.transfer.compress {
                RawCompress::Auto => Compress::Auto,
                RawCompress::Zstd => Compress::Zstd,
                RawCompress::None => Compress::None,
            },
        },
        rpo: raw.objective.rpo.0,
        max_silence: raw.objective.max_silence.0,
        accept_systems: raw.accept_systems.into_iter().map(|system| system.0).collect(),
        accept: raw.accept.into_iter().map(|accepted| accepted.0).collect(),
        schedule: schedule(&raw.schedule),
        auto: Auto { add: raw.auto.add, repair: raw.auto.repair, prune: raw.auto.prune },
        rto: raw.objective.rto.0,
        drill: raw.drill.drill(),
    }
}

fn schedule(raw: &RawSchedule) -> Schedule {
    let usual = Schedule::default();
    let line = raw.cron.as_ref().and_then(|cron| cron.in_zone(&raw.time_zone)).map(Box::new).map(Beat::Cron);
    let every = raw.every.as_ref().map(|every| Beat::Every(every.0));
    Schedule {
        beat: line.or(every).unwrap_or(usual.beat),
        jitter: raw.jitter.as_ref().map_or(usual.jitter, |jitter| jitter.0),
    }
}

fn selection(raw: RawSelection) -> Selection {
    match raw {
        RawSelection::Word(_) => Selection::All,
        RawSelection::Rules(rules) => Selection::Union(rules.iter().filter_map(rule).collect()),
    }
}

/// A rule has exactly one key: the reader has seen to it.
fn rule(raw: &RawRule) -> Option<Rule> {
    let last = raw.last.map(Rule::Last);
    let within = raw.within.as_ref().map(|length| Rule::Within(length.0));
    last.or(within).or(raw.retention.as_ref().map(|retention| retention.0))
}
