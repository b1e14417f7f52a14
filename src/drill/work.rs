//! A drill from its beginning to its end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::barman::drill::{Aim, Database, Drill, FORMAT_VERSION, Pace, Reached, Step, Verdict, What, verdict};
use crate::barman::ids::{BackupId, ServerName};
use crate::barman::layout::ServerDirs;
use crate::barman::version::BarmanVersion;
use crate::error::{Error, Kind};
use crate::observe::SiteConf;
use crate::observe::version::NEWEST;
use crate::restore::files::{Copied, Files};
use crate::restore::settings::Settings;
use crate::restore::{Places, finish, hold, programs};
use crate::site::drills;
use crate::site::model::Site;
use crate::store::{Place, Reserve, Root, Store};
use crate::transport::ByteCounter;

use super::ask::{self, Answer};
use super::fetched::Fetched;
use super::find::{Found, find};
use super::judge::{Recovery, environment};
use super::place::Ground;
use super::point::Point;
use super::server::{Server, Start, release};

/// As much WAL as PostgreSQL keeps while it replays: `max_wal_size`, and as much again that is fetched meanwhile.
const WAL_KEPT: u64 = 2 << 30;

/// What is drilled, and how.
pub struct Terms<'a> {
    /// The site's name.
    pub site: &'a str,
    /// `barman_home`.
    pub home: &'a Path,
    /// The replica.
    pub server: &'a ServerName,
    /// Where its files are.
    pub dirs: ServerDirs,
    /// What writes its catalog.
    pub barman: BarmanVersion,
    /// What the site file says of its drills.
    pub policy: &'a drills::Drill,
    /// `objective.rto` of the site file.
    pub rto: Option<Duration>,
    /// How much of the disk stays free.
    pub reserve: Reserve,
    /// Up to where.
    pub point: Point,
    /// From which backup; `None` is the newest that leads there.
    pub backup: Option<BackupId>,
    /// This program.
    pub program: &'a Path,
    /// What a random point is chosen by.
    pub chance: u64,
    /// The time of the drill.
    pub now: Timestamp,
    /// Grows with the bytes that are restored.
    pub counter: &'a ByteCounter,
    /// Hears what is about to be done.
    pub hear: &'a (dyn Fn(What) + Sync),
    /// Whether to go on.
    pub go_on: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> Terms<'a> {
    /// Of a replica as its site has it: at the point that its rules name, from any backup, followed by nobody.
    pub fn of(
        site: &'a Site,
        conf: &SiteConf,
        server: &'a ServerName,
        (policy, rto): (&'a drills::Drill, Option<Duration>),
        (program, counter, go_on): (&'a Path, &'a ByteCounter, &'a (dyn Fn() -> bool + Sync)),
    ) -> Result<Self, Error> {
        Ok(Self {
            site: &site.name,
            home: &site.catalog.path,
            server,
            dirs: conf.server(server)?.0,
            barman: site.catalog.barman.unwrap_or(NEWEST),
            policy,
            rto,
            reserve: conf.reserve,
            point: policy.point.into(),
            backup: None,
            program,
            chance: fastrand::u64(..),
            now: Timestamp::now(),
            counter,
            hear: &|_| {},
            go_on,
        })
    }
}

/// Why a drill ends before its end.
enum Ends {
    /// What was found, which its last step tells.
    Here,
    /// It was interrupted.
    Interrupted,
}

/// What is known of a drill so far.
struct Work<'a> {
    terms: &'a Terms<'a>,
    store: &'a dyn Store,
    until: Option<Instant>,
    steps: Vec<Step>,
    aim: Option<Aim>,
    reached: Option<Reached>,
    databases: Vec<Database>,
    pace: Option<Pace>,
}

/// A server that has recovered, and up to where.
type Recovered<'a> = (Server<'a>, Option<Reached>);

