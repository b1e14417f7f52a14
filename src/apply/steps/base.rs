//! Copying a base: into staging, with what the site has already, verified and durable, and not yet published.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::apply::failure::{Doing, first_few};
use crate::apply::piece::Piece;
use crate::apply::replica_run::blocking;
use crate::apply::staged::Begun;
use crate::barman::findings::Finding;
use crate::barman::ids::BackupId;
use crate::events::Failure;
use crate::plan::action::{BackupCopy, ReusedFiles};
use crate::plan::reason::Reason;
use crate::site::model::Reuse;
use crate::store::posix::disk::{self, Since};
use crate::store::posix::durable;
use crate::transport::{Compare, Fetch, List, RemoteFile, What, paths};
use crate::verify::base::{self as verify, Announced};
use crate::verify::fault::{Fault, FaultKind};
use crate::verify::manifest::Manifest;
use crate::verify::tablespaces;

use super::{Job, publish, removal, server};

/// Copies a backup into staging and verifies it there. Its locks are held until it is published.
pub async fn copy(job: Job<'_>, copy: &BackupCopy) -> Result<u64, Failure> {
    job.run.hold(copy.id).await?;
    let copied = copy_held(job, copy).await;
    if copied.is_err() {
        job.run.release(copy.id);
    }
    copied
}

async fn copy_held(job: Job<'_>, copy: &BackupCopy) -> Result<u64, Failure> {
    if publish::is_published(job.run, copy.id) {
        return Ok(0);
    }
    let staging = job.run.staging().base(copy.id);
    let writing = Writing::begin(job, &staging).await?;
    prepare(job, copy.id, &writing).await?;
    if let Some(reuse) = &copy.reuse {
        reuse_files(job, reuse, &staging).await?;
    }
    bring(job, copy, &writing).await
}

/// A base that is being written.
struct Writing {
    into: PathBuf,
    staged: Arc<Begun>,
    since: Since,
}

impl Writing {
    /// To be called before anything is written into it.
    async fn begin(job: Job<'_>, into: &Path) -> Result<Self, Failure> {
        let staged = job.run.staged.begin(job.run).await?;
        Ok(Self { into: into.to_owned(), since: staged.bases.since(), staged })
    }

    /// Whether the disk lost a write since then.
    fn lost_some(&self) -> bool {
        self.staged.bases.since() != self.since
    }

    /// Makes durable what was written.
    async fn sync(&self) -> Result<(), Failure> {
        let (staged, since, into) = (Arc::clone(&self.staged), self.since, self.into.clone());
        blocking(move || staged.bases.sync(since, std::slice::from_ref(&into)).doing("sync", &into)).await
    }
}

/// Copies what is missing of a published backup into its place; each file appears whole.
pub async fn repair(job: Job<'_>, copy: &BackupCopy) -> Result<u64, Failure> {
    job.run.hold(copy.id).await?;
    let base = job.run.target.here.base(copy.id);
    let repaired = repair_held(job, copy, &base).await;
    job.run.release(copy.id);
    repaired
}

async fn repair_held(job: Job<'_>, copy: &BackupCopy, base: &Path) -> Result<u64, Failure> {
    let writing = Writing::begin(job, base).await?;
    let made = base.to_owned();
    blocking(move || durable::create_directory(&made).doing("create", &made)).await?;
    let brought = bring(job, copy, &writing).await;
    if brought.is_err() && writing.lost_some() {
        forget_repaired(job, base).await?;
    }
    brought
}

/// Removes what was to be repaired of a published backup: it may be there with its right size by now, and lost.
async fn forget_repaired(job: Job<'_>, base: &Path) -> Result<(), Failure> {
    let Reason::FilesDamaged(files) = &job.action.reason else { return Ok(()) };
    let files: Vec<PathBuf> = files.iter().map(|file| base.join(file)).filter(|path| !path.is_dir()).collect();
    blocking(move || files.iter().try_for_each(|path| durable::remove_file(path).doing("remove", path))).await
}

