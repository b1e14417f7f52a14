//! Files that cost little: the same bytes each time, and no disk for the zeros in them.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::str::FromStr;
use std::time::SystemTime;

use jiff::Timestamp;

/// What a file system stores at once: a hole is at least as long.
const BLOCK: usize = 4096;
const ZEROS: [u8; BLOCK] = [0; BLOCK];

/// Writes a file with its directories. Blocks of zeros become holes.
pub fn write(path: &Path, content: &[u8], modified: Timestamp) -> io::Result<()> {
    if let Some(above) = path.parent() {
        fs::create_dir_all(above)?;
    }
    let file = File::create(path)?;
    file.set_len(content.len() as u64)?;
    for (offset, block) in (0..).step_by(BLOCK).zip(content.chunks(BLOCK)) {
        if !ZEROS.starts_with(block) {
            file.write_all_at(block, offset)?;
        }
    }
    file.set_modified(SystemTime::from(modified))
}

/// Bytes that look like data: they do not compress, and the same seed gives the same.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    // xorshift64; an odd start is never the zero that it would stay at.
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A text of our own as the type that it stands for.
pub fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(text: &str) -> io::Result<T> {
    text.parse().map_err(io::Error::other)
}
