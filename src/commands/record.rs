//! What runs do, as they leave it in the journal of the catalog.
//!
//! A run that cannot write it does its work all the same, and warns. Whoever wants to hear of what became of a run is told
//! here too, by how things stood before it.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::barman::ids::ServerName;
use crate::error::Error;
use crate::events::Summary;
use crate::hooks::{Event, Hooks, Missed};
use crate::journal::{Begun, By, Entry, Failure, Replica, Run, SiteFile, Standing};
use crate::plan::{Plan, ReplicaPlan};
use crate::render;
use crate::site::hooks::Occasion;
use crate::store::journal::{Journal, JournalError};
use crate::user::User;

use super::checkout;
use super::source::Declared;
use super::terminal::Terminal;

/// How long a command waits at its end for who is told of what it did.
const PATIENCE: Duration = Duration::from_secs(60);
/// And how long when it is interrupted.
const A_MOMENT: Duration = Duration::from_secs(1);

/// Records the runs of a command.
pub struct Recorder {
    journal: Journal,
    by: By,
    terminal: Terminal,
    hooks: Hooks,
    /// How things stand after what could not be written.
    unwritten: Mutex<Option<Standing>>,
}

/// A run that is recorded.
pub struct Recording<'a> {
    recorder: &'a Recorder,
    began: Timestamp,
    clock: Instant,
    begun: Option<u64>,
}

impl Recorder {
    /// Of a command over a site, which the user asked for that this runs as.
    pub fn of(command: &str, declared: &Declared, terminal: &Terminal) -> Self {
        let site = &declared.site;
        let by = By {
            command: command.to_owned(),
            user: render::clean(&User::of_this_run().to_string()),
            sudo_user: env::var("SUDO_USER").ok().filter(|user| !user.is_empty()).map(|user| render::clean(&user)),
            host: render::clean(&rustix::system::uname().nodename().to_string_lossy()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            site: site.name.clone(),
            site_file: SiteFile {
                path: render::clean(&site.file),
                digest: declared.identity().digest,
                commit: checkout::head(Path::new(&site.file)),
            },
            plan: None,
        };
        let told = *terminal;
        let hooks = Hooks::new(&site.on, Arc::new(move |error: &Error| told.warn(error)));
        Self { journal: Journal::of(&site.catalog.path), by, terminal: *terminal, hooks, unwritten: Mutex::default() }
    }

    /// The same of a saved plan with this digest.
    pub fn of_plan(mut self, digest: String) -> Self {
        self.by.plan = Some(digest);
        self
    }

    /// A run begins. That it is about to change something is on the disk before it does.
    pub async fn begin(&self, plan: &Plan) -> Recording<'_> {
        let mut recording = Recording { recorder: self, began: Timestamp::now(), clock: Instant::now(), begun: None };
        let changed = plan.replicas.iter().filter(|replica| !replica.actions.is_empty());
        let replicas: Vec<String> = changed.map(|replica| replica.name.to_string()).collect();
        if !replicas.is_empty() {
            let begun = Begun { began: recording.began, by: self.by.clone(), replicas };
            let written = self.journal.append(Entry::Begun(begun), |standing| standing).await;
            recording.begun = written.map_err(|error| self.warn(error)).ok();
        }
        recording
    }

    /// A run was refused before it changed anything.
    pub async fn refused(&self, error: &Error) {
        let recording = Recording { recorder: self, began: Timestamp::now(), clock: Instant::now(), begun: None };
        recording.write(vec![render::failure(None, error)], Vec::new()).await;
    }

    /// Drills were made. They leave how the replicas stand as it was: nothing was copied.
    pub async fn drilled(&self, began: Timestamp, milliseconds: u64, replicas: Vec<Replica>) {
        let run = Run { began, milliseconds, begun: None, by: self.by.clone(), errors: Vec::new(), replicas };
        for event in Event::of_run(&run, &Standing::default(), Timestamp::now()) {
            self.hooks.tell(&event);
        }
        if let Err(error) = self.journal.append(Entry::Ended(run), |standing| standing).await {
            self.warn(error);
        }
    }

    /// A replica misses its objective.
    pub fn missed(&self, replica: &ServerName, missed: Missed) {
        if self.hooks.wants(Occasion::ObjectiveMissed) {
            self.hooks.tell(&Event::missed(replica.as_str(), missed, &self.by, Timestamp::now()));
        }
    }

    /// Waits until whoever wants to hear of it was told, but not for long, and hardly when the run is interrupted.
    pub async fn finish(&self, interrupted: &CancellationToken) {
        let within = if interrupted.is_cancelled() { A_MOMENT } else { PATIENCE };
        tokio::select! {
            biased;
            () = self.hooks.finish(within) => {}
            () = interrupted.cancelled(), if within == PATIENCE => {}
        }
    }

    /// How things stood before a run that ends now.
    fn standing(&self) -> Standing {
        let unwritten = self.unwritten().clone();
        unwritten.unwrap_or_else(|| self.journal.standing())
    }

    fn unwritten(&self) -> MutexGuard<'_, Option<Standing>> {
        // Nothing in here can leave it half-changed.
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn warn(&self, error: JournalError) {
        self.terminal.warn(&Error::from(error).of("this run is not recorded for `antipode history`"));
    }
}

impl Recording<'_> {
    /// The run ended: what it came to of each replica, and what kept the run from others.
    pub async fn end(self, plan: &Plan, applied: &BTreeMap<ServerName, Summary>, errors: &[Error]) {
        // Of a part that has nothing to do nobody knows how the whole stands.
        let is_known = |replica: &&ReplicaPlan| plan.narrowed.is_none() || !replica.is_idle();
        let nothing = Summary::default();
        let replicas = plan.replicas.iter().filter(is_known);
        let replicas =
            replicas.map(|replica| render::recorded(replica, applied.get(&replica.name).unwrap_or(&nothing)));
        let errors = errors.iter().map(|error| render::failure(None, error)).collect();
        self.write(errors, replicas.collect()).await;
    }

    async fn write(self, errors: Vec<Failure>, replicas: Vec<Replica>) {
        let Self { recorder, began, clock, begun } = self;
        let milliseconds = u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        let run = Run { began, milliseconds, begun, by: recorder.by.clone(), errors, replicas };
        let before = recorder.standing();
        for event in Event::of_run(&run, &before, Timestamp::now()) {
            recorder.hooks.tell(&event);
        }
        let Some(news) = run.news(&before) else { return };
        let (stands, unwritten) = (news.clone(), before.after(&news));
        let written = recorder.journal.append(Entry::Ended(news), move |before| before.after(&stands)).await;
        *recorder.unwritten() = written.is_err().then_some(unwritten);
        if let Err(error) = written {
            recorder.warn(error);
        }
    }
}
