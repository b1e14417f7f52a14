//! What an apply leaves when something goes wrong, at every point where it can: a catalog that Barman reads, and a next
//! apply that finishes the work without copying again what had arrived.
//!
//! The primary is the demo's catalog, reached by its path. Besides our own program strace is needed, and a user who may
//! mount file systems for those tests that are ignored unless they are asked for: `./test` asks where that may be done,
//! and says so where not.

mod beginnings;
mod beside;
mod events;
#[path = "../support/executable.rs"]
mod executable;
mod faults;
mod faulty;
mod full_disks;
mod ground;
mod held;
mod independent;
mod kill;
mod last_apply;
mod limits;
mod links;
mod lost_writes;
mod parents;
mod power_cuts;
mod prune;
mod readable;
mod refusals;
mod repairs;
#[path = "../support/stages.rs"]
mod stages;
mod system_calls;
mod volume;
