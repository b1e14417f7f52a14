//! What the user should know or do: one sentence for each typed blocker, warning and note.

use jiff::Timestamp;

use crate::barman::backup_info::Status;
use crate::barman::ids::{BackupId, ServerName};
use crate::barman::wal::WalName;
use crate::barman::wal_set::WalRange;
use crate::plan::reason::{Blocker, HeldPrune, Note, Warning};
use crate::plan::recovery::OtherBranch;
use crate::plan::recovery::shortfall::Shortfall;
use crate::plan::{Outcome, ReplicaPlan};

use super::clean;
use super::tree::segment_size;
use super::units::{bytes, duration, timestamp};
use crate::english::{count, exact, list};
use crate::schedule::Suspension;

/// So many WAL ranges are named in a sentence.
const NAMED_RANGES: usize = 3;

/// How a primary comes to tell of a server that is inactive there.
const ACTIVATE: &str = "set `active = true` in its barman.conf or, where Antipode keeps the server there, say `barman: {command: antipode}`";

/// Why nothing is planned for a replica, and how that is settled.
pub fn blocker(replica: &ReplicaPlan, blocker: &Blocker) -> String {
    let server = &replica.server;
    match blocker {
        Blocker::OtherSystem { here, new, backup } => {
            let here: Vec<String> = here.iter().map(ToString::to_string).collect();
            format!(
                "backup {backup} at the primary is of system {new}, and this replica holds {}; \
                 after a pg_upgrade add {new} to `accept_systems`, else point the replica at the right server",
                list(&here)
            )
        }
        Blocker::OtherSite { site, file, ended } => format!(
            "site {} ({}) has a replica of this name in the same catalog{}; leave it out of one of the two files",
            clean(site),
            clean(file),
            worked_last(*ended)
        ),
        Blocker::RunHere => format!(
            "the site's own Barman takes backups of a server with this name; \
             give the replica another name and say `server: {server}`, or leave it out (of a mirror with `except`)"
        ),
        Blocker::NotPassive { backup, mode } => format!(
            "backup {backup} was taken here (its mode is `{mode}`), and a replica holds copies only; \
             give the replica another name and say `server: {server}`"
        ),
        Blocker::Inactive(sentence) => format!(
            "its primary says nothing of it (\"{}\"): {}; or name it under `retired` instead",
            clean(sentence.trim()),
            ACTIVATE,
        ),
        Blocker::CopyOfOurs => "the server at its primary is itself a copy of this replica, so that neither would ever get \
             anything new; name the Barman that the data comes from as the primary of one of the two or, where that one has \
             taken over, take a backup there first"
            .to_owned(),
        Blocker::OwnCatalog => "its primary is the catalog of this site itself, so that nothing would be a copy of \
             anything; name the Barman that the data comes from"
            .to_owned(),
        Blocker::TooFewLeft { left, minimum } => format!(
            "the prune would leave {}, and `protect.min_backups` asks for {minimum}; \
             select more backups or lower the minimum",
            count(*left as u64, "recoverable full backup")
        ),
    }
}

/// What the user should do something about.
pub fn warning(warning: &Warning) -> String {
    match warning {
        Warning::PassiveCron => "the site's own Barman synchronises this server as well; \
             set `active = false` beside its `primary_ssh_command` in barman.conf, or let `antipode barman-conf` write it"
            .to_owned(),
        Warning::NotConfigured { included } => {
            let advice = match included {
                Some(directory) => format!("`antipode barman-conf --write {}` keeps its section there", directory.display()),
                None => "add what `antipode barman-conf` prints, or name a directory for `antipode barman-conf --write \
                         DIR` as `configuration_files_directory`"
                    .to_owned(),
            };
            format!("the site's own Barman has no section for this server, and can neither list nor restore it; {advice}")
        }
        Warning::OwnRetention(policy) => format!(
            "the site's own Barman deletes what `{policy}` finds too much; \
             take `retention_policy` out of its barman.conf and let `prune` decide"
        ),
        Warning::DatedAhead { count: files, name, time } => {
            let more = files.saturating_sub(1);
            let more = if more > 0 { format!(" and {} more", count(more, "file")) } else { String::new() };
            format!(
                "WAL {name}{more} is dated in the future ({}), which shows nothing of how fresh it is; \
                 see to the clocks of the primary and of this host",
                timestamp(*time)
            )
        }
        Warning::Suspended(suspension) => {
            format!("{}: nothing is done for it; `antipode resume` ends that", suspended(suspension))
        }
        Warning::NotLookedAt => "what is here could not be looked at, so that nobody knows what can be recovered; \
             ask as the user that owns the catalog"
            .to_owned(),
        Warning::Inactive => format!("nothing of it comes any more: {ACTIVATE}; or leave it out of the mirror with `except`"),
        Warning::AppliedAhead(time) => format!(
            "the last apply is dated in the future ({}), so that nobody knows when it was; see to this host's clock",
            timestamp(*time)
        ),
        Warning::RefusedBefore { backup, why } => format!(
            "backup {backup} was refused when it was copied last ({}); it is tried again, and as long as it is damaged at \
             the primary it cannot be had: take a new backup, or delete it there",
            clean(why)
        ),
        Warning::PruneHeld(HeldPrune { count: n, first, most }) => format!(
            "{} here may be deleted, {first} first, and `protect.max_prune` lets one plan delete {}: none is deleted; \
             raise `protect.max_prune` to let them go, or select more of them",
            count(*n as u64, "backup"),
            exact(*most as u64),
        ),
        Warning::BehindObjective { lag: None, rpo, .. } => format!(
            "nothing shows how far it is behind the primary, as the times of its WAL cannot be relied on, \
             and `objective.rpo` is {}",
            duration(*rpo)
        ),
        Warning::BehindObjective { lag: Some(lag), rpo, mended, of_origin } => {
            let advice = if *mended { "apply" } else { "this plan cannot mend that" };
            if *of_origin {
                return format!(
                    "up to {} of the origin may be lost, as its primary is a copy itself, and `objective.rpo` is {}; {advice}",
                    duration(*lag),
                    duration(*rpo)
                );
            }
            format!("it is {} behind the primary, and `objective.rpo` is {}; {advice}", duration(*lag), duration(*rpo))
        }
    }
}

