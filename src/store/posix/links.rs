//! What a file system can do and a bucket cannot: files that share their blocks or their names, and the links by which
//! PostgreSQL finds the tablespaces of a base, `data/pg_tblspc/OID`.
//!
//! Barman's own sync leaves those links out. Then `verify-backup` misses files, and `pg_combinebackup` restores an
//! incremental backup without the tablespace and without a word. It takes absolute links only, as `pg_basebackup`
//! makes them.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::durable;
use crate::store::Sharing;

/// Lets a file be in another place too.
pub fn share(from: &Path, to: &Path, how: Sharing) -> io::Result<()> {
    match how {
        Sharing::Link => link_or_copy(from, to, |from, to| fs::hard_link(from, to)),
        Sharing::Reflink => reflink(from, to),
        Sharing::Copy => copy_whole(from, to),
    }
}

/// A copy where a link cannot be: the file has as many names as its file system allows (65,000 on ext4), or that has no
/// links. What keeps a copy from being made as well is told by the copy.
fn link_or_copy(from: &Path, to: &Path, link: impl Fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
    link(from, to).or_else(|_| copy_whole(from, to))
}

fn copy_whole(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to).map(|_| ())
}

fn reflink(from: &Path, to: &Path) -> io::Result<()> {
    let source = File::open(from)?;
    let target = File::create(to)?;
    let shared = rustix::fs::ioctl_ficlone(&target, &source);
    if shared.is_err() {
        fs::remove_file(to)?;
    }
    shared?;
    target.set_permissions(source.metadata()?.permissions())
}

/// The tablespaces that are beside `data/` and that no link leads to.
pub fn unlinked(base: &Path, oids: &[u32]) -> Vec<u32> {
    let links = links(base);
    let is_unlinked = |oid: &&u32| {
        let tablespace = base.join(oid.to_string());
        let link = links.join(oid.to_string());
        let is_in_place = fs::symlink_metadata(&link).is_ok_and(|metadata| metadata.is_dir());
        tablespace.is_dir() && !is_in_place && fs::read_link(&link).ok() != Some(tablespace)
    };
    // Archives of a tree bring their own links.
    if links.is_dir() { oids.iter().filter(is_unlinked).copied().collect() } else { Vec::new() }
}

/// Makes the links of a tree that is, or will be, at `base`. What is at their place and leads elsewhere is replaced.
pub fn link(tree: &Path, base: &Path, oids: &[u32]) -> io::Result<()> {
    let links = links(tree);
    if !links.is_dir() {
        return Ok(());
    }
    for oid in oids.iter().map(u32::to_string).filter(|oid| tree.join(oid).is_dir()) {
        let link = links.join(&oid);
        match fs::symlink_metadata(&link) {
            Ok(metadata) if metadata.is_dir() => continue,
            Ok(_) => fs::remove_file(&link)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        symlink(base.join(&oid), &link)?;
    }
    durable::sync_directory(&links)
}

fn links(tree: &Path) -> PathBuf {
    tree.join("data").join("pg_tblspc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_have_another_name_is_copied() {
        let home = tempfile::tempdir().unwrap();
        let (from, to) = (home.path().join("from"), home.path().join("to"));
        fs::write(&from, "content").unwrap();
        for refusal in [rustix::io::Errno::MLINK, rustix::io::Errno::PERM, rustix::io::Errno::OPNOTSUPP] {
            link_or_copy(&from, &to, |_, _| Err(refusal.into())).unwrap();
            assert_eq!(fs::read(&to).unwrap(), b"content");
            fs::remove_file(&to).unwrap();
        }
        let error = link_or_copy(&home.path().join("absent"), &to, |_, _| Err(rustix::io::Errno::MLINK.into()));
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn links_lead_to_where_the_base_will_be() {
        let home = tempfile::tempdir().unwrap();
        let (staging, base) = (home.path().join("staging"), home.path().join("base"));
        for directory in ["data/pg_tblspc", "data/pg_tblspc/7", "16384", "16385", "7"] {
            fs::create_dir_all(staging.join(directory)).unwrap();
        }
        symlink("../../16385", staging.join("data/pg_tblspc/16385")).unwrap();
        link(&staging, &base, &[7, 16384, 16385, 99]).unwrap();
        fs::rename(&staging, &base).unwrap();
        assert_eq!(fs::read_link(base.join("data/pg_tblspc/16384")).unwrap(), base.join("16384"));
        assert_eq!(unlinked(&base, &[7, 16384, 16385, 99]), Vec::<u32>::new());
        fs::remove_file(base.join("data/pg_tblspc/16384")).unwrap();
        assert_eq!(unlinked(&base, &[7, 16384, 16385, 99]), [16384]);
    }
}
