//! In what form a WAL file is stored, as a list says.
//!
//! The rule that is held here: what a list says of a file must be what its bytes are. Only of a form that nobody can look
//! into is the list believed; such a file is *unproven*, and is said to be.

use std::fmt;

use crate::barman::compression::Compression;
use crate::barman::wal_entry::{CodecName, WalEntry};

/// In what form a list says that a WAL file is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalForm {
    /// As PostgreSQL wrote it.
    Plain,
    /// In one of the formats that Barman knows.
    Compressed(Compression),
    /// Encrypted: nobody can look into it.
    Encrypted,
    /// Compressed in a way that only its owner can undo. It may still be one of the formats above.
    Custom,
}

impl WalForm {
    /// What a line of xlog.db says.
    pub fn listed(entry: &WalEntry) -> Self {
        Self::of(entry.compression, entry.encryption)
    }

    /// What a list says that has these names for it.
    pub fn of(compression: Option<CodecName>, encryption: Option<CodecName>) -> Self {
        match (encryption, compression) {
            (Some(_), _) => Self::Encrypted,
            (None, None) => Self::Plain,
            (None, Some(name)) => Compression::named(name.as_str()).map_or(Self::Custom, Self::Compressed),
        }
    }

    /// Whether nobody can be expected to look into it.
    pub fn is_hidden(self) -> bool {
        matches!(self, Self::Encrypted | Self::Custom)
    }

    /// The form of what was looked into.
    pub fn found(compression: Option<Compression>) -> Self {
        compression.map_or(Self::Plain, Self::Compressed)
    }
}

impl fmt::Display for WalForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "uncompressed",
            Self::Compressed(compression) => compression.name(),
            Self::Encrypted => "encrypted",
            Self::Custom => "of a custom compression",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barman::xlogdb::XlogDb;

    #[test]
    fn a_line_says_in_what_form_a_file_is_stored() {
        for (fields, form) in [
            ("None\tNone", WalForm::Plain),
            ("gzip\tNone", WalForm::Compressed(Compression::Gzip)),
            ("pigz\tNone", WalForm::Compressed(Compression::Gzip)),
            ("pybzip2\tNone", WalForm::Compressed(Compression::Bzip2)),
            ("custom\tNone", WalForm::Custom),
            ("gzip\tgpg", WalForm::Encrypted),
            ("None\tgpg", WalForm::Encrypted),
        ] {
            let line = format!("000000010000000000000001\t16777216\t1.5\t{fields}\n");
            let listed = WalForm::listed(&XlogDb::parse(line.as_bytes()).entries().last().unwrap());
            assert_eq!((listed, listed.is_hidden()), (form, fields.contains("custom") || fields.contains("gpg")));
        }
    }
}
