//! Whether a recovery ended where it should: by what PostgreSQL says, and by which WAL it asked for.
//!
//! A server that recovers to the end of the WAL calls it success wherever the WAL ends: at a page of zeros as well. What shows
//! that it read all of it is that it asked for the segment behind the last one that is here.

use crate::barman::drill::{Aim, Verdict};
use crate::barman::wal::{Segment, SegmentSize, WalName};

use super::fetched::{Came, Fetched};
use super::log::Log;

/// What PostgreSQL says when this host keeps it from working, whatever it was given to work on.
const ENVIRONMENT: [(&str, &str); 31] = [
    ("could not access file \"", "a library that it loads is not installed on this host"),
    ("$libdir/", "a library of an extension is not installed on this host"),
    ("could not load library", "a library of an extension is not installed on this host"),
    ("could not find function", "a library of an extension on this host is of another version"),
    ("extension control file", "an extension is not installed on this host"),
    (
        "resource manager with ID",
        "an extension writes WAL of its own: name it in `drill.settings`, shared_preload_libraries",
    ),
    ("No space left on device", "the disk is full"),
    ("Disk quota exceeded", "the quota is used up"),
    ("Cannot allocate memory", "there is not enough memory"),
    ("out of memory", "there is not enough memory"),
    ("could not create shared memory", "the system gives it no shared memory"),
    ("could not map anonymous shared memory", "there is not enough memory"),
    ("could not create semaphores", "the system gives it no semaphores"),
    ("Too many open files", "the system gives it no more open files"),
    ("terminated by signal 9", "something killed it, perhaps as there was not enough memory"),
    ("incompatible with operating system", "a locale of the cluster is not installed on this host"),
    ("but the server was compiled with", "the PostgreSQL on this host is built otherwise than the one that it is of"),
    ("does not recognize locale name", "a locale of the cluster is not installed on this host"),
    ("collation version mismatch", "this host sorts texts otherwise than the one that the cluster is of"),
    ("execution of the PostgreSQL server", "PostgreSQL does not run as root: run this as the user that Barman runs as"),
    ("Permission denied", "this user may not read or write something"),
    ("permission denied", "the role that looks may not do so: `drill.user` names the first superuser"),
    ("is not permitted to log in", "the role that looks may not log in: `drill.user` names the first superuser"),
    ("from archive: ", "the program that fetches WAL could not be run"),
    ("contains errors", "the settings of `drill.settings` are not understood"),
    ("unrecognized configuration parameter", "the settings of `drill.settings` are not understood"),
    ("invalid value for parameter", "the settings of `drill.settings` are not understood"),
    ("Create this directory for the tablespace", "the WAL makes a tablespace, which a drill does not make elsewhere"),
    ("prepared transactions reached", "the WAL has more prepared transactions: `drill.settings` raises the number"),
    ("could not find free replication state", "the WAL has more origins: `drill.settings` raises the number"),
    ("stop point is before consistent recovery point", "the backup is consistent only behind that point"),
];

/// What keeps PostgreSQL from working on this host, if these words of its say so.
pub fn environment(said: &str) -> Option<&'static str> {
    // A control file of zeros is of another version, too; what the release is was looked at before.
    if said.contains("PG_CONTROL_VERSION") || said.contains("CATALOG_VERSION_NO") {
        return None;
    }
    ENVIRONMENT.iter().find(|(words, _)| said.contains(words)).map(|(_, why)| *why)
}

/// A recovery that ended, or a server that did not start.
pub struct Recovery<'a> {
    /// What it was to do.
    pub aim: &'a Aim,
    /// The last segment that was to be replayed.
    pub last: Segment,
    /// The size of segments.
    pub segment_size: SegmentSize,
    /// How many segments it was to replay.
    pub segments: u64,
    /// What PostgreSQL said.
    pub log: &'a Log,
    /// What it asked for.
    pub fetched: &'a [Fetched],
}

