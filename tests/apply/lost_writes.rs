//! What lies in staging is believed only when it is known that the disk kept it: a lost write leaves a file with the right
//! size and time.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use antipode::demo::catalog::SECOND_BACKUP;
use antipode::error::Kind;
use antipode::events::{Event, Listener};

use super::faulty::{Faulty, Reach};
use super::ground::{Blind, Ground, TestSite};
use super::volume::run;

const SEGMENT: &str = "000000010000000000000005";

/// Zeroes a file from a byte on, and leaves its size and time.
fn spoil(path: &Path, from: u64) {
    let metadata = fs::metadata(path).unwrap();
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(from)).unwrap();
    file.write_all(&vec![0; usize::try_from(metadata.len() - from).unwrap()]).unwrap();
    file.set_times(FileTimes::new().set_modified(metadata.modified().unwrap())).unwrap();
}

fn own(site: &TestSite) -> PathBuf {
    site.dirs().backup_directory.join(".antipode")
}

/// As if a killed run had left it: with its size and time, and without proof.
fn unplace(site: &TestSite) -> PathBuf {
    let staged = own(site).join("wals").join(SEGMENT);
    fs::create_dir_all(staged.parent().unwrap()).unwrap();
    fs::rename(site.dirs().wal(SEGMENT.parse().unwrap()), &staged).unwrap();
    staged
}

#[tokio::test]
async fn wal_that_a_run_left_in_staging_is_compared_by_content() {
    let ground = Ground::new().await;
    let (site, whole) = (ground.day_old_site("site"), ground.day_old_site("whole"));
    site.converge().await;
    whole.converge().await;
    let size = fs::metadata(unplace(&site)).unwrap().len();
    assert_eq!(site.repair().await, 0, "what is whole is not copied again");
    site.assert_same(&whole, "what was staged is whole");
    spoil(&unplace(&site), 16384);
    assert!((1..=size).contains(&site.repair().await));
    site.assert_same(&whole, "a write was lost");
}

#[tokio::test]
async fn a_base_that_a_run_left_without_ending_well_is_compared_by_content() {
    for has_manifest in [true, false] {
        let ground = Ground::new().await;
        let site = ground.empty_site("site");
        let there = ground.primary().join("main/base").join(SECOND_BACKUP);
        if !has_manifest {
            fs::remove_file(there.join("data/backup_manifest")).unwrap();
        }
        let faulty = Faulty::copying(SECOND_BACKUP, Reach::Half, Kind::CommandFailed);
        site.apply_over(&faulty).await;
        let staged = own(&site).join("staging").join(SECOND_BACKUP);
        spoil(&staged.join("data/global/pg_control"), 0);
        let mark = own(&site).join("unfinished");
        assert!(!mark.exists(), "that run ended well");
        File::create(&mark).unwrap();
        let (_, summary) = site.apply_watched(&Blind).await;
        assert_eq!((summary.failed, summary.skipped), (vec![], vec![]));
        assert!(site.plan().await.is_empty());
        assert!(!mark.exists(), "all that was doubted is compared");
        let here = site.dirs().base(SECOND_BACKUP.parse().unwrap());
        for entry in walkdir::WalkDir::new(&there).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file()) {
            let path = here.join(entry.path().strip_prefix(&there).unwrap());
            assert_eq!(fs::read(&path).unwrap(), fs::read(entry.path()).unwrap(), "{}", path.display());
        }
    }
}

#[tokio::test]
async fn what_a_run_left_that_was_told_of_a_loss_is_copied_again() {
    let ground = Ground::new().await;
    let site = ground.day_old_site("site");
    site.converge().await;
    let size = fs::metadata(unplace(&site)).unwrap().len();
    let base = own(&site).join("staging").join(SECOND_BACKUP);
    fs::create_dir_all(base.join("data")).unwrap();
    File::create(base.join("data/of a run that lost writes")).unwrap();
    fs::write(own(&site).join("unfinished"), "lost writes\n").unwrap();
    assert_eq!(site.repair().await, size, "whole as it looks, it is not believed");
    assert!(!base.exists());
    assert!(!own(&site).join("unfinished").exists());
}

/// Looks for the mark whenever something was brought.
struct Marked(PathBuf);

