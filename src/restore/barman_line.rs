//! The command of Barman's own that restores the same.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::barman::ids::{BackupId, ServerName};
use crate::barman::wal::Timeline;
use crate::plan::recovery::way::Target;

/// What is restored, in Barman's words.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The server at the site.
    pub server: &'a ServerName,
    /// The backup.
    pub backup: BackupId,
    /// Whether it builds on another, so that Barman needs a directory to put it together.
    pub is_incremental: bool,
    /// The timeline to end on.
    pub timeline: Timeline,
    /// How far.
    pub target: Target,
    /// The data directory.
    pub data: &'a Path,
    /// The tablespaces that go elsewhere than where they were, by their names.
    pub moved: &'a [(String, PathBuf)],
}

/// The words; `None` for what Barman cannot do at a passive node (barman #1204: `--target-immediate` and
/// `--target-lsn` fail there up to 3.19).
pub fn words(line: Line<'_>) -> Option<Vec<String>> {
    let mut words = vec!["barman".to_owned(), "restore".to_owned()];
    words.extend(["--target-tli".to_owned(), line.timeline.0.to_string(), "--no-get-wal".to_owned()]);
    for (name, directory) in line.moved {
        words.extend(["--tablespace".to_owned(), format!("{name}:{}", directory.display())]);
    }
    if line.is_incremental {
        words.extend(["--local-staging-path".to_owned(), format!("{}.staging", line.data.display())]);
    }
    match line.target {
        Target::Latest => {}
        Target::Time(time) => words.extend(["--target-time".to_owned(), zoned(time)]),
        Target::Lsn(_) | Target::Immediate => return None,
    }
    words.extend([line.server.to_string(), line.backup.to_string(), line.data.display().to_string()]);
    Some(words)
}

/// A time as PostgreSQL and Barman read it, with its zone.
pub fn zoned(time: Timestamp) -> String {
    let fraction = if time.subsec_nanosecond() == 0 { "" } else { "%.f" };
    time.strftime(&format!("%Y-%m-%d %H:%M:%S{fraction}+00:00")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_timeline_and_where_tablespaces_go() {
        let server = "main".parse().unwrap();
        let moved = [("side".to_owned(), "/srv/a b/side".into())];
        let line = Line {
            server: &server,
            backup: "20261122T030000".parse().unwrap(),
            is_incremental: true,
            timeline: Timeline(2),
            target: Target::Time("2026-11-22T09:12:03.5Z".parse().unwrap()),
            data: Path::new("/srv/data"),
            moved: &moved,
        };
        assert_eq!(
            shell_words::join(words(line).unwrap()),
            "barman restore --target-tli 2 --no-get-wal --tablespace 'side:/srv/a b/side' --local-staging-path \
             /srv/data.staging --target-time '2026-11-22 09:12:03.5+00:00' main 20261122T030000 /srv/data"
        );
        assert_eq!(words(Line { target: Target::Immediate, ..line }), None);
    }
}
