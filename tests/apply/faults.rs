//! Every call to the primary fails once, in every way.

use antipode::demo::catalog::SECOND_BACKUP;
use antipode::error::Kind;

use super::faulty::{Faulty, Reach};
use super::ground::{Ground, TestSite};
use super::readable::assert_readable;

/// A kind that is not tried again: the next apply must do it.
const FOR_GOOD: Kind = Kind::CommandFailed;

/// Fails each call of an apply once, and demands that the next apply finishes the work. `most` tells how many bytes both
/// may transfer together, given a site that nothing disturbed and what it transferred.
async fn every_call_fails_once(site: impl Fn(&str) -> TestSite, reach: Reach, most: impl Fn(&TestSite, u64) -> u64) {
    let undisturbed = site(&format!("{reach:?}"));
    let transferred = undisturbed.converge().await;
    let most = most(&undisturbed, transferred);
    for before in 0.. {
        let site = site(&format!("{reach:?}-{before}"));
        let faulty = Faulty::new(before, reach, FOR_GOOD);
        let (_, summary) = site.apply(Some(&faulty)).await;
        assert_readable(&site.dirs());
        if !faulty.has_failed() {
            assert!(before > 5, "only {before} calls were made");
            assert_eq!(summary.failed, []);
            return;
        }
        // WAL that arrived is placed, whatever became of the answer.
        let least = usize::from(reach != Reach::Everything);
        assert!((least..=1).contains(&summary.failed.len()), "call {before}: {:?}", summary.failed);
        assert_eq!(summary.failed.is_empty(), site.plan().await.is_empty(), "call {before}: {summary:?}");
        assert!(!summary.done.is_empty(), "call {before} took everything with it");
        let arrived = faulty.transferred();
        let rest = site.converge().await;
        site.assert_same(&undisturbed, &format!("call {before}"));
        assert!(arrived + rest <= most, "call {before}: {arrived} + {rest} bytes, not {most}: some were copied twice");
        std::fs::remove_dir_all(&site.catalog).unwrap();
    }
}

#[tokio::test]
async fn an_empty_site_is_filled_whatever_call_failed_before() {
    let ground = Ground::new().await;
    for reach in [Reach::Half, Reach::Everything] {
        // While the newest backup waits for what failed, an older one cannot share its files.
        every_call_fails_once(|name| ground.empty_site(name), reach, |undisturbed, _| undisturbed.bytes()).await;
    }
}

#[tokio::test]
async fn a_site_catches_up_whatever_call_failed_before() {
    let ground = Ground::new().await;
    for reach in [Reach::Nothing, Reach::Half] {
        every_call_fails_once(|name| ground.day_old_site(name), reach, |_, transferred| transferred).await;
    }
}

#[tokio::test]
async fn a_line_that_breaks_once_is_tried_again_within_the_apply() {
    let ground = Ground::new().await;
    let site = ground.empty_site("site");
    let faulty = Faulty::new(2, Reach::Half, Kind::Lost);
    let (_, summary) = site.apply(Some(&faulty)).await;
    assert!(faulty.has_failed());
    assert_eq!(summary.failed, []);
    assert!(site.plan().await.is_empty());
}

#[tokio::test]
async fn a_full_disk_stops_only_what_does_not_fit() {
    let ground = Ground::new().await;
    let site = ground.empty_site("site");
    let faulty = Faulty::copying(SECOND_BACKUP, Reach::Half, Kind::NoSpace);
    let (plan, summary) = site.apply(Some(&faulty)).await;
    let [(address, failure)] = &summary.failed[..] else { panic!("{:?}", summary.failed) };
    assert_eq!(address.as_str(), format!("main/backup/{SECOND_BACKUP}"));
    assert!(failure.message.contains("no_space"), "{failure:?}");
    assert!(failure.hint.as_ref().is_some_and(|hint| hint.starts_with("free space")), "{failure:?}");
    // The other backup is published, and all WAL is there.
    assert_eq!(summary.done.len() + 1, plan.replicas[0].actions.len(), "{summary:?}");
    assert_readable(&site.dirs());
    site.converge().await;
}
