//! A primary, a site of it, and what must hold of the site's catalog at every instant.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::stages::{self, With};
use crate::apply::Limits;
use crate::barman::arrival::{Arrived, Digest};
use crate::barman::backup_info::Status;
use crate::barman::ids::BackupId;
use crate::barman::layout::ServerDirs;
use crate::barman::wal::{Segment, Timeline, WalName};
use crate::demo::catalog::{FIRST_BACKUP, PrimaryCatalog, SECOND_BACKUP, Stored};
use crate::demo::damage::Damage;
use crate::events::{Nobody, Summary};
use crate::observe::catalog::backups::InfoFile;
use crate::observe::catalog::{Depth, Looking, ServerOnDisk};
use crate::observe::inventory::BaseState;
use crate::plan::Plan;
use crate::site::Site;
use crate::store::{Place, Posix, Root, Store, arrivals};
use crate::transport::RemoteFile;
use crate::transport::parts::Parts;
use crate::verify::arrival::{self, Covers};
use crate::verify::base::{Announced, prove};

/// A primary with two days of a catalog, and a site that has what is copied to it.
pub struct Ground {
    home: TempDir,
    /// What the site has before each trial.
    before: PathBuf,
    site: Site,
    /// The backup that the site lists as good before each trial, although a file of it is lost.
    damaged: Option<BackupId>,
}

impl Ground {
    /// A site that has what the primary had after the first day, or nothing, and wants this of what it has now.
    pub async fn new(has_first_day: bool, wanted: &str) -> Self {
        // In memory, where there is such a place: what is synced hundreds of times is synced at once.
        let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let primary = PrimaryCatalog::create(&home.path().join("primary"), "main").unwrap();
        let mut primary = primary.with_relations_up_to(8 << 10);
        first_day(&mut primary);
        let (before, site_now) = (home.path().join("before"), site(home.path(), ""));
        let mut ground = Self { before, site: site_now, home, damaged: None };
        fs::create_dir(ground.catalog()).unwrap();
        if has_first_day {
            ground.finish().await;
        }
        fs::rename(ground.catalog(), &ground.before).unwrap();
        second_day(&mut primary);
        ground.site = site(ground.home.path(), wanted);
        ground
    }

    /// A site that has nothing of a primary whose backups have no manifests.
    pub async fn bare() -> Self {
        let ground = Self::new(false, "").await;
        for id in [FIRST_BACKUP, SECOND_BACKUP] {
            fs::remove_file(ground.there().base(id.parse().unwrap()).join("data/backup_manifest")).unwrap();
        }
        ground
    }

    /// The primary's directories.
    pub fn there(&self) -> ServerDirs {
        ServerDirs::of_catalog(&self.home.path().join("primary"), "main".parse().unwrap())
    }

    /// A site that has everything, but for a file of the newest backup.
    pub async fn damaged() -> Self {
        let mut ground = Self::new(true, "").await;
        ground.begin();
        ground.finish().await;
        Damage::LostFile.inflict(&ground.dirs()).unwrap();
        ground.damaged = Some(SECOND_BACKUP.parse().unwrap());
        fs::remove_dir_all(&ground.before).unwrap();
        fs::rename(ground.catalog(), &ground.before).unwrap();
        ground
    }

