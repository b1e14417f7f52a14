//! A WAL file at the site: whether it is what its name says, and how xlog.db describes it.
//!
//! The rule that is held here: nothing is placed whose bytes are not what the lists say. A segment has the page header of
//! its name, in the form that is listed, and is as long as that says; a compressed one is decompressed to its end. A
//! history file tells where its timeline came from, the label of a backup where that began.

use crate::store::File;
use std::io::{self, Read, Seek};
use std::time::UNIX_EPOCH;

use crate::barman::compression::Compression;
use crate::barman::history::HistoryFile;
use crate::barman::wal::{Segment, WalName};
use crate::barman::wal_entry::{Mtime, WalEntry};

use super::wal_form::WalForm;
use super::wal_header::{Expected, Start, WalFault, check};

/// More than any history file or label has: each line of a history is a promotion.
const MOST_TEXT: u64 = 1 << 20;
/// No compression makes more of WAL than this many times what it was.
const MOST_GROWTH: u64 = 2;

/// What a file says of itself, as Barman's `rebuild-xlogdb` finds it: its size, its time, its compression by magic number.
pub fn describe(name: WalName, file: &File) -> io::Result<WalEntry> {
    let metadata = file.metadata()?;
    let seconds = metadata.modified()?.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let mtime = Mtime::new(seconds).ok_or_else(|| io::Error::other("its time of modification is impossible"))?;
    let compression = match Start::read(file)? {
        Start::Header { compression, .. } => compression,
        Start::Damaged(compression) => Some(compression),
        Start::Opaque | Start::Zeros => None,
    };
    let compression = compression.map(Compression::name).and_then(|name| name.parse().ok());
    Ok(WalEntry { name, size: metadata.len(), mtime, compression, encryption: None })
}

/// What a file is, as far as its beginning tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// It begins as its name says, and has the size that it says there.
    Sound,
    /// Nobody can look into it: damaged, unless it is listed in a form of which that is to be expected.
    Opaque,
    /// It is damaged, however it is listed.
    Damaged,
}

/// Looks at the beginning of a file. History files are looked at where they are read.
pub fn begins(name: WalName, file: &File) -> io::Result<Beginning> {
    let size = file.metadata()?.len();
    if let WalName::History(_) = name {
        return Ok(Beginning::Sound);
    }
    let start = Start::read(file)?;
    if let WalName::BackupLabel { .. } = name {
        let form = match start {
            Start::Damaged(compression) => WalForm::Compressed(compression),
            _ => WalForm::Plain,
        };
        let is_good = text(file, form)?.is_some_and(|text| tells(name, &text));
        return Ok(if is_good { Beginning::Sound } else { beginning(&start) });
    }
    let expected = Expected { system: None, segment_size: None, form: None };
    Ok(match check(name, size, &start, expected) {
        Ok(()) => Beginning::Sound,
        Err(_) => beginning(&start),
    })
}

/// What is not as its name says may still be what nobody can look into.
fn beginning(start: &Start) -> Beginning {
    match start {
        Start::Opaque | Start::Damaged(_) => Beginning::Opaque,
        Start::Header { .. } | Start::Zeros => Beginning::Damaged,
    }
}

/// Reads a file to its end: whether it is what its name and its line say. `expected` tells what a segment that begins so
/// must agree with; its form is that of the line. Errors are those of the system; damaged data is none.
pub fn verify(
    entry: &WalEntry,
    file: &File,
    expected: impl FnOnce(&Start) -> Expected,
) -> io::Result<Result<(), WalFault>> {
    let name = entry.name;
    let form = WalForm::listed(entry);
    let size = file.metadata()?.len();
    if matches!(name, WalName::History(_) | WalName::BackupLabel { .. }) {
        let is_good = form.is_hidden() || text(file, form)?.is_some_and(|text| tells(name, &text));
        return Ok(if is_good { Ok(()) } else { Err(WalFault::NotWal { name }) });
    }
    let start = Start::read(file)?;
    let expected = Expected { form: Some(form), ..expected(&start) };
    if let Err(fault) = check(name, size, &start, expected) {
        return Ok(Err(fault));
    }
    let Start::Header { header, compression: Some(compression) } = start else { return Ok(Ok(())) };
    let whole = u64::from(header.segment_size);
    let is_whole = match decompressed(compression, file, size, whole)? {
        Some(bytes) if matches!(name, WalName::Partial(_)) => bytes <= whole,
        bytes => bytes == Some(whole),
    };
    Ok(if is_whole { Ok(()) } else { Err(WalFault::Damaged { name }) })
}

