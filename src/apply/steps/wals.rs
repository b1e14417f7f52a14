//! Shipping WAL: batches under temporary names, verified, fsynced, renamed, then listed in xlog.db.
//!
//! Each batch is committed by itself. A file that the primary no longer has, or that is not what its name says,
//! is reported by name and holds up no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::stream::{StreamExt, iter};

use crate::apply::failure::{Doing, first_few};
use crate::apply::piece::Piece;
use crate::apply::replica_run::{ReplicaRun, blocking};
use crate::apply::staged::Begun;
use crate::apply::xlogdb;
use crate::barman::ids::SystemId;
use crate::barman::layout::{ServerDirs, wal_path};
use crate::barman::wal::{SegmentSize, Timeline, WalName};
use crate::barman::wal_entry::WalEntry;
use crate::english::count;
use crate::events::{Failure, FailureKind};
use crate::observe::catalog::{files as disk_files, starts, wals as archive};
use crate::plan::action::WalBatch;
use crate::store::posix::disk::{self, Since};
use crate::store::posix::durable;
use crate::transport::{Compare, Fetch, Fetched, What};
use crate::verify::wal_file::{self, Beginning};
use crate::verify::wal_form::Form;
use crate::verify::wal_header::{Expected, Start};

use super::{Job, server};

/// A commit carries at most this many bytes, so that an interruption loses little.
const COMMIT_BYTES: u64 = 1 << 30;
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
    failure: Option<Failure>,
}

/// Ships the files of a batch that are not here with the right size.
pub async fn ship(job: Job<'_>, batch: &WalBatch) -> Result<u64, Failure> {
    let dirs = &job.run.target.here;
    let here: BTreeSet<WalName> =
        batch.entries.iter().filter(|entry| is_here(dirs, entry)).map(|entry| entry.name).collect();
    let present = batch.entries.iter().filter(|entry| here.contains(&entry.name)).copied().collect();
    let (placed, undescribed) = (dirs.clone(), batch.undescribed.clone());
    let present = blocking(move || describe(present, &undescribed, |name| placed.wal(name))).await?;
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
        iter(now).map(|entries| commit(job, entries, undescribed, None)).buffer_unordered(job.run.moving.streams);
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
    let Some(piece) = job.piece(&job.run.staging().wals(), Path::new(&name), next.size) else {
        return Shipped { failure: Some(Failure::limit_reached()), ..Shipped::default() };
    };
    let shipped = commit(job, vec![next], undescribed, Some(piece)).await;
    let failure = shipped.failure.or_else(|| (!is_last).then(Failure::limit_reached));
    Shipped { failure, ..shipped }
}

/// The entries of files that are here, those that the primary does not describe by what they are. Of what nobody can
/// look into, only a list tells the form.
fn describe(
    entries: Vec<WalEntry>,
    undescribed: &BTreeSet<WalName>,
    path: impl Fn(WalName) -> PathBuf,
) -> Result<Vec<WalEntry>, Failure> {
    let describe = |planned: WalEntry| {
        if !undescribed.contains(&planned.name) {
            return Ok(planned);
        }
        let path = path(planned.name);
        match wal_file::describe(planned.name, &path) {
            Ok(found) if Form::listed(&planned).is_hidden() => Ok(WalEntry { mtime: found.mtime, ..planned }),
            Ok(found) => Ok(WalEntry { size: planned.size, ..found }),
            // What did not arrive is told by name, like any other.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(planned),
            Err(error) => Err(error).doing("read", &path),
        }
    };
    entries.into_iter().map(describe).collect()
}

/// Whether the next plan would find it, and sound.
fn is_here(dirs: &ServerDirs, entry: &WalEntry) -> bool {
    let has_size = archive::size(&dirs.wals_directory, entry.name).is_ok_and(|found| found == Some(entry.size));
    has_size
        && match starts::begins(dirs, entry.name) {
            Some(Beginning::Sound) => true,
            Some(Beginning::Opaque) => Form::listed(entry).is_hidden(),
            Some(Beginning::Damaged) | None => false,
        }
}

