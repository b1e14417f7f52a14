//! Who keeps a site: knows what is due, lets it be done, and hears what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::OptionFuture;
use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::barman::ids::ServerName;
use crate::cycle::Session;
use crate::plan::scope::leave::Leave;
use crate::schedule::{Overrun, Regime, Suspension, later, regime};
use crate::scrub::Outcome;
use crate::site::model::{Replica, Site};

use super::Follower;
use super::drilling::{Drilled, Drilling};
use super::pause;
use super::scrubbing::{Scrubbed, Scrubbing};
use super::standing::{Report, Standing, State};
use super::turn::{Due, Ends, Turn};

/// How often it looks at what time it is.
const TICK: Duration = Duration::from_millis(500);

/// How often the notes of what is suspended are looked at: one file of each replica.
const NOTES: Duration = Duration::from_secs(3);

/// How often it is looked at what is here that no replica copies.
const REST: Duration = Duration::from_secs(15);

/// A clock that is behind what it was by more than this was turned back: what is due by it would be long in coming.
const TURNED_BACK: Duration = Duration::from_secs(10);

/// A turn that takes longer than this applies something.
const A_LOOK: Duration = Duration::from_secs(10);

/// How long what runs may take to end well. Whoever asked for the end waits ten seconds.
const FAREWELL: Duration = Duration::from_secs(7);

/// What a controller begins with.
pub struct Start {
    /// The site as its session has it now.
    pub session: Session,
    /// The site whenever its file says something else that is valid.
    pub sites: UnboundedReceiver<Site>,
    /// Who follows.
    pub follower: Arc<dyn Follower>,
    /// Ends it.
    pub cancel: CancellationToken,
}

/// Keeps a site.
pub struct Controller {
    session: Arc<Session>,
    /// What the site file says, whatever bandwidth holds now.
    declared: Site,
    sites: UnboundedReceiver<Site>,
    follower: Arc<dyn Follower>,
    cancel: CancellationToken,
    replicas: BTreeMap<ServerName, Kept>,
    suspended: BTreeMap<ServerName, Suspension>,
    /// When the notes of what is suspended are looked at again.
    sees_suspended: Timestamp,
    /// When it is looked again at what no replica copies.
    sees_rest: Timestamp,
    /// By the primary's name.
    regimes: BTreeMap<String, Regime>,
    turns: JoinSet<()>,
    reports: (UnboundedSender<Report>, UnboundedReceiver<Report>),
    /// A session that is being made of what the site file says now, and of the servers that its mirrors have now.
    following: Option<JoinHandle<Session>>,
    /// When the mirrored primaries are asked again.
    asks_again: Timestamp,
    scrubbing: Scrubbing,
    /// What time it was when it looked last.
    seen: Timestamp,
    drilling: Drilling,
}

/// A replica, and what is kept of it.
struct Kept {
    replica: Replica,
    standing: Standing,
    /// Ends the apply of its turn, while it has one.
    turn: Option<Ends>,
    /// When its last turn began.
    began: Timestamp,
}

impl Controller {
    /// One that has not begun.
    pub fn new(Start { session, sites, follower, cancel }: Start) -> Self {
        Self {
            declared: (*session.site).clone(),
            session: Arc::new(session),
            sites,
            follower,
            cancel,
            replicas: BTreeMap::new(),
            suspended: BTreeMap::new(),
            sees_suspended: Timestamp::MIN,
            sees_rest: Timestamp::MIN,
            regimes: BTreeMap::new(),
            turns: JoinSet::new(),
            reports: unbounded_channel(),
            following: None,
            asks_again: Timestamp::MIN,
            scrubbing: Scrubbing::default(),
            seen: Timestamp::MIN,
            drilling: Drilling::default(),
        }
    }

