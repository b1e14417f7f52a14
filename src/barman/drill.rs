//! What a drill came to, and our note of the last ones in `B/.antipode/drills.json`.
//!
//! A drill restores a backup of a replica, lets PostgreSQL replay WAL, and looks at what came of it. What it says is for an
//! auditor: each step says what was looked at, and nothing is proved of what could not be tried.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::{BackupId, ServerName};
use super::wal::{Lsn, Timeline};

/// The version of the form of a report, and of the note.
pub const FORMAT_VERSION: u32 = 1;

/// How many of the last drills are noted.
const NOTED: usize = 20;

/// A drill of a replica.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// The version of this form.
    pub format_version: u32,
    /// The site.
    pub site: String,
    /// The replica.
    pub replica: ServerName,
    /// The host that it ran on.
    pub host: String,
    /// The version of the program.
    pub version: String,
    /// When it began.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub began: Timestamp,
    /// How long all of it took.
    pub milliseconds: u64,
    /// What it came to.
    pub verdict: Verdict,
    /// Which point was asked for: `newest`, `random`, or a time.
    pub point: String,
    /// What was restored, and how far recovery was to go; null where that could not be found.
    pub aim: Option<Aim>,
    /// Where recovery ended; null where it did not.
    pub reached: Option<Reached>,
    /// What was done, in its order.
    pub steps: Vec<Step>,
    /// The databases that were there.
    pub databases: Vec<Database>,
    /// How long a recovery takes; null where none was done.
    pub pace: Option<Pace>,
    /// `objective.rto` of the site file, in seconds.
    pub rto_seconds: Option<u64>,
}

/// What a drill, or a step of it, came to. The worst is the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was tried, and is as it must be.
    Proved,
    /// It could not be tried, and nothing is known of it.
    NotRun,
    /// It was tried, and is not as it must be.
    Disproved,
}

/// What was restored, and how far recovery was to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aim {
    /// The full backup, and the incremental ones in their order; the last one is restored.
    pub backups: Vec<BackupId>,
    /// The release of PostgreSQL.
    pub release: String,
    /// The timeline to end on.
    pub timeline: Timeline,
    /// The last WAL segment that is replayed.
    pub last_wal: String,
    /// The position to stop at, where it is not the end of the WAL.
    #[schemars(with = "Option<String>")]
    pub lsn: Option<Lsn>,
    /// The time to stop at, where it is not the end of the WAL.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub time: Option<Timestamp>,
}

/// Where recovery ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reached {
    /// The last record that was replayed.
    #[schemars(with = "String")]
    pub lsn: Lsn,
    /// When the last transaction was committed that was replayed; null where there was none.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub time: Option<Timestamp>,
}

/// A step of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Which.
    pub what: What,
    /// What it came to; null where there was nothing to try, which `told` says why.
    pub verdict: Option<Verdict>,
    /// What was looked at and found, safe to print.
    pub told: String,
    /// How long it took.
    pub milliseconds: u64,
}

/// What a step of a drill looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// That a backup and all WAL up to the point are here.
    Way,
    /// The files of the backup, restored.
    Files,
    /// That PostgreSQL starts, replays the WAL and ends where it should.
    Recovery,
    /// That the databases are there and answer.
    Databases,
    /// Tables and indexes, by `pg_amcheck`.
    Relations,
    /// A statement of the site file.
    Check,
    /// The checksums of all pages, by `pg_checksums`.
    Pages,
}

impl What {
    /// In a word or two.
    pub fn words(self) -> &'static str {
        match self {
            Self::Way => "backup and wal",
            Self::Files => "files",
            Self::Recovery => "recovery",
            Self::Databases => "databases",
            Self::Relations => "tables, indexes",
            Self::Check => "check",
            Self::Pages => "page checksums",
        }
    }
}

/// A database that was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// How long a recovery took, and of how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// Bytes of the backup.
    pub backup_bytes: u64,
    /// How long they took to be restored and proved.
    pub restore_milliseconds: u64,
    /// WAL segments that were replayed.
    pub segments: u64,
    /// From the start of PostgreSQL until it took connections.
    pub recovery_milliseconds: u64,
}

