//! What drills are told: settings of PostgreSQL, and statements with their answers.

use serde_json::{Value, json};

use super::{Mistake, Scalar, UNPRINTABLE, any_case};
use crate::barman::ids::is_unprintable;
use crate::site::drills::{is_always, reserved};

/// The name of a setting of PostgreSQL that a drill may have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::site) struct SettingName(pub String);

impl Scalar for SettingName {
    const FORMAT: &'static str = "postgresql-setting";

    fn pattern() -> String {
        let always: Vec<String> = reserved().map(any_case).collect();
        let target = any_case("recovery_target");
        format!("^(?!({}|{target}.*)$)[A-Za-z_][A-Za-z0-9_.]*$", always.join("|"))
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !begins || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.') {
            return Err(Mistake::new(
                format!("{text:?} is not the name of a setting of PostgreSQL"),
                "as in `work_mem`",
            ));
        }
        if is_always(text) {
            let message =
                format!("`{text}` cannot be set for a drill, as it keeps its server apart from everything else");
            return Err(Mistake::new(message, "remove it"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A text on one line: a statement, an answer, a value. It may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::site) struct Text(pub String);

impl Scalar for Text {
    const FORMAT: &'static str = "text-on-a-line";

    fn pattern() -> String {
        format!("^[^{UNPRINTABLE}]*$")
    }

    fn types() -> Value {
        json!({ "type": ["string", "integer"] })
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        if text.chars().any(is_unprintable) {
            let help = "write it on one line; `>-` of YAML folds several into one";
            return Err(Mistake::new(format!("{text:?} has what cannot be printed on a line"), help));
        }
        Ok(Self(text.to_owned()))
    }
}