/// Makes a drill. It blocks until it is done, in the thread that it is called in: its server ends when that thread does.
pub fn drill(store: &dyn Store, terms: &Terms<'_>) -> Result<Drill, Error> {
    let begun = Instant::now();
    let ground = Ground::take(terms.home, terms.policy.directory.as_deref())?;
    let mut work = Work {
        terms,
        store,
        until: begun.checked_add(terms.policy.max_time),
        steps: Vec::new(),
        aim: None,
        reached: None,
        databases: Vec::new(),
        pace: None,
    };
    if let Err(Ends::Interrupted) = work.run(&ground) {
        return Err(Error::interrupted());
    }
    drop(ground);
    Ok(Drill {
        format_version: FORMAT_VERSION,
        site: terms.site.to_owned(),
        replica: terms.server.clone(),
        host: rustix::system::uname().nodename().to_string_lossy().escape_debug().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        began: terms.now,
        milliseconds: milliseconds(begun.elapsed()),
        verdict: verdict(&work.steps),
        point: terms.point.words(),
        aim: work.aim,
        reached: work.reached,
        steps: work.steps,
        databases: work.databases,
        pace: work.pace,
        rto_seconds: terms.rto.map(|rto| rto.as_secs()),
    })
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Work<'_> {
    fn run(&mut self, ground: &Ground) -> Result<(), Ends> {
        let found = self.step(What::Way, |work| find(work.store, work.terms))?;
        self.aim = Some(found.aim.clone());
        let restored = Instant::now();
        let programs = self.step(What::Files, |work| {
            let programs = work.prepare(&found, ground)?;
            Ok((work.restore(&found, ground)?, programs))
        })?;
        let restored = restored.elapsed();
        let user = self.terms.policy.user.as_str();
        let start = || Start {
            program: self.terms.program,
            programs: &programs,
            release: &found.release,
            ground,
            user,
            settings: &self.terms.policy.settings,
        };
        let (looked, started) = (start(), start());
        let recovering = Instant::now();
        let (server, reached) = self.step(What::Recovery, |work| work.recover(started, &found))?;
        self.reached = reached;
        self.pace = Some(Pace {
            backup_bytes: found.bytes,
            restore_milliseconds: milliseconds(restored),
            segments: found.segments,
            recovery_milliseconds: milliseconds(recovering.elapsed()),
        });
        let databases = self.step(What::Databases, |work| ask::databases(&server, &work.bounds(ground)))?;
        self.databases = databases;
        self.answer(What::Relations, |work| ask::relations(&server, &work.bounds(ground)))?;
        for check in &self.terms.policy.checks {
            self.answer(What::Check, |work| ask::check(&server, check, &work.bounds(ground)))?;
        }
        self.answer(What::Pages, |work| {
            let ended_well = server.stop()?;
            ask::pages(&looked, ended_well, &work.bounds(ground))
        })
    }

    /// Does a step, and says what came of it. What disproves, or cannot be done, ends the drill unless more can be looked at.
    fn step<T>(&mut self, what: What, work: impl FnOnce(&mut Self) -> Result<(Answer, T), Error>) -> Result<T, Ends> {
        (self.terms.hear)(what);
        let begun = Instant::now();
        let done = work(self);
        let milliseconds = milliseconds(begun.elapsed());
        // Whatever ended meanwhile may have been ended by the same hand.
        if !(self.terms.go_on)() {
            return Err(Ends::Interrupted);
        }
        let ((verdict, told), done) = match done {
            Ok((answer, done)) => (answer, Ok(done)),
            Err(error) if error.kind == Kind::Interrupted => return Err(Ends::Interrupted),
            Err(error) => (answer_of(&error), Err(Ends::Here)),
        };
        self.steps.push(Step { what, verdict, told, milliseconds });
        match verdict {
            Some(Verdict::Disproved | Verdict::NotRun) if what != What::Databases => Err(Ends::Here),
            _ => done,
        }
    }

    /// The same of a step behind which others go on whatever came of it.
    fn answer(&mut self, what: What, work: impl FnOnce(&mut Self) -> Result<Answer, Error>) -> Result<(), Ends> {
        match self.step(what, |all| Ok((work(all)?, ()))) {
            Err(Ends::Interrupted) => Err(Ends::Interrupted),
            _ => Ok(()),
        }
    }

    /// Whether there is still time and room.
    fn bounds<'w>(&'w self, ground: &'w Ground) -> impl Fn() -> Result<(), Error> + Sync + 'w {
        let (go_on, until, reserve) = (self.terms.go_on, self.until, self.terms.reserve);
        move || {
            if !go_on() {
                return Err(Error::interrupted());
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(Error::new(Kind::TimedOut, "`drill.max_time` is over"));
            }
            match ground.room(reserve) {
                Some(room) if room.free < room.reserve => {
                    Err(Error::new(Kind::NoSpace, "it took what is to stay free of the disk"))
                }
                _ => Ok(()),
            }
        }
    }

    /// Where the programs are; refuses what has no room.
    fn prepare(&self, found: &Found, ground: &Ground) -> Result<PathBuf, Error> {
        if rustix::process::geteuid().is_root() {
            let message = "PostgreSQL does not run as root: run this as the user that Barman runs as";
            return Err(Error::new(Kind::PermissionDenied, message));
        }
        let named = self.terms.policy.bin_dir.as_deref();
        let postgres = programs::find("postgres", &found.release, named).ok_or_else(|| {
            let message = format!("PostgreSQL {} is not installed on this host", found.release);
            Error::new(Kind::ProgramMissing, message)
        })?;
        let directory = postgres.parent().unwrap_or(Path::new("/")).to_owned();
        let is = release(&directory)?;
        if is != found.release {
            let message = format!("{} is PostgreSQL {is}, and the backup is of {}", directory.display(), found.release);
            return Err(Error::new(Kind::ProgramMissing, message));
        }
        self.check_room(found, ground)?;
        Ok(directory)
    }

    fn check_room(&self, found: &Found, ground: &Ground) -> Result<(), Error> {
        let wal = found.segments.saturating_mul(found.segment_size.bytes()).min(WAL_KEPT);
        let [id] = found.chain.as_slice() else { return self.fits(found.bytes.saturating_add(wal), ground) };
        let base = Root::new(self.store, Place::Base(*id));
        let control = base.open(Path::new("data/global/pg_control"))?;
        let shares = control.is_some_and(|control| ground.shares_blocks_with(&control));
        // What is replayed is written to blocks of its own.
        let copies = if shares { wal } else { found.bytes };
        self.fits(copies.saturating_add(wal), ground)
    }

    fn fits(&self, takes: u64, ground: &Ground) -> Result<(), Error> {
        match ground.room(self.terms.reserve) {
            Some(room) if room.free.saturating_sub(room.reserve) < takes => {
                let free = room.free.saturating_sub(room.reserve);
                let message = format!(
                    "it may take {takes} bytes, and {free} are free besides what is to stay so; `drill.directory` names another disk"
                );
                Err(Error::new(Kind::NoSpace, message))
            }
            _ => Ok(()),
        }
    }

    fn restore(&self, found: &Found, ground: &Ground) -> Result<Answer, Error> {
        let _held = hold(self.store, &found.chain)?;
        let tablespaces: BTreeMap<u32, PathBuf> = self.tablespaces(found, ground)?;
        let places = Places { data: ground.data(), tablespaces };
        let bounds = self.bounds(ground);
        let go_on = || bounds().is_ok();
        let programs = self.terms.policy.bin_dir.as_deref();
        let (chain, release) = (found.chain.as_slice(), found.release.as_str());
        let files = Files { store: self.store, chain, release, programs, places: &places };
        let copied = files.bring(self.terms.counter, &go_on).map_err(|error| match bounds() {
            Err(why) if error.kind == Kind::Interrupted => why,
            _ => error,
        })?;
        self.configure(found, ground, &places)?;
        Ok(proved(copied))
    }

    fn tablespaces(&self, found: &Found, ground: &Ground) -> Result<BTreeMap<u32, PathBuf>, Error> {
        let last = found.chain.last().copied();
        let base = last.map(|id| Root::new(self.store, Place::Base(id)));
        let mut all = BTreeMap::new();
        for oid in &found.tablespaces {
            let is_there = base.map(|base| base.is_directory(Path::new(&oid.to_string()))).transpose()?;
            if is_there == Some(true) {
                all.insert(*oid, ground.tablespace(*oid));
            }
        }
        Ok(all)
    }

    /// Has recovery begin at the start, and nothing of the old server's configuration hold.
    fn configure(&self, found: &Found, ground: &Ground, places: &Places) -> Result<(), Error> {
        for name in ["postgresql.auto.conf", "pg_replslot"] {
            let path = places.data.join(name);
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io(format!("{} cannot be removed", path.display()), error));
                }
                _ => {}
            }
        }
        let slots = places.data.join("pg_replslot");
        fs::create_dir(&slots).map_err(|error| Error::io(format!("{} cannot be made", slots.display()), error))?;
        let (archive, note) = (self.store.local(Place::Wals.into()), ground.file("fetched"));
        let settings = Settings {
            program: self.terms.program,
            archive: &archive,
            timeline: found.aim.timeline,
            target: found.target,
            note: Some(&note),
        };
        finish::prepare(places, &settings.lines(), found.label.as_deref())
    }

    fn recover<'s>(&self, start: Start<'s>, found: &Found) -> Result<(Answer, Recovered<'s>), Error> {
        let ground = start.ground;
        let mut server = Server::start(start)?;
        let log = server.recover(&self.bounds(ground))?.clone();
        let fetched = fs::read_to_string(ground.file("fetched")).unwrap_or_default();
        let recovery = Recovery {
            aim: &found.aim,
            last: found.last,
            segment_size: found.segment_size,
            segments: found.segments,
            log: &log,
            fetched: &Fetched::read(&fetched),
        };
        let (verdict, told) = recovery.judge();
        Ok(((Some(verdict), told), (server, log.reached())))
    }
}

/// What an error says of the copy: something only where its bytes are not what they must be.
fn answer_of(error: &Error) -> Answer {
    let is_of_the_copy = match error.kind {
        Kind::Damaged => true,
        // pg_combinebackup, about files of the copy unless it says otherwise.
        Kind::CommandFailed => environment(&error.message).is_none(),
        _ => false,
    };
    (Some(if is_of_the_copy { Verdict::Disproved } else { Verdict::NotRun }), error.message.clone())
}

/// What a restore proved of the files.
fn proved(copied: Copied) -> Answer {
    match (copied.proved, copied.unproven) {
        (0, files) => (None, format!("{files} files copied; no manifest tells what is in them")),
        (files, 0) => (Some(Verdict::Proved), format!("{files} files proved by the manifest")),
        (files, others) => {
            (Some(Verdict::Proved), format!("{files} files proved by the manifest, {others} that it does not list"))
        }
    }
}