impl Pace {
    /// From the first byte until it took connections.
    pub fn milliseconds(self) -> u64 {
        self.restore_milliseconds.saturating_add(self.recovery_milliseconds)
    }

    /// How long it would take for a backup of so many bytes and so many segments.
    pub fn forecast(self, backup_bytes: u64, segments: u64) -> u64 {
        let part = |of: u64, took: u64, whole: u64| {
            u64::try_from(u128::from(of) * u128::from(took) / u128::from(whole.max(1))).unwrap_or(u64::MAX)
        };
        let restore = part(backup_bytes, self.restore_milliseconds, self.backup_bytes);
        restore.saturating_add(part(segments, self.recovery_milliseconds, self.segments))
    }
}

impl Drill {
    /// Whether it took longer to recover than the site file wants.
    pub fn misses_objective(&self) -> bool {
        let rto = self.rto_seconds.map(|rto| rto.saturating_mul(1000));
        rto.zip(self.pace).is_some_and(|(rto, pace)| pace.milliseconds() > rto)
    }
}

impl Step {
    /// Whether there was something to try.
    pub fn was_tried(&self) -> bool {
        self.verdict.is_some_and(|verdict| verdict != Verdict::NotRun)
    }
}

/// What steps come to together: proved is only what recovered, and of which nothing that was to be tried could not be.
pub fn verdict(steps: &[Step]) -> Verdict {
    let recovered = steps.iter().any(|step| step.what == What::Recovery && step.verdict == Some(Verdict::Proved));
    let worst = steps.iter().filter_map(|step| step.verdict).max().unwrap_or(Verdict::NotRun);
    if recovered { worst } else { worst.max(Verdict::NotRun) }
}

/// The last drills of a replica, the newest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Drills(pub Vec<Drill>);

#[derive(Serialize, Deserialize)]
struct Form {
    format_version: u32,
    drills: Vec<Drill>,
}