/// Makes the staging. A base that another copy left unpublished becomes it, after its backup.info is gone; where there
/// is one in staging already, that goes on, and the other makes way.
async fn prepare(job: Job<'_>, id: BackupId, writing: &Writing) -> Result<(), Failure> {
    let (dirs, layout, staging) = (job.run.target.here.clone(), job.run.layout, writing.into.clone());
    let (trash, cancel) = (job.run.staging().trash(id), job.run.cancel.clone());
    let staged = Arc::clone(&writing.staged);
    blocking(move || {
        server::own_directory(&dirs)?;
        let base = dirs.base(id);
        if base.exists() {
            publish::remove_infos(layout, &dirs, id)?;
        }
        if base.exists() && staging.exists() {
            removal::remove_base(&base, &trash, &cancel)?;
        } else if base.exists() {
            let above = staging.parent().unwrap_or(&staging);
            durable::create_directory(above).doing("create", above)?;
            staged.doubt(id);
            durable::rename(&base, &staging).doing("move to staging", &base)?;
        }
        durable::create_directory(&staging).doing("create", &staging)?;
        if staged.doubts(id) {
            disk::evict(std::slice::from_ref(&staging)).doing("read again", &staging)
        } else {
            Ok(())
        }
    })
    .await
}

/// Puts the files that an older backup here shares into staging, before anything is copied.
async fn reuse_files(job: Job<'_>, reuse: &ReusedFiles, staging: &Path) -> Result<(), Failure> {
    let from = job.run.target.here.base(reuse.from);
    let (files, staging, how) = (reuse.files.clone(), staging.to_owned(), job.run.moving.reuse);
    let cancel = job.run.cancel.clone();
    blocking(move || {
        for file in files {
            if cancel.is_cancelled() {
                return Err(Failure::interrupted());
            }
            reuse_file(&from.join(&file), &staging.join(&file), how)?;
        }
        Ok(())
    })
    .await
}

/// A file that cannot be reused is simply copied from the primary later.
fn reuse_file(from: &Path, to: &Path, how: Reuse) -> Result<(), Failure> {
    if to.exists() || !from.is_file() {
        return Ok(());
    }
    if let Some(above) = to.parent() {
        fs::create_dir_all(above).doing("create", above)?;
    }
    let done = match how {
        Reuse::Auto => fs::hard_link(from, to).or_else(|_| copy_whole(from, to)),
        Reuse::Link => fs::hard_link(from, to),
        Reuse::Reflink => reflink(from, to),
        Reuse::Copy => copy_whole(from, to),
        Reuse::None => Ok(()),
    };
    done.doing("reuse", from)
}

fn copy_whole(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to).map(|_| ())
}

fn reflink(from: &Path, to: &Path) -> io::Result<()> {
    let source = fs::File::open(from)?;
    let target = fs::File::create(to)?;
    let shared = rustix::fs::ioctl_ficlone(&target, &source);
    if shared.is_err() {
        fs::remove_file(to)?;
    }
    shared?;
    target.set_permissions(source.metadata()?.permissions())
}

/// Brings what is not there yet, verifies all of it, and makes it durable. What does not verify is brought once more.
async fn bring(job: Job<'_>, copy: &BackupCopy, writing: &Writing) -> Result<u64, Failure> {
    let into = writing.into.as_path();
    discard(into, spoilt(copy, into).await?).await?;
    let mut transferred = fetch(job, copy, writing).await?;
    let mut faults = check(job, copy, into).await?;
    if faults.iter().any(|fault| is_file(into, fault)) {
        discard(into, faults).await?;
        transferred += fetch(job, copy, writing).await?;
        faults = check(job, copy, into).await?;
    }
    if !faults.is_empty() {
        let failure = damaged(copy.id, &faults);
        job.run.note_finding(copy.id, Finding::Refused(first_few(faults.iter().map(told))));
        // What was published once stays as it is: without its broken manifest a base would look better than it is.
        if !is_place(job, copy, into) {
            discard(into, faults).await?;
        }
        return Err(failure);
    }
    let (tree, oids, base) = (into.to_owned(), copy.tablespaces.clone(), job.run.target.here.base(copy.id));
    blocking(move || {
        paths::remove_scratch(&tree).doing("remove temporary files of", &tree)?;
        tablespaces::link(&tree, &base, &oids).doing("link the tablespaces of", &tree)
    })
    .await?;
    writing.sync().await?;
    writing.staged.believe(copy.id);
    Ok(transferred)
}

