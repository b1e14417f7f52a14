//! What ends a command: a message, what to do next, and an exit code.

use std::fmt;
use std::io::ErrorKind;

use crate::apply::RunLockError;
use crate::plan::scope::ScopeError;
use crate::render::units::list;
use crate::transport::{TransportError, TransportErrorKind};

/// Why a command ends, by what a script may want to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// An error.
    Error,
    /// `plan --detailed-exitcode`, and there are changes.
    Changes,
    /// An argument of one of Barman's own commands is wrong, in a way that Barman ends so too.
    Misused,
    /// `status`, and an objective is missed or a replica is not recoverable.
    ObjectiveMissed,
    /// The catalog or a server is locked by another.
    Locked,
    /// An apply finished with part of the work failed.
    PartFailed,
    /// Ctrl-C.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl Exit {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Changes | Self::ObjectiveMissed | Self::Misused => 2,
            Self::Locked => 3,
            Self::PartFailed => 4,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// An error that ends a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError {
    /// Decides the exit code.
    pub exit: Exit,
    /// What happened to what, and why.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl CommandError {
    /// An error of the usual kind.
    pub fn new(message: impl Into<String>) -> Self {
        Self { exit: Exit::Error, message: message.into(), hint: None }
    }

    /// The same with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CommandError {}

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

impl From<TransportError> for CommandError {
    fn from(error: TransportError) -> Self {
        let exit = if error.kind == TransportErrorKind::Cancelled { Exit::Interrupted } else { Exit::Error };
        Self { exit, message: error.with_reason(), hint: error.hint }
    }
}
