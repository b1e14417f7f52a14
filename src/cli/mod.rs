//! The command line: types only.

mod barman;
mod declare;
mod documents;
mod drill;
mod gate;
mod history;
mod plan;
mod restore;
mod run;
mod verify;

use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use barman::{Cron, ListServers, NothingToSync, SyncBackup, SyncInfo, SyncWals};
pub use declare::{BarmanConf, Init, SiteFile, Validate};
pub use documents::{Completions, Demo, Man, Schema, Shell};
pub use drill::{Drill, DrillFormat, DrillPoint, DrillServer};
pub use gate::{Confinement, Gate};
pub use history::History;
pub use plan::{Apply, Depth, Explain, Format, Plan, ScopeFlags, Show, Status, TextOrJson, View};
pub use restore::{Restore, RestoreWal};
pub use run::{Detach, Resume, Run, Suspend, Until};
pub use verify::Verify;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Keeps passive copies of Barman catalogs: declare a site, see the plan, apply it.
#[derive(Debug, Parser)]
#[command(name = "antipode", version, styles = STYLES, max_term_width = 100, infer_subcommands = false)]
#[command(after_help = "Exit codes: 0 done or nothing to do; 1 error; 2 `plan --detailed-exitcode` and there are \
                  changes, or `status` and an objective is missed; 3 the catalog or a server is locked by another; \
                  4 part of an apply failed; 130 interrupted.")]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// When to use colour; `auto` also looks at NO_COLOR
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true, value_name = "WHEN")]
    pub color: Color,
    /// Show plans whole, and log what is asked of primaries (level `info`); twice for every command that is run
    /// (`debug`). RUST_LOG says more exactly what is logged
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Print only what went wrong and the summary, no progress; a plan with nothing to do is silent
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// The form of the log on stderr; a line of JSON has the time too
    #[arg(long, value_enum, default_value_t = TextOrJson::Text, global = true, value_name = "FORM")]
    pub log_format: TextOrJson,
    /// The barman.conf that `sync-info`, `list-servers` and `gate` read [default: where Barman looks]
    #[arg(short = 'c', long = "config", global = true, value_name = "FILE")]
    pub barman_conf: Option<std::path::PathBuf>,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what would change at the site, and why
    ///
    /// Reads the site file, asks every primary what it has, looks at what is really on the disk here, and prints the
    /// difference with a reason for every line. Nothing is changed, here or there, and no lock is taken: a plan may be
    /// made at any time.
    ///
    /// With `-o` the plan is saved, so that `antipode apply FILE` does exactly what was reviewed. A saved plan holds
    /// no secret.
    Plan(Plan),
    /// Show what would change, ask, and do it; or do what a saved plan says
    ///
    /// Without a saved plan it plans as `antipode plan` does, shows the plan and asks; only `yes` is a yes. With one
    /// it does exactly what is in it, without asking, and refuses it by name when something that matters has changed
    /// since: the site file, the copy here, the backup at the primary. That the primary archived more WAL does not
    /// matter.
    ///
    /// The newest point that can be recovered comes first. A backup is published when all of it has arrived and was
    /// verified; what fails stops only what depends on it. Ctrl-C and SIGTERM end it cleanly, and the next apply
    /// goes on where it was.
    Apply(Apply),
    /// Show a saved plan
    ///
    /// Reads only the file that `antipode plan -o` wrote: no primary is asked, and the site file is not needed. One
    /// saved plan serves the terminal, the comment on a pull request, Graphviz, and the program that wants JSON.
    Show(Show),
    /// Say how each replica stands: what can be recovered, and whether its objective is kept
    ///
    /// One line a replica: its recovery window, how far it is behind its primary in segments, bytes and time, whether
    /// its objective is kept, and when it was last applied. Exit code 0 means that every objective is kept and every
    /// replica can be recovered, 2 that one is not, 1 that it could not be found out: so it can be a monitoring check
    /// by itself. When a primary cannot be reached it says what the replica alone can prove.
    Status(Status),
    /// Read what is on the disk here, and prove that it is what was written
    ///
    /// Every file of a backup is compared with its manifest, checksum by checksum; WAL is read page by page and record by
    /// record, and decompressed to its end. What is damaged is noted: the next plan shows it and why, and repairs it from the
    /// primary. What nothing tells the content of, such as an encrypted archive, is compared with what arrived, and is counted
    /// apart.
    ///
    /// Without a flag it reads what is new, and of the rest what was not read for the longest, as much as makes each byte be
    /// read within `verify.every` of the site file. What was read is remembered by name, size, times and number in the file
    /// system. No primary is asked, nothing but notes of our own is written, and no lock of Barman's is taken.
    Verify(Verify),
    /// Tell what runs did: what each changed, why, how long it took, and who ran it
    ///
    /// Reads the journal of the catalog, the newest run first; no primary is asked. A run that changes something is in it
    /// from before its first change, so that one which was killed is told too. One that had nothing to do is in it only
    /// when that is news: the last one ended otherwise.
    ///
    /// Each line of the journal holds a digest of the line before it. Where lines are missing, changed or in another
    /// place, that is said at the end with the numbers of the lines, and the exit code is 1. It is no signature: who may
    /// write to the catalog can rewrite all of it.
    History(History),
    /// Keep the site by itself: bring what is missing, on a schedule, until it is told to end
    ///
    /// Looks at every replica as often as its `schedule` says, and does of its plan what `auto` lets be done without a person:
    /// by default it brings what is missing and repairs what is wrong, and deletes nothing. What waits for a person is named in
    /// every status, and done by `antipode apply`. A replica that fails keeps no other from going on, and is tried again
    /// after pauses that grow. Within the `windows` of a primary alone backups are copied from it.
    ///
    /// The site file is read again when it changes, also as a link that is moved or as the checkout of a repository: what is
    /// valid holds at once, what is not is reported, and the last valid one holds. A service manager is told when it is ready,
    /// and that it is alive.
    Run(Run),
    /// Leave replicas alone for a while: nothing is copied to them, repaired or deleted
    ///
    /// Holds for `run`, `cron`, `apply` and Barman's own commands here, whoever runs them. A copy that runs ends, and keeps
    /// what it has. Plans and statuses say who suspended a replica, since when and why; it is never in sync meanwhile.
    Suspend(Suspend),
    /// End what `suspend` began
    ///
    /// From now on runs work on these replicas again: `antipode run` at once, the others when they are next begun. What the
    /// primary archived and took meanwhile is brought then, the newest point that can be recovered first.
    Resume(Resume),
    /// Forget a server that is copied no longer, and keep what is here of it
    ///
    /// A server that left its primary or the site file stays in sight: every plan and status warns of it. This says that it
    /// is as it should be. Its files stay as they are, a Barman here goes on to list and restore them, and plans only count
    /// it. `retired` in the site file says the same, for a site that is kept in Git.
    ///
    /// What the site file still asks for cannot be detached. One that it asks for again is copied again, and so no longer
    /// detached.
    #[command(visible_alias = "forget")]
    Detach(Detach),
    /// Restore a backup of a replica, and have PostgreSQL replay the WAL behind it
    ///
    /// For the day on which the primary is gone: it needs neither that nor a Barman. It says which backup and which WAL it
    /// takes and how far that gets, copies the files into a new directory, puts an incremental backup together with those
    /// that it builds on, proves every file by the manifest, and writes what recovery has to know: where the WAL is, and
    /// where to stop. Nothing of the catalog is changed. One that was cut off goes on when it is asked for again.
    ///
    /// PostgreSQL fetches the WAL from the replica itself. A damaged file stops the recovery, and is not taken for its end.
    Restore(Restore),
    /// Restore a replica to a PostgreSQL of this host, look at what came of it, and remove it again
    ///
    /// A copy that was never restored is a hope. A drill restores a backup beside everything else, has PostgreSQL replay the
    /// WAL that is here up to a point, and looks: that recovery ended where it should, that every index has what its table
    /// has, that every page has its checksum, and that what the site file asks is answered. Then all of it is removed.
    ///
    /// It ends in one of three ways: proved, disproved, or could not be run, as where that PostgreSQL is not installed or the
    /// disk has no room; that is never called good. The catalog is only read. The PostgreSQL talks to nobody: it has no
    /// address, archives and follows nothing, and the configuration that was backed up is not read.
    Drill(Drill),
    /// Becomes the PostgreSQL of a drill
    #[command(hide = true)]
    DrillServer(DrillServer),
    /// PostgreSQL's `restore_command`, as `restore` writes it
    #[command(hide = true)]
    RestoreWal(RestoreWal),
    /// Say why one action is planned: what both ends have, and which line of the site file asks for it
    ///
    /// Plans as `antipode plan` does and tells of one action, in a paragraph: what the primary has, what the site
    /// has, and the line of the site file that wants the one to become the other. Of a thing that is as it should be
    /// it says what both ends have. Addresses are those that `--target` takes.
    Explain(Explain),
    /// Check a site file without connecting to anything
    ///
    /// Reports every mistake at once, with the line it is in and what to write instead. `--format json` is for
    /// editors and pipelines: it goes to standard output whether there are mistakes or not, and follows the schema
    /// that `antipode schema diagnostics` prints. The exit code is 0 for a file without a mistake, else 1.
    ///
    /// An editor with a YAML language server finds most mistakes while the file is written, by the schema that
    /// `antipode schema` prints.
    Validate(Validate),
    /// Write a first site file, or one that does what a barman.conf tells Barman's own sync to do
    ///
    /// Asks nothing, connects to nothing, and never writes over a file that exists. With `--from-barman-conf` the new
    /// file has the passive servers of that barman.conf as replicas; what it cannot translate is said, and stands in
    /// the file as a comment.
    Init(Init),
    /// Print what the site's barman.conf must say of each replica
    ///
    /// A Barman at the site lists, shows and restores what Antipode brought when it has a server of the same name that
    /// is passive and not active: then its `cron` does not copy by itself. This prints these sections, those of the
    /// mirrors' servers included, or keeps them as files with `--write`.
    BarmanConf(BarmanConf),
    /// Print a JSON Schema: of site files for editors, of plans and the other machine formats for programs
    ///
    /// The schema of site files accepts and refuses what this program does, but for what a schema cannot say, such as
    /// that a primary is named that does not exist. The other formats carry a `format_version`, which changes only
    /// when a reader of the last one would be misled.
    Schema(Schema),
    /// Print the completions for a shell
    ///
    /// For bash, put them where bash-completion looks, as below, or `source` them. For zsh, into a directory of
    /// `fpath` under the name `_antipode`. For fish, into `~/.config/fish/completions/antipode.fish`. They belong to
    /// this version: print them again after an upgrade.
    ///
    /// The script asks this program, which offers the replicas of the site file (`-f` on the line, else the usual one), the
    /// servers of barman.conf, and the addresses of the last whole `antipode plan`, from a note in the catalog's
    /// `.antipode`, with those of the backups that are here. No primary is asked.
    Completions(Completions),
    /// Write the manual pages into a directory
    ///
    /// One page for the program and one for each command, `antipode-plan.1` and so on, in section 1. `man` finds them
    /// in the `man1` directory of any part of its path, for example `/usr/local/share/man/man1`. A page that is
    /// already current is left alone.
    Man(Man),
    /// See the main job on a small catalog made for the occasion; nothing else needs to be installed
    ///
    /// Makes a primary's catalog and an empty site in a temporary directory, then plans, applies, lets the primary move
    /// on to a new timeline, breaks the copy in the ways that happen, and repairs it. What is printed is what the
    /// commands print anywhere. With `--keep` the catalogs and their site file stay, to play with.
    Demo(Demo),
    /// Barman's own: what this catalog has of a server, as JSON
    ///
    /// Reads a Barman catalog on this host, in either layout, and prints what `barman sync-info` would print: the
    /// server's backups, its WAL files, its configuration. No Barman is needed: a site can have this host as its primary
    /// with `barman: {command: antipode}` in its site file, and a passive Barman when this program is found there under
    /// the name `barman`.
    ///
    /// The server is looked up in barman.conf: the file that `-c` names, else ~/.barman.conf, /etc/barman.conf or
    /// /etc/barman/barman.conf. The keys are those of the Barman that is installed here, or else of the one that the
    /// catalog's layout is taken for. Passwords of the configuration are masked. Nothing is changed; xlog.db is read
    /// under Barman's own lock of it.
    ///
    /// Without LAST_WAL, files before the first backup are left out. A server that Antipode keeps here is answered for whatever
    /// `active` says. The exit codes are Barman's: 0, also for another server that is not active, with a sentence instead of
    /// JSON; 1 for an unknown server, and for a LAST_WAL before the first
    /// or behind the last file of the archive; 2 for a LAST_POSITION that is no positive number.
    ///
    /// With `--primary` it asks the primary of a replica of the site file, and prints its answer, passwords masked.
    SyncInfo(SyncInfo),
    /// Barman's own: the servers of this host's barman.conf
    ///
    /// Prints what `barman list-servers` would print: `name - description`, and behind it (inactive), (Passive) or
    /// (WARNING: disabled). A site with a mirror asks its primary for it, so that servers that are new there arrive by
    /// themselves; with `--minimal` it is one name a line, and nothing else.
    #[command(alias = "list-server")]
    #[command(after_help = "Examples:\n  antipode list-servers\n  antipode list-servers --minimal")]
    ListServers(ListServers),
    /// Barman's own: copy one backup now
    ///
    /// As `barman sync-backup` on a passive node, for the hands and scripts that know it: it plans, and applies that one
    /// backup with the WAL it needs, without asking. It is the same as an `antipode apply` with this backup as its
    /// target, but for the exit codes, which are Barman's: 0 when it was copied or was here already; 1 for a server or a
    /// backup that does not exist, and while another process copies the same backup.
    #[command(after_help = "Examples:\n  antipode sync-backup main 20261122T030000")]
    SyncBackup(SyncBackup),
    /// Barman's own: ship the WAL of a server now
    ///
    /// As `barman sync-wals` on a passive node, for the hands and scripts that know it: it plans, and applies the WAL and
    /// history files of that one server, without asking. No backup is copied, and nothing is pruned. It is the same as
    /// an `antipode apply` with the server's WAL as its target.
    #[command(after_help = "Examples:\n  antipode sync-wals main")]
    SyncWals(SyncWals),
    /// For a `primary_ssh_command` that keeps Barman's own sync at rest
    #[command(hide = true)]
    NothingToSync(NothingToSync),
    /// Barman's own: one pass over every replica, for a crontab
    ///
    /// As `barman cron` on a passive node: it plans every replica and applies what is missing without asking, and a
    /// run that finds another at work says how long that has been at work, and leaves without an error; one that made no
    /// progress for an hour is an error, with exit code 3. A crontab that calls `barman cron` each minute may
    /// call this in its place; a systemd timer does better with `antipode apply --auto-approve`.
    #[command(after_help = "Examples:\n  antipode cron -f /etc/antipode/lisbon.yaml")]
    Cron(Cron),
    /// The forced command of a site's key at a primary: what a site may ask for, and nothing else
    ///
    /// Stands in front of the site's public key in authorized_keys of the primary, with `restrict`. It lets the site ask for
    /// `sync-info`, which it answers itself or has a Barman answer, for the names of these servers, as `list-servers --minimal`
    /// tells them, and for their files, by rsync as the side that sends. Everything else is refused, with a line on stderr that says
    /// why, which the site shows, and a line in the system's log or in the file of `--log`. The site needs no setting for it.
    ///
    /// rsync runs with an empty environment, and can open nothing but the directories of these servers and write nothing: the
    /// kernel denies it (Landlock, from Linux 5.13 on). Where the kernel cannot, rsync 3.5.0 and later bound themselves; older
    /// ones get to send only where no link leads out. The servers' directories are those of barman.conf, which `-c` names as
    /// for `sync-info`; a link to another disk is followed at these directories themselves and nowhere else.
    Gate(Gate),
}

impl Command {
    /// Whether it goes by a barman.conf that `-c` names.
    pub fn reads_barman_conf(&self) -> bool {
        match self {
            Self::SyncInfo(arguments) => !arguments.primary,
            // Whoever runs this adds to it what Barman adds.
            Self::ListServers(_) | Self::NothingToSync(_) | Self::Gate(_) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
