//! The part of a plan that is done without a person, and what waits.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::observe::inventory::Observation;
use crate::plan::Plan;
use crate::plan::action::Action;
use crate::plan::action::kinds::Effect;
use crate::plan::action::words::Verb;
use crate::plan::cost::totals::Totals;
use crate::site::model::Auto;

use super::chosen::{ActionIndex, Needs, reach};
use super::settle;

/// What may be done now without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leave {
    /// What the site file lets be done so.
    pub auto: Auto,
    /// Whether backups may be copied now.
    pub backups: bool,
    /// Whether WAL may.
    pub wals: bool,
}

/// What is not done without a person, or not now, each with what needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// What waits for a person, who applies it.
    pub for_person: Totals,
    /// What waits for a window of the primary.
    pub for_window: Totals,
}

/// What an action waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WaitsFor {
    Person,
    Window,
}

impl Leave {
    fn withheld(self, action: &Action) -> Option<WaitsFor> {
        let is_tidying = action.reason.is_interrupted() || matches!(action.change.effect(), Effect::StagingGoes(_));
        let is_left = match action.verb() {
            Verb::Add | Verb::Update => self.auto.add,
            Verb::Repair => self.auto.repair,
            // What a copy left that was broken off is in nobody's way, and nobody's.
            Verb::Prune => self.auto.prune || is_tidying,
        };
        let is_open = match action.change.effect() {
            Effect::BackupComes(_) | Effect::FilesCome(_) => self.backups,
            Effect::WalsCome(_) | Effect::History(_) => self.wals,
            Effect::Server
            | Effect::List
            | Effect::WalsGo(..)
            | Effect::Info(..)
            | Effect::Links(_)
            | Effect::Keep(..)
            | Effect::BackupGoes { .. }
            | Effect::StagingGoes(_) => true,
        };
        match (is_left, is_open) {
            (false, _) => Some(WaitsFor::Person),
            (true, false) => Some(WaitsFor::Window),
            (true, true) => None,
        }
    }
}

impl Plan {
    /// The part that may be done now by each replica's leave, and what waits. `now` is the plan's time.
    pub fn with_leave(mut self, leave: Leave, observation: &Observation, now: Timestamp) -> (Self, Waiting) {
        let withheld = |wanted: WaitsFor| -> BTreeSet<ActionIndex> {
            let all = self.replicas.iter().enumerate().flat_map(|(replica, plan)| {
                plan.actions.iter().enumerate().map(move |(place, action)| ((replica, place), action))
            });
            all.filter(|(_, action)| leave.withheld(action) == Some(wanted)).map(|(place, _)| place).collect()
        };
        let [person, window] = [withheld(WaitsFor::Person), withheld(WaitsFor::Window)];
        if person.is_empty() && window.is_empty() {
            return (self, Waiting::default());
        }
        let needs = Needs::of(&self);
        let [person, window] = [person, window].map(|withheld| reach(&withheld, &needs.needed_by));
        let mut waiting = Waiting::default();
        for (index, replica) in self.replicas.iter_mut().enumerate() {
            let mut stays = Vec::new();
            for (place, action) in std::mem::take(&mut replica.actions).into_iter().enumerate() {
                if person.contains_key(&(index, place)) {
                    waiting.for_person.count(&action);
                } else if window.contains_key(&(index, place)) {
                    waiting.for_window.count(&action);
                } else {
                    stays.push(action);
                    continue;
                }
                replica.left_out += 1;
            }
            replica.actions = stays;
            if let Some(observed) = observation.replicas.get(&replica.name).filter(|_| replica.left_out > 0) {
                settle(replica, observed, now);
            }
        }
        (self, waiting)
    }
}