impl Listener for Marked {
    fn notice(&self, event: &Event) {
        if let Event::Finished { deed, .. } = event {
            let brings = ["shipped", "copied and verified"].contains(&deed.done);
            assert!(!brings || self.0.exists(), "{event:?}");
        }
    }
}

#[tokio::test]
async fn a_run_is_marked_as_long_as_something_may_be_lost() {
    let ground = Ground::new().await;
    let site = ground.empty_site("site");
    let mark = own(&site).join("unfinished");
    let (_, summary) = site.apply_watched(&Marked(mark.clone())).await;
    assert_eq!(summary.failed, []);
    assert!(!mark.exists());
}

/// A file system on a pool that is smaller than it: its late writes are lost, not refused.
struct ThinVolume {
    pool: PathBuf,
    volume: PathBuf,
}

impl ThinVolume {
    /// Its user must be one who may mount.
    fn mount(directory: &Path, volume: &Path, has_journal: bool) -> Self {
        let pool = directory.join("pool");
        let image = pool.join("image");
        fs::create_dir(&pool).unwrap();
        fs::create_dir(volume).unwrap();
        let thin = Self { pool, volume: volume.to_owned() };
        let (pool, image) = (thin.pool.to_str().unwrap(), image.to_str().unwrap());
        let (journal, size) =
            if has_journal { (["-J", "size=4"], "size=8M") } else { (["-O", "^has_journal"], "size=4M") };
        let lazy = ["-q", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1"];
        run("mount", &["-t", "tmpfs", "-o", size, "tmpfs", pool]);
        run("truncate", &["-s", "300M", image]);
        run("mkfs.ext4", &[&lazy[..], &journal, &[image]].concat());
        thin.mount_volume();
        thin
    }

    fn mount_volume(&self) {
        let (image, volume) = (self.pool.join("image"), self.volume.to_str().unwrap());
        run("mount", &["-o", "loop", image.to_str().unwrap(), volume]);
    }

    /// More room.
    fn extend(&self) {
        run("mount", &["-o", "remount,size=400M", self.pool.to_str().unwrap()]);
    }

    /// The kernel forgets what it remembers, and what is broken is mended, as when a host starts again.
    fn mount_again(&self) {
        run("umount", &[self.volume.to_str().unwrap()]);
        let checked = Command::new("e2fsck").args(["-fy", self.pool.join("image").to_str().unwrap()]).output().unwrap();
        assert!(checked.status.code().is_some_and(|code| code <= 1), "{checked:?}");
        self.mount_volume();
        self.forget_lost_and_found();
    }

    /// Whatever lies there is nobody's.
    fn forget_lost_and_found(&self) {
        fs::remove_dir_all(self.volume.join("lost+found")).unwrap();
    }
}

impl Drop for ThinVolume {
    fn drop(&mut self) {
        for path in [&self.volume, &self.pool] {
            let _ = Command::new("umount").arg("-l").arg(path).status();
        }
    }
}

/// Where nobody may mount, the tests above, which lose writes by hand, have to do. Without a journal the file system has
/// lost inodes and directories too.
async fn what_a_full_pool_loses_is_not_published(has_journal: bool) {
    let ground = Ground::new().await;
    let (site, whole) = (ground.empty_site("site"), ground.empty_site("whole"));
    whole.converge().await;
    let thin = ThinVolume::mount(ground.path(), &site.catalog, has_journal);
    thin.forget_lost_and_found();
    let (_, summary) = site.apply_watched(&Blind).await;
    assert!(!summary.failed.is_empty(), "the pool is large enough: {summary:?}");
    assert!(own(&site).join("unfinished").exists());
    thin.extend();
    thin.mount_again();
    site.repair().await;
    thin.mount_again();
    site.assert_same(&whole, "the pool was extended");
}

#[tokio::test]
#[ignore = "mounts a file system: ./test runs it where that may be done"]
async fn what_a_full_pool_loses_comes_with_the_next_apply() {
    what_a_full_pool_loses_is_not_published(true).await;
}

#[tokio::test]
#[ignore = "mounts a file system: ./test runs it where that may be done"]
async fn inodes_that_a_full_pool_loses_are_not_published() {
    what_a_full_pool_loses_is_not_published(false).await;
}
