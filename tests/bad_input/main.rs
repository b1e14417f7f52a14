//! What bad input gets: a clear error that says what to do, and a catalog left as it was.
//!
//! The primary is a small catalog behind a real sshd, with a `barman` that prints what a test wants, or simply a
//! directory. The laboratory has the cases that need a real Barman.

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod demo;
mod sync_info;

mod answers;
mod buckets;
mod disk;
mod estimates;
mod gone;
mod growth;
mod hostile_files;
mod hostile_names;
mod hostile_wal;
mod inventories;
mod links;
mod lost_line;
mod messages;
mod mirrors;
mod modes;
mod own_barman;
mod pedigree;
mod programs;
mod saved_plans;
mod secrets;
mod site_file;
mod status;
mod unreachable;
