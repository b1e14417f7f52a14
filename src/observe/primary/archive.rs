//! The primary's WAL archive: its disk says what is there, its xlog.db what the files are.
//!
//! sync-info tells neither: it leaves out every name that sorts before the first backup's first segment, so that after a
//! major upgrade, where timelines begin at 1 again, all WAL of the new cluster stays hidden. So the directories are
//! listed, and xlog.db is fetched as a file, in the same way from a primary behind ssh and from one on this host: both
//! ways of asking give the same inventory. Only where there is no xlog.db to be had does sync-info's list describe.
//!
//! A directory is listed unless it looks as it did when its files were those that the list has, and the list has the same
//! of it still. So of an archive that grows one directory is listed, however many there are, and of one that rests none.
//!
//! The list is fetched before the directories are listed: what it names and the disk has not is then really gone. A file
//! that it does not name may just have been archived, so that it is fetched once more where there is such a file.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::barman::history::HistoryFile;
use crate::barman::layout::HashDirectory;
use crate::barman::wal::{Timeline, WalName};
use crate::barman::wal_entry::{Mtime, WalEntry};
use crate::barman::wal_list::{ListRun, WalList};
use crate::barman::wal_map::Run;
use crate::error::{Error, Kind};
use crate::observe::history;
use crate::observe::inventory::{PrimaryInventory, ReplicaInventory, Undescribed};
use crate::store::wals::MAX_HISTORY;
use crate::transport::{Look, RemoteEntry, RemoteFile};

use super::fetched::Fetcher;
use super::lists::{FetchedLists, ListRead};
use super::memory::{self, Memory};
use super::sights::{Sight, Sights};

/// The most WAL files that an archive may have: 53 TiB of segments of 16 MiB, whose lists fit into memory.
pub(super) const MAX_FILES: usize = 3_500_000;

/// Replaces what sync-info told of the archive by what is there, and adds every history file. Histories that are here
/// with the same size are not fetched again. What is learnt of it spares the next run a part of that.
pub async fn add(
    fetcher: &Fetcher<'_>,
    there: &mut PrimaryInventory,
    here: &ReplicaInventory,
    mut lists: FetchedLists,
    seen: &Sights,
    before: Option<&Memory>,
) -> Result<memory::Archive, Error> {
    let dirs = there.directories.clone();
    let is_kept = before.is_some_and(|before| before.keeps_list(seen));
    let (told, told_last) = (std::mem::take(&mut there.wals), there.last.take());
    let told = ListRead { entries: told, last: told_last, fault: None };
    let ListRead { entries, last, fault } = lists.take().unwrap_or(told);
    if !entries.is_empty() && !seen.has_archive {
        let what = format!("{} does not exist there, and its xlog.db lists WAL", dirs.wals_directory.display());
        return Err(Error::new(Kind::NotFound, what).hint("is it mounted?"));
    }
    let mut digests = digests(&entries);
    let unmoved = unmoved(&digests, seen, before);
    let mut moved: BTreeSet<HashDirectory> =
        seen.directories.keys().copied().filter(|d| !unmoved.contains(d)).collect();
    let mut on_disk = seen_histories(seen);
    if !is_kept {
        for entry in come(fetcher, &dirs.wals_directory, &entries, &digests, seen).await? {
            on_disk.extend(OnDisk::of(&entry));
            moved.extend(entry.path.to_str().and_then(|name| name.parse::<HashDirectory>().ok()));
        }
    }
    on_disk.extend(list(fetcher, &dirs.wals_directory, &moved, seen.directories.len()).await?);
    on_disk.sort_unstable_by_key(|file| file.name);
    let mut archive = Archive::of(entries, &on_disk, &unmoved);
    if !archive.undescribed.is_empty()
        && let Some(newer) = lists.read_again(fetcher).await?
    {
        let is_added = |line: &WalEntry| archive.undescribed.contains_key(&line.name);
        let added = newer.entries.iter().filter(is_added).collect();
        let lines = archive.into_lines().with(added);
        digests = self::digests(&lines);
        archive = Archive::of(lines, &on_disk, &unmoved);
    }
    let odd = archive.odd_directories();
    let is_as_listed = |directory: &HashDirectory| {
        let is_settled = seen.directories.get(directory).is_some_and(|sight| seen.is_settled(*sight));
        unmoved.contains(directory) || is_settled && !odd.contains(directory)
    };
    let as_listed = seen.directories.keys().copied().filter(is_as_listed);
    let as_listed = as_listed.map(|directory| (directory, digest_of(&digests, directory))).collect();
    there.notes.extend(fault);
    (there.wals, there.gone, there.undescribed, there.last) = (archive.wals, archive.gone, archive.undescribed, last);
    add_histories(fetcher, there, here, &on_disk).await?;
    let is_list_kept = is_kept || lists.are_kept() && seen.are_lists_settled();
    Ok(memory::Archive { is_list_kept, as_listed })
}

