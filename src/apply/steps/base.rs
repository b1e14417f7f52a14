//! Copying a base: into staging, with what the site has already, verified and durable, and not yet published.

mod arrival;
mod fetch;
mod parts;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::first_few;
use crate::barman::findings::Finding;
use crate::barman::ids::BackupId;
use crate::error::{Error, Kind};
use crate::plan::action::{BackupCopy, ReusedFiles};
use crate::site::model::Reuse;
use crate::store::staged::Staged;
use crate::store::{At, CatalogError, ChangeError, Place, Root, Sharing, Since, Store, Volume};
use crate::store::{damage, infos, repairs};
use crate::transport::{RemoteFile, blocking, paths};
use crate::verify::base::{self as verify, Announced};
use crate::verify::fault::{Fault, FaultKind};

use super::{Job, publish, removal};
use arrival::Before;

/// How long after a write-back of what arrived the next one begins.
const WRITE_BACK: Duration = Duration::from_secs(1);

/// Copies a backup into staging and verifies it there. Its locks are held until it is published.
pub async fn copy(job: Job<'_>, copy: &BackupCopy) -> Result<u64, Error> {
    job.run.hold(copy.id).await?;
    let copied = copy_held(job, copy).await;
    if copied.is_err() {
        job.run.release(copy.id);
    }
    copied
}

async fn copy_held(job: Job<'_>, copy: &BackupCopy) -> Result<u64, Error> {
    let (store, layout, id) = (Arc::clone(&job.run.store), job.run.layout, copy.id);
    if blocking(move || Ok(publish::is_published(store.as_ref(), layout, id)?)).await? {
        return Ok(0);
    }
    let writing = Writing::begin(job, Place::Staged(copy.id)).await?;
    prepare(job, copy.id, &writing).await?;
    if let Some(reuse) = &copy.reuse {
        reuse_files(job, reuse, writing.place).await?;
    }
    bring(job, copy, &writing).await
}

/// A base that is being written.
struct Writing {
    store: Arc<dyn Store>,
    place: Place,
    /// Where that is on this host.
    into: PathBuf,
    staged: Arc<Staged>,
    since: Since,
}

impl Writing {
    /// To be called before anything is written into it.
    async fn begin(job: Job<'_>, place: Place) -> Result<Self, Error> {
        let staged = job.run.staged().await?;
        let store = Arc::clone(&job.run.store);
        Ok(Self { into: job.run.local(place), since: store.since(Volume::Bases)?, store, place, staged })
    }

    /// Whether it is where the backup is published.
    fn is_base(&self) -> bool {
        matches!(self.place, Place::Base(_))
    }

    /// Makes durable what was written.
    async fn sync(&self) -> Result<(), Error> {
        let (staged, since, place) = (Arc::clone(&self.staged), self.since, self.place);
        blocking(move || Ok(staged.sync(Volume::Bases, since, &[place.into()])?)).await
    }

    /// Has the disk write what arrives while more arrives, as long as it is polled, so that the sync at the end has little
    /// to wait for. That one is told of all that is lost here.
    async fn write_back(&self) -> Infallible {
        loop {
            tokio::time::sleep(WRITE_BACK).await;
            let (staged, since) = (Arc::clone(&self.staged), self.since);
            let _told_at_the_end = blocking(move || Ok(staged.sync(Volume::Bases, since, &[])?)).await;
        }
    }

    /// Looks at the files with something that takes a while.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(Root<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (store, place) = (Arc::clone(&self.store), self.place);
        blocking(move || look(Root::new(store.as_ref(), place))).await
    }
}

/// Copies what is missing of a published backup into its place; each file appears whole.
pub async fn repair(job: Job<'_>, copy: &BackupCopy) -> Result<u64, Error> {
    job.run.hold(copy.id).await?;
    let repaired = repair_held(job, copy).await;
    job.run.release(copy.id);
    repaired
}

