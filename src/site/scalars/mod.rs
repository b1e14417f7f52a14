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
pub(super) use ssh::{Destination, Jump, OptionName, OptionValue, Salvaged, SshCommand, check_option, option_groups};
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// Texts near to what the scalars look like.
    fn near_misses() -> impl Strategy<Value = String> {
        let word = prop::sample::select(vec![
            "0",
            "1",
            "7",
            "15",
            "100",
            "101",
            "00",
            "999999",
            "1234567",
            ".",
            "5",
            " ",
            "  ",
            "-",
            "%",
            "/s",
            "s",
            "m",
            "h",
            "d",
            "w",
            "month",
            "months",
            "day",
            "MiB/s",
            "MB/s",
            "kB/s",
            "MiB",
            "b/s",
            "unlimited",
            "none",
            "auto",
            "3.12",
            "REDUNDANCY",
            "Recovery Window Of",
            "weeks",
            "MONTH",
            "a",
            "Z",
            "_",
            "~",
            "/",
            "ä",
            ",",
            "'",
            "\\",
            "\n",
            "@",
            ":",
        ]);
        prop::collection::vec(word, 0..6).prop_map(|words| words.concat())
    }

    fn pattern<T: Scalar>() -> jsonschema::Validator {
        jsonschema::validator_for(&json!({ "pattern": T::pattern() })).unwrap()
    }

    /// Whether what a pattern says of some text is compatible with what the parser says.
    fn agree<T: Scalar>(pattern: &jsonschema::Validator, text: &str, exact: bool) -> bool {
        let (looks, is) = (pattern.is_valid(&Value::from(text)), T::parse(text).is_ok());
        if exact { looks == is } else { looks || !is }
    }

    macro_rules! patterns_agree {
        ($($name:ident $exact:literal),+ $(,)?) => {
            #[test]
            fn a_pattern_never_refuses_what_the_parser_takes_and_most_are_exact() {
                $(
                    let validator = pattern::<$name>();
                    proptest!(|(text in near_misses())| prop_assert!(agree::<$name>(&validator, &text, $exact), "{} {text:?}", $name::FORMAT));
                )+
            }
        };
    }

    patterns_agree!(
        AbsolutePath false,
        Barman true,
        Command false,
        Destination false,
        HomePath false,
        Jump false,
        Length true,
        LocalServer false,
        Name true,
        Objective true,
        OptionName false,
        OptionValue false,
        Percent true,
        Rate true,
        RemotePath false,
        Retention true,
        ServerPattern false,
        SshCommand false,
        System false,
    );
}
