//! What is relied on where WAL files are shipped, listed or deleted.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::barman::wal::{Timeline, WalName};
use crate::barman::xlogdb::{FIVE_FIELDS, XlogDb};
use crate::observe::inventory::XlogDbState;
use crate::observe::wal_files::find;
use crate::plan::action::WalBatch;
use crate::plan::runs::segment_of;
use crate::render::finding;
use crate::render::units::{count, exact};

use super::{Fact, Grounds};

impl Grounds<'_> {
    /// Files that are added: none of them may be here.
    pub(super) fn none_here(&self, batch: &WalBatch) -> Fact {
        let names = batch.entries.iter().map(|entry| entry.name);
        let (mut present, mut bytes) = (0_u64, 0_u64);
        for size in names.filter_map(|name| self.here.wals.get(&name)) {
            (present, bytes) = (present + 1, bytes.saturating_add(*size));
        }
        let all = count(batch.entries.len() as u64, "file");
        let none = format!("none of {all}");
        let value =
            if present == 0 { none.clone() } else { format!("{} of {all}, {}", exact(present), count(bytes, "byte")) };
        Fact::here("the files", value).must_be(none)
    }

    /// Files that are shipped again: each must have the wrong size that the plan saw.
    pub(super) fn wrong_here(&self, batch: &WalBatch) -> Fact {
        let tally = Tally::of(batch.here.iter().map(|(name, size)| (*name, *size, self.here.wals.get(name).copied())));
        Fact::here("the files", tally.words()).must_be(tally.all())
    }

    /// Files that are shipped: the primary must have each with the size that the plan saw.
    pub(super) fn all_there(&self, batch: &WalBatch) -> Fact {
        let there = |name| find(&self.there.wals, name).filter(|_| !self.there.gone.contains(&name));
        let tally = Tally::of(
            batch.entries.iter().map(|entry| (entry.name, entry.size, there(entry.name).map(|entry| entry.size))),
        );
        Fact::there("the files", tally.words()).must_be(tally.all())
    }

    pub(super) fn history(&self, timeline: Timeline) -> Vec<Fact> {
        let here = self.here.wals.get(&WalName::History(timeline));
        let here = here.map_or_else(|| "absent".to_owned(), |size| count(*size, "byte"));
        let there = self.there.histories.get(&timeline);
        let there = there.map_or_else(
            || "absent".to_owned(),
            |history| {
                let last = history.ancestors.last();
                let left = last.map(|(timeline, at)| format!(", left timeline {timeline} at {at}"));
                format!("{}{}", count(history.size, "byte"), left.unwrap_or_default())
            },
        );
        vec![Fact::here("the history file", here), Fact::there("the history file", there)]
    }

    pub(super) fn xlogdb(&self) -> Fact {
        Fact::here("xlog.db", contents(&self.here.xlogdb))
    }

    pub(super) fn sync_wals(&self) -> Fact {
        let pair = self.here.sync_wals.map(|(name, position)| format!("{name} at {position}"));
        Fact::here("sync-wals.info", pair.unwrap_or_else(|| "absent or unreadable".to_owned()))
    }

    pub(super) fn removed_wals(&self, files: &BTreeMap<WalName, u64>) -> Vec<Fact> {
        let tally = Tally::of(files.iter().map(|(name, size)| (*name, *size, self.here.wals.get(name).copied())));
        let is_wanted = |name: &&WalName| segment_of(**name).is_none_or(|segment| self.outlook.wants(segment));
        let nobody = "nothing that stays";
        let needed = match files.keys().find(is_wanted) {
            Some(name) => format!("{name} is still wanted"),
            None if self.outlook.may_prune_wal() => nobody.to_owned(),
            None => "nobody can tell, or nothing may be deleted".to_owned(),
        };
        vec![
            Fact::here("the files", tally.words()).must_be(tally.all()),
            Fact::desired("what needs them", needed).must_be(nobody),
        ]
    }
}

/// What xlog.db holds and what is wrong with it, exact enough to tell that it was changed.
fn contents(state: &XlogDbState) -> String {
    let lines = XlogDb::new(state.entries.iter().copied()).write(FIVE_FIELDS);
    let digest: String = Sha256::digest(lines).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let lines = format!("{} to read, sha256 {digest}…", count(state.entries.len() as u64, "line"));
    std::iter::once(lines).chain(state.findings.iter().map(|f| finding(*f))).collect::<Vec<_>>().join(", ")
}

/// Files with the size that the plan saw, and those with another.
#[derive(Default)]
struct Tally {
    files: u64,
    bytes: u64,
    as_planned: u64,
    /// The first that is not as planned, and its size.
    first: Option<(WalName, Option<u64>)>,
}

impl Tally {
    /// Compares the sizes: of each file its name, what was planned with, and what was found.
    fn of(files: impl Iterator<Item = (WalName, u64, Option<u64>)>) -> Self {
        let mut tally = Self::default();
        for (name, planned, found) in files {
            tally.files += 1;
            tally.bytes = tally.bytes.saturating_add(planned);
            if found == Some(planned) {
                tally.as_planned += 1;
            } else {
                tally.first = tally.first.or(Some((name, found)));
            }
        }
        tally
    }

    /// What is said when all are as planned.
    fn all(&self) -> String {
        format!("{} with the planned {}", count(self.files, "file"), count(self.bytes, "byte"))
    }

    fn words(&self) -> String {
        let Some((name, found)) = self.first else { return self.all() };
        let state = found.map_or_else(|| "is gone".to_owned(), |size| format!("has {}", count(size, "byte")));
        format!("{} of {} as planned; {name} {state}", exact(self.as_planned), count(self.files, "file"))
    }
}