impl Drills {
    /// Reads the file; none for anything else than what [`Self::write`] makes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let form: Form = serde_json::from_slice(bytes).ok()?;
        (form.format_version == FORMAT_VERSION).then_some(Self(form.drills))
    }

    /// The same with one more, and no more than are noted: the last ones, and the last that proved or disproved anything.
    #[must_use]
    pub fn with(mut self, drill: Drill) -> Self {
        self.0.insert(0, drill);
        let older = self.0.split_off(NOTED.min(self.0.len()));
        for verdict in [Verdict::Proved, Verdict::Disproved] {
            let is = |drill: &&Drill| drill.verdict == verdict;
            if !self.0.iter().any(|drill| drill.verdict == verdict) {
                self.0.extend(older.iter().find(is).cloned());
            }
        }
        self
    }

    /// The file.
    pub fn write(&self) -> Vec<u8> {
        let form = Form { format_version: FORMAT_VERSION, drills: self.0.clone() };
        // Numbers, texts and times always have a form in JSON.
        let mut bytes = serde_json::to_vec(&form).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The last drill.
    pub fn last(&self) -> Option<&Drill> {
        self.0.first()
    }

    /// The last one in which something was tried to the end.
    pub fn last_tried(&self) -> Option<&Drill> {
        self.0.iter().find(|drill| drill.verdict != Verdict::NotRun)
    }

    /// The last one that told how long a recovery takes.
    pub fn pace(&self) -> Option<Pace> {
        self.0.iter().find(|drill| drill.verdict == Verdict::Proved).and_then(|drill| drill.pace)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A drill that proved everything.
    pub(crate) fn drill(began: &str) -> Drill {
        let step = |what, told: &str, milliseconds| Step {
            what,
            verdict: Some(Verdict::Proved),
            told: told.to_owned(),
            milliseconds,
        };
        Drill {
            format_version: FORMAT_VERSION,
            site: "lisbon".to_owned(),
            replica: "main".parse().unwrap(),
            host: "lisbon-1".to_owned(),
            version: "0.1.0".to_owned(),
            began: began.parse().unwrap(),
            milliseconds: 195_000,
            verdict: Verdict::Proved,
            point: "newest".to_owned(),
            aim: Some(Aim {
                backups: vec!["20261122T030000".parse().unwrap()],
                release: "15".to_owned(),
                timeline: Timeline(1),
                last_wal: "000000010000000000000014".to_owned(),
                lsn: None,
                time: None,
            }),
            reached: Some(Reached { lsn: Lsn(0x1400_0148), time: Some("2026-11-22T09:12:03Z".parse().unwrap()) }),
            steps: vec![
                step(What::Way, "full backup, 12 WAL segments", 12),
                step(What::Files, "1 214 files proved by the manifest", 60_000),
                step(What::Recovery, "12 segments to 0/14000148", 30_000),
            ],
            databases: vec![Database { name: "postgres".to_owned(), bytes: 7 << 20 }],
            pace: Some(Pace {
                backup_bytes: 3 << 30,
                restore_milliseconds: 60_000,
                segments: 12,
                recovery_milliseconds: 30_000,
            }),
            rto_seconds: Some(3600),
        }
    }

    fn step(what: What, verdict: Option<Verdict>) -> Step {
        Step { what, verdict, told: String::new(), milliseconds: 0 }
    }

    #[test]
    fn nothing_is_proved_that_did_not_recover_or_of_which_a_part_could_not_be_tried() {
        use Verdict::{Disproved, NotRun, Proved};
        let recovered = step(What::Recovery, Some(Proved));
        for (steps, expected) in [
            (vec![], NotRun),
            (vec![step(What::Files, Some(Proved))], NotRun),
            (vec![step(What::Recovery, None)], NotRun),
            (vec![recovered.clone()], Proved),
            (vec![recovered.clone(), step(What::Relations, None)], Proved),
            (vec![recovered.clone(), step(What::Check, Some(NotRun))], NotRun),
            (vec![recovered, step(What::Pages, Some(NotRun)), step(What::Check, Some(Disproved))], Disproved),
            (vec![step(What::Way, Some(Disproved))], Disproved),
        ] {
            assert_eq!(verdict(&steps), expected, "{steps:?}");
        }
    }

    #[test]
    fn the_last_drills_are_noted_and_read_as_they_were_written() {
        let mut drills = Drills::default();
        for _ in 0..NOTED + 3 {
            drills = drills.with(drill("2026-11-22T10:00:00Z"));
        }
        let last = Drill { verdict: Verdict::NotRun, pace: None, ..drill("2026-11-23T10:00:00Z") };
        drills = drills.with(last.clone());
        let text = String::from_utf8(drills.write()).unwrap();
        let read = Drills::parse(text.as_bytes()).unwrap();
        assert_eq!((read.0.len(), read.last(), read.pace().is_some()), (NOTED, Some(&last), true));
        for _ in 0..NOTED + 3 {
            drills = drills.with(last.clone());
        }
        assert_eq!(
            (drills.0.len(), drills.last_tried().map(|drill| drill.verdict)),
            (NOTED + 1, Some(Verdict::Proved))
        );
        for other in ["", "{}", &text[1..], &text.replacen("\"format_version\":1", "\"format_version\":2", 1)] {
            assert_eq!(Drills::parse(other.as_bytes()), None);
        }
    }

    #[test]
    fn a_forecast_grows_with_the_backup_and_with_the_wal() {
        let pace = Pace { backup_bytes: 100, restore_milliseconds: 1000, segments: 10, recovery_milliseconds: 500 };
        assert_eq!(pace.milliseconds(), 1500);
        for (bytes, segments, expected) in [(100, 10, 1500), (200, 10, 2500), (100, 20, 2000), (0, 0, 0)] {
            assert_eq!(pace.forecast(bytes, segments), expected);
        }
        let nothing = Pace { backup_bytes: 0, segments: 0, ..pace };
        assert_eq!(nothing.forecast(u64::MAX, u64::MAX), u64::MAX);
    }
}
