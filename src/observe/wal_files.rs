//! The archives at both ends side by side: one pass over three sorted lists, as an archive may hold millions of files.
//! Where all three have the same run of segments, it is passed as a whole.

use std::iter::Peekable;
use std::ops::RangeInclusive;

use crate::barman::wal::{Segment, WalName};
use crate::barman::wal_entry::WalEntry;
use crate::barman::wal_list::{Codecs, ListRun, WalList};
use crate::barman::wal_map::{Run, WalMap};
use crate::barman::xlogdb::FIVE_FIELDS;
use crate::verify::wal_form::WalForm;

use super::inventory::{PrimaryInventory, ReplicaInventory, Undescribed, Unsound, WholeWal};

/// What everybody knows of one WAL file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WalFile {
    /// Its name.
    pub name: WalName,
    /// What the primary archived under it.
    pub there: Option<WalEntry>,
    /// Why the primary's list does not tell what that is.
    pub undescribed: Option<Undescribed>,
    /// Its bytes on disk here.
    pub here: Option<u64>,
    /// What xlog.db here says of it.
    pub line: Option<WalEntry>,
    /// How it is stored here, where it was read because its size is not the primary's, and found whole.
    pub whole: Option<WholeWal>,
    /// What its beginning here proves.
    pub proof: Proof,
}

/// What is proved of a WAL file here by its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It begins as it should, or is not here.
    Sound,
    /// Nobody can look into it, and a list says why.
    Unproven,
    /// It is damaged.
    Damaged,
}

impl WalFile {
    /// Whether the file here is whole, as far as anybody knows its size. An empty one never is, and who lists it as
    /// empty knows nothing of it.
    pub fn is_intact(&self) -> bool {
        if self.proof == Proof::Damaged {
            return false;
        }
        if self.whole.is_some() || self.is_as_listed() {
            return true;
        }
        let size = [self.there, self.line].into_iter().flatten().map(|entry| entry.size).find(|size| *size > 0);
        self.here.is_some_and(|here| here > 0 && size.is_none_or(|size| size == here))
    }

    /// Whether the file here is what the primary's list says, and the primary changed its own since: it has the same
    /// content in another form.
    pub fn is_as_listed(&self) -> bool {
        let Some(Undescribed::OtherSize { listed }) = self.undescribed else { return false };
        listed > 0 && self.here == Some(listed)
    }
}

/// What comes next in the archives.
#[derive(Debug, Clone, Copy)]
pub enum Span<'a> {
    /// Segments of which nothing sets one apart.
    Settled(Settled<'a>),
    /// One file.
    File(WalFile),
}

/// Whole segments that follow each other within one log, of which the primary, the disk here and xlog.db here tell the
/// same: none is empty, gone or not described as it is, and all are intact.
#[derive(Debug, Clone, Copy)]
pub struct Settled<'a> {
    /// The first one.
    pub first: Segment,
    /// The last one.
    pub last: Segment,
    /// What their beginnings here prove.
    pub proof: Proof,
    run: ListRun<'a>,
}

impl<'a> Settled<'a> {
    /// How many they are.
    pub fn count(&self) -> u64 {
        self.run.sizes.len() as u64
    }

    /// The same one by one.
    pub fn files(self) -> impl Iterator<Item = WalFile> + 'a {
        let proof = self.proof;
        self.run.entries().map(move |entry| WalFile {
            name: entry.name,
            there: Some(entry),
            undescribed: None,
            here: Some(entry.size),
            line: Some(entry),
            whole: None,
            proof,
        })
    }
}

/// One WAL file, whoever knows it.
pub fn wal_file(primary: &PrimaryInventory, replica: &ReplicaInventory, name: WalName) -> WalFile {
    let (there, line) = (primary.wals.get(name), replica.xlogdb.entries.get(name));
    WalFile {
        name,
        there,
        undescribed: primary.undescribed.get(&name).copied(),
        here: replica.wals.get(name),
        line,
        whole: replica.whole.get(&name).copied(),
        proof: proof(replica, name, there, line),
    }
}

/// Every WAL file that somebody knows, in the order of the names. Without a primary the site alone is asked.
pub fn wal_files<'a>(
    primary: Option<&'a PrimaryInventory>,
    replica: &'a ReplicaInventory,
) -> impl Iterator<Item = WalFile> + 'a {
    wal_spans(primary, replica).flat_map(|span| {
        let (settled, file) = match span {
            Span::Settled(settled) => (Some(settled), None),
            Span::File(file) => (None, Some(file)),
        };
        settled.into_iter().flat_map(Settled::files).chain(file)
    })
}

/// The same, with what is settled as a whole.
pub fn wal_spans<'a>(
    primary: Option<&'a PrimaryInventory>,
    replica: &'a ReplicaInventory,
) -> impl Iterator<Item = Span<'a>> + 'a {
    let mut there = Feed::of_list(primary.map(|primary| &primary.wals));
    let mut here = Feed::of_sizes(&replica.wals);
    let mut lines = Feed::of_list(Some(&replica.xlogdb.entries));
    let mut undescribed = primary.into_iter().flat_map(|primary| &primary.undescribed).peekable();
    std::iter::from_fn(move || {
        if let (Some(run_there), Some(run_here), Some(run_line)) = (there.run(), here.run(), lines.run())
            && run_there == run_line
            && run_there.sizes == run_here
            && let Some(settled) = primary.and_then(|primary| settled(primary, replica, run_there))
        {
            there.pass();
            here.pass();
            lines.pass();
            return Some(Span::Settled(settled));
        }
        let name = [there.name(), here.name(), lines.name()].into_iter().flatten().min()?;
        let (there, line) = (there.take(name), lines.take(name));
        Some(Span::File(WalFile {
            name,
            there,
            undescribed: undescribed.next_if(|(undescribed, _)| **undescribed == name).map(|(_, why)| *why),
            here: here.take(name),
            line,
            whole: replica.whole.get(&name).copied(),
            proof: proof(replica, name, there, line),
        }))
    })
}