async fn repair_held(job: Job<'_>, copy: &BackupCopy) -> Result<u64, Error> {
    let writing = Writing::begin(job, Place::Base(copy.id)).await?;
    begin_repair(job, copy.id, &writing).await?;
    let brought = bring(job, copy, &writing).await;
    // After a lost write no sync of what this one wrote succeeds: all of it stays noted, and so damaged.
    if brought.is_ok() || writing.sync().await.is_ok() {
        let (store, id) = (Arc::clone(&writing.store), copy.id);
        blocking(move || Ok(repairs::end(store.as_ref(), id)?)).await?;
    }
    brought
}

/// Notes what will be written. What an earlier repair left that did not come to its end is doubted.
async fn begin_repair(job: Job<'_>, id: BackupId, writing: &Writing) -> Result<(), Error> {
    let (store, place, staged) = (Arc::clone(&writing.store), writing.place, Arc::clone(&writing.staged));
    let damaged = job.action.reason.damaged_files().to_vec();
    blocking(move || {
        store.make(place)?;
        check_directory(store.as_ref(), place)?;
        if !repairs::noted(store.as_ref(), id)?.is_empty() {
            staged.doubt(id);
            store.reread(&[place.into()])?;
        }
        Ok(repairs::note(store.as_ref(), id, &damaged)?)
    })
    .await
}

/// What is written into a base stays in the catalog.
fn check_directory(store: &dyn Store, place: Place) -> Result<(), Error> {
    if store.is_directory(place)? {
        return Ok(());
    }
    let path = store.local(place.into());
    let message = format!("{} is a symbolic link, and nothing is written through it", path.display());
    Err(Error::new(Kind::Untrusted, message).hint("put a directory there; another disk belongs in the place of `base`"))
}

/// Removes files; a directory in the place of one stays.
async fn remove_files(writing: &Writing, files: Vec<PathBuf>) -> Result<(), Error> {
    let (store, place) = (Arc::clone(&writing.store), writing.place);
    blocking(move || {
        if let Place::Base(id) = place {
            repairs::note(store.as_ref(), id, &files)?;
        }
        for file in &files {
            if is_file(store.as_ref(), place.below(file))? {
                store.remove(place.below(file))?;
            }
        }
        Ok(())
    })
    .await
}

/// Makes the staging. A base that another copy left unpublished becomes it, after its backup.info is gone; where there
/// is one in staging already, that goes on, and the other makes way.
async fn prepare(job: Job<'_>, id: BackupId, writing: &Writing) -> Result<(), Error> {
    let (store, layout, place) = (Arc::clone(&writing.store), job.run.layout, writing.place);
    let (staged, cancel) = (Arc::clone(&writing.staged), job.run.cancel.clone());
    blocking(move || {
        let store = store.as_ref();
        store.make(Place::Own)?;
        if store.has(Place::Base(id))? {
            infos::remove(store, layout, id)?;
            if store.has(place)? {
                removal::remove_base(store, id, &|| !cancel.is_cancelled())?;
            } else {
                staged.doubt(id);
                store.stage_published(id)?;
            }
        }
        store.make(place)?;
        check_directory(store, place)?;
        if staged.doubts(id) {
            store.reread(&[place.into()])?;
        }
        Ok(())
    })
    .await
}

/// Puts the files that an older backup here shares into staging, before anything is copied. One that cannot be reused is
/// simply copied from the primary later.
async fn reuse_files(job: Job<'_>, reuse: &ReusedFiles, to: Place) -> Result<(), Error> {
    let Some(how) = sharing(job.run.moving.reuse) else { return Ok(()) };
    let (store, from, files) = (Arc::clone(&job.run.store), Place::Base(reuse.from), reuse.files.clone());
    let cancel = job.run.cancel.clone();
    blocking(move || {
        for file in files {
            if cancel.is_cancelled() {
                return Err(Error::interrupted());
            }
            store.share(from, to, &file, how)?;
        }
        Ok(())
    })
    .await
}

fn sharing(reuse: Reuse) -> Option<Sharing> {
    match reuse {
        Reuse::Auto | Reuse::Link => Some(Sharing::Link),
        Reuse::Reflink => Some(Sharing::Reflink),
        Reuse::Copy => Some(Sharing::Copy),
        Reuse::None => None,
    }
}

