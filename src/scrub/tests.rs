use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::*;
use crate::barman::layout::{Layout, ServerDirs};
use crate::barman::verified::Amount;
use crate::barman::wal::WalName;
use crate::demo::catalog::{FIRST_BACKUP, SYSTEM};
use crate::store::{Place, Posix};

const DAY: Duration = Duration::from_hours(24);
const FILE: &str = "data/base/5/1259";
const WAL: &str = "000000010000000000000005";

/// The catalog of the demo's primary, as if a site held it.
struct Ground {
    _home: tempfile::TempDir,
    dirs: ServerDirs,
    store: Posix,
}

impl Ground {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        crate::demo::catalog::write(home.path()).unwrap();
        let dirs = ServerDirs::of_catalog(home.path(), "main".parse().unwrap());
        let store = Posix::new(dirs.clone());
        Self { _home: home, dirs, store }
    }

    fn verify(&self, asked: Asked) -> Outcome {
        self.verify_until(asked, &|| true)
    }

    fn verify_until(&self, asked: Asked, go_on: GoOn<'_>) -> Outcome {
        let terms = Terms {
            asked,
            every: 30 * DAY,
            bandwidth: None,
            streams: None,
            go_on,
            progress: &Progress::default(),
            systems: &[],
            now: Timestamp::now(),
        };
        scrub(&self.store, &self.dirs.server, &terms).unwrap()
    }

    fn due(&self) -> Outcome {
        self.verify(Asked::Share(30 * DAY))
    }

    fn of_base(&self) -> PathBuf {
        self.dirs.base(FIRST_BACKUP.parse().unwrap()).join(FILE)
    }

    fn wal(&self) -> PathBuf {
        self.dirs.wal(WAL.parse().unwrap())
    }
}

fn subject() -> Subject {
    Subject::OfBase(FIRST_BACKUP.parse().unwrap(), FILE.into())
}

/// Flips a bit, and keeps size and time of modification.
fn rot(path: &Path, at: usize) {
    let (mut content, before) = (fs::read(path).unwrap(), fs::metadata(path).unwrap());
    content[at] ^= 1;
    fs::write(path, content).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    assert_eq!(fs::metadata(path).unwrap().ino(), before.ino());
}

#[test]
fn what_is_whole_is_read_once_and_then_nothing_is_due() {
    let ground = Ground::new();
    let first = ground.due();
    assert!(first.is_good(), "{first:?}");
    let standing = first.standing.unwrap();
    assert_eq!((standing.files, standing.unread, standing.damaged), (first.read, Amount::default(), Amount::default()));
    assert!(first.read.count > 20 && standing.oldest.is_some());
    let again = ground.due();
    assert_eq!((again.read, again.is_good()), (Amount::default(), true));
    assert_eq!(ground.verify(Asked::All).read, first.read);
}

#[test]
fn rot_is_found_noted_and_forgotten_when_the_file_is_what_was_written_again() {
    let ground = Ground::new();
    let (of_base, wal) = (fs::read(ground.of_base()).unwrap(), fs::read(ground.wal()).unwrap());
    ground.due();
    rot(&ground.of_base(), 100);
    rot(&ground.wal(), 100);
    let found = ground.due();
    let subjects: Vec<&Subject> = found.damaged.iter().map(|damaged| &damaged.subject).collect();
    assert_eq!(subjects, [&subject(), &Subject::Wal(WAL.parse().unwrap())]);
    assert!(found.damaged[0].why.starts_with("its checksum is "), "{:?}", found.damaged[0]);
    assert_eq!(damage::noted(&ground.store).unwrap().count(), 2);
    let still = ground.due();
    assert_eq!((still.read, still.damaged), (Amount::default(), found.damaged));
    // Written in place, so that it is the same file.
    fs::write(ground.of_base(), of_base).unwrap();
    fs::write(ground.wal(), wal).unwrap();
    let mended = ground.due();
    assert!(mended.is_good(), "{mended:?}");
    assert_eq!(mended.standing.unwrap().damaged, Amount::default());
}

