//! What a run that was killed left half-done and no plan speaks of: deletions to finish, temporary files of transfers.

use std::io;
use std::path::{Path, PathBuf};

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::plan::Plan;
use crate::plan::Target;
use crate::store::staging::Staging;
use crate::transport::paths;

use super::failure::Doing;
use super::replica_run::{ReplicaRun, blocking};
use crate::events::Failure;
use crate::store::posix::durable;

/// Removes the temporary files of killed runs. The server is locked, and nothing is written there yet.
pub async fn clear(run: &ReplicaRun<'_>) -> Result<(), Failure> {
    let arrivals = run.staging().wals();
    let (dirs, own) = (run.target.here.clone(), run.staging().own());
    blocking(move || {
        for directory in
            [&dirs.backup_directory, &own, &dirs.wals_directory, &dirs.xlogdb_directory, &dirs.meta_directory]
        {
            durable::remove_unfinished(directory).doing("remove temporary files of", directory)?;
        }
        paths::remove_stale_scratch(&arrivals).doing("remove temporary files of", &arrivals)
    })
    .await
}

/// Finishes the deletions of killed runs, of all replicas at the same time, until an interruption. It is a matter of our
/// own directories, and so of the run's own lock alone. What cannot be deleted is left to the next run.
pub async fn sweep(plan: &Plan, cancel: &CancellationToken) {
    let sweeps = plan.replicas.iter().filter_map(|replica| {
        let target = replica.target.clone()?;
        Some(async move {
            let cancel = cancel.clone();
            let swept = blocking(move || sweep_replica(&target, &cancel)).await;
            if let Err(failure) = swept {
                tracing::warn!(replica = %replica.name, "what an earlier apply left to be deleted stays: {failure}");
            }
        })
    });
    join_all(sweeps).await;
}

fn sweep_replica(target: &Target, cancel: &CancellationToken) -> Result<(), Failure> {
    let bases = &target.here.basebackups_directory;
    let inside = Staging::new(&target.here, true, true).trash_inside();
    let mut trash = children(&inside, |_| true).doing("list", &inside)?;
    trash.extend(children(bases, Staging::is_trash_beside).doing("list", bases)?);
    // All are tried: one that cannot be deleted is no reason to keep the others.
    let swept: Vec<_> = trash.iter().map(|tree| durable::remove_tree(tree, cancel).doing("delete", tree)).collect();
    swept.into_iter().try_for_each(|swept| swept.map(|_| ()))
}

fn children(directory: &Path, is_wanted: impl Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let entries = paths::entries(directory)?.into_iter();
    Ok(entries.filter(|entry| is_wanted(&entry.file_name().to_string_lossy())).map(|entry| entry.path()).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::barman::layout::ServerDirs;
    use crate::plan::tests::build::replica;

    #[test]
    fn only_trash_goes() {
        let home = tempfile::tempdir().unwrap();
        let dirs = ServerDirs::of_catalog(home.path(), "main".parse().unwrap());
        let bases = &dirs.basebackups_directory;
        for name in ["20261122T092435", ".20261122T092435.antipode.tmp", ".20261121T092435.trash.antipode.tmp"] {
            fs::create_dir_all(bases.join(name).join("data")).unwrap();
        }
        let own = Staging::new(&dirs, true, true).own();
        for name in ["trash/20261121T092435/data", "staging/20261122T092435"] {
            fs::create_dir_all(own.join(name)).unwrap();
        }
        let target = &Target { here: dirs.clone(), ..replica("main").target.unwrap() };
        let stopped = CancellationToken::new();
        stopped.cancel();
        sweep_replica(target, &stopped).unwrap();
        assert!(own.join("trash/20261121T092435/data").exists(), "an interruption stops it");
        sweep_replica(target, &CancellationToken::new()).unwrap();
        let left = |directory: &Path| {
            let mut left: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            left.sort();
            left
        };
        assert_eq!(left(bases), [".20261122T092435.antipode.tmp", "20261122T092435"]);
        assert_eq!((left(&own), left(&own.join("trash")).len()), (vec!["staging".into(), "trash".into()], 0));
    }
}
