//! How a replica's newest WAL and newest backup are compressed, as its own catalog shows. The primary's barman.conf has
//! the same, but may not be reachable.

use crate::barman::wal_entry::{CodecName, WalEntry};

use super::catalog::backups::{self, CatalogBackup, InfoFile};
use super::catalog::xlogdb::XlogDbFiles;
use crate::store::{CatalogError, Store};

/// What the values of `compression` and `backup_compression` would be; `None` for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compressed {
    /// Of the newest segment.
    pub wal: Option<CodecName>,
    /// Of the newest backup.
    pub backup: Option<CodecName>,
}

/// Reads it from the lists of a catalog; one that is not there yet tells nothing.
pub fn compressed(store: &dyn Store) -> Result<Compressed, CatalogError> {
    let xlogdb = XlogDbFiles::read(store)?;
    let is_segment = |entry: &WalEntry| entry.name.segment().is_some();
    let newest = xlogdb.any().and_then(|file| file.entries.iter().rfind(is_segment));
    let backups = backups::read(store)?;
    let info = backups.by_id.values().rev().find_map(CatalogBackup::info).map(InfoFile::fields);
    let backup = info.and_then(|info| info.compression()).and_then(|name| name.parse().ok());
    Ok(Compressed { wal: newest.and_then(|entry| entry.compression), backup })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barman::layout::ServerDirs;
    use crate::store::Posix;

    #[test]
    fn the_newest_of_each_kind_decides() {
        let home = tempfile::tempdir().unwrap();
        let dirs = ServerDirs::of_catalog(home.path(), "main".parse().unwrap());
        let store = Posix::new(dirs.clone());
        assert_eq!(compressed(&store).unwrap(), Compressed::default());
        for directory in ["wals", "meta"] {
            std::fs::create_dir_all(dirs.backup_directory.join(directory)).unwrap();
        }
        let lines = "000000010000000000000002\t5\t1.0\tgzip\tNone\n000000010000000000000003\t5\t1.0\tzstd\tNone\n";
        std::fs::write(dirs.wals_directory.join("main-xlog.db"), lines).unwrap();
        for (day, codec) in [("20", "gzip"), ("21", "None")] {
            let info = format!("status=FAILED\ncompression={codec}\n");
            std::fs::write(dirs.meta_directory.join(format!("202611{day}T000000-backup.info")), info).unwrap();
        }
        assert_eq!(compressed(&store).unwrap(), Compressed { wal: "zstd".parse().ok(), backup: None });
    }
}
