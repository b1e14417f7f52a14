//! The backup.info of a backup that others build on is changed by several steps, each under its lock.

use std::fs;
use std::path::Path;
use std::time::Duration;

use antipode::barman::layout::Layout;
use antipode::demo::catalog::FIRST_BACKUP;
use antipode::store::locks::{Lock, LockKind};

use super::ground::{Blind, Ground};

/// A child of the first backup whose copy was cut short, and that the primary no longer has.
const CHILD: &str = "20261121T120000";

fn replace(path: &Path, into: &Path, changes: &[(&str, &str)]) {
    let mut text = fs::read_to_string(path).unwrap();
    for (old, new) in changes {
        assert!(text.contains(old), "{old}: {text}");
        text = text.replace(old, new);
    }
    fs::write(into, text).unwrap();
}

#[tokio::test]
async fn a_parents_backup_info_is_changed_under_its_lock() {
    let ground = Ground::new().await;
    let (mut site, whole) = (ground.day_old_site("site"), ground.day_old_site("whole"));
    site.converge().await;
    whole.converge().await;
    let (dirs, id) = (site.dirs(), FIRST_BACKUP.parse().unwrap());
    let info = |id: &str| Layout::NEWEST.backup_info(&dirs, id.parse().unwrap());
    let (parent, child) = (info(FIRST_BACKUP), info(CHILD));
    let built_on = format!("parent_backup_id={FIRST_BACKUP}");
    replace(&parent, &child, &[("status=DONE", "status=SYNCING"), ("parent_backup_id=None", &built_on)]);
    replace(&parent, &parent, &[("children_backup_ids=None", &format!("children_backup_ids={CHILD}"))]);
    fs::create_dir_all(dirs.base(CHILD.parse().unwrap()).join("data")).unwrap();

    let before = fs::read(&parent).unwrap();
    let busy = Lock::try_acquire(&LockKind::BackupId(id).path(&site.catalog, &dirs.server)).unwrap();
    site.lock_timeout = Duration::from_millis(50);
    let (_, summary) = site.apply_watched(&Blind).await;
    let failed: Vec<&str> = summary.failed.iter().map(|(address, _)| address.as_str()).collect();
    for address in [format!("main/info/{FIRST_BACKUP}"), format!("main/backup/{CHILD}")] {
        assert!(failed.contains(&address.as_str()), "{address}: {failed:?}");
    }
    assert_eq!(fs::read(&parent).unwrap(), before);
    drop(busy);
    site.repair().await;
    site.assert_same(&whole, "both changed it");
}
