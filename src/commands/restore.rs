//! `antipode restore`: a backup of a replica, with the WAL behind it, in a directory in which PostgreSQL starts. The catalog
//! stays as it is.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::barman::backup_info::BackupInfo;
use crate::barman::drill::Pace;
use crate::barman::ids::{BackupId, ServerName};
use crate::barman::layout::ServerDirs;
use crate::cli;
use crate::cycle;
use crate::error::{Error, Exit, Kind};
use crate::observe::catalog::Depth;
use crate::observe::inventory::ReplicaInventory;
use crate::observe::version::NEWEST;
use crate::observe::{self, SiteConf};
use crate::plan::recovery::way::{Target, Way};
use crate::plan::recovery::{self, segments_here};
use crate::render;
use crate::render::restore::{hidden, no_way, restored};
use crate::restore::files::{Copied, Files};
use crate::restore::mark::{Found, Mark};
use crate::restore::settings::Settings;
use crate::restore::{Places, barman_line, finish, hold};
use crate::site::Site;
use crate::stdout;
use crate::store::posix::files::room;
use crate::store::{Place, Reserve, Root, Store, home};
use crate::transport::{ByteCounter, blocking};
use crate::verify::base::Announced;

use super::interrupt::Interrupt;
use super::source;
use super::terminal::Terminal;
use super::watched::watched;

/// Runs the command.
pub async fn run(arguments: &cli::Restore, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, Error> {
    let site = source::load(&arguments.site, terminal)?;
    let replica = Replica::find(&site, &arguments.replica)?;
    let (here, target) = (replica.look(&site)?, target(arguments));
    let named = arguments.backup.as_deref().map(known_id).transpose()?;
    let segments = segments_here(&here);
    let way = recovery::before(None, &here, &segments, Timestamp::now()).way(target, named).map_err(|no| {
        let (message, hint) = no_way(no, target);
        Error::new(Kind::Refused, message).hint(hint).of(&replica.name)
    })?;
    let wanted = Wanted::of(arguments, &replica, &here, &way, target)?;
    stdout::print(&render::restore::restore(wanted.told(&replica.name, &way), terminal.style()));
    if arguments.print {
        wanted.print(&replica.name, &way);
        return Ok(Exit::Done);
    }
    if let Some(found) = way.hidden {
        let (message, hint) = hidden(found);
        return Err(Error::new(Kind::Refused, message).hint(hint).of(&replica.name));
    }
    wanted.check()?;
    let done = bring(&replica, &wanted, &way, interrupt).await?;
    let seconds = done.took.as_secs();
    stdout::print(&format!("\n{}\n", restored(done.copied.proved, done.copied.unproven, seconds)));
    stdout::print(&next_steps(&replica, &wanted, &site));
    Ok(Exit::Done)
}

fn target(arguments: &cli::Restore) -> Target {
    match (arguments.to, arguments.to_lsn) {
        (Some(time), _) => Target::Time(time),
        (None, Some(lsn)) => Target::Lsn(lsn),
        (None, None) if arguments.immediate => Target::Immediate,
        (None, None) => Target::Latest,
    }
}

pub(super) fn known_id(text: &str) -> Result<BackupId, Error> {
    text.parse().map_err(|_| {
        Error::new(Kind::Invalid, format!("'{}' is no id of a backup", text.escape_debug()))
            .hint("an id is like 20261122T030000")
    })
}

/// A replica as it lies at the site.
struct Replica {
    name: ServerName,
    dirs: ServerDirs,
    store: Arc<dyn Store>,
}

impl Replica {
    /// Any server that is here: one that is copied no longer can be restored as well.
    fn find(site: &Site, name: &str) -> Result<Self, Error> {
        let servers = home::servers(&site.catalog.path)?;
        let known: Vec<&str> = servers.iter().map(ServerName::as_str).collect();
        let found = servers.iter().find(|server| server.as_str() == name);
        let name = found.ok_or_else(|| cycle::unknown_server(name, &known))?.clone();
        let conf = SiteConf::read(&site.catalog)?;
        let (dirs, store) = (conf.server(&name)?.0, conf.store(&name)?);
        Ok(Self { name, dirs, store })
    }

    fn look(&self, site: &Site) -> Result<ReplicaInventory, Error> {
        let version = site.catalog.barman.unwrap_or(NEWEST);
        let here = observe::look_here(self.store.as_ref(), self.dirs.clone(), version, Depth::Everything);
        here.map_err(|error| Error::from(error).of(&self.name))
    }

    fn base(&self, id: BackupId) -> Root<'_> {
        Root::new(self.store.as_ref(), Place::Base(id))
    }
}

