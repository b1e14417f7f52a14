//! Tests of the planner, by what they are about.

mod backups;
mod case;
mod generate;
mod graph;
mod guard;
mod metadata;
mod model;
mod notation;
mod properties;
mod prune;
mod saved;
mod stale;
mod wals;
mod xlogdb;
