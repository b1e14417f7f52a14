//! `antipode demo`: the main job on a small catalog made for the occasion.
//!
//! What the commands do here is what they do anywhere: they read the site file, observe, plan and apply.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anstyle::Style;
use tempfile::TempDir;

use crate::barman::layout::ServerDirs;
use crate::cli::{self, SiteFile};
use crate::cycle::Session;
use crate::demo::catalog::{self, PrimaryCatalog};
use crate::demo::damage::Damage;
use crate::error::{Error, Exit, Kind};
use crate::plan::Plan;
use crate::plan::scope::Scope;
use crate::stdout;
use crate::store::home;

use super::audience::Audience;
use super::interrupt::Interrupt;
use super::record::Recorder;
use super::terminal::{self, Terminal};
use super::{apply, plan, source};

/// Nobody else works on these catalogs.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
const SERVER: &str = "main";

/// Runs the command.
pub async fn run(arguments: &cli::Demo, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, Error> {
    let venue = Venue::prepare(arguments.keep.as_deref())?;
    let stage = Stage { directory: venue.path(), terminal, interrupt };
    let played = stage.play().await;
    if played.is_ok() {
        stage.say(&venue.farewell());
    }
    let left = venue.leave();
    played.and(left).map(|()| Exit::Done)
}

/// Where it takes place.
enum Venue {
    /// Removed at the end, whatever the end is.
    Temporary(TempDir),
    /// Named by the user.
    Kept(PathBuf),
}

impl Venue {
    fn prepare(keep: Option<&Path>) -> Result<Self, Error> {
        let Some(directory) = keep else {
            let made = tempfile::Builder::new().prefix("antipode-demo-").tempdir();
            return made.map(Self::Temporary).map_err(unwritten);
        };
        let made = std::path::absolute(directory).and_then(|path| fs::create_dir(&path).map(|()| path));
        made.map(Self::Kept).map_err(|error| {
            Error::io(format_args!("cannot make the directory {}", directory.display()), error)
                .hint("name one that does not exist yet, in a directory that does")
        })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(directory) => directory.path(),
            Self::Kept(directory) => directory,
        }
    }

    fn farewell(&self) -> String {
        match self {
            Self::Temporary(_) => "All of it was in a temporary directory, which is gone now. \
                                   To keep it and play: antipode demo --keep DIR"
                .to_owned(),
            Self::Kept(directory) => format!(
                "It is all kept. Break something below lisbon/, or change antipode.yaml, and plan again:\n\
                 # cd {} && antipode plan",
                directory.display()
            ),
        }
    }

    fn leave(self) -> Result<(), Error> {
        match self {
            Self::Temporary(directory) => {
                directory.close().map_err(|error| Error::io("the demo's temporary directory cannot be removed", error))
            }
            Self::Kept(_) => Ok(()),
        }
    }
}

/// Plays the demo in a directory.
struct Stage<'a> {
    directory: &'a Path,
    terminal: &'a Terminal,
    interrupt: &'a Interrupt,
}