#[test]
fn two_segments_that_do_not_go_together_are_damaged_until_they_do() {
    let ground = Ground::new();
    let names = ["00000001000000000000000F", "000000010000000000000010"];
    let pair = crate::verify::wal_log::tests::crossing_at(SYSTEM, 0x0F, 5000);
    let paths = names.map(|name| ground.dirs.wal(name.parse().unwrap()));
    fs::create_dir_all(paths[0].parent().unwrap()).unwrap();
    for (path, bytes) in paths.iter().zip(&pair) {
        fs::write(path, bytes).unwrap();
    }
    let subjects = names.map(|name| Subject::Wal(name.parse().unwrap()));
    let whole = ground.due();
    assert!(whole.damaged.is_empty(), "{whole:?}");
    rot(&paths[1], 200);
    let found = ground.verify(Asked::All);
    let damaged: Vec<&Subject> = found.damaged.iter().map(|damaged| &damaged.subject).collect();
    assert_eq!(damaged, subjects.iter().collect::<Vec<_>>(), "{found:?}");
    let why = format!("it begins in {} and ends in {}, and one of the two is damaged", names[0], names[1]);
    assert!(found.damaged.iter().all(|damaged| damaged.why.ends_with(&why)), "{found:?}");
    // Each by itself is what it was, and that mends neither.
    let again = ground.verify(Asked::All);
    assert_eq!((again.damaged.len(), again.mended.len()), (2, 0), "{again:?}");
    rot(&paths[1], 200);
    let mended = ground.verify(Asked::All);
    assert_eq!((mended.damaged.len(), mended.mended.len()), (0, 2), "{mended:?}");
}

/// Two segments that one record goes through, of which the second is damaged in it, and that are noted.
fn parted(ground: &Ground) -> ([WalName; 2], [PathBuf; 2]) {
    let names = ["00000001000000000000000F", "000000010000000000000010"].map(|name| name.parse().unwrap());
    let paths = names.map(|name| ground.dirs.wal(name));
    fs::create_dir_all(paths[0].parent().unwrap()).unwrap();
    for (path, bytes) in paths.iter().zip(crate::verify::wal_log::tests::crossing_at(SYSTEM, 0x0F, 5000)) {
        fs::write(path, bytes).unwrap();
    }
    rot(&paths[1], 200);
    assert_eq!(ground.verify(Asked::All).damaged.len(), 2);
    (names, paths)
}

fn has_wal(ground: &Ground, name: WalName) -> bool {
    damage::has_wal(&ground.store, name).unwrap()
}

#[test]
fn a_segment_stays_damaged_while_the_one_before_it_tells_nothing_of_the_record_between_them() {
    let ground = Ground::new();
    let (names, paths) = parted(&ground);
    // Damaged itself it says nothing of how its last record goes on.
    rot(&paths[0], 9);
    let found = ground.verify(Asked::All);
    assert!(found.mended.is_empty() && names.iter().all(|name| has_wal(&ground, *name)), "{found:?}");
    // The second is what was written again, which nobody can know before the first is.
    rot(&paths[1], 200);
    assert!(ground.verify(Asked::All).mended.is_empty());
    rot(&paths[0], 9);
    assert_eq!(ground.verify(Asked::All).mended.len(), 2);
}

#[test]
fn a_segment_stays_damaged_while_the_one_that_follows_it_cannot_be_read() {
    let ground = Ground::new();
    let (names, paths) = parted(&ground);
    fs::remove_file(&paths[1]).unwrap();
    for is_there in [false, true] {
        if is_there {
            std::os::unix::fs::symlink("elsewhere", &paths[1]).unwrap();
        }
        let found = ground.verify(Asked::All);
        assert!(found.mended.is_empty() && has_wal(&ground, names[0]), "{found:?}");
    }
}

