//! WAL that comes as far as there is room, the most urgent first.

use std::collections::{BTreeMap, BTreeSet};

use crate::barman::wal::WalName;
use crate::barman::wal_entry::WalEntry;
use crate::plan::action::address::Names;
use crate::plan::action::{Action, WalBatch};
use crate::plan::recovery::shortfall::Shortfall;
use crate::plan::replica::rounded_down;
use crate::plan::wal::runs::Runs;
use crate::plan::wal::shipping::ship;

use super::tenant::Tenant;
use super::{Disks, LEFT_BY_WAL};

/// Leaves out the WAL for which there is no room beside the backups that come.
pub fn cut_wal(tenants: &mut [Tenant<'_>], disks: &Disks) {
    let usable =
        |(device, disk): (&u64, &super::Disk)| (*device, disk.room.free.saturating_sub(disk.room.size / LEFT_BY_WAL));
    let mut left: BTreeMap<u64, u64> = disks.0.iter().map(usable).collect();
    for tenant in &*tenants {
        let left = left.entry(tenant.rooms.bases.device).or_default();
        *left = left.saturating_add(tenant.freed).saturating_sub(tenant.written);
    }
    let mut cuts: Vec<Cut> = tenants.iter().map(|_| Cut::default()).collect();
    let most = tenants.iter().map(|tenant| tenant.plan.actions.len()).max().unwrap_or_default();
    // In the order in which steps begin: all replicas become recoverable before any is filled up.
    for place in 0..most {
        for (tenant, cut) in tenants.iter().zip(&mut cuts) {
            let left = left.entry(tenant.rooms.wals.device).or_default();
            if let Some(batch) = tenant.plan.actions.get(place).and_then(|action| action.change.effect().shipped()) {
                cut.weigh(batch, left);
            }
        }
    }
    for (tenant, cut) in tenants.iter_mut().zip(cuts) {
        let Some(lack) = cut.lack() else { continue };
        let names = Names { replica: &tenant.plan.name, segment_size: tenant.segment_size() };
        let narrowed = |action: &Action| match action.change.effect().shipped() {
            Some(batch) => narrowed(batch, names, |entry| !cut.out.contains_key(&entry.name)),
            None => vec![action.clone()],
        };
        let actions = tenant.plan.actions.iter().flat_map(narrowed).collect();
        tenant.plan.actions = actions;
        tenant.lacking.push(lack);
    }
}

/// What is left out of the WAL of a replica.
#[derive(Default)]
struct Cut {
    /// Their sizes.
    out: BTreeMap<WalName, u64>,
    /// What was left before the first that did not fit.
    left: u64,
}

impl Cut {
    /// Lets files come while they fit. When one does not, none that is less urgent does.
    fn weigh(&mut self, batch: &WalBatch, left: &mut u64) {
        if self.out.is_empty() {
            self.left = *left;
        }
        for entry in &batch.entries {
            if let Some(rest) = left.checked_sub(entry.size).filter(|_| self.out.is_empty()) {
                *left = rest;
                self.left = rest;
            } else {
                self.out.insert(entry.name, entry.size);
            }
        }
    }

    fn lack(&self) -> Option<Shortfall> {
        let (first, _) = self.out.first_key_value()?;
        let needed = self.out.values().copied().fold(0, u64::saturating_add);
        let count = self.out.len() as u64;
        Some(Shortfall::NoRoomForWal { count, first: *first, needed, left: rounded_down(self.left) })
    }
}

/// The files of a batch that are meant, shipped as they would be if there were no others.
pub fn narrowed(batch: &WalBatch, names: Names<'_>, is_meant: impl Fn(&WalEntry) -> bool) -> Vec<Action> {
    if batch.entries.iter().all(&is_meant) {
        return vec![ship(names, batch.clone())];
    }
    let mut runs = Runs::new(names.segment_size);
    for entry in batch.entries.iter().filter(|entry| is_meant(entry)) {
        runs.push(entry.name, *entry);
    }
    let part = |(range, entries): (_, Vec<WalEntry>)| {
        let is_in = |name: &WalName| entries.binary_search_by_key(name, |entry| entry.name).is_ok();
        let undescribed: BTreeSet<WalName> = batch.undescribed.iter().copied().filter(is_in).collect();
        let here = batch.here.iter().filter(|(name, _)| is_in(name)).map(|(name, size)| (*name, *size)).collect();
        let disproved = batch.disproved_of(&entries);
        ship(names, WalBatch { range, entries, here, undescribed, disproved, ..*batch })
    };
    runs.into_runs().map(part).collect()
}
