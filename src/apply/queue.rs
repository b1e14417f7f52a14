//! The files of a copy, from which idle streams draw: the largest first, so that none is left for the end, and always so
//! much that starting a transfer does not count, and so little that all streams end together. A file that alone would
//! keep the others waiting at the end is drawn in parts.
//!
//! Nothing is dealt out before: a stream that is slow, or that shares the line with another replica, draws less often.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::plan::cost::parts;
use crate::transport::RemoteFile;

/// What a file costs besides its bytes: its name, its checksum, its place in a directory.
const PER_FILE: u64 = 32 << 10;

/// What a transfer costs that brings nothing, in bytes that would have come meanwhile.
const LEAST: u64 = 16 << 20;

/// A draw is no larger, unless it is one file: others wait for the stream meanwhile, also those of other replicas.
const MOST: u64 = 1 << 30;

/// A file that is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// As the primary has it.
    pub file: RemoteFile,
    /// The size of the older version that is here, where there is one.
    pub older: Option<u64>,
    /// What an earlier copy brought of it.
    pub begun: Begun,
}

/// What is here of a file that is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Nothing.
    No,
    /// A partial file, which is finished as a whole.
    Partial,
    /// Parts; these are what is missing.
    Parts(Vec<Range<u64>>),
}

/// How each file of a draw comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As it is.
    Whole,
    /// As what differs from an older version of it here.
    Delta,
}

/// What a stream transfers next; never nothing.
#[derive(Debug, PartialEq, Eq)]
pub enum Draw {
    /// Files.
    Files {
        /// Their paths.
        paths: Vec<PathBuf>,
        /// How all of them come.
        manner: Manner,
    },
    /// These bytes of one file.
    Part(RemoteFile, Range<u64>),
}

/// The files that nobody has drawn yet.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    streams: u64,
    drained: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    /// The largest last.
    rests: Vec<Rest>,
    /// Bytes that are still to come of files that come in parts, by their paths.
    to_come: BTreeMap<PathBuf, u64>,
}

/// A file, or what nobody has drawn yet of one that comes in parts.
#[derive(Debug)]
struct Rest {
    wanted: Wanted,
    bytes: Range<u64>,
    is_part: bool,
}

impl Rest {
    fn size(&self) -> u64 {
        self.bytes.end - self.bytes.start
    }

    fn cost(&self) -> u64 {
        self.size().saturating_add(PER_FILE)
    }

    /// By size, and among equals so that the first path, and of a file the first bytes, are drawn first.
    fn order(&self, other: &Self) -> Ordering {
        let by_path = || other.wanted.file.path.cmp(&self.wanted.file.path);
        let by_place = || other.bytes.start.cmp(&self.bytes.start);
        self.size().cmp(&other.size()).then_with(by_path).then_with(by_place)
    }
}

impl Queue {
    /// These files, for so many streams.
    pub fn new(files: Vec<Wanted>, streams: usize) -> Self {
        let mut state = State::default();
        for file in files {
            state.add(file);
        }
        state.rests.sort_by(Rest::order);
        let drained = CancellationToken::new();
        if state.rests.is_empty() {
            drained.cancel();
        }
        Self { state: Mutex::new(state), streams: streams.max(1) as u64, drained }
    }

    /// The next files, in the manner that the largest of them is to have, or the next part of a file, where that is sooner on
    /// a line of this round trip; `None` when nothing is left.
    pub fn draw(&self, manner: impl Fn(&Wanted) -> Manner, round_trip: Option<Duration>) -> Option<Draw> {
        let mut state = self.state();
        let first = state.rests.pop()?;
        let left: u64 = state.rests.iter().map(Rest::cost).fold(first.cost(), u64::saturating_add);
        let part = parts::next(first.size(), left, self.streams, round_trip);
        let can_be_cut = first.wanted.begun == Begun::No && manner(&first.wanted) == Manner::Whole;
        let draw = if first.is_part || can_be_cut && part.is_some() {
            state.cut(first, part)
        } else {
            let enough = (left / (2 * self.streams)).clamp(LEAST, MOST);
            state.gather(first, enough, manner)
        };
        if state.rests.is_empty() {
            self.drained.cancel();
        }
        Some(draw)
    }

