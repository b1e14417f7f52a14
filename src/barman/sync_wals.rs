//! `sync-wals.info`: up to where a passive has copied its primary's xlog.db (Barman `server.py`,
//! `load_sync_wals_info` and `write_sync_wals_info_file`).

use std::fmt;
use std::num::NonZeroU64;

use super::wal::WalName;

/// Up to where the primary's xlog.db was seen. A cache: Antipode writes it for Barman and needs it for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncWals {
    /// The name on the last line of the primary's xlog.db.
    pub last_name: WalName,
    /// Where that line begins.
    last_position: NonZeroU64,
}

/// A sync-wals.info that makes every `barman cron` at the site fail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenSyncWals {
    /// Barman was stopped while it wrote the file.
    #[error("sync-wals.info is empty; remove it or let apply write it again")]
    Empty,
    /// It is not a name and a position with a TAB between them.
    #[error("sync-wals.info is {0:?}, not a WAL name, a TAB and a position; let apply write it again")]
    Malformed(String),
}

impl SyncWals {
    /// The pair that sync-info gave. Position 0 becomes 1: Barman hands it to `sync-info`, which refuses 0.
    pub fn new(last_name: WalName, last_position: u64) -> Self {
        Self { last_name, last_position: NonZeroU64::new(last_position).unwrap_or(NonZeroU64::MIN) }
    }

    /// Where the last line of the primary's xlog.db begins; at least 1.
    pub fn last_position(self) -> u64 {
        self.last_position.get()
    }

    /// Reads the file as Barman does: its first line counts.
    pub fn parse(bytes: &[u8]) -> Result<Self, BrokenSyncWals> {
        let text = String::from_utf8_lossy(bytes);
        let line = text.lines().next().unwrap_or_default();
        if line.is_empty() {
            return Err(BrokenSyncWals::Empty);
        }
        let pair = line.split_once('\t').and_then(|(name, position)| {
            let position = position.trim().parse().ok()?;
            Some(Self { last_name: name.parse().ok()?, last_position: position })
        });
        pair.ok_or_else(|| BrokenSyncWals::Malformed(line.chars().take(100).collect()))
    }

    /// The file; without a line break at its end, as Barman has it.
    pub fn write(self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

impl fmt::Display for SyncWals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}", self.last_name, self.last_position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_pair_is_read_as_it_is_written() {
        let text = b"00000002000000000000000D\t1161";
        assert_eq!(SyncWals::parse(text).map(SyncWals::write), Ok(text.to_vec()));
    }

    #[test]
    fn position_0_becomes_1() {
        let name = "00000002000000000000000D".parse().unwrap();
        assert_eq!(SyncWals::new(name, 0).to_string(), "00000002000000000000000D\t1");
    }

    #[test]
    fn what_breaks_barman_is_broken() {
        assert_eq!(SyncWals::parse(b""), Err(BrokenSyncWals::Empty));
        for text in ["00000002000000000000000D", "x\t1", "00000002000000000000000D\t0", "00000002000000000000000D\t-1"]
        {
            assert_eq!(SyncWals::parse(text.as_bytes()), Err(BrokenSyncWals::Malformed(text.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = SyncWals::parse(&bytes);
        }
    }
}