#[test]
fn what_there_is_no_time_to_look_at_mends_nothing() {
    let ground = Ground::new();
    parted(&ground);
    for most in (0..).step_by(61) {
        let asked = std::sync::atomic::AtomicU32::new(0);
        let go_on = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < most;
        let found = ground.verify_until(Asked::All, &go_on);
        assert_eq!((found.mended.len(), damage::noted(&ground.store).unwrap().count()), (0, 2), "{most}: {found:?}");
        if found.ended == Ended::Done {
            break;
        }
    }
}

#[test]
fn damage_outlives_the_memory_of_what_was_read_and_that_memory_never_hides_it() {
    let ground = Ground::new();
    rot(&ground.of_base(), 100);
    assert_eq!(ground.due().damaged.len(), 1);
    fs::remove_file(ground.store.local(Place::Reads.into())).unwrap();
    assert_eq!(damage::noted(&ground.store).unwrap().count(), 1);
    assert_eq!(ground.due().damaged.len(), 1);
    fs::remove_file(ground.store.local(Place::Damage.into())).unwrap();
    let again = ground.due();
    assert_eq!((again.read.count, again.damaged.len()), (1, 1), "what was found and is not noted is read again");
}

#[test]
fn a_file_with_two_names_is_read_once_and_damaged_under_both() {
    let ground = Ground::new();
    let id: crate::barman::ids::BackupId = FIRST_BACKUP.parse().unwrap();
    let other: crate::barman::ids::BackupId = "20991122T030000".parse().unwrap();
    let first = ground.due();
    for layout in Layout::readable() {
        let info = layout.backup_info(&ground.dirs, id);
        if info.exists() {
            let to = layout.backup_info(&ground.dirs, other);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(info, to).unwrap();
        }
    }
    link_all(&ground.dirs.base(id), &ground.dirs.base(other));
    let shared = ground.due();
    assert!(shared.is_good(), "{shared:?}");
    assert!(shared.read.bytes < first.read.bytes / 4, "{:?} of {:?}", shared.read, first.read);
    assert!(ground.verify(Asked::All).read.bytes < first.read.bytes + first.read.bytes / 4);
    rot(&ground.of_base(), 100);
    let found = ground.verify(Asked::All);
    assert_eq!(found.damaged.len(), 2, "{:?}", found.damaged);
    assert_eq!(found.damaged[0].others, [Subject::OfBase(other, FILE.into())]);
}

fn link_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => link_all(&entry.path(), &to),
            kind if kind.is_file() && entry.file_name() != "backup.info" => fs::hard_link(entry.path(), to).unwrap(),
            _ => {}
        }
    }
}

#[test]
fn what_is_missing_is_told_each_time_and_what_was_deleted_with_its_backup_is_not() {
    let ground = Ground::new();
    ground.due();
    fs::remove_file(ground.of_base()).unwrap();
    let missing = Difference::File(FIRST_BACKUP.parse().unwrap(), FILE.into());
    for _ in 0..2 {
        assert_eq!(ground.due().differences, BTreeSet::from([missing.clone()]));
    }
    fs::remove_dir_all(ground.dirs.base(FIRST_BACKUP.parse().unwrap()).join("data")).unwrap();
    for layout in Layout::readable() {
        let _absent_in_one = fs::remove_file(layout.backup_info(&ground.dirs, FIRST_BACKUP.parse().unwrap()));
    }
    assert!(ground.due().is_good());
}

#[test]
fn a_list_that_does_not_say_what_is_on_the_disk_is_told() {
    let ground = Ground::new();
    fs::remove_file(ground.wal()).unwrap();
    assert_eq!(ground.due().differences, BTreeSet::from([Difference::NotOnDisk(1)]));
}

#[test]
fn what_there_is_no_time_for_is_left_to_the_next_verification() {
    let ground = Ground::new();
    let none = ground.verify_until(Asked::All, &|| false);
    assert_eq!((none.read, none.ended, none.is_good()), (Amount::default(), Ended::OutOfTime, true));
    assert_eq!(none.standing.unwrap().unread, none.standing.unwrap().files);
    assert_eq!(ground.due().ended, Ended::Done);
}

