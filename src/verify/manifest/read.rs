//! The streaming reader of a manifest's JSON.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Manifest, ManifestError, ManifestFile, WalNeed, path_fault};
use crate::barman::ids::SystemId;
use crate::barman::wal::{Lsn, Timeline};
use crate::verify::checksum::{Checksum, decode_hex};

/// The memory that a file takes besides its path.
const BESIDES_PATH: u64 = 140;

/// Reads what takes no more memory than there is room for, and takes it from that.
pub(super) fn read(source: impl Read, room: &mut u64) -> Result<Manifest, ManifestError> {
    let problem = RefCell::new(None);
    let manifest = Root(&problem, room).deserialize(&mut serde_json::Deserializer::from_reader(source));
    // serde's errors are texts; a typed one is kept aside.
    manifest.map_err(|error| problem.take().unwrap_or_else(|| shape_error(&error)))
}

fn shape_error(error: &serde_json::Error) -> ManifestError {
    ManifestError::Shape(error.to_string().chars().filter(|c| !c.is_control()).take(300).collect())
}

type Problem = RefCell<Option<ManifestError>>;

struct Root<'p, 'r>(&'p Problem, &'r mut u64);

#[derive(Deserialize)]
#[serde(field_identifier)]
enum Key {
    #[serde(rename = "PostgreSQL-Backup-Manifest-Version")]
    Version,
    #[serde(rename = "System-Identifier")]
    System,
    Files,
    #[serde(rename = "WAL-Ranges")]
    WalRanges,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for Root<'_, '_> {
    type Value = Manifest;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Manifest, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Root<'_, '_> {
    type Value = Manifest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a backup manifest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Manifest, A::Error> {
        let mut manifest = Manifest::default();
        while let Some(key) = map.next_key()? {
            match key {
                Key::Version => manifest.version = map.next_value()?,
                Key::System => manifest.system = Some(SystemId(map.next_value()?)),
                Key::Files => map.next_value_seed(Files(self.0, &mut manifest, self.1))?,
                Key::WalRanges => {
                    let ranges: Vec<RawRange> = map.next_value()?;
                    manifest.wal_ranges = ranges.into_iter().map(RawRange::into_need).collect();
                }
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        match manifest.version {
            1 | 2 => Ok(manifest),
            other => Err(A::Error::custom(format_args!("version {other} is not known, 1 and 2 are"))),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawRange {
    timeline: u32,
    #[serde(rename = "Start-LSN")]
    start: Lsn,
    #[serde(rename = "End-LSN")]
    end: Lsn,
}

impl RawRange {
    fn into_need(self) -> WalNeed {
        WalNeed { timeline: Timeline(self.timeline), start: self.start, end: self.end }
    }
}

/// Reads the files one by one into a manifest, as long as there is room.
struct Files<'p, 'm>(&'p Problem, &'m mut Manifest, &'m mut u64);

impl<'de> DeserializeSeed<'de> for Files<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Files<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of files")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(raw) = seq.next_element::<RawFile>()? {
            let path = raw.path().ok_or_else(|| A::Error::custom("a file has no path"))?;
            if let Some(why) = path_fault(&path) {
                self.0.replace(Some(ManifestError::Path { path, why }));
                return Err(A::Error::custom(why));
            }
            let file = raw.file().map_err(|why| A::Error::custom(format_args!("{}: {why}", path.display())))?;
            let takes = BESIDES_PATH + path.as_os_str().len() as u64;
            let Some(left) = self.2.checked_sub(takes) else {
                self.0.replace(Some(ManifestError::TooLong));
                return Err(A::Error::custom("it is too long"));
            };
            *self.2 = left;
            if self.1.files.insert(path.clone(), file).is_some() {
                self.0.replace(Some(ManifestError::Path { path, why: "it is listed twice" }));
                return Err(A::Error::custom("a path is listed twice"));
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawFile<'a> {
    #[serde(borrow, default)]
    path: Option<Cow<'a, str>>,
    /// A path that is not UTF-8, in hexadecimal.
    #[serde(borrow, default, rename = "Encoded-Path")]
    encoded_path: Option<Cow<'a, str>>,
    size: u64,
    #[serde(borrow, rename = "Last-Modified")]
    last_modified: Cow<'a, str>,
    #[serde(borrow, default, rename = "Checksum-Algorithm")]
    algorithm: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    checksum: Option<Cow<'a, str>>,
}

impl RawFile<'_> {
    fn path(&self) -> Option<PathBuf> {
        match (&self.path, &self.encoded_path) {
            (Some(path), None) => Some(PathBuf::from(path.as_ref())),
            (None, Some(hex)) => Some(PathBuf::from(OsString::from_vec(decode_hex(hex)?))),
            _ => None,
        }
    }

    fn file(&self) -> Result<ManifestFile, &'static str> {
        let mtime = parse_mtime(&self.last_modified).ok_or("its time is no date such as 2026-11-22 12:59:10 GMT")?;
        Ok(ManifestFile { size: self.size, mtime, checksum: self.checksum()? })
    }

    fn checksum(&self) -> Result<Option<Checksum>, &'static str> {
        let (Some(algorithm), Some(hex)) = (&self.algorithm, &self.checksum) else { return Ok(None) };
        if algorithm.eq_ignore_ascii_case("NONE") {
            return Ok(None);
        }
        let algorithm = algorithm.parse().map_err(|()| "its checksum algorithm is not known")?;
        Checksum::from_hex(algorithm, hex).map(Some).ok_or("its checksum is malformed")
    }
}

/// `2026-11-22 12:59:10 GMT`
fn parse_mtime(text: &str) -> Option<Timestamp> {
    let clock = text.strip_suffix(" GMT")?;
    let civil = DateTime::strptime("%Y-%m-%d %H:%M:%S", clock).ok()?;
    Offset::UTC.to_timestamp(civil).ok()
}