impl Recovery<'_> {
    /// What it came to, and why.
    pub fn judge(&self) -> (Verdict, String) {
        let failed = self.fetched.iter().find_map(|fetched| match &fetched.came {
            Came::Damaged(why) => Some((Verdict::Disproved, why.clone())),
            Came::Failed(why) => Some((Verdict::NotRun, why.clone())),
            Came::Found | Came::Missing => None,
        });
        if let Some(failed) = failed {
            return failed;
        }
        if !self.log.is_ready {
            return self.not_ready();
        }
        match (&self.log.stopped, self.aim.lsn.is_some() || self.aim.time.is_some()) {
            (Some(_), true) => (Verdict::Proved, self.told()),
            (None, false) if self.has_read_all() => (Verdict::Proved, self.told()),
            _ => (Verdict::Disproved, self.ended_early()),
        }
    }

    fn not_ready(&self) -> (Verdict, String) {
        let Some(said) = self.log.why() else {
            return (Verdict::NotRun, "PostgreSQL ended and did not say why".to_owned());
        };
        if said.contains("recovery ended before configured recovery target was reached") {
            return match self.aim.time {
                Some(_) if self.has_read_all() => {
                    (Verdict::NotRun, "no transaction ended behind that time in the WAL that is here".to_owned())
                }
                _ => (Verdict::Disproved, self.ended_early()),
            };
        }
        match environment(said) {
            Some(why) => (Verdict::NotRun, format!("{why}: {said}")),
            None => (Verdict::Disproved, format!("PostgreSQL did not recover: {said}")),
        }
    }

    /// Whether it asked for what lies behind the last segment that it found, and so read that one to its end. WAL that arrived
    /// meanwhile may be among it.
    fn has_read_all(&self) -> bool {
        let last = self.last.number(self.segment_size);
        let Some(newest) = self.newest().filter(|newest| Some(*newest) >= last) else { return false };
        let behind = Segment::from_number(self.last.timeline, newest + 1, self.segment_size);
        let is_it = |fetched: &Fetched| behind.is_some_and(|behind| fetched.name == behind.to_string());
        self.fetched.iter().any(|fetched| fetched.came == Came::Missing && is_it(fetched))
    }

    /// The number of the last segment of the last timeline that it found.
    fn newest(&self) -> Option<u64> {
        let found = self.fetched.iter().filter(|fetched| fetched.came == Came::Found);
        let segments = found.filter_map(|fetched| fetched.name.parse::<WalName>().ok()?.segment());
        let own = segments.filter(|segment| segment.timeline == self.last.timeline);
        own.filter_map(|segment| segment.number(self.segment_size)).max()
    }

    fn ended_early(&self) -> String {
        let found = self.fetched.iter().rev().find(|fetched| fetched.came == Came::Found && fetched.name.len() == 24);
        let place = found.map_or_else(|| "before any segment".to_owned(), |found| format!("within {}", found.name));
        let last = self.last;
        let why = self.log.complaint.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        format!("recovery ended {place}, and not at the end of {last}{why}")
    }

    fn told(&self) -> String {
        let segments = if self.segments == 1 { "1 segment".to_owned() } else { format!("{} segments", self.segments) };
        let to = self.log.redone.map(|lsn| format!(" to {lsn}")).unwrap_or_default();
        format!("replayed {segments}{to} on timeline {}", self.aim.timeline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barman::drill::tests::drill;
    use crate::barman::wal::{Lsn, Timeline};

    const LAST: &str = "000000010000000000000014";
    const BEHIND: &str = "000000010000000000000015";

    fn segment(seg: u32) -> Segment {
        Segment { timeline: Timeline(1), log: 0, seg }
    }

    fn fetched(all: &[(&str, Came)]) -> Vec<Fetched> {
        all.iter().map(|(name, came)| Fetched { name: (*name).to_owned(), came: came.clone() }).collect()
    }

    fn judged(aim: &Aim, log: &Log, all: &[(&str, Came)]) -> (Verdict, String) {
        let (last, segment_size) = (segment(0x14), SegmentSize::DEFAULT);
        Recovery { aim, last, segment_size, segments: 12, log, fetched: &fetched(all) }.judge()
    }

    #[test]
    fn only_who_asked_for_what_lies_behind_the_end_has_read_it_all() {
        let aim = drill("2026-11-22T10:00:00Z").aim.unwrap();
        let complaint = Some("invalid record length at 0/13000028: wanted 24, got 0".to_owned());
        let ready = Log { is_ready: true, redone: Some(Lsn(0x1400_0148)), ..Log::default() };
        let all = [(LAST, Came::Found), (BEHIND, Came::Missing)];
        let (verdict, told) = judged(&aim, &ready, &all);
        assert_eq!((verdict, told.as_str()), (Verdict::Proved, "replayed 12 segments to 0/14000148 on timeline 1"));
        let early = [("000000010000000000000013", Came::Found)];
        let (verdict, told) = judged(&aim, &Log { complaint, ..ready.clone() }, &early);
        assert_eq!(verdict, Verdict::Disproved);
        assert_eq!(
            told,
            "recovery ended within 000000010000000000000013, and not at the end of 000000010000000000000014: invalid record \
             length at 0/13000028: wanted 24, got 0"
        );
        for all in [&all[..1], &all[1..], &[]] {
            assert_eq!(judged(&aim, &ready, all).0, Verdict::Disproved, "{all:?}");
        }
        let damaged = [(LAST, Came::Damaged("it is damaged".to_owned()))];
        assert_eq!(judged(&aim, &ready, &damaged), (Verdict::Disproved, "it is damaged".to_owned()));
        let failed = [(LAST, Came::Failed("no space".to_owned()))];
        assert_eq!(judged(&aim, &ready, &failed), (Verdict::NotRun, "no space".to_owned()));
        // Another segment arrived meanwhile.
        let later = [(LAST, Came::Found), (BEHIND, Came::Found), ("000000010000000000000016", Came::Missing)];
        assert_eq!(judged(&aim, &ready, &later).0, Verdict::Proved);
        assert_eq!(judged(&aim, &ready, &later[..2]).0, Verdict::Disproved);
    }

    #[test]
    fn a_target_is_reached_where_recovery_says_that_it_stopped() {
        let newest = drill("2026-11-22T10:00:00Z").aim.unwrap();
        let lsn = Aim { lsn: Some(Lsn(0x1400_0000)), ..newest.clone() };
        let ready = Log { is_ready: true, ..Log::default() };
        let stopped = Log { stopped: Some("recovery stopping after".to_owned()), ..ready.clone() };
        let all = [(LAST, Came::Found), (BEHIND, Came::Missing)];
        assert_eq!(judged(&lsn, &stopped, &[]).0, Verdict::Proved);
        assert_eq!(judged(&lsn, &ready, &all).0, Verdict::Disproved);
        assert_eq!(judged(&newest, &stopped, &all).0, Verdict::Disproved);
        let ended = "recovery ended before configured recovery target was reached".to_owned();
        let ended = Log { fatal: Some(ended), ..Log::default() };
        let time = Aim { time: Some("2026-11-22T10:00:00Z".parse().unwrap()), ..newest };
        assert_eq!(judged(&time, &ended, &all).0, Verdict::NotRun);
        assert_eq!(judged(&time, &ended, &all[..1]).0, Verdict::Disproved);
        assert_eq!(judged(&lsn, &ended, &all).0, Verdict::Disproved);
    }

    #[test]
    fn what_this_host_lacks_disproves_nothing() {
        let aim = drill("2026-11-22T10:00:00Z").aim.unwrap();
        for (said, expected) in [
            ("could not access file \"$libdir/postgis-3\": No such file or directory", Verdict::NotRun),
            ("could not write to file \"pg_wal/xlogtemp.7\": No space left on device", Verdict::NotRun),
            ("could not open file \"global/pg_control\": No such file or directory", Verdict::Disproved),
            ("could not locate required checkpoint record", Verdict::Disproved),
            (
                "The database cluster was initialized with PG_CONTROL_VERSION 0 (0x00000000), but the server was compiled with PG_CONTROL_VERSION 1300",
                Verdict::Disproved,
            ),
            (
                "could not restore file \"00000001\" from archive: child process exited with exit code 127",
                Verdict::NotRun,
            ),
        ] {
            let log = Log { fatal: Some(said.to_owned()), ..Log::default() };
            let (verdict, told) = judged(&aim, &log, &[]);
            assert!(verdict == expected && told.contains(said), "{told}");
        }
        assert_eq!(judged(&aim, &Log::default(), &[]).0, Verdict::NotRun);
    }
}