    /// A site to which an apply that was killed brought parts of the largest file of the newest backup: its last byte, and
    /// what there is of its first half.
    pub async fn begun(arrived: impl Fn(Vec<u8>) -> Vec<u8>) -> (Self, u64) {
        let ground = Self::new(false, "").await;
        let base = ground.home.path().join("primary/main/base").join(SECOND_BACKUP);
        let found = walkdir::WalkDir::new(&base).into_iter().map(Result::unwrap);
        let found =
            found.filter(|entry| entry.file_type().is_file()).max_by_key(|entry| entry.metadata().unwrap().len());
        let (there, staging) =
            (found.unwrap().into_path(), ground.before.join("main/.antipode/staging").join(SECOND_BACKUP));
        let (content, metadata) = (fs::read(&there).unwrap(), fs::metadata(&there).unwrap());
        let path = there.strip_prefix(&base).unwrap().to_owned();
        let file = RemoteFile { path, size: metadata.len(), mtime: metadata.mtime() };
        let (parts, half) = (Parts::of(&staging, &file), content.len() / 2);
        for (beginning, bytes) in [(0, content[..half].to_vec()), (content.len() - 1, content.clone())] {
            let part = parts.make(beginning as u64).unwrap().join(there.file_name().unwrap());
            fs::write(part, arrived(bytes)).unwrap();
        }
        fs::write(ground.before.join("main/.antipode/unfinished"), "").unwrap();
        (ground, half as u64)
    }

    fn catalog(&self) -> PathBuf {
        self.home.path().join("site")
    }

    pub fn dirs(&self) -> ServerDirs {
        ServerDirs::of_catalog(&self.catalog(), "main".parse().unwrap())
    }

    /// Puts the site back to where it began.
    pub fn begin(&self) {
        if self.catalog().exists() {
            fs::remove_dir_all(self.catalog()).unwrap();
        }
        // With its hard links and times.
        assert!(Command::new("cp").arg("-a").arg(&self.before).arg(self.catalog()).status().unwrap().success());
    }

    /// Plans, and applies that over a store.
    pub async fn apply(&self, store: &Arc<dyn Store>) -> Summary {
        let with = With {
            stores: &|_| Arc::clone(store),
            limits: Limits::default(),
            lock_timeout: Duration::ZERO,
            listener: &Nobody,
            cancel: &CancellationToken::new(),
            companion: None,
        };
        stages::plan_and_apply(&self.site, Timestamp::now(), with, |plan, _| unblocked(plan)).await.1
    }

    /// An apply that nothing disturbs does the rest, and leaves nothing to do.
    pub async fn finish(&self) {
        let summary = self.apply(&stages::on_disk(&self.dirs())).await;
        assert_eq!((&summary.failed, &summary.skipped), (&vec![], &vec![]));
        let (plan, _) = stages::look(&self.site, Timestamp::now()).await;
        unblocked(&plan);
        assert!(plan.is_empty(), "{:?}", plan.replicas[0].actions);
    }

    /// All that is listed, or is DONE, is whole; what is damaged is seen to be.
    pub fn assert_whole(&self, when: &str) {
        let (dirs, store) = (self.dirs(), Posix::new(self.dirs()));
        let there = self.there();
        let disk = ServerOnDisk::read(&store, &dirs.server, Looking::at(Depth::Everything)).unwrap();
        assert_eq!(disk.backups.broken().next(), None, "{when}");
        let listed = disk.xlogdb.named.unwrap_or_default();
        assert!(!listed.is_faulty(), "{when}: {listed:?}");
        for entry in listed.entries.iter() {
            let whole = fs::read(there.wal(entry.name)).unwrap();
            let here = fs::read(dirs.wal(entry.name)).ok();
            assert!(here.as_ref() == Some(&whole), "{when}: {} is listed and not whole", entry.name);
        }
        for (id, backup) in &disk.backups.by_id {
            let Some(InfoFile::Readable(metadata)) = backup.info() else { continue };
            if metadata.facts.status != Status::Done {
                continue;
            }
            let announced = Announced::of(&metadata.info);
            let faults = prove(Root::new(&store, Place::Base(*id)), &announced, &|| true).unwrap();
            match &backup.base {
                BaseState::Damaged { files } if self.damaged == Some(*id) => {
                    assert!(faults.iter().all(|fault| files.contains(&fault.path)), "{when}: {id}: {faults:?}");
                }
                base => assert_eq!((base, faults), (&BaseState::Complete, vec![]), "{when}: {id} is DONE"),
            }
            assert_noted(&store, *id, &announced, when);
            let size = metadata.info.xlog_segment_size().unwrap();
            let segment = |name: Option<WalName>| name.and_then(WalName::segment).unwrap();
            let [begin, end] = [metadata.info.begin_wal(), metadata.info.end_wal()].map(|name| segment(name.unwrap()));
            for number in begin.number(size).unwrap()..=end.number(size).unwrap() {
                let name = WalName::Segment(Segment::from_number(begin.timeline, number, size).unwrap());
                assert!(listed.entries.iter().any(|entry| entry.name == name), "{when}: {id} is DONE without {name}");
            }
        }
    }
}

