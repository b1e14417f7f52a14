//! Bringing a file in parts, over several streams, and joining them.
//!
//! That the parts are of one version of the file is told by its size and time at the primary, which are the same before
//! the first part came and after the last. Like any other file it is then proved by its manifest, where it has one.

use std::io;
use std::ops::Range;
use std::path::Path;

use super::fetch::{request, settled};
use super::{Job, Writing};
use crate::apply::queue::{Begun, Manner, Queue};
use crate::apply::replica_run::Turn;
use crate::error::{Error, Kind};
use crate::plan::action::BackupCopy;
use crate::plan::cost::compress;
use crate::store::ChangeError;
use crate::transport::parts::Parts;
use crate::transport::{Fetch, Look, Part, RemoteFile, What, blocking, paths};

/// What an earlier copy brought of a file.
pub fn begun(into: &Path, file: &RemoteFile) -> Result<Begun, Error> {
    if let Some(missing) = change(into, file, Parts::missing)? {
        return Ok(Begun::Parts(missing));
    }
    Ok(if paths::partial_size(&into.join(&file.path)) > 0 { Begun::Partial } else { Begun::No })
}

/// Brings a part that was drawn, and makes the file when it is the last one to come.
pub async fn fetch(
    job: Job<'_>,
    copy: &BackupCopy,
    writing: &Writing,
    turn: Turn,
    (file, bytes, queue): (RemoteFile, Range<u64>, &Queue),
) -> Result<u64, Error> {
    let (into, whole, beginning) = (writing.into.clone(), file.clone(), bytes.start);
    let into = blocking(move || change(&into, &whole, |parts| parts.make(beginning))).await?;
    let compress = job.run.compresses(compress::is_plain(&file.path.to_string_lossy()));
    let what = What::Part(Part { path: file.path.clone(), bytes: bytes.clone(), size: file.size });
    let request = Fetch { into, compress, ..request(job, copy, writing, what, Manner::Whole) };
    let transferred = settled(job, copy, job.fetch_in(turn, request).await)?;
    if queue.has_come(&file, &bytes) {
        join(job, copy, writing, file).await?;
    }
    Ok(transferred)
}

/// Makes the file of its parts, unless it is another one at the primary by now.
async fn join(job: Job<'_>, copy: &BackupCopy, writing: &Writing, file: RemoteFile) -> Result<(), Error> {
    let from = job.run.target.there.base(copy.id);
    let look = Look { from, names: vec![file.path.clone()], directories: Vec::new() };
    let found = job.run.look(&job.action.address, &look, job.urgency).await?;
    let is_same =
        found.iter().any(|entry| (entry.size, entry.mtime) == (file.size, file.mtime) && entry.path == file.path);
    let into = writing.into.clone();
    if !is_same {
        let path = file.path.display().to_string().escape_debug().to_string();
        blocking(move || change(&into, &file, Parts::remove)).await?;
        let message = format!("{path} of {} changed at the primary while it was copied", copy.id);
        return Err(Error::new(Kind::Stale, message).hint("the primary may be deleting the backup; plan again"));
    }
    blocking(move || change(&into, &file, Parts::join)).await
}

fn change<T>(into: &Path, file: &RemoteFile, change: impl FnOnce(&Parts) -> io::Result<T>) -> Result<T, Error> {
    let changed = change(&Parts::of(into, file));
    changed.map_err(|error| ChangeError::doing("put together", &into.join(&file.path))(error).into())
}
