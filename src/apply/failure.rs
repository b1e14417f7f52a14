//! How the errors below become failures of a step: what happened to which file, and what to do.

use std::io;
use std::path::Path;

use crate::error::{Error, Kind};
use crate::observe::catalog::CatalogError;
use crate::store::locks::LockError;

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

/// What was being done to a file when the system refused.
pub trait Doing<T> {
    /// Names the deed and the file, as in `cannot write /var/lib/barman/main/wals/main-xlog.db`.
    fn doing(self, deed: &str, path: &Path) -> Result<T, Failure>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, deed: &str, path: &Path) -> Result<T, Failure> {
        self.map_err(|error| {
            let failure = Failure::new(format!("cannot {deed} {}: {error}", path.display()));
            match advice(&error) {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        })
    }
}

fn advice(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(MAKE_ROOM),
        io::ErrorKind::PermissionDenied => Some("run as the user that owns the catalog"),
        io::ErrorKind::ReadOnlyFilesystem => Some(READ_ONLY),
        _ => None,
    }
}
