//! The texts of a site file that mean more than themselves: `2h 30m`, `80MiB/s`, `25%`.
//!
//! Each is one type with one parser, which says what is wrong with a text and what to write instead,
//! and one pattern, with which an editor finds most of the same mistakes while the file is written.

mod drills;
mod names;
mod sizes;
mod ssh;
mod times;
mod web;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Value, json};

pub(super) use drills::{SettingName, Text};
pub(super) use names::{
    AbsolutePath, Accepted, Barman, Command, HomePath, LocalServer, Name, RemotePath, ServerPattern, System,
};
pub(super) use sizes::{Percent, Rate, Reserve};
pub(super) use ssh::{Destination, Jump, OptionName, OptionValue, Salvaged, SshCommand, check_option, option_groups};
pub(super) use times::{Cron, Interval, Length, Objective, ReadEvery, Retention, Zone};
pub(super) use web::Webhook;

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
    /// The types that the file may use for it, and their bounds, as JSON Schema says it.
    fn types() -> Value {
        json!({ "type": "string" })
    }
}

/// Inside the brackets of a pattern: what `is_unprintable` finds.
const UNPRINTABLE: &str = r"\u0000-\u001f\u007f-\u009f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb";

/// A pattern for a word in any case: JSON Schema has no flag for it.
fn any_case(word: &str) -> String {
    let class =
        |c: char| if c.is_ascii_alphabetic() { format!("[{}{c}]", c.to_ascii_uppercase()) } else { c.to_string() };
    word.chars().map(class).collect()
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
                    let mut schema = json_schema!({ "format": Self::FORMAT, "pattern": Self::pattern() });
                    if let Value::Object(types) = Self::types() {
                        types.into_iter().for_each(|(keyword, value)| drop(schema.insert(keyword, value)));
                    }
                    schema
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
    Accepted,
    Barman,
    Command,
    Cron,
    Destination,
    HomePath,
    Jump,
    Length,
    LocalServer,
    Name,
    Objective,
    Interval,
    ReadEvery,
    OptionName,
    OptionValue,
    Percent,
    Rate,
    RemotePath,
    Reserve,
    Retention,
    ServerPattern,
    SettingName,
    SshCommand,
    System,
    Text,
    Webhook,
    Zone,
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::barman::ids::is_unprintable;

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
            "..",
            "/..",
            "all",
            "barman",
            "\u{a0}",
            "\u{200b}",
            "ControlPath",
            "requesttty",
            "18446744073709551615",
            "18446744073709551616",
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

    // Where a quote is closed in the words of a shell, and what each flag of ssh means, is more than a pattern can tell.
    patterns_agree!(
        AbsolutePath true,
        Accepted false,
        Barman true,
        Command false,
        Destination true,
        HomePath true,
        Jump true,
        Length true,
        LocalServer true,
        Name true,
        Objective true,
        Interval true,
        ReadEvery true,
        OptionName true,
        OptionValue true,
        Percent true,
        Rate true,
        RemotePath true,
        Retention true,
        ServerPattern true,
        SettingName true,
        SshCommand false,
        System true,
        Text true,
    );

    #[test]
    fn what_a_pattern_calls_unprintable_is_what_the_parsers_do() {
        let class = jsonschema::validator_for(&json!({ "pattern": format!("^[{UNPRINTABLE}]$") })).unwrap();
        for c in '\0'..='\u{ffff}' {
            assert_eq!(class.is_valid(&Value::from(c.to_string())), is_unprintable(c), "{c:?}");
        }
    }
}
