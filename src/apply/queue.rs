//! The files of a copy, from which idle streams draw: the largest first, so that none is left for the end, and always so
//! much that starting a transfer does not count, and so little that all streams end together.
//!
//! Nothing is dealt out before: a stream that is slow, or that shares the line with another replica, draws less often.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::transport::RemoteFile;

/// What a file costs besides its bytes: its name, its checksum, its place in a directory.
const PER_FILE: u64 = 32 << 10;

/// What a transfer costs that brings nothing, in bytes that would have come meanwhile.
const LEAST: u64 = 16 << 20;

/// A draw is no larger, unless it is one file: others wait for the stream meanwhile, also those of other replicas.
const MOST: u64 = 1 << 30;

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
pub struct Draw {
    /// Its files.
    pub paths: Vec<PathBuf>,
    /// How all of them come.
    pub manner: Manner,
}

/// The files that nobody has drawn yet.
#[derive(Debug)]
pub struct Queue {
    /// The largest last.
    files: Mutex<Vec<RemoteFile>>,
    streams: u64,
    drained: CancellationToken,
}

impl Queue {
    /// These files, for so many streams.
    pub fn new(mut files: Vec<RemoteFile>, streams: usize) -> Self {
        files.sort_by(|a, b| a.size.cmp(&b.size).then_with(|| b.path.cmp(&a.path)));
        let drained = CancellationToken::new();
        if files.is_empty() {
            drained.cancel();
        }
        Self { files: Mutex::new(files), streams: streams.max(1) as u64, drained }
    }

    /// The next files, in the manner that the largest of them is to have; `None` when none is left.
    pub fn draw(&self, manner: impl Fn(&RemoteFile) -> Manner) -> Option<Draw> {
        let mut files = self.files();
        let first = files.pop()?;
        let left: u64 = files.iter().map(cost).fold(cost(&first), u64::saturating_add);
        let (enough, mut taken) = ((left / (2 * self.streams)).clamp(LEAST, MOST), cost(&first));
        let mut draw = Draw { manner: manner(&first), paths: vec![first.path] };
        while let Some(next) = files.pop_if(|next| taken + cost(next) <= enough && manner(next) == draw.manner) {
            taken += cost(&next);
            draw.paths.push(next.path);
        }
        if files.is_empty() {
            self.drained.cancel();
        }
        Some(draw)
    }

    /// Nobody is to draw any more.
    pub fn clear(&self) {
        self.files().clear();
        self.drained.cancel();
    }

    /// Fires when nothing is left to draw.
    pub fn drained(&self) -> &CancellationToken {
        &self.drained
    }

    fn files(&self) -> MutexGuard<'_, Vec<RemoteFile>> {
        // Nothing in here can panic half-way.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(file: &RemoteFile) -> u64 {
    file.size.saturating_add(PER_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn queue(sizes: &[u64], streams: usize) -> Queue {
        let file =
            |(number, size): (usize, &u64)| RemoteFile { path: number.to_string().into(), size: *size, mtime: 0 };
        Queue::new(sizes.iter().enumerate().map(file).collect(), streams)
    }

    /// What streams draw one after the other: the numbers of the files.
    fn draws(queue: &Queue, manner: impl Fn(&RemoteFile) -> Manner) -> Vec<(Manner, Vec<String>)> {
        let name = |path: PathBuf| path.display().to_string();
        std::iter::from_fn(|| queue.draw(&manner))
            .map(|draw| (draw.manner, draw.paths.into_iter().map(name).collect()))
            .collect()
    }

    fn whole(_file: &RemoteFile) -> Manner {
        Manner::Whole
    }

    #[test]
    fn the_largest_goes_first_and_small_ones_go_together() {
        let queue = queue(&[1, 1000 * MIB, 8 * MIB, 1, 200 * MIB, 300 * MIB], 4);
        assert!(!queue.drained().is_cancelled());
        let drawn: Vec<_> = draws(&queue, whole).into_iter().map(|(_, paths)| paths.join(" ")).collect();
        assert_eq!(drawn, ["1", "5", "4", "2 0 3"]);
        assert!(queue.drained().is_cancelled());
        assert_eq!(queue.draw(whole), None);
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
        let manner = |file: &RemoteFile| if file.size > 2 * MIB { Manner::Delta } else { Manner::Whole };
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
            assert_eq!(queue.draw(whole), None);
        }
    }
}
