//! What replaces a backup is looked at on disk before the backup is deleted.

use std::fs;
use std::time::Duration;

use antipode::barman::ids::BackupId;
use antipode::barman::layout::{Layout, ServerDirs};
use antipode::demo::catalog::{FIRST_BACKUP, SECOND_BACKUP};
use antipode::events::{Event, Listener};

use jiff::Timestamp;

use super::ground::{Ground, TestSite};
use super::stages;

/// `last: 1`, and what that leaves out may be deleted.
const NEWEST_ONLY: &str = ", backups: [{last: 1}], prune: {unselected: true}, protect: {min_backups: 1}";

/// A site that has the first backup, which nobody keeps, and is to have the second instead.
fn replaced(ground: &Ground, name: &str) -> TestSite {
    let site = ground.day_old_site(name);
    for dirs in [ground.primary_dirs(), site.dirs()] {
        // That of the primary is gone with the first site already.
        let _ = fs::remove_file(Layout::NEWEST.keep(&dirs, FIRST_BACKUP.parse().unwrap()));
    }
    ground.wanting(&site, NEWEST_ONLY)
}

/// Takes a file away as soon as the new backup is published, as a failing disk does.
struct Spoils {
    dirs: ServerDirs,
    file: &'static str,
}

impl Listener for Spoils {
    fn notice(&self, event: &Event) {
        if let Event::Finished { deed, .. } = event
            && deed.done == "published"
        {
            fs::remove_file(self.dirs.backup_directory.join(self.file)).unwrap();
        }
    }
}

#[tokio::test]
async fn what_is_replaced_by_a_whole_backup_is_deleted() {
    let ground = Ground::new().await;
    let site = replaced(&ground, "site");
    site.converge().await;
    assert!(!site.dirs().base(FIRST_BACKUP.parse().unwrap()).exists());
}

#[tokio::test]
async fn nothing_is_deleted_for_a_backup_that_is_not_whole_on_disk() {
    let ground = Ground::new().await;
    for (i, (file, lack)) in [
        ("base/20261122T030000/data/PG_VERSION", "data/PG_VERSION"),
        ("wals/0000000200000000/000000020000000000000013", "WAL segment 000000020000000000000013"),
        ("meta/20261122T030000-backup.info", "is not among the good ones here"),
    ]
    .into_iter()
    .enumerate()
    {
        let site = replaced(&ground, &format!("site{i}"));
        let (plan, summary) = site.apply_watched(&Spoils { dirs: site.dirs(), file }).await;
        let [(address, failure)] = summary.failed.as_slice() else { panic!("{file}: {:?}", summary.failed) };
        assert_eq!(address.to_string(), format!("main/backup/{FIRST_BACKUP}"));
        assert!(failure.message.contains(SECOND_BACKUP) && failure.message.contains(lack), "{file}: {failure}");
        // The WAL of the backup that stays is not deleted either.
        let removals: Vec<_> =
            plan.replicas[0].actions.iter().filter(|action| action.address.sort() == "wal").collect();
        assert!(removals.iter().any(|action| summary.skipped.contains(&action.address)), "{file}: {removals:?}");
        let dirs = site.dirs();
        assert!(dirs.base(FIRST_BACKUP.parse().unwrap()).join("data/PG_VERSION").exists(), "{file}");
        assert!(dirs.wal("000000010000000000000003".parse().unwrap()).exists(), "{file}");
    }
}

#[tokio::test]
async fn nothing_is_deleted_for_what_is_only_remembered_as_whole() {
    let ground = Ground::new().await;
    let site = ground.wanting(&replaced(&ground, "site"), "");
    site.converge().await;
    let mut site = ground.wanting(&site, NEWEST_ONLY);
    site.site.catalog.deep_every = Duration::from_secs(86_400);
    let (first, second): (BackupId, BackupId) = (FIRST_BACKUP.parse().unwrap(), SECOND_BACKUP.parse().unwrap());
    // What changed a moment ago is not remembered.
    while stages::look(&site.site, Timestamp::now()).await.1.replicas[&site.dirs().server].replica.backups[&second]
        .looked_at
        .is_none()
    {}
    // In place, which no directory shows.
    fs::write(site.dirs().base(second).join("data/global/pg_control"), "").unwrap();

    let (_, summary) = site.apply_blindly(u64::MAX).await;
    let [(address, failure)] = summary.failed.as_slice() else { panic!("{:?}", summary.failed) };
    assert_eq!(address.to_string(), format!("main/backup/{FIRST_BACKUP}"));
    assert!(failure.message.contains("pg_control"), "{failure}");
    assert!(site.dirs().base(first).join("data/PG_VERSION").exists());
    // What was found is repaired by the next, and then the other goes.
    site.repair().await;
    assert!(!site.dirs().base(first).exists());
}

#[tokio::test]
async fn nothing_is_deleted_when_what_replaces_it_cannot_be_copied() {
    let ground = Ground::new().await;
    let site = replaced(&ground, "site");
    let there = ground.primary_dirs().base(SECOND_BACKUP.parse().unwrap());
    fs::write(there.join("data/PG_VERSION"), "16 or so\n").unwrap();
    let (_, summary) = site.apply(None).await;
    assert_eq!(summary.failed.len(), 1, "{:?}", summary.failed);
    let address = format!("main/backup/{FIRST_BACKUP}").parse().unwrap();
    assert!(summary.skipped.contains(&address), "{:?}", summary.skipped);
    assert!(site.dirs().base(FIRST_BACKUP.parse().unwrap()).join("data/PG_VERSION").exists());
}
