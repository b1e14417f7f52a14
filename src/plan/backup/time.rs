//! From when on the rules count that go by time.
//!
//! A clock can be wrong by a year, and what it makes old it would have deleted. What both ends have is dated as well: nothing
//! is older than it was when the newest of it came to be. So a clock that jumped ahead, like a primary that stands still, makes
//! no backup old, and one that was turned back only keeps more.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::barman::ids::BackupId;
use crate::barman::wal_map::Run;
use crate::observe::inventory::{PrimaryInventory, ReplicaInventory};
use crate::plan::reason::{Note, Reason};
use crate::plan::recovery::branch::{archived_at, is_ahead};
use crate::site::model::Policy;

use super::Ends;
use super::selection::{Candidate, goes_by_time, select};

/// A primary on which nothing happens for so long need not stand still.
const QUIET: SignedDuration = SignedDuration::from_hours(24);

/// What the rules of a selection take for now: the time itself or, where that is earlier, when the newest WAL was archived or
/// the newest backup ended of those that both ends have. What is dated in the future shows nothing.
pub fn counted_from(
    policy: &Policy,
    primary: &PrimaryInventory,
    replica: &ReplicaInventory,
    now: Timestamp,
) -> Timestamp {
    if !goes_by_time(&policy.backups) {
        return now;
    }
    let wals = primary.wals.mtimes().runs().iter().flat_map(Run::values);
    let archived = wals.filter_map(|mtime| archived_at(*mtime));
    let there = primary.backups.values().map(|backup| &backup.facts);
    let ended = there.chain(replica.published()).filter_map(|facts| facts.end_time);
    let newest = archived.chain(ended).filter(|time| !is_ahead(*time, now)).max();
    newest.map_or(now, |newest| newest.min(now))
}

impl Ends<'_> {
    /// What is said of backups here that only the time itself would let go.
    pub(super) fn spared_note(
        &self,
        selected: &BTreeSet<BackupId>,
        candidates: &BTreeMap<BackupId, Candidate>,
        counted: Timestamp,
        now: Timestamp,
    ) -> Option<Note> {
        if now.duration_since(counted) <= QUIET {
            return None;
        }
        let by_clock = self.allowed(&select(&self.policy.backups, candidates, now));
        let is_spared =
            |(id, reason): &(&BackupId, &Reason)| matches!(reason, Reason::Unselected(_)) && selected.contains(*id);
        let count = by_clock.iter().filter(is_spared).count();
        (count > 0).then_some(Note::TimeStandsStill { count, newest: counted })
    }
}
