//! The primary's WAL archive: its disk says what is there, its xlog.db what the files are.
//!
//! sync-info tells neither: it leaves out every name that sorts before the first backup's first segment, so that after a
//! major upgrade, where timelines begin at 1 again, all WAL of the new cluster stays hidden. So the directories are
//! listed, and xlog.db is fetched as a file, in the same way from a primary behind ssh and from one on this host: both
//! ways of asking give the same inventory. Only where there is no xlog.db to be had does sync-info's list describe.
//!
//! The list is fetched before the directories are read: what it names and the disk has not is then really gone. A file
//! that it does not name may just have been archived, so that it is fetched once more where there is such a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::barman::history::HistoryFile;
use crate::barman::layout::wal_path;
use crate::barman::wal::{Timeline, WalName};
use crate::barman::wal_entry::{Mtime, WalEntry};
use crate::barman::xlogdb::XlogDb;
use crate::error::{Error, Kind};
use crate::observe::history;
use crate::observe::inventory::{PrimaryInventory, ReplicaInventory, Undescribed};
use crate::store::wals::MAX_HISTORY;
use crate::transport::{List, RemoteFile};

use super::fetched::Fetcher;
use super::lists::{FetchedLists, WalList};
use crate::store::cache::Cache;

/// The most WAL files that an archive may have: 64 TiB of segments of 16 MiB.
pub(super) const MAX_FILES: usize = 4 << 20;

/// What of `wals/` is listed: the directories that are named by 16 digits, and in them and above them what may be WAL.
const PATTERNS: [&str; 5] =
    ["????????????????/", "????????????????????????", "????????????????????????.*", "*.history", "*.partial"];

/// Replaces what sync-info told of the archive by what is there, and adds every history file. Histories that are here
/// with the same size are not fetched again.
pub async fn add(
    fetcher: &Fetcher<'_>,
    there: &mut PrimaryInventory,
    here: &ReplicaInventory,
    cache: Option<Cache>,
) -> Result<(), Error> {
    let dirs = there.directories.clone();
    let mut lists = FetchedLists::fetch(fetcher, &dirs, cache).await?;
    let told = std::mem::take(&mut there.wals);
    let WalList { mut entries, fault } = lists.read().await?.unwrap_or(WalList { entries: told, fault: None });
    let on_disk = list(fetcher, &dirs.wals_directory, entries.is_empty()).await?;
    let mut archive = Archive::of(&entries, &on_disk);
    if !archive.undescribed.is_empty()
        && let Some(newer) = lists.read_again(fetcher).await?
    {
        let added = newer.entries.into_iter().filter(|line| archive.undescribed.contains_key(&line.name));
        entries = XlogDb::new(entries).with(added).into_entries();
        archive = Archive::of(&entries, &on_disk);
    }
    there.notes.extend(fault);
    (there.wals, there.gone, there.undescribed) = (archive.wals, archive.gone, archive.undescribed);
    add_histories(fetcher, there, here, &on_disk).await
}

/// A file on the primary's disk.
#[derive(Debug, Clone, Copy, PartialEq)]
struct OnDisk {
    name: WalName,
    size: u64,
    mtime: i64,
}

impl OnDisk {
    /// What a listed file is, unless it has no business where it is.
    fn of(file: &RemoteFile) -> Option<Self> {
        let name: WalName = file.path.file_name()?.to_str()?.parse().ok()?;
        let is_at_home = file.path == wal_path(name);
        is_at_home.then_some(Self { name, size: file.size, mtime: file.mtime })
    }

    /// All that a directory tells of it.
    fn entry(self) -> WalEntry {
        let mtime = Mtime::of_seconds(self.mtime);
        WalEntry { name: self.name, size: self.size, mtime, compression: None, encryption: None }
    }
}

/// Everything on the disk, sorted by name. An archive that nothing is known of may not be there yet: Barman makes the
/// directory when the first WAL arrives.
async fn list(fetcher: &Fetcher<'_>, directory: &Path, may_be_absent: bool) -> Result<Vec<OnDisk>, Error> {
    let only = PATTERNS.map(str::to_owned).to_vec();
    let listed = fetcher.files.list(&List { directory: directory.to_owned(), recursive: true, only }).await;
    let files = match listed {
        Err(error) if error.kind == Kind::NotFound && may_be_absent => Vec::new(),
        listed => listed?,
    };
    if files.len() > MAX_FILES {
        return Err(Error::new(
            Kind::Untrusted,
            format!("its WAL archive has {} files, and no more than {MAX_FILES} are looked at", files.len()),
        )
        .hint("let its Barman delete what no backup needs: see `retention_policy`"));
    }
    let mut on_disk: Vec<OnDisk> = files.iter().filter_map(OnDisk::of).collect();
    on_disk.sort_unstable_by_key(|file| file.name);
    Ok(on_disk)
}

/// Disk and list put together.
#[derive(Debug, Default, PartialEq)]
struct Archive {
    /// Sorted by name, each once.
    wals: Vec<WalEntry>,
    gone: BTreeSet<WalName>,
    undescribed: BTreeMap<WalName, Undescribed>,
}

impl Archive {
    /// One pass over both, which are sorted. What no list names and is not finished is passed over.
    fn of(lines: &[WalEntry], on_disk: &[OnDisk]) -> Self {
        let mut archive = Self { wals: Vec::with_capacity(on_disk.len().max(lines.len())), ..Self::default() };
        let (mut lines, mut on_disk) = (lines.iter().peekable(), on_disk.iter().peekable());
        while let Some(name) = first(lines.peek().map(|line| line.name), on_disk.peek().map(|file| file.name)) {
            let line = lines.next_if(|line| line.name == name);
            match (line, on_disk.next_if(|file| file.name == name)) {
                (None, Some(_)) if matches!(name, WalName::Partial(_)) => {}
                (line, Some(file)) => {
                    let (entry, undescribed) = described(*file, line);
                    archive.wals.push(entry);
                    archive.undescribed.extend(undescribed.map(|why| (name, why)));
                }
                (line, None) => {
                    archive.wals.extend(line);
                    archive.gone.insert(name);
                }
            }
        }
        archive
    }
}

/// The name that comes first.
fn first(a: Option<WalName>, b: Option<WalName>) -> Option<WalName> {
    a.into_iter().chain(b).min()
}

/// A file on the disk as its line describes it, and how far it does not.
fn described(file: OnDisk, line: Option<&WalEntry>) -> (WalEntry, Option<Undescribed>) {
    match line {
        None => (file.entry(), Some(Undescribed::NotListed)),
        Some(line) if line.size == file.size => (*line, None),
        Some(line) => (WalEntry { size: file.size, ..*line }, Some(Undescribed::OtherSize { listed: line.size })),
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
