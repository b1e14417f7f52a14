//! Why a primary could not be asked, or its bytes not be brought.

use std::fmt;

use super::text::printable_tail;
use crate::barman::words::telling_line;

/// A failure of the transport, with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    /// What went wrong, for the code that decides.
    pub kind: TransportErrorKind,
    /// What happened, in one sentence, safe to print.
    pub message: String,
    /// The end of what the program wrote to stderr, sanitised for a terminal; may be empty.
    pub stderr: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl TransportError {
    /// An error of this kind with nothing but its message.
    pub fn new(kind: TransportErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), stderr: String::new(), hint: None }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the end of what a program wrote to stderr; it is sanitised here.
    #[must_use]
    pub fn with_stderr(mut self, stderr: &[u8]) -> Self {
        self.stderr = printable_tail(stderr);
        self
    }

    /// What happened, and the line of what the program said that tells why.
    pub fn with_reason(&self) -> String {
        match telling_line(&self.stderr).filter(|line| !self.message.contains(line)) {
            Some(line) => format!("{}: {line}", self.message),
            None => self.message.clone(),
        }
    }

    /// The run was interrupted.
    pub fn cancelled() -> Self {
        Self::new(TransportErrorKind::Cancelled, "interrupted")
    }
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportErrorKind {
    /// No connection: name, network, refused, timed out.
    Unreachable,
    /// ssh refused the primary's host key, or does not know it.
    HostKey,
    /// The primary refused our key or user.
    Authentication,
    /// A connection that worked was lost, or fell silent for longer than the idle timeout, or a program of either end was
    /// ended from outside.
    Lost,
    /// A program is missing, at the primary or here.
    ProgramMissing,
    /// A program is too old, at the primary or here.
    ProgramTooOld,
    /// The command ran and failed.
    CommandFailed,
    /// A command took longer than its timeout; it would do so again.
    TimedOut,
    /// A directory that was to be listed, copied from or copied into is not there.
    NotFound,
    /// The primary's user, or ours, may not read or write a file.
    PermissionDenied,
    /// The file system here is full (or its quota is).
    NoSpace,
    /// The file system here does not accept writes.
    ReadOnly,
    /// The primary sent something that it must not.
    Untrusted,
    /// The run was interrupted.
    Cancelled,
    /// Anything else.
    Other,
}

impl TransportErrorKind {
    /// Whether trying again can help.
    pub fn can_be_retried(self) -> bool {
        matches!(self, Self::Unreachable | Self::Lost)
    }
}

impl fmt::Display for TransportErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::Unreachable => "unreachable",
            Self::HostKey => "host key",
            Self::Authentication => "authentication",
            Self::Lost => "connection lost",
            Self::ProgramMissing => "program missing",
            Self::ProgramTooOld => "program too old",
            Self::CommandFailed => "command failed",
            Self::TimedOut => "timed out",
            Self::NotFound => "not found",
            Self::PermissionDenied => "permission denied",
            Self::NoSpace => "no space",
            Self::ReadOnly => "read-only",
            Self::Untrusted => "untrusted",
            Self::Cancelled => "interrupted",
            Self::Other => "failed",
        };
        f.write_str(word)
    }
}
