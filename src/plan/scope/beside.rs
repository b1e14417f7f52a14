//! The part of a newer plan that is done beside an older one of the same replica, while that is being done: WAL that was
//! archived since.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::barman::wal::{Timeline, WalName};
use crate::observe::inventory::Observation;
use crate::plan::action::address::{Names, Sort};
use crate::plan::action::kinds::Effect;
use crate::plan::action::words::Verb;
use crate::plan::action::{Action, Address, WalBatch};
use crate::plan::wal::runs::Runs;
use crate::plan::wal::shipping::ship;
use crate::plan::{Plan, ReplicaPlan};

use super::settle;

/// What a plan that is being done brings.
struct Brought {
    files: BTreeSet<WalName>,
    histories: BTreeSet<Timeline>,
}

impl Brought {
    fn by(running: &ReplicaPlan) -> Self {
        let effects = || running.actions.iter().map(|action| action.change.effect());
        let histories = effects().filter_map(|effect| match effect {
            Effect::History(timeline) => Some(timeline),
            Effect::Server
            | Effect::List
            | Effect::WalsCome(_)
            | Effect::WalsGo(..)
            | Effect::BackupComes(_)
            | Effect::FilesCome(_)
            | Effect::Info(..)
            | Effect::Links(_)
            | Effect::Keep(..)
            | Effect::BackupGoes { .. }
            | Effect::StagingGoes(_) => None,
        });
        let files = effects().filter_map(Effect::shipped).flat_map(WalBatch::names).collect();
        Self { files, histories: histories.collect() }
    }
}

impl Plan {
    /// What of this plan can be done beside `running`, an earlier plan of a replica that is being done: WAL that is missing
    /// here, and that the other one does not bring. What failed of that is left to the plan after it, and so is all that
    /// changes or deletes something. It is empty as long as what must be right before the first WAL is placed is still to be
    /// done. `now` is the plan's time.
    #[must_use]
    pub fn beside(mut self, running: &ReplicaPlan, observation: &Observation, now: Timestamp) -> Self {
        for replica in &mut self.replicas {
            let before: BTreeSet<Address> = replica.actions.iter().map(|action| action.address.clone()).collect();
            let actions = std::mem::take(&mut replica.actions);
            if replica.name == running.name {
                replica.actions = beside(replica, actions, running);
            }
            // A batch of which a part is left has another address.
            let is_whole = |address: &&Address| replica.actions.iter().any(|action| action.address == **address);
            replica.left_out += before.iter().filter(|address| !is_whole(address)).count();
            if let Some(observed) = observation.replicas.get(&replica.name) {
                settle(replica, observed, now);
            }
        }
        self
    }
}

fn beside(replica: &ReplicaPlan, actions: Vec<Action>, running: &ReplicaPlan) -> Vec<Action> {
    let Some(target) = &replica.target else { return Vec::new() };
    let names = Names { replica: &replica.name, segment_size: target.segment_size };
    let [server, list] = [Sort::Server, Sort::XlogDb].map(|sort| names.only(sort));
    let is_in = |actions: &[Action], address| actions.iter().any(|action| action.address == address);
    if is_in(&actions, server) || is_in(&actions, list.clone()) && is_in(&running.actions, list) {
        return Vec::new();
    }
    let sync_wals = names.only(Sort::SyncWals);
    let brought = Brought::by(running);
    let (mut groundwork, mut comes) = (Vec::new(), Vec::new());
    for action in actions {
        if action.address == sync_wals {
            groundwork.push(action);
        } else if action.verb() == Verb::Add {
            match action.change.effect() {
                Effect::WalsCome(batch) => comes.extend(rest(batch, &brought, names)),
                Effect::History(timeline) if !brought.histories.contains(&timeline) => comes.push(action),
                Effect::History(_)
                | Effect::Server
                | Effect::List
                | Effect::WalsGo(..)
                | Effect::BackupComes(_)
                | Effect::FilesCome(_)
                | Effect::Info(..)
                | Effect::Links(_)
                | Effect::Keep(..)
                | Effect::BackupGoes { .. }
                | Effect::StagingGoes(_) => {}
            }
        }
    }
    // The list that counts WAL follows what comes, and nothing else.
    if comes.is_empty() { comes } else { groundwork.into_iter().chain(comes).collect() }
}

/// A batch without what is brought already.
fn rest(batch: &WalBatch, brought: &Brought, names: Names<'_>) -> Vec<Action> {
    let mut runs = Runs::new(names.segment_size);
    for entry in batch.entries.iter().filter(|entry| !brought.files.contains(&entry.name)) {
        runs.push(entry.name, *entry);
    }
    let piece = |(range, entries): (_, Vec<crate::barman::wal_entry::WalEntry>)| {
        let undescribed = entries.iter().map(|entry| entry.name).filter(|name| batch.undescribed.contains(name));
        let undescribed = undescribed.collect();
        let (here, disproved) = (batch.here.clone(), batch.disproved_of(&entries));
        ship(names, WalBatch { range, entries, here, undescribed, disproved, ..*batch })
    };
    runs.into_runs().map(piece).collect()
}