/// Brings what is not there yet, verifies all of it, and makes it durable.
async fn bring(job: Job<'_>, copy: &BackupCopy, writing: &Writing) -> Result<u64, Error> {
    let before = Before::look(copy, writing).await?;
    let (transferred, faults) = tokio::select! {
        brought = bring_and_check(job, copy, writing, &before) => brought?,
        never = writing.write_back() => match never {},
    };
    if !faults.is_empty() {
        let failure = damaged(copy.id, &faults, writing.is_base());
        job.run.note_finding(copy.id, Finding::Refused(first_few(faults.iter().map(told))));
        // What was published once stays as it is: without its broken manifest a base would look better than it is.
        if writing.is_base() {
            let (store, id) = (Arc::clone(&writing.store), copy.id);
            let faults = faults.into_iter().map(|fault| (fault.path, fault.what.to_string()));
            blocking(move || Ok(damage::base_is_no_better(store.as_ref(), id, faults, Timestamp::now())?)).await?;
        } else {
            discard(writing, faults).await?;
        }
        return Err(failure);
    }
    let (store, place, tree) = (Arc::clone(&writing.store), writing.place, writing.into.clone());
    let (id, oids) = (copy.id, copy.tablespaces.clone());
    blocking(move || {
        paths::remove_scratch(&tree).map_err(ChangeError::doing("remove temporary files of", &tree))?;
        store.link_tablespaces(place, id, &oids)?;
        Ok(store.settle_modes(&[place.into()])?)
    })
    .await?;
    note_unlisted(job, copy, writing).await?;
    let arrived = arrival::of(job, copy, writing, &before).await?;
    writing.sync().await?;
    arrival::keep(copy, writing, arrived).await?;
    let (store, id) = (Arc::clone(&writing.store), copy.id);
    blocking(move || Ok(damage::base_is_good(store.as_ref(), id)?)).await?;
    writing.staged.believe(copy.id);
    Ok(transferred)
}

/// Notes what came that nothing proves: files that the manifest does not list.
async fn note_unlisted(job: Job<'_>, copy: &BackupCopy, writing: &Writing) -> Result<(), Error> {
    let announced = Announced::of(&copy.info);
    let unlisted = writing.look(move |base| Ok(verify::unlisted_files(base, &announced)?)).await?;
    if let Some((count, first)) = unlisted {
        let first = first.display().to_string().escape_debug().to_string();
        job.run.note_finding(copy.id, Finding::Unlisted { count, first });
    }
    Ok(())
}

/// Brings what is not there yet, and looks at all of it. What does not verify is brought once more.
async fn bring_and_check(
    job: Job<'_>,
    copy: &BackupCopy,
    writing: &Writing,
    before: &Arc<Before>,
) -> Result<(u64, Vec<Fault>), Error> {
    remove_files(writing, spoilt(copy, writing).await?).await?;
    let mut transferred = fetch::fetch(job, copy, writing).await?;
    let mut faults = check(job, copy, writing, before).await?;
    if has_files(writing, &faults).await? {
        discard(writing, faults).await?;
        transferred += fetch::fetch(job, copy, writing).await?;
        faults = check(job, copy, writing, before).await?;
    }
    Ok((transferred, faults))
}

/// The files that are here, of the right size perhaps, and wrong all the same: it would be taken for the right file. One of
/// another size is brought anew anyway, and what is right in it need not be.
async fn spoilt(copy: &BackupCopy, writing: &Writing) -> Result<Vec<PathBuf>, Error> {
    let announced = Announced::of(&copy.info);
    let look = move |base: Root<'_>| {
        let mut faults = verify::look(base, &announced)?;
        faults.retain(|fault| !matches!(fault.what, FaultKind::Size { .. }));
        Ok(faults)
    };
    let faults = writing.look(look).await?;
    Ok(faults.into_iter().map(|fault| fault.path).chain(known_damage(writing).await?).collect())
}