/// `suspended by anna since 2026-11-22 10:00:00Z, until 2026-11-22 12:00:00Z (the primary moves house)`
pub fn suspended(suspension: &Suspension) -> String {
    let Suspension { since, until, by, why } = suspension;
    let mut text = "suspended".to_owned();
    if let Some(by) = by {
        text += &format!(" by {}", clean(by));
    }
    if let Some(since) = since {
        text += &format!(" since {}", timestamp(*since));
    }
    if let Some(until) = until {
        text += &format!(", until {}", timestamp(*until));
    }
    if let Some(why) = why {
        text += &format!(" ({})", clean(why));
    }
    text
}

fn unlisted(backup: BackupId, n: u64, first: &str) -> String {
    format!(
        "backup {backup} has {} that its backup_manifest does not list, {}{}: {} not there when PostgreSQL made the \
         backup; see at the primary who put {} there before it is restored",
        count(n, "file"),
        if n == 1 { "" } else { "the first " },
        clean(first),
        if n == 1 { "it was" } else { "they were" },
        if n == 1 { "it" } else { "them" },
    )
}

/// What the user should know.
pub fn note(note: &Note) -> String {
    match note {
        Note::Primary(sentence) => format!("at the primary: {}", sentence.trim_end()),
        Note::Site(sentence) => format!("at the site: {}", sentence.trim_end()),
        Note::NotDone { backup, status: Status::Failed } => {
            format!("backup {backup} is FAILED at the primary; it is not copied")
        }
        Note::NotDone { backup, status } => {
            format!("backup {backup} is {status} at the primary; it is copied once it is DONE")
        }
        Note::GivenUp { backup, status } => format!(
            "backup {backup} was left {status} at the primary by an attempt that was given up, and is not copied; \
             `barman delete` removes it there"
        ),
        Note::GoingAway(backup) => format!("backup {backup} is being deleted at the primary; it is not copied"),
        Note::CloudSnapshot(backup) => {
            format!(
                "backup {backup} is a snapshot of cloud volumes and has no files to copy; take one that has for this site"
            )
        }
        Note::ListedAndGone { count: 1, first } => {
            format!("the primary lists WAL file {first} and does not have it; it is not copied")
        }
        Note::ListedAndGone { count, first } => format!(
            "the primary lists {} WAL files from {first} on and does not have them; they are not copied",
            exact(*count)
        ),
        Note::EmptyThere { count, first } => empty_there(*count, first),
        Note::NotListedThere { server, count, first } => not_listed_there(server, *count, first),
        Note::OtherSizeThere { server, count, first, listed, on_disk } => {
            other_size_there(server, *count, first, *listed, *on_disk)
        }
        Note::OtherBranch(OtherBranch { timeline, newest, reached }) => {
            let newest = newest.map(|time| format!(", whose newest WAL is of {}", timestamp(time))).unwrap_or_default();
            let reached = reached.map_or_else(
                || "no backup here leads to it".to_owned(),
                |time| format!("it can be recovered to {}", timestamp(time)),
            );
            format!("timeline {timeline}{newest}, is another branch than the one that is judged; {reached}")
        }
        Note::OrphanedBase(backup) => format!(
            "the files of backup {backup} are here without a backup.info, and the primary does not have it; \
             delete them by hand, or let `prune.gone_at_primary` do it"
        ),
        Note::KeptHereOnly { count: n, first } => format!(
            "{} here, {}{first}, {} no longer at the primary and {}; \
             `prune.gone_at_primary` would delete {}, `barman keep` says to keep {}",
            count(*n as u64, "backup"),
            one_or(*n, "", "the first "),
            one_or(*n, "is", "are"),
            one_or(*n, "stays", "stay"),
            one_or(*n, "it", "them"),
            one_or(*n, "it", "them"),
        ),
        Note::OtherForm { count: n, first } => format!(
            "{} {} whole here and compressed or encrypted otherwise at the primary; what is here stays",
            match n {
                1 => format!("WAL file {first}"),
                n => format!("{} WAL files from {first} on", exact(*n)),
            },
            if *n == 1 { "is" } else { "are" },
        ),
        Note::Unproven { count, first } => unproven(*count, first),
        Note::LookedEarlier { since } => format!(
            "what its directories show no change of is told as it was looked at, the oldest at {}; \
             a file that was changed in place since is not seen: `--refresh` looks at all of them",
            timestamp(*since)
        ),
        Note::Unselected(n) => format!(
            "{} here {} not selected and {}; `prune.unselected` would delete {}",
            count(*n as u64, "backup"),
            one_or(*n, "is", "are"),
            one_or(*n, "stays", "stay"),
            one_or(*n, "it", "them"),
        ),
        Note::TimeStandsStill { count, newest } => stands_still(*count, *newest),
        Note::AcceptsNothing(address) => format!(
            "`accept: {address}` is about nothing that waits for a person; take it out of the site file, or correct it"
        ),
        Note::LinksLeftOut { backup, count: n, first } => format!(
            "backup {backup} has {} at the primary that {} out of it, {}{}; {} left out here, and what {} to must be \
             brought otherwise before a restore",
            count(*n, "symbolic link"),
            if *n == 1 { "leads" } else { "lead" },
            if *n == 1 { "" } else { "the first " },
            clean(first),
            if *n == 1 { "it is" } else { "they are" },
            if *n == 1 { "it leads" } else { "they lead" },
        ),
        Note::Unlisted { backup, count, first } => unlisted(*backup, *count, first),
        Note::OtherFile { file, ended } => format!(
            "another file of this site has this replica too, {}{}; one file is enough",
            clean(file),
            worked_last(*ended)
        ),
        Note::Renamed(server) => format!("its name at the primary is {server}"),
    }
}

