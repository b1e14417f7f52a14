//! The texts of a site file that mean more than themselves: `2h 30m`, `80MiB/s`, `25%`.
//!
//! Each is one type with one parser, which says what is wrong with a text and what to write instead,
//! and one pattern, with which an editor finds most of the same mistakes while the file is written.

mod names;
mod sizes;
mod ssh;
mod times;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};

pub(super) use names::{AbsolutePath, Barman, Command, HomePath, LocalServer, Name, RemotePath, ServerPattern, System};
pub(super) use sizes::{Percent, Rate};
pub(super) use ssh::{Destination, Jump, OptionName, OptionValue, SshCommand, check_option};
pub(super) use times::{Length, Objective, Retention};

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// One sentence without a full stop.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl Mistake {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

/// A text with a meaning.
pub(super) trait Scalar: Sized {
    /// Its name in the schema's `format`, by which the reader finds the parser.
    const FORMAT: &'static str;
    /// What a text looks like; where it cannot be exact it lets through more than the parser.
    fn pattern() -> String;
    /// The meaning of a text.
    fn parse(text: &str) -> Result<Self, Mistake>;
    /// The types of YAML that the file may use for it.
    fn types() -> &'static [&'static str] {
        &["string"]
    }
}

/// Gives every scalar its place in serde, in the schema and in `check`.
macro_rules! scalars {
    ($($name:ident),+ $(,)?) => {
        $(
            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = String::deserialize(deserializer)?;
                    Self::parse(&text).map_err(|mistake| D::Error::custom(mistake.message))
                }
            }

            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    Self::FORMAT.into()
                }

                fn inline_schema() -> bool {
                    true
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!({ "type": Self::types(), "format": Self::FORMAT, "pattern": Self::pattern() })
                }
            }
        )+

        /// Judges a text by the format that the schema gives it; `None` when the format is not one of ours.
        pub(super) fn check(format: &str, text: &str) -> Option<Result<(), Mistake>> {
            match format {
                $(<$name as Scalar>::FORMAT => Some($name::parse(text).map(drop)),)+
                _ => None,
            }
        }
    };
}

scalars!(
    AbsolutePath,
    Barman,
    Command,
    Destination,
    HomePath,
    Jump,
    Length,
    LocalServer,
    Name,
    Objective,
    OptionName,
    OptionValue,
    Percent,
    Rate,
    RemotePath,
    Retention,
    ServerPattern,
    SshCommand,
    System,
);
