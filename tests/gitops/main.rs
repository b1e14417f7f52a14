//! The examples in `examples/gitops`: each is checked by a program that knows its format, its shell is run, and every
//! command line of antipode in it, and in the documentation, is one that this antipode understands.

#![allow(clippy::unwrap_used, reason = "tests")]

mod ansible;
mod commands;
#[path = "../support/executable.rs"]
mod executable;
mod formats;
mod monitoring;
mod pipelines;
#[path = "../support/place.rs"]
mod place;
mod tools;
mod transcripts;
mod walkthrough;
