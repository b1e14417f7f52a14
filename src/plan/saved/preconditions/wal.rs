//! What is relied on where WAL files are shipped, listed or deleted.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::barman::wal::{Timeline, WalName};
use crate::barman::wal_entry::WalEntry;
use crate::barman::xlogdb::{FIVE_FIELDS, XlogDb};
use crate::observe::inventory::XlogDbState;
use crate::plan::action::WalBatch;
use crate::plan::saved::desired::hex;
use crate::plan::wal;
use crate::plan::wal::runs::segment_of;

use super::{Grounds, Precondition, Tally, Topic, Value};

impl Grounds<'_> {
    /// Files that are added: none of them may be here.
    pub(super) fn none_here(&self, batch: &WalBatch) -> Precondition {
        let names = batch.entries.iter().map(|entry| entry.name);
        let (mut present, mut bytes) = (0_u64, 0_u64);
        for size in names.filter_map(|name| self.here.wals.get(name)) {
            (present, bytes) = (present + 1, bytes.saturating_add(size));
        }
        let files = batch.entries.len() as u64;
        let none = Value::Among { present: 0, files, bytes: 0 };
        Precondition::here(Topic::WalFiles, Value::Among { present, files, bytes }).must_be(none)
    }

    /// Files that are shipped again: each must have the wrong size that the plan saw, or still be another's of the same size.
    pub(super) fn wrong_here(&self, batch: &WalBatch) -> Precondition {
        let line = |there: &WalEntry| self.here.xlogdb.entries.get(there.name);
        let is_like = |there: &WalEntry| !line(there).is_some_and(|line| wal::is_of_another_time(&line, there));
        let is_there = |name: WalName, size: u64| {
            let at = batch.entries.binary_search_by_key(&name, |entry| entry.name).ok();
            at.and_then(|at| batch.entries.get(at)).is_some_and(|there| there.size == size && is_like(there))
        };
        let found = |name| self.here.wals.get(name).filter(|size| !(batch.accepted && is_there(name, *size)));
        let tally = Tally::of(batch.here.iter().map(|(name, size)| (*name, *size, found(*name))));
        Precondition::here(Topic::WalFiles, Value::Tally(tally)).must_be(Value::Tally(tally.all()))
    }

    /// Files that are shipped: the primary must have each with the size that the plan saw.
    pub(super) fn all_there(&self, batch: &WalBatch) -> Precondition {
        let there = |name| self.there.wals.get(name).filter(|_| !self.there.gone.contains(&name));
        let tally = Tally::of(
            batch.entries.iter().map(|entry| (entry.name, entry.size, there(entry.name).map(|entry| entry.size))),
        );
        Precondition::there(Topic::WalFiles, Value::Tally(tally)).must_be(Value::Tally(tally.all()))
    }

    pub(super) fn history(&self, timeline: Timeline) -> Vec<Precondition> {
        let here = self.here.wals.get(WalName::History(timeline));
        let here = here.map_or(Value::Absent, Value::Bytes);
        let there = self.there.histories.get(&timeline).map_or(Value::Absent, |history| Value::History {
            size: history.size,
            left: history.ancestors.last().copied(),
        });
        vec![Precondition::here(Topic::History, here), Precondition::there(Topic::History, there)]
    }

    pub(super) fn xlogdb(&self) -> Precondition {
        Precondition::here(Topic::XlogDb, contents(&self.here.xlogdb))
    }

    pub(super) fn sync_wals(&self) -> Precondition {
        let pair = self.here.sync_wals.map(|(name, offset)| Value::Position { name, offset });
        Precondition::here(Topic::SyncWals, pair.unwrap_or(Value::AbsentOrUnreadable))
    }

    pub(super) fn removed_wals(&self, files: &BTreeMap<WalName, u64>) -> Vec<Precondition> {
        let tally = Tally::of(files.iter().map(|(name, size)| (*name, *size, self.here.wals.get(*name))));
        let is_wanted = |name: &&WalName| segment_of(**name).is_none_or(|segment| self.outlook.wants(segment));
        let needed = match files.keys().find(is_wanted) {
            Some(name) => Value::Wanted(*name),
            None if self.outlook.may_prune_wal() => Value::Nothing,
            None => Value::Unknown,
        };
        vec![
            Precondition::here(Topic::WalFiles, Value::Tally(tally)).must_be(Value::Tally(tally.all())),
            Precondition::desired(Topic::WalNeeded, needed).must_be(Value::Nothing),
        ]
    }
}

/// What xlog.db holds and what is wrong with it, exact enough to tell that it was changed.
fn contents(state: &XlogDbState) -> Value {
    let lines = XlogDb::from(state.entries.clone()).write(FIVE_FIELDS);
    let sha256 = hex(Sha256::digest(lines).get(..8).unwrap_or_default());
    Value::Lines { count: state.entries.len() as u64, sha256, findings: state.findings.clone() }
}
