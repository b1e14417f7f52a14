//! Shipping WAL: batches under temporary names, verified, fsynced, renamed, then listed in xlog.db.
//!
//! Each batch is committed by itself. A file that the primary no longer has, or that is not what its name says,
//! is reported by name and holds up no other.

mod parted;

use std::collections::BTreeSet;
use std::io::{self, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::stream::{StreamExt, iter};
use jiff::Timestamp;

use super::first_few;
use crate::apply::piece::Piece;
use crate::apply::replica_run::ReplicaRun;
use crate::apply::xlogdb::{self, Told};
use crate::barman::ids::SystemId;
use crate::barman::layout::wal_path;
use crate::barman::wal::{SegmentSize, Timeline, WalName};
use crate::barman::wal_entry::WalEntry;
use crate::english::count;
use crate::error::{Error, Kind};
use crate::observe::catalog::archive::begins;
use crate::observe::catalog::xlogdb as list;
use crate::plan::action::WalBatch;
use crate::store::staged::Staged;
use crate::store::{At, CatalogError, ChangeError, File, Place, Since, Store, Volume};
use crate::store::{damage, wals as archive, xlogdb as listed};
use crate::transport::{Compare, Fetch, Fetched, Limit, What, blocking};
use crate::verify::wal_file::{self, Beginning};
use crate::verify::wal_form::WalForm;
use crate::verify::wal_header::{Expected, Start};
use crate::verify::wal_proof::{self, Proof};

use super::{Job, server};

/// A commit carries at most this many bytes, so that an interruption loses little.
const COMMIT_BYTES: u64 = 1 << 30;
/// And at least as many, where there are as many: starting rsync and rewriting xlog.db do not count then.
const COMMIT_LEAST: u64 = 64 << 20;
/// A batch is cut into at least as many, so that no stream is idle for long at its end.
const COMMITS: u64 = 16;
/// And at most this many files: so many that starting rsync and syncing the disk do not count.
const COMMIT_FILES: usize = 2048;

/// A file that was not placed, with the reason.
type Refused = (WalName, String);

/// What became of one commit.
#[derive(Debug, Default)]
struct Shipped {
    transferred: u64,
    refused: Vec<Refused>,
    /// What ended the commit itself.
    failure: Option<Error>,
}

/// Ships the files of a batch that are not here with the right size.
pub async fn ship(job: Job<'_>, batch: &WalBatch) -> Result<u64, Error> {
    let (store, entries, undescribed) = (Arc::clone(&job.run.store), batch.entries.clone(), batch.undescribed.clone());
    let (here, present) = blocking(move || {
        let store = store.as_ref();
        let present: Vec<WalEntry> = entries.into_iter().filter(|entry| is_here(store, entry)).collect();
        let here: BTreeSet<WalName> = present.iter().map(|entry| entry.name).collect();
        Ok((here, describe(store, present, &undescribed, Place::Wal)?))
    })
    .await?;
    let absent = commits(&batch.entries).into_iter().filter_map(|mut entries| {
        entries.retain(|entry| !here.contains(&entry.name));
        (!entries.is_empty()).then_some(entries)
    });
    let absent: Vec<Vec<WalEntry>> = absent.collect();
    job.run.ledger.publish(job.run, present).await?;
    let count = job.secure(absent.iter().flatten().map(|entry| entry.size));
    let (now, later) = cut(absent, count);
    let undescribed = &batch.undescribed;
    let commits =
        iter(now).map(|entries| commit(job, entries, undescribed, None)).buffer_unordered(job.run.moving.share.streams);
    let mut shipped: Vec<Shipped> = commits.collect().await;
    if let Some((first, rest)) = later.split_first() {
        shipped.push(stop(job, *first, undescribed, rest.is_empty()).await);
    }
    job.run.ledger.flush(job.run).await?;
    outcome(shipped)
}

/// The first files, in the commits that they are in, and the rest.
fn cut(commits: Vec<Vec<WalEntry>>, mut count: usize) -> (Vec<Vec<WalEntry>>, Vec<WalEntry>) {
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for mut entries in commits {
        rest.extend(entries.split_off(count.min(entries.len())));
        count -= entries.len();
        if !entries.is_empty() {
            first.push(entries);
        }
    }
    (first, rest)
}

/// Ends a batch of which the run may not copy more: with a piece of the next file, if that would never fit whole.
async fn stop(job: Job<'_>, next: WalEntry, undescribed: &BTreeSet<WalName>, is_last: bool) -> Shipped {
    let name = next.name.to_string();
    let Some(piece) = job.piece(&job.run.local(Place::Arrivals), Path::new(&name), next.size) else {
        return Shipped { failure: Some(Error::limit_reached()), ..Shipped::default() };
    };
    let shipped = commit(job, vec![next], undescribed, Some(piece)).await;
    let failure = shipped.failure.or_else(|| (!is_last).then(Error::limit_reached));
    Shipped { failure, ..shipped }
}

/// The entries of files that are here, those that the primary does not describe by what they are. Of what nobody can
/// look into, only a list tells the form.
fn describe(
    store: &dyn Store,
    entries: Vec<WalEntry>,
    undescribed: &BTreeSet<WalName>,
    place: impl Fn(WalName) -> Place,
) -> Result<Vec<WalEntry>, CatalogError> {
    let describe = |planned: WalEntry| {
        if !undescribed.contains(&planned.name) {
            return Ok(planned);
        }
        Ok(match list::describe(store, place(planned.name), planned.name)? {
            Some(found) if WalForm::listed(&planned).is_hidden() => WalEntry { mtime: found.mtime, ..planned },
            Some(found) => WalEntry { size: planned.size, ..found },
            // What did not arrive is told by name, like any other.
            None => planned,
        })
    };
    entries.into_iter().map(describe).collect()
}

/// Whether the next plan would find it, and sound.
fn is_here(store: &dyn Store, entry: &WalEntry) -> bool {
    let has_size = archive::size(store, entry.name).is_ok_and(|found| found == Some(entry.size));
    has_size
        && damage::has_wal(store, entry.name).is_ok_and(|is_damaged| !is_damaged)
        && match begins(store, entry.name) {
            Some(Beginning::Sound) => true,
            Some(Beginning::Opaque) => WalForm::listed(entry).is_hidden(),
            Some(Beginning::Damaged) | None => false,
        }
}

/// Cuts a batch into what is committed together.
fn commits(entries: &[WalEntry]) -> Vec<Vec<WalEntry>> {
    let mut commits: Vec<Vec<WalEntry>> = Vec::new();
    let all = entries.iter().map(|entry| entry.size).fold(0, u64::saturating_add);
    let (most, mut bytes) = ((all / COMMITS).clamp(COMMIT_LEAST, COMMIT_BYTES), 0_u64);
    for entry in entries {
        let fits = bytes.saturating_add(entry.size) <= most;
        let has_room = |last: &&mut Vec<WalEntry>| last.len() < COMMIT_FILES && fits;
        if let Some(last) = commits.last_mut().filter(has_room) {
            last.push(*entry);
            bytes += entry.size;
        } else {
            commits.push(vec![*entry]);
            bytes = entry.size;
        }
    }
    commits
}

async fn commit(
    job: Job<'_>,
    entries: Vec<WalEntry>,
    undescribed: &BTreeSet<WalName>,
    piece: Option<Piece>,
) -> Shipped {
    if job.run.cancel.is_cancelled() {
        return Shipped { failure: Some(Error::interrupted()), ..Shipped::default() };
    }
    let undescribed = entries.iter().map(|entry| entry.name).filter(|name| undescribed.contains(name)).collect();
    match try_commit(job, entries, undescribed, piece).await {
        Ok(shipped) => shipped,
        Err(failure) => Shipped { failure: Some(failure), ..Shipped::default() },
    }
}

async fn try_commit(
    job: Job<'_>,
    entries: Vec<WalEntry>,
    undescribed: BTreeSet<WalName>,
    piece: Option<Piece>,
) -> Result<Shipped, Error> {
    let place = Placing::begin(job.run, undescribed).await?;
    let (entries, mut refused) = reachable(job.run, entries).await?;
    if entries.is_empty() {
        return Ok(Shipped { refused, ..Shipped::default() });
    }
    let is_plain = entries.iter().all(|entry| entry.compression.is_none() && entry.encryption.is_none());
    let fetched = match bring(job, &place, entries.iter().map(|entry| (entry.name, entry.size)), is_plain, piece).await
    {
        Ok(fetched) => fetched,
        Err(failure) => return salvage(job, place, entries, refused, failure).await,
    };
    let missing: BTreeSet<PathBuf> = fetched.missing.into_iter().collect();
    let (there, gone): (Vec<WalEntry>, Vec<WalEntry>) =
        entries.into_iter().partition(|entry| !missing.contains(&wal_path(entry.name)));
    let (placed, broken) = blocking(move || place.place(&there)).await?;
    job.run.ledger.publish(job.run, placed).await?;
    refused.extend(broken);
    refused.extend(gone.iter().map(|entry| (entry.name, "the primary does not have it any more".to_owned())));
    Ok(Shipped { transferred: fetched.transferred, refused, failure: None })
}

/// The files that have a way to their place, and those that have none: nothing is copied that could not be placed.
async fn reachable(run: &ReplicaRun<'_>, entries: Vec<WalEntry>) -> Result<(Vec<WalEntry>, Vec<Refused>), Error> {
    let store = Arc::clone(&run.store);
    blocking(move || {
        let (mut reachable, mut refused) = (Vec::new(), Vec::new());
        for entry in entries {
            match archive::obstacle(store.as_ref(), entry.name)? {
                None => reachable.push(entry),
                Some(why) => refused.push((entry.name, why)),
            }
        }
        Ok((reachable, refused))
    })
    .await
}

/// Brings WAL files of these sizes under temporary names. Those that an earlier run left there come first, compared by content.
async fn bring(
    job: Job<'_>,
    place: &Placing,
    files: impl Iterator<Item = (WalName, u64)>,
    is_plain: bool,
    piece: Option<Piece>,
) -> Result<Fetched, Error> {
    let (left, fresh): (Vec<_>, Vec<_>) = files.partition(|(name, _)| place.is_left(*name));
    let (store, doubted) = (Arc::clone(&place.store), left.clone());
    blocking(move || {
        store.make(Place::Arrivals)?;
        let doubted: Vec<At<'_>> = doubted.into_iter().map(|(name, _)| Place::Arrived(name).into()).collect();
        Ok(store.reread(&doubted)?)
    })
    .await?;
    let mut fetched = Fetched::default();
    for (files, compare) in [(left, Compare::Content), (fresh, Compare::Times)] {
        if files.is_empty() {
            continue;
        }
        let limit = Limit::of(files.iter().map(|(_, size)| *size));
        let names: Vec<WalName> = files.into_iter().map(|(name, _)| name).collect();
        let compress = job.run.compresses(is_plain);
        let part = job.fetch(Fetch { compress, limit, ..place.request(&names, compare) }, piece).await?;
        place.believe(&names);
        fetched.transferred += part.transferred;
        fetched.missing.extend(part.missing);
    }
    Ok(fetched)
}

/// Places the files that did arrive whole before a transfer failed: one that cannot be read holds up no other. When all
/// did, nothing failed but the end of the conversation.
async fn salvage(
    job: Job<'_>,
    place: Placing,
    mut entries: Vec<WalEntry>,
    mut refused: Vec<Refused>,
    failure: Error,
) -> Result<Shipped, Error> {
    let asked = entries.len();
    let (placed, broken, lacks_some) = blocking(move || {
        entries.retain(|entry| place.has_arrived(entry) && !place.is_left(entry.name));
        let (placed, broken) = place.place(&entries)?;
        Ok((placed, broken, entries.len() < asked))
    })
    .await?;
    refused.extend(broken);
    job.run.ledger.publish(job.run, placed).await?;
    if lacks_some {
        return Ok(Shipped { refused, failure: Some(failure), ..Shipped::default() });
    }
    tracing::warn!("{}: everything arrived, although the transfer failed: {failure}", job.action.address);
    Ok(Shipped { refused, ..Shipped::default() })
}

/// Verifies files that arrived and moves them to where they belong.
struct Placing {
    store: Arc<dyn Store>,
    there: PathBuf,
    systems: BTreeSet<SystemId>,
    segment_sizes: Vec<SegmentSize>,
    staged: Arc<Staged>,
    since: Since,
    /// Those that only their content describes.
    undescribed: BTreeSet<WalName>,
    /// Those that are damaged here although they begin as they should: what comes in their place is read to its end.
    damaged: BTreeSet<WalName>,
}

impl Placing {
    /// To be called before anything arrives.
    async fn begin(run: &ReplicaRun<'_>, undescribed: BTreeSet<WalName>) -> Result<Self, Error> {
        let (target, staged, store) = (run.target, run.staged().await?, Arc::clone(&run.store));
        Ok(Self {
            there: target.there.wals_directory.clone(),
            systems: run.systems.clone(),
            segment_sizes: target.segment_sizes.clone(),
            since: store.since(Volume::Wals)?,
            damaged: damage::noted(store.as_ref())?.wals.into_keys().collect(),
            store,
            staged,
            undescribed,
        })
    }

    fn request(&self, names: &[WalName], compare: Compare) -> Fetch {
        let paths = names.iter().copied().map(wal_path).collect();
        Fetch {
            from: self.there.clone(),
            into: self.store.local(Place::Arrivals.into()),
            what: What::Files { paths, flatten: true },
            basis: None,
            compare,
            bandwidth: None,
            taps: Vec::new(),
            compress: false,
            limit: Limit::of([]),
        }
    }

    /// Whether a file lies in staging that an earlier run left there.
    fn is_left(&self, name: WalName) -> bool {
        self.staged.is_left(name)
    }

    /// Notes that these are what the primary has.
    fn believe(&self, names: &[WalName]) {
        self.staged.believe_wals(names);
    }

    /// Makes durable what arrived, with modes of ours.
    fn sync(&self, entries: &[WalEntry]) -> Result<(), ChangeError> {
        let arrived: Vec<At<'_>> = entries.iter().map(|entry| Place::Arrived(entry.name).into()).collect();
        self.store.settle_modes(&arrived)?;
        self.staged.sync(Volume::Wals, self.since, &arrived)
    }

    /// The entries that are in place, durably, and those that were refused.
    fn place(&self, entries: &[WalEntry]) -> Result<(Vec<WalEntry>, Vec<Refused>), Error> {
        let (mut good, mut refused) = (Vec::new(), Vec::new());
        for entry in describe(self.store.as_ref(), entries.to_vec(), &self.undescribed, Place::Arrived)? {
            match self.refuse(&entry)? {
                None => good.push(entry),
                Some(why) => refused.push((entry.name, why)),
            }
        }
        if !good.is_empty() {
            self.sync(&good)?;
            let store = self.store.as_ref();
            let names: Vec<WalName> = good.iter().map(|entry| entry.name).collect();
            let arrived: BTreeSet<WalName> = names.iter().copied().collect();
            let mended: BTreeSet<WalName> = arrived.intersection(&self.damaged).copied().collect();
            let parted = parted::among(store, &arrived, mended.iter().copied(), &self.segment_sizes);
            store.publish_wals(&names)?;
            if !mended.is_empty() {
                damage::wals_came_anew(store, &mended, &parted, Timestamp::now())?;
            }
        }
        Ok((good, refused))
    }

    fn has_arrived(&self, entry: &WalEntry) -> bool {
        self.store.size(Place::Arrived(entry.name)).is_ok_and(|found| found == Some(entry.size))
    }

    /// Why a file that arrived is not placed; such a file is removed.
    fn refuse(&self, entry: &WalEntry) -> Result<Option<String>, Error> {
        let refused = self.verify(entry)?;
        if refused.is_some() {
            self.store.remove(Place::Arrived(entry.name).into())?;
        }
        Ok(refused)
    }

    /// Why a file that arrived is not what was asked for.
    fn verify(&self, entry: &WalEntry) -> Result<Option<String>, Error> {
        let at = Place::Arrived(entry.name).into();
        let Some(found) = self.store.look(at)? else { return Ok(Some("it did not arrive".to_owned())) };
        let file = self.store.open(at)?;
        let (Some(size), Some(file)) = (found.size(), file) else {
            return Ok(Some("it is not a regular file at the primary".to_owned()));
        };
        if size != entry.size {
            let why = format!("it has {size} bytes, and had {} at the primary when it was planned", entry.size);
            return Ok(Some(why));
        }
        let unreadable = |source| CatalogError { path: self.store.local(at), source };
        let verified = wal_file::verify(entry, &file, |start| self.expected(start)).map_err(unreadable)?;
        if verified.is_ok() && self.damaged.contains(&entry.name) {
            let proof = wal_proof::prove(entry.name, &file, Some(entry), &self.systems, from_the_start);
            let proof = proof.map_err(unreadable)?;
            if let Proof::Damaged(why) = proof {
                damage::wal_is_no_better(self.store.as_ref(), entry.name)?;
                return Ok(Some(format!("it is damaged here, and what the primary sent in its place is too: {why}")));
            }
        }
        Ok(verified.err().map(|fault| fault.to_string()))
    }

    /// After an accepted pg_upgrade a replica has the WAL of two systems, which may have segments of two sizes.
    fn expected(&self, start: &Start) -> Expected {
        let header = match start {
            Start::Header { header, .. } => Some(header),
            Start::Damaged(_) | Start::Opaque | Start::Zeros => None,
        };
        let system = header.map(|header| header.system).filter(|system| self.systems.contains(system));
        let size = header.and_then(|header| SegmentSize::new(header.segment_size.into()));
        Expected {
            system: system.or_else(|| self.systems.first().copied()),
            segment_size: size
                .filter(|size| self.segment_sizes.contains(size))
                .or_else(|| self.segment_sizes.first().copied()),
            form: None,
        }
    }
}

fn from_the_start(mut file: &File) -> io::Result<&File> {
    file.rewind()?;
    Ok(file)
}

/// What a whole batch came to: what failed is told with the names, what arrived is published all the same.
fn outcome(shipped: Vec<Shipped>) -> Result<u64, Error> {
    let transferred = shipped.iter().map(|s| s.transferred).sum();
    let mut refused: Vec<Refused> = Vec::new();
    let mut failures: Vec<Error> = Vec::new();
    for part in shipped {
        refused.extend(part.refused);
        failures.extend(part.failure);
    }
    // What is wrong comes before why it ended.
    let is_end = |failure: &Error| matches!(failure.kind, Kind::Interrupted | Kind::LimitReached);
    failures.sort_by_key(is_end);
    if let Some(failure) = failures.into_iter().next().filter(|failure| !is_end(failure) || refused.is_empty()) {
        return Err(failure);
    }
    if refused.is_empty() {
        return Ok(transferred);
    }
    refused.sort();
    let tell = |(name, why): &Refused| {
        let is_named = why.starts_with(&name.to_string());
        if is_named { why.clone() } else { format!("{name}: {why}") }
    };
    let told = first_few(refused.iter().map(tell));
    Err(Error::new(Kind::Damaged, format!("{} not placed: {told}", count(refused.len() as u64, "WAL file")))
        .hint("the other files of this range are in place; plan again to see what the primary has now"))
}

/// Ships a timeline's history file. Where the primary's xlog.db does not list it, it is described by itself.
pub async fn ship_history(job: Job<'_>, timeline: Timeline, entry: Option<WalEntry>, size: u64) -> Result<u64, Error> {
    let name = WalName::History(timeline);
    let store = Arc::clone(&job.run.store);
    if let Some(why) = blocking(move || Ok(archive::obstacle(store.as_ref(), name)?)).await? {
        return Err(Error::new(Kind::Damaged, format!("{name} not placed: {why}")));
    }
    let place = Placing::begin(job.run, BTreeSet::new()).await?;
    let fetched = bring(job, &place, std::iter::once((name, size)), true, None).await?;
    if !fetched.missing.is_empty() {
        return Err(Error::new(Kind::Stale, format!("{name} is no longer at the primary")).hint("plan again"));
    }
    let described = blocking(move || {
        let refused = |why| {
            let error = Error::new(Kind::Damaged, format!("{name} not placed: {why}"));
            error.hint("see what the primary has, and plan again")
        };
        let found = list::describe(place.store.as_ref(), Place::Arrived(name), name)?;
        let found = found.ok_or_else(|| refused("it did not arrive".to_owned()))?;
        let entry = WalEntry { size, ..entry.filter(|entry| entry.size == size).unwrap_or(found) };
        if let Some(why) = place.refuse(&entry)? {
            return Err(refused(why));
        }
        place.sync(&[entry])?;
        place.store.publish_wals(&[name])?;
        Ok(entry)
    })
    .await?;
    job.run.ledger.publish(job.run, vec![described]).await?;
    job.run.ledger.flush(job.run).await?;
    Ok(fetched.transferred)
}

/// Makes xlog.db list exactly what is on disk, sorted and once.
pub async fn repair_xlogdb(job: Job<'_>, known: Vec<WalEntry>) -> Result<(), Error> {
    let (store, layout, server) = (Arc::clone(&job.run.store), job.run.layout, job.run.target.here.server.clone());
    let (told, on_disk, found) = blocking(move || {
        let store = store.as_ref();
        server::create_directories(store, layout)?;
        let (told, lines) = (Told::by_primary(known), listed::lines(store, layout)?);
        let on_disk: Vec<WalName> = archive::list(store, &server)?.sizes.names().collect();
        // A file is read only when nothing tells of it: there may be a million.
        let untold: Vec<WalName> = on_disk.iter().copied().filter(|name| told.of(*name, &lines).is_none()).collect();
        let found = list::described(store, &untold)?;
        Ok((told, on_disk, found))
    })
    .await?;
    xlogdb::rewrite(job.run, move |lines| told.reconcile(&lines, &on_disk, &found)).await
}
