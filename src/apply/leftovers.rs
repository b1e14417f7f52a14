//! What a run that was killed left half-done and no plan speaks of: deletions to finish, temporary files of transfers.

use std::io;
use std::path::Path;

use crate::barman::staging::Staging;
use crate::transport::paths;

use super::durable;
use super::events::Failure;
use super::failure::Doing;
use super::replica_run::{ReplicaRun, blocking};

/// Finishes the deletions of killed runs and removes their temporary files. The server is locked.
pub async fn sweep(run: &ReplicaRun<'_>) -> Result<(), Failure> {
    let (arrivals, trash) = (run.staging().wals(), run.staging().trash_inside());
    let (dirs, own) = (run.target.here.clone(), run.staging().own());
    blocking(move || {
        durable::remove_tree(&trash).doing("delete", &trash)?;
        let bases = &dirs.basebackups_directory;
        remove_trash_beside(bases).doing("finish deletions in", bases)?;
        for directory in
            [&dirs.backup_directory, &own, &dirs.wals_directory, &dirs.xlogdb_directory, &dirs.meta_directory]
        {
            durable::remove_unfinished(directory).doing("remove temporary files of", directory)?;
        }
        paths::remove_stale_scratch(&arrivals).doing("remove temporary files of", &arrivals)
    })
    .await
}

fn remove_trash_beside(bases: &Path) -> io::Result<()> {
    for entry in paths::entries(bases)? {
        if Staging::is_trash_beside(&entry.file_name().to_string_lossy()) {
            durable::remove_tree(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_trash_goes() {
        let bases = tempfile::tempdir().unwrap();
        for name in ["20261122T092435", ".20261122T092435.antipode.tmp", ".20261121T092435.trash.antipode.tmp"] {
            fs::create_dir_all(bases.path().join(name).join("data")).unwrap();
        }
        remove_trash_beside(bases.path()).unwrap();
        remove_trash_beside(&bases.path().join("missing")).unwrap();
        let mut left: Vec<_> = fs::read_dir(bases.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".20261122T092435.antipode.tmp", "20261122T092435"]);
    }
}