/// A run that all three have, unless anything else is known of a file of it.
fn settled<'a>(primary: &PrimaryInventory, replica: &ReplicaInventory, run: ListRun<'a>) -> Option<Settled<'a>> {
    let (WalName::Segment(first), WalName::Segment(last)) = (run.sizes.first(), run.sizes.last()) else { return None };
    let names = run.sizes.first()..=run.sizes.last();
    let is_odd = run.sizes.values().contains(&0)
        || primary.gone.range(names.clone()).next().is_some()
        || primary.undescribed.range(names.clone()).next().is_some()
        || replica.whole.range(names.clone()).next().is_some();
    let proof = if is_odd { None } else { proof_of_all(&replica.unsound, names, run) };
    proof.map(|proof| Settled { first, last, proof, run })
}

/// What the beginnings of a whole run prove, where it is the same of each and nothing is damaged.
fn proof_of_all(unsound: &WalMap<Unsound>, names: RangeInclusive<WalName>, run: ListRun<'_>) -> Option<Proof> {
    let is_hidden = |(compression, encryption): &Codecs| WalForm::of(*compression, *encryption).is_hidden();
    match unsound.runs_within(names) {
        [] => Some(Proof::Sound),
        [all] if (all.first(), all.last()) == (run.sizes.first(), run.sizes.last()) => {
            let is_unproven = all.values() == [Unsound::Opaque] && run.codecs.values().iter().all(is_hidden);
            is_unproven.then_some(Proof::Unproven)
        }
        _ => None,
    }
}

/// A sorted list of which a run or a file is taken at a time.
struct Feed<'a, R, T> {
    runs: Peekable<Box<dyn Iterator<Item = (WalName, R)> + 'a>>,
    open: fn(R) -> Files<'a, T>,
    /// The rest of the run of which some files were taken.
    files: Peekable<Files<'a, T>>,
}

type Files<'a, T> = Box<dyn Iterator<Item = (WalName, T)> + 'a>;

impl<'a> Feed<'a, ListRun<'a>, WalEntry> {
    fn of_list(list: Option<&'a WalList>) -> Self {
        let runs = list.into_iter().flat_map(WalList::runs).map(|run| (run.sizes.first(), run));
        Self::new(Box::new(runs), |run| Box::new(run.entries().map(|entry| (entry.name, entry))))
    }
}

impl<'a> Feed<'a, &'a Run<u64>, u64> {
    fn of_sizes(sizes: &'a WalMap<u64>) -> Self {
        Self::new(Box::new(sizes.runs().iter().map(|run| (run.first(), run))), |run| Box::new(run.iter()))
    }
}

impl<'a, R: Copy + 'a, T: 'a> Feed<'a, R, T> {
    fn new(runs: Box<dyn Iterator<Item = (WalName, R)> + 'a>, open: fn(R) -> Files<'a, T>) -> Self {
        let none: Files<'a, T> = Box::new(std::iter::empty());
        Self { runs: runs.peekable(), open, files: none.peekable() }
    }

    /// The run that comes next, if none of its files was taken.
    fn run(&mut self) -> Option<R> {
        let is_begun = self.files.peek().is_some();
        self.runs.peek().map(|(_, run)| *run).filter(|_| !is_begun)
    }

    /// Leaves that run out.
    fn pass(&mut self) {
        self.runs.next();
    }

    /// The name that comes next.
    fn name(&mut self) -> Option<WalName> {
        let begun = self.files.peek().map(|(name, _)| *name);
        begun.or_else(|| self.runs.peek().map(|(first, _)| *first))
    }

    /// The next file, if it has this name.
    fn take(&mut self, name: WalName) -> Option<T> {
        if self.name() != Some(name) {
            return None;
        }
        if self.files.peek().is_none() {
            self.files = (self.open)(self.runs.next()?.1).peekable();
        }
        self.files.next().map(|(_, file)| file)
    }
}

/// What the beginning of a file here proves, given how both ends list it.
fn proof(replica: &ReplicaInventory, name: WalName, there: Option<WalEntry>, line: Option<WalEntry>) -> Proof {
    match replica.unsound.get(name) {
        None => Proof::Sound,
        Some(Unsound::Damaged) => Proof::Damaged,
        Some(Unsound::Opaque) => {
            let is_hidden = there.iter().chain(&line).any(|entry| WalForm::listed(entry).is_hidden());
            // The lists of older Barmans cannot say that a file is encrypted.
            let is_unsaid = there.is_none() && replica.barman < FIVE_FIELDS;
            if is_hidden || is_unsaid { Proof::Unproven } else { Proof::Damaged }
        }
    }
}
