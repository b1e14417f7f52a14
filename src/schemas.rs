//! The JSON Schemas of everything that programs read or write: one list of them, for the command, the checked-in files
//! and their test.

use clap::ValueEnum;
use schemars::{JsonSchema, schema_for};

use crate::progress::Record;
use crate::render::status_json::StatusDocument;
use crate::site;

/// A format that has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// Site files.
    Site,
    /// What `status --format json` prints.
    Status,
    /// The lines of `apply --json`.
    Events,
}

impl Name {
    /// The schema as text.
    pub fn text(self) -> String {
        match self {
            Self::Site => site::schema(),
            Self::Status => of::<StatusDocument>(),
            Self::Events => of::<Record>(),
        }
    }

    /// The name of its file in `schemas/`.
    pub fn file(self) -> &'static str {
        match self {
            Self::Site => "site.schema.json",
            Self::Status => "status.schema.json",
            Self::Events => "events.schema.json",
        }
    }
}

/// The schema of a type as text.
fn of<T: JsonSchema>() -> String {
    // A JSON value made of maps and texts always has a text form.
    let mut text = serde_json::to_string_pretty(&schema_for!(T)).unwrap_or_default();
    text.push('\n');
    text
}
