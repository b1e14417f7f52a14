//! Opens a file below a directory without following any symbolic link on the way.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open, openat};

/// A regular file for reading; `None` when it is not there, or is no regular file, as rsync skips it.
pub(super) fn open_below(root: &Path, path: &Path) -> io::Result<Option<File>> {
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut here = open(root, directory, Mode::empty())?;
    if let Some(parent) = path.parent() {
        for name in parent.components() {
            here = match openat(&here, name.as_os_str(), directory | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(next) => next,
                Err(errno) => return not_there(errno),
            };
        }
    }
    let Some(name) = path.file_name() else { return Ok(None) };
    // NONBLOCK: opening a FIFO must not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(&here, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(errno) => return not_there(errno),
    };
    Ok(file.metadata()?.is_file().then_some(file))
}

fn not_there(errno: rustix::io::Errno) -> io::Result<Option<File>> {
    use rustix::io::Errno;
    match errno {
        // LOOP and NOTDIR: a link where a file or directory should be. NXIO: a socket.
        Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO => Ok(None),
        other => Err(other.into()),
    }
}
