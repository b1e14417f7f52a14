//! How the errors below become failures of a step: what happened to which file, and what to do.

use std::io;
use std::path::Path;

use crate::observe::catalog::CatalogError;
use crate::store::locks::LockError;
use crate::transport::{TransportError, TransportErrorKind};

use crate::events::{Failure, FailureKind};

const MAKE_ROOM: &str = "free space on this file system and apply again: what arrived is kept";
const READ_ONLY: &str = "the file system is mounted read-only";

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        let kind = match error.kind {
            TransportErrorKind::Cancelled => FailureKind::Interrupted,
            _ => FailureKind::Failed,
        };
        let says_all = matches!(
            error.kind,
            TransportErrorKind::PermissionDenied
                | TransportErrorKind::NotFound
                | TransportErrorKind::NoSpace
                | TransportErrorKind::ReadOnly
        );
        let message = if says_all { error.message } else { error.with_reason() };
        let hint = error.hint.or_else(|| match error.kind {
            TransportErrorKind::NoSpace => Some(MAKE_ROOM.to_owned()),
            TransportErrorKind::ReadOnly => Some(READ_ONLY.to_owned()),
            _ => None,
        });
        Self { kind, message, hint }
    }
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        Self { hint: error.hint(), ..Self::new(error.to_string()) }
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match &error {
            LockError::Busy { .. } => Self { kind: FailureKind::Busy, ..Self::new(error.to_string()) },
            LockError::Io { source, .. } => Self::new(format!("{error}: {source}")),
        }
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
