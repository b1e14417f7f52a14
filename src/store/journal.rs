//! The journal of a catalog on disk: `journal/lines.jsonl` in our own directory of the catalog, and the note of its end
//! beside it.
//!
//! # What always holds
//!
//! - A line is on the disk when [`Journal::append`] returns, and the note of the end then says so too.
//! - What a kill or a full disk left of a line is taken away by the next append, and a line says that it was.
//! - When the journal would become larger than it may be, the oldest half of it is dropped, and a line says up to where.
//!   The file is replaced as a whole then.
//! - Nothing here is repaired in silence: the next line follows what the note says, so that what is missing stays missing.
//!
//! Several runs write to it at once, under a lock that is held for one append.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use super::CatalogError;
use super::locks::{Lock, LockError};
use super::posix::{durable, files, places};
use crate::error::{Error, Kind};
use crate::journal::chain::{self, Link};
use crate::journal::{End, Entry, History, Standing};

/// Bytes that it may have: of a run each minute that ships one WAL, what forty days bring.
const MOST: u64 = 64 << 20;
/// More than any note of an end.
const MAX_END: u64 = 64 << 20;
/// How long another run is waited for that writes to it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of its end is read at first for the last line.
const TAIL: u64 = 64 << 10;
/// How often, and how many times, a journal is looked at again that somebody is writing to.
const GLANCES: (Duration, usize) = (Duration::from_millis(50), 40);

/// The journal of a catalog.
#[derive(Debug, Clone)]
pub struct Journal {
    directory: PathBuf,
    most: u64,
    glances: usize,
}

/// It cannot be written to or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another run has its lock for longer than any line takes.
    #[error("{} is held by another run", .0.display())]
    Busy(PathBuf),
    /// The system refused.
    #[error("the journal cannot be written: {0}")]
    Io(#[from] io::Error),
    /// It cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// It is larger than any that this program writes.
    #[error("{} is larger than any that antipode writes, and is not read", .0.display())]
    TooLarge(PathBuf),
}

impl From<JournalError> for Error {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Busy(_) => Self::new(Kind::Busy, error.to_string()).hint("look what that run waits for"),
            JournalError::Io(source) => Self::io("the journal cannot be written", source).or_make_room(),
            JournalError::Catalog(error) => error.into(),
            JournalError::TooLarge(_) => Self::new(Kind::Damaged, error.to_string())
                .hint("find out what wrote to it; moved away as a directory, with its note, it begins anew"),
        }
    }
}

impl From<LockError> for JournalError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Busy { path, .. } => Self::Busy(path),
            LockError::Io { source, .. } => Self::Io(source),
        }
    }
}

impl Journal {
    /// The journal of the catalog with this `barman_home`.
    pub fn of(home: &Path) -> Self {
        Self { directory: home.join(places::OWN_DIRECTORY).join("journal"), most: MOST, glances: GLANCES.1 }
    }

    /// How things stood when it was last written to.
    pub fn standing(&self) -> Standing {
        self.end().ok().flatten().map(|end| end.standing).unwrap_or_default()
    }

    /// Adds a line, after which things stand as `standing` makes of how they stood; its number.
    pub async fn append(
        &self,
        entry: Entry,
        standing: impl FnOnce(Standing) -> Standing + Send + 'static,
    ) -> Result<u64, JournalError> {
        durable::create_private_directory(&self.directory)?;
        let lock = Lock::acquire(&self.directory.join("lock"), PATIENCE).await?;
        let journal = self.clone();
        let written = tokio::task::spawn_blocking(move || {
            let _lock = lock;
            journal.append_locked(&entry, standing)
        });
        written.await.map_err(io::Error::other)?
    }

