//! What arrived of a base that nothing else proves: noted once it is all here, and compared where it was noted before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Job, Writing};
use crate::barman::arrival::{ArrivalNote, Arrived, When};
use crate::barman::damage::Seen;
use crate::barman::ids::BackupId;
use crate::error::Error;
use crate::plan::action::BackupCopy;
use crate::store::{CatalogError, GoOn, Place, Root, Store, arrivals, repairs};
use crate::transport::blocking;
use crate::verify::arrival::{self, Covers};
use crate::verify::base::Announced;
use crate::verify::fault::{Fault, FaultKind};

/// A base before anything is brought into it.
#[derive(Default)]
pub struct Before {
    note: ArrivalNote,
    files: BTreeMap<PathBuf, Seen>,
}

impl Before {
    /// Of what is written into: nothing is known of what is in staging.
    pub async fn look(copy: &BackupCopy, writing: &Writing) -> Result<Arc<Self>, Error> {
        let (store, announced) = (Arc::clone(&writing.store), Announced::of(&copy.info));
        let Place::Base(id) = writing.place else { return Ok(Arc::default()) };
        blocking(move || {
            let store = store.as_ref();
            let note = arrivals::of_base(store, id)?.note();
            Ok(Arc::new(Self { files: files(store, id, &announced)?, note }))
        })
        .await
    }

    /// Those of the files here that are others now.
    fn changed(
        &self,
        store: &dyn Store,
        id: BackupId,
        announced: &Announced,
    ) -> Result<BTreeSet<PathBuf>, CatalogError> {
        // One that was removed may have left its number to what came in its place.
        let doubted = repairs::noted(store, id)?;
        let now = files(store, id, announced)?.into_iter();
        Ok(now
            .filter(|(path, seen)| doubted.contains(path) || self.files.get(path) != Some(seen))
            .map(|(path, _)| path)
            .collect())
    }

    /// What is not as it was when it arrived the first time, of what came in its place and of what did not come.
    fn faults(&self, base: Root<'_>, changed: BTreeSet<PathBuf>, go_on: GoOn<'_>) -> Result<Vec<Fault>, CatalogError> {
        // What was noted when it was here already may be no better than what came now.
        let is_bound = |arrived: &Arrived| arrived.when == When::Arriving;
        let mut faults = Vec::new();
        for (path, _) in self.note.files.iter().filter(|(_, arrived)| is_bound(arrived)) {
            if base.size(path)?.is_none() {
                faults.push(Fault::new(path.clone(), FaultKind::Missing));
            }
        }
        let bound = |path: &PathBuf| self.note.files.get(path).copied().filter(is_bound);
        let changed: Vec<PathBuf> = changed.into_iter().filter(|path| bound(path).is_some()).collect();
        for (path, now) in arrival::note(base, &changed, Timestamp::UNIX_EPOCH, go_on)?.files {
            let differs = bound(&path).and_then(|then| then.differs(now.size, &now.digest));
            faults.extend(differs.map(|why| Fault::new(path, FaultKind::Arrived(why))));
        }
        Ok(faults)
    }
}

fn files(store: &dyn Store, id: BackupId, announced: &Announced) -> Result<BTreeMap<PathBuf, Seen>, CatalogError> {
    let base = Root::new(store, Place::Base(id));
    let mut files = BTreeMap::new();
    for path in arrival::files(base, &Covers::of(base, announced)?)? {
        if let Some(found) = store.look(Place::Base(id).below(&path))? {
            files.insert(path, Seen::of(found));
        }
    }
    Ok(files)
}

/// What is wrong with what came anew into a published base, as far as it was noted when it arrived the first time.
pub async fn check(
    job: Job<'_>,
    copy: &BackupCopy,
    writing: &Writing,
    before: &Arc<Before>,
) -> Result<Vec<Fault>, Error> {
    let Place::Base(id) = writing.place else { return Ok(Vec::new()) };
    if before.note.files.is_empty() {
        return Ok(Vec::new());
    }
    let (store, before, announced) = (Arc::clone(&writing.store), Arc::clone(before), Announced::of(&copy.info));
    let cancel = job.run.cancel.clone();
    blocking(move || {
        let base = Root::new(store.as_ref(), Place::Base(id));
        // What has a manifest by now is proved by that.
        if matches!(Covers::of(base, &announced)?, Covers::Nothing) {
            return Ok(Vec::new());
        }
        let changed = before.changed(store.as_ref(), id, &announced)?;
        let faults = before.faults(base, changed, &|| !cancel.is_cancelled())?;
        if cancel.is_cancelled() { Err(Error::interrupted()) } else { Ok(faults) }
    })
    .await
}

/// What is to be noted of a base that is all here: of a published one, what came anew beside what was noted before.
pub async fn of(
    job: Job<'_>,
    copy: &BackupCopy,
    writing: &Writing,
    before: &Arc<Before>,
) -> Result<ArrivalNote, Error> {
    let (store, before, announced) = (Arc::clone(&writing.store), Arc::clone(before), Announced::of(&copy.info));
    let (place, cancel) = (writing.place, job.run.cancel.clone());
    blocking(move || {
        let base = Root::new(store.as_ref(), place);
        let all = arrival::files(base, &Covers::of(base, &announced)?)?;
        let (mut new, mut kept) = (all, Vec::new());
        if let Place::Base(id) = place
            && !new.is_empty()
        {
            let changed = before.changed(store.as_ref(), id, &announced)?;
            (new, kept) = new.into_iter().partition(|path| changed.contains(path));
        }
        let now = Timestamp::now();
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let mut note = arrival::note(base, &new, now, &|| !cancel.is_cancelled())?;
        if cancel.is_cancelled() {
            return Err(Error::interrupted());
        }
        let known = |path: PathBuf| before.note.files.get(&path).copied().map(|arrived| (path, arrived));
        note.files.extend(kept.into_iter().filter_map(known));
        Ok(note)
    })
    .await
}

/// Notes it, once all of it is on the disk.
pub async fn keep(copy: &BackupCopy, writing: &Writing, note: ArrivalNote) -> Result<(), Error> {
    let (store, id) = (Arc::clone(&writing.store), copy.id);
    blocking(move || Ok(arrivals::write(store.as_ref(), id, &note)?)).await
}
