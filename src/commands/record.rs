//! What runs do, as they leave it in the journal of the catalog.
//!
//! A run that cannot write it does its work all the same, and warns.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;

use crate::barman::ids::ServerName;
use crate::error::Error;
use crate::events::Summary;
use crate::journal::{Begun, By, Entry, Failure, Replica, Run, SiteFile};
use crate::plan::{Plan, ReplicaPlan};
use crate::render;
use crate::store::journal::{Journal, JournalError};
use crate::user::User;

use super::checkout;
use super::source::Declared;
use super::terminal::Terminal;

/// Records the runs of a command.
pub struct Recorder {
    journal: Journal,
    by: By,
    terminal: Terminal,
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
        Self { journal: Journal::of(&site.catalog.path), by, terminal: *terminal }
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
        let Some(news) = run.news(&recorder.journal.standing()) else { return };
        let stands = news.clone();
        let written = recorder.journal.append(Entry::Ended(news), move |before| before.after(&stands)).await;
        if let Err(error) = written {
            recorder.warn(error);
        }
    }
}
