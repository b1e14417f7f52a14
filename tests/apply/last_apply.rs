//! The note of a replica's last successful apply.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use antipode::apply::memory;
use antipode::barman::last_apply::{LastApply, Measured, SiteNote};
use antipode::error::Kind;
use antipode::events::Summary;
use antipode::store::{Place, Store};
use jiff::Timestamp;

use super::faulty::{Faulty, Reach};
use super::ground::{Ground, TestSite};

fn noted(site: &TestSite) -> Option<LastApply> {
    LastApply::parse(&fs::read(site.store().local(Place::LastApply.into())).ok()?)
}

/// The site that it was of.
fn by() -> SiteNote {
    SiteNote { name: "lisbon".to_owned(), file: "/etc/lisbon.yaml".to_owned() }
}

#[tokio::test]
async fn an_apply_that_succeeded_is_noted_also_when_it_had_nothing_to_do() {
    let ground = Ground::new().await;
    let site = ground.empty_site("site");
    let begin = Timestamp::now();
    site.apply(None).await;
    let first = noted(&site).unwrap();
    assert!(Some(begin) <= first.ended && first.ended <= Some(Timestamp::now()), "{first:?}");
    assert_eq!(first.primary, "frankfurt");
    let own = site.store().local(Place::LastApply.into()).parent().unwrap().metadata().unwrap();
    assert_eq!(own.permissions().mode() & 0o777, 0o700);

    let (plan, _) = site.apply(None).await;
    assert!(plan.is_empty());
    assert!(noted(&site).unwrap().ended > first.ended);
}

#[tokio::test]
async fn an_apply_that_failed_in_part_is_not_noted() {
    let ground = Ground::new().await;
    let site = ground.empty_site("site");
    let (_, summary) = site.apply(Some(&Faulty::new(3, Reach::Half, Kind::CommandFailed))).await;
    assert!(!summary.failed.is_empty());
    assert_eq!(noted(&site), None);
    site.converge().await;
    assert!(noted(&site).is_some());
}

#[tokio::test]
async fn a_note_that_cannot_be_written_fails_nothing() {
    let ground = Ground::new().await;
    let site = ground.day_old_site("site");
    let path = site.store().local(Place::LastApply.into());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    site.converge().await;
    assert_eq!(noted(&site), None);
}

#[tokio::test]
async fn what_an_earlier_apply_measured_outlives_one_that_copies_nothing() {
    let ground = Ground::new().await;
    let site = ground.empty_site("site");
    site.converge().await;
    let measured = Measured { bytes: 7 << 30, time: Duration::from_secs(100) };
    let before = LastApply { measured: Some(measured), ..noted(&site).unwrap() };
    fs::write(site.store().local(Place::LastApply.into()), before.write()).unwrap();

    let plan = site.plan().await;
    assert_eq!(plan.replicas[0].target.as_ref().unwrap().pace.measured, measured.rate());
    memory::last_apply(
        &plan.replicas[0],
        &site.store(),
        &Summary::default(),
        Measured::default(),
        (&by(), Timestamp::now()),
    );
    let after = noted(&site).unwrap();
    assert_eq!(after.measured, Some(measured));
    assert!(after.ended > before.ended);
}

#[tokio::test]
async fn a_part_that_was_applied_tells_how_fast_bytes_arrive_and_nothing_more() {
    let ground = Ground::new().await;
    let site = ground.empty_site("site");
    let mut part = site.plan().await.replicas.remove(0);
    part.left_out = 1;
    let measured = Measured { bytes: 7 << 30, time: Duration::from_secs(100) };
    let note = |measured| {
        memory::last_apply(&part, &site.store(), &Summary::default(), measured, (&by(), Timestamp::now()));
        noted(&site)
    };
    site.store().make(Place::Server).unwrap();
    site.store().make(Place::Own).unwrap();
    assert_eq!(note(Measured::default()), None, "too little to tell");
    let first = note(measured);
    assert_eq!(
        first,
        Some(LastApply { ended: None, primary: "frankfurt".to_owned(), measured: Some(measured), site: Some(by()) })
    );
    assert_eq!(site.plan().await.replicas[0].target.as_ref().unwrap().pace.measured, measured.rate());

    site.converge().await;
    let whole = noted(&site).unwrap();
    assert!(whole.ended.is_some());
    let slower = Measured { bytes: 1 << 30, ..measured };
    assert_eq!(note(slower), Some(LastApply { measured: Some(slower), site: Some(by()), ..whole }));
}
