//! Which values of a server's configuration hold secrets, and what is shown of them.
//!
//! The shape of each value stays, so that a Barman which reads the answer finds a text where it expects one.

use crate::barman::python_literal::Literal;
use crate::barman::secret::{MASK, without_command_secrets, without_passwords};

/// A value as it may leave this host.
pub fn redacted(key: &str, value: &Literal) -> Literal {
    let Literal::Str(text) = value else { return value.clone() };
    Literal::Str(match key {
        // Whatever the command is, its purpose is to print the secret.
        "encryption_passphrase_command" => MASK.to_owned(),
        key if key.ends_with("_command") || key.ends_with("_script") || key.ends_with("_filter") => {
            without_command_secrets(text)
        }
        _ => without_passwords(text),
    })
}
