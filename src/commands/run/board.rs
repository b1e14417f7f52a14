//! What is known of a site that is kept: for the page, and for metrics.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::barman::ids::ServerName;
use crate::controller::{Looked, Report, State};
use crate::cycle::Session;
use crate::error::Error;
use crate::events::{Event, Running};
use crate::metrics::ledger::{Ledger, Stage};
use crate::metrics::{self, state};
use crate::plan::ReplicaPlan;
use crate::plan::action::Address;
use crate::plan::scope::leave::Waiting;
use crate::plan::status::SiteStatus;
use crate::plan::status::vanished::Unclaimed;
use crate::render;
use crate::render::page::{Failing, Kept, Page, Run, page};

/// So many runs of a replica are shown.
const RUNS: usize = 10;

/// Longer than the controller takes between two signs of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// What is known of a site.
pub struct Board {
    known: Mutex<Known>,
}

struct Known {
    site: String,
    replicas: BTreeMap<ServerName, OfReplica>,
    unclaimed: Unclaimed,
    /// What is wrong with the site as a whole, as its mirrors and its file tell.
    unresolved: Vec<String>,
    site_error: Option<String>,
    ledger: Ledger,
    alive: Option<Instant>,
}

/// What is known of a replica.
#[derive(Default)]
struct OfReplica {
    primary: String,
    looked: Option<Box<Looked>>,
    due: Option<Timestamp>,
    failing: Option<Failing>,
    waiting: Waiting,
    doing: BTreeMap<Address, Running>,
    runs: VecDeque<Run>,
    /// Whether a turn of it ended.
    was_tried: bool,
}