/// The directories whose files are still those that the list has of them.
fn unmoved(digests: &BTreeMap<HashDirectory, u64>, seen: &Sights, before: Option<&Memory>) -> BTreeSet<HashDirectory> {
    let Some(before) = before else { return BTreeSet::new() };
    let is_unmoved = |(directory, digest): &(&HashDirectory, &u64)| {
        seen.has_directory_of(&before.sights, **directory) && digest_of(digests, **directory) == **digest
    };
    before.archive.as_listed.iter().filter(is_unmoved).map(|(directory, _)| *directory).collect()
}

/// What tells whether the list has the same of a directory, for each that it has anything of.
fn digests(lines: &WalList) -> BTreeMap<HashDirectory, u64> {
    let runs = lines.sizes().runs();
    let directory = |run: &Run<u64>| HashDirectory::of(run.first());
    let digest = |runs: &[Run<u64>]| {
        let mut hasher = DefaultHasher::new();
        for run in runs {
            (run.first(), run.len(), run.values()).hash(&mut hasher);
        }
        hasher.finish()
    };
    let of_one = runs.chunk_by(|a, b| directory(a) == directory(b));
    of_one.filter_map(|runs| Some((directory(runs.first()?)?, digest(runs)))).collect()
}

/// That of a directory that the list has nothing of is 0.
fn digest_of(digests: &BTreeMap<HashDirectory, u64>, directory: HashDirectory) -> u64 {
    digests.get(&directory).copied().unwrap_or_default()
}

/// The directories and history files that have come since it was looked, of those that the list has.
async fn come(
    fetcher: &Fetcher<'_>,
    archive: &Path,
    lines: &WalList,
    digests: &BTreeMap<HashDirectory, u64>,
    seen: &Sights,
) -> Result<Vec<RemoteEntry>, Error> {
    let directories = digests.keys().filter(|directory| !seen.directories.contains_key(directory));
    // Each has a run of its own.
    let histories = lines.sizes().runs().iter().map(Run::first).filter(|name| matches!(name, WalName::History(_)));
    let histories = histories.map(|name| name.to_string()).filter(|name| !seen.histories.contains_key(name));
    let names: Vec<PathBuf> = directories.map(ToString::to_string).chain(histories).map(PathBuf::from).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    fetcher.files.look(&Look { from: archive.to_owned(), names, directories: Vec::new() }).await
}

/// A file on the primary's disk.
#[derive(Debug, Clone, Copy, PartialEq)]
struct OnDisk {
    name: WalName,
    size: u64,
    mtime: i64,
}

impl OnDisk {
    /// What an entry is, unless it has no business where it is.
    fn of(entry: &RemoteEntry) -> Option<Self> {
        let RemoteEntry { path, size, mtime, is_directory } = entry;
        Self::at(path, *size, *mtime).filter(|_| !is_directory)
    }

    /// What a listed file is, in the same way. History files have been seen.
    fn of_file(file: &RemoteFile) -> Option<Self> {
        Self::at(&file.path, file.size, file.mtime).filter(|file| HashDirectory::of(file.name).is_some())
    }

    fn at(path: &Path, size: u64, mtime: i64) -> Option<Self> {
        let name = name_at(path.as_os_str().as_bytes())?;
        Some(Self { name, size, mtime })
    }

    /// All that a directory tells of it.
    fn entry(self) -> WalEntry {
        let mtime = Mtime::of_seconds(self.mtime);
        WalEntry { name: self.name, size: self.size, mtime, compression: None, encryption: None }
    }
}

/// The name of the file at this path of an archive, where it belongs there.
fn name_at(path: &[u8]) -> Option<WalName> {
    let (directory, file) = match memchr::memrchr(b'/', path) {
        Some(at) => (path.get(..at), path.get(at + 1..)?),
        None => (None, path),
    };
    let name = WalName::of_bytes(file)?;
    let its_own = HashDirectory::of(name).and_then(|_| file.get(..HashDirectory::DIGITS));
    (directory == its_own).then_some(name)
}

fn seen_histories(seen: &Sights) -> Vec<OnDisk> {
    let histories = seen.histories.iter();
    let on_disk = |(name, sight): (&String, &Sight)| {
        Some(OnDisk { name: name.parse().ok()?, size: sight.size, mtime: sight.mtime })
    };
    histories.filter_map(on_disk).collect()
}

/// Whether an archive is listed as a whole, given how many of its directories moved. rsync walks through it directory by
/// directory then; of many that are named it makes one list of all files, which takes it three times as long.
fn is_listed_whole(moved: usize, directories: usize) -> bool {
    moved >= MANY && moved >= directories
}

/// From so many directories on that difference is worth another way of asking.
const MANY: usize = 16;

