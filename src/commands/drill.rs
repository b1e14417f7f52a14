//! `antipode drill`: replicas are restored to see whether that works.

use std::collections::BTreeSet;
use std::env;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::barman::drill::{Drill, Verdict, What};
use crate::barman::ids::{BackupId, ServerName};
use crate::cli::{self, DrillFormat, DrillPoint};
use crate::drill::{Point, Terms, drill, keep, place};
use crate::error::{Error, Exit, Kind};
use crate::observe::{self, SiteConf};
use crate::render;
use crate::render::drill::json::drills_json;
use crate::site::Site;
use crate::site::drills;
use crate::site::model::Policy;
use crate::stdout;
use crate::store::home;
use crate::transport::{ByteCounter, blocking};

use super::drill_reports;
use super::interrupt::Interrupt;
use super::record::Recorder;
use super::source;
use super::terminal::{self, Terminal};
use super::verify::replicas;

/// Runs the command.
pub async fn run(arguments: &cli::Drill, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, Error> {
    let declared = source::declared(&arguments.site, terminal)?;
    let recorder = Recorder::of("drill", &declared, terminal);
    let site = declared.site;
    home::check(&site.catalog.path)?;
    let names = replicas(&site, &arguments.replicas)?;
    let backup = arguments.backup.as_deref().map(super::restore::known_id).transpose()?;
    let (began, clock) = (Timestamp::now(), Instant::now());
    let (mut made, mut errors) = (Vec::new(), Vec::new());
    for name in names {
        let drilled = match rules(&site, &name, arguments) {
            Ok(rules) => one(&site, (name.clone(), rules), (arguments.point, backup), terminal.quiet, interrupt).await,
            Err(error) => Err(error),
        };
        match drilled {
            Ok((drill, unkept)) => {
                made.push(drill);
                errors.extend(unkept.map(|error| error.of(format_args!("replica {name}"))));
            }
            Err(error) => errors.push(error.of(format_args!("replica {name}"))),
        }
        if interrupt.token.is_cancelled() {
            break;
        }
    }
    let told = made.iter().map(render::drilled).collect();
    recorder.drilled(began, u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX), told).await;
    stdout::print(&match arguments.format {
        DrillFormat::Text => render::drill::drills(&made, terminal.style()),
        DrillFormat::Json => drills_json(&site.name, &made, &errors),
        DrillFormat::Junit => render::drill::junit(&made),
        DrillFormat::Html => render::drill::html(&made),
    });
    recorder.finish(&interrupt.token).await;
    if let Some(exit) = interrupt.exit() {
        return Ok(exit);
    }
    for error in &errors {
        terminal.error(error);
    }
    Ok(exit(&made, !errors.is_empty()))
}

/// The worst of what was found decides.
fn exit(made: &[Drill], has_errors: bool) -> Exit {
    let is_missed = |drill: &Drill| drill.verdict == Verdict::Disproved || drill.misses_objective();
    if made.iter().any(is_missed) {
        Exit::Disproved
    } else if has_errors || made.is_empty() || made.iter().any(|drill| drill.verdict == Verdict::NotRun) {
        Exit::Error
    } else {
        Exit::Done
    }
}

/// What holds for drills of a replica.
struct Rules {
    drill: drills::Drill,
    rto: Option<Duration>,
}

/// What the site file and the command line say of drills of a replica that is here.
fn rules(site: &Site, name: &ServerName, arguments: &cli::Drill) -> Result<Rules, Error> {
    let declared = if let Some(replica) = site.replicas.get(name) {
        Some(&replica.policy)
    } else {
        let primary = observe::copied_here(&site.catalog.path)?.remove(name).flatten();
        site.mirrors.iter().find(|mirror| Some(&mirror.primary) == primary.as_ref()).map(|mirror| &mirror.policy)
    };
    let unknown = || Error::new(Kind::NotFound, "neither a replica nor a mirror of the site file has it");
    let Policy { drill, rto, .. } = declared.ok_or_else(unknown)?;
    let (mut drill, said) = (drill.clone(), arguments.clone());
    drill.bin_dir = said.bin_dir.or(drill.bin_dir);
    drill.reports = said.reports.or(drill.reports);
    drill.sign_with = said.sign_with.or(drill.sign_with);
    Ok(Rules { drill, rto: *rto })
}

fn point(asked: DrillPoint) -> Point {
    match asked {
        DrillPoint::Newest => Point::Newest,
        DrillPoint::Random => Point::Random,
        DrillPoint::Time(time) => Point::Time(time),
    }
}

/// Makes a drill, and keeps what it came to; the second is why that could not be kept.
async fn one(
    site: &Site,
    (name, rules): (ServerName, Rules),
    (asked, backup): (Option<DrillPoint>, Option<BackupId>),
    quiet: bool,
    interrupt: &Interrupt,
) -> Result<(Drill, Option<Error>), Error> {
    let conf = SiteConf::read(&site.catalog)?;
    let store = conf.store(&name)?;
    let program = env::current_exe().map_err(|error| Error::io("cannot tell where antipode is", error))?;
    let (site, cancel) = (site.clone(), interrupt.token.clone());
    blocking(move || {
        let (counter, go_on) = (ByteCounter::default(), || !cancel.is_cancelled());
        let hear = |what: What| {
            if terminal::shows_progress() && !quiet {
                terminal::tell(&format!("{name}: {}...\n", what.words()));
            }
        };
        let mut terms = Terms::of(&site, &conf, &name, (&rules.drill, rules.rto), (&program, &counter, &go_on))?;
        (terms.point, terms.backup, terms.hear) = (asked.map_or(terms.point, point), backup, &hear);
        let drill = drill(store.as_ref(), &terms)?;
        let kept = keep(store.as_ref(), drill.clone()).map_err(Error::from);
        // What was found is told, whatever becomes of the note and of the reports.
        let unkept = kept.and_then(|()| drill_reports::write(&rules.drill, &drill)).err();
        Ok((drill, unkept))
    })
    .await
}

/// Removes what drills left here that were killed. Where that cannot be done it is said, and nothing else waits for it.
pub(super) fn remove_leftovers(site: &Site, terminal: &Terminal) {
    let policies = site.replicas.values().map(|replica| &replica.policy);
    let named = policies.chain(site.mirrors.iter().map(|mirror| &mirror.policy)).map(|policy| &policy.drill.directory);
    let directories: BTreeSet<Option<&Path>> = named.map(Option::as_deref).chain([None]).collect();
    for directory in directories {
        if let Err(error) = place::remove_leftovers(&site.catalog.path, directory) {
            terminal.warn(&error.of("what a drill left that was killed"));
        }
    }
}