/// The files of a published base that were read before and are not what was written.
async fn known_damage(writing: &Writing) -> Result<Vec<PathBuf>, Error> {
    let Place::Base(id) = writing.place else { return Ok(Vec::new()) };
    let store = Arc::clone(&writing.store);
    blocking(move || Ok(damage::of_base(store.as_ref(), id)?)).await
}

/// What is not as the primary's backup has it: by its manifest, or else by its list of files. And what is as it has it,
/// and no backup.
async fn check(job: Job<'_>, copy: &BackupCopy, writing: &Writing, before: &Arc<Before>) -> Result<Vec<Fault>, Error> {
    let announced = Announced::of(&copy.info);
    let is_listed = move |base: Root<'_>| {
        let is_archived = verify::is_archived(base, &announced)?;
        Ok(!is_archived && base.size(Path::new(verify::MANIFEST))?.is_some())
    };
    let faults = if writing.look(is_listed).await? { Vec::new() } else { check_listing(job, copy, writing).await? };
    if !faults.is_empty() {
        return Ok(faults);
    }
    let (announced, cancel) = (Announced::of(&copy.info), job.run.cancel.clone());
    let prove = move |base: Root<'_>| {
        let faults = verify::prove(base, &announced, &|| !cancel.is_cancelled())?;
        if cancel.is_cancelled() { Err(Error::interrupted()) } else { Ok(faults) }
    };
    let faults = writing.look(prove).await?;
    if faults.is_empty() { arrival::check(job, copy, writing, before).await } else { Ok(faults) }
}

async fn check_listing(job: Job<'_>, copy: &BackupCopy, writing: &Writing) -> Result<Vec<Fault>, Error> {
    let listed = fetch::list(job, copy).await?;
    let look = move |base: Root<'_>| {
        let faults = listed.iter().map(|file| listing_fault(base, file)).collect::<Result<Vec<_>, CatalogError>>();
        Ok(faults?.into_iter().flatten().collect())
    };
    writing.look(look).await
}

fn listing_fault(base: Root<'_>, file: &RemoteFile) -> Result<Option<Fault>, CatalogError> {
    let what = match base.size(&file.path)? {
        Some(found) if found == file.size => return Ok(None),
        Some(found) => FaultKind::Size { found, expected: file.size },
        None => FaultKind::Missing,
    };
    Ok(Some(Fault::new(file.path.clone(), what)))
}

/// Removes the files that do not verify, so that they are brought anew.
async fn discard(writing: &Writing, faults: Vec<Fault>) -> Result<(), Error> {
    remove_files(writing, faults.into_iter().map(|fault| fault.path).collect()).await
}

/// Whether any of what does not verify could be brought anew.
async fn has_files(writing: &Writing, faults: &[Fault]) -> Result<bool, Error> {
    let (store, place) = (Arc::clone(&writing.store), writing.place);
    let paths: Vec<PathBuf> = faults.iter().map(|fault| fault.path.clone()).collect();
    blocking(move || {
        for path in &paths {
            if is_file(store.as_ref(), place.below(path))? {
                return Ok(true);
            }
        }
        Ok(false)
    })
    .await
}

/// Whether there is something in the place of a file.
fn is_file(store: &dyn Store, at: At<'_>) -> Result<bool, CatalogError> {
    Ok(store.look(at)?.is_some_and(|found| !found.kind.is_dir()))
}

fn damaged(id: BackupId, faults: &[Fault], is_published: bool) -> Error {
    let what = if is_published {
        "it is damaged here, and what came in its place is no better"
    } else {
        "it is not published"
    };
    let hint = format!("{what}; run `barman verify-backup` at the primary: the backup is damaged there");
    Error::new(Kind::Damaged, format!("backup {id} does not verify: {}", first_few(faults.iter().map(told)))).hint(hint)
}

fn told(fault: &Fault) -> String {
    if fault.path.as_os_str().is_empty() {
        return fault.what.to_string();
    }
    format!("{}: {}", fault.path.display().to_string().escape_debug(), fault.what)
}
