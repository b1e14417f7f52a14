//! What a controller tells: a line on stderr for what changed, as a journal keeps it; the board; the service manager; and the
//! site's own journal of runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::barman::drill::Drill;
use crate::barman::ids::ServerName;
use crate::commands::drill_reports;
use crate::commands::record::Recorder;
use crate::commands::terminal::{self, Terminal};
use crate::controller::{Follower, Looked, Report, State, Work};
use crate::cycle::Session;
use crate::english::count;
use crate::error::{Error, Kind};
use crate::events::{Event, Listener, Nobody, Summary};
use crate::hooks::Missed;
use crate::plan::Plan;
use crate::plan::action::address::Sort;
use crate::plan::scope::leave::Waiting;
use crate::progress::Lines;
use crate::render;
use crate::render::verification;
use crate::schedule::Suspension;
use crate::scrub::Outcome;
use crate::site::model::Replica;

use super::board::Board;
use super::service::Service;

/// Tells whoever wants to know.
pub struct Told {
    terminal: Terminal,
    service: Service,
    board: Arc<Board>,
    /// As the site file is now.
    recorder: Mutex<Arc<Recorder>>,
    /// The replicas that are kept.
    kept: Mutex<Vec<ServerName>>,
    /// What was last told to wait.
    waiting: Mutex<BTreeMap<ServerName, Waiting>>,
    /// The replicas that missed their objective at the last look.
    missing: Mutex<BTreeMap<ServerName, Missing>>,
}

/// A replica that misses its objective.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// What is about to be done may end that.
    Perhaps,
    /// Whoever wants to hear of it was told.
    Told,
}

impl Told {
    /// On stderr, and on a board.
    pub fn new(terminal: Terminal, service: Service, board: Arc<Board>, recorder: Recorder) -> Self {
        Self {
            terminal,
            service,
            board,
            recorder: Mutex::new(Arc::new(recorder)),
            kept: Mutex::default(),
            waiting: Mutex::default(),
            missing: Mutex::default(),
        }
    }

    /// Runs are recorded as those of another site file from now on.
    pub fn record_as(&self, recorder: Recorder) {
        *self.recorder.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(recorder);
    }

