//! Reading tar archives as `pg_basebackup` writes them: POSIX `ustar`, GNU's long names and large sizes, pax headers.
//!
//! Nothing is extracted. The archive is untrusted: a header must have its checksum, and the end must be there.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

const BLOCK: usize = 512;
/// More than a path or a pax header is long.
const MAX_NAME: u64 = 1 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A link or something else.
    Other,
}

/// An entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path, without `./` in front.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// The bytes of its content.
    pub size: u64,
}

/// Reads an archive entry by entry.
pub struct Reader<R> {
    source: R,
    /// Bytes of the current entry's content that were not read yet, and of what fills its last block.
    left: u64,
    padding: u64,
}

impl<R: Read> Reader<R> {
    /// A reader at the beginning of an archive.
    pub fn new(reader: R) -> Self {
        Self { source: reader, left: 0, padding: 0 }
    }

    /// The next entry; `None` at the mark of the archive's end. Content that was not read is passed over.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let mut long_name = None;
        loop {
            self.content(|_| {})?;
            let mut block = [0; BLOCK];
            self.source.read_exact(&mut block).map_err(cut_off)?;
            if block == [0; BLOCK] {
                return Ok(None);
            }
            let header = Header(&block);
            header.verify()?;
            self.left = header.size()?;
            self.padding = self.left.next_multiple_of(BLOCK as u64) - self.left;
            match header.kind() {
                b'L' => long_name = Some(until_nul(&self.small()?).to_vec()),
                b'x' => long_name = pax_path(&self.small()?).or(long_name),
                b'K' | b'g' => {}
                kind => {
                    let name = long_name.unwrap_or_else(|| header.name());
                    let kind = match kind {
                        b'0' | 0 if !name.ends_with(b"/") => EntryKind::File,
                        b'5' | b'0' | 0 => EntryKind::Directory,
                        _ => EntryKind::Other,
                    };
                    if kind != EntryKind::File {
                        // Some write a size for a link whose content is not there.
                        (self.left, self.padding) =
                            if kind == EntryKind::Other { (0, 0) } else { (self.left, self.padding) };
                    }
                    let path = Path::new(OsStr::from_bytes(&name));
                    let path = path.components().filter(|part| *part != Component::CurDir).collect();
                    return Ok(Some(Entry { path, kind, size: self.left }));
                }
            }
        }
    }

    /// Reads what is left of the current entry's content.
    pub fn content(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        while self.left + self.padding > 0 {
            let wanted = if self.left > 0 { self.left } else { self.padding };
            let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).min(buffer.len());
            let part = buffer.get_mut(..wanted).unwrap_or_default();
            self.source.read_exact(part).map_err(cut_off)?;
            if self.left > 0 {
                take(part);
                self.left -= part.len() as u64;
            } else {
                self.padding -= part.len() as u64;
            }
        }
        Ok(())
    }

    /// Reads on from the mark of the end to the end of the bytes, so that a compressed archive proves to be whole.
    pub fn finish(mut self) -> io::Result<()> {
        io::copy(&mut self.source, &mut io::sink()).map(|_| ())
    }

    fn small(&mut self) -> io::Result<Vec<u8>> {
        if self.left > MAX_NAME {
            return Err(io::Error::other("it has a name of more than 1 MiB"));
        }
        let mut bytes = Vec::new();
        self.content(|part| bytes.extend_from_slice(part))?;
        Ok(bytes)
    }
}

fn cut_off(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { io::Error::other("it is cut off") } else { error }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The `path` of a pax header, whose records are `LENGTH KEY=VALUE\n`.
fn pax_path(mut records: &[u8]) -> Option<Vec<u8>> {
    loop {
        let space = records.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(records.get(..space)?).ok()?.parse().ok()?;
        let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
        if let Some(path) = record.strip_prefix(b"path=") {
            return Some(path.to_vec());
        }
        records = records.get(length..)?;
    }
}

struct Header<'a>(&'a [u8; BLOCK]);