/// What somebody wants, and what is needed for it.
struct Wanted {
    target: Target,
    places: Places,
    /// By their names.
    tablespaces: Vec<(String, PathBuf)>,
    /// Those of which somebody said where they go.
    moved: Vec<(String, PathBuf)>,
    release: String,
    label: Option<String>,
    programs: Option<PathBuf>,
    takes: Option<u64>,
    free: Option<u64>,
    /// How long a recovery took in a drill.
    pace: Option<Pace>,
    settings: Vec<String>,
}

impl Wanted {
    fn of(
        arguments: &cli::Restore,
        replica: &Replica,
        here: &ReplicaInventory,
        way: &Way<'_>,
        target: Target,
    ) -> Result<Self, Error> {
        let last = way.chain.last().ok_or_else(|| Error::new(Kind::Internal, "a restore from no backup"))?;
        let published = here.backups.get(&last.id).and_then(|local| local.published.as_ref());
        let info = published.map(|published| published.info.clone()).unwrap_or_default();
        let base = replica.base(last.id);
        if base.size(Path::new("data/PG_VERSION"))?.is_none() {
            let message = format!("backup {} is in archives, which are not unpacked here", last.id);
            return Err(Error::new(Kind::Refused, message)
                .hint("Barman unpacks them: --print tells its command; or see docs/disaster-day.md")
                .of(&replica.name));
        }
        let whole = |path: &Path| absolute(path).map_err(|error| Error::io("cannot tell where that is", error));
        let data = whole(&arguments.directory)?;
        let moved = arguments.tablespaces.iter().map(|(name, path)| Ok((name.clone(), whole(path)?)));
        let moved: Vec<(String, PathBuf)> = moved.collect::<Result<_, Error>>()?;
        let Tablespaces { named, by_oid } = tablespaces(&info, &base, &moved)?;
        let program = env::current_exe().map_err(|error| Error::io("cannot tell where antipode is", error))?;
        let archive = replica.store.local(Place::Wals.into());
        let settings = Settings { program: &program, archive: &archive, timeline: way.timeline, target, note: None };
        let sizes: Option<Vec<u64>> = way.chain.iter().map(|facts| facts.size).collect();
        Ok(Self {
            target,
            tablespaces: named,
            moved,
            release: Announced::of(&info).release.unwrap_or_default(),
            label: info.backup_label().ok().flatten(),
            programs: arguments.bin_dir.clone(),
            // What comes of several is no larger than all of them.
            takes: sizes.map(|sizes| sizes.iter().sum()),
            pace: here.drills.pace(),
            free: room(&data, Reserve::Bytes(0)).map(|room| room.free),
            settings: settings.lines(),
            places: Places { data, tablespaces: by_oid },
        })
    }

    fn told<'a>(&'a self, server: &'a ServerName, way: &'a Way<'a>) -> render::restore::Restore<'a> {
        render::restore::Restore {
            server,
            way,
            target: self.target,
            data: &self.places.data,
            tablespaces: &self.tablespaces,
            takes: self.takes,
            free: self.free,
            lasts: self.pace.map(|pace| pace.forecast(self.takes.unwrap_or_default(), way.segments)),
        }
    }

    /// Tells Barman's command.
    fn print(&self, server: &ServerName, way: &Way<'_>) {
        let Some(last) = way.chain.last() else { return };
        let words = barman_line::words(barman_line::Line {
            server,
            backup: last.id,
            is_incremental: way.chain.len() > 1,
            timeline: way.timeline,
            target: self.target,
            data: &self.places.data,
            moved: &self.moved,
        });
        stdout::print(&match words {
            Some(words) => format!("\n{}\n", shell_words::join(words)),
            None => "\nBarman does not do this at a passive node.\n".to_owned(),
        });
    }

    /// Refuses what has no room.
    fn check(&self) -> Result<(), Error> {
        match (self.takes, self.free) {
            (Some(takes), Some(free)) if takes > free => {
                let (takes, free) = (render::units::bytes(takes), render::units::bytes(free));
                let message = format!("{} has {free} free, and it takes {takes}", self.places.data.display());
                Err(Error::new(Kind::NoSpace, message).hint("choose a directory of another disk, or make room"))
            }
            _ => Ok(()),
        }
    }
}

/// Where the tablespaces go that lie beside the data directory.
#[derive(Default)]
struct Tablespaces {
    /// By their names.
    named: Vec<(String, PathBuf)>,
    by_oid: BTreeMap<u32, PathBuf>,
}

