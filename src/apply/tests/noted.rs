//! What arrived is noted where nothing else proves it, and what comes in its place later must be the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::ground::Ground;
use super::stages;
use crate::barman::arrival::{Arrived, When};
use crate::barman::damage::{Seen, Spoilt};
use crate::barman::ids::BackupId;
use crate::barman::wal::WalName;
use crate::demo::catalog::{FIRST_BACKUP, SYSTEM};
use crate::error::Kind;
use crate::store::{Found, Posix, arrivals, damage};
use crate::verify::wal_log::tests::crossing_at;

/// Another file of the same base.
const BESIDE: &str = "data/base/5/16390";

/// A site that has all of a primary whose backups have no manifests.
async fn filled() -> Ground {
    let ground = Ground::bare().await;
    ground.begin();
    ground.finish().await;
    ground.assert_whole("it is filled");
    ground
}

fn id() -> BackupId {
    FIRST_BACKUP.parse().unwrap()
}

fn store(ground: &Ground) -> Posix {
    Posix::new(ground.dirs())
}

fn file(ground: &Ground) -> PathBuf {
    ground.dirs().base(id()).join("data/base/5/1259")
}

/// Its name below the base.
fn name() -> PathBuf {
    "data/base/5/1259".into()
}

fn noted(ground: &Ground) -> Arrived {
    arrivals::of_base(&store(ground), id()).unwrap().note().files[&name()]
}

/// Changes a byte, and keeps size and time of modification.
fn rot(path: &Path) {
    let (mut content, before) = (fs::read(path).unwrap(), fs::metadata(path).unwrap());
    content[100] ^= 1;
    fs::write(path, content).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(before.modified().unwrap()).unwrap();
}

/// Notes the file as damaged, as a verification does.
fn disprove(ground: &Ground) {
    let seen = Seen::of(Found::of(&fs::metadata(file(ground)).unwrap()));
    let spoilt = Spoilt { why: "rot".to_owned(), found: Timestamp::UNIX_EPOCH, seen, is_shared: false };
    damage::change(&store(ground), |note| drop(note.bases.entry(id()).or_default().insert(name(), spoilt))).unwrap();
}

#[tokio::test]
async fn a_file_that_rotted_is_brought_again_and_noted_again_and_the_others_stay_as_they_were_noted() {
    let ground = filled().await;
    let before = arrivals::of_base(&store(&ground), id()).unwrap().note().files;
    assert!(before.values().all(|arrived| arrived.when == When::Arriving));
    rot(&file(&ground));
    disprove(&ground);
    ground.finish().await;
    ground.assert_whole("it is repaired");
    let after = arrivals::of_base(&store(&ground), id()).unwrap().note().files;
    let others = |mut files: BTreeMap<PathBuf, Arrived>| files.remove(&name()).map(|_| files);
    assert_eq!(others(before), others(after));
}

#[tokio::test]
async fn what_rotted_beside_it_and_was_not_read_yet_is_not_noted_as_it_is() {
    let ground = filled().await;
    let beside = |files: &BTreeMap<PathBuf, Arrived>| files[Path::new(BESIDE)];
    let before = beside(&arrivals::of_base(&store(&ground), id()).unwrap().note().files);
    rot(&ground.dirs().base(id()).join(BESIDE));
    rot(&file(&ground));
    disprove(&ground);
    ground.finish().await;
    assert_eq!(beside(&arrivals::of_base(&store(&ground), id()).unwrap().note().files), before);
}