impl Header<'_> {
    fn field(&self, at: usize, length: usize) -> &[u8] {
        self.0.get(at..at + length).unwrap_or_default()
    }

    /// The sum of all bytes, with blanks for the sum itself.
    fn verify(&self) -> io::Result<()> {
        let sum: u64 = self.0.iter().map(|byte| u64::from(*byte)).sum();
        let own: u64 = self.field(148, 8).iter().map(|byte| u64::from(*byte)).sum();
        if octal(self.field(148, 8)) == Some(sum - own + 8 * u64::from(b' ')) {
            return Ok(());
        }
        Err(io::Error::other("what should be a header of a tar archive is none"))
    }

    fn kind(&self) -> u8 {
        self.field(156, 1).first().copied().unwrap_or_default()
    }

    /// In octal digits, or, with the first bit set, as a big-endian number (GNU, for 8 GiB and more).
    fn size(&self) -> io::Result<u64> {
        let field = self.field(124, 12);
        let size = match field.split_first() {
            Some((0x80, rest)) => {
                rest.iter().try_fold(0_u64, |sum, byte| Some(sum.checked_mul(256)? | u64::from(*byte)))
            }
            _ => octal(field),
        };
        size.filter(|size| *size <= u64::MAX / 2).ok_or_else(|| io::Error::other("a size in it makes no sense"))
    }

    fn name(&self) -> Vec<u8> {
        let name = until_nul(self.field(0, 100));
        let prefix = until_nul(self.field(345, 155));
        // GNU's form has other fields there.
        let is_posix = self.field(257, 6) == b"ustar\0";
        if is_posix && !prefix.is_empty() { [prefix, b"/", name].concat() } else { name.to_vec() }
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(until_nul(field)).ok()?.trim();
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// An archive by the system's tar.
    fn archive(directory: &Path, format: &str) -> Vec<u8> {
        let mut tar = Command::new("tar");
        let output =
            tar.arg(format!("--format={format}")).args(["--sort=name", "-cf", "-", "."]).current_dir(directory);
        output.stderr(Stdio::inherit()).output().unwrap().stdout
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<(Entry, usize)>> {
        let mut reader = Reader::new(bytes);
        let mut entries = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            let mut length = 0;
            reader.content(|part| length += part.len())?;
            entries.push((entry, length));
        }
        reader.finish()?;
        Ok(entries)
    }

    #[test]
    fn archives_of_every_form_are_read_to_their_end_and_no_shorter() {
        let directory = tempfile::tempdir().unwrap();
        let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
        std::fs::create_dir_all(directory.path().join(&long).parent().unwrap()).unwrap();
        for (name, size) in [(long.as_str(), 5), ("big", 100_000), ("empty", 0), ("exact", 512)] {
            std::fs::write(directory.path().join(name), vec![7; size]).unwrap();
        }
        std::os::unix::fs::symlink("big", directory.path().join("link")).unwrap();
        for format in ["gnu", "pax"] {
            let bytes = archive(directory.path(), format);
            let entries = read(&bytes).unwrap();
            let files: Vec<_> = entries.iter().filter(|(entry, _)| entry.kind == EntryKind::File).collect();
            let found: Vec<_> = files.iter().map(|(entry, length)| (entry.path.to_str().unwrap(), *length)).collect();
            assert_eq!(found, [("big", 100_000), (long.as_str(), 5), ("empty", 0), ("exact", 512)], "{format}");
            assert!(entries.iter().any(|(entry, _)| entry.kind == EntryKind::Other && entry.path == Path::new("link")));
            let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
            for cut in [0, 1, 511, 600, 50_000, end] {
                assert!(read(&bytes[..cut]).is_err(), "{format} cut to {cut}");
            }
            let mut changed = bytes.clone();
            changed[3] ^= 0x20;
            assert!(read(&changed).is_err());
        }
        assert!(read(&[0xA5; 2048]).is_err());
    }
}