/// The tablespaces of a backup, and where they go.
fn tablespaces(info: &BackupInfo, base: &Root<'_>, moved: &[(String, PathBuf)]) -> Result<Tablespaces, Error> {
    let mut found = Tablespaces::default();
    for tablespace in info.tablespaces().unwrap_or_default() {
        if !base.is_directory(Path::new(&tablespace.oid.to_string()))? {
            // It lies within the data directory.
            continue;
        }
        let wanted = moved.iter().find(|(name, _)| *name == tablespace.name).map(|(_, directory)| directory.clone());
        let directory = wanted.unwrap_or_else(|| PathBuf::from(&tablespace.location));
        found.by_oid.insert(tablespace.oid, directory.clone());
        found.named.push((tablespace.name, directory));
    }
    if let Some((unknown, _)) = moved.iter().find(|(name, _)| found.named.iter().all(|(known, _)| known != name)) {
        let known: Vec<&str> = found.named.iter().map(|(name, _)| name.as_str()).collect();
        let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        let message = format!("the backup has no tablespace '{}'", unknown.escape_debug());
        return Err(Error::new(Kind::NotFound, message).hint(known));
    }
    Ok(found)
}

/// What a restore came to.
struct Done {
    copied: Copied,
    took: Duration,
}

/// Brings the files, proves them, and has recovery begin at the next start.
async fn bring(replica: &Replica, wanted: &Wanted, way: &Way<'_>, interrupt: &Interrupt) -> Result<Done, Error> {
    let begun = Instant::now();
    let chain: Vec<BackupId> = way.chain.iter().map(|facts| facts.id).collect();
    let _held = hold(replica.store.as_ref(), &chain).map_err(|error| error.of(&replica.name))?;
    let (backup, server) =
        (chain.last().map(ToString::to_string).unwrap_or_default(), replica.dirs.backup_directory.clone());
    let tablespaces: Vec<&Path> = wanted.places.tablespaces.values().map(PathBuf::as_path).collect();
    let found = Mark { server, backup }.begin(&wanted.places.data, &tablespaces)?;
    if found == Found::Begun {
        stdout::print("\nIt was begun before: what is there and right is not copied again.\n");
    }
    let counter = ByteCounter::default();
    let (takes, copies) = (wanted.takes.unwrap_or_default(), counter.clone());
    let copied = watched("", || (copies.get(), takes), {
        let (store, places, token) = (Arc::clone(&replica.store), wanted.places.clone(), interrupt.token.clone());
        let (counter, release, programs) = (counter.clone(), wanted.release.clone(), wanted.programs.clone());
        blocking(move || {
            let go_on = || !token.is_cancelled();
            let (store, release, programs) = (store.as_ref(), release.as_str(), programs.as_deref());
            Files { store, chain: &chain, release, programs, places: &places }.bring(&counter, &go_on)
        })
    })
    .await?;
    finish::prepare(&wanted.places, &wanted.settings, wanted.label.as_deref())?;
    let places = wanted.places.clone();
    blocking(move || finish::sync(&places)).await?;
    Mark::end(&wanted.places.data)?;
    Ok(Done { copied, took: begun.elapsed() })
}

/// What somebody types next.
fn next_steps(replica: &Replica, wanted: &Wanted, site: &Site) -> String {
    let data = shell_words::quote(&wanted.places.data.display().to_string()).into_owned();
    let ends = match wanted.target {
        Target::Latest => "replays the WAL that is here, and then writes on a timeline of its own",
        Target::Time(_) | Target::Lsn(_) | Target::Immediate => {
            "stops at the target and waits, readable; `select pg_wal_replay_resume()` lets it write"
        }
    };
    let mut text = format!(
        "Start PostgreSQL {} as a user who may read {}:\n\n  pg_ctl start -D {data}\n\nIt {ends}.\n",
        wanted.release,
        replica.store.local(Place::Wals.into()).display()
    );
    let lacking = finish::lacks(&wanted.places.data);
    if !lacking.is_empty() {
        let names: Vec<String> =
            lacking.iter().filter_map(|path| Some(path.file_name()?.display().to_string())).collect();
        text.push_str(&format!(
            "note: the backup has no {}, as on Debian: put copies there, or start with `-o '-c config_file=…'`\n",
            names.join(" and no ")
        ));
    }
    if site
        .replicas
        .get(&replica.name)
        .is_some_and(|replica| replica.policy.prune.unselected || replica.policy.prune.gone_at_primary)
    {
        text.push_str(&format!(
            "note: this replica is pruned; `antipode suspend {}` keeps its WAL until recovery has it\n",
            replica.name
        ));
    }
    text
}
