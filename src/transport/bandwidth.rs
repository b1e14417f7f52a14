//! The bandwidth of a primary, or of a replica, that all which is transferred under it keeps together.
//!
//! Whoever passes bytes on draws the right to from one tap ([`super::taps`]), which is filled here as fast as the limit
//! says. So the limit holds for all streams and connections together, whoever has something to transfer uses all of it,
//! and it can be another one at any moment. What counts is what comes over the line: a compressed byte as one byte.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::io::ioctl_fionread;
use tokio::task::AbortHandle;

use crate::error::{Error, Kind};
use crate::site::model::Primary;

use super::private_dir::PrivateDir;
use super::taps::UNIT;

/// How often a tap is filled.
const TICK: Duration = Duration::from_millis(10);

/// What lies in a tap at the most for those who were not quick enough, as a part of a second: more would be a burst.
const KEPT: u64 = 8;

/// A tap holds at least so much, so that one chunk can be passed on at once.
const LEAST: u64 = 8;

/// The bandwidth of each primary, for all that is transferred from it, whenever and for whatever that is.
#[derive(Debug, Default)]
pub struct Bandwidths {
    /// By the primary's name.
    primaries: Mutex<BTreeMap<String, Arc<Bandwidth>>>,
}

impl Bandwidths {
    /// That of a primary, with the limit that is declared of it by now.
    pub fn of(&self, primary: &Primary) -> Arc<Bandwidth> {
        let bandwidth = {
            // Nothing in here can panic half-way.
            let mut primaries = self.primaries.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(primaries.entry(primary.name.clone()).or_default())
        };
        bandwidth.set_limit(primary.bandwidth);
        bandwidth
    }
}

/// A limit that transfers keep together.
#[derive(Debug, Default)]
pub struct Bandwidth {
    /// Bytes per second; 0 is unlimited.
    limit: Arc<AtomicU64>,
    /// From the first transfer on that is under a limit.
    tap: Mutex<Option<Tap>>,
}

/// A FIFO, as long as it is filled.
#[derive(Debug)]
struct Tap {
    path: PathBuf,
    filling: AbortHandle,
    _directory: PrivateDir,
}

impl Bandwidth {
    /// One of so many bytes per second; `None` is unlimited.
    pub fn of(limit: Option<u64>) -> Self {
        let bandwidth = Self::default();
        bandwidth.set_limit(limit);
        bandwidth
    }

    /// From now on it is this one, also for what is on its way under a limit. A primary that was told to send no faster than
    /// the earlier one goes on so until its transfer ends.
    pub fn set_limit(&self, limit: Option<u64>) {
        self.limit.store(limit.unwrap_or(0), Ordering::Relaxed);
    }

    /// In bytes per second; `None` is unlimited.
    pub fn limit(&self) -> Option<u64> {
        Some(self.limit.load(Ordering::Relaxed)).filter(|limit| *limit > 0)
    }

    /// Where a transfer that begins draws the right to each byte; `None` where it needs none.
    pub fn tap(&self) -> Result<Option<PathBuf>, Error> {
        let mut tap = self.opened();
        if tap.is_none() && self.limit().is_some() {
            let parent = std::env::temp_dir();
            *tap = Some(Tap::open(Arc::clone(&self.limit)).map_err(|error| {
                let message =
                    format!("the bandwidth cannot be limited: no FIFO can be made in {}: {error}", parent.display());
                Error::new(Kind::from(&error), message).hint("set TMPDIR to a directory that can be written")
            })?);
        }
        Ok(self.limit().and(tap.as_ref().map(|tap| tap.path.clone())))
    }

