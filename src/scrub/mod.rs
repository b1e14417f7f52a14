//! Verification of what lies here: bytes that nobody wrote since are read again, so that rot is found before it is needed.
//!
//! ```text
//!   disk (what lies here) ──► schedule (what is read next) ──► judge (one file) ──► reads (when, and what it came to)
//!                                                                   │
//!                                                                   └──► damage: the next plan repairs it
//! ```
//!
//! The rules that are held here:
//!
//! - Nothing is written but notes of our own, and no lock of Barman's is taken: a verification may run beside everything.
//! - What changes or goes away while it is read is neither proved nor damaged. Before a file is called damaged or missing it
//!   is looked at again, and whether its backup is still published.
//! - Proved is only what was read to its end as it is now. What nothing tells the content of is read all the same, as a
//!   disk that does not give it back says so, and is unproven.
//! - A file with several names is read once.
//!
//! Memory is bounded by the names of the files and the largest manifest, whatever their sizes.

mod disk;
mod judge;
mod lists;
mod noting;
mod outcome;
mod pace;
pub mod reads;
pub mod schedule;
mod work;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZero;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::barman::ids::{ServerName, SystemId};
use crate::observe::catalog::xlogdb::{XlogDbFile, XlogDbFiles};
use crate::store::{ChangeError, Found, GoOn, Place, Store, arrivals, damage};

use disk::Here;
use pace::Pace;
use reads::{Reads, Subject};
use schedule::{Asked, Candidate};
use work::Work;

pub use outcome::{Damaged, Difference, Ended, Outcome};
pub use pace::Progress;

/// How it is verified.
pub struct Terms<'a> {
    /// What is read.
    pub asked: Asked,
    /// The time within which each byte is to be read.
    pub every: Duration,
    /// Bytes per second, of all files together.
    pub bandwidth: Option<u64>,
    /// How many files are read at the same time; `None` is one for each processor.
    pub streams: Option<NonZero<usize>>,
    /// Whether there is still time.
    pub go_on: GoOn<'a>,
    /// Who watches it sees there how far it is.
    pub progress: &'a Progress,
    /// Systems that WAL may be of besides those of the backups.
    pub systems: &'a [SystemId],
    /// The time of the verification.
    pub now: Timestamp,
}

/// A file with all its names.
struct Item {
    bytes: u64,
    names: Vec<(Subject, Found)>,
}

/// Verifies what lies here of a server. It blocks for as long as the disk takes.
pub fn scrub(store: &dyn Store, server: &ServerName, terms: &Terms<'_>) -> Result<Outcome, ChangeError> {
    if store.is_here()?
        && let Err(error) = store.make(Place::Own)
    {
        tracing::debug!("what is read cannot be remembered: {error}");
    }
    if let Err(error) = arrivals::forget_gone(store) {
        tracing::debug!("what is noted of backups that are gone stays: {error}");
    }
    let here = disk::list(store, server)?;
    let noted = damage::noted(store)?;
    let mut reads = Reads::load(store);
    reads.retain(|subject| here.may_have(subject));
    let items = items(&here);
    let lines = XlogDbFiles::read(store)?;
    let mut work = Work {
        store,
        server,
        here: &here,
        lines: lines.any().map(|file| &file.entries),
        disordered: lines.any().map_or(0, XlogDbFile::disordered),
        systems: here.systems(terms.systems),
        pace: Pace::new(terms.bandwidth, terms.progress, terms.go_on),
        now: terms.now,
        readers: readers(terms.streams)?,
        reads,
        outcome: Outcome::default(),
        arrived: BTreeMap::new(),
        kept: Instant::now(),
    };
    work.load_arrivals()?;
    work.compare_lost()?;
    work.settle(&items)?;
    let candidates: Vec<Candidate> = items.iter().map(|item| work.candidate(item, &noted)).collect();
    let seed = terms.now.as_second().cast_unsigned();
    let choice = schedule::choose(terms.asked, &candidates, work.reads.shared, terms.now, seed);
    let chosen: Vec<&Item> = choice.order.iter().filter_map(|at| items.get(*at)).collect();
    terms.progress.choose(chosen.iter().map(|item| item.bytes).sum());
    work.read(&chosen)?;
    let again = choice.order.iter().skip(choice.new).filter_map(|at| Some((items.get(*at)?, *candidates.get(*at)?)));
    let again = again.filter(|(item, _)| work.was_read(item)).map(|(_, candidate)| candidate);
    let shared = schedule::shared_until(work.reads.shared, again, &candidates, terms.every, terms.now);
    work.reads.share(shared);
    work.compare_lists()?;
    Ok(work.end(&items)?)
}

/// Threads of its own: those that others share must not wait for a pace.
fn readers(streams: Option<NonZero<usize>>) -> Result<ThreadPool, ChangeError> {
    let streams = streams.map_or(0, NonZero::get);
    let readers = ThreadPoolBuilder::new().num_threads(streams).thread_name(|n| format!("verify-{n}")).build();
    readers.map_err(|error| ChangeError {
        deed: "read",
        path: "the catalog".into(),
        source: std::io::Error::other(error),
    })
}

/// The files here, each once: one with several names is one.
fn items(here: &Here) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut shared: HashMap<u64, usize> = HashMap::new();
    for (subject, found) in here.files() {
        let (inode, next) = (found.stamp.inode(), items.len());
        let at = if found.links > 1 { *shared.entry(inode).or_insert(next) } else { next };
        match items.get_mut(at) {
            Some(item) => item.names.push((subject, found)),
            None => items.push(Item { bytes: found.stamp.size, names: vec![(subject, found)] }),
        }
    }
    items
}

#[cfg(test)]
mod tests;
