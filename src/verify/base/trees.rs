//! Where the files of a cluster are: on disk, or in a manifest.

use std::path::{Path, PathBuf};

use crate::store::{CatalogError, Root};
use crate::verify::manifest::Manifest;

use super::cluster::Tree;

/// A tree on disk, below `base/ID`.
pub(super) struct OnDisk<'a> {
    base: Root<'a>,
}

impl<'a> OnDisk<'a> {
    pub(super) fn new(base: Root<'a>) -> Self {
        Self { base }
    }
}

impl Tree for OnDisk<'_> {
    fn size(&self, path: &Path) -> Result<Option<u64>, CatalogError> {
        self.base.size(&data(path))
    }

    fn is_directory(&self, path: &Path) -> Result<bool, CatalogError> {
        self.base.is_directory(&data(path))
    }

    fn names(&self, directory: &Path) -> Result<Vec<String>, CatalogError> {
        self.base.names(&data(directory))
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, CatalogError> {
        self.base.read(&data(path), limit)
    }

    fn tablespace(&self, oid: u32) -> Result<Vec<String>, CatalogError> {
        let oid = oid.to_string();
        let beside = Path::new(&oid);
        // An in-place tablespace is a real directory where others have a link.
        let in_place = data(Path::new("pg_tblspc")).join(&oid);
        let at = if self.base.is_directory(beside)? { beside } else { &in_place };
        if self.base.is_directory(at)? { self.base.names(at) } else { Ok(Vec::new()) }
    }
}

fn data(path: &Path) -> PathBuf {
    Path::new("data").join(path)
}

/// The same, but only the files that a manifest lists count. It lists no directories.
pub(super) struct Listed<'a> {
    disk: OnDisk<'a>,
    manifest: &'a Manifest,
}

impl<'a> Listed<'a> {
    pub(super) fn new(base: Root<'a>, manifest: &'a Manifest) -> Self {
        Self { disk: OnDisk::new(base), manifest }
    }
}

impl Tree for Listed<'_> {
    fn size(&self, path: &Path) -> Result<Option<u64>, CatalogError> {
        Ok(self.manifest.files.get(path).map(|file| file.size))
    }

    fn is_directory(&self, path: &Path) -> Result<bool, CatalogError> {
        self.disk.is_directory(path)
    }

    fn names(&self, directory: &Path) -> Result<Vec<String>, CatalogError> {
        let below = self.manifest.files.range(directory.to_owned()..).map(|(path, _)| path.as_path());
        let below = below.take_while(|path| path.starts_with(directory)).filter_map(|p| p.strip_prefix(directory).ok());
        let mut names: Vec<String> =
            below.filter_map(|path| Some(path.components().next()?.as_os_str().to_str()?.to_owned())).collect();
        names.dedup();
        Ok(names)
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, CatalogError> {
        self.disk.read(path, limit)
    }

    fn tablespace(&self, oid: u32) -> Result<Vec<String>, CatalogError> {
        self.disk.tablespace(oid)
    }

    fn is_listed(&self) -> bool {
        true
    }
}
