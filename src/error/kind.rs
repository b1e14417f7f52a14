//! What kind of error something is: all that a program needs in order to go on, to wait, or to call a person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Exit;

/// What sort of thing went wrong, and what a person does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// No connection to the primary: look at its name, the network and its sshd.
    Unreachable,
    /// ssh refuses the primary's host key, or does not know it: compare the keys, then teach ssh the right one.
    HostKey,
    /// The primary refuses our key or user: give that user our public key.
    Authentication,
    /// A connection was lost or fell silent, or a program was ended from outside: if it stays so, look at line and memory.
    Lost,
    /// A command took longer than its timeout, and would do so again: raise the timeout, or find out what holds it up.
    TimedOut,
    /// A command ran and failed: read what it said, and its log.
    CommandFailed,
    /// The primary sent something that it must not, or more than is taken from it: find out there what wrote it.
    Untrusted,
    /// A program is missing, at the primary or here: install it, or say where it is.
    ProgramMissing,
    /// A program is too old, at the primary or here: upgrade it.
    ProgramTooOld,
    /// Something that was named is not there: correct its name, or mount what it lies on.
    NotFound,
    /// The user, ours or the primary's, may not read or write a file: run as its owner, or give it access.
    PermissionDenied,
    /// The file system here is full, or its quota is: free space.
    NoSpace,
    /// The file system here does not accept writes: mount it writable.
    ReadOnly,
    /// What is on disk is not what it should be: find out what broke it, at the end that is named.
    Damaged,
    /// Another process works on the catalog or on a whole server: wait for it, or end it if it hangs.
    Locked,
    /// Another process works on one thing, a backup or a list: wait for it.
    Busy,
    /// Either end is not any more as the plan has it: plan again.
    Stale,
    /// The desired state, or what protects a catalog, forbids it: change the site file, or leave it so.
    Refused,
    /// What was asked for or written makes no sense: correct the argument or the file.
    Invalid,
    /// A step ended well and did not change what it was to change: look for what is in its way.
    Unproven,
    /// The run was interrupted: run it again when it suits.
    Interrupted,
    /// The run has copied all that it was allowed to: the next run goes on.
    LimitReached,
    /// A mistake in this program: report it.
    Internal,
    /// Something else: read the message.
    Other,
}

/// What must happen before trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The line to a primary comes back. It is tried again with growing pauses, for as long as
    /// [`Patience`](crate::transport::patience::Patience) says.
    Line,
    /// Whoever holds a lock is done: soon, and it is asked for again at a steady pace.
    Holder,
    /// Nothing: the next run goes on where this one stopped.
    NextRun,
    /// Somebody does something about it.
    Person,
}

impl Kind {
    /// Its name in metrics and documents: as it is written in JSON.
    pub fn label(self) -> &'static str {
        self.row().0
    }

    /// With what a command ends that is ended by it.
    pub fn exit(self) -> Exit {
        self.row().1
    }

    /// What is waited for before it is tried again.
    pub fn retry(self) -> Retry {
        self.row().2
    }

    /// All that is decided by the kind.
    fn row(self) -> (&'static str, Exit, Retry) {
        match self {
            Self::Unreachable => ("unreachable", Exit::Error, Retry::Line),
            Self::HostKey => ("host_key", Exit::Error, Retry::Person),
            Self::Authentication => ("authentication", Exit::Error, Retry::Person),
            Self::Lost => ("lost", Exit::Error, Retry::Line),
            Self::TimedOut => ("timed_out", Exit::Error, Retry::Person),
            Self::CommandFailed => ("command_failed", Exit::Error, Retry::Person),
            Self::Untrusted => ("untrusted", Exit::Error, Retry::Person),
            Self::ProgramMissing => ("program_missing", Exit::Error, Retry::Person),
            Self::ProgramTooOld => ("program_too_old", Exit::Error, Retry::Person),
            Self::NotFound => ("not_found", Exit::Error, Retry::Person),
            Self::PermissionDenied => ("permission_denied", Exit::Error, Retry::Person),
            Self::NoSpace => ("no_space", Exit::Error, Retry::Person),
            Self::ReadOnly => ("read_only", Exit::Error, Retry::Person),
            Self::Damaged => ("damaged", Exit::Error, Retry::Person),
            Self::Locked => ("locked", Exit::Locked, Retry::Holder),
            Self::Busy => ("busy", Exit::Error, Retry::Holder),
            Self::Stale => ("stale", Exit::Error, Retry::NextRun),
            Self::Refused => ("refused", Exit::Error, Retry::Person),
            Self::Invalid => ("invalid", Exit::Error, Retry::Person),
            Self::Unproven => ("unproven", Exit::Error, Retry::Person),
            Self::Interrupted => ("interrupted", Exit::Interrupted, Retry::NextRun),
            Self::LimitReached => ("limit_reached", Exit::Error, Retry::NextRun),
            Self::Internal => ("internal", Exit::Error, Retry::Person),
            Self::Other => ("other", Exit::Error, Retry::Person),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every kind, with its line of documentation, as the schema of the documents has it.
    fn documented() -> Vec<(Kind, String)> {
        let schema = schemars::schema_for!(Kind).to_value();
        let kinds = schema["oneOf"].as_array().unwrap().iter().map(|kind| {
            let description = kind["description"].as_str().unwrap_or_default().to_owned();
            (serde_json::from_value(kind["const"].clone()).unwrap(), description)
        });
        kinds.collect()
    }

    /// Every kind.
    pub(crate) fn all() -> Vec<Kind> {
        documented().into_iter().map(|(kind, _)| kind).collect()
    }

    #[test]
    fn every_kind_says_what_a_person_does_about_it() {
        for (kind, text) in documented() {
            let (what, advice) = text.split_once(": ").unwrap_or_default();
            assert!(!what.is_empty() && advice.ends_with('.'), "{kind:?}: {text}");
        }
    }

    #[test]
    fn every_kind_has_a_label_of_its_own_which_is_that_of_the_documents() {
        let kinds = all();
        let labels: BTreeSet<&str> = kinds.iter().map(|kind| kind.label()).collect();
        assert_eq!(labels.len(), kinds.len());
        for kind in kinds {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.label());
        }
    }

    #[test]
    fn what_ends_a_command_and_what_is_tried_again_is_told_by_the_kind() {
        let of = |is_so: &dyn Fn(Kind) -> bool| all().into_iter().filter(|kind| is_so(*kind)).collect::<Vec<_>>();
        let exits = |exit: Exit| of(&|kind| kind.exit() == exit);
        assert_eq!(exits(Exit::Locked), [Kind::Locked]);
        assert_eq!(exits(Exit::Interrupted), [Kind::Interrupted]);
        assert_eq!(exits(Exit::Error).len(), all().len() - 2);
        let again = |retry: Retry| of(&|kind| kind.retry() == retry);
        assert_eq!(again(Retry::Line), [Kind::Unreachable, Kind::Lost]);
        assert_eq!(again(Retry::Holder), [Kind::Locked, Kind::Busy]);
        assert_eq!(again(Retry::NextRun), [Kind::Stale, Kind::Interrupted, Kind::LimitReached]);
        assert_eq!(again(Retry::Person).len(), all().len() - 7);
    }
}
