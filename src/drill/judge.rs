//! Whether a recovery ended where it should: by what PostgreSQL says, and by which WAL it asked for.
//!
//! A server that recovers to the end of the WAL calls it success wherever the WAL ends: at a page of zeros as well. What shows
//! that it read all of it is that it asked for the segment behind the last one that is here.

use crate::barman::drill::{Aim, Verdict};
use crate::barman::wal::Segment;

use super::fetched::{Came, Fetched};
use super::log::Log;

/// What PostgreSQL says when this host keeps it from working, whatever it was given to work on.
const ENVIRONMENT: [(&str, &str); 19] = [
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
    ("incompatible with operating system", "a locale of the cluster is not installed on this host"),
    ("but the server was compiled with", "the PostgreSQL on this host is built otherwise than the one that it is of"),
    ("does not recognize locale name", "a locale of the cluster is not installed on this host"),
    ("execution of the PostgreSQL server", "PostgreSQL does not run as root: run this as the user that Barman runs as"),
    ("Permission denied", "this user may not read or write something"),
];

/// What keeps PostgreSQL from working on this host, if these words of its say so.
pub fn environment(said: &str) -> Option<&'static str> {
    ENVIRONMENT.iter().find(|(words, _)| said.contains(words)).map(|(_, why)| *why)
}

/// A recovery that ended, or a server that did not start.
pub struct Recovery<'a> {
    /// What it was to do.
    pub aim: &'a Aim,
    /// The last segment that was to be replayed, and the one behind it.
    pub last: (Segment, Segment),
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
            Came::Failed(why) => Some(why.clone()),
            Came::Found | Came::Missing => None,
        });
        if let Some(why) = failed {
            return (Verdict::Disproved, why);
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
        let said = self.log.why().unwrap_or("PostgreSQL ended and did not say why");
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

    /// Whether it asked for what lies behind the last segment, and so read that one to its end.
    fn has_read_all(&self) -> bool {
        let (last, behind) = (self.last.0.to_string(), self.last.1.to_string());
        let came = |name: &str, came: &Came| self.fetched.iter().any(|f| f.name == name && f.came == *came);
        came(&last, &Came::Found) && came(&behind, &Came::Missing)
    }

    fn ended_early(&self) -> String {
        let found = self.fetched.iter().rev().find(|fetched| fetched.came == Came::Found && fetched.name.len() == 24);
        let place = found.map_or_else(|| "before any segment".to_owned(), |found| format!("within {}", found.name));
        let last = self.last.0;
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
        let recovery =
            Recovery { aim, last: (segment(0x14), segment(0x15)), segments: 12, log, fetched: &fetched(all) };
        recovery.judge()
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
        let failed = [(LAST, Came::Failed("it is damaged".to_owned()))];
        assert_eq!(judged(&aim, &ready, &failed), (Verdict::Disproved, "it is damaged".to_owned()));
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
        ] {
            let log = Log { fatal: Some(said.to_owned()), ..Log::default() };
            let (verdict, told) = judged(&aim, &log, &[]);
            assert!(verdict == expected && told.contains(said), "{told}");
        }
        assert_eq!(judged(&aim, &Log::default(), &[]).0, Verdict::Disproved);
    }
}
