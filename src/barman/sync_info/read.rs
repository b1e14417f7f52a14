//! The streaming reader of sync-info's JSON: one visitor per object, and a trace that knows where it is.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::frame::excerpt;
use super::{SyncConfig, SyncInfo, SyncInfoError};
use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::{BackupId, InvalidId};
use crate::barman::python_literal::{Allowance, Literal};
use crate::barman::wal_entry::{Mtime, WalEntry};

pub(super) fn read(json: &[u8]) -> Result<SyncInfo, SyncInfoError> {
    let trace = Trace::default();
    // `end` is not called: noise may follow.
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let info = Object(&trace, Top).deserialize(&mut deserializer);
    info.map_err(|error| trace.explain(&error, json.len()))
}

/// Where the reader is, and what it found wrong there. serde's errors are texts; this keeps them typed.
#[derive(Default)]
struct Trace {
    spot: Cell<Spot>,
    invalid: RefCell<Option<InvalidId>>,
}

#[derive(Clone, Copy, Default)]
enum Spot {
    #[default]
    Top,
    Key(&'static str),
    Backup(BackupId),
    Wal(usize, &'static str),
    Config(&'static str),
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => f.write_str("(top level)"),
            Self::Key(key) => f.write_str(key),
            Self::Backup(id) => write!(f, "backups.{id}"),
            Self::Wal(index, "") => write!(f, "wals[{index}]"),
            Self::Wal(index, key) => write!(f, "wals[{index}].{key}"),
            Self::Config(key) => write!(f, "config.{key}"),
        }
    }
}

impl Trace {
    fn at(&self, spot: Spot) {
        self.spot.set(spot);
    }

    /// Keeps what is wrong with a name and ends the reading.
    fn refuse<E: serde::de::Error>(&self, invalid: InvalidId) -> E {
        let error = E::custom(&invalid);
        self.invalid.replace(Some(invalid));
        error
    }

    fn explain(&self, error: &serde_json::Error, bytes: usize) -> SyncInfoError {
        let at = self.spot.get().to_string();
        if let Some(invalid) = self.invalid.take() {
            return SyncInfoError::InvalidName { at, invalid };
        }
        let why = excerpt(&error.to_string());
        match error.classify() {
            Category::Eof => SyncInfoError::CutOff { bytes },
            Category::Data => SyncInfoError::Shape { at, why },
            Category::Syntax | Category::Io => {
                SyncInfoError::Malformed { line: error.line(), column: error.column(), why }
            }
        }
    }
}

/// One kind of JSON object: how each of its keys is taken.
trait Shape {
    type Value;
    const EXPECTED: &'static str;
    fn read<'de, A: MapAccess<'de>>(self, trace: &Trace, map: A) -> Result<Self::Value, A::Error>;
}

/// Reads an object of the given shape.
struct Object<'t, S>(&'t Trace, S);

impl<'de, S: Shape> DeserializeSeed<'de> for Object<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, S: Shape> Visitor<'de> for Object<'_, S> {
    type Value = S::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(S::EXPECTED)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<S::Value, A::Error> {
        self.1.read(self.0, map)
    }
}

/// The answer itself.
struct Top;

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum TopKey {
    LastPosition,
    LastName,
    Backups,
    Wals,
    Version,
    Config,
    #[serde(other)]
    Other,
}

impl Shape for Top {
    type Value = SyncInfo;
    const EXPECTED: &'static str = "the object that sync-info prints";