/// What is noted of the files of a backup is what they are, and of no other.
fn assert_noted(store: &dyn Store, id: BackupId, announced: &Announced, when: &str) {
    let base = Root::new(store, Place::Base(id));
    let all = arrival::files(base, &Covers::of(base, announced).unwrap()).unwrap();
    let now = arrival::note(base, &all, Timestamp::UNIX_EPOCH, &|| true).unwrap().files;
    let noted = arrivals::of_base(store, id).unwrap().note().files;
    let contents = |files: &BTreeMap<PathBuf, Arrived>| -> Vec<(PathBuf, u64, Digest)> {
        files.iter().map(|(path, arrived)| (path.clone(), arrived.size, arrived.digest)).collect()
    };
    assert_eq!(contents(&noted), contents(&now), "{when}: {id}");
}

/// A backup, and WAL before and after it: as it is, then compressed. There is as little of each as tells: all of it is
/// copied and looked at hundreds of times.
fn first_day(primary: &mut PrimaryCatalog) {
    let (timeline, minute) = (Timeline(1), Duration::from_secs(60));
    primary.segments(timeline, 0x02..=0x04, "2026-11-21T03:04:00Z", minute, Stored::Plain).unwrap();
    primary.backup(FIRST_BACKUP, timeline, 0x03..=0x04, "2026-11-21T03:08:51Z", Stored::Plain).unwrap();
    primary.segments(timeline, 0x05..=0x06, "2026-11-21T19:00:00Z", minute, Stored::Gzip).unwrap();
    primary.made().unwrap();
}

/// A promotion, and a backup on the new timeline.
fn second_day(primary: &mut PrimaryCatalog) {
    let (timeline, minute) = (Timeline(2), Duration::from_secs(60));
    primary.segments(Timeline(1), 0x07..=0x07, "2026-11-22T00:30:00Z", minute, Stored::Gzip).unwrap();
    primary.promotion(0x08, "2026-11-22T00:31:07Z").unwrap();
    primary.segments(timeline, 0x08..=0x0A, "2026-11-22T03:03:00Z", minute, Stored::Gzip).unwrap();
    primary.backup(SECOND_BACKUP, timeline, 0x09..=0x0A, "2026-11-22T03:07:42Z", Stored::Gzip).unwrap();
    primary.segments(timeline, 0x0B..=0x0B, "2026-11-22T04:00:00Z", minute, Stored::Gzip).unwrap();
    primary.made().unwrap();
}

fn site(home: &Path, wanted: &str) -> Site {
    let text = format!(
        "version: 1\nsite: lisbon\ncatalog: {{path: {}, barman: \"3.19.1\", deep_every: always, reserve: none}}\nprimaries:\n  frankfurt: {{path: {}}}\n\
         replicas:\n  main: {{primary: frankfurt{wanted}}}\n",
        home.join("site").display(),
        home.join("primary").display()
    );
    stages::declare(&text)
}

fn unblocked(plan: &Plan) {
    assert!(!plan.is_blocked(), "{plan:?}");
}

/// How often each call was made, for messages.
pub fn counted(calls: &[(crate::store::recording::Touch, String)]) -> BTreeMap<&str, usize> {
    let mut counted = BTreeMap::new();
    for (_, call) in calls {
        *counted.entry(call.split(' ').next().unwrap_or_default()).or_default() += 1;
    }
    counted
}
