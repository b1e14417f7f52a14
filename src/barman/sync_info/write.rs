//! The writer of sync-info's JSON, as Python's `json.dumps(indent=4, sort_keys=False)` prints it.
//!
//! WAL files are put into words a part at a time, by all processors, and written in their order: a list of millions is
//! never held.

use std::collections::BTreeMap;
use std::io::{self, Write};

use rayon::prelude::*;
use serde::ser::{Serialize, Serializer};
use serde_json::ser::Formatter;

use crate::barman::backup_info::BackupInfo;
use crate::barman::backup_info::FieldError;
use crate::barman::ids::BackupId;
use crate::barman::python_float::python_repr;
use crate::barman::server_config::ServerConfig;
use crate::barman::version::BarmanVersion;
use crate::barman::xlogdb::FIVE_FIELDS;

use super::listing::Listing;

/// How many bytes of the list one processor puts into words at a time: what they become stays in its cache until it is
/// written.
const PART: usize = 64 << 10;
/// How many of these parts are put into words while as many are written.
const PARTS_AT_ONCE: usize = 8;

/// What a primary says of one of its servers.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The version whose answer it is.
    pub version: BarmanVersion,
    /// The backups that are told of, see [`is_told`](super::listing::is_told).
    pub backups: BTreeMap<BackupId, BackupInfo>,
    /// The WAL files.
    pub wals: Listing<'a>,
    /// The server's configuration.
    pub config: &'a ServerConfig,
}

/// An answer cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A value of a backup makes no sense, to Barman neither.
    #[error("backup {id}: {source}")]
    Backup {
        /// The backup.
        id: BackupId,
        /// The value.
        source: FieldError,
    },
    /// Where it is written to, it cannot.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Answer<'_> {
    /// Writes the JSON and a line break.
    pub fn write(&self, mut out: impl Write + Send) -> Result<(), WriteError> {
        let backups = self.backups.iter().map(|(id, info)| {
            let fields = info.to_json(*id, self.version).map_err(|source| WriteError::Backup { id: *id, source })?;
            Ok((id.as_str(), Object(fields)))
        });
        let backups = Object(backups.collect::<Result<_, WriteError>>()?);
        let last_name = self.wals.last_name().map(|name| name.to_string()).unwrap_or_default();
        out.write_all(b"{")?;
        member(&mut out, "\n", "last_position", &self.wals.last_position())?;
        member(&mut out, ",\n", "last_name", &last_name)?;
        member(&mut out, ",\n", "backups", &backups)?;
        out.write_all(b",\n    \"wals\": ")?;
        self.write_wals(&mut out)?;
        member(&mut out, ",\n", "version", &self.version.to_string())?;
        member(&mut out, ",\n", "config", &Object(self.config.redacted().collect()))?;
        out.write_all(b"\n}\n")?;
        Ok(())
    }

    /// Writes the list of WAL files: while some of it is written, what follows is put into words by all processors.
    fn write_wals(&self, out: &mut (impl Write + Send)) -> io::Result<()> {
        let has_encryption = self.version >= FIVE_FIELDS;
        let tell = |(text, part): (&mut Vec<u8>, &Listing<'_>)| {
            text.clear();
            part.for_each(|words| words.push(text, has_encryption));
        };
        let parts = self.wals.parts(PART);
        let mut between = Between::default();
        let (mut told, mut next) = (Vec::<Vec<u8>>::new(), Vec::new());
        for group in parts.chunks(PARTS_AT_ONCE) {
            next.resize_with(group.len(), Vec::new);
            let (written, ()) = rayon::join(
                || told.iter().try_for_each(|text| between.write(out, text)),
                || next.par_iter_mut().zip(group).for_each(tell),
            );
            written?;
            std::mem::swap(&mut told, &mut next);
        }
        told.iter().try_for_each(|text| between.write(out, text))?;
        between.end(out)
    }
}

/// Writes one member of the outermost object.
fn member<T: Serialize>(out: &mut impl Write, separator: &str, key: &str, value: &T) -> io::Result<()> {
    write!(out, "{separator}    \"{key}\": ")?;
    let mut serializer = serde_json::Serializer::with_formatter(out, PythonFormatter { depth: 1, is_empty: false });
    Ok(value.serialize(&mut serializer)?)
}

/// An object whose keys keep their order.
struct Object<K, V>(Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for Object<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// What stands before, between and behind the files of the list, each of which begins with a comma.
#[derive(Default)]
struct Between {
    has_begun: bool,
}

impl Between {
    fn write(&mut self, out: &mut impl Write, text: &[u8]) -> io::Result<()> {
        match text.strip_prefix(b",").filter(|_| !self.has_begun) {
            Some(first) => {
                self.has_begun = true;
                out.write_all(b"[")?;
                out.write_all(first)
            }
            None => out.write_all(text),
        }
    }

    fn end(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(if self.has_begun { b"\n    ]" } else { b"[]" })
    }
}

/// Four spaces, nothing but ASCII, and floats as Python writes them.
struct PythonFormatter {
    /// Of the values that are being written.
    depth: usize,
    /// Whether the innermost of them has nothing in it yet.
    is_empty: bool,
}

impl PythonFormatter {
    fn begin<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.is_empty = true;
        writer.write_all(bracket)
    }

    fn end<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if !self.is_empty {
            self.new_line(writer)?;
        }
        self.is_empty = false;
        writer.write_all(bracket)
    }

    fn begin_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        self.new_line(writer)
    }

    fn new_line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(b"    "))
    }
}

impl Formatter for PythonFormatter {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(python_repr(value).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.is_ascii() {
            return writer.write_all(fragment.as_bytes());
        }
        for c in fragment.chars() {
            if c.is_ascii() {
                writer.write_all(&[u8::try_from(c).unwrap_or(b'?')])?;
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.begin_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.is_empty = false;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.begin_value(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.is_empty = false;
        Ok(())
    }
}
