//! Render: pure functions from a plan to text. Nothing in here reads a clock, a file or the environment, so that two
//! plans of the same state are the same bytes.
//!
//! ```text
//! plan ──► tree ─────► table ─────► ink ─────► text      human: all of it, with heading, states and
//!   │       rows        lines        colour              remarks (advice) and summary around the rows
//!   │        reason: why                                 units: sizes, times, counts
//!   │        diff: lines of a backup.info                explain: why one action, at length or in short
//!   │
//!   ├────► verdict, remarks, the same rows ──► markdown  inline: text that stays text
//!   └────► steps and arrows: drawing ──► dot, mermaid
//! ```

mod advice;
mod applied;
mod diff;
mod dot;
mod drawing;
pub mod drill;
mod explain;
mod held;
mod history;
pub mod history_json;
mod human;
mod ink;
mod inline;
mod markdown;
mod mermaid;
mod ongoing;
mod origin;
pub mod page;
mod preconditions;
mod reason;
mod recorded;
mod refusal;
mod remarks;
pub mod restore;
mod scale;
pub mod status;
pub mod status_json;
pub mod summary;
mod table;
mod tree;
pub mod units;
mod vanished;
pub mod verification;
pub mod verification_json;
pub mod watch;
mod windows;

use std::num::NonZeroUsize;

use crate::plan::Plan;

pub use advice::{blocker, note, shortfall, suspended, warning};
pub use applied::{applied, in_a_line as applied_in_a_line};
pub use dot::dot;
pub use explain::{Origin, Whys, explain, explain_thing};
pub use held::sentence as held;
pub use history::{breaks, history};
pub use human::{human, quiet, wrong};
pub use ink::{clean, wrap};
pub use markdown::markdown;
pub use mermaid::mermaid;
pub use ongoing::{advice as advice_on_ongoing, ongoing};
pub use reason::phrase as why;
pub use recorded::{drilled, failure, recorded};
pub use refusal::{advice as advice_on_refusal, refusal};
pub use summary::to_do;
pub use vanished::stays;
pub use windows::windows;

/// How a plan is written for readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For a terminal or a log.
    Human(Style),
    /// For a comment on a pull request.
    Markdown {
        /// The most characters it may have.
        max_chars: NonZeroUsize,
        /// Whether every row and every character is shown, as far as the limit allows.
        verbose: bool,
    },
    /// For Graphviz.
    Dot,
    /// For Mermaid.
    Mermaid,
}

/// Writes a plan in a form, with what is known of why each action is planned.
pub fn plan(plan: &Plan, form: Form, whys: &Whys) -> String {
    match form {
        Form::Human(style) => human(plan, style, whys),
        Form::Markdown { max_chars, verbose } => markdown(plan, max_chars, verbose, whys),
        Form::Dot => dot(plan),
        Form::Mermaid => mermaid(plan),
    }
}

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
