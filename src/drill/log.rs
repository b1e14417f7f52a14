//! What PostgreSQL says in its log while it recovers (PostgreSQL xlogrecovery.c, xlog.c), in English and without a prefix.

use jiff::Timestamp;

use crate::barman::drill::Reached;
use crate::barman::wal::Lsn;

/// What lines of [`Log`] begin with that say nothing of why WAL ends.
const USUAL: [&str; 26] = [
    "starting PostgreSQL",
    "listening on",
    "database system",
    "starting ",
    "restored log file",
    "entering standby mode",
    "redo ",
    "consistent recovery state",
    "completed backup recovery",
    "recovery stopping",
    "pausing at the end",
    "last completed transaction",
    "selected new timeline",
    "archive recovery complete",
    "checkpoint ",
    "restartpoint ",
    "recovery restart point",
    "recovery has paused",
    "received ",
    "shutting down",
    "aborting any active",
    "terminating any other",
    "background worker",
    "MultiXact ",
    "all server processes",
    "startup process",
];

/// What is known of a server by its log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// It takes connections.
    pub is_ready: bool,
    /// The last record that was replayed.
    pub redone: Option<Lsn>,
    /// When the last transaction was committed that was replayed.
    pub time: Option<Timestamp>,
    /// Recovery stopped at its target: the rest of the line.
    pub stopped: Option<String>,
    /// Why it ended: the first line of that sort, with the lines that explain it.
    pub fatal: Option<String>,
    /// The last unusual line: of WAL that ends before it should it says why.
    pub complaint: Option<String>,
    /// The last line that says no level, as of what ends before there is a log.
    pub(super) other: Option<String>,
    /// Whether the lines that follow explain what was fatal.
    pub(super) in_fatal: bool,
}

impl Log {
    /// Hears a line, without its line break.
    pub fn hear(&mut self, line: &str) {
        let Some((level, text)) = line.split_once(":  ") else {
            if !line.trim().is_empty() {
                self.other = Some(line.trim().to_owned());
            }
            return;
        };
        match level {
            "LOG" => self.logged(text),
            "FATAL" | "PANIC" if self.fatal.is_none() => {
                self.fatal = Some(text.to_owned());
                self.in_fatal = true;
                return;
            }
            "DETAIL" | "HINT" | "CONTEXT" if self.in_fatal => {
                if let Some(fatal) = self.fatal.as_mut().filter(|fatal| fatal.len() < 1000) {
                    fatal.push_str("; ");
                    fatal.push_str(text);
                }
                return;
            }
            "WARNING" | "ERROR" => self.complaint = Some(text.to_owned()),
            _ => {}
        }
        self.in_fatal = false;
    }

    fn logged(&mut self, text: &str) {
        if text.contains("terminated by signal 9") && self.fatal.is_none() {
            self.fatal = Some(text.to_owned());
        }
        if text == "database system is ready to accept connections" {
            self.is_ready = true;
        } else if let Some(rest) = text.strip_prefix("redo done at ") {
            self.redone = rest.split(' ').next().and_then(|lsn| lsn.parse().ok());
        } else if let Some(time) = text.strip_prefix("last completed transaction was at log time ") {
            self.time = time.parse().ok();
        } else if text.starts_with("recovery stopping ") {
            self.stopped = Some(text.to_owned());
        } else if !USUAL.iter().any(|usual| text.starts_with(usual)) {
            self.complaint = Some(text.to_owned());
        }
    }

    /// Where recovery ended.
    pub fn reached(&self) -> Option<Reached> {
        self.redone.map(|lsn| Reached { lsn, time: self.time })
    }

    /// Why it is not as it should be, as far as it says.
    pub fn why(&self) -> Option<&str> {
        self.fatal.as_deref().or(self.complaint.as_deref()).or(self.other.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str) -> Log {
        let mut log = Log::default();
        text.lines().for_each(|line| log.hear(line));
        log
    }

    #[test]
    fn a_recovery_that_ends_well_says_where() {
        let log = heard(
            "LOG:  starting PostgreSQL 15.14 (Debian 15.14-0+deb12u1) on x86_64\n\
             LOG:  database system was interrupted; last known up at 2026-11-22 09:00:00 UTC\n\
             LOG:  starting archive recovery\nLOG:  restored log file \"000000010000000000000003\" from archive\n\
             LOG:  redo starts at 0/3000028\nLOG:  consistent recovery state reached at 0/3000138\n\
             LOG:  redo done at 0/5000148 system usage: CPU: user: 0.00 s, system: 0.00 s, elapsed: 0.12 s\n\
             LOG:  last completed transaction was at log time 2026-11-22 09:12:03.25+00\n\
             LOG:  selected new timeline ID: 2\nLOG:  archive recovery complete\n\
             LOG:  database system is ready to accept connections\n",
        );
        let reached = Reached { lsn: Lsn(0x0500_0148), time: Some("2026-11-22T09:12:03.25Z".parse().unwrap()) };
        assert_eq!((log.is_ready, log.reached(), log.why()), (true, Some(reached), None));
    }

    #[test]
    fn what_ends_it_is_told_with_what_explains_it() {
        let log = heard(
            "LOG:  incorrect resource manager data checksum in record at 0/4000060\n\
             FATAL:  requested timeline 3 is not a child of this server's history\n\
             DETAIL:  Latest checkpoint is at 0/3000060.\nLOG:  startup process (PID 7) exited with exit code 1\n\
             HINT:  not of it\nFATAL:  the database system is starting up\n",
        );
        assert_eq!(
            log.why(),
            Some("requested timeline 3 is not a child of this server's history; Latest checkpoint is at 0/3000060.")
        );
        assert_eq!(log.complaint.as_deref(), Some("incorrect resource manager data checksum in record at 0/4000060"));
        assert!(!log.is_ready && log.reached().is_none());
        let log = heard("LOG:  recovery stopping after WAL location (LSN) \"0/5000000\"\nno level\n");
        assert_eq!(log.stopped.as_deref(), Some("recovery stopping after WAL location (LSN) \"0/5000000\""));
    }
}