    /// These bytes of a file have come that was drawn in parts. Whether it is whole by that.
    pub fn has_come(&self, file: &RemoteFile, bytes: &Range<u64>) -> bool {
        let mut state = self.state();
        let to_come = state.to_come.entry(file.path.clone()).or_default();
        *to_come = to_come.saturating_sub(bytes.end - bytes.start);
        *to_come == 0
    }

    /// Nobody is to draw any more.
    pub fn clear(&self) {
        self.state().rests.clear();
        self.drained.cancel();
    }

    /// Fires when nothing is left to draw.
    pub fn drained(&self) -> &CancellationToken {
        &self.drained
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Adds a file, in no order yet.
    fn add(&mut self, wanted: Wanted) {
        if let Begun::Parts(missing) = &wanted.begun {
            let to_come = missing.iter().map(|bytes| bytes.end - bytes.start).sum();
            self.to_come.insert(wanted.file.path.clone(), to_come);
            for bytes in missing.clone() {
                self.rests.push(Rest { wanted: wanted.clone(), bytes, is_part: true });
            }
        } else {
            self.rests.push(Rest { bytes: 0..wanted.file.size, wanted, is_part: false });
        }
    }

    /// Puts it to its place among the others.
    fn put(&mut self, rest: Rest) {
        let place = self.rests.partition_point(|other| other.order(&rest).is_lt());
        self.rests.insert(place, rest);
    }

    /// The next part of a file, of so many bytes or all the rest.
    fn cut(&mut self, rest: Rest, bytes: Option<u64>) -> Draw {
        let Rest { wanted, bytes: mut left, is_part } = rest;
        if !is_part {
            self.to_come.insert(wanted.file.path.clone(), wanted.file.size);
        }
        let end = bytes.map_or(left.end, |bytes| left.end.min(left.start + bytes));
        let draw = Draw::Part(wanted.file.clone(), left.start..end);
        left.start = end;
        if !left.is_empty() {
            self.put(Rest { wanted, bytes: left, is_part: true });
        }
        draw
    }

    /// A file, and as many that are to come in the same manner as cost no more than enough.
    fn gather(&mut self, first: Rest, enough: u64, manner: impl Fn(&Wanted) -> Manner) -> Draw {
        let (of_all, mut taken) = (manner(&first.wanted), first.cost());
        let mut paths = vec![first.wanted.file.path];
        let fits =
            |next: &mut Rest, taken| !next.is_part && taken + next.cost() <= enough && manner(&next.wanted) == of_all;
        while let Some(next) = self.rests.pop_if(|next| fits(next, taken)) {
            taken += next.cost();
            paths.push(next.wanted.file.path);
        }
        Draw::Files { paths, manner: of_all }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    /// So far away that large files come in parts.
    const FAR: Option<Duration> = Some(Duration::from_millis(100));

    fn wanted(number: usize, size: u64) -> Wanted {
        let file = RemoteFile { path: number.to_string().into(), size, mtime: 0 };
        Wanted { file, older: None, begun: Begun::No }
    }

    fn queue(sizes: &[u64], streams: usize) -> Queue {
        Queue::new(sizes.iter().enumerate().map(|(number, size)| wanted(number, *size)).collect(), streams)
    }

    /// What streams draw one after the other, near: the numbers of the files.
    fn draws(queue: &Queue, manner: impl Fn(&Wanted) -> Manner) -> Vec<(Manner, Vec<String>)> {
        let name = |path: PathBuf| path.display().to_string();
        let draw = |draw| match draw {
            Draw::Files { paths, manner } => (manner, paths.into_iter().map(name).collect()),
            Draw::Part(file, bytes) => panic!("{file:?} {bytes:?}"),
        };
        std::iter::from_fn(|| queue.draw(&manner, None)).map(draw).collect()
    }

    fn whole(_file: &Wanted) -> Manner {
        Manner::Whole
    }

    #[test]
    fn the_largest_goes_first_and_small_ones_go_together() {
        let queue = queue(&[1, 1000 * MIB, 8 * MIB, 1, 200 * MIB, 300 * MIB], 4);
        assert!(!queue.drained().is_cancelled());
        let drawn: Vec<_> = draws(&queue, whole).into_iter().map(|(_, paths)| paths.join(" ")).collect();
        assert_eq!(drawn, ["1", "5", "4", "2 0 3"]);
        assert!(queue.drained().is_cancelled());
        assert_eq!(queue.draw(whole, FAR), None);
    }

    #[test]
    fn what_is_drawn_gets_smaller_to_the_end_so_that_streams_end_together() {
        for streams in [1, 2, 8] {
            let sizes = vec![64 * MIB; 160];
            let counts: Vec<usize> =
                draws(&queue(&sizes, streams), whole).iter().map(|(_, paths)| paths.len()).collect();
            assert!(counts.is_sorted_by(|a, b| a >= b), "{counts:?}");
            assert_eq!((counts[0], counts[counts.len() - 1], counts.iter().sum()), ((80 / streams).min(15), 1, 160));
        }
    }

    #[test]
    fn thousands_of_small_files_are_a_few_draws() {
        let drawn = draws(&queue(&vec![8192; 10_000], 8), whole);
        assert!(drawn.len() < 32, "{}", drawn.len());
        assert_eq!(drawn.iter().map(|(_, paths)| paths.len()).sum::<usize>(), 10_000);
    }

    #[test]
    fn all_files_of_a_draw_come_in_one_manner() {
        let manner = |wanted: &Wanted| if wanted.file.size > 2 * MIB { Manner::Delta } else { Manner::Whole };
        let drawn = draws(&queue(&[3 * MIB, MIB, MIB, 4 * MIB], 1), manner);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(drawn, [(Manner::Delta, names(&["3", "0"])), (Manner::Whole, names(&["1", "2"]))]);
    }

    #[test]
    fn a_queue_that_is_cleared_gives_nothing_more_and_an_empty_one_gives_nothing() {
        let full = queue(&[MIB, MIB], 1);
        full.clear();
        for queue in [full, queue(&[], 3)] {
            assert!(queue.drained().is_cancelled());
            assert_eq!(queue.draw(whole, FAR), None);
        }
    }

    /// What streams draw one after the other, far away: the names of files, and bytes in MiB of parts.
    fn far_draws(queue: &Queue, manner: impl Fn(&Wanted) -> Manner) -> Vec<String> {
        let told = |draw| match draw {
            Draw::Files { paths, .. } => {
                paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
            }
            Draw::Part(file, bytes) => {
                format!("{}[{}..{}]", file.path.display(), bytes.start / MIB, bytes.end / MIB)
            }
        };
        std::iter::from_fn(|| queue.draw(&manner, FAR)).map(told).collect()
    }

    #[test]
    fn a_file_that_would_be_a_long_tail_alone_is_drawn_in_parts() {
        let drawn = far_draws(&queue(&[1, 200 * MIB, MIB], 4), whole);
        assert_eq!(drawn, ["1[0..32]", "1[32..64]", "1[64..96]", "1[96..128]", "1[128..160]", "1[160..200]", "2 0"]);
        let delta = |_: &Wanted| Manner::Delta;
        assert_eq!(far_draws(&queue(&[200 * MIB], 4), delta), ["0"], "it is compared as a whole");
        let partial = Wanted { begun: Begun::Partial, ..wanted(0, 200 * MIB) };
        assert_eq!(far_draws(&Queue::new(vec![partial], 4), whole), ["0"], "what is here of it goes on");
    }

    #[test]
    fn what_is_missing_between_parts_is_drawn_wherever_the_line_goes_and_tells_when_the_file_is_whole() {
        let begun = |missing| Wanted { begun: Begun::Parts(missing), ..wanted(0, 100 * MIB) };
        let queue = Queue::new(vec![begun(vec![10 * MIB..20 * MIB, 60 * MIB..100 * MIB])], 4);
        for (bytes, is_whole) in [(60 * MIB..100 * MIB, false), (10 * MIB..20 * MIB, true)] {
            let file = wanted(0, 100 * MIB).file;
            assert_eq!(queue.draw(|_| Manner::Delta, None), Some(Draw::Part(file.clone(), bytes.clone())));
            assert_eq!(queue.has_come(&file, &bytes), is_whole);
        }
    }
}
