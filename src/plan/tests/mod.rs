//! Tests of the planner, by what they are about.

mod backups;
mod beside;
mod branches;
pub(crate) mod build;
pub(crate) mod case;
mod clocks;
mod estimates;
pub(crate) mod generate;
mod graph;
mod growth;
mod guard;
mod harmless;
mod held;
mod leave;
mod metadata;
mod model;
pub(crate) mod notation;
mod properties;
mod prune;
mod room;
mod scope;
mod stale;
mod status;
mod wals;
mod way;
mod xlogdb;