    fn recorder(&self) -> Arc<Recorder> {
        Arc::clone(&self.recorder.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until whoever wants to hear of it was told, but not for long.
    pub async fn finish(&self, ended: &CancellationToken) {
        self.recorder().finish(ended).await;
    }

    /// Tells that an objective is missed, once, and not before what can be done at once has been.
    fn judge(&self, looked: &Looked) {
        let (replica, missed) = (&looked.status.name, Missed::of(&looked.status));
        let is_news = {
            let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
            let before = missing.get(replica).copied();
            let may_end = before.is_none() && !looked.plan.actions.is_empty();
            match missed {
                None => drop(missing.remove(replica)),
                Some(_) if may_end => drop(missing.insert(replica.clone(), Missing::Perhaps)),
                Some(_) => drop(missing.insert(replica.clone(), Missing::Told)),
            }
            before != Some(Missing::Told) && !may_end
        };
        if let Some(missed) = missed.filter(|_| is_news) {
            self.recorder().missed(replica, missed);
        }
    }

    fn line(&self, of: &dyn std::fmt::Display, what: &str) {
        if !self.terminal.quiet {
            terminal::tell(&format!("{of}: {what}\n"));
        }
    }
}

#[async_trait]
impl Follower for Told {
    fn alive(&self) {
        self.service.alive();
        self.board.alive();
    }

    fn ending(&self) {
        Service::stopping();
        self.line(&"antipode run", "ends; what runs ends and keeps what it has");
    }

    fn keeps(&self, session: &Session) {
        self.board.keeps(session);
        let what = format!("keeps {}", count(session.replicas.len() as u64, "replica"));
        let names: Vec<ServerName> = session.replicas.iter().map(|replica| replica.name.clone()).collect();
        let are_others = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let are_others = *kept != names;
            *kept = names;
            are_others
        };
        if are_others {
            self.line(&"antipode run", &what);
        }
        Service::ready();
        Service::status(&what);
    }

    fn rest(&self, session: &Session) {
        self.board.rest(session);
    }

    fn site_error(&self, error: &Error) {
        self.board.site_error(error);
        self.terminal.error(error);
    }

    fn state(&self, replica: &ServerName, state: &State) {
        match state {
            State::New => {}
            State::Well => self.line(replica, "all that may be done by itself is done"),
            State::Busy(error) => self.line(replica, &format!("waits: {}", error.message)),
            State::Failing(error) => {
                let told = Error { message: format!("{replica}: {}", error.message), ..error.clone() };
                self.terminal.error(&told);
            }
        }
    }

    fn looked(&self, looked: &Looked, waiting: &Waiting, took: Duration) {
        self.board.looked(looked, waiting, took);
        self.judge(looked);
        let replica = &looked.status.name;
        let before = {
            let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(replica.clone(), *waiting).unwrap_or_default()
        };
        if before == *waiting {
            return;
        }
        for (totals, what) in [(&waiting.for_person, "a person"), (&waiting.for_window, "a window")] {
            if let Some(to_do) = render::to_do(totals) {
                self.line(replica, &format!("waits for {what}: {to_do}"));
            }
        }
    }

    fn suspended(&self, replica: &ServerName, suspension: Option<&Suspension>) {
        match suspension {
            Some(suspension) => self.line(replica, &render::suspended(suspension)),
            None => self.line(replica, "resumed"),
        }
    }

    fn apply(&self, _plan: &Plan) -> Box<dyn Listener> {
        let lines: Box<dyn Listener> =
            if self.terminal.quiet { Box::new(Nobody) } else { Box::new(Backups(Lines::new())) };
        Box::new(Steps { lines, board: Arc::clone(&self.board) })
    }

    async fn recorded(&self, plan: &Plan, work: Work<'_>) -> Result<BTreeMap<ServerName, Summary>, Error> {
        let recorder = self.recorder();
        let recording = recorder.begin(plan).await;
        let done = work.await;
        let nothing = BTreeMap::new();
        recording
            .end(plan, done.as_ref().unwrap_or(&nothing), done.as_ref().err().map_or(&[], std::slice::from_ref))
            .await;
        done
    }

    fn meanwhile(&self, report: &Report) {
        self.board.meanwhile(report);
        if let Some(applied) = &report.applied {
            self.line(&report.replica, &render::applied_in_a_line(&applied.plan, &applied.summary, applied.elapsed));
        }
        if let Some(error) = &report.failure {
            let message = format!("{}: WAL that is archived meanwhile: {}", report.replica, error.message);
            self.terminal.error(&Error { message, ..error.clone() });
        }
    }

    fn verified(&self, replica: &ServerName, outcome: &Result<Outcome, Error>) {
        match outcome {
            Ok(outcome) => {
                for sentence in verification::wrong(outcome) {
                    let error = Error::new(Kind::Damaged, format!("{replica}: {sentence}"));
                    self.terminal.error(&error.hint("it is repaired from the primary where `auto` lets it be"));
                }
            }
            Err(error) => {
                self.terminal.error(&Error { message: format!("{replica}: {}", error.message), ..error.clone() });
            }
        }
    }

    fn drilled(&self, replica: &Replica, outcome: &Result<Drill, Error>, unkept: Option<&Error>) {
        let name = &replica.name;
        let drill = match outcome {
            Ok(drill) => drill,
            Err(error) if error.kind == Kind::Interrupted => {
                self.line(name, "the drill was interrupted, and is made again");
                return;
            }
            Err(error) => {
                self.terminal.error(&error.clone().of(format_args!("the drill of {name}")));
                return;
            }
        };
        self.line(name, &format!("drill: {}", render::drill::sentence(drill)));
        if let Some(error) = unkept {
            self.terminal.error(&error.clone().of(format_args!("the drill of {name}")));
        }
        if let Err(error) = drill_reports::write(&replica.policy.drill, drill) {
            self.terminal.error(&error.of(format_args!("the drill of {name}")));
        }
        let (recorder, drill) = (self.recorder(), drill.clone());
        tokio::spawn(
            async move { recorder.drilled(drill.began, drill.milliseconds, vec![render::drilled(&drill)]).await },
        );
    }

    fn report(&self, report: &Report, due: Timestamp) {
        self.board.report(report, due);
        if let Some(applied) = &report.applied {
            self.line(&report.replica, &render::applied_in_a_line(&applied.plan, &applied.summary, applied.elapsed));
        }
    }
}

/// Those who hear of the steps of an apply.
struct Steps {
    lines: Box<dyn Listener>,
    board: Arc<Board>,
}

impl Listener for Steps {
    fn notice(&self, event: &Event) {
        self.lines.notice(event);
        self.board.noticed(event);
    }
}

/// Tells how backups are copied, and what is waited for. WAL comes all the time.
struct Backups(Lines);

impl Listener for Backups {
    fn notice(&self, event: &Event) {
        let is_told = match event {
            Event::Started { address, .. }
            | Event::Finished { address, .. }
            | Event::Failed { address, .. }
            | Event::Skipped { address, .. } => address.sort() == Sort::Backup.as_str(),
            Event::Retrying { .. } => true,
            Event::Interrupted => false,
        };
        if is_told {
            self.0.notice(event);
        }
    }
}
