//! What Antipode writes for Prometheus, and the examples that read it: each is judged by `promtool`, and by what the
//! program really writes.

#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::float_cmp, reason = "samples are whole numbers")]

mod dashboard;
mod page;
#[path = "../support/place.rs"]
mod place;
mod rules;
mod textfile;
mod tools;
