//! The JSON Schemas of everything that programs read or write: one list of them, for the command, the checked-in files
//! and their test.

use clap::ValueEnum;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

use crate::hooks::Event;
use crate::progress::Record;
use crate::render::drill::json::DrillDocument;
use crate::render::history_json::HistoryDocument;
use crate::render::status_json::StatusDocument;
use crate::render::verification_json::VerificationDocument;
use crate::{diag, plan_file, site};

/// A format that has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// Site files.
    Site,
    /// Plans: what `plan -o` saves and `--format json` prints.
    Plan,
    /// What `status --format json` prints.
    Status,
    /// The lines of `apply --json`.
    Events,
    /// What `history --format json` prints.
    History,
    /// What `verify --format json` prints.
    Verification,
    /// What `drill --format json` prints, and what `drill.reports` keeps.
    Drill,
    /// What hooks are told.
    Hook,
    /// What `validate --format json` prints.
    Diagnostics,
}

impl Name {
    /// The schema as text.
    pub fn text(self) -> String {
        match self {
            Self::Site => site::schema(),
            Self::Plan => of_output::<plan_file::Document>(),
            Self::Status => of_output::<StatusDocument>(),
            Self::Diagnostics => of_output::<diag::Report<'_>>(),
            Self::Events => of_output::<Record>(),
            Self::History => of_output::<HistoryDocument>(),
            Self::Verification => of_output::<VerificationDocument>(),
            Self::Drill => of_output::<DrillDocument>(),
            Self::Hook => of_output::<Event>(),
        }
    }

    /// The name of its file in `schemas/`.
    pub fn file(self) -> &'static str {
        match self {
            Self::Site => "site.schema.json",
            Self::Plan => "plan.schema.json",
            Self::Status => "status.schema.json",
            Self::Events => "events.schema.json",
            Self::History => "history.schema.json",
            Self::Verification => "verification.schema.json",
            Self::Drill => "drill.schema.json",
            Self::Hook => "hook.schema.json",
            Self::Diagnostics => "diagnostics.schema.json",
        }
    }
}

/// The schema of something that the program prints.
fn of_output<T: JsonSchema>() -> String {
    let schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
    // A JSON value made of maps and texts always has a text form.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
