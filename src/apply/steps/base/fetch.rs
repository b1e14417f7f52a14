//! Bringing the files of a base that are not here yet, over as many streams as there are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::join_all;

use super::{Job, Writing, parts};
use crate::apply::piece::Piece;
use crate::apply::queue::{Begun, Draw, Manner, Queue, Wanted};
use crate::apply::replica_run::Turn;
use crate::apply::room::{Claimed, Short};
use crate::barman::findings::Finding;
use crate::english::{count, exact};
use crate::error::{Error, Kind};
use crate::plan::action::BackupCopy;
use crate::plan::cost::{compress, delta};
use crate::store::{Found, Place, Root, Volume};
use crate::transport::{Compare, Fetch, Fetched, Limit, RemoteFile, What, blocking, paths};
use crate::verify::base::{self as verify, Announced};

/// What may come of a small backup besides what its backup.info says.
const MARGIN: u64 = 64 << 20;

/// The files of a base at the primary, compared with what is here.
#[derive(Default)]
struct Compared {
    /// Those that are not here as they are there.
    absent: Vec<Wanted>,
    /// The others.
    present: Vec<RemoteFile>,
}

/// Brings what is not there. With files reused from another backup, or a base that was published once, times tell
/// nothing: then what is there is known by its size, and its content is verified afterwards. What is doubted and cannot
/// be verified afterwards is compared with the primary's.
pub async fn fetch(job: Job<'_>, copy: &BackupCopy, writing: &Writing) -> Result<u64, Error> {
    let is_compared = writing.staged.doubts(copy.id) && !proves_content(copy, writing).await?;
    let directories = Portion::of_directories(excluded(&copy.tablespaces));
    let (compared, mut transferred) =
        tokio::try_join!(compare(job, copy, writing), transfer(job, copy, writing, directories))?;
    let Compared { absent, present } = compared;
    let _room = claim(job, copy, writing, &absent).await?;
    if is_compared {
        transferred += compare_content(job, copy, writing, present).await?;
    }
    transferred += fetch_files(job, copy, writing, &absent).await?;
    if is_compared {
        let had_parts = absent.into_iter().filter(|wanted| matches!(wanted.begun, Begun::Parts(_)));
        let joined = had_parts.map(|wanted| wanted.file).collect();
        transferred += compare_content(job, copy, writing, joined).await?;
    }
    Ok(transferred)
}

/// Mends what differs from the primary's in files that are here.
async fn compare_content(
    job: Job<'_>,
    copy: &BackupCopy,
    writing: &Writing,
    files: Vec<RemoteFile>,
) -> Result<u64, Error> {
    if files.is_empty() {
        return Ok(0);
    }
    transfer(job, copy, writing, Portion { compare: Compare::Content, ..Portion::of_files(&files) }).await
}

/// The room for the files that are not here. Where there is too little nothing is begun, so that WAL still has some.
async fn claim(
    job: Job<'_>,
    copy: &BackupCopy,
    writing: &Writing,
    absent: &[Wanted],
) -> Result<Option<Claimed>, Error> {
    let (store, into, absent) = (Arc::clone(&writing.store), writing.into.clone(), absent.to_vec());
    let measure = move || {
        let rest = |wanted: &Wanted| match &wanted.begun {
            Begun::No => wanted.file.size,
            Begun::Partial => wanted.file.size.saturating_sub(paths::partial_size(&into.join(&wanted.file.path))),
            Begun::Parts(missing) => missing.iter().map(|bytes| bytes.end - bytes.start).sum(),
        };
        Ok((absent.iter().map(rest).fold(0, u64::saturating_add), store.room(Volume::Bases)))
    };
    let (needed, room) = blocking(measure).await?;
    let Some(room) = room.filter(|_| needed > 0) else { return Ok(None) };
    let reserve = job.run.target.reserve;
    let claimed = job.run.moving.share.room().claim(room, needed, reserve, job.counter);
    claimed.map(Some).map_err(|Short { left }| {
        let message = format!(
            "backup {} does not fit: {} are still to come, and {} are left for it beside what is kept for WAL",
            copy.id,
            count(needed, "byte"),
            exact(left)
        );
        Error::new(Kind::NoSpace, message).hint("free space on this file system and apply again: what arrived is kept")
    })
}

/// Whether what is here of a base has the checksums of all its files with it.
async fn proves_content(copy: &BackupCopy, writing: &Writing) -> Result<bool, Error> {
    let announced = Announced::of(&copy.info);
    let look = move |base: Root<'_>| {
        if verify::is_archived(base, &announced)? {
            return Ok(false);
        }
        let manifest = verify::manifest(base)?;
        Ok(manifest.is_some_and(|manifest| manifest.files.values().all(|file| file.checksum.is_some())))
    };
    writing.look(look).await
}

