//! A WAL file at the site: whether it is what its name says, and how xlog.db describes it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::barman::wal::WalName;
use crate::barman::wal_entry::{Mtime, WalEntry};

use super::wal_header::{Compression, Start};

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