/// Cuts a batch into what is committed together. What is here already is cut as well, so that the plan alone says how
/// many transfers there may be.
pub fn commits(entries: &[WalEntry]) -> Vec<Vec<WalEntry>> {
    let mut commits: Vec<Vec<WalEntry>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        let has_room = |last: &&mut Vec<WalEntry>| last.len() < COMMIT_FILES && bytes + entry.size <= COMMIT_BYTES;
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
        return Shipped { failure: Some(Failure::interrupted()), ..Shipped::default() };
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
) -> Result<Shipped, Failure> {
    let place = Placing::begin(job.run, undescribed).await?;
    let (entries, mut refused) = reachable(&job.run.target.here, entries).await?;
    if entries.is_empty() {
        return Ok(Shipped { refused, ..Shipped::default() });
    }
    let fetched = match bring(job, &place, entries.iter().map(|entry| entry.name), piece).await {
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
async fn reachable(dirs: &ServerDirs, entries: Vec<WalEntry>) -> Result<(Vec<WalEntry>, Vec<Refused>), Failure> {
    let dirs = dirs.clone();
    blocking(move || {
        let (mut reachable, mut refused) = (Vec::new(), Vec::new());
        for entry in entries {
            match obstacle(&dirs, entry.name)? {
                None => reachable.push(entry),
                Some(why) => refused.push((entry.name, why)),
            }
        }
        Ok((reachable, refused))
    })
    .await
}

/// Brings WAL files under temporary names. Those that an earlier run left there come first, compared by content.
async fn bring(
    job: Job<'_>,
    place: &Placing,
    names: impl Iterator<Item = WalName>,
    piece: Option<Piece>,
) -> Result<Fetched, Failure> {
    let (left, fresh): (Vec<WalName>, Vec<WalName>) = names.partition(|name| place.is_left(*name));
    let (staging, doubted): (_, Vec<PathBuf>) =
        (place.staging.clone(), left.iter().map(|name| place.arrived(*name)).collect());
    blocking(move || {
        durable::create_directory(&staging).doing("create", &staging)?;
        disk::evict(&doubted).doing("read again", &staging)
    })
    .await?;
    let mut fetched = Fetched::default();
    for (names, compare) in [(left, Compare::Content), (fresh, Compare::Times)] {
        if names.is_empty() {
            continue;
        }
        let part = job.fetch(place.request(&names, compare), piece).await?;
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
    failure: Failure,
) -> Result<Shipped, Failure> {
    let asked = entries.len();
    let has_arrived = |entry: &WalEntry| fs::metadata(place.arrived(entry.name)).is_ok_and(|f| f.len() == entry.size);
    entries.retain(|entry| has_arrived(entry) && !place.is_left(entry.name));
    let lacks_some = entries.len() < asked;
    let (placed, broken) = blocking(move || place.place(&entries)).await?;
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
    staging: PathBuf,
    dirs: ServerDirs,
    there: PathBuf,
    systems: BTreeSet<SystemId>,
    segment_sizes: Vec<SegmentSize>,
    staged: Arc<Begun>,
    since: Since,
    /// Those that only their content describes.
    undescribed: BTreeSet<WalName>,
}

impl Placing {
    /// To be called before anything arrives.
    async fn begin(run: &ReplicaRun<'_>, undescribed: BTreeSet<WalName>) -> Result<Self, Failure> {
        let (target, staged) = (run.target, run.staged.begin(run).await?);
        Ok(Self {
            staging: run.staging().wals(),
            dirs: target.here.clone(),
            there: target.there.wals_directory.clone(),
            systems: run.systems.clone(),
            segment_sizes: target.segment_sizes.clone(),
            since: staged.wals.since(),
            staged,
            undescribed,
        })
    }

    fn request(&self, names: &[WalName], compare: Compare) -> Fetch {
        let paths = names.iter().copied().map(wal_path).collect();
        Fetch {
            from: self.there.clone(),
            into: self.staging.clone(),
            what: What::Files { paths, flatten: true },
            basis: None,
            compare,
            bandwidth: None,
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

    /// Makes durable what arrived.
    fn sync(&self, entries: &[WalEntry]) -> Result<(), Failure> {
        let arrived: Vec<PathBuf> = entries.iter().map(|entry| self.arrived(entry.name)).collect();
        self.staged.wals.sync(self.since, &arrived).doing("sync", &self.staging)
    }

    /// The entries that are in place, durably, and those that were refused.
    fn place(&self, entries: &[WalEntry]) -> Result<(Vec<WalEntry>, Vec<Refused>), Failure> {
        let (mut good, mut refused) = (Vec::new(), Vec::new());
        for entry in describe(entries.to_vec(), &self.undescribed, |name| self.arrived(name))? {
            match self.refuse(&entry)? {
                None => good.push(entry),
                Some(why) => refused.push((entry.name, why)),
            }
        }
        if !good.is_empty() {
            self.sync(&good)?;
            self.rename(&good)?;
        }
        Ok((good, refused))
    }

    fn arrived(&self, name: WalName) -> PathBuf {
        self.staging.join(name.to_string())
    }

    /// Why a file that arrived is not placed; such a file is removed.
    fn refuse(&self, entry: &WalEntry) -> Result<Option<String>, Failure> {
        let refused = self.verify(entry)?;
        if refused.is_some() {
            let path = self.arrived(entry.name);
            durable::remove_file(&path).doing("remove", &path)?;
        }
        Ok(refused)
    }

    /// Why a file that arrived is not what was asked for.
    fn verify(&self, entry: &WalEntry) -> Result<Option<String>, Failure> {
        let path = self.arrived(entry.name);
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return Ok(Some("it is not a regular file at the primary".to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some("it did not arrive".to_owned())),
            Err(error) => return Err(error).doing("look at", &path),
        };
        if metadata.len() != entry.size {
            let why =
                format!("it has {} bytes, and had {} at the primary when it was planned", metadata.len(), entry.size);
            return Ok(Some(why));
        }
        let verified = wal_file::verify(entry, &path, |start| self.expected(start)).doing("read", &path)?;
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

    fn rename(&self, entries: &[WalEntry]) -> Result<(), Failure> {
        let mut directories = BTreeSet::new();
        for entry in entries {
            let to = self.dirs.wal(entry.name);
            let directory = to.parent().unwrap_or(&self.dirs.wals_directory).to_owned();
            if !directories.contains(&directory) {
                durable::create_directory(&directory).doing("create", &directory)?;
                directories.insert(directory);
            }
            fs::rename(self.arrived(entry.name), &to).doing("move a WAL file to", &to)?;
        }
        directories.iter().try_for_each(|directory| durable::sync_directory(directory).doing("sync", directory))
    }
}

/// What at the site is in the way of a WAL file, and what to do about it. What is placed behind a link is out of the
/// catalog: no plan looks there. A link or a pipe under the file's own name is no WAL, and is replaced.
fn obstacle(dirs: &ServerDirs, name: WalName) -> Result<Option<String>, Failure> {
    let path = dirs.wal(name);
    if let Some(hash) = path.parent().filter(|hash| *hash != dirs.wals_directory)
        && let Some(kind) = disk_files::kind(hash)?.filter(|kind| !kind.is_dir())
    {
        let (hash, what) =
            (hash.display(), if kind.is_symlink() { "a link, which nobody follows" } else { "no directory" });
        return Ok(Some(format!(
            "{hash} at the site is {what}; put a directory there, with the files that belong in it"
        )));
    }
    let is_directory = disk_files::kind(&path)?.is_some_and(|kind| kind.is_dir());
    Ok(is_directory.then(|| format!("{} at the site is a directory; move it away", path.display())))
}

/// What a whole batch came to: what failed is told with the names, what arrived is published all the same.
fn outcome(shipped: Vec<Shipped>) -> Result<u64, Failure> {
    let transferred = shipped.iter().map(|s| s.transferred).sum();
    let mut refused: Vec<Refused> = Vec::new();
    let mut failures: Vec<Failure> = Vec::new();
    for part in shipped {
        refused.extend(part.refused);
        failures.extend(part.failure);
    }
    // What is wrong comes before why it ended.
    let is_end = |failure: &Failure| matches!(failure.kind, FailureKind::Interrupted | FailureKind::LimitReached);
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
    Err(Failure::new(format!("{} not placed: {told}", count(refused.len() as u64, "WAL file")))
        .hint("the other files of this range are in place; plan again to see what the primary has now"))
}

/// Ships a timeline's history file. Where the primary's xlog.db does not list it, it is described by itself.
pub async fn ship_history(
    job: Job<'_>,
    timeline: Timeline,
    entry: Option<WalEntry>,
    size: u64,
) -> Result<u64, Failure> {
    let name = WalName::History(timeline);
    let dirs = job.run.target.here.clone();
    if let Some(why) = blocking(move || obstacle(&dirs, name)).await? {
        return Err(Failure::new(format!("{name} not placed: {why}")));
    }
    let place = Placing::begin(job.run, BTreeSet::new()).await?;
    let fetched = bring(job, &place, std::iter::once(name), None).await?;
    if !fetched.missing.is_empty() {
        return Err(Failure::new(format!("{name} is no longer at the primary")).hint("plan again"));
    }
    let described = blocking(move || {
        let path = place.arrived(name);
        let found = wal_file::describe(name, &path).doing("read", &path)?;
        let entry = WalEntry { size, ..entry.filter(|entry| entry.size == size).unwrap_or(found) };
        if let Some(why) = place.refuse(&entry)? {
            return Err(
                Failure::new(format!("{name} not placed: {why}")).hint("see what the primary has, and plan again")
            );
        }
        place.sync(&[entry])?;
        place.rename(&[entry])?;
        Ok(entry)
    })
    .await?;
    job.run.ledger.publish(job.run, vec![described]).await?;
    job.run.ledger.flush(job.run).await?;
    Ok(fetched.transferred)
}

/// Makes xlog.db list exactly what is on disk, sorted and once.
pub async fn repair_xlogdb(job: Job<'_>, known: Vec<WalEntry>) -> Result<(), Failure> {
    let (dirs, layout) = (job.run.target.here.clone(), job.run.layout);
    let on_disk = blocking(move || {
        server::create_directories(&dirs, layout)?;
        scan(&dirs)
    })
    .await?;
    xlogdb::rewrite(job.run, move |lines| xlogdb::reconcile(&lines, &known, &on_disk)).await
}

/// Every WAL file on disk as a plan sees it, described by itself.
fn scan(dirs: &ServerDirs) -> Result<BTreeMap<WalName, WalEntry>, Failure> {
    let mut found = BTreeMap::new();
    for name in archive::read(&dirs.wals_directory, &dirs.server)?.sizes.into_keys() {
        let path = dirs.wal(name);
        match wal_file::describe(name, &path) {
            Ok(entry) => {
                found.insert(name, entry);
            }
            // Whoever took it away meanwhile, the list does not have it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).doing("read", &path),
        }
    }
    Ok(found)
}
