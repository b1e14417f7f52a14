//! The cache of manifests, over whole observations.

use super::*;
use crate::barman::ids::BackupId;
use crate::observe::catalog::Depth;
use crate::observe::catalog::tests::manifest;

const VERSION: &str = "3.19.1/pg15";
const CACHE: &str = ".antipode/manifests";

/// A site that applies have worked on and that lacks every backup.
fn site() -> World {
    let world = World::new();
    fs::create_dir_all(world.home.path().join("main/.antipode")).unwrap();
    world
}

fn manifest_path(id: impl std::fmt::Display) -> String {
    format!("{HOME}/main/base/{id}/data/backup_manifest")
}

/// A primary that has a manifest of each of its backups, and their ids.
async fn with_manifests() -> (FakePrimary, Vec<BackupId>) {
    let mut fake = primary(VERSION);
    let ids: Vec<BackupId> = active(World::new().observe_fake(&fake).await).backups.into_keys().collect();
    for id in &ids {
        fake = fake.file(manifest_path(id), manifest(&[("PG_VERSION", 3)]));
    }
    (fake, ids)
}

/// How many manifests came since the last look.
fn came(fake: &FakePrimary, seen: &mut usize) -> usize {
    let all = fake.brought().iter().filter(|path| path.ends_with("data/backup_manifest")).count();
    all - std::mem::replace(seen, all)
}

fn read(observation: ReplicaObservation) -> usize {
    active(observation).backups.values().filter(|backup| backup.manifest.is_some()).count()
}

