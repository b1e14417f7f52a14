//! The file for the textfile collector of Prometheus' node_exporter: how the site stands, and what runs came to.
//!
//! It is replaced as a whole at the end of a run, however that ends, and is as young as the run that wrote it. What only
//! grows goes on from what the file says, and what other commands told of their runs stays; how the site stands is told
//! by the run that looked at it last, and by none when that could not. Of two that write at the same moment one is not
//! counted.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::barman::ids::ServerName;
use crate::cycle::Planned;
use crate::error::{Error, Exit, Kind};
use crate::events::{Event, Listener, Summary};
use crate::metrics::ledger::{Ledger, Run, Stage};
use crate::metrics::state::State;
use crate::metrics::{self, kept};
use crate::plan::{Plan, ReplicaPlan};
use crate::site::model::Site;
use crate::store::posix::durable;

use super::apply::worse;
use super::status::Stand;

/// More than the metrics of a thousand replicas.
const MAX: u64 = 64 << 20;

/// What every file begins with that was written here.
const MARK: &str = "# HELP antipode_";

/// The metrics of a run, and the file that they go to.
pub struct MetricsFile {
    path: PathBuf,
    command: &'static str,
    began: Timestamp,
    since: Instant,
    known: Mutex<Known>,
}

/// What the run knows so far.
#[derive(Default)]
struct Known {
    /// The site's name, once its file was read.
    site: Option<String>,
    ledger: Ledger,
    stand: Option<Stand>,
    /// How many mirrors could not be resolved.
    errors: usize,
}

impl MetricsFile {
    /// Begins the run of a command. Nothing is written before its end.
    pub fn begin(path: &Path, command: &'static str) -> Self {
        let (began, since, known) = (Timestamp::now(), Instant::now(), Mutex::default());
        Self { path: path.to_owned(), command, began, since, known }
    }

    /// Takes note of the site.
    pub fn is_of(&self, site: &Site) {
        self.known().site = Some(site.name.clone());
    }

    /// Takes note of a plan, and of what it was made from.
    pub fn planned(&self, planned: &Planned) {
        let ledger = &mut self.known().ledger;
        for replica in &planned.plan.replicas {
            ledger.planned(replica, planned.now);
        }
        ledger.took(Stage::Observe, planned.observing);
        ledger.took(Stage::Plan, planned.planning);
    }

    /// Takes note of what an apply came to of each replica.
    pub fn applied(&self, plan: &Plan, each: &BTreeMap<ServerName, Summary>) {
        let ledger = &mut self.known().ledger;
        for replica in &plan.replicas {
            if let Some(summary) = each.get(&replica.name) {
                ledger.applied(replica, summary);
            }
        }
    }

    /// Takes note of how long something took.
    pub fn took(&self, stage: Stage, duration: Duration) {
        self.known().ledger.took(stage, duration);
    }

    /// Takes note of an error that no replica alone is to blame for.
    pub fn failed(&self, error: &Error) {
        self.known().ledger.failed(error);
    }

    /// Takes note of how the whole site stands, and of what is wrong with its mirrors.
    pub fn stands(&self, stand: Stand, unresolved: &[Error]) {
        let mut known = self.known();
        for replica in &stand.plan.replicas {
            known.ledger.observed(replica, stand.now);
        }
        known.ledger.took(Stage::Observe, stand.observing);
        known.errors = unresolved.len();
        known.stand = Some(stand);
    }

    /// Writes the file for a run that ended like this, unless it was interrupted; how the command ends then. `tell` tells
    /// why it could not be written.
    pub fn end(
        &self,
        ended: Result<Exit, Error>,
        interrupted: Option<Exit>,
        tell: impl Fn(&Error) -> Exit,
    ) -> Result<Exit, Error> {
        let exit = match &ended {
            Ok(exit) => *exit,
            Err(error) => {
                self.failed(error);
                error.kind.exit()
            }
        };
        match (self.write(interrupted.unwrap_or(exit)), ended) {
            (Ok(()), ended) => ended,
            (Err(unwritten), Ok(exit)) => Ok(worse(exit, tell(&unwritten))),
            (Err(unwritten), Err(error)) => {
                tell(&unwritten);
                Err(error)
            }
        }
    }

    /// Writes the file for a run that ended like this.
    pub fn write(&self, exit: Exit) -> Result<(), Error> {
        let earlier = kept::read(&self.earlier()?);
        let mut known = self.known();
        if let (Some(ours), Some(theirs)) = (&known.site, &earlier.site)
            && ours != theirs
        {
            return Err(self.of_another_site(theirs));
        }
        let took = self.since.elapsed();
        known.ledger.ended(Run { command: self.command, began: self.began, ended: Timestamp::now(), took, exit });
        let mut ledger = earlier.ledger;
        ledger.add(known.ledger.clone());
        let plans: Vec<&ReplicaPlan> = known.stand.iter().flat_map(|stand| &stand.plan.replicas).collect();
        let state = known.stand.as_ref().map(|stand| State {
            status: &stand.status,
            plans: &plans,
            observed: stand.now,
            errors: known.errors,
        });
        if let Some(stand) = &known.stand {
            ledger.retain(stand.plan.replicas.iter().map(|replica| (&replica.name, replica.primary.as_str())));
        }
        let site = known.site.as_ref().or(earlier.site.as_ref()).map(String::as_str).unwrap_or_default();
        let text = metrics::text(site, state.as_ref(), &ledger)?;
        durable::write_for_everybody(self.in_its_directory().as_ref(), text.as_bytes())
            .map_err(|error| self.unwritten(error))
    }

    /// What the file holds; nothing when there is none.
    fn earlier(&self) -> Result<String, Error> {
        let text = match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_file() && metadata.len() <= MAX => fs::read(&self.path),
            Ok(_) => return Err(self.not_ours()),
            Err(error) => Err(error),
        };
        match text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()) {
            Ok(text) if text.is_empty() || text.starts_with(MARK) => Ok(text),
            Ok(_) => Err(self.not_ours()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(self.unwritten(error)),
        }
    }

    /// The path with a directory in it, where the new file is made before it takes the place of the old one.
    fn in_its_directory(&self) -> PathBuf {
        if self.path.parent().is_some_and(|parent| parent.as_os_str().is_empty()) {
            Path::new(".").join(&self.path)
        } else {
            self.path.clone()
        }
    }

    fn not_ours(&self) -> Error {
        let what = format!("the metrics are not written: Antipode did not write {}", self.path.display());
        Error::new(Kind::Refused, what).hint("name another file, or move that one away")
    }

    fn of_another_site(&self, other: &str) -> Error {
        let what = format!("the metrics are not written: {} holds those of site {other}", self.path.display());
        Error::new(Kind::Refused, what)
            .hint("give each site a file of its own, or remove this one if the site was renamed")
    }

    fn unwritten(&self, error: io::Error) -> Error {
        Error::io(format_args!("the metrics cannot be written to {}", self.path.display()), error)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing in here can panic half-way.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for MetricsFile {
    fn notice(&self, event: &Event) {
        self.known().ledger.noticed(event);
    }
}