/// `, and worked here last at …`
fn worked_last(ended: Option<Timestamp>) -> String {
    let at = ended.map(|ended| format!(" at {}", timestamp(ended))).unwrap_or_default();
    format!(", and worked here last{at}")
}

fn empty_there(count: u64, first: &WalName) -> String {
    let (files, them) = are(count, first);
    format!(
        "{files} empty on the primary's disk, which is damage there; archive {them} there again from where PostgreSQL has \
         {them}, or take a new backup"
    )
}

/// Backups that the clock here alone would let go.
fn stands_still(n: usize, newest: Timestamp) -> String {
    format!(
        "{} here {} too old by the clock of this host and {}: what is newest at either end is of {}, from which time is counted; \
         either the clock is wrong, or the primary stands still",
        count(n as u64, "backup"),
        one_or(n, "is", "are"),
        one_or(n, "stays", "stay"),
        timestamp(newest)
    )
}

fn unproven(count: u64, first: &WalName) -> String {
    let (files, them) = are(count, first);
    format!("{files} listed as encrypted or of a custom compression and so unproven: nobody here can look into {them}")
}

fn not_listed_there(server: &ServerName, count: u64, first: &WalName) -> String {
    let (files, them) = are(count, first);
    format!(
        "{files} on the primary's disk and not in its xlog.db: its own Barman does not know {them}; \
         run `barman rebuild-xlogdb {server}` there"
    )
}

fn other_size_there(server: &ServerName, files: u64, first: &WalName, listed: u64, on_disk: u64) -> String {
    let sizes = format!("{} on the primary's disk and {} in its xlog.db", count(on_disk, "byte"), exact(listed));
    let what = match files {
        1 => format!("WAL file {first} has {sizes}; it is taken as it is on the disk"),
        files => format!(
            "{} WAL files are not listed with their sizes, the first is {first} with {sizes}; \
             they are taken as they are on the disk",
            exact(files)
        ),
    };
    format!("{what}; run `barman rebuild-xlogdb {server}` there")
}

/// `WAL file X is` and `it`, or the same of many.
fn are(count: u64, first: &WalName) -> (String, &'static str) {
    match count {
        1 => (format!("WAL file {first} is"), "it"),
        count => (format!("{} WAL files from {first} on are", exact(count)), "them"),
    }
}

