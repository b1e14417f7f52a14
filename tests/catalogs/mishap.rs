//! What goes wrong with catalogs on disk, at the primary and at the site.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::primary::{Primary, SERVER, time, wal_path, write_wal};
use super::wal::{Packing, noise};

/// Chooses one of however many there are.
pub type Which = u8;

/// Something that goes wrong at the primary.
#[derive(Debug, Clone)]
pub enum AtPrimary {
    /// A file of the archive is in no list.
    Unlisted(Which),
    /// A file is listed and not there.
    Gone(Which),
    /// Both.
    GoneAndUnlisted(Which),
    /// A file is empty.
    Emptied(Which),
    /// A file is cut off.
    Cut(Which),
    /// A segment is stored another way than when it was listed.
    Repacked(Which, Packing),
    /// The list says that a file is stored another way than it is.
    Mislabelled(Which, Packing),
    /// A segment is all zeros, and listed with its size.
    Zeros(Which),
    /// A segment is of no sense, and listed as compressed.
    Noise(Which, Packing),
    /// A segment holds what another one does.
    Swapped(Which, Which),
    /// The newest WAL is dated two hours from now.
    Ahead,
    /// Lines of the list are there twice.
    DoubledLines,
    /// Lines of the list are in no order.
    UnsortedLines,
    /// A file of a base is gone.
    BaseFileGone(Which, Which),
    /// A file of a base is cut off.
    BaseFileCut(Which, Which),
    /// A base is one small file, and has no manifest.
    JunkBase(Which),
    /// A base is empty.
    EmptyBase(Which),
    /// A base is gone, backup.info stays.
    NoBase(Which),
    /// A base has no manifest.
    NoManifest(Which),
    /// A manifest is cut off.
    CutManifest(Which),
    /// An empty directory of a base is a link.
    LinkInBase(Which),
    /// A file of a base has a line break in its name.
    OddName(Which),
    /// A backup and its metadata are gone.
    NoBackup(Which),
    /// A backup is being deleted.
    GoingAway(Which),
    /// A backup is kept.
    Keep(Which),
    /// A backup has another status.
    Status(Which, &'static str),
    /// A key of backup.info that a restore relies on has another value.
    Info(Which, &'static str),
    /// backup.info is of no sense.
    JunkInfo(Which),
}

impl AtPrimary {
    /// Does it; nothing, where there is nothing that it could happen to.
    pub fn happen(&self, primary: &mut Primary) {
        if !self.happen_to_wal(primary) {
            self.happen_to_backup(primary);
        }
    }

    fn happen_to_wal(&self, primary: &mut Primary) -> bool {
        let server = primary.server();
        let names: Vec<String> = primary.wals.keys().cloned().collect();
        let segments: Vec<String> =
            names.iter().filter(|name| primary.wals[*name].segment.is_some()).cloned().collect();
        match *self {
            Self::Unlisted(which) => with(&names, which, |name| {
                primary.wals.get_mut(name).unwrap().is_listed = false;
                primary.write_xlogdb();
            }),
            Self::Gone(which) => with(&names, which, |name| remove(&server.join(wal_path(name)))),
            Self::GoneAndUnlisted(which) => with(&names, which, |name| {
                remove(&server.join(wal_path(name)));
                primary.wals.get_mut(name).unwrap().is_listed = false;
                primary.write_xlogdb();
            }),
            Self::Emptied(which) => with(&names, which, |name| cut(&server.join(wal_path(name)), 0)),
            Self::Cut(which) => with(&names, which, |name| {
                let path = server.join(wal_path(name));
                let length = fs::metadata(&path).map_or(0, |metadata| metadata.len());
                cut(&path, length / 2);
            }),
            Self::Repacked(which, packing) => with(&segments, which, |name| {
                let wal = &primary.wals[name];
                let segment = super::wal::Segment { packing, ..wal.segment.unwrap() };
                write_wal(&server.join(wal_path(name)), &segment.stored(), wal.modified);
            }),
            Self::Mislabelled(which, packing) => with(&segments, which, |name| {
                primary.wals.get_mut(name).unwrap().packing = packing;
                primary.write_xlogdb();
            }),
            Self::Zeros(which) => with(&segments, which, |name| {
                let size = usize::try_from(primary.system.segment_size()).unwrap();
                put_in_archive(primary, name, &vec![0; size], Packing::Plain);
            }),
            Self::Noise(which, packing) => with(&segments, which, |name| {
                put_in_archive(primary, name, &noise(u64::from(which), 5000), packing);
            }),
            Self::Swapped(which, other) => with(&segments, which, |name| {
                let other = primary.wals[&segments[usize::from(other) % segments.len()]].segment.unwrap();
                put_in_archive(primary, name, &other.stored(), other.packing);
            }),
            Self::Ahead => with(&segments, u8::try_from(segments.len().saturating_sub(1) % 256).unwrap(), |name| {
                let wal = primary.wals.get_mut(name).unwrap();
                wal.modified += 2 * 3600;
                let modified = wal.modified;
                if let Ok(file) = fs::File::open(server.join(wal_path(name))) {
                    file.set_modified(time(modified)).unwrap();
                }
                primary.write_xlogdb();
            }),
            Self::DoubledLines => {
                let lines: Vec<String> = lines(primary).into_iter().flat_map(|line| [line.clone(), line]).collect();
                primary.write_lines(&lines);
            }
            Self::UnsortedLines => {
                let mut lines = lines(primary);
                lines.reverse();
                primary.write_lines(&lines);
            }
            _ => return false,
        }
        true
    }

    fn happen_to_backup(&self, primary: &mut Primary) {
        let server = primary.server();
        let ids: Vec<String> = primary.backups.keys().cloned().collect();
        let base = |id: &str| server.join("base").join(id);
        match *self {
            Self::BaseFileGone(which, file) => {
                with(&ids, which, |id| with(&files(&base(id)), file, |file| remove(file)));
            }
            Self::BaseFileCut(which, file) => {
                with(&ids, which, |id| with(&files(&base(id)), file, |file| cut(file, 3)));
            }
            Self::JunkBase(which) => with(&ids, which, |id| {
                empty(&base(id).join("data"));
                fs::write(base(id).join("data/junk"), b"junk").unwrap();
            }),
            Self::EmptyBase(which) => with(&ids, which, |id| empty(&base(id).join("data"))),
            Self::NoBase(which) => with(&ids, which, |id| {
                remove(&base(id).join("data"));
            }),
            Self::NoManifest(which) => with(&ids, which, |id| remove(&base(id).join("data/backup_manifest"))),
            Self::CutManifest(which) => with(&ids, which, |id| cut(&base(id).join("data/backup_manifest"), 500)),
            Self::LinkInBase(which) => with(&ids, which, |id| {
                let link = base(id).join("data/pg_notify");
                remove(&link);
                let _ = symlink("pg_serial", link);
            }),
            Self::OddName(which) => with(&ids, which, |id| {
                let _ = fs::write(base(id).join("data/base/5/odd\nname"), b"odd");
            }),
            Self::NoBackup(which) => with(&ids, which, |id| {
                remove(&base(id));
                remove(&server.join(primary.layout.backup_info(id)));
                primary.backups.remove(id);
            }),
            Self::GoingAway(which) => with(&ids, which, |id| primary.annotate(id, "delete_this", "")),
            Self::Keep(which) => with(&ids, which, |id| primary.annotate(id, "keep", "full")),
            Self::Status(which, status) => with(&ids, which, |id| {
                primary.backups.get_mut(id).unwrap().info.insert("status", status.to_owned());
                primary.write_info(id);
            }),
            Self::Info(which, key) => with(&ids, which, |id| {
                let value = primary.backups.get_mut(id).unwrap().info.get_mut(key).unwrap();
                *value = match key {
                    "begin_wal" | "end_wal" => "0000000100000000000000F0".to_owned(),
                    "begin_xlog" | "end_xlog" => "0/F0000028".to_owned(),
                    "tablespaces" => "[('other', 16500, '/srv/other')]".to_owned(),
                    "timeline" => "9".to_owned(),
                    "version" => "140009".to_owned(),
                    _ => "1111111111111111111".to_owned(),
                };
                primary.write_info(id);
            }),
            Self::JunkInfo(which) => with(&ids, which, |id| {
                fs::write(server.join(primary.layout.backup_info(id)), b"no info\xFF\n").unwrap();
            }),
            _ => {}
        }
    }
}

/// Something that goes wrong at the site.
#[derive(Debug, Clone)]
pub enum AtSite {
    /// A file of the archive is gone.
    Gone(Which),
    /// A file of the archive is cut off.
    Cut(Which),
    /// A file of the archive has zeros from its second page on, or no bytes at all.
    Emptied(Which),
    /// A file of the archive has other records than the primary's, and is whole.
    Different(Which),
    /// A file of the archive is a link that leads nowhere.
    DanglingFile(Which),
    /// A file of the archive is a directory.
    DirectoryForFile(Which),
    /// A file of the archive is a pipe that nobody writes to.
    PipeForFile(Which),
    /// A file that is no WAL lies in the archive.
    Stranger,
    /// A hash directory is a link to another place.
    LinkedHashDirectory,
    /// A hash directory is a link that leads nowhere.
    DanglingHashDirectory,
    /// xlog.db is gone.
    NoXlogDb,
    /// xlog.db has lines twice, or in no order, or cut off.
    SpoiltXlogDb(u8),
    /// A file of a base is gone.
    BaseFileGone(Which, Which),
    /// A file of a base is cut off.
    BaseFileCut(Which, Which),
    /// A base is gone, backup.info stays.
    NoBase(Which),
    /// A manifest is cut off.
    CutManifest(Which),
    /// backup.info is gone.
    NoInfo(Which),
    /// backup.info is of no sense.
    JunkInfo(Which),
    /// A backup has another status.
    Status(Which, &'static str),
    /// A key of backup.info that a restore relies on has another value.
    Info(Which, &'static str),
    /// A backup is kept here.
    Keep(Which),
    /// sync-wals.info is empty.
    EmptySyncWals,
    /// A WAL that was staged by a run that did not end has zeros where a page was never written.
    LostWrite(Which),
    /// Something of ours lies about that no run left.
    OddStaging,
}

impl AtSite {
    /// Does it to the catalog; nothing, where there is nothing that it could happen to.
    pub fn happen(&self, catalog: &Path) {
        let server = catalog.join(SERVER);
        if server.is_dir() && !self.happen_to_wal(&server) {
            self.happen_to_backup(&server);
        }
    }

    fn happen_to_wal(&self, server: &Path) -> bool {
        let wals = archive(server);
        match *self {
            Self::Gone(which) => with(&wals, which, |path| remove(path)),
            Self::Cut(which) => with(&wals, which, |path| cut(path, 700)),
            Self::Emptied(which) => with(&wals, which, |path| {
                let length = fs::metadata(path).unwrap().len();
                if which % 2 == 0 {
                    cut(path, 0);
                } else {
                    rewrite(path, &vec![0; usize::try_from(length).unwrap()]);
                }
            }),
            Self::Different(which) => with(&wals, which, |path| differ(path)),
            Self::DanglingFile(which) => {
                with(&wals, which, |path| replace(path, |path| symlink("/nowhere/at/all", path)));
            }
            Self::DirectoryForFile(which) => with(&wals, which, |path| replace(path, |path| fs::create_dir(path))),
            Self::PipeForFile(which) => with(&wals, which, |path| {
                replace(path, |path| Command::new("mkfifo").arg(path).status().map(|_| ()));
            }),
            Self::Stranger => {
                let _ = fs::write(server.join("wals/notes.txt"), b"mine");
            }
            Self::LinkedHashDirectory | Self::DanglingHashDirectory => {
                with(&hash_directories(server), 0, |path| {
                    let elsewhere = server.with_file_name("elsewhere").join(path.file_name().unwrap());
                    fs::create_dir_all(server.with_file_name("elsewhere")).unwrap();
                    fs::rename(path, &elsewhere).unwrap();
                    symlink(&elsewhere, path).unwrap();
                    if matches!(self, Self::DanglingHashDirectory) {
                        fs::remove_dir_all(elsewhere).unwrap();
                    }
                });
            }
            Self::NoXlogDb => xlogdbs(server).iter().for_each(|path| remove(path)),
            Self::SpoiltXlogDb(how) => xlogdbs(server).iter().for_each(|path| spoil_lines(path, how)),
            Self::EmptySyncWals => {
                let _ = fs::write(server.join("wals/sync-wals.info"), b"");
            }
            Self::LostWrite(which) => with(&wals, which, |path| {
                let staging = server.join(".antipode/wals");
                fs::create_dir_all(&staging).unwrap();
                let staged = staging.join(path.file_name().unwrap());
                fs::rename(path, &staged).unwrap();
                let metadata = fs::metadata(&staged).unwrap();
                let file = fs::OpenOptions::new().write(true).open(&staged).unwrap();
                let from = metadata.len() / 3;
                let zeros = vec![0; usize::try_from(metadata.len() - from).unwrap()];
                file.write_all_at(&zeros, from).unwrap();
                file.set_modified(metadata.modified().unwrap()).unwrap();
            }),
            Self::OddStaging => {
                for (path, text) in
                    [("wals/notes.txt", "mine"), ("staging/notes", "mine"), ("trash/20260101T000000/x", "x")]
                {
                    let path = server.join(".antipode").join(path);
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    let _ = fs::write(path, text);
                }
            }
            _ => return false,
        }
        true
    }

    fn happen_to_backup(&self, server: &Path) {
        let bases = directories(&server.join("base"));
        let infos = infos(server);
        match *self {
            Self::BaseFileGone(which, file) => {
                with(&bases, which, |base| with(&files(base), file, |file| remove(file)));
            }
            Self::BaseFileCut(which, file) => with(&bases, which, |base| with(&files(base), file, |file| cut(file, 3))),
            Self::NoBase(which) => with(&bases, which, |base| remove(&base.join("data"))),
            Self::CutManifest(which) => with(&bases, which, |base| cut(&base.join("data/backup_manifest"), 500)),
            Self::NoInfo(which) => with(&infos, which, |info| remove(info)),
            Self::JunkInfo(which) => with(&infos, which, |info| rewrite(info, b"no info\xFF\n")),
            Self::Status(which, status) => with(&infos, which, |info| set_key(info, "status", status)),
            Self::Info(which, key) => with(&infos, which, |info| {
                let value = match key {
                    "begin_wal" | "end_wal" => "0000000100000000000000F0",
                    "begin_xlog" | "end_xlog" => "0/F0000028",
                    "tablespaces" => "[('other', 16500, '/srv/other')]",
                    "timeline" => "9",
                    "version" => "140009",
                    _ => "1111111111111111111",
                };
                set_key(info, key, value);
            }),
            Self::Keep(which) => with(&infos, which, |info| {
                let name = info.file_name().unwrap().to_string_lossy().into_owned();
                let path = match name.strip_suffix("-backup.info") {
                    Some(id) => info.with_file_name(format!("{id}-keep")),
                    None => info.with_file_name("annotations/keep"),
                };
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "full").unwrap();
            }),
            _ => {}
        }
    }
}

/// Calls with the one that is chosen, unless there is none.
fn with<T>(all: &[T], which: Which, act: impl FnOnce(&T)) {
    if !all.is_empty() {
        act(&all[usize::from(which) % all.len()]);
    }
}

fn remove(path: &Path) {
    let _ = if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

fn empty(directory: &Path) {
    remove(directory);
    fs::create_dir_all(directory).unwrap();
}

/// Cuts a file off, as a new one: others may share its blocks.
fn cut(path: &Path, length: u64) {
    if let Ok(mut content) = fs::read(path) {
        content.truncate(usize::try_from(length).unwrap());
        rewrite(path, &content);
    }
}

/// Writes a file anew: others may share its blocks.
fn rewrite(path: &Path, content: &[u8]) {
    remove(path);
    fs::write(path, content).unwrap();
}

fn replace(path: &Path, make: impl FnOnce(&Path) -> std::io::Result<()>) {
    remove(path);
    make(path).unwrap();
}

fn put_in_archive(primary: &mut Primary, name: &str, stored: &[u8], packing: Packing) {
    let path = primary.server().join(wal_path(name));
    let wal = primary.wals.get_mut(name).unwrap();
    (wal.size, wal.packing) = (stored.len() as u64, packing);
    wal.segment = None;
    write_wal(&path, stored, wal.modified);
    primary.write_xlogdb();
}

fn lines(primary: &Primary) -> Vec<String> {
    primary.wals.iter().filter(|(_, wal)| wal.is_listed).map(|(name, wal)| primary.line(name, wal)).collect()
}

/// Replaces a segment by a whole one of the same place with other records.
fn differ(path: &Path) {
    let Ok(stored) = fs::read(path) else { return };
    let packing = Packing::of(&stored);
    let Ok(mut bytes) = super::wal::unpack(&stored) else { return };
    if bytes.len() > 8192 {
        bytes[8000] ^= 0x55;
        let modified = fs::metadata(path).unwrap().modified().unwrap();
        rewrite(path, &packing.pack(&bytes));
        fs::File::open(path).unwrap().set_modified(modified).unwrap();
    }
}

fn spoil_lines(path: &Path, how: u8) {
    let Ok(text) = fs::read_to_string(path) else { return };
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    match how % 4 {
        0 => lines.extend(lines.clone()),
        1 => lines.reverse(),
        2 => lines.truncate(lines.len() / 2),
        _ => lines.push("of no sense\n"),
    }
    rewrite(path, lines.concat().as_bytes());
}

fn set_key(info: &Path, key: &str, value: &str) {
    let Ok(text) = fs::read_to_string(info) else { return };
    let is_it = |line: &&str| line.split_once('=').is_some_and(|(name, _)| name == key);
    let mut file = Vec::new();
    for line in text.lines() {
        if is_it(&line) {
            writeln!(file, "{key}={value}").unwrap();
        } else {
            writeln!(file, "{line}").unwrap();
        }
    }
    rewrite(info, &file);
}

/// What is in a directory, in order.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn directories(directory: &Path) -> Vec<PathBuf> {
    entries(directory).into_iter().filter(|path| path.is_dir() && !path.is_symlink()).collect()
}

fn hash_directories(server: &Path) -> Vec<PathBuf> {
    let is_hash = |path: &PathBuf| path.file_name().is_some_and(|name| name.len() == 16);
    directories(&server.join("wals")).into_iter().filter(is_hash).collect()
}

/// The regular files of an archive.
fn archive(server: &Path) -> Vec<PathBuf> {
    let inside = hash_directories(server).into_iter().flat_map(|directory| entries(&directory));
    let histories = entries(&server.join("wals")).into_iter().filter(|p| p.extension().is_some_and(|e| e == "history"));
    inside.chain(histories).filter(|path| fs::symlink_metadata(path).is_ok_and(|m| m.is_file())).collect()
}

fn xlogdbs(server: &Path) -> Vec<PathBuf> {
    let is_list = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("xlog.db"));
    entries(&server.join("wals")).into_iter().filter(is_list).collect()
}

fn infos(server: &Path) -> Vec<PathBuf> {
    let named = entries(&server.join("meta")).into_iter().filter(|p| p.to_string_lossy().ends_with("-backup.info"));
    let legacy = directories(&server.join("base")).into_iter().map(|base| base.join("backup.info"));
    named.chain(legacy.filter(|path| path.is_file())).collect()
}

/// The regular files of a base, in order.
fn files(base: &Path) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(base).sort_by_file_name().into_iter().filter_map(Result::ok);
    let is_own = |path: &Path| !path.ends_with("backup.info") && !path.to_string_lossy().contains("annotations");
    walk.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).filter(|p| is_own(p)).collect()
}