/// Brings these files as far as the run may copy, and the last of them in part when it would never fit.
async fn fetch_files(job: Job<'_>, copy: &BackupCopy, writing: &Writing, mut files: &[Wanted]) -> Result<u64, Error> {
    let mut transferred = 0;
    while let Some((first, rest)) = files.split_first() {
        let (first, count) = (&first.file, job.secure(files.iter().map(|wanted| wanted.file.size)).min(files.len()));
        let (now, later) = files.split_at(count);
        if now.is_empty() {
            let piece = job.piece(&writing.into, &first.path, first.size).ok_or_else(Error::limit_reached)?;
            let first = Portion::of_files(std::slice::from_ref(first));
            transferred += transfer(job, copy, writing, Portion { piece: Some(piece), ..first }).await?;
            files = rest;
        } else {
            transferred += fetch_beside(job, copy, writing, now).await?;
            files = later;
        }
    }
    Ok(transferred)
}

/// Brings files over several streams. When one fails, the others end what they have drawn: it is not brought again.
async fn fetch_beside(job: Job<'_>, copy: &BackupCopy, writing: &Writing, files: &[Wanted]) -> Result<u64, Error> {
    let streams = job.run.moving.share.streams;
    let queue = Queue::new(files.to_vec(), streams);
    let sizes: BTreeMap<&Path, u64> =
        files.iter().map(|wanted| (wanted.file.path.as_path(), wanted.file.size)).collect();
    let manner = |wanted: &Wanted| {
        let pays = delta::pays(wanted.file.size, wanted.older, job.run.line_rate());
        if pays { Manner::Delta } else { Manner::Whole }
    };
    let stream = async || {
        let mut transferred = 0;
        while let Some(turn) = job.run.turn_unless(job.urgency, queue.drained()).await? {
            let brought = match queue.draw(manner, job.run.moving.line.round_trip()) {
                Some(Draw::Files { paths, manner }) => {
                    let limit = Limit::of(paths.iter().filter_map(|path| sizes.get(path.as_path()).copied()));
                    fetch_drawn(job, copy, writing, turn, (paths, manner, limit)).await
                }
                Some(Draw::Part(file, bytes)) => parts::fetch(job, copy, writing, turn, (file, bytes, &queue)).await,
                None => break,
            };
            transferred += brought.inspect_err(|_| queue.clear())?;
        }
        Ok(transferred)
    };
    join_all((0..streams).map(|_| stream())).await.into_iter().sum()
}

async fn fetch_drawn(
    job: Job<'_>,
    copy: &BackupCopy,
    writing: &Writing,
    turn: Turn,
    (paths, manner, limit): (Vec<PathBuf>, Manner, Limit),
) -> Result<u64, Error> {
    let compress = job.run.compresses(paths.iter().all(|path| compress::is_plain(&path.to_string_lossy())));
    let what = What::Files { paths, flatten: false };
    let request = Fetch { compress, limit, ..request(job, copy, writing, what, manner) };
    settled(job, copy, job.fetch_in(turn, request).await)
}

/// What is to be transferred of a base at once.
struct Portion {
    what: What,
    compare: Compare,
    piece: Option<Piece>,
    limit: Limit,
}

impl Portion {
    fn of_directories(exclude: Vec<PathBuf>) -> Self {
        let what = What::Directories { exclude };
        Self { what, compare: Compare::Times, piece: None, limit: Limit::of([]) }
    }

    fn of_files(files: &[RemoteFile]) -> Self {
        let paths = files.iter().map(|file| file.path.clone()).collect();
        let what = What::Files { paths, flatten: false };
        Self { what, compare: Compare::Times, piece: None, limit: Limit::of(files.iter().map(|file| file.size)) }
    }
}

async fn transfer(job: Job<'_>, copy: &BackupCopy, writing: &Writing, portion: Portion) -> Result<u64, Error> {
    let Portion { what, compare, piece, limit } = portion;
    let request = Fetch { compare, limit, ..request(job, copy, writing, what, Manner::Whole) };
    settled(job, copy, job.fetch(request, piece).await)
}

