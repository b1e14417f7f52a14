//! What PostgreSQL is told in `postgresql.auto.conf`, which wins over every other file of its configuration.

use std::path::Path;

use crate::barman::wal::Timeline;
use crate::plan::recovery::way::Target;

use super::barman_line::zoned;

/// What is taken back, as an earlier recovery may have left it: another target, or another server to follow.
const CLEARED: [&str; 7] = [
    "primary_conninfo",
    "primary_slot_name",
    "recovery_target",
    "recovery_target_time",
    "recovery_target_name",
    "recovery_target_xid",
    "recovery_target_lsn",
];

/// What recovery needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The program that fetches WAL.
    pub program: &'a Path,
    /// The WAL archive of the replica.
    pub archive: &'a Path,
    /// The timeline to end on.
    pub timeline: Timeline,
    /// How far to go.
    pub target: Target,
    /// A file that hears of each file that recovery asks for.
    pub note: Option<&'a Path>,
}

impl Settings<'_> {
    /// The lines. PostgreSQL believes the last one of a name.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = CLEARED.iter().map(|name| format!("{name} = ''")).collect();
        lines.push(format!("restore_command = {}", value(&self.restore_command())));
        lines.push(format!("recovery_target_timeline = '{}'", self.timeline.0));
        // What the restored server writes is no business of the old one's archive, before somebody says so.
        lines.push("archive_mode = off".to_owned());
        lines.extend(match self.target {
            Target::Latest => None,
            Target::Time(time) => Some(format!("recovery_target_time = {}", value(&zoned(time)))),
            Target::Lsn(lsn) => Some(format!("recovery_target_lsn = '{lsn}'")),
            Target::Immediate => Some("recovery_target = 'immediate'".to_owned()),
        });
        lines
    }

    fn restore_command(&self) -> String {
        // PostgreSQL takes a percent sign for the beginning of a name that it fills in.
        let word = |path: &Path| shell_words::quote(&path.display().to_string()).replace('%', "%%");
        let note = self.note.map(|note| format!("--note {} ", word(note))).unwrap_or_default();
        format!("{} restore-wal {note}{} %f %p", word(self.program), word(self.archive))
    }
}

/// A value in a file of PostgreSQL's configuration (PostgreSQL guc-file.l): between quotes, with those within doubled.
pub fn value(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_the_shell_and_the_configuration() {
        let settings = Settings {
            program: Path::new("/usr/bin/antipode"),
            archive: Path::new("/srv/5% of it's/wals"),
            timeline: Timeline(3),
            target: Target::Time("2026-11-22T09:12:03Z".parse().unwrap()),
            note: Some(Path::new("/srv/a note")),
        };
        let lines = settings.lines();
        let told = lines.iter().find_map(|line| line.strip_prefix("restore_command = ")).unwrap();
        // As PostgreSQL reads it, and then the shell.
        let read = told[1..told.len() - 1].replace("''", "'").replace(r"\\", r"\").replace("%%", "%");
        let words = shell_words::split(&read).unwrap();
        assert_eq!(
            words,
            ["/usr/bin/antipode", "restore-wal", "--note", "/srv/a note", "/srv/5% of it's/wals", "%f", "%p"]
        );
        assert!(lines.contains(&"recovery_target_timeline = '3'".to_owned()));
        assert_eq!(lines.last().unwrap(), "recovery_target_time = '2026-11-22 09:12:03+00:00'");
        let immediate = Settings { target: Target::Immediate, ..settings }.lines();
        assert_eq!(immediate.last().unwrap(), "recovery_target = 'immediate'");
        assert_eq!(immediate.len(), lines.len());
    }
}
