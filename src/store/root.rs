//! The files below one place, for whoever judges a tree without knowing where it is.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::Store;
use super::entry::{CatalogError, Entry};
use super::place::{At, Place};

/// A place whose files are named by their paths below it. No link is followed on the last step to a file.
#[derive(Clone, Copy)]
pub struct Root<'a> {
    store: &'a dyn Store,
    place: Place,
}

impl<'a> Root<'a> {
    /// The files below a place.
    pub fn new(store: &'a dyn Store, place: Place) -> Self {
        Self { store, place }
    }

    /// The size of a regular file; `None` when there is none.
    pub fn size(self, path: &Path) -> Result<Option<u64>, CatalogError> {
        self.store.size(self.at(path))
    }

    /// Whether there is a directory that is no link to one.
    pub fn is_directory(self, path: &Path) -> Result<bool, CatalogError> {
        self.store.is_directory(self.at(path))
    }

    /// The entries of a directory in no order; none when it is not there.
    pub fn list(self, path: &Path) -> Result<Vec<Entry>, CatalogError> {
        self.store.list(self.at(path))
    }

    /// The names in a directory.
    pub fn names(self, path: &Path) -> Result<Vec<String>, CatalogError> {
        Ok(self.list(path)?.into_iter().map(|entry| entry.name).collect())
    }

    /// The content of a regular file, up to `limit` bytes; `None` when there is none.
    pub fn read(self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, CatalogError> {
        self.store.read(self.at(path), limit)
    }

    /// A regular file for reading; `None` when there is none, or something else is in its place.
    pub fn open(self, path: &Path) -> Result<Option<File>, CatalogError> {
        self.store.open(self.at(path))
    }

    /// The bytes of all regular files.
    pub fn bytes(self) -> Result<u64, CatalogError> {
        self.bytes_below(Path::new(""))
    }

    fn bytes_below(self, directory: &Path) -> Result<u64, CatalogError> {
        let mut bytes = 0_u64;
        for entry in self.list(directory)? {
            bytes += if entry.kind.is_dir() {
                self.bytes_below(&directory.join(entry.file_name()))?
            } else {
                entry.size()?.unwrap_or(0)
            };
        }
        Ok(bytes)
    }

    /// Where a file is, for messages.
    pub fn local(self, path: &Path) -> PathBuf {
        self.store.local(self.at(path))
    }

    fn at(self, path: &Path) -> At<'_> {
        self.place.below(path)
    }
}
