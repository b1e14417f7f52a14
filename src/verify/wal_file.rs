//! A WAL file at the site: whether it is what its name says, and how xlog.db describes it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::barman::wal::WalName;
use crate::barman::wal_entry::{Mtime, WalEntry};

use super::wal_header::{Compression, Expected, Start, check};

/// What a file says of itself, as Barman's `rebuild-xlogdb` finds it: its size, its time, its compression by magic number.
pub fn describe(name: WalName, path: &Path) -> io::Result<WalEntry> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let seconds = metadata.modified()?.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let mtime = Mtime::new(seconds).ok_or_else(|| io::Error::other("its time of modification is impossible"))?;
    let compression = match Start::read(file)? {
        Start::Header { compression, .. } => compression,
        Start::Damaged(compression) => Some(compression),
        Start::Opaque => None,
    };
    let compression = compression.map(Compression::barman_name).and_then(|name| name.parse().ok());
    Ok(WalEntry { name, size: metadata.len(), mtime, compression, encryption: None })
}

/// Whether a WAL file is whole, and how it is stored: its beginning is that of its name, and it has the size of a
/// segment, or decompresses to just as much. `None` when it is not, or when nobody can look into it.
pub fn read_to_the_end(name: WalName, path: &Path) -> io::Result<Option<Option<Compression>>> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let start = Start::read(&file)?;
    let expected = Expected { system: None, segment_size: None };
    let Start::Header { header, compression } = start else { return Ok(None) };
    if check(name, size, &start, expected).is_err() {
        return Ok(None);
    }
    let whole = u64::from(header.segment_size);
    let stored = match compression {
        None => size,
        Some(compression) => match decompressed(compression, path, whole) {
            Ok(bytes) => bytes,
            // Decoders report damage as errors too; only the system's have numbers.
            Err(error) if error.raw_os_error().is_some() => return Err(error),
            Err(_) => return Ok(None),
        },
    };
    Ok((stored == whole).then_some(compression))
}

/// How much comes out of a compressed file, as far as one byte more than this.
fn decompressed(compression: Compression, path: &Path, most: u64) -> io::Result<u64> {
    let decoder = compression.decoder(io::BufReader::new(File::open(path)?))?;
    io::copy(&mut decoder.take(most + 1), &mut io::sink())
}
