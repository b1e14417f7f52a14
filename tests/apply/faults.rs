//! Every call to the primary fails once, in every way.

use antipode::plan::action::Change;
use antipode::transport::TransportErrorKind;

use super::faulty::{Faulty, Reach};
use super::ground::{Ground, TestSite};
use super::readable::assert_readable;

/// A kind that is not tried again: the next apply must do it.
const FOR_GOOD: TransportErrorKind = TransportErrorKind::CommandFailed;

/// Fails each call of an apply once, and demands that the next apply finishes the work.
async fn every_call_fails_once(site: impl Fn(&str) -> TestSite, reach: Reach) {
    let undisturbed = site("undisturbed");
    let needed = undisturbed.converge().await;
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
        assert_eq!(summary.failed.len(), 1, "call {before}: {:?}", summary.failed);
        assert!(!summary.done.is_empty(), "call {before} took everything with it");
        let arrived = faulty.transferred();
        let rest = site.converge().await;
        assert_eq!(site.content(), undisturbed.content(), "call {before}");
        assert_eq!(arrived + rest, needed, "call {before}: bytes were copied twice");
        std::fs::remove_dir_all(&site.catalog).unwrap();
    }
}

#[tokio::test]
async fn an_empty_site_is_filled_whatever_call_failed_before() {
    let ground = Ground::new().await;
    for reach in [Reach::Nothing, Reach::Half, Reach::Everything] {
        every_call_fails_once(|name| ground.empty_site(name), reach).await;
    }
}

#[tokio::test]
async fn a_site_catches_up_whatever_call_failed_before() {
    let ground = Ground::new().await;
    for reach in [Reach::Nothing, Reach::Half, Reach::Everything] {
        every_call_fails_once(|name| ground.day_old_site(name), reach).await;
    }
}

#[tokio::test]
async fn a_line_that_breaks_once_is_tried_again_within_the_apply() {
    let ground = Ground::new().await;
    let site = ground.empty_site("site");
    let faulty = Faulty::new(2, Reach::Half, TransportErrorKind::Lost);
    let (_, summary) = site.apply(Some(&faulty)).await;
    assert!(faulty.has_failed());
    assert_eq!(summary.failed, []);
    assert!(site.plan().await.is_empty());
}

#[tokio::test]
async fn a_full_disk_stops_only_what_does_not_fit() {
    let ground = Ground::new().await;
    let site = ground.empty_site("site");
    let (plan, _) = (site.plan().await, ());
    let base = plan.replicas[0].actions.iter().find(|action| matches!(action.change, Change::AddBackup(_))).unwrap();
    // The newest backup's base is the biggest thing, and among the first.
    let mut before = 0;
    let summary = loop {
        let site = ground.empty_site(&format!("full-{before}"));
        let (_, summary) = site.apply(Some(&Faulty::new(before, Reach::Half, TransportErrorKind::NoSpace))).await;
        assert_readable(&site.dirs());
        if summary.failed.iter().any(|(address, _)| *address == base.address) {
            site.converge().await;
            break summary;
        }
        before += 1;
    };
    let (_, failure) = &summary.failed[0];
    assert!(failure.message.contains("no space"), "{failure:?}");
    assert!(failure.hint.as_ref().is_some_and(|hint| hint.contains("free space")), "{failure:?}");
    // The other backup and all WAL are there.
    assert!(summary.done.len() + 2 >= plan.replicas[0].actions.len(), "{summary:?}");
}
