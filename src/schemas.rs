//! The JSON Schemas of everything that programs read or write: one list of them, for the command, the checked-in files
//! and their test.

use clap::ValueEnum;

use crate::{plan, site};

/// A format that has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// Site files.
    Site,
    /// Plans: what `plan -o` saves and `--format json` prints.
    Plan,
}

impl Name {
    /// The schema as text.
    pub fn text(self) -> String {
        match self {
            Self::Site => site::schema(),
            Self::Plan => plan::file::schema(),
        }
    }

    /// The name of its file in `schemas/`.
    pub fn file(self) -> &'static str {
        match self {
            Self::Site => "site.schema.json",
            Self::Plan => "plan.schema.json",
        }
    }
}