/// What will be lacking although everything is done, and what would help.
pub fn shortfall(replica: &ReplicaPlan, shortfall: &Shortfall, verbose: bool) -> String {
    let name = &replica.name;
    let other_end = if matches!(replica.outcome, Outcome::Planned | Outcome::Blocked(_)) {
        "the primary no longer has it"
    } else {
        "the primary did not answer"
    };
    match shortfall {
        Shortfall::BackupDamaged { backup, files: 0 } => format!(
            "backup {backup} has no files here, and {other_end}; \
             bring them back from elsewhere, or run `barman delete {name} {backup}`"
        ),
        Shortfall::BackupDamaged { backup, files } => format!(
            "backup {backup} is damaged ({} missing or damaged), and {other_end}; \
             do not rely on it before `barman verify-backup {name} {backup}` succeeds",
            count(*files as u64, "file")
        ),
        Shortfall::BackupUnreadable { backup } => format!(
            "backup {backup} is wanted and cannot be copied, as its backup.info at the primary makes no sense; \
             repair or delete it there"
        ),
        Shortfall::DamagedThere { backup } => format!(
            "backup {backup} is wanted and not copied, as the primary, a site itself, says that it is damaged there; \
             it comes once it is repaired there"
        ),
        Shortfall::ParentMissing { backup, parent } => {
            format!("backup {backup} builds on {parent}, which neither end has; take a new full backup")
        }
        Shortfall::ParentNotRecoverable { backup, parent } => {
            format!(
                "backup {backup} is not recoverable, as {parent}, which it builds on, is not; take a new full backup"
            )
        }
        Shortfall::WalUnknown { backup } => format!(
            "backup {backup} is not recoverable: its backup.info does not say which WAL makes it consistent; \
             take a new backup"
        ),
        Shortfall::WalMissing { backup, ranges } => {
            let (segments, names) = wal_ranges(replica, ranges, verbose);
            let nobody = if replica.target.is_some() { "neither end has" } else { "there is no whole" };
            format!("backup {backup} is not recoverable: {nobody} {segments} that it needs, {names}; take a new backup")
        }
        Shortfall::WalHeld { backup, first } => format!(
            "backup {backup} is not copied: WAL segment {first}, which it needs, is another's here than at the primary, which \
             may have been put back to an earlier state; a person has to say which one is right"
        ),
        Shortfall::WalDamaged { count: 1, first } => {
            format!("WAL segment {first} is damaged here, and {other_end}; take a new backup")
        }
        Shortfall::WalDamaged { count, first } => format!(
            "{} WAL segments from {first} on are damaged here, and {}; take a new backup",
            exact(*count),
            other_end.replace(" it", " them")
        ),
        Shortfall::WalGone { count: 1, first } => {
            format!("the primary lists WAL segment {first} and does not have it whole; recovery cannot pass it")
        }
        Shortfall::WalGone { count, first } => format!(
            "the primary lists {} WAL segments from {first} on and does not have them whole; recovery cannot pass them",
            exact(*count)
        ),
        Shortfall::WalHole { timeline, ranges } => {
            let (segments, names) = wal_ranges(replica, ranges, verbose);
            format!(
                "neither end has {segments} of timeline {timeline}, {names}; recovery cannot pass this, take a new backup"
            )
        }
        Shortfall::NoRoom { backup, needed, left } => format!(
            "backup {backup} does not fit and is not begun: it needs {} with its WAL and what is kept for WAL to come, and \
             {} are left for it; make room or select fewer backups",
            bytes(*needed),
            bytes(*left)
        ),
        Shortfall::NoRoomForWal { count: files, first, needed, left } => format!(
            "{} from {first} on, {}, {} not fit and {} not begun, as {} are left for WAL; make room",
            count(*files, "WAL file"),
            bytes(*needed),
            if *files == 1 { "does" } else { "do" },
            if *files == 1 { "is" } else { "are" },
            bytes(*left)
        ),
        Shortfall::NoBackup { timeline } => {
            format!("no backup here leads to timeline {timeline}, which is the one that grows; take a new backup")
        }
    }
}

/// How many segments these are, and which, as far as there is room for them.
fn wal_ranges(replica: &ReplicaPlan, ranges: &[WalRange], verbose: bool) -> (String, String) {
    let shown = if verbose { ranges.len() } else { NAMED_RANGES };
    let size = segment_size(replica);
    let mut names: Vec<String> = ranges.iter().take(shown).map(|range| range.display(size)).collect();
    if ranges.len() > shown {
        names.push(format!("{} more", count((ranges.len() - shown) as u64, "range")));
    }
    let segments: u64 = ranges.iter().map(|range| range.count()).sum();
    (count(segments, "WAL segment"), list(&names))
}

fn one_or<'a>(n: usize, one: &'a str, many: &'a str) -> &'a str {
    if n == 1 { one } else { many }
}