    fn opened(&self) -> MutexGuard<'_, Option<Tap>> {
        // Nothing in here can panic half-way.
        self.tap.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tap {
    fn open(limit: Arc<AtomicU64>) -> io::Result<Self> {
        let directory = PrivateDir::make_in(&std::env::temp_dir())?;
        let path = directory.path().join("tap");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        // Open for both, it waits for nobody.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let fifo = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path)?;
        let filling = tokio::spawn(fill(fifo, limit)).abort_handle();
        Ok(Self { path, filling, _directory: directory })
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.filling.abort();
    }
}

/// Fills a tap until it is aborted. Without a limit, as there was one when it was opened, it is always full.
async fn fill(mut fifo: File, limit: Arc<AtomicU64>) {
    let (mut flow, mut last) = (Flow::default(), Instant::now());
    loop {
        tokio::time::sleep(TICK).await;
        let (now, limit) = (Instant::now(), limit.load(Ordering::Relaxed));
        let limit = if limit == 0 { u64::MAX / 1_000_000_000 } else { limit };
        let units = flow.units(now - last, limit, ioctl_fionread(&fifo).unwrap_or(0));
        last = now;
        let _full = fifo.write_all(&vec![0; units]);
    }
}

/// What has flowed under a limit, and was not given yet as it is less than a unit.
#[derive(Debug, Default)]
struct Flow {
    /// In bytes times microseconds per second.
    rest: u128,
}

impl Flow {
    /// The units to be given after some time, where so many given before lie unused. What would be too many is lost, unless
    /// all was used: then they are owed, at most those of a second.
    fn units(&mut self, time: Duration, limit: u64, unused: u64) -> usize {
        let unit = u128::from(UNIT) * 1_000_000;
        let flowed = self.rest.saturating_add(time.as_micros().saturating_mul(limit.into()));
        let most = (limit / KEPT / UNIT).clamp(LEAST, MOST).saturating_sub(unused);
        let given = (flowed / unit).min(most.into());
        let owed = flowed - given * unit;
        self.rest = if unused == 0 { owed.min(unit.max(u128::from(limit) * 1_000_000)) } else { owed % unit };
        usize::try_from(given).unwrap_or_default()
    }
}

/// What a FIFO holds on Linux.
const MOST: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const MB: u64 = 1_000_000;

    #[test]
    fn as_much_flows_as_the_limit_says_whatever_the_intervals() {
        for limit in [1000, MB, 100 * MB, 1000 * MB] {
            for milliseconds in [1, 10, 17] {
                let (mut flow, mut units) = (Flow::default(), 0);
                for _ in 0..10_000 {
                    units += flow.units(Duration::from_millis(milliseconds), limit, 0) as u64;
                }
                let expected = limit * milliseconds * 10;
                assert!(units * UNIT <= expected && expected - units * UNIT < UNIT, "{limit} {milliseconds} {units}");
            }
        }
    }

    #[test]
    fn what_nobody_used_is_kept_for_an_eighth_of_a_second_and_not_longer() {
        let second = Duration::from_secs(1);
        for (limit, unused, units) in [
            (MB, 0, 30),
            (MB, 20, 10),
            (MB, 30, 0),
            (MB, 100, 0),
            (100 * MB, 0, 3051),
            (8192, 0, 2),
            (8192, 7, 1),
            (u64::MAX / 1_000_000_000, 0, 65_536),
        ] {
            assert_eq!(Flow::default().units(second, limit, unused), units, "{limit} {unused}");
        }
    }

    #[test]
    fn those_who_used_all_get_later_what_came_too_late_for_them() {
        let (mut flow, tick) = (Flow::default(), Duration::from_millis(10));
        assert_eq!(flow.units(Duration::from_millis(500), MB, 0), 30);
        let later: usize = (0..100).map(|_| flow.units(tick, MB, 0)).sum();
        assert_eq!(later, 336, "what was owed, and what a second brought");
        flow.units(Duration::from_secs(60), MB, 0);
        assert!((0..100).map(|_| flow.units(tick, MB, 0)).sum::<usize>() < 500, "no more than of a second is owed");
    }

    #[tokio::test]
    async fn a_tap_is_there_as_long_as_there_is_a_limit_and_gives_what_was_declared_last() {
        let bandwidth = Bandwidth::of(None);
        assert_eq!((bandwidth.limit(), bandwidth.tap()), (None, Ok(None)));
        bandwidth.set_limit(Some(1));
        let path = bandwidth.tap().unwrap().unwrap();
        assert_eq!(bandwidth.tap(), Ok(Some(path.clone())));
        // At a byte a second nothing would come for an hour.
        bandwidth.set_limit(Some(100 * MB));
        let read = tokio::task::spawn_blocking({
            let path = path.clone();
            move || File::open(path).unwrap().read(&mut [0; 16]).unwrap()
        });
        assert!(read.await.unwrap() > 0);
        bandwidth.set_limit(None);
        assert_eq!(bandwidth.tap(), Ok(None));
        drop(bandwidth);
        assert!(!path.exists());
    }
}
