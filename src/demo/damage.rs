//! Damage that Barman's own sync leaves at a site, done on purpose to the demo's copy.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use crate::barman::backup_info::BackupInfo;
use crate::barman::layout::{Layout, ServerDirs};
use crate::barman::python_literal::Literal;
use crate::barman::wal::{Timeline, WalName};

use super::catalog::{FIRST_BACKUP, SECOND_BACKUP};
use super::files::parsed;

/// A segment that is stored uncompressed.
const SEGMENT: &str = "000000010000000000000005";
/// What is left of it.
const CUT_TO: u64 = 300_000;
/// A relation of a base, below `base/ID`.
const RELATION: &str = "data/base/5/16385";

/// One sort of damage to a complete copy of the demo's catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// A WAL segment is cut off under its final name.
    CutWal,
    /// Every line of xlog.db is there twice.
    DoubledXlogDb,
    /// A timeline's history file is missing.
    LostHistory,
    /// The backup label in a backup.info is encoded twice.
    LabelEncodedTwice,
    /// A file of a published backup is missing.
    LostFile,
}

impl Damage {
    /// Every sort.
    pub const ALL: [Self; 5] =
        [Self::CutWal, Self::DoubledXlogDb, Self::LostHistory, Self::LabelEncodedTwice, Self::LostFile];

    /// Does it to a copy.
    pub fn inflict(self, site: &ServerDirs) -> io::Result<()> {
        match self {
            Self::CutWal => {
                let segment = site.wal(parsed(SEGMENT)?);
                fs::OpenOptions::new().write(true).open(segment)?.set_len(CUT_TO)
            }
            Self::DoubledXlogDb => {
                let path = Layout::NEWEST.xlogdb(site);
                let lines = fs::read(&path)?;
                fs::write(path, lines.repeat(2))
            }
            Self::LostHistory => fs::remove_file(site.wal(WalName::History(Timeline(2)))),
            Self::LabelEncodedTwice => encode_label_again(&Layout::NEWEST.backup_info(site, parsed(FIRST_BACKUP)?)),
            Self::LostFile => fs::remove_file(site.base(parsed(SECOND_BACKUP)?).join(RELATION)),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutWal => write!(f, "{SEGMENT} is cut to 300 000 bytes, as a killed rsync --inplace leaves it"),
            Self::DoubledXlogDb => {
                f.write_str("xlog.db has every line twice, as when Barman rebuilds it and then appends")
            }
            Self::LostHistory => f.write_str("00000002.history is gone, as where sync-info does not list it"),
            Self::LabelEncodedTwice => {
                write!(f, "the backup label of {FIRST_BACKUP} is encoded twice, as sync-backup does it")
            }
            Self::LostFile => write!(f, "{RELATION} of {SECOND_BACKUP} is gone, as when somebody makes room"),
        }
    }
}

/// Barman takes the text of the label for the label, and quotes it again.
fn encode_label_again(info: &Path) -> io::Result<()> {
    let text = BackupInfo::parse(&fs::read(info)?).map_err(io::Error::other)?.write();
    let lines = String::from_utf8(text).map_err(io::Error::other)?;
    let encoded = lines.lines().map(|line| match line.split_once('=') {
        Some(("backup_label", label)) => format!("backup_label={}\n", Literal::Str(label.to_owned())),
        _ => format!("{line}\n"),
    });
    fs::write(info, encoded.collect::<String>())
}