    /// Keeps the site until it is told to end.
    pub async fn run(mut self) {
        self.adopt(Timestamp::now());
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.cancel.cancelled() => break,
                Some(report) = self.reports.1.recv() => self.heard(&report),
                Some(site) = self.sites.recv() => self.declare(site),
                Some(session) = OptionFuture::from(self.following.as_mut()) => {
                    self.following = None;
                    // It ends without a session only when this program does.
                    if let Ok(session) = session {
                        self.session = Arc::new(session);
                        self.adopt(Timestamp::now());
                    }
                }
                Some(_) = self.turns.join_next() => {}
                Some(done) = self.scrubbing.done() => self.verified(done),
                Some(done) = self.drilling.done() => self.drilled(done),
                _ = ticks.tick() => self.tick(Timestamp::now()),
            }
        }
        self.end().await;
    }

    /// Waits for what runs, which was told to end.
    async fn end(mut self) {
        self.follower.ending();
        let all = async {
            while self.turns.join_next().await.is_some() {}
            while self.drilling.done().await.is_some() {}
        };
        // What hangs even then is ended with the program; nothing of it is published.
        let _ended_well = timeout(FAREWELL, all).await;
        while let Ok(report) = self.reports.1.try_recv() {
            self.follower.report(&report, Timestamp::MAX);
        }
        let _closed = timeout(Duration::from_secs(1), self.session.hang_up()).await;
    }

    /// Goes by another declaration, as soon as its mirrors are asked.
    fn declare(&mut self, site: Site) {
        self.declared = site;
        self.follow();
    }

    fn follow(&mut self) {
        if let Some(earlier) = self.following.take() {
            earlier.abort();
        }
        let (session, site) = (Arc::clone(&self.session), self.declared.clone());
        self.following = Some(tokio::spawn(async move {
            let mut session = session.following(site).await;
            // Where it cannot be told what is here, the mirror of a primary that is silent stays without servers.
            let _unknown = session.mirror_what_is_here();
            session
        }));
    }

    /// Keeps the replicas of the session, and no others.
    fn adopt(&mut self, now: Timestamp) {
        let kept: BTreeMap<ServerName, Replica> =
            self.session.replicas.iter().map(|replica| (replica.name.clone(), replica.clone())).collect();
        self.replicas.retain(|name, gone| {
            let stays = kept.contains_key(name);
            if !stays {
                gone.turn.iter().for_each(|ends| ends.cancel.cancel());
            }
            stays
        });
        for (name, replica) in kept {
            let new = || Kept { replica: replica.clone(), standing: Standing::due(now), turn: None, began: now };
            let kept = self.replicas.entry(name).or_insert_with(new);
            // What failed may have been mended with it.
            if kept.replica != replica || kept.standing.failures > 0 {
                kept.replica = replica;
                kept.standing.due = now;
            }
        }
        let mirrored = self.declared.mirrors.iter().filter_map(|mirror| self.declared.primaries.get(&mirror.primary));
        let soonest = mirrored.map(|primary| primary.refresh_after).min();
        self.asks_again = soonest.map_or(Timestamp::MAX, |length| later(now, length));
        self.regimes.clear();
        self.drilling.forget_times();
        self.sees_rest = Timestamp::MIN;
        self.follower.keeps(&self.session);
        for error in &self.session.unresolved {
            self.follower.site_error(error);
        }
    }

    fn tick(&mut self, now: Timestamp) {
        if later(now, TURNED_BACK) < self.seen {
            self.forget_times(now);
        }
        self.seen = now;
        self.govern(now);
        if now >= self.sees_suspended {
            self.see_suspended();
            self.sees_suspended = later(now, NOTES);
        }
        if now >= self.sees_rest {
            self.sees_rest = later(now, REST);
            let (follower, session) = (Arc::clone(&self.follower), Arc::clone(&self.session));
            // Whoever detaches a server, or removes its directory, does not tell us.
            tokio::task::spawn_blocking(move || follower.rest(&session));
        }
        self.stop_what_may_not_run();
        if now >= self.asks_again && self.following.is_none() {
            self.asks_again = Timestamp::MAX;
            self.follow();
        }
        self.begin_what_is_due(now);
        self.verify(now);
        self.follower.alive();
    }

    /// The clock was turned back: whatever is due by what it said before is due now.
    fn forget_times(&mut self, now: Timestamp) {
        for kept in self.replicas.values_mut() {
            kept.standing.due = kept.standing.due.min(now);
            kept.began = kept.began.min(now);
        }
        (self.sees_suspended, self.sees_rest) = (now, now);
        // One that never asks goes on so.
        if self.asks_again != Timestamp::MAX {
            self.asks_again = now;
        }
        self.regimes.clear();
        self.scrubbing.forget_times();
        self.drilling.forget_times();
    }

    /// Lets the bandwidth of each primary be what its windows say, also for what runs.
    fn govern(&mut self, now: Timestamp) {
        let holds = |regime: &Regime| regime.until.is_none_or(|until| now < until);
        if self.regimes.len() == self.declared.primaries.len() && self.regimes.values().all(holds) {
            return;
        }
        let primaries = self.declared.primaries.iter();
        self.regimes =
            primaries.map(|(name, primary)| (name.clone(), regime(&primary.windows, primary.bandwidth, now))).collect();
        let limits = self.regimes.iter().map(|(name, regime)| (name.as_str(), regime.bandwidth));
        if let Some(session) = self.session.with_bandwidths(limits) {
            self.session = Arc::new(session);
        }
    }

    fn see_suspended(&mut self) {
        let suspended = self.session.suspended(self.replicas.keys());
        for (name, kept) in &mut self.replicas {
            let (before, now) = (self.suspended.get(name), suspended.get(name));
            if before != now {
                self.follower.suspended(name, now);
                // What is resumed goes on at once, and how what is suspended stands is looked at.
                kept.standing.due = Timestamp::MIN;
            }
        }
        self.suspended = suspended;
    }

    /// Ends the applies of replicas that were suspended, and those that a window stops. Where it lets them finish, no other
    /// base begins.
    fn stop_what_may_not_run(&self) {
        for (name, kept) in &self.replicas {
            let regime = self.regimes.get(&kept.replica.primary);
            let is_over = kept.standing.copies_backups && regime.is_some_and(|regime| !regime.backups);
            let stops = is_over && regime.is_some_and(|regime| regime.overrun == Overrun::Stop);
            if let Some(ends) = &kept.turn {
                if self.suspended.contains_key(name) || stops {
                    ends.cancel.cancel();
                } else if is_over {
                    ends.closing.cancel();
                }
            }
        }
    }

    /// Begins a turn for each primary of which a replica is due, with all that may be looked at then.
    fn begin_what_is_due(&mut self, now: Timestamp) {
        let mut turns: BTreeMap<String, Vec<Due>> = BTreeMap::new();
        let is_due = |kept: &&Kept| kept.turn.is_none() && kept.standing.due <= now;
        let due: BTreeSet<String> =
            self.replicas.values().filter(is_due).map(|kept| kept.replica.primary.clone()).collect();
        for kept in self.replicas.values_mut().filter(|kept| kept.turn.is_none()) {
            // Whoever may begin later may begin now: one look at the primary is enough for all of them.
            let soon = later(now, kept.replica.policy.schedule.jitter);
            let primary = &kept.replica.primary;
            if !due.contains(primary) || kept.standing.due > soon {
                continue;
            }
            let Some(regime) = self.regimes.get(primary) else { continue };
            let leave = Leave { auto: kept.replica.policy.auto, backups: regime.backups, wals: regime.wals };
            let ends = Ends { cancel: self.cancel.child_token(), closing: CancellationToken::new() };
            kept.turn = Some(ends.clone());
            kept.began = now;
            kept.standing.copies_backups = regime.backups;
            turns.entry(primary.clone()).or_default().push(Due { replica: kept.replica.clone(), leave, ends });
        }
        for due in turns.into_values() {
            let cancel = self.cancel.child_token();
            let turn = Turn {
                session: Arc::new(self.session.again(cancel)),
                due,
                follower: Arc::clone(&self.follower),
                reports: self.reports.0.clone(),
            };
            self.turns.spawn(turn.take());
        }
    }

    /// Verifies and drills a replica with which all is well, as long as no apply of it is at work.
    fn verify(&mut self, now: Timestamp) {
        let is_applied = |kept: &Kept| kept.turn.is_some() && later(kept.began, A_LOOK) < now;
        let may_be_read = |(name, kept): &(&ServerName, &Kept)| {
            let is_denied = self.regimes.get(&kept.replica.primary).is_none_or(|regime| !regime.wals);
            !is_applied(kept) && !is_denied && !self.suspended.contains_key(*name)
        };
        for (name, _) in self.replicas.iter().filter(|kept| !may_be_read(kept)) {
            self.scrubbing.stop(name);
        }
        // A drill only reads, and goes on beside an apply.
        self.suspended.keys().for_each(|name| self.drilling.stop(name));
        let well = || self.replicas.iter().filter(may_be_read).filter(|(_, kept)| kept.standing.state == State::Well);
        if let Some(replica) = self.scrubbing.next(well().map(|(_, kept)| &kept.replica)).cloned() {
            self.scrubbing.begin(&self.session, &replica, self.cancel.child_token(), now);
        }
        if let Some(replica) = self.drilling.next(well().map(|(_, kept)| &kept.replica)).cloned() {
            self.drilling.begin(&self.session, &replica, self.cancel.child_token(), now);
        }
    }

    /// A drill ended. How the replica stands is looked at again.
    fn drilled(&mut self, done: Result<Drilled, JoinError>) {
        let now = Timestamp::now();
        let Some(Drilled { replica, outcome, unkept }) = self.drilling.heard(done, now) else { return };
        self.follower.drilled(&replica, &outcome, unkept.as_ref());
        if let Some(kept) = self.replicas.get_mut(&replica.name) {
            kept.standing.due = kept.standing.due.min(now);
        }
    }

    /// A verification ended. What it found damaged is repaired by the next turn.
    fn verified(&mut self, done: Result<Scrubbed, JoinError>) {
        let now = Timestamp::now();
        let Some(Scrubbed { replica, outcome }) = self.scrubbing.heard(done, now) else { return };
        self.follower.verified(&replica, &outcome);
        let is_good = outcome.as_ref().is_ok_and(Outcome::is_good);
        if let Some(kept) = self.replicas.get_mut(&replica).filter(|_| !is_good) {
            kept.standing.due = kept.standing.due.min(now);
        }
    }

    /// A turn of a replica ended.
    fn heard(&mut self, report: &Report) {
        // It may be kept no longer.
        let Some(kept) = self.replicas.get_mut(&report.replica) else { return };
        kept.turn = None;
        let name = report.replica.as_str();
        let scheduled = kept.replica.policy.schedule.next(name, report.ended);
        let standing = &mut kept.standing;
        standing.failures = if report.failure.is_some() { standing.failures.saturating_add(1) } else { 0 };
        standing.due = match &report.failure {
            _ if report.stopped => report.ended,
            Some(failure) => pause::again(name, failure.kind, standing.failures, report.ended, scheduled),
            // How it stands after all that was done is looked at once more.
            None if report.applied.is_some() && !standing.looks_again => report.ended,
            None => scheduled.unwrap_or(Timestamp::MAX),
        };
        standing.looks_again = report.failure.is_none() && report.applied.is_some() && !standing.looks_again;
        self.follower.report(report, standing.due);
        let state = State::after(report);
        // Of what is left alone nobody says that all is done.
        if !report.stopped && !self.suspended.contains_key(&report.replica) {
            if !state.says_the_same(&standing.state) {
                self.follower.state(&report.replica, &state);
            }
            standing.state = state;
        }
    }
}
