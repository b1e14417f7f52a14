//! Tests of the planner, by what they are about.

mod backups;
mod case;
mod estimates;
mod generate;
mod graph;
mod guard;
mod metadata;
mod model;
mod notation;
mod properties;
mod prune;
mod scope;
mod status;
mod wals;
mod xlogdb;