/// A copy of something of the base into where it is written.
pub fn request(job: Job<'_>, copy: &BackupCopy, writing: &Writing, what: What, manner: Manner) -> Fetch {
    let reuse = copy.reuse.as_ref().filter(|_| manner == Manner::Delta);
    Fetch {
        from: job.run.target.there.base(copy.id),
        into: writing.into.clone(),
        what,
        basis: reuse.map(|reuse| job.run.local(Place::Base(reuse.from))),
        compare: Compare::Times,
        bandwidth: None,
        taps: Vec::new(),
        compress: false,
        limit: Limit::of([]),
    }
}

/// The bytes of a transfer of files that are all there.
pub fn settled(job: Job<'_>, copy: &BackupCopy, fetched: Result<Fetched, Error>) -> Result<u64, Error> {
    let fetched = fetched?;
    note_links(job, copy, &fetched.refused);
    if fetched.missing.is_empty() {
        return Ok(fetched.transferred);
    }
    Err(Error::new(Kind::Stale, format!("files of {} vanished at the primary while they were copied", copy.id))
        .hint("the primary may be deleting the backup; plan again"))
}

/// Notes which links were left out, but for those of tablespaces, which are made here.
fn note_links(job: Job<'_>, copy: &BackupCopy, refused: &[PathBuf]) {
    let ours = tablespace_links(copy);
    let mut left_out = refused.iter().filter(|path| !ours.contains(path)).peekable();
    if let Some(first) = left_out.peek() {
        let first = first.display().to_string().escape_debug().to_string();
        job.run.note_finding(copy.id, Finding::LinksLeftOut { count: left_out.count() as u64, first });
    }
}

fn tablespace_links(copy: &BackupCopy) -> Vec<PathBuf> {
    copy.tablespaces.iter().map(|oid| format!("data/pg_tblspc/{oid}").into()).collect()
}

async fn compare(job: Job<'_>, copy: &BackupCopy, writing: &Writing) -> Result<Compared, Error> {
    let listed = list(job, copy).await?;
    check_announced(copy, &listed)?;
    let (links, knows_times) = (tablespace_links(copy), copy.reuse.is_none() && !writing.is_base());
    let from = copy.reuse.as_ref().map(|reuse| Place::Base(reuse.from));
    let (store, place, into) = (Arc::clone(&writing.store), writing.place, writing.into.clone());
    let compare = move || {
        let mut compared = Compared::default();
        for file in listed.into_iter().filter(|file| !links.iter().any(|link| file.path.starts_with(link))) {
            let is_same =
                |found: Found| found.size() == Some(file.size) && (!knows_times || found.modified == file.mtime);
            if store.look(place.below(&file.path))?.is_some_and(is_same) {
                compared.present.push(file);
                continue;
            }
            let older = match from {
                Some(from) => store.size(from.below(&file.path))?,
                None => None,
            };
            compared.absent.push(Wanted { older, begun: parts::begun(&into, &file)?, file });
        }
        Ok(compared)
    };
    blocking(compare).await
}

/// Refuses a backup that has grown far beyond what its backup.info says. A manifest that was made later is a part of what
/// may come besides.
fn check_announced(copy: &BackupCopy, listed: &[RemoteFile]) -> Result<(), Error> {
    let Some(announced) = Announced::of(&copy.info).size else { return Ok(()) };
    let found = listed.iter().map(|file| file.size).fold(0, u64::saturating_add);
    if found <= announced.saturating_add((announced / 8).max(MARGIN)) {
        return Ok(());
    }
    let largest = listed.iter().max_by_key(|file| file.size).map(|file| file.path.display().to_string());
    let message = format!(
        "backup {} has {} at the primary now, and its backup.info says {}; its largest file is {}",
        copy.id,
        count(found, "byte"),
        exact(announced),
        largest.unwrap_or_default().escape_debug()
    );
    Err(Error::new(Kind::Untrusted, message).hint("nothing of it was copied; see at the primary who wrote into it"))
}

/// The files of the backup at the primary, but for Barman's own.
pub async fn list(job: Job<'_>, copy: &BackupCopy) -> Result<Vec<RemoteFile>, Error> {
    let directory = job.run.target.there.base(copy.id);
    let mut listed = job.run.list(&job.action.address, &directory, job.urgency).await?;
    let own = [Path::new("backup.info"), Path::new(".backup.lock")];
    listed.retain(|file| !own.contains(&file.path.as_path()) && !file.path.starts_with("annotations"));
    Ok(listed)
}

/// What is Barman's own, and links that would bring a tablespace twice.
fn excluded(tablespaces: &[u32]) -> Vec<PathBuf> {
    let own = ["backup.info", ".backup.lock", "annotations"].map(PathBuf::from);
    own.into_iter().chain(tablespaces.iter().map(|oid| PathBuf::from(format!("data/pg_tblspc/{oid}")))).collect()
}
