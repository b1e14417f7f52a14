//! Antipode keeps passive copies of Barman catalogs at disaster-recovery sites.
//!
//! Data flows one way, and the modules follow it:
//!
//! ```text
//!  site file    both ends: transport, observe::catalog
//!      │             │
//!   declare ────► observe ────► diff and plan ──┬──► render: a terminal, a pull request, a program
//!    site          observe       plan           │
//!                                               ├──► apply ──┬──► publish: the catalog
//!                                               │            └──► events ──► progress: bars, lines, JSON
//!                                               │
//!                                               └──► plan_file ══ plan.json ══► plan::saved::stale ──► apply
//! ```
//!
//! - **A saved plan** ([`plan::saved`]) is the plan with what each action relies on ([`plan::saved::preconditions`]).
//!   [`plan::saved::stale`] looks for the same in a new observation; then the saved actions are applied, and nothing is
//!   planned again.
//! - **Status** ([`plan::status`]) is a view of the plan: what is lacking, what can be recovered, the objective. It ends
//!   in [`render::status`] and [`render::status_json`] and changes nothing.
//! - **What an apply tells** are values ([`events`]), shown by [`progress`]. What it remembers is in each
//!   replica's catalog ([`apply::memory`]), from which the next plan estimates its time. The only other memory is a
//!   cache of manifests (`store::cache`), which `--refresh` drops, which WAL files here were looked at
//!   (`observe::catalog`), and what the beginnings of long lists came to ([`barman::xlogdb::memory`]).
//! - **What runs did** is in the [`journal`] of the catalog, a chain of lines that [`store::journal`] keeps and `history` tells.
//!   Nothing is planned by it.
//! - **Metrics** ([`metrics`]) are a view of a status, and a record of what runs came to.
//! - **The other way round** ([`observe::own_catalog`]): this host's catalog is told as Barman's `sync-info` tells it, so
//!   that a site or a passive Barman can have it as its primary.
//! - **Files written besides the catalog**: a first site file ([`site`]) and the sections of the site's barman.conf
//!   ([`barman::conf`]).
//!
//! # The words
//!
//! Each has one meaning, here and in what users read.
//!
//! | word | what it is |
//! | --- | --- |
//! | site, primary | one host with its desired state; a Barman installation that has the data |
//! | catalog | `barman_home` on disk, at either end |
//! | replica | the passive copy, at the site, of one server of one primary |
//! | the site's Barman | the Barman that is installed at the site, if one is |
//! | inventory | what was observed of one end of a replica; the **facts** of a backup are in it |
//! | published, staging | listed by Barman as good; where it is put together before |
//! | recoverable | a backup with every WAL from its begin_wal to its end_wal, and so restorable |
//! | recovery window, lag | from the oldest recoverable point to the newest without a gap; the primary's newest WAL against its end |
//! | branch | a course of WAL that recovery can follow across timelines; the one that grew last is **alive** |
//! | desired state | what the site file says, key by key |
//! | selection | the rules that choose backups; what they choose is **selected** |
//! | wanted | what a replica is to have by the desired state, of what both ends have |
//! | lacking | wanted, and no apply can bring it: a **shortfall** names it |
//! | held | good here, different at the primary: it waits for a person, who **accepts** it |
//! | drift | the replica differs from what it held when last published |
//! | action | a **change** of one thing, with the thing's **address** (which names its **sort**) and a **reason** |
//! | kind, effect | what a change is; what it does to the catalog, the same for several kinds |
//! | verb, deed | what an action comes to: add, repair, update or prune; the words for doing it |
//! | step, phase | what an apply does at a time: an action, or a phase of it: copy, then publish |
//! | precondition, stale | what an action relies on; a saved plan of which one differs: a **deviation** |
//! | asked by | the key of the site file without which an action would not be planned |
//! | scope | the part of a plan that was asked for: `--target`, `--exclude` |
//! | leave | what of a plan may be done now without a person; the rest **waits** for one, or for a **window** |
//! | suspended | left alone by everybody until somebody resumes it |
//! | vanished, detached | copied no longer, and still here; the same, as somebody said that it stays as it is |
//! | blocker, warning, note | what forbids a plan; what a person should act on; what a person should know |
//! | origin | the first primary of a row of sites, each of which copies the one before it |
//! | line | the connection to a primary; one that was **lost** is waited for |
//! | run, journal, history | a round of replicas that a command planned and applied; what runs left of themselves, line by line; what it tells |
//! | hook, event, occasion | who is told; what of; which of four things it is that happened |
//! | damaged, unproven | read, and not what was written; read, and nothing tells what should be in it |
//! | noted, unchanged | its checksum was made when it arrived, or later where that was lost; read, and what was noted of it |
//! | drill | to restore a replica here, have PostgreSQL recover it, look at it, and remove it: proved, disproved, or could not be run |
//! | verify, scrub | to read what is here to its end; how, and what is read next |
//! | findings | what applies found of backups at the primary, kept for the next plan |
//!
//! # Where a change goes
//!
//! | to change | look in |
//! | --- | --- |
//! | a key of the site file | [`site`], then `UPDATE_SCHEMAS=1 cargo test --test schemas` |
//! | a flag or a help text | [`cli`]; what it does is in [`commands`] |
//! | what is planned, in which order and why | [`plan`] |
//! | what a plan, a status or an error looks like | [`render`], [`diag`], [`error`] |
//! | how observing, planning and applying follow each other | [`cycle`] |
//! | what is done by itself, and when | [`controller`], [`schedule`] |
//! | how it is done, limits, interruptions | [`apply`] |
//! | where a catalog lies here, and how it is read, changed and locked | [`store`] |
//! | how an apply is followed | [`progress`] |
//! | what is kept of an apply, and how that is told | [`journal`], and `recorded` and `history` in [`render`] |
//! | what is written to standard output, and what happens when it cannot be | [`stdout`] |
//! | what is asked of a primary, and how | [`transport`] (the ways), [`observe`] (the questions) |
//! | a file of Barman's | [`barman`] |
//! | what proves that bytes are right | [`verify`] |
//! | what is read again, when, and what is kept of it | [`scrub`], and `damage` in [`store`] |
//! | what a drill tries, and when it proves anything | [`drill`], its report in [`barman::drill`], and `drill` in [`render`] |
//! | who is told of what happens, and how | [`hooks`], and `on` in [`site::hooks`] |
//! | a metric | [`metrics`], and its row in docs/monitoring.md |
//! | a format for programs | its type, and the list in [`schemas`] |
//!
//! `site`, `plan`, `render`, `metrics`, `journal` and `barman` are pure: no clock, network or environment; the effects are in
//! the others.

#![warn(clippy::print_stdout)]

// What unit tests and the tests in `tests/` share names the program as those do.
#[cfg(test)]
extern crate self as antipode;

pub mod apply;
pub mod barman;
pub mod cli;
pub mod commands;
pub mod controller;
pub mod cycle;
pub mod demo;
pub mod diag;
pub mod drill;
mod english;
pub mod error;
pub mod events;
pub mod gate;
pub mod hooks;
pub mod journal;
pub mod manual;
pub mod metrics;
pub mod observe;
pub mod plan;
pub mod plan_file;
pub mod progress;
pub mod render;
pub mod restore;
pub mod schedule;
pub mod schemas;
pub mod scrub;
pub mod site;
pub mod stdout;
pub mod store;
pub mod transport;
mod user;
pub mod verify;