/// Brings what is not there. With files reused from another backup, or a base that was published once, times tell
/// nothing: then what is there is known by its size, and its content is verified afterwards. The same goes for a copy
/// in portions. What is doubted and cannot be verified afterwards is compared with the primary's.
async fn fetch(job: Job<'_>, copy: &BackupCopy, writing: &Writing) -> Result<u64, Failure> {
    let into = writing.into.as_path();
    let exclude = excluded(&copy.tablespaces);
    let is_compared = writing.staged.doubts(copy.id) && !proves_content(copy, into).await?;
    let compare = if is_compared { Compare::Content } else { Compare::Times };
    let knows_times = copy.reuse.is_none() && !is_place(job, copy, into);
    if knows_times && job.run.moving.budget.limit().is_none() {
        return transfer(job, copy, into, Wanted { what: What::Tree { exclude }, compare, piece: None }).await;
    }
    let (absent, present) = absent(job, copy, into).await?;
    let mut transferred = transfer(job, copy, into, Wanted::of(What::Directories { exclude })).await?;
    if is_compared && !present.is_empty() {
        let what = What::Files { paths: present, flatten: false };
        transferred += transfer(job, copy, into, Wanted { what, compare, piece: None }).await?;
    }
    Ok(transferred + fetch_files(job, copy, into, &absent).await?)
}

/// Whether what is here of a base has the checksums of all its files with it.
async fn proves_content(copy: &BackupCopy, base: &Path) -> Result<bool, Failure> {
    let (base, announced) = (base.to_owned(), Announced::of(&copy.info));
    blocking(move || {
        if verify::is_archived(&base, &announced)? {
            return Ok(false);
        }
        let bytes = fs::read(base.join(verify::MANIFEST)).unwrap_or_default();
        let manifest = Manifest::parse(&bytes).ok();
        Ok(manifest.is_some_and(|manifest| manifest.files.values().all(|file| file.checksum.is_some())))
    })
    .await
}

/// Whether a directory is where the backup is published.
fn is_place(job: Job<'_>, copy: &BackupCopy, into: &Path) -> bool {
    into == job.run.target.here.base(copy.id)
}

/// Brings these files as far as the run may copy, and the last of them in part when it would never fit.
async fn fetch_files(job: Job<'_>, copy: &BackupCopy, into: &Path, mut files: &[RemoteFile]) -> Result<u64, Failure> {
    let what = |files: &[RemoteFile]| {
        let paths = files.iter().map(|file| file.path.clone()).collect();
        What::Files { paths, flatten: false }
    };
    let mut transferred = 0;
    while let Some((first, rest)) = files.split_first() {
        let count = job.secure(files.iter().map(|file| file.size)).min(files.len());
        let (now, later) = files.split_at(count);
        if now.is_empty() {
            let piece = job.piece(into, &first.path, first.size).ok_or_else(Failure::limit_reached)?;
            let wanted = Wanted { piece: Some(piece), ..Wanted::of(what(std::slice::from_ref(first))) };
            transferred += transfer(job, copy, into, wanted).await?;
            files = rest;
        } else {
            transferred += transfer(job, copy, into, Wanted::of(what(now))).await?;
            files = later;
        }
    }
    Ok(transferred)
}

/// What is to be transferred of a base.
struct Wanted {
    what: What,
    compare: Compare,
    piece: Option<Piece>,
}

impl Wanted {
    fn of(what: What) -> Self {
        Self { what, compare: Compare::Times, piece: None }
    }
}

