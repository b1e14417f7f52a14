//! How the errors below become failures of a step.

use crate::error::{Error, Kind};
use crate::store::locks::LockError;
use crate::store::{CatalogError, ChangeError};

use crate::events::{Failure, FailureKind};

const MAKE_ROOM: &str = "free space on this file system and apply again: what arrived is kept";
const READ_ONLY: &str = "the file system is mounted read-only";

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let Error { kind, message, hint, .. } = error.with_reason();
        let hint = hint.or_else(|| match kind {
            Kind::NoSpace => Some(MAKE_ROOM.to_owned()),
            Kind::ReadOnly => Some(READ_ONLY.to_owned()),
            _ => None,
        });
        let kind = match kind {
            Kind::Interrupted => FailureKind::Interrupted,
            Kind::Busy => FailureKind::Busy,
            _ => FailureKind::Failed,
        };
        Self { kind, message, hint }
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        Error::from(error).into()
    }
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        Error::from(error).into()
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        Error::from(error).into()
    }
}

/// How many things a message names.
const NAMED: usize = 3;

/// Names the first few of what is wrong, and counts the rest.
pub fn first_few(faults: impl ExactSizeIterator<Item = String>) -> String {
    let more = faults.len().saturating_sub(NAMED);
    let named: Vec<String> = faults.take(NAMED).collect();
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    format!("{}{more}", named.join("; "))
}
