//! The writer of sync-info's JSON, as Python's `json.dumps(indent=4, sort_keys=False)` prints it.
//!
//! WAL files are written one by one as they come: a list of millions is never held.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};
use serde_json::ser::{Formatter, PrettyFormatter};

use crate::barman::backup_info::BackupInfo;
use crate::barman::backup_info::FieldError;
use crate::barman::ids::BackupId;
use crate::barman::python_float::python_repr;
use crate::barman::server_config::ServerConfig;
use crate::barman::version::BarmanVersion;
use crate::barman::wal_entry::{CodecName, WalEntry};
use crate::barman::xlogdb::FIVE_FIELDS;

use super::listing::Listing;

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
    pub fn write(&self, mut out: impl Write) -> Result<(), WriteError> {
        let backups = self.backups.iter().map(|(id, info)| {
            let fields = info.to_json(*id, self.version).map_err(|source| WriteError::Backup { id: *id, source })?;
            Ok((id.as_str(), Object(fields)))
        });
        let answer = Body { answer: self, backups: Object(backups.collect::<Result<_, WriteError>>()?) };
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, PythonFormatter::default());
        answer.serialize(&mut serializer).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
        Ok(())
    }
}

struct Body<'a> {
    answer: &'a Answer<'a>,
    backups: Object<&'a str, Object<&'a str, crate::barman::python_literal::Literal>>,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Answer { version, wals, config, .. } = self.answer;
        let mut map = serializer.serialize_map(Some(6))?;
        map.serialize_entry("last_position", &wals.last_position())?;
        map.serialize_entry("last_name", &wals.last_name().map(|name| name.to_string()).unwrap_or_default())?;
        map.serialize_entry("backups", &self.backups)?;
        map.serialize_entry("wals", &Wals { listing: wals, encryption: *version >= FIVE_FIELDS })?;
        map.serialize_entry("version", &version.to_string())?;
        map.serialize_entry("config", &Object(config.redacted().collect()))?;
        map.end()
    }
}

/// An object whose keys keep their order.
struct Object<K, V>(Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for Object<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

struct Wals<'a> {
    listing: &'a Listing<'a>,
    encryption: bool,
}

impl Serialize for Wals<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.listing.entries().map(|entry| Wal { entry, encryption: self.encryption }))
    }
}

struct Wal {
    entry: WalEntry,
    encryption: bool,
}

impl Serialize for Wal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = &self.entry;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("compression", &entry.compression.as_ref().map(CodecName::as_str))?;
        if self.encryption {
            map.serialize_entry("encryption", &entry.encryption.as_ref().map(CodecName::as_str))?;
        }
        map.serialize_entry("name", &format_args!("{}", entry.name))?;
        map.serialize_entry("size", &entry.size)?;
        if !entry.mtime.seconds().is_finite() {
            return Err(S::Error::custom("a time is not finite"));
        }
        map.serialize_entry("time", &entry.mtime.seconds())?;
        map.end()
    }
}

/// Four spaces, nothing but ASCII, and floats as Python writes them.
struct PythonFormatter(PrettyFormatter<'static>);

impl Default for PythonFormatter {
    fn default() -> Self {
        Self(PrettyFormatter::with_indent(b"    "))
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
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}