fn cached(world: &World) -> Vec<String> {
    let directory = world.home.path().join("main").join(CACHE);
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

#[tokio::test]
async fn a_manifest_is_fetched_once_until_it_changes_or_is_refreshed() {
    let (world, (fake, ids), mut seen) = (site(), with_manifests().await, 0);
    assert_eq!(read(world.observe_fake(&fake).await), 3);
    assert_eq!(came(&fake, &mut seen), 3);
    assert_eq!(read(world.observe_fake(&fake).await), 3);
    assert_eq!(came(&fake, &mut seen), 0);

    let connections = || BTreeMap::from([("fra".into(), Ok(fake.connect()))]);
    assert_eq!(read(world.observe_for(Purpose::Plan { refresh: true }, connections()).await), 3);
    assert_eq!(came(&fake, &mut seen), 3);
    world.observe_for(Purpose::Status { depth: Depth::Everything }, connections()).await;
    assert_eq!((came(&fake, &mut seen), cached(&world).len()), (0, 3));

    let before = active(world.observe_fake(&fake).await).backups[&ids[1]].manifest.clone();
    let fake = fake.file(manifest_path(ids[1]), manifest(&[("PG_VERSION", 4)]));
    let after = active(world.observe_fake(&fake).await).backups[&ids[1]].manifest.clone();
    assert_eq!(came(&fake, &mut seen), 1);
    assert!(after.is_some() && after != before);
}

#[tokio::test]
async fn what_the_primary_lost_is_neither_read_nor_kept() {
    let (world, (fake, ids)) = (site(), with_manifests().await);
    world.write(format!("{CACHE}/20200101T000000/data/backup_manifest"), manifest(&[("PG_VERSION", 3)]));
    world.write(format!("{CACHE}/.antipode-killed/x"), "");
    world.observe_fake(&fake).await;
    let names: Vec<&str> = ids.iter().map(BackupId::as_str).collect();
    assert_eq!(cached(&world), names);
    fake.lose(manifest_path(ids[0]));
    let there = active(world.observe_fake(&fake).await);
    assert_eq!(there.backups[&ids[0]].manifest, None);
    assert_eq!(cached(&world), names[1..]);
}

#[tokio::test]
async fn manifests_of_backups_that_are_here_are_not_kept() {
    let (world, (fake, _)) = (site(), with_manifests().await);
    world.observe_fake(&fake).await;
    assert_eq!(cached(&world).len(), 3);
    world.copy_all(VERSION);
    world.observe_fake(&fake).await;
    assert_eq!(cached(&world), [] as [String; 0]);
}

#[tokio::test]
async fn a_site_without_our_directory_is_not_touched() {
    let (fake, _) = with_manifests().await;
    let world = World::new();
    assert_eq!(read(world.observe_fake(&fake).await), 3);
    assert!(fs::read_dir(world.home.path()).unwrap().next().is_none());
    fs::create_dir(world.home.path().join("main")).unwrap();
    assert_eq!(read(world.observe_fake(&fake).await), 3);
    assert!(fs::read_dir(world.home.path().join("main")).unwrap().next().is_none());
}

#[tokio::test]
async fn a_cache_that_another_run_uses_is_left_alone() {
    let (world, (fake, _), mut seen) = (site(), with_manifests().await, 0);
    world.write(format!("{CACHE}/theirs"), "");
    let held = fs::File::open(world.home.path().join("main").join(CACHE)).unwrap();
    held.lock().unwrap();
    for purpose in [Purpose::Plan { refresh: false }, Purpose::Plan { refresh: true }] {
        let connections = BTreeMap::from([("fra".into(), Ok(fake.connect()))]);
        assert_eq!(read(world.observe_for(purpose, connections).await), 3);
        assert_eq!(came(&fake, &mut seen), 3);
    }
    assert_eq!(cached(&world), ["theirs"]);
}

#[tokio::test]
async fn a_damaged_cache_is_no_error_and_is_built_anew() {
    let (mut world, other) = (site(), World::new());
    other.copy_all(VERSION);
    let ids = active(world.observe_fake(&primary(VERSION)).await).backups.into_keys();
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    for id in &ids {
        other.write(format!("base/{id}/data/backup_manifest"), manifest(&[("PG_VERSION", 3)]));
    }
    let source = world.site.primaries.get_mut("fra").unwrap();
    source.access = Access::Path(other.home.path().to_owned());
    let connection = crate::transport::open(source, Path::new("/tmp"), &CancellationToken::new()).await;
    let connections = || BTreeMap::from([("fra".into(), connection.clone())]);

    let cache = world.home.path().join("main").join(CACHE);
    let file = cache.join(&ids[0]).join("data/backup_manifest");
    let damages: [&dyn Fn(); 5] = [
        &|| {
            fs::remove_dir_all(&cache).unwrap();
            fs::write(&cache, "a file").unwrap();
        },
        &|| {
            fs::remove_dir_all(&cache).unwrap();
            std::os::unix::fs::symlink(other.home.path(), &cache).unwrap();
        },
        &|| {
            fs::remove_file(&file).unwrap();
            fs::create_dir_all(file.join("in the way")).unwrap();
        },
        &|| {
            fs::remove_dir_all(cache.join(&ids[0])).unwrap();
            std::os::unix::fs::symlink(other.home.path(), cache.join(&ids[0])).unwrap();
        },
        // As the primary's in size and time, so that only its own checksum tells.
        &|| {
            let (modified, length) = (file.metadata().unwrap().modified().unwrap(), file.metadata().unwrap().len());
            fs::write(&file, vec![b'x'; usize::try_from(length).unwrap()]).unwrap();
            fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
        },
    ];
    world.observe(connections()).await;
    for (number, damage) in damages.iter().enumerate() {
        damage();
        let there = active(world.observe(connections()).await);
        assert_eq!(there.notes, [] as [String; 0], "{number}");
        assert!(there.backups.values().all(|backup| backup.manifest.is_some()), "{number}");
        world.observe(connections()).await;
        assert_eq!(cached(&world), ids, "{number}");
        assert_eq!(fs::read_to_string(&file).unwrap(), manifest(&[("PG_VERSION", 3)]), "{number}");
    }
    assert!(other.home.path().join("main/base").is_dir());
}

#[tokio::test]
async fn a_status_reads_the_caches_and_leaves_them_as_they_are() {
    let (world, fake) = (site(), primary(VERSION));
    let own = world.home.path().join("main/.antipode");
    let imprint = || {
        let entries = walkdir::WalkDir::new(&own).sort_by_file_name().into_iter().map(Result::unwrap);
        let entry = |entry: walkdir::DirEntry| (entry.path().to_owned(), entry.metadata().unwrap().modified().unwrap());
        entries.map(entry).collect::<Vec<_>>()
    };
    let look = async || {
        let connections = BTreeMap::from([("fra".into(), Ok(fake.connect()))]);
        active(world.observe_for(Purpose::Status { depth: Depth::Everything }, connections).await)
    };
    let empty = imprint();
    assert_eq!(look().await.wals.len(), listed(VERSION).len());
    assert_eq!(imprint(), empty);

    world.observe_fake(&fake).await;
    let kept = imprint();
    assert!(kept.len() > empty.len());
    assert_eq!(look().await.wals.len(), listed(VERSION).len());
    assert_eq!(imprint(), kept);
}
