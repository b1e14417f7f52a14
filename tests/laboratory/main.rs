//! Tests with the real programs: `PostgreSQL`, Barman, sshd and rsync.
//!
//! `./test` at the root of the repository installs them; a test that lacks one
//! fails and says so. Every test has a [`ground::Lab`] of its own, a directory
//! under `/tmp` that goes with it, and takes from the [`scenario`]s a primary
//! whose backups were made once for all tests of the process.
//!
//! ```text
//! tools, account ──► ground ──► process
//!                                  ├─► postgres ─┐
//!                                  ├─► barman ───┼─► primary ─► scenario
//!                                  └─► sshd      └─► site ─► converge, passive, catalog_compare, restore
//! ```

#![allow(dead_code, reason = "the laboratory offers more than the tests of one day use")]

mod account;
mod antipode;
mod barman;
mod catalog_compare;
mod converge;
#[path = "../support/executable.rs"]
mod executable;
mod ground;
mod passive;
mod postgres;
mod primary;
mod process;
mod restore;
mod running;
mod scenario;
mod site;
mod sshd;
mod terminal;
mod tools;

mod back;
mod barman_alone;
mod chain;
mod crashes;
mod disaster_day;
mod disturbed;
mod drills;
mod empty_site;
mod follow;
mod init;
mod interrupts;
mod isolation;
mod keeping;
mod kept;
mod limits;
mod line;
mod lives;
mod locks;
mod meanwhile;
mod oldest_rsync;
mod output;
mod renamed;
mod rot;
mod sabotage;
mod saved_plan;
mod status;
mod sync_info;
mod sync_now;
mod takeover;