    fn read<'de, A: MapAccess<'de>>(self, trace: &Trace, mut map: A) -> Result<SyncInfo, A::Error> {
        let mut info = SyncInfo::default();
        let (mut backups, mut wals) = (false, false);
        while let Some(key) = map.next_key()? {
            match key {
                TopKey::LastPosition => {
                    trace.at(Spot::Key("last_position"));
                    info.last_position = map.next_value()?;
                }
                TopKey::LastName => {
                    trace.at(Spot::Key("last_name"));
                    info.last_name = map.next_value_seed(Name::new(trace))?;
                }
                TopKey::Backups => {
                    trace.at(Spot::Key("backups"));
                    info.backups =
                        map.next_value_seed(Object(trace, Backups(Allowance::new(MOST_VALUES, MOST_TEXT))))?;
                    backups = true;
                }
                TopKey::Wals => {
                    trace.at(Spot::Key("wals"));
                    info.wals = map.next_value_seed(Wals(trace))?;
                    wals = true;
                }
                TopKey::Version => {
                    trace.at(Spot::Key("version"));
                    info.version = map.next_value_seed(Name::new(trace))?;
                }
                TopKey::Config => {
                    trace.at(Spot::Key("config"));
                    info.config = map.next_value_seed(Object(trace, Config))?;
                }
                TopKey::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        trace.at(Spot::Top);
        if backups && wals { Ok(info) } else { Err(A::Error::custom("the keys `backups` and `wals` are required")) }
    }
}

/// Keys and values of all backups: more than those of fifty thousand have.
const MOST_VALUES: usize = 3 << 20;
/// Bytes of their texts.
const MOST_TEXT: usize = 64 << 20;
/// WAL files in an answer. Where there are more, they are known by xlog.db.
const MOST_WALS: usize = 2 << 20;

/// The map of backups by id.
struct Backups(Allowance);

impl Shape for Backups {
    type Value = std::collections::BTreeMap<BackupId, BackupInfo>;
    const EXPECTED: &'static str = "a map of backups by their ids";

    fn read<'de, A: MapAccess<'de>>(self, trace: &Trace, mut map: A) -> Result<Self::Value, A::Error> {
        let mut backups = Self::Value::new();
        while let Some(id) = map.next_key_seed(Name::new(trace))? {
            let id = id.ok_or_else(|| A::Error::custom("a backup has no id"))?;
            trace.at(Spot::Backup(id));
            backups.insert(id, map.next_value_seed(Object(trace, Backup(&self.0)))?);
            trace.at(Spot::Key("backups"));
        }
        Ok(backups)
    }
}

/// One backup.
struct Backup<'a>(&'a Allowance);

impl Shape for Backup<'_> {
    type Value = BackupInfo;
    const EXPECTED: &'static str = "a backup";

    fn read<'de, A: MapAccess<'de>>(self, _: &Trace, mut map: A) -> Result<BackupInfo, A::Error> {
        let mut info = BackupInfo::default();
        while let Some(key) = map.next_key_seed(self.0.text())? {
            let value = map.next_value_seed(self.0.literal())?;
            info.set_from_json(&key, &value);
        }
        Ok(info)
    }
}

/// The list of WAL files.
struct Wals<'t>(&'t Trace);

impl<'de> DeserializeSeed<'de> for Wals<'_> {
    type Value = Vec<WalEntry>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<WalEntry>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Wals<'_> {
    type Value = Vec<WalEntry>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of WAL files")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<WalEntry>, A::Error> {
        let mut wals = Vec::new();
        loop {
            self.0.at(Spot::Wal(wals.len(), ""));
            match seq.next_element_seed(Object(self.0, Wal(wals.len())))? {
                Some(_) if wals.len() == MOST_WALS => {
                    return Err(A::Error::custom(format_args!("more than {MOST_WALS} WAL files")));
                }
                Some(wal) => wals.push(wal),
                None => return Ok(wals),
            }
        }
    }
}

/// One WAL file, with its place in the list.
struct Wal(usize);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum WalKey {
    Name,
    Size,
    Time,
    Compression,
    Encryption,
    #[serde(other)]
    Other,
}

impl Shape for Wal {
    type Value = WalEntry;
    const EXPECTED: &'static str = "a WAL file";

