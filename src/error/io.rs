//! What the system refuses: the one place that says of which kind that is.

use std::fmt;
use std::io;

use super::{Error, Kind};

impl From<&io::Error> for Kind {
    /// Most of what a system can say is nothing that a program decides on.
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::PermissionDenied => Self::PermissionDenied,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::Other,
        }
    }
}

impl Error {
    /// What the system refused while this was tried, as in `cannot read the plan p.json: No such file or directory`.
    pub fn io(tried: impl fmt::Display, source: io::Error) -> Self {
        Self::new(Kind::from(&source), format!("{tried}: {source}")).because(source)
    }

    /// Adds what to do about a file system here that takes nothing more, where nothing closer is advised.
    #[must_use]
    pub fn or_make_room(self) -> Self {
        match self.kind {
            Kind::NoSpace if self.hint.is_none() => {
                self.hint("free space on this file system and apply again: what arrived is kept")
            }
            Kind::ReadOnly if self.hint.is_none() => self.hint("the file system is mounted read-only"),
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_refuses_keeps_its_kind_and_what_lies_behind_it() {
        for (refused, kind, advice) in [
            (io::ErrorKind::NotFound, Kind::NotFound, None),
            (io::ErrorKind::PermissionDenied, Kind::PermissionDenied, None),
            (io::ErrorKind::StorageFull, Kind::NoSpace, Some("free space")),
            (io::ErrorKind::QuotaExceeded, Kind::NoSpace, Some("free space")),
            (io::ErrorKind::ReadOnlyFilesystem, Kind::ReadOnly, Some("read-only")),
            (io::ErrorKind::ConnectionReset, Kind::Other, None),
        ] {
            let error = Error::io("cannot write /b/x", refused.into());
            assert!(error.kind == kind && error.message.starts_with("cannot write /b/x: "), "{error:?}");
            assert!(std::error::Error::source(&error).is_some(), "{error:?}");
            let advised = error.clone().or_make_room().hint;
            assert_eq!(advised.is_some(), advice.is_some(), "{advised:?}");
            assert!(advised.unwrap_or_default().contains(advice.unwrap_or_default()));
            assert_eq!(error.hint("closer").or_make_room().hint.as_deref(), Some("closer"));
        }
    }
}
