//! What an apply leaves when something goes wrong, at every point where it can: a catalog that Barman reads, and a next
//! apply that finishes the work without copying again what had arrived.
//!
//! The primary is the demo's catalog, reached by its path; no program but our own is needed.

mod beside;
mod events;
#[path = "../support/executable.rs"]
mod executable;
mod faults;
mod faulty;
mod ground;
mod held;
mod independent;
mod kill;
mod last_apply;
mod limits;
mod links;
mod lost_writes;
mod parents;
mod prune;
mod readable;
mod refusals;
mod repairs;
#[path = "../support/stages.rs"]
mod stages;
