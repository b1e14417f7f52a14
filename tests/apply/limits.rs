//! `--max-bytes`: each run copies no more, the next goes on, and in the end everything is there.

use std::fs;

use antipode::demo::catalog::SECOND_BACKUP;
use antipode::plan::action::Address;

use super::ground::{Ground, TestSite};
use super::readable::assert_readable;

const MIB: u64 = 1 << 20;

/// Applies until nothing is left to do; how many runs it took.
async fn apply_in_portions(site: &TestSite, limit: u64) -> usize {
    for runs in 0..100 {
        let (plan, summary) = site.apply_some(limit).await;
        if plan.is_empty() {
            return runs;
        }
        assert_eq!(summary.failed, []);
        assert!(summary.transferred <= limit, "run {runs}: {} of {limit} bytes", summary.transferred);
        let is_left = !summary.skipped.is_empty();
        assert_eq!(summary.stopped_at, is_left.then_some(limit), "run {runs}: {summary:?}");
        assert!(!is_left || summary.transferred > 0, "run {runs} got no further: {summary:?}");
        assert!(!summary.interrupted);
        assert_readable(&site.dirs());
        // The locks are free: the next run takes them at once.
    }
    panic!("it does not end");
}

#[tokio::test]
async fn portions_end_with_what_one_apply_brings() {
    let ground = Ground::new().await;
    let whole = ground.empty_site("whole");
    let needed = whole.converge().await;
    // Smaller than a backup and larger than any file, and one that leaves little to a second run.
    for limit in [3 * MIB, needed * 2 / 3] {
        let site = ground.empty_site(&format!("site-{limit}"));
        let runs = apply_in_portions(&site, limit).await;
        let least = usize::try_from(needed / limit).unwrap();
        assert!((least..=2 * least + 2).contains(&runs), "{runs} runs of {limit} for {needed} bytes");
        site.assert_same(&whole, &format!("{limit} bytes at a time"));
    }
}

#[tokio::test]
async fn a_limit_that_is_not_reached_changes_nothing() {
    let ground = Ground::new().await;
    let (site, whole) = (ground.day_old_site("site"), ground.day_old_site("whole"));
    let needed = whole.converge().await;
    let (_, summary) = site.apply_some(2 * needed).await;
    assert_eq!((summary.stopped_at, summary.skipped.len()), (None, 0));
    assert!(site.plan().await.is_empty());
    site.assert_same(&whole, "within the limit");
}

#[tokio::test]
async fn the_newest_backup_comes_first_and_repairs_are_not_held_up() {
    let ground = Ground::new().await;
    let site = ground.day_old_site("site");
    let xlogdb = antipode::barman::layout::Layout::NEWEST.xlogdb(&site.dirs());
    let lines = fs::read(&xlogdb).unwrap();
    fs::write(&xlogdb, [lines.clone(), lines].concat()).unwrap();
    let (plan, summary) = site.apply_blindly(MIB + MIB / 2).await;
    let done: Vec<&str> = summary.done.iter().map(Address::as_str).collect();
    let backup = format!("main/backup/{SECOND_BACKUP}");
    assert!(done.contains(&"main/xlog.db") && done.contains(&backup.as_str()), "{done:?}");
    // What the new backup does not need is planned after it.
    assert!(!summary.skipped.is_empty() && plan.replicas[0].actions.len() > done.len(), "{summary:?}");
    apply_in_portions(&site, 8 * MIB).await;
}

#[tokio::test]
async fn a_file_larger_than_the_limit_comes_in_pieces() {
    let ground = Ground::new().await;
    let (site, whole) = (ground.day_old_site("site"), ground.day_old_site("whole"));
    site.converge().await;
    whole.converge().await;
    let lost = "000000010000000000000005";
    fs::remove_file(site.dirs().wals_directory.join("0000000100000000").join(lost)).unwrap();
    let (limit, mut runs) = (420_000, 0);
    while !site.plan().await.is_empty() {
        let (_, summary) = site.apply_blindly(limit).await;
        assert_eq!(summary.failed, []);
        assert!((1..=limit).contains(&summary.transferred), "{summary:?}");
        runs += 1;
    }
    assert!((3..=5).contains(&runs), "{runs} runs for a segment of 1 MiB");
    site.assert_same(&whole, "in pieces");
}
