//! The mark of a restore that is not finished: beside the data directory, so that a later one knows what it may go on with.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};

/// What is being restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The server's directory in the catalog.
    pub server: PathBuf,
    /// The backup.
    pub backup: String,
}

/// What is there of a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// What an earlier one of the same backup began.
    Begun,
}

impl Mark {
    /// Looks at directories that are to be restored into, the data directory first, and marks that one.
    pub fn begin(&self, data: &Path, tablespaces: &[&Path]) -> Result<Found, Error> {
        let path = path(data)?;
        let earlier = match fs::read(&path) {
            Ok(text) => serde_json::from_slice::<Self>(&text).ok(),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(at(&path, "read", &error)),
        };
        if earlier.as_ref() == Some(self) {
            return Ok(Found::Begun);
        }
        for directory in std::iter::once(&data).chain(tablespaces) {
            if is_empty(directory).map_err(|error| at(directory, "restored into", &error))? {
                continue;
            }
            let begun = earlier.map(|earlier| format!("; part of backup {} was restored to it", earlier.backup));
            let message = format!("{} is not empty{}", directory.display(), begun.unwrap_or_default());
            return Err(Error::new(Kind::Refused, message)
                .hint("restore into new directories; nothing that is there is written over"));
        }
        let text = serde_json::to_vec(self).unwrap_or_default();
        if let Some(above) = path.parent() {
            fs::create_dir_all(above).map_err(|error| at(above, "made", &error))?;
        }
        fs::write(&path, text).map_err(|error| at(&path, "written", &error))?;
        Ok(Found::Nothing)
    }

    /// Says that it is finished.
    pub fn end(data: &Path) -> Result<(), Error> {
        let path = path(data)?;
        fs::remove_file(&path).map_err(|error| at(&path, "removed", &error))
    }
}

/// `.NAME.antipode-restore` beside `NAME`.
fn path(data: &Path) -> Result<PathBuf, Error> {
    let name = data
        .file_name()
        .ok_or_else(|| Error::new(Kind::Invalid, format!("{} names no directory to restore into", data.display())))?;
    Ok(data.with_file_name(format!(".{}.antipode-restore", name.display())))
}

/// Whether nothing is in a directory, or it is not there.
fn is_empty(directory: &Path) -> io::Result<bool> {
    match fs::read_dir(directory) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// What could not be done to a file or directory that is restored.
pub(super) fn at(path: &Path, deed: &str, error: &io::Error) -> Error {
    let told = Error::new(Kind::from(error), format!("{} cannot be {deed}: {error}", path.display()));
    match told.kind {
        Kind::PermissionDenied => told.hint("choose a directory that this user may write"),
        Kind::NoSpace => told.hint("make room, and restore again: what is there already is not copied again"),
        _ => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_restore_of_the_same_began_is_gone_on_with() {
        let place = tempfile::tempdir().unwrap();
        let (data, side) = (place.path().join("new/data"), place.path().join("side"));
        let mark = |backup: &str| Mark { server: "/srv/main".into(), backup: backup.to_owned() };
        let begin = |backup: &str| mark(backup).begin(&data, &[&side]);
        assert_eq!(begin("1").unwrap(), Found::Nothing);
        assert_eq!(begin("2").unwrap(), Found::Nothing, "nothing came of the first");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("PG_VERSION"), "17").unwrap();
        assert_eq!(begin("2").unwrap(), Found::Begun);
        let refused = begin("1").unwrap_err();
        assert!(refused.message.ends_with("is not empty; part of backup 2 was restored to it"), "{refused}");
        Mark::end(&data).unwrap();
        assert!(begin("2").unwrap_err().message.ends_with("data is not empty"));
        fs::remove_dir_all(&data).unwrap();
        fs::create_dir(&side).unwrap();
        fs::write(side.join("x"), "").unwrap();
        assert!(begin("2").unwrap_err().message.ends_with("side is not empty"));
    }
}
