//! Replicas of one apply that have nothing to do with each other.

use std::time::Duration;

use antipode::barman::layout::{Layout, ServerDirs};
use antipode::demo::catalog::{FIRST_BACKUP, PrimaryCatalog};
use antipode::store::locks::{Lock, LockKind};

use super::ground::{Blind, Ground};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_server_that_is_busy_holds_up_no_other_and_one_that_is_done_is_free() {
    let ground = Ground::new().await;
    PrimaryCatalog::create(&ground.primary(), "other").unwrap().first_day().unwrap();
    let catalog = ground.path().join("site");
    let mut site = ground.site_of(&catalog, "main: {primary: frankfurt}\n  other: {primary: frankfurt}");
    std::fs::create_dir(&catalog).unwrap();
    site.lock_timeout = LONG;
    let cron = |server: &str| LockKind::Cron.path(&catalog, &server.parse().unwrap());
    let busy = Lock::try_acquire(&cron("main")).unwrap();
    let dirs = ServerDirs::of_catalog(&catalog, "other".parse().unwrap());
    let (published, others) = (Layout::NEWEST.backup_info(&dirs, FIRST_BACKUP.parse().unwrap()), cron("other"));
    // Barman lets go of the one server only when the other is done and free.
    let barman = tokio::spawn(async move {
        while !published.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(Lock::acquire(&others, LONG).await.unwrap());
        drop(busy);
    });
    let (_, summary) = site.apply_watched(&Blind).await;
    assert_eq!((summary.failed, summary.skipped), (vec![], vec![]));
    barman.await.unwrap();
    assert!(site.plan().await.is_empty());
}
