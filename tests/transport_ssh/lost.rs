//! Lines that break, and programs of either end that are killed or frozen while they copy.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use antipode::error::{Error, Kind};
use antipode::transport::{ByteCounter, Connection, Fetch, Fetched};
use rustix::process::{Pid, Signal, kill_process};
use tokio_util::sync::CancellationToken;

use crate::support::executable::write_program;
use crate::support::sshd::Sshd;
use crate::{BIG, all_files, eventually, fetch, names, noise, open};

/// A copy that takes seconds, and what it must bring.
struct Copying {
    sshd: Sshd,
    source: PathBuf,
    target: PathBuf,
}

impl Copying {
    /// One big file, or two thousand small ones.
    fn of(is_big: bool) -> Self {
        let sshd = Sshd::start();
        if is_big {
            sshd.write("base/16384", noise(BIG));
        } else {
            for number in 0..2000 {
                sshd.write(&format!("base/{}/{number}", number % 7), noise(4000));
            }
        }
        let (source, target) = (sshd.path("base"), sshd.mkdir("target"));
        Self { sshd, source, target }
    }

    fn request(&self, bandwidth: Option<u64>) -> Fetch {
        Fetch { bandwidth, ..all_files(&self.source, &self.target) }
    }

    async fn open(&self) -> Connection {
        let mut primary = self.sshd.primary();
        primary.timeouts.idle = Duration::from_secs(2);
        open(&self.sshd, &primary).await.unwrap()
    }

    /// Copies slowly, does something to what runs when the copy is half-way, and tells how it ended.
    async fn disturbed(&self, connection: &Connection, disturb: impl Fn(&Path)) -> Result<Fetched, Error> {
        let (counter, never) = (ByteCounter::default(), CancellationToken::new());
        let slow = self.request(Some(1 << 20));
        let (ended, ()) = tokio::join!(connection.files.fetch(&slow, &counter, &never), async {
            eventually("progress", || counter.get() > 500_000).await;
            disturb(&self.source);
        });
        ended
    }

    /// The next copy brings what the other did not.
    async fn ends_well(&self, connection: &Connection) {
        fetch(connection, &self.request(None)).await.unwrap();
        assert_eq!(names(&self.target), names(&self.source));
        for name in names(&self.source) {
            let (there, here) = (self.source.join(&name), self.target.join(&name));
            assert!(there.is_dir() || fs::read(there).unwrap() == fs::read(here).unwrap(), "{name}");
        }
    }
}

/// The rsync of the primary, or those of this machine.
fn rsyncs(source: &Path, is_of_primary: bool) -> Vec<Pid> {
    let is_wanted = |line: &str| line.starts_with("rsync ") && line.contains("--server") == is_of_primary;
    Sshd::processes_about(source).into_iter().filter(|(_, line)| is_wanted(line)).map(|(pid, _)| pid).collect()
}

fn signal(processes: &[Pid], signal: Signal) {
    assert!(!processes.is_empty());
    for process in processes {
        kill_process(*process, signal).unwrap();
    }
}

#[tokio::test]
async fn a_copy_that_is_cut_off_at_the_primary_is_lost_and_not_cancelled() {
    for is_big in [true, false] {
        let copying = Copying::of(is_big);
        let connection = copying.open().await;
        for how in [Signal::TERM, Signal::HUP, Signal::KILL] {
            let ended = copying.disturbed(&connection, |source| signal(&rsyncs(source, true), how)).await;
            assert_eq!(ended.unwrap_err().kind, Kind::Lost, "{how:?}, big: {is_big}");
            fs::remove_dir_all(&copying.target).unwrap();
            fs::create_dir(&copying.target).unwrap();
        }
        copying.ends_well(&connection).await;
    }
}

#[tokio::test]
async fn a_copy_whose_rsync_is_killed_here_is_lost_and_not_cancelled() {
    let copying = Copying::of(true);
    let connection = copying.open().await;
    for how in [Signal::TERM, Signal::KILL] {
        for which in [0, 1] {
            let kill = |source: &Path| {
                let mut ours = rsyncs(source, false);
                ours.sort_by_key(|pid| pid.as_raw_nonzero());
                signal(&ours[which..=which], how);
            };
            let ended = copying.disturbed(&connection, kill).await;
            assert_eq!(ended.unwrap_err().kind, Kind::Lost, "{how:?} {which}");
            fs::remove_dir_all(&copying.target).unwrap();
            fs::create_dir(&copying.target).unwrap();
        }
    }
    copying.ends_well(&connection).await;
}

#[tokio::test]
async fn a_frozen_primary_is_lost_and_the_next_copy_goes_on() {
    for is_big in [true, false] {
        let copying = Copying::of(is_big);
        let connection = copying.open().await;
        let ended = copying.disturbed(&connection, |source| signal(&rsyncs(source, true), Signal::STOP)).await;
        let error = ended.unwrap_err();
        assert!(error.kind == Kind::Lost && error.message.contains("`timeouts.idle`"), "{error:?}");
        let frozen = rsyncs(&copying.source, true);
        copying.ends_well(&connection).await;
        signal(&frozen, Signal::KILL);
    }
}

#[tokio::test]
async fn a_listing_of_a_frozen_primary_is_lost() {
    let sshd = Sshd::start_with(|at| format!("SetEnv PATH={}\n", at.join("bin").display()));
    write_program(&sshd.mkdir("bin").join("rsync"), "#!/bin/sh\nkill -s STOP $$\n");
    std::os::unix::fs::symlink("/bin/sh", sshd.path("bin/sh")).unwrap();
    let mut primary = sshd.primary();
    primary.timeouts.idle = Duration::from_secs(1);
    let connection = open(&sshd, &primary).await.unwrap();
    let error = connection.files.list(&sshd.mkdir("wals")).await.unwrap_err();
    assert!(error.kind == Kind::Lost && error.message.contains("`timeouts.idle`"), "{error:?}");
    signal(
        &Sshd::processes_about(&sshd.path("bin/rsync")).iter().map(|(pid, _)| *pid).collect::<Vec<_>>(),
        Signal::KILL,
    );
}
