//! Why a file is not a plan that can be applied.

use crate::error::{Error, Kind};
use crate::plan::saved::preconditions::PRECONDITIONS_VERSION;
use crate::render::clean;

use super::FORMAT_VERSION;

/// Why a file is not a plan that can be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It ends in the middle.
    #[error("it is cut off")]
    CutOff,
    /// It is something else.
    #[error("it is not JSON (line {line}, column {column})")]
    NotJson {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// It is what a plan is made from.
    #[error("it is a site file, not a plan")]
    SiteFile,
    /// It is JSON, and something else.
    #[error("it is JSON, but not a plan")]
    NotAPlan,
    /// It is written in another way.
    #[error("its format_version is {0}, and this antipode reads {FORMAT_VERSION}")]
    Format(String),
    /// Another antipode made it, which finds out in another way what its actions rely on.
    #[error("its preconditions_version is {}, and this antipode finds preconditions of version {PRECONDITIONS_VERSION}", clean(.0))]
    Preconditions(String),
    /// Its content is not what its digest says.
    #[error("it was changed after it was saved: its content does not fit its digest")]
    Edited,
    /// Its digest is right, and its content cannot be.
    #[error("it is not a plan that antipode makes: {}", clean(.0))]
    Invalid(String),
    /// A value has no form in JSON.
    #[error("it cannot be written as JSON: {0}")]
    Unwritable(String),
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        Self::new(error.kind(), error.to_string()).hint(error.hint())
    }
}

impl FileError {
    fn kind(&self) -> Kind {
        match self {
            Self::Format(_) | Self::Preconditions(_) => Kind::Stale,
            Self::CutOff | Self::Edited | Self::Invalid(_) => Kind::Damaged,
            Self::SiteFile | Self::NotJson { .. } | Self::NotAPlan | Self::Unwritable(_) => Kind::Invalid,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::CutOff => "copy the whole file again, or save a new plan with `antipode plan -o FILE`",
            Self::SiteFile => "name it with -f, and the saved plan by itself: antipode apply -f SITE.yaml PLAN.json",
            Self::NotJson { .. } | Self::NotAPlan => "name a file that `antipode plan -o FILE` saved",
            Self::Format(_) | Self::Preconditions(_) => {
                "plan again with this antipode, review it, and apply the new one"
            }
            Self::Edited | Self::Invalid(_) => {
                "a saved plan is applied as it was reviewed or not at all: change the site file and plan again"
            }
            Self::Unwritable(_) => "rename what has a name that is not UTF-8",
        }
    }
}
