//! What does not fit is not begun: the newest recoverable point and the WAL come first, and room for WAL is kept.
//!
//! A plan is made as if there were room for everything. Where there is not, the sizes of what it would bring are weighed
//! (`choice`), and what does not fit is taken out again: the backup, what needs it, and the WAL that only it asks for. It
//! is named as lacking ([`Shortfall::NoRoom`], [`Shortfall::NoRoomForWal`]).
//!
//! - *What is kept* for WAL to come is what the primaries archived in a day, at least four segments, and at most a tenth
//!   of the file system. WAL that comes may use all of it but a hundredth of the file system, which Barman's own files
//!   need.
//! - *The last of a disk* is no room for any base (`catalog.reserve`).
//! - *A deletion is no room yet.* Good backups go when what takes their place is here: one of those that the selection
//!   leaves out is spared for each that does not fit.
//! - *A base that another program left* counts nothing: how much of it is here is seen when its copy begins, where each
//!   copy is measured once more against the room that there is then.

#![deny(clippy::wildcard_enum_match_arm)]

mod choice;
mod cut;
mod tenant;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::observe::inventory::{Observation, Room};
use crate::site::model::Replica;

use super::Plan;
use choice::{Space, choose};
use tenant::{Tenant, tenants};

/// Four WAL segments: what is kept at least.
const LEAST_KEPT: u64 = 64 << 20;
/// At most this part of a file system is kept.
const MOST_KEPT: u64 = 10;
/// And this part of it is left by WAL.
const LEFT_BY_WAL: u64 = 100;

/// Takes out of a plan what does not fit here.
pub fn fit(plan: &mut Plan, replicas: &[Replica], observation: &Observation, now: Timestamp) {
    let mut tenants = tenants(plan, replicas, observation);
    let disks = Disks::of(&tenants);
    for tenant in &mut tenants {
        let kept = disks.kept(tenant.rooms.bases);
        tenant.keep(kept);
    }
    if disks.are_roomy(&tenants) {
        return;
    }
    let demands: Vec<_> = tenants.iter().map(|tenant| tenant.demand(&disks, now)).collect();
    let spaces: Vec<Space> = disks.0.values().map(|disk| disk.space()).collect();
    for (tenant, verdicts) in tenants.iter_mut().zip(choose(&spaces, &demands)) {
        tenant.take_out(&verdicts, now);
    }
    cut::cut_wal(&mut tenants, &disks);
    for tenant in &mut tenants {
        tenant.settle(now);
    }
}

/// The file systems that a site's replicas are on, by their devices.
struct Disks(BTreeMap<u64, Disk>);

/// A file system.
#[derive(Debug, Clone, Copy)]
struct Disk {
    room: Room,
    /// Bytes that are kept on it for WAL to come.
    kept: u64,
}

impl Disk {
    fn space(self) -> Space {
        Space { free: self.room.free, reserve: self.kept.max(self.room.reserve), least: self.room.reserve }
    }
}

impl Disks {
    fn of(tenants: &[Tenant<'_>]) -> Self {
        let mut disks: BTreeMap<u64, (Room, u64)> = BTreeMap::new();
        for tenant in tenants {
            disks.entry(tenant.rooms.bases.device).or_insert((tenant.rooms.bases, 0));
            let (_, day) = disks.entry(tenant.rooms.wals.device).or_insert((tenant.rooms.wals, 0));
            *day = day.saturating_add(tenant.archived_in_a_day());
        }
        let disk = |(room, day): (Room, u64)| Disk { room, kept: day.max(LEAST_KEPT).min(room.size / MOST_KEPT) };
        Self(disks.into_iter().map(|(device, found)| (device, disk(found))).collect())
    }

    fn kept(&self, room: Room) -> u64 {
        self.0.get(&room.device).map_or(0, |disk| disk.kept)
    }

    /// The place of a file system among them.
    fn place(&self, room: Room) -> usize {
        self.0.range(..room.device).count()
    }

    /// Whether everything fits that would come.
    fn are_roomy(&self, tenants: &[Tenant<'_>]) -> bool {
        let mut needs: BTreeMap<u64, u64> = BTreeMap::new();
        for tenant in tenants {
            let [bases, wals] = tenant.bytes();
            for (room, bytes) in [(tenant.rooms.bases, bases), (tenant.rooms.wals, wals)] {
                let need = needs.entry(room.device).or_default();
                *need = need.saturating_add(bytes);
            }
        }
        let fits = |(device, disk): (&u64, &Disk)| {
            let need = needs.get(device).copied().unwrap_or_default();
            need == 0 || need.saturating_add(disk.kept.max(disk.room.reserve)) <= disk.room.free
        };
        self.0.iter().all(fits)
    }
}
