//! In which order: what is worth most first, and nothing before what it needs.

pub mod critical_path;
pub mod graph;
pub(super) mod stages;
pub mod waits;