/// The first backup without its manifest.
fn bare() -> Ground {
    let ground = Ground::new();
    fs::remove_file(ground.dirs.base(FIRST_BACKUP.parse().unwrap()).join("data/backup_manifest")).unwrap();
    ground
}

fn note_of(ground: &Ground) -> PathBuf {
    ground.store.local(Place::ArrivalNote(FIRST_BACKUP.parse().unwrap()).into())
}

#[test]
fn without_a_manifest_a_file_is_unproven_and_noted_and_unchanged_from_then_on() {
    let ground = bare();
    let found = ground.due();
    assert!(found.is_good() && found.noted.count > 10, "{found:?}");
    assert_eq!(found.standing.unwrap().unproven, found.noted);
    assert_eq!(ground.due().read, Amount::default());
    let again = ground.verify(Asked::All);
    let standing = again.standing.unwrap();
    assert_eq!(
        (again.noted, standing.unproven, standing.unchanged),
        (Amount::default(), Amount::default(), found.noted)
    );
    assert!(standing.unchanged_since.is_some());
    rot(&ground.of_base(), 100);
    let rotten = ground.verify(Asked::All);
    assert_eq!(rotten.damaged.len(), 1, "{rotten:?}");
    assert_eq!(rotten.damaged[0].subject, subject());
    assert!(rotten.damaged[0].why.starts_with("it is not what it was when it was read first, on "), "{rotten:?}");
}

#[test]
fn a_note_that_is_lost_is_made_by_the_next_verification_and_mends_nothing() {
    let ground = bare();
    let noted = ground.due().noted;
    ground.verify(Asked::All);
    fs::remove_file(note_of(&ground)).unwrap();
    let again = ground.due();
    assert_eq!((again.noted, again.standing.unwrap().unproven), (noted, noted));
    let whole = fs::read(note_of(&ground)).unwrap();
    fs::write(note_of(&ground), &whole[1..]).unwrap();
    let broken = ground.due();
    assert_eq!((broken.broken_notes.len(), broken.noted), (1, noted));
    rot(&ground.of_base(), 100);
    assert_eq!(ground.verify(Asked::All).damaged.len(), 1);
    fs::remove_file(note_of(&ground)).unwrap();
    let after = ground.verify(Asked::All);
    assert_eq!((after.damaged.len(), after.mended.len(), after.noted.count), (1, 0, noted.count - 1), "{after:?}");
}

#[test]
fn without_a_manifest_a_file_that_is_missing_is_told_each_time_and_its_note_goes_with_the_backup() {
    let ground = bare();
    ground.due();
    fs::remove_file(ground.of_base()).unwrap();
    let missing = Difference::File(FIRST_BACKUP.parse().unwrap(), FILE.into());
    for _ in 0..2 {
        assert_eq!(ground.due().differences, BTreeSet::from([missing.clone()]));
    }
    fs::remove_dir_all(ground.dirs.base(FIRST_BACKUP.parse().unwrap())).unwrap();
    ground.due();
    assert!(!note_of(&ground).exists());
}

#[test]
fn a_file_that_was_noted_under_a_new_note_meanwhile_is_not_called_damaged() {
    let ground = bare();
    ground.due();
    rot(&ground.of_base(), 100);
    let id = FIRST_BACKUP.parse().unwrap();
    let replaced = std::sync::atomic::AtomicBool::new(false);
    // An apply ends while it is verified.
    let go_on = || {
        if !replaced.swap(true, std::sync::atomic::Ordering::SeqCst) {
            let mut note = crate::store::arrivals::of_base(&ground.store, id).unwrap().note();
            note.files.get_mut(Path::new(FILE)).unwrap().digest = [7; 32];
            crate::store::arrivals::write(&ground.store, id, &note).unwrap();
        }
        true
    };
    assert!(ground.verify_until(Asked::All, &go_on).damaged.is_empty());
    assert_eq!(ground.verify(Asked::All).damaged.len(), 1);
}