    fn read<'de, A: MapAccess<'de>>(self, trace: &Trace, mut map: A) -> Result<WalEntry, A::Error> {
        let (mut name, mut size, mut time, mut compression, mut encryption) = (None, None, None, None, None);
        let at = |key| trace.at(Spot::Wal(self.0, key));
        while let Some(key) = map.next_key()? {
            match key {
                WalKey::Name => {
                    at("name");
                    name = map.next_value_seed(Name::new(trace))?;
                }
                WalKey::Size => {
                    at("size");
                    size = Some(map.next_value()?);
                }
                WalKey::Time => {
                    at("time");
                    time = Mtime::new(map.next_value()?);
                }
                WalKey::Compression => {
                    at("compression");
                    compression = map.next_value_seed(Name::new(trace))?;
                }
                WalKey::Encryption => {
                    at("encryption");
                    encryption = map.next_value_seed(Name::new(trace))?;
                }
                WalKey::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        at("");
        let (Some(name), Some(size), Some(mtime)) = (name, size, time) else {
            return Err(A::Error::custom("the keys `name`, `size` and `time` are required"));
        };
        Ok(WalEntry { name, size, mtime, compression, encryption })
    }
}

/// The server's configuration, of which little is kept.
struct Config;

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum ConfigKey {
    Name,
    Active,
    BackupDirectory,
    BasebackupsDirectory,
    WalsDirectory,
    XlogdbDirectory,
    StreamingWalsDirectory,
    Compression,
    BackupMethod,
    BackupCompression,
    RetentionPolicy,
    #[serde(other)]
    Other,
}

impl Shape for Config {
    type Value = SyncConfig;
    const EXPECTED: &'static str = "the configuration of a server";

    fn read<'de, A: MapAccess<'de>>(self, trace: &Trace, mut map: A) -> Result<SyncConfig, A::Error> {
        let mut config = SyncConfig::default();
        while let Some(key) = map.next_key()? {
            config.read_key(&key, trace, &mut map)?;
        }
        Ok(config)
    }
}

impl SyncConfig {
    fn read_key<'de, A: MapAccess<'de>>(
        &mut self,
        key: &ConfigKey,
        trace: &Trace,
        map: &mut A,
    ) -> Result<(), A::Error> {
        let at = |key| trace.at(Spot::Config(key));
        match key {
            ConfigKey::Name => {
                at("name");
                self.name = map.next_value_seed(Name::new(trace))?;
            }
            ConfigKey::Active => {
                at("active");
                self.active = map.next_value()?;
            }
            ConfigKey::BackupDirectory => {
                at("backup_directory");
                self.backup_directory = map.next_value_seed(Name::new(trace))?;
            }
            ConfigKey::BasebackupsDirectory => {
                at("basebackups_directory");
                self.basebackups_directory = map.next_value_seed(Name::new(trace))?;
            }
            ConfigKey::WalsDirectory => {
                at("wals_directory");
                self.wals_directory = map.next_value_seed(Name::new(trace))?;
            }
            ConfigKey::XlogdbDirectory => {
                at("xlogdb_directory");
                self.xlogdb_directory = map.next_value_seed(Name::new(trace))?;
            }
            ConfigKey::StreamingWalsDirectory => {
                at("streaming_wals_directory");
                self.streaming_wals_directory = map.next_value_seed(Name::new(trace))?;
            }
            ConfigKey::Compression => {
                at("compression");
                self.compression = map.next_value_seed(Name::new(trace))?;
            }
            ConfigKey::BackupMethod => self.backup_method = text(map)?,
            ConfigKey::BackupCompression => self.backup_compression = text(map)?,
            ConfigKey::RetentionPolicy => self.retention_policy = text(map)?,
            ConfigKey::Other => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// A text that is only shown: made harmless, and left out if it is none.
fn text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<String>, A::Error> {
    let few = Allowance::new(1 << 10, 64 << 10);
    Ok(match map.next_value_seed(few.literal())? {
        Literal::Str(text) if !text.is_empty() => Some(excerpt(&text)),
        _ => None,
    })
}

/// Reads a string into a checked type; null and the empty string are `None`.
struct Name<'t, T>(&'t Trace, PhantomData<T>);

impl<'t, T> Name<'t, T> {
    fn new(trace: &'t Trace) -> Self {
        Self(trace, PhantomData)
    }
}

impl<'de, T: FromStr<Err = InvalidId>> DeserializeSeed<'de> for Name<'_, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T: FromStr<Err = InvalidId>> Visitor<'_> for Name<'_, T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or null")
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Option<T>, E> {
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|invalid| self.0.refuse(invalid))
    }
}
