//! Antipode keeps passive copies of Barman catalogs at disaster-recovery sites.
//!
//! Data flows one way, and the modules follow it:
//!
//! ```text
//! declare ──► observe ──► diff ──► plan ──► render
//!   site       primary     pure     graph     human
//!              replica                └─────► apply ──► publish
//! ```

pub mod apply;
pub mod barman;
pub mod cli;
pub mod commands;
pub mod demo;
pub mod diag;
pub mod error;
pub mod kept_files;
pub mod manual;
pub mod observe;
pub mod plan;
pub mod progress;
pub mod render;
pub mod schemas;
pub mod site;
pub mod transport;
pub mod verify;