impl Stage<'_> {
    async fn play(&self) -> Result<(), Error> {
        let mut primary = PrimaryCatalog::create(&self.directory.join("frankfurt"), SERVER).map_err(unwritten)?;
        primary.first_day().map_err(unwritten)?;
        self.say(
            "A primary in Frankfurt has its first backup. The site in Lisbon has nothing yet and wants everything.",
        );
        self.write_site_file()?;
        let plan = self.plan().await?;
        self.say("Progress is left out here, and so is the plan that apply shows before it asks: it is the one above.");
        self.apply(Some(&plan)).await?;
        self.expect_no_changes().await?;

        primary.second_day().map_err(unwritten)?;
        self.say(
            "A day later Frankfurt was promoted to timeline 2 and has another backup. Lisbon has most of its files.",
        );
        self.apply(None).await?;

        self.say("Then the copy is damaged, mostly in the ways of Barman's own sync:");
        self.damage()?;
        let plan = self.plan().await?;
        self.apply(Some(&plan)).await?;
        self.expect_no_changes().await
    }

    fn site(&self) -> PathBuf {
        self.directory.join("lisbon")
    }

    fn site_file(&self) -> PathBuf {
        self.directory.join("antipode.yaml")
    }

    fn write_site_file(&self) -> Result<(), Error> {
        let text = site_file(&self.site(), &self.directory.join("frankfurt"));
        fs::write(self.site_file(), &text).map_err(unwritten)?;
        self.command("cat antipode.yaml");
        stdout::print(&format!("{text}\n"));
        Ok(())
    }

    fn damage(&self) -> Result<(), Error> {
        let server = SERVER.parse().map_err(|error| unwritten(io::Error::other(error)))?;
        let site = ServerDirs::of_catalog(&self.site(), server);
        for damage in Damage::ALL {
            damage.inflict(&site).map_err(unwritten)?;
            stdout::print(&self.dim(format_args!("#   {damage}\n")));
        }
        Ok(())
    }

    async fn plan(&self) -> Result<Plan, Error> {
        self.command("antipode plan");
        let site = self.declared()?.site;
        let session = Session::open(&site, &self.interrupt.token, terminal::told()).await;
        let planned = session.plan(&Scope::default()).await;
        session.close().await;
        self.check_interrupt()?;
        let plan = planned?.plan;
        plan::show(&plan, self.terminal);
        stdout::print("\n");
        Ok(plan)
    }

    async fn expect_no_changes(&self) -> Result<(), Error> {
        let plan = self.plan().await?;
        if plan.is_empty() && !plan.is_blocked() { Ok(()) } else { Err(unexpected("plan after an apply has changes")) }
    }

    /// Plans and applies. The plan is shown unless it is the one that was shown just before.
    async fn apply(&self, shown: Option<&Plan>) -> Result<(), Error> {
        self.command("antipode apply --auto-approve");
        let declared = self.declared()?;
        home::prepare(&declared.site.catalog.path)?;
        let recorder = Recorder::of("apply", &declared, self.terminal);
        let session = Session::open(&declared.site, &self.interrupt.token, terminal::told()).await;
        let result = self.lock_and_apply(&session, shown, &recorder).await;
        session.close().await;
        self.check_interrupt()?;
        result
    }

    async fn lock_and_apply(&self, session: &Session, shown: Option<&Plan>, recorder: &Recorder) -> Result<(), Error> {
        let round = session.lock(|_| true, LOCK_TIMEOUT)?.all().await?;
        let plan = session.plan_round(&Scope::default(), &round).await?.plan;
        if !shown.is_some_and(|shown| does_the_same(shown, &plan)) {
            plan::show(&plan, self.terminal);
        }
        let audience = Audience::onlookers(self.terminal);
        let summary = apply::carry_out(&plan, session, round, LOCK_TIMEOUT, &audience, recorder).await?;
        stdout::print("\n");
        if summary.failed.is_empty() { Ok(()) } else { Err(unexpected("apply failed in part")) }
    }

    fn declared(&self) -> Result<source::Declared, Error> {
        source::declared(&SiteFile { file: Some(self.site_file()) }, self.terminal)
    }

    fn check_interrupt(&self) -> Result<(), Error> {
        if self.interrupt.token.is_cancelled() { Err(Error::interrupted()) } else { Ok(()) }
    }

    /// What a user would have typed.
    fn command(&self, words: &str) {
        let prompt = self.dim(format_args!("$"));
        stdout::print(&format!("{prompt} {words}\n"));
    }

    /// What a user should know.
    fn say(&self, text: &str) {
        stdout::print(&self.dim(format_args!("# {text}\n")));
    }

    fn dim(&self, text: fmt::Arguments<'_>) -> String {
        let style = Style::new().dimmed();
        if self.terminal.colour() { format!("{style}{text}{style:#}") } else { text.to_string() }
    }
}

/// Whether two plans have the same actions; the free space around them changes all the time.
fn does_the_same(one: &Plan, other: &Plan) -> bool {
    let actions = |plan: &Plan| plan.replicas.iter().flat_map(|replica| replica.actions.clone()).collect::<Vec<_>>();
    actions(one) == actions(other)
}

/// A site that wants all backups of one server.
fn site_file(site: &Path, primary: &Path) -> String {
    format!(
        "version: 1\nsite: lisbon\ncatalog: {{path: {}, barman: \"{}\", deep_every: always, reserve: none}}\nprimaries:\n  \
         frankfurt: {{path: {}}}\nreplicas:\n  {SERVER}: {{primary: frankfurt}}\n",
        quoted(site),
        catalog::BARMAN,
        quoted(primary),
    )
}

/// A path as YAML and JSON quote it.
fn quoted(path: &Path) -> serde_json::Value {
    path.display().to_string().into()
}

fn unwritten(error: io::Error) -> Error {
    Error::io("cannot write the demo's files", error).hint("set TMPDIR to a directory with 50 MiB free")
}

fn unexpected(what: &str) -> Error {
    Error::new(Kind::Internal, format!("the demo's {what}; please report this with all that is above"))
}
