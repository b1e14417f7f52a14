//! Render: pure functions from a plan to text. Nothing in here reads a clock, a file or the environment, so that two
//! plans of the same state are the same bytes.
//!
//! ```text
//! plan ──► tree ─────► table ─────► ink ─────► text      human: all of it, with heading, states and
//!           rows        lines        colour              remarks (advice) and summary around the rows
//!            reason: why                                 units: sizes, times, counts
//!            diff: lines of a backup.info
//! ```

mod advice;
mod applied;
mod diff;
mod human;
mod ink;
mod quiet;
mod reason;
mod remarks;
pub mod status;
pub mod status_json;
pub mod summary;
mod table;
mod tree;
pub mod units;

pub use advice::{blocker, note, warning};
pub use applied::applied;
pub use human::human;
pub use ink::clean;
pub use quiet::{quiet, wrong};
pub use reason::{phrase as why, xlogdb as finding};

pub use summary::{Totals, Verb};

/// How a text for people is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Whether to colour it; without colour it says the same.
    pub colour: bool,
    /// Columns of the terminal; `None` where lines may be as long as they like.
    pub width: Option<u16>,
    /// Whether every row and every character is shown, however many there are.
    pub verbose: bool,
}

#[cfg(test)]
pub(crate) mod tests;