    fn append_locked(&self, entry: &Entry, standing: impl FnOnce(Standing) -> Standing) -> Result<u64, JournalError> {
        durable::remove_unfinished(&self.directory)?;
        let is_new = !self.lines().exists();
        if is_new && self.end()?.is_none() {
            // So that a kill between the first line and its note leaves no journal without a note.
            self.note_end(&End { last: Link::origin(), standing: Standing::default() })?;
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(self.lines())?;
        let size = file.metadata()?.len();
        let (rest, last) = tail(&mut file, size)?;
        let end = self.end()?;
        // What is missing behind the noted end stays so: the next line follows what was there.
        let noted = end.as_ref().map(|end| end.last.clone()).filter(|noted| noted.line >= last.line);
        let mut text = Text { lines: String::new(), last: noted.unwrap_or(last) };
        if rest > 0 {
            text.add(&Entry::Cut { bytes: rest });
        }
        text.add(entry);
        let size = size - rest;
        if size + text.lines.len() as u64 > self.most {
            self.drop_oldest(&mut text)?;
        } else {
            file.set_len(size)?;
            let written = file.write_all(text.lines.as_bytes()).and_then(|()| file.sync_data());
            written.inspect_err(|_| undo(&file, size))?;
            if is_new {
                durable::sync_directory(&self.directory)?;
            }
        }
        let line = text.last.line;
        let standing = standing(end.map(|end| end.standing).unwrap_or_default());
        let end = End { last: text.last, standing };
        match self.note_end(&end) {
            // It may have come to its place before it failed.
            Err(error) if self.end()?.as_ref() != Some(&end) => {
                undo(&file, size);
                Err(error.into())
            }
            _ => Ok(line),
        }
    }

    /// Replaces the journal by its newer half, with these lines behind it. A line says which were dropped.
    fn drop_oldest(&self, text: &mut Text) -> Result<(), JournalError> {
        let content = fs::read(self.lines())?;
        let (lines, _) = chain::lines(&content);
        let mut kept = 0;
        let is_kept = |line: &&&[u8]| {
            kept += line.len() as u64 + 1;
            kept <= self.most / 2
        };
        let (dropped, kept) = lines.split_at(lines.len() - lines.iter().rev().take_while(is_kept).count());
        // Where the last of them cannot be read, the line behind it says what it followed.
        let last = dropped.last().and_then(|line| Link::of(line)).map(|(link, _)| link);
        let last = last.or_else(|| kept.first().and_then(|line| Link::of(line)).map(|(_, before)| before));
        if let Some(last) = last {
            text.add(&Entry::Dropped { last });
        }
        let kept = kept.iter().flat_map(|line| line.iter().chain(b"\n"));
        let content: Vec<u8> = kept.chain(text.lines.as_bytes()).copied().collect();
        Ok(durable::write(&self.lines(), &content)?)
    }

    /// What it tells; nothing where no run was ever recorded.
    pub fn read(&self) -> Result<History, JournalError> {
        let mut glances = self.glances;
        loop {
            // In this order: what is noted was written before.
            let end = self.end()?;
            let content = files::read(&self.lines(), 2 * self.most)?.unwrap_or_default();
            if content.len() as u64 == 2 * self.most {
                return Err(JournalError::TooLarge(self.lines()));
            }
            let history = History::read(&content, end.as_ref().map(|end| &end.last));
            // A run that wrote meanwhile has the lock still, or has noted another end.
            let is_held = || Lock::is_held(&self.directory.join("lock")).unwrap_or(false);
            if glances == 0 || history.breaks.is_empty() || !is_held() && self.end()? == end {
                return Ok(history);
            }
            glances -= 1;
            sleep(GLANCES.0);
        }
    }

    /// What the note of its end says; `None` where there is none that can be read.
    fn end(&self) -> Result<Option<End>, CatalogError> {
        let note = files::read(&self.directory.join("end.json"), MAX_END)?;
        Ok(note.and_then(|note| serde_json::from_slice(&note).ok()))
    }

    fn note_end(&self, end: &End) -> io::Result<()> {
        let note = serde_json::to_vec(end)?;
        durable::write(&self.directory.join("end.json"), &note)
    }

    fn lines(&self) -> PathBuf {
        self.directory.join("lines.jsonl")
    }
}

/// Lines that are about to be written.
struct Text {
    lines: String,
    /// The last of them, or the one that they follow.
    last: Link,
}

impl Text {
    fn add(&mut self, entry: &Entry) {
        let (line, link) = self.last.followed_by(&entry.members());
        self.lines.push_str(&line);
        self.lines.push('\n');
        self.last = link;
    }
}

/// Takes away what was written behind a size. Where that fails too, the next append does it.
fn undo(file: &File, size: u64) {
    let _failed = file.set_len(size);
}

/// The bytes behind the last line break, and the line before it; the origin, where that is none.
fn tail(file: &mut File, size: u64) -> io::Result<(u64, Link)> {
    let mut length = TAIL.min(size);
    loop {
        file.seek(SeekFrom::Start(size - length))?;
        let mut content = Vec::new();
        (&*file).take(length).read_to_end(&mut content)?;
        let (lines, rest) = chain::lines(&content);
        // The first of several lines may be a part of one.
        if length == size || lines.len() > 1 {
            let last = lines.last().and_then(|line| Link::of(line)).map(|(link, _)| link);
            return Ok((rest.len() as u64, last.unwrap_or_else(Link::origin)));
        }
        length = length.saturating_mul(4).min(size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::chain::Break;
    use crate::journal::tests::{replica, run};
    use crate::journal::{Ended, Outcome};
    use crate::store::home;
    use crate::store::posix::durable::steps;
    use tempfile::TempDir;

    struct Ground {
        home: TempDir,
        journal: Journal,
    }

    impl Ground {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            home::prepare(home.path()).unwrap();
            let journal = Journal::of(home.path());
            Self { home, journal }
        }

        fn entry(n: usize) -> Entry {
            Entry::Ended(run(vec![replica(&format!("r{n}"), Outcome::InSync)]))
        }

        async fn append(&self, n: usize) -> Result<u64, JournalError> {
            self.journal.append(Self::entry(n), |standing| standing).await
        }

        /// The same up to a step of what it changes, where it is cut off.
        fn append_until(&self, step: usize, n: usize) -> bool {
            durable::create_private_directory(&self.journal.directory).unwrap();
            steps::at_most(step, || self.journal.append_locked(&Self::entry(n), |standing| standing)).is_ok()
        }

        fn path(&self, name: &str) -> PathBuf {
            self.home.path().join(".antipode/journal").join(name)
        }

        fn history(&self) -> History {
            self.journal.read().unwrap()
        }

        /// The lines of which runs are told.
        fn told(&self) -> Vec<u64> {
            self.history().runs.iter().map(|run| run.line).collect()
        }
    }

    #[tokio::test]
    async fn lines_follow_each_other_and_the_note_says_how_things_stand() {
        let ground = Ground::new();
        assert_eq!(ground.history(), History::default());
        let Entry::Ended(ended) = Ground::entry(0) else { panic!("a run") };
        let after = ended.clone();
        let line = ground.journal.append(Entry::Ended(ended.clone()), move |standing| standing.after(&after)).await;
        assert_eq!((line.unwrap(), ground.append(1).await.unwrap()), (1, 2));
        let history = ground.history();
        assert_eq!((history.breaks, history.runs.len(), history.runs[0].ended), (vec![], 2, Ended::ByItself));
        assert_eq!(ended.news(&ground.journal.standing()), None);
    }

    #[tokio::test]
    async fn several_runs_at_once_write_whole_lines() {
        let ground = Ground::new();
        let all = (0..20).map(|n| {
            let journal = ground.journal.clone();
            tokio::spawn(async move { journal.append(Ground::entry(n), |standing| standing).await.unwrap() })
        });
        let mut lines: Vec<u64> = futures::future::join_all(all).await.into_iter().map(Result::unwrap).collect();
        lines.sort_unstable();
        assert_eq!(lines, (1..=20).collect::<Vec<_>>());
        assert_eq!((ground.history().breaks, ground.told().len()), (vec![], 20));
    }

    #[tokio::test]
    async fn a_line_that_was_cut_off_is_told_taken_away_and_noted() {
        let ground = Ground::new();
        ground.append(0).await.unwrap();
        let mut file = OpenOptions::new().append(true).open(ground.path("lines.jsonl")).unwrap();
        file.write_all(b"{\"line\":2,\"before\":\"00").unwrap();
        assert_eq!((ground.history().breaks, ground.told()), (vec![Break::CutOff], vec![1]));
        assert_eq!(ground.append(1).await.unwrap(), 3);
        let history = ground.history();
        assert_eq!((history.breaks, history.cut), (vec![], 1));
        assert_eq!(ground.told(), [3, 1]);
    }

    #[tokio::test]
    async fn what_is_missing_stays_missing_whatever_is_written_behind_it() {
        let ground = Ground::new();
        for n in 0..4 {
            ground.append(n).await.unwrap();
        }
        let lines = fs::read_to_string(ground.path("lines.jsonl")).unwrap();
        let without = |from: usize, to: usize| {
            let kept = lines.lines().enumerate().filter(|(n, _)| !(from..=to).contains(n));
            kept.map(|(_, line)| format!("{line}\n")).collect::<String>()
        };
        for (content, missing) in [(without(2, 3), (3, 4)), (String::new(), (1, 4)), (without(1, 1), (2, 2))] {
            fs::write(ground.path("lines.jsonl"), content).unwrap();
            let missing = vec![Break::Missing { from: missing.0, to: missing.1 }];
            assert_eq!(ground.history().breaks, missing);
            let note = fs::read(ground.path("end.json")).unwrap();
            ground.append(5).await.unwrap();
            assert_eq!(ground.history().breaks, missing);
            fs::write(ground.path("end.json"), note).unwrap();
        }
        fs::remove_file(ground.path("lines.jsonl")).unwrap();
        assert_eq!(ground.history().breaks, [Break::Missing { from: 1, to: 4 }]);
    }

    #[tokio::test]
    async fn a_journal_without_its_note_says_so_until_it_is_written_to() {
        let ground = Ground::new();
        ground.append(0).await.unwrap();
        fs::write(ground.path("end.json"), "{").unwrap();
        assert_eq!(ground.history().breaks, [Break::EndUnknown]);
        assert_eq!((ground.append(1).await.unwrap(), ground.history().breaks), (2, vec![]));
    }

    #[tokio::test]
    async fn a_journal_that_is_just_written_to_is_looked_at_again() {
        let mut ground = Ground::new();
        // However late the other one is.
        ground.journal.glances = usize::MAX;
        ground.append(0).await.unwrap();
        let end = fs::read(ground.path("end.json")).unwrap();
        fs::remove_file(ground.path("end.json")).unwrap();
        let at_work = Lock::try_acquire(&ground.path("lock")).unwrap();
        let path = ground.path("end.json");
        let writer = std::thread::spawn(move || {
            sleep(3 * GLANCES.0);
            fs::write(path, end).unwrap();
            drop(at_work);
        });
        assert_eq!(ground.history().breaks, []);
        writer.join().unwrap();
    }

    #[test]
    fn a_first_line_that_is_cut_off_before_its_note_breaks_nothing() {
        for step in 0.. {
            let ground = Ground::new();
            let done = ground.append_until(step, 0);
            assert_eq!(ground.history().breaks, [], "{step}");
            if done {
                assert!(step > 2, "steps are cut off");
                break;
            }
        }
    }

    #[tokio::test]
    async fn the_oldest_half_is_dropped_where_it_would_become_too_large() {
        let mut ground = Ground::new();
        ground.journal.most = 20_000;
        for n in 0..200 {
            ground.append(n).await.unwrap();
            let history = ground.history();
            assert_eq!(history.breaks, [], "{n}");
            assert!(fs::metadata(ground.path("lines.jsonl")).unwrap().len() <= 22_000, "{n}");
        }
        let history = ground.history();
        assert!(history.dropped > 100 && history.runs.len() > 5, "{} {}", history.dropped, history.runs.len());
        // More of the beginning than that is missing, and shows.
        let lines = fs::read_to_string(ground.path("lines.jsonl")).unwrap();
        fs::write(ground.path("lines.jsonl"), lines.split_once('\n').unwrap().1).unwrap();
        assert_eq!(ground.history().breaks, [Break::Missing { from: 1, to: history.dropped + 1 }]);
    }

    #[tokio::test]
    async fn an_append_that_is_cut_off_between_two_steps_breaks_nothing() {
        for is_large in [false, true] {
            for step in 0.. {
                let mut ground = Ground::new();
                for n in 0..30 {
                    ground.append(n).await.unwrap();
                }
                ground.journal.most = if is_large { 12_000 } else { MOST };
                let done = ground.append_until(step, 30);
                assert_eq!(ground.history().breaks, [], "{is_large} {step}");
                ground.append(31).await.unwrap();
                assert_eq!(ground.history().breaks, [], "{is_large} {step}");
                if done {
                    assert!(step > 1, "steps are cut off");
                    break;
                }
            }
        }
    }

    #[tokio::test]
    async fn a_lock_that_somebody_keeps_is_given_up() {
        let ground = Ground::new();
        ground.append(0).await.unwrap();
        let _kept = Lock::try_acquire(&ground.path("lock")).unwrap();
        tokio::time::pause();
        let refused = Error::from(ground.append(1).await.unwrap_err());
        assert_eq!((refused.kind, ground.told()), (Kind::Busy, vec![1]));
    }

    #[tokio::test]
    async fn what_is_larger_than_any_is_not_read() {
        let mut ground = Ground::new();
        ground.append(0).await.unwrap();
        ground.journal.most = 10;
        assert_eq!(Error::from(ground.journal.read().unwrap_err()).kind, Kind::Damaged);
    }
}
