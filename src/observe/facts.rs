//! What the planner wants to know of a backup, from its metadata: one reading for both ends.

use crate::barman::backup_info::{BackupInfo, FieldError, Status};
use crate::barman::ids::BackupId;
use crate::barman::wal::{Segment, SegmentSize, Timeline, WalName};

use super::inventory::{BackupFacts, BaseKind};

/// The metadata of a backup makes no sense, so nothing is done with the backup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// A value is not what Barman writes there.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A backup that is DONE must say this.
    #[error("{key} is missing, although the backup is DONE")]
    Missing {
        /// The key in backup.info.
        key: &'static str,
    },
    /// A backup begins and ends in whole segments.
    #[error("{key} is {found}, which is no WAL segment of {} bytes", size.bytes())]
    NotASegment {
        /// The key in backup.info.
        key: &'static str,
        /// What it says.
        found: WalName,
        /// The size of the cluster's segments.
        size: SegmentSize,
    },
    /// The WAL that makes it consistent would run backwards.
    #[error("end_wal is {end}, which does not follow begin_wal {begin}")]
    Backwards {
        /// What `begin_wal` says.
        begin: Segment,
        /// What `end_wal` says.
        end: Segment,
    },
    /// The file says that it is about another backup.
    #[error("it says that it is of the backup {found:?}")]
    OtherBackup {
        /// What its `backup_id` says.
        found: String,
    },
}

impl BackupFacts {
    /// Reads the facts of a backup; every value that has a type is checked, also those that are not kept.
    pub fn read(id: BackupId, info: &BackupInfo) -> Result<Self, FactsError> {
        info.check()?;
        if let Some(found) = info.get("backup_id").filter(|found| *found != id.as_str()) {
            return Err(FactsError::OtherBackup { found: found.chars().take(100).collect() });
        }
        let size = info.xlog_segment_size()?;
        let facts = Self {
            begin_wal: segment("begin_wal", info.begin_wal()?, size)?,
            end_wal: segment("end_wal", info.end_wal()?, size)?,
            ..Self::of_readable(id, info)
        };
        facts.check_done()?;
        Ok(facts)
    }

    /// What can be read of a backup whose metadata makes no sense; what cannot is left out.
    pub fn of_readable(id: BackupId, info: &BackupInfo) -> Self {
        let segment = |name: Result<Option<WalName>, _>| name.ok().flatten().and_then(WalName::segment);
        let begin_wal = segment(info.begin_wal());
        let timeline = info.timeline().ok().flatten().or(begin_wal.map(|segment| segment.timeline));
        Self {
            id,
            status: info.status().unwrap_or(Status::Failed),
            // A backup that never began to copy has no timeline, and none is asked of it.
            timeline: timeline.unwrap_or(Timeline(0)),
            begin_wal,
            end_wal: segment(info.end_wal()),
            end_lsn: info.end_xlog().ok().flatten(),
            end_time: info.end_time().ok().flatten(),
            system: info.systemid().ok().flatten(),
            size: info.size().ok().flatten(),
            segment_size: info.xlog_segment_size().unwrap_or_default(),
            tablespaces: info.tablespaces().unwrap_or_default().iter().map(|tablespace| tablespace.oid).collect(),
            parent: info.parent_backup_id().ok().flatten(),
        }
    }

    /// A backup that is DONE says from where to where its WAL goes.
    fn check_done(&self) -> Result<(), FactsError> {
        if self.status != Status::Done {
            return Ok(());
        }
        let begin = self.begin_wal.ok_or(FactsError::Missing { key: "begin_wal" })?;
        let end = self.end_wal.ok_or(FactsError::Missing { key: "end_wal" })?;
        if end < begin {
            return Err(FactsError::Backwards { begin, end });
        }
        Ok(())
    }
}

fn segment(key: &'static str, name: Option<WalName>, size: SegmentSize) -> Result<Option<Segment>, FactsError> {
    let Some(found) = name else { return Ok(None) };
    let segment = found.segment().filter(|segment| segment.number(size).is_some());
    segment.map(Some).ok_or(FactsError::NotASegment { key, found, size })
}

/// What kind of files a backup has.
pub fn base_kind(info: &BackupInfo) -> BaseKind {
    match info.get("snapshots_info") {
        Some(_) => BaseKind::CloudSnapshot,
        None => BaseKind::Files,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "status=DONE\nbegin_wal=000000020000000000000008\nend_wal=000000020000000000000009\n\
        timeline=2\nsystemid=77\nsize=5\ntablespaces=[('side', 16384, '/srv/side')]\nend_xlog=0/9000100\n";

    fn read(text: &str) -> Result<BackupFacts, String> {
        let info = BackupInfo::parse(text.as_bytes()).unwrap();
        BackupFacts::read("20261122T125916".parse().unwrap(), &info).map_err(|error| error.to_string())
    }

    #[test]
    fn facts_are_read_from_metadata() {
        let facts = read(GOOD).unwrap();
        assert_eq!(facts.status, Status::Done);
        assert_eq!(facts.timeline, Timeline(2));
        assert_eq!(facts.begin_wal.unwrap().to_string(), "000000020000000000000008");
        assert_eq!(facts.tablespaces, [16384]);
        assert_eq!((facts.size, facts.segment_size), (Some(5), SegmentSize::DEFAULT));
    }

    #[test]
    fn impossible_values_are_named() {
        for (line, message) in [
            ("end_wal=00000002.history", "end_wal is 00000002.history, which is no WAL segment of 16777216 bytes"),
            ("begin_wal=000000020000000000000100", "begin_wal is 000000020000000000000100, which is no WAL segment"),
            ("begin_wal=None", "begin_wal is missing, although the backup is DONE"),
            ("begin_wal=00000002000000000000000A", "does not follow begin_wal 00000002000000000000000A"),
            ("backup_id=20200101T000000", "it says that it is of the backup \"20200101T000000\""),
            ("size=-1", "size is \"-1\": expected a number of bytes"),
            ("status=GREAT", "status is \"GREAT\""),
            ("parent_backup_id=../../etc", "parent_backup_id is \"../../etc\""),
        ] {
            let error = read(&format!("{GOOD}{line}\n")).unwrap_err();
            assert!(error.contains(message), "{line}: {error}");
        }
    }

    #[test]
    fn a_backup_that_has_just_started_needs_to_say_nothing_else() {
        assert_eq!(read("status=STARTED\n").unwrap().begin_wal, None);
    }
}
