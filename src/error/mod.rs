//! What went wrong: of which kind, what happened to what, what to do next, and what lies behind it.
//!
//! There is one type for it, [`Error`], from the transport to the exit code. A stage that decides on its own errors by
//! their variants has an `enum` of its own, and one `From` that chooses the kind. Every decision that follows from a kind
//! is a method of [`Kind`] which names them all: a new one is decided on where it is made.

mod io;
mod kind;

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::barman::secret::without_secrets;
use crate::barman::words::telling_line;

pub use kind::{Kind, Retry};

#[cfg(test)]
pub(crate) use kind::tests::all as all_kinds;

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
    /// `drill`, and something was tried and is not as it must be.
    Disproved,
    /// The catalog or a server is locked by another.
    Locked,
    /// An apply finished with part of the work failed.
    PartFailed,
    /// Ctrl-C.
    Interrupted,
    /// SIGTERM.
    Terminated,
    /// A file of the WAL cannot be had, and PostgreSQL must not take that for the end of the WAL.
    StopsRecovery,
}

impl Exit {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Changes | Self::ObjectiveMissed | Self::Disproved | Self::Misused => 2,
            Self::Locked => 3,
            Self::PartFailed => 4,
            Self::Interrupted => 130,
            Self::Terminated => 143,
            Self::StopsRecovery => 200,
        }
    }
}

/// What went wrong.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Error {
    /// What sort of thing went wrong.
    pub kind: Kind,
    /// What happened to what, and why; safe to print.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    #[serde(skip)]
    pub(crate) source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What a program wrote to stderr before it failed.
#[derive(Debug)]
struct Said(String);

impl Error {
    /// An error with nothing to advise. No secret that its message quotes is in it.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: without_secrets(&message.into()), hint: None, source: None }
    }

    /// Adds what to do next, without the secrets that it quotes.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(without_secrets(&hint.into()));
        self
    }

    /// Adds what lies behind it.
    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Adds the end of what a program wrote to stderr, safe to print.
    #[must_use]
    pub fn saying(self, stderr: String) -> Self {
        self.because(Said(stderr))
    }

    /// The end of what the program that failed wrote to stderr; empty where there was none.
    pub fn said(&self) -> &str {
        let said = self.source.as_ref().and_then(|source| source.downcast_ref::<Said>());
        said.map_or("", |said| &said.0)
    }

    /// Says first what it happened to.
    #[must_use]
    pub fn of(self, what: impl fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// The same in texts that were rewritten, as for another reader.
    #[must_use]
    pub fn rewritten(self, rewrite: impl Fn(&str) -> String) -> Self {
        Self { message: rewrite(&self.message), hint: self.hint.as_deref().map(&rewrite), ..self }
    }

    /// Says last why, in the line of what a program said that tells it. Where the system refused something, the message
    /// is made of that line already.
    #[must_use]
    pub fn with_reason(self) -> Self {
        let says_all = matches!(self.kind, Kind::NotFound | Kind::PermissionDenied | Kind::NoSpace | Kind::ReadOnly);
        let line = telling_line(self.said()).filter(|line| !says_all && !self.message.contains(line));
        match line {
            Some(line) => Self { message: format!("{}: {line}", self.message), ..self },
            None => self,
        }
    }

    /// The run was interrupted.
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    /// The run has copied all that it may.
    pub fn limit_reached() -> Self {
        Self::new(Kind::LimitReached, "`--max-bytes` is reached; what arrived is kept")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// Two are the same when they tell the same; what lies behind them is for the log.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.message, &self.hint) == (other.kind, &other.message, &other.hint)
    }
}

impl Eq for Error {}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Said {}

impl From<tokio::task::JoinError> for Error {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::new(Kind::Internal, format!("internal error, please report it: {error}")).because(error)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn what_a_program_said_lies_behind_an_error_and_its_telling_line_is_told_once() {
        let said = "WARNING: slow\nERROR: no disk\nSee log file for more details.";
        let error = Error::new(Kind::CommandFailed, "it exited with 1").saying(said.to_owned());
        assert_eq!((error.said(), error.source().unwrap().to_string().as_str()), (said, said));
        let told = error.with_reason();
        assert_eq!(told.message, "it exited with 1: ERROR: no disk");
        assert_eq!(told.clone().with_reason(), told);
        let refused = Error::new(Kind::NoSpace, "the disk is full (/b)").saying("rsync: write failed".to_owned());
        assert_eq!(refused.with_reason().message, "the disk is full (/b)");
    }

    #[test]
    fn errors_are_the_same_that_tell_the_same_and_a_document_keeps_all_but_what_lies_behind() {
        let error = Error::new(Kind::Lost, "lost").hint("wait").because(std::io::Error::other("reset"));
        let text = serde_json::to_string(&error).unwrap();
        assert_eq!(text, r#"{"kind":"lost","message":"lost","hint":"wait"}"#);
        let read: Error = serde_json::from_str(&text).unwrap();
        assert!(read == error && read.source().is_none());
        assert_ne!(read, Error { kind: Kind::Unreachable, ..error.clone() });
        assert_ne!(read, error.of("primary p"));
    }
}