#[tokio::test]
async fn what_the_primary_sends_in_its_place_must_be_what_arrived_the_first_time() {
    let ground = filled().await;
    let before = noted(&ground);
    rot(&ground.there().base(id()).join(name()));
    fs::write(file(&ground), vec![7; usize::try_from(before.size).unwrap()]).unwrap();
    disprove(&ground);
    let summary = ground.apply(&stages::on_disk(&ground.dirs())).await;
    let [(_, failure)] = &summary.failed[..] else { panic!("{:?}", summary.failed) };
    assert_eq!(failure.kind, Kind::Damaged);
    assert!(failure.message.contains("it is not what it was when it arrived on "), "{}", failure.message);
    assert_eq!(noted(&ground), before);
    let damage = damage::noted(&store(&ground)).unwrap();
    assert!(damage.bases[&id()][&name()].is_shared, "{damage:?}");
    // Once the primary has it again, it is repaired.
    rot(&ground.there().base(id()).join(name()));
    ground.finish().await;
    ground.assert_whole("the primary was mended");
}

#[tokio::test]
async fn what_was_noted_by_a_verification_alone_binds_nobody() {
    let ground = filled().await;
    let mut note = arrivals::of_base(&store(&ground), id()).unwrap().note();
    let later = Arrived { when: When::Later, digest: [0; 32], ..noted(&ground) };
    note.files.insert(name(), later);
    arrivals::write(&store(&ground), id(), &note).unwrap();
    rot(&file(&ground));
    disprove(&ground);
    ground.finish().await;
    ground.assert_whole("it is repaired");
    assert_eq!(noted(&ground).when, When::Arriving);
}

#[tokio::test]
async fn a_file_that_is_missing_or_cut_is_seen_by_the_next_plan_and_brought() {
    let ground = filled().await;
    fs::remove_file(file(&ground)).unwrap();
    fs::write(ground.dirs().base(id()).join(BESIDE), "").unwrap();
    ground.finish().await;
    ground.assert_whole("it is repaired");
}

/// Two segments of the primary's that one record goes through.
fn pair(ground: &Ground) -> [WalName; 2] {
    let names = ["000000010000000000000003", "000000010000000000000004"].map(|name| name.parse().unwrap());
    for (name, bytes) in names.into_iter().zip(crossing_at(SYSTEM, 3, 5000)) {
        fs::write(ground.there().wal(name), bytes).unwrap();
    }
    names
}

#[tokio::test]
async fn two_segments_that_do_not_go_together_are_repaired_or_said_to_be_no_better_at_the_primary() {
    let ground = Ground::new(false, "").await;
    let names = pair(&ground);
    ground.begin();
    ground.finish().await;
    let here = ground.dirs().wal(names[1]);
    let disprove = || {
        let spoilt = |name: WalName| {
            let seen = Seen::of(Found::of(&fs::metadata(ground.dirs().wal(name)).unwrap()));
            (name, Spoilt { why: "either".to_owned(), found: Timestamp::UNIX_EPOCH, seen, is_shared: false })
        };
        damage::change(&store(&ground), |note| note.wals.extend(names.map(spoilt))).unwrap();
    };
    rot(&here);
    disprove();
    ground.finish().await;
    ground.assert_whole("both came again");
    assert!(damage::noted(&store(&ground)).unwrap().is_empty());
    for path in [here, ground.there().wal(names[1])] {
        rot(&path);
    }
    disprove();
    let summary = ground.apply(&stages::on_disk(&ground.dirs())).await;
    assert!(!summary.failed.is_empty());
    let damage = damage::noted(&store(&ground)).unwrap().wals;
    assert!(damage.len() == 2 && damage.values().all(|spoilt| spoilt.is_shared), "{damage:?}");
}

#[tokio::test]
async fn a_manifest_that_is_made_at_the_primary_ends_the_note() {
    let ground = filled().await;
    assert!(noted(&ground).size > 0);
    let base = ground.dirs().base(id());
    fs::remove_dir_all(&base).unwrap();
    let other = Ground::new(false, "").await;
    let manifest = "data/backup_manifest";
    fs::copy(other.there().base(id()).join(manifest), ground.there().base(id()).join(manifest)).unwrap();
    ground.finish().await;
    ground.assert_whole("it came again, with its manifest");
    assert!(arrivals::of_base(&store(&ground), id()).unwrap().note().files.is_empty());
}