/// Everything in these directories, of so many that there are.
async fn list(
    fetcher: &Fetcher<'_>,
    archive: &Path,
    moved: &BTreeSet<HashDirectory>,
    directories: usize,
) -> Result<Vec<OnDisk>, Error> {
    if moved.is_empty() {
        return Ok(Vec::new());
    }
    let on_disk: Vec<OnDisk> = if is_listed_whole(moved.len(), directories) {
        fetcher.files.list_wide(archive).await?.iter().filter_map(OnDisk::of_file).collect()
    } else {
        let directories = moved.iter().map(|directory| PathBuf::from(directory.to_string())).collect();
        let look = Look { from: archive.to_owned(), names: Vec::new(), directories };
        fetcher.files.look(&look).await?.iter().filter_map(OnDisk::of).collect()
    };
    if on_disk.len() > MAX_FILES {
        return Err(Error::new(
            Kind::Untrusted,
            format!("its WAL archive has {} files, and no more than {MAX_FILES} are looked at", on_disk.len()),
        )
        .hint("let its Barman delete what no backup needs: see `retention_policy`"));
    }
    Ok(on_disk)
}

/// Disk and list put together.
#[derive(Debug, Default, PartialEq)]
struct Archive {
    wals: WalList,
    gone: BTreeSet<WalName>,
    undescribed: BTreeMap<WalName, Undescribed>,
}

impl Archive {
    /// One pass over both, which are sorted. Of a directory that did not move all is as listed. What no list names and is
    /// not finished is passed over.
    fn of(lines: WalList, on_disk: &[OnDisk], unmoved: &BTreeSet<HashDirectory>) -> Self {
        let mut archive = Self::default();
        let (mut other_sizes, mut unlisted, mut on_disk) = (Vec::new(), Vec::new(), on_disk.iter().peekable());
        let is_unmoved = |run: &ListRun<'_>| {
            HashDirectory::of(run.sizes.first()).is_some_and(|directory| unmoved.contains(&directory))
        };
        let moved = lines.runs().filter(|run| !is_unmoved(run)).flat_map(ListRun::entries);
        for line in moved {
            unlisted.extend(std::iter::from_fn(|| on_disk.next_if(|file| file.name < line.name)));
            match on_disk.next_if(|file| file.name == line.name) {
                None => drop(archive.gone.insert(line.name)),
                Some(file) if file.size == line.size => {}
                Some(file) => {
                    archive.undescribed.insert(line.name, Undescribed::OtherSize { listed: line.size });
                    other_sizes.push(WalEntry { size: file.size, ..line });
                }
            }
        }
        let is_finished = |file: &&OnDisk| !matches!(file.name, WalName::Partial(_));
        let unlisted: Vec<&OnDisk> = unlisted.into_iter().chain(on_disk).filter(is_finished).collect();
        archive.undescribed.extend(unlisted.iter().map(|file| (file.name, Undescribed::NotListed)));
        let otherwise = other_sizes.into_iter().chain(unlisted.into_iter().map(|file| file.entry()));
        archive.wals = lines.with(otherwise.collect());
        archive
    }

    /// The lines that it was made from.
    fn into_lines(self) -> WalList {
        let line = |entry: WalEntry| match self.undescribed.get(&entry.name) {
            None => Some(entry),
            Some(Undescribed::NotListed) => None,
            Some(Undescribed::OtherSize { listed }) => Some(WalEntry { size: *listed, ..entry }),
        };
        self.wals.iter().filter_map(line).collect()
    }

    /// The directories whose files are not those that the list has.
    fn odd_directories(&self) -> BTreeSet<HashDirectory> {
        self.gone.iter().chain(self.undescribed.keys()).copied().filter_map(HashDirectory::of).collect()
    }
}

/// Adds every history file that the primary has.
async fn add_histories(
    fetcher: &Fetcher<'_>,
    there: &mut PrimaryInventory,
    here: &ReplicaInventory,
    on_disk: &[OnDisk],
) -> Result<(), Error> {
    let sizes: BTreeMap<Timeline, u64> = on_disk.iter().filter_map(history_of).collect();
    // What tells nothing here may be spoilt.
    let is_known = |history: &&HistoryFile, size| history.size == size && !history.ancestors.is_empty();
    let known = |timeline: &Timeline, size: u64| here.histories.get(timeline).filter(|history| is_known(history, size));
    let too_long = sizes.iter().filter(|(_, size)| **size > MAX_HISTORY);
    let told = |(timeline, size): (&Timeline, &u64)| {
        format!("{} is left out: it has {size} bytes, and PostgreSQL writes a few hundred", name(*timeline))
    };
    there.notes.extend(too_long.map(told));
    let missing = sizes.iter().filter(|(timeline, size)| known(timeline, **size).is_none() && **size <= MAX_HISTORY);
    let paths = missing.map(|(timeline, _)| name(*timeline).into()).collect();
    let files = fetcher.fetch(&there.directories.wals_directory, paths, MAX_HISTORY).await?;
    for (timeline, size) in sizes {
        let read = |stored: Vec<u8>| HistoryFile { size, ..history::read(timeline, &stored) };
        let history = known(&timeline, size).cloned();
        let history = history.or_else(|| files.read(Path::new(&name(timeline)), MAX_HISTORY).map(read));
        there.histories.extend(history.map(|history| (timeline, history)));
    }
    Ok(())
}

fn name(timeline: Timeline) -> String {
    WalName::History(timeline).to_string()
}

fn history_of(file: &OnDisk) -> Option<(Timeline, u64)> {
    match file.name {
        WalName::History(timeline) => Some((timeline, file.size)),
        _ => None,
    }
}
