//! `antipode restore-wal`: PostgreSQL's `restore_command`. It finds a file in the archive of a replica, decompresses it, and
//! proves that it is what its name says, to the last record: at one that is damaged PostgreSQL would end its recovery without
//! a word.
//!
//! To PostgreSQL an exit code of 1 means that there is no such file: recovery ends there, and a new timeline begins. So only
//! an archive that is there, and has no such file, is told so. Anything else stops the recovery (PostgreSQL xlogarchive.c:
//! an exit code above 125), and nobody takes a disk that is not mounted for the end of the WAL.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::barman::encryption::{LOOKED_AT, is_encrypted};
use crate::barman::layout::HashDirectory;
use crate::barman::wal::WalName;
use crate::cli;
use crate::drill::fetched::Fetched;
use crate::error::{Error, Exit, Kind};
use crate::verify::wal_form::WalForm;
use crate::verify::wal_header::{Expected, Start, check};
use crate::verify::wal_log;

use super::terminal::Terminal;

/// What is added to a name until all of a file is there.
const PART: &str = ".antipode-part";

/// Runs the command.
pub fn run(arguments: &cli::RestoreWal, terminal: &Terminal) -> Exit {
    let fetched = fetch(&arguments.archive, &arguments.name, &arguments.destination);
    if let Some(note) = &arguments.note {
        let line = Fetched::of(&arguments.name, &fetched).line();
        let written = OpenOptions::new().append(true).create(true).open(note);
        // Whoever reads the note takes what is not in it for not asked for, and so for no proof.
        let _unnoted = written.and_then(|mut note| note.write_all(line.as_bytes()));
    }
    match fetched {
        Ok(true) => Exit::Done,
        Ok(false) => Exit::Error,
        Err(error) => {
            terminal.error(&error);
            Exit::StopsRecovery
        }
    }
}

/// Brings a file; whether there is one.
fn fetch(archive: &Path, name: &str, destination: &Path) -> Result<bool, Error> {
    let Ok(name) = name.parse::<WalName>() else { return Ok(false) };
    let path = match HashDirectory::of(name) {
        Some(directory) => archive.join(directory.to_string()).join(name.to_string()),
        None => archive.join(name.to_string()),
    };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // A disk that is not there has no end of WAL either.
            fs::read_dir(archive).map_err(|error| failed(archive, &error).hint("is it mounted?"))?;
            return Ok(false);
        }
        Err(error) => return Err(failed(&path, &error)),
    };
    let mut part = destination.to_owned().into_os_string();
    part.push(PART);
    let part = PathBuf::from(part);
    write(name, (&path, &file), &part)?;
    fs::rename(&part, destination).map_err(|error| failed(destination, &error))?;
    Ok(true)
}

/// Writes what a file is when it is decompressed, if that is what its name says.
fn write(name: WalName, (path, file): (&Path, &File), to: &Path) -> Result<(), Error> {
    let unreadable = |error: &io::Error| failed(path, error);
    let start = Start::read(file).map_err(|error| unreadable(&error))?;
    let mut begin = Vec::new();
    let mut stored = file;
    let looked = stored.rewind().and_then(|()| stored.take(LOOKED_AT as u64).read_to_end(&mut begin));
    looked.and_then(|_| stored.rewind()).map_err(|error| unreadable(&error))?;
    if start == Start::Opaque && is_encrypted(&begin) {
        return Err(encrypted(path));
    }
    let compression = match &start {
        Start::Header { compression, .. } => *compression,
        Start::Damaged(compression) => Some(*compression),
        Start::Opaque | Start::Zeros => None,
    };
    let is_segment = name.segment().is_some();
    if is_segment {
        let size = file.metadata().map_err(|error| unreadable(&error))?.len();
        let expected = Expected { system: None, segment_size: None, form: Some(WalForm::found(compression)) };
        check(name, size, &start, expected).map_err(|fault| damaged(path, &fault.to_string()))?;
    }
    let mut written = File::create(to).map_err(|error| failed(to, &error))?;
    let reader = BufReader::new(file);
    let copied = match compression {
        Some(compression) => compression.decoder(reader).and_then(|mut decoder| io::copy(&mut decoder, &mut written)),
        None => io::copy(&mut &*file, &mut written),
    };
    let length = copied.map_err(|error| damaged(path, &error.to_string()))?;
    if matches!(name, WalName::Segment(_)) {
        let written = File::open(to).map_err(|error| failed(to, &error))?;
        let walked = wal_log::walk(name, written).map_err(|error| failed(to, &error))?;
        walked.map_err(|fault| damaged(path, &fault.to_string()))?;
    }
    match start {
        Start::Header { header, .. } if is_segment && length != u64::from(header.segment_size) => {
            Err(damaged(path, &format!("{length} bytes come of it, and it says {}", header.segment_size)))
        }
        _ => Ok(()),
    }
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::new(Kind::from(error), format!("{}: {error}", path.display()))
}

fn encrypted(path: &Path) -> Error {
    Error::new(Kind::Refused, format!("{} is encrypted, and cannot be read without Barman's key", path.display()))
        .hint("recovery stops here; a Barman that has the key decrypts it, as `barman restore` and `barman get-wal` do")
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::new(Kind::Damaged, format!("{} is not what its name says: {what}", path.display()))
        .hint("recovery stops here; let `antipode apply` repair it, or recover to a time before it")
}