/// Whether a WAL file is whole, and how it is stored: its beginning is that of its name, and it has the size of a
/// segment, or decompresses to just as much. `None` when it is not, or when nobody can look into it.
pub fn read_to_the_end(name: WalName, file: &File) -> io::Result<Option<Option<Compression>>> {
    let size = file.metadata()?.len();
    let start = Start::read(file)?;
    let expected = Expected { system: None, segment_size: None, form: None };
    let Start::Header { header, compression } = start else { return Ok(None) };
    if check(name, size, &start, expected).is_err() {
        return Ok(None);
    }
    let whole = u64::from(header.segment_size);
    let stored = match compression {
        None => Some(size),
        Some(compression) => decompressed(compression, file, size, whole)?,
    };
    Ok((stored == Some(whole)).then_some(compression))
}

/// How much comes out of a compressed file, as far as one byte more than `most`. `None` when it is damaged, or longer than
/// it could be for so much.
fn decompressed(compression: Compression, mut file: &File, size: u64, most: u64) -> io::Result<Option<u64>> {
    if size > most.saturating_mul(MOST_GROWTH) {
        return Ok(None);
    }
    file.rewind()?;
    let decoder = compression.decoder(io::BufReader::new(file));
    undamaged(decoder.and_then(|decoder| io::copy(&mut decoder.take(most + 1), &mut io::sink())))
}

/// The text of a small file that is stored in this form; `None` when that is not what it is.
fn text(mut file: &File, form: WalForm) -> io::Result<Option<Vec<u8>>> {
    file.rewind()?;
    let mut stored = Vec::new();
    file.take(MOST_TEXT).read_to_end(&mut stored)?;
    let found = WalForm::found(Compression::detect(&stored));
    match found {
        _ if found != form => Ok(None),
        WalForm::Compressed(compression) => {
            let mut bytes = Vec::new();
            let decoder = compression.decoder(stored.as_slice());
            let read = decoder.and_then(|decoder| decoder.take(MOST_TEXT).read_to_end(&mut bytes));
            Ok(undamaged(read)?.map(|_| bytes))
        }
        _ => Ok(Some(stored)),
    }
}

/// Decoders report damage as errors too; only the system's have numbers.
fn undamaged<T>(decoded: io::Result<T>) -> io::Result<Option<T>> {
    match decoded {
        Ok(decoded) => Ok(Some(decoded)),
        Err(error) if error.raw_os_error().is_some() => Err(error),
        Err(_) => Ok(None),
    }
}

/// Whether a text is what its name says.
fn tells(name: WalName, text: &[u8]) -> bool {
    match name {
        WalName::History(timeline) => {
            let history = HistoryFile::parse(timeline, text.len() as u64, text);
            history.ancestors.last().is_some_and(|(ancestor, _)| *ancestor < timeline)
        }
        WalName::BackupLabel { segment, .. } => is_label(text, segment),
        WalName::Segment(_) | WalName::Partial(_) => false,
    }
}

/// The backup history file that PostgreSQL archives when a backup ends (`xlogbackup.c`, `build_backup_content`).
fn is_label(text: &[u8], segment: Segment) -> bool {
    let text = String::from_utf8_lossy(text);
    let first = text.lines().next().unwrap_or_default();
    first.starts_with("START WAL LOCATION: ") && first.ends_with(&format!("(file {segment})"))
}

#[cfg(test)]
mod tests;
