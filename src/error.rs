//! What ends a command: a message, what to do next, and an exit code.

use std::fmt;

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