#[test]
fn a_manifest_that_is_damaged_itself_proves_nothing() {
    let ground = Ground::new();
    let manifest = ground.dirs.base(FIRST_BACKUP.parse().unwrap()).join("data/backup_manifest");
    rot(&manifest, 200);
    let found = ground.due();
    assert_eq!(found.damaged.len(), 1);
    assert!(found.damaged[0].why.contains("backup_manifest"), "{:?}", found.damaged);
}

/// Packs a base as Barman does with `backup_compression`; its manifest stays beside the archives.
fn pack(ground: &Ground) -> PathBuf {
    let base = ground.dirs.base(FIRST_BACKUP.parse().unwrap());
    for info in Layout::readable().map(|layout| layout.backup_info(&ground.dirs, FIRST_BACKUP.parse().unwrap())) {
        if let Ok(text) = fs::read_to_string(&info) {
            let packed = |line: &str| if line.starts_with("size=") { "size=4096".to_owned() } else { line.to_owned() };
            fs::write(info, text.lines().map(packed).collect::<Vec<_>>().join("\n")).unwrap();
        }
    }
    let data = base.join("data");
    let tar = |directory: &Path, archive: &str, left_out: &str| {
        let mut tar = std::process::Command::new("tar");
        tar.arg("-czf").arg(base.join(archive)).arg(format!("--exclude={left_out}")).arg("-C").arg(directory).arg(".");
        assert!(tar.status().unwrap().success());
    };
    tar(&data, "base.tar.gz", "./backup_manifest");
    tar(&base.join("16384"), "16384.tar.gz", "./nothing");
    let manifest = fs::read(data.join("backup_manifest")).unwrap();
    fs::remove_dir_all(&data).unwrap();
    fs::remove_dir_all(base.join("16384")).unwrap();
    fs::create_dir(&data).unwrap();
    fs::write(data.join("backup_manifest"), manifest).unwrap();
    for archive in ["base.tar.gz", "16384.tar.gz"] {
        fs::rename(base.join(archive), data.join(archive)).unwrap();
    }
    base
}

#[test]
fn archives_are_read_to_their_ends_and_proved_by_the_manifest_beside_them() {
    let ground = Ground::new();
    let base = pack(&ground);
    let whole = ground.due();
    assert!(whole.is_good(), "{whole:?}");
    assert_eq!(whole.standing.unwrap().unproven, Amount::default());
    assert_eq!(ground.due().read, Amount::default());
    let archive = base.join("data/base.tar.gz");
    rot(&archive, usize::try_from(fs::metadata(&archive).unwrap().len() / 2).unwrap());
    let found = ground.due();
    assert_eq!(found.damaged.len(), 1, "{found:?}");
    assert_eq!(found.damaged[0].subject, Subject::OfBase(FIRST_BACKUP.parse().unwrap(), "data/base.tar.gz".into()));
    let bare = Ground::new();
    let base = pack(&bare);
    fs::remove_file(base.join("data/backup_manifest")).unwrap();
    let unproven = bare.due();
    assert!(unproven.is_good(), "{unproven:?}");
    assert_eq!((unproven.standing.unwrap().unproven.count, unproven.noted.count), (2, 2));
    assert_eq!(bare.verify(Asked::All).standing.unwrap().unchanged.count, 2);
    // In the header, where a decoder takes everything for right.
    rot(&base.join("data/base.tar.gz"), 5);
    let found = bare.verify(Asked::All);
    assert_eq!(found.damaged.len(), 1, "{found:?}");
    assert!(found.damaged[0].why.starts_with("it is not what it was"), "{found:?}");
}

#[test]
fn what_cannot_be_opened_is_neither_proved_nor_damaged() {
    let ground = Ground::new();
    fs::remove_file(ground.of_base()).unwrap();
    std::os::unix::fs::symlink("PG_VERSION", ground.of_base()).unwrap();
    let found = ground.due();
    assert!(found.damaged.is_empty() && !found.is_good(), "{found:?}");
    assert_eq!(found.differences, BTreeSet::from([Difference::File(FIRST_BACKUP.parse().unwrap(), FILE.into())]));
}
