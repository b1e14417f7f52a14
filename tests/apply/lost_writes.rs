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
        let faulty = Faulty::about(SECOND_BACKUP, Reach::Half, Kind::CommandFailed);
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
    /// `None` where this user or this host cannot mount any.
    fn mount(directory: &Path, volume: &Path) -> Option<Self> {
        let pool = directory.join("pool");
        let image = pool.join("image");
        fs::create_dir(&pool).unwrap();
        fs::create_dir(volume).unwrap();
        let thin = Self { pool, volume: volume.to_owned() };
        let (pool, image) = (thin.pool.to_str()?, image.to_str()?);
        let made = run("mount", &["-t", "tmpfs", "-o", "size=8M", "tmpfs", pool])
            && run("truncate", &["-s", "300M", image])
            && run(
                "mkfs.ext4",
                &["-q", "-J", "size=4", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1", image],
            )
            && thin.mount_volume();
        made.then_some(thin)
    }

    fn mount_volume(&self) -> bool {
        let (image, volume) = (self.pool.join("image"), self.volume.to_str().unwrap());
        run("mount", &["-o", "loop", image.to_str().unwrap(), volume])
    }

    /// More room, and none of what the kernel still remembers.
    fn extend(&self) {
        assert!(run("mount", &["-o", "remount,size=400M", self.pool.to_str().unwrap()]));
        assert!(run("umount", &[self.volume.to_str().unwrap()]) && self.mount_volume());
    }
}

impl Drop for ThinVolume {
    fn drop(&mut self) {
        for path in [&self.volume, &self.pool] {
            run("umount", &["-l", path.to_str().unwrap_or_default()]);
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).status().is_ok_and(|status| status.success())
}

/// Needs a user that may mount; elsewhere the tests above, which lose writes by hand, have to do.
#[tokio::test]
async fn what_a_full_pool_loses_is_not_published_and_comes_with_the_next_apply() {
    let ground = Ground::new().await;
    let (site, whole) = (ground.empty_site("site"), ground.empty_site("whole"));
    whole.converge().await;
    let Some(thin) = ThinVolume::mount(ground.path(), &site.catalog) else { return };
    fs::remove_dir(site.catalog.join("lost+found")).unwrap();
    let (_, summary) = site.apply_watched(&Blind).await;
    assert!(!summary.failed.is_empty(), "the pool is large enough: {summary:?}");
    assert!(own(&site).join("unfinished").exists());
    thin.extend();
    site.repair().await;
    thin.extend();
    site.assert_same(&whole, "the pool was extended");
}