async fn transfer(job: Job<'_>, copy: &BackupCopy, into: &Path, wanted: Wanted) -> Result<u64, Failure> {
    let Wanted { what, compare, piece } = wanted;
    let from = job.run.target.there.base(copy.id);
    let is_list = matches!(what, What::Files { .. });
    let basis = copy.reuse.as_ref().filter(|_| is_list).map(|reuse| job.run.target.here.base(reuse.from));
    let request = Fetch { from, into: into.to_owned(), what, basis, compare, bandwidth: None };
    let fetched = job.fetch(request, piece).await?;
    note_links(job, copy, &fetched.refused);
    if fetched.missing.is_empty() {
        return Ok(fetched.transferred);
    }
    Err(Failure::new(format!("files of {} vanished at the primary while they were copied", copy.id))
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

/// The files at the primary that are not here with the same size, and the paths of those that are.
async fn absent(job: Job<'_>, copy: &BackupCopy, into: &Path) -> Result<(Vec<RemoteFile>, Vec<PathBuf>), Failure> {
    let listed = list(job, copy).await?;
    let (base, links) = (into.to_owned(), tablespace_links(copy));
    blocking(move || {
        let is_wanted = |file: &&RemoteFile| !links.iter().any(|link| file.path.starts_with(link));
        let wanted = listed.iter().filter(is_wanted).cloned();
        let (absent, present): (Vec<_>, Vec<_>) = wanted.partition(|file| listing_fault(&base, file).is_some());
        Ok((absent, present.into_iter().map(|file| file.path).collect()))
    })
    .await
}

/// The files of the backup at the primary, but for Barman's own.
async fn list(job: Job<'_>, copy: &BackupCopy) -> Result<Vec<RemoteFile>, Failure> {
    let directory = job.run.target.there.base(copy.id);
    let mut listed = {
        let request = List { directory, recursive: true, only: Vec::new() };
        job.run.list(&job.action.address, &request, job.urgency).await?
    };
    let own = [Path::new("backup.info"), Path::new(".backup.lock")];
    listed.retain(|file| !own.contains(&file.path.as_path()) && !file.path.starts_with("annotations"));
    Ok(listed)
}

/// What is Barman's own, and links that would bring a tablespace twice.
fn excluded(tablespaces: &[u32]) -> Vec<PathBuf> {
    let own = ["backup.info", ".backup.lock", "annotations"].map(PathBuf::from);
    own.into_iter().chain(tablespaces.iter().map(|oid| PathBuf::from(format!("data/pg_tblspc/{oid}")))).collect()
}

/// What is here, of the right size perhaps, and wrong all the same: it would be taken for the right file. One of
/// another size is brought anew anyway, and what is right in it need not be.
async fn spoilt(copy: &BackupCopy, base: &Path) -> Result<Vec<Fault>, Failure> {
    let (root, announced) = (base.to_owned(), Announced::of(&copy.info));
    blocking(move || {
        let mut faults = verify::look(&root, &announced)?;
        faults.retain(|fault| !matches!(fault.what, FaultKind::Size { .. }));
        Ok(faults)
    })
    .await
}

/// What is not as the primary's backup has it: by its manifest, or else by its list of files. And what is as it has it,
/// and no backup.
async fn check(job: Job<'_>, copy: &BackupCopy, base: &Path) -> Result<Vec<Fault>, Failure> {
    let (root, announced, cancel) = (base.to_owned(), Announced::of(&copy.info), job.run.cancel.clone());
    let is_listed = blocking(move || {
        let is_archived = verify::is_archived(&root, &announced)?;
        Ok(!is_archived && root.join(verify::MANIFEST).exists())
    });
    let faults = if is_listed.await? { Vec::new() } else { check_listing(job, copy, base).await? };
    if !faults.is_empty() {
        return Ok(faults);
    }
    let (root, announced) = (base.to_owned(), Announced::of(&copy.info));
    let faults = blocking(move || {
        let faults = verify::prove(&root, &announced, &|| !cancel.is_cancelled())?;
        if cancel.is_cancelled() { Err(Failure::interrupted()) } else { Ok(faults) }
    });
    faults.await
}

async fn check_listing(job: Job<'_>, copy: &BackupCopy, base: &Path) -> Result<Vec<Fault>, Failure> {
    let listed = list(job, copy).await?;
    let base = base.to_owned();
    blocking(move || Ok(listed.iter().filter_map(|file| listing_fault(&base, file)).collect())).await
}

fn listing_fault(base: &Path, file: &RemoteFile) -> Option<Fault> {
    let what = match fs::symlink_metadata(base.join(&file.path)) {
        Ok(found) if found.is_file() && found.len() == file.size => return None,
        Ok(found) if found.is_file() => FaultKind::Size { found: found.len(), expected: file.size },
        _ => FaultKind::Missing,
    };
    Some(Fault::new(file.path.clone(), what))
}

/// Removes the files that do not verify, so that they are brought anew.
async fn discard(base: &Path, faults: Vec<Fault>) -> Result<(), Failure> {
    let base = base.to_owned();
    blocking(move || {
        let files = faults.iter().filter(|fault| is_file(&base, fault)).map(|fault| base.join(&fault.path));
        files.into_iter().try_for_each(|path| durable::remove_file(&path).doing("remove", &path))
    })
    .await
}

/// Whether there is something in the place of a file.
fn is_file(base: &Path, fault: &Fault) -> bool {
    fs::symlink_metadata(base.join(&fault.path)).is_ok_and(|found| !found.is_dir())
}

fn damaged(id: BackupId, faults: &[Fault]) -> Failure {
    Failure::new(format!("backup {id} does not verify: {}", first_few(faults.iter().map(told))))
        .hint("it is not published; run `barman verify-backup` at the primary: the backup is damaged there")
}

fn told(fault: &Fault) -> String {
    if fault.path.as_os_str().is_empty() {
        return fault.what.to_string();
    }
    format!("{}: {}", fault.path.display().to_string().escape_debug(), fault.what)
}
