//! Which replicas of a catalog are left alone for a while: a note for each, in our own directory there.

use std::io;
use std::path::{Path, PathBuf};

use super::posix::{durable, files, places};
use crate::barman::ids::ServerName;
use crate::error::{Error, Kind};
use crate::schedule::Suspension;

/// More than a note that we write.
const MAX_NOTE: u64 = 64 << 10;

/// What is said of a replica. A note that says nothing counts as one: somebody wrote it. Where the system refuses to read it,
/// nobody knows whether there is one.
pub fn suspension(home: &Path, server: &ServerName) -> Result<Option<Suspension>, Error> {
    match files::read(&path(home, server), MAX_NOTE) {
        Ok(note) => Ok(note.map(|note| Suspension::noted(&note))),
        Err(error) if error.source.raw_os_error().is_some() => {
            Err(Error::from(error).of(server).hint("nobody knows whether it is to be left alone, so it is"))
        }
        Err(_) => Ok(Some(Suspension::noted(b""))),
    }
}

/// The same for who leaves alone what may be meant to be.
pub fn suspension_or_doubt(home: &Path, server: &ServerName) -> Option<Suspension> {
    suspension(home, server).unwrap_or_else(|_| Some(Suspension::noted(b"")))
}

/// Notes that a replica is to be left alone. It outlives a power cut.
pub fn suspend(home: &Path, server: &ServerName, suspension: &Suspension) -> Result<(), Error> {
    files::check_ours(&home.join(places::OWN_DIRECTORY)).map_err(|error| unwritten(server, error))?;
    durable::write(&path(home, server), &suspension.note()).map_err(|error| unwritten(server, error))
}

/// Takes such a note away; whether there was one.
pub fn resume(home: &Path, server: &ServerName) -> Result<bool, Error> {
    let path = path(home, server);
    let is_there = files::look(&path)?.is_some();
    durable::remove_file(&path).map(|()| is_there).map_err(|error| unwritten(server, error))
}

fn path(home: &Path, server: &ServerName) -> PathBuf {
    home.join(places::OWN_DIRECTORY).join(format!("suspended-{server}.json"))
}

fn unwritten(server: &ServerName, error: io::Error) -> Error {
    let kind = Kind::from(&error);
    Error::new(kind, format!("{server} stays as it was: its note of suspension cannot be changed: {error}"))
        .because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::home;

    #[test]
    fn a_replica_is_suspended_until_it_is_resumed_and_no_other_is() {
        let catalog = tempfile::tempdir().unwrap();
        let (home, [main, other]) = (catalog.path(), ["main", "other"].map(|name| name.parse().unwrap()));
        let said = Suspension { since: None, until: None, by: Some("anna".to_owned()), why: None };
        assert_eq!(suspend(home, &main, &said).unwrap_err().kind, Kind::NotFound, "the catalog has no place for it");
        home::prepare(home).unwrap();
        assert_eq!(suspension(home, &main).unwrap(), None);
        suspend(home, &main, &said).unwrap();
        let again = Suspension { why: Some("moving".to_owned()), ..said };
        suspend(home, &main, &again).unwrap();
        assert_eq!((suspension(home, &main).unwrap(), suspension(home, &other).unwrap()), (Some(again), None));
        assert_eq!([resume(home, &main).unwrap(), resume(home, &main).unwrap()], [true, false]);
        assert_eq!(suspension(home, &main).unwrap(), None);
    }

    #[test]
    fn a_note_that_nobody_can_read_suspends_it_and_can_be_taken_away() {
        let catalog = tempfile::tempdir().unwrap();
        let main = "main".parse().unwrap();
        home::prepare(catalog.path()).unwrap();
        std::fs::write(path(catalog.path(), &main), vec![b'{'; 100_000]).unwrap();
        assert!(suspension(catalog.path(), &main).unwrap().is_some());
        assert!(resume(catalog.path(), &main).unwrap());
        assert_eq!(suspension(catalog.path(), &main).unwrap(), None);
    }
}
