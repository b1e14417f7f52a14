//! How the errors of the stages end a command: with which exit code, and with what advice.

use std::io::ErrorKind;

use crate::apply::RunLockError;
use crate::english::list;
use crate::error::{CommandError, Error, Exit};
use crate::plan::scope::ScopeError;

impl From<RunLockError> for CommandError {
    fn from(error: RunLockError) -> Self {
        let exit = match error {
            RunLockError::Busy { .. } => Exit::Locked,
            RunLockError::Owner { .. } | RunLockError::Io { .. } => Exit::Error,
        };
        Self { exit, hint: advice(&error).map(str::to_owned), ..Self::new(error.to_string()) }
    }
}

/// What to do about a catalog that cannot be worked on.
fn advice(error: &RunLockError) -> Option<&'static str> {
    let RunLockError::Io { source, .. } = error else { return None };
    match source.kind() {
        ErrorKind::ReadOnlyFilesystem => Some("mount its file system writable; `antipode plan` works as it is"),
        ErrorKind::PermissionDenied => Some("run as the user that owns the catalog"),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some("free space on its file system and apply again"),
        ErrorKind::NotFound => Some("make the directory above it, or correct `catalog.path`"),
        _ => None,
    }
}

impl From<ScopeError> for CommandError {
    fn from(error: ScopeError) -> Self {
        let hint = match &error {
            ScopeError::NoReplica { near, .. } | ScopeError::Unknown { near, .. } => match near.as_slice() {
                [] => "`antipode plan -v` shows what is planned".to_owned(),
                near => format!("did you mean {}?", near.join(" or ")),
            },
            ScopeError::Unwanted { .. } => {
                "the selection of the site file leaves it out, or it is not complete there".to_owned()
            }
            ScopeError::NothingWaits { waiting, .. } => match waiting.as_slice() {
                [] => "nothing waits; leave it out".to_owned(),
                waiting => format!("what waits is {}", list(waiting)),
            },
            ScopeError::Contradiction { .. } => "leave one of the two out".to_owned(),
        };
        Self::new(error.to_string()).hint(hint)
    }
}

impl From<Error> for CommandError {
    fn from(error: Error) -> Self {
        let Error { kind, message, hint, .. } = error.with_reason();
        Self { exit: kind.exit(), message, hint }
    }
}