impl Board {
    /// Nothing is known of a site but its name and where it is.
    pub fn new(session: &Session) -> Self {
        let known = Known {
            site: session.site.name.clone(),
            replicas: BTreeMap::new(),
            unclaimed: Unclaimed::default(),
            unresolved: Vec::new(),
            site_error: None,
            ledger: Ledger::default(),
            alive: None,
        };
        Self { known: Mutex::new(known) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // What is shown: even half-changed it only misleads a reader for a moment.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The controller goes on.
    pub fn alive(&self) {
        self.known().alive = Some(Instant::now());
    }

    /// Whether it did so lately.
    pub fn is_alive(&self) -> bool {
        self.known().alive.is_some_and(|last| last.elapsed() < SIGN_OF_LIFE)
    }

    /// Whether of every replica a turn has ended.
    pub fn is_ready(&self) -> bool {
        let known = self.known();
        known.alive.is_some() && known.replicas.values().all(|replica| replica.was_tried)
    }

    /// These are kept from now on; nothing stays of others.
    pub fn keeps(&self, session: &Session) {
        let mut known = self.known();
        let mut earlier = std::mem::take(&mut known.replicas);
        known.replicas = session
            .replicas
            .iter()
            .map(|replica| {
                let of_replica = earlier.remove(&replica.name).filter(|of| of.primary == replica.primary);
                let of_replica = of_replica
                    .unwrap_or_else(|| OfReplica { primary: replica.primary.clone(), ..OfReplica::default() });
                (replica.name.clone(), of_replica)
            })
            .collect();
        known.site.clone_from(&session.site.name);
        known.unresolved = session.unresolved.iter().map(|error| error.message.clone()).collect();
        known.site_error = None;
        known.ledger.retain(session.replicas.iter().map(|replica| (&replica.name, replica.primary.as_str())));
    }

    /// What is here that no replica copies.
    pub fn rest(&self, session: &Session) {
        // Where the catalog cannot be listed, nobody knows of any.
        let unclaimed = session.unclaimed().unwrap_or_default();
        self.known().unclaimed = unclaimed;
    }

    /// Something is wrong with the site as a whole, until it is declared anew.
    pub fn site_error(&self, error: &Error) {
        let mut known = self.known();
        known.ledger.failed(error);
        if !known.unresolved.contains(&error.message) {
            known.site_error = Some(error.message.clone());
        }
    }

    /// A step began, went on or ended.
    pub fn noticed(&self, event: &Event) {
        let mut known = self.known();
        known.ledger.noticed(event);
        match event {
            Event::Started { address, deed, total, counter } => {
                let Some(of_replica) = known.of_address(address) else { return };
                let step = Running::since(Timestamp::now(), address, *deed, *total, counter);
                of_replica.doing.insert(address.clone(), step);
            }
            Event::Finished { address, .. } | Event::Failed { address, .. } | Event::Skipped { address, .. } => {
                if let Some(of_replica) = known.of_address(address) {
                    of_replica.doing.remove(address);
                }
            }
            Event::Retrying { .. } | Event::Interrupted => {}
        }
    }

    /// How a replica stands, and what waits of its plan.
    pub fn looked(&self, looked: &Looked, waiting: &Waiting, took: Duration) {
        let mut known = self.known();
        let Known { replicas, ledger, .. } = &mut *known;
        let Some(of_replica) = replicas.get_mut(&looked.status.name) else { return };
        ledger.planned(&looked.plan, looked.at);
        ledger.took(Stage::Observe, took);
        of_replica.due = None;
        of_replica.looked = Some(Box::new(looked.clone()));
        of_replica.waiting = *waiting;
    }

    /// What a turn of a replica came to.
    pub fn report(&self, report: &Report, due: Timestamp) {
        let mut known = self.known();
        let Known { replicas, ledger, .. } = &mut *known;
        let Some(of_replica) = replicas.get_mut(&report.replica) else { return };
        of_replica.due = Some(due).filter(|due| *due < Timestamp::MAX);
        of_replica.doing.clear();
        of_replica.was_tried = true;
        of_replica.ran(report, ledger);
        of_replica.failing = match (State::after(report), of_replica.failing.take()) {
            (State::Failing(error), earlier) => Some(Failing {
                since: earlier.as_ref().map_or(report.ended, |earlier| earlier.since),
                times: earlier.map_or(1, |earlier| earlier.times.saturating_add(1)),
                what: error.message,
                hint: error.hint,
            }),
            // Who is waited for says nothing of what failed before.
            (State::Busy(_), earlier) => earlier,
            (State::New | State::Well, _) => None,
        };
    }

    /// What was brought beside an apply that goes on.
    pub fn meanwhile(&self, report: &Report) {
        let mut known = self.known();
        let Known { replicas, ledger, .. } = &mut *known;
        if let Some(error) = &report.failure {
            ledger.failed(error);
        }
        if let Some(of_replica) = replicas.get_mut(&report.replica) {
            of_replica.ran(report, ledger);
        }
    }

    /// The page.
    pub fn page(&self) -> String {
        let known = self.known();
        let (status, plans, _) = known.stand();
        let kept: Vec<Kept> = known.looked().map(|(of_replica, looked)| of_replica.kept(looked)).collect();
        let not_looked_at = known.replicas.iter().filter(|(_, of_replica)| of_replica.looked.is_none());
        let new: Vec<(String, Option<Failing>)> =
            not_looked_at.map(|(name, of_replica)| (name.to_string(), of_replica.failing.clone())).collect();
        let wrong: Vec<String> = known.unresolved.iter().chain(&known.site_error).cloned().collect();
        page(Page { status: &status, plans: &plans, kept: &kept, new: &new, wrong: &wrong, now: Timestamp::now() })
    }

    /// The metrics.
    pub fn metrics(&self) -> Result<String, Error> {
        let known = self.known();
        let (status, plans, observed) = known.stand();
        let errors = known.unresolved.len() + usize::from(known.site_error.is_some());
        let state = observed.map(|observed| state::State { status: &status, plans: &plans, observed, errors });
        metrics::text(&known.site, state.as_ref(), &known.ledger)
    }
}

impl Known {
    fn of_address(&mut self, address: &Address) -> Option<&mut OfReplica> {
        self.replicas.iter_mut().find(|(name, _)| name.as_str() == address.replica()).map(|(_, of_replica)| of_replica)
    }

    fn looked(&self) -> impl Iterator<Item = (&OfReplica, &Looked)> {
        self.replicas.values().filter_map(|of_replica| Some((of_replica, of_replica.looked.as_deref()?)))
    }

    /// How the replicas stand that were looked at, and since when all of that is known.
    fn stand(&self) -> (SiteStatus, Vec<&ReplicaPlan>, Option<Timestamp>) {
        let statuses = self.looked().map(|(of_replica, looked)| {
            let waits_for_person = Some(of_replica.waiting.for_person);
            crate::plan::status::ReplicaStatus { waits_for_person, ..looked.status.clone() }
        });
        let status = SiteStatus {
            site: self.site.clone(),
            replicas: statuses.collect(),
            vanished: self.unclaimed.vanished.clone(),
            detached: self.unclaimed.detached.clone(),
            keeper: None,
        };
        let plans = self.looked().map(|(_, looked)| &looked.plan).collect();
        (status, plans, self.looked().map(|(_, looked)| looked.at).min())
    }
}

impl OfReplica {
    /// Notes what was done.
    fn ran(&mut self, report: &Report, ledger: &mut Ledger) {
        let Some(applied) = &report.applied else { return };
        ledger.took(Stage::Apply, applied.elapsed);
        for plan in &applied.plan.replicas {
            ledger.applied(plan, &applied.summary);
        }
        let what = render::applied_in_a_line(&applied.plan, &applied.summary, applied.elapsed);
        self.runs.push_front(Run { ended: report.ended, what, failed: !applied.summary.failed.is_empty() });
        self.runs.truncate(RUNS);
    }

    fn kept(&self, looked: &Looked) -> Kept {
        Kept {
            observed: looked.at,
            due: self.due,
            failing: self.failing.clone(),
            waiting: self.waiting,
            backups: looked.backups.clone(),
            doing: self.doing.values().map(Running::doing).collect(),
            runs: self.runs.iter().cloned().collect(),
        }
    }
}
