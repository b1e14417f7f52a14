//! For every call of the store: when it goes wrong, all that is listed is whole, and the next apply does the rest.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ground::{Ground, counted};
use super::stages;
use crate::demo::catalog::{FIRST_BACKUP, SECOND_BACKUP};
use crate::error::Kind;
use crate::store::Store;
use crate::store::recording::{Mishap, Reach, Recording, Touch};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
/// The steps of a call that makes a few directories, renames something and syncs what has changed.
const STEPS: usize = 6;
/// Only the newest backup, and what that leaves out is deleted.
const NEWEST_ONLY: &str = ", backups: [{last: 1}], prune: {unselected: true}, protect: {min_backups: 1}";

/// Applies as often as there are calls of a sort, each time with a mishap at another one.
async fn every_call_goes_wrong(ground: &Ground, touch: Touch, step: usize, mishap: impl Fn(usize) -> Mishap) {
    at_turn(0, ground, touch, step, mishap).await;
}

/// The same; at each turn what a power cut takes is lost in another way.
async fn at_turn(turn: usize, ground: &Ground, touch: Touch, step: usize, mishap: impl Fn(usize) -> Mishap) {
    // The first look of all takes the run's own lock, without which nothing begins.
    for at in (usize::from(touch == Touch::Look)..).step_by(step) {
        ground.begin();
        let mishap = mishap(at);
        let recording = Recording::new(ground.dirs(), Some((touch, at, mishap)));
        let store: Arc<dyn Store> = Arc::<Recording>::clone(&recording);
        let summary = ground.apply(&store).await;
        if !recording.has_happened() {
            let calls = recording.calls();
            assert!(at > 5, "only {at} calls: {:?}", counted(&calls));
            assert_eq!(summary.failed, []);
            ground.assert_whole("nothing went wrong");
            return;
        }
        if matches!(mishap, Mishap::PowerCut(_)) || recording.has_lost() {
            recording.reboot(turn);
        }
        let calls = recording.calls();
        let last = calls.iter().filter(|(of, _)| *of == touch).nth(at).map(|(_, call)| call);
        let when = format!("{mishap:?} at call {at}, {}", last.unwrap());
        ground.assert_whole(&when);
        ground.finish().await;
        ground.assert_whole(&format!("{when}, and another apply"));
    }
}

#[tokio::test]
async fn a_base_for_which_the_room_is_gone_by_now_is_not_begun_and_wal_comes_all_the_same() {
    let ground = Ground::new(false, "").await;
    ground.begin();
    let store: Arc<dyn Store> = Recording::with_free(ground.dirs(), 1000);
    let summary = ground.apply(&store).await;
    let failed: Vec<(&str, Kind)> = summary.failed.iter().map(|(address, e)| (address.as_str(), e.kind)).collect();
    let backups = [SECOND_BACKUP, FIRST_BACKUP].map(|id| format!("main/backup/{id}"));
    assert_eq!(
        failed.iter().map(|(address, _)| *address).collect::<BTreeSet<_>>(),
        backups.iter().map(String::as_str).collect()
    );
    assert!(failed.iter().all(|(_, kind)| *kind == Kind::NoSpace), "{failed:?}");
    assert!(summary.failed[0].1.message.contains("does not fit: "), "{}", summary.failed[0].1);
    assert!(summary.done.iter().any(|address| address.as_str().starts_with("main/wal/")), "{:?}", summary.done);
    ground.assert_whole("no backup fits");
    ground.finish().await;
}

/// How far each call gets in turn: every second one for some steps, each time for another number.
fn reach(turn: usize) -> Reach {
    match turn % 4 {
        0 => Reach::Nothing,
        2 => Reach::Everything,
        _ => Reach::Steps(turn / 2 % STEPS + 1),
    }
}

fn power_cut(at: usize) -> Mishap {
    Mishap::PowerCut(reach(at))
}

fn fault(at: usize) -> Mishap {
    Mishap::Fault(if at.is_multiple_of(2) { EIO } else { ENOSPC }, reach(at / 2))
}

#[tokio::test]
async fn a_site_that_is_filled_is_whole_whenever_the_power_fails() {
    every_call_goes_wrong(&Ground::new(false, "").await, Touch::Change, 1, power_cut).await;
}

#[tokio::test]
async fn a_site_that_replaces_a_backup_is_whole_whenever_the_power_fails() {
    every_call_goes_wrong(&Ground::new(true, NEWEST_ONLY).await, Touch::Change, 1, power_cut).await;
}

#[tokio::test]
async fn a_site_that_is_filled_is_whole_whatever_the_disk_refuses() {
    every_call_goes_wrong(&Ground::new(false, "").await, Touch::Change, 1, fault).await;
}

#[tokio::test]
async fn a_site_that_replaces_a_backup_is_whole_whatever_the_disk_refuses() {
    every_call_goes_wrong(&Ground::new(true, NEWEST_ONLY).await, Touch::Change, 1, fault).await;
}

#[tokio::test]
async fn a_base_that_is_repaired_is_whole_or_seen_to_be_damaged_whatever_goes_wrong() {
    let ground = Ground::damaged().await;
    for turn in 0..3 {
        at_turn(turn, &ground, Touch::Change, 1, |_| Mishap::PowerCut(Reach::Nothing)).await;
    }
    every_call_goes_wrong(&ground, Touch::Change, 1, fault).await;
}

#[tokio::test]
async fn parts_of_a_file_that_a_killed_apply_left_are_used_and_mended_where_they_are_wrong() {
    let (untouched, (begun, half)) = (Ground::new(false, "").await, Ground::begun(|bytes| bytes).await);
    let mut copied = Vec::new();
    for ground in [&untouched, &begun] {
        ground.begin();
        copied.push(ground.apply(&stages::on_disk(&ground.dirs())).await.transferred);
        ground.assert_whole("nothing went wrong");
    }
    assert_eq!(copied[0] - copied[1], half, "what is here is not copied again");
    let (spoilt, _) = Ground::begun(|bytes| vec![0; bytes.len()]).await;
    spoilt.begin();
    spoilt.finish().await;
    spoilt.assert_whole("the parts were zeros");
}

#[tokio::test]
async fn a_base_of_which_parts_are_here_is_whole_whenever_the_power_fails() {
    let (ground, _) = Ground::begun(|bytes| bytes).await;
    every_call_goes_wrong(&ground, Touch::Change, 3, power_cut).await;
}

#[tokio::test]
async fn what_is_noted_of_a_base_without_a_manifest_is_what_is_here_whenever_the_power_fails() {
    every_call_goes_wrong(&Ground::bare().await, Touch::Change, 3, power_cut).await;
}

#[tokio::test]
async fn a_site_is_whole_whatever_cannot_be_read_or_shared() {
    let ground = Ground::new(true, "").await;
    // There are hundreds of looks; a prime is in step with nothing that comes again and again.
    every_call_goes_wrong(&ground, Touch::Look, 23, |_| Mishap::Fault(EIO, Reach::Nothing)).await;
    for mishap in [power_cut, fault] {
        every_call_goes_wrong(&ground, Touch::Share, 5, mishap).await;
    }
}
