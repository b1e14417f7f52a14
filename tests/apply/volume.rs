//! A file system of its own, in an image, that loses power.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

/// What is on the image.
#[derive(Debug, Clone, Copy)]
pub enum FileSystem {
    Ext4,
    Xfs,
}

/// What is on the disk of the writes that nobody synced, when the power is cut.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    /// What happened to be written back.
    AsItIs,
    /// The same, and all that the journal was to have: names and sizes of which the content is lost.
    WithTheJournal,
}

/// A mounted image. Its user must be one who may mount.
pub struct Volume {
    image: PathBuf,
    directory: PathBuf,
}

impl Volume {
    /// Makes the file system in an image beside the directory on which it is mounted.
    pub fn mount(system: FileSystem, directory: &Path) -> Self {
        let volume = Self { image: directory.with_extension("image"), directory: directory.to_owned() };
        let image = volume.image.to_str().unwrap();
        fs::create_dir(directory).unwrap();
        run("truncate", &["-s", "400M", image]);
        match system {
            FileSystem::Ext4 => run("mkfs.ext4", &["-q", "-E", "lazy_itable_init=1,lazy_journal_init=1", image]),
            FileSystem::Xfs => run("mkfs.xfs", &["-q", image]),
        }
        volume.mount_image();
        // Whatever lies there is nobody's.
        if directory.join("lost+found").exists() {
            fs::remove_dir(directory.join("lost+found")).unwrap();
        }
        volume
    }

    /// Makes all durable that was written.
    pub fn sync(&self) {
        run("sync", &["-f", self.path()]);
    }

    /// The disk gets nothing more from this instant on, and every call fails: what `xfs_io shutdown` is for.
    pub fn cut_power(&self, cut: Cut) {
        let how = match cut {
            Cut::AsItIs => "shutdown",
            Cut::WithTheJournal => "shutdown -f",
        };
        run("xfs_io", &["-x", "-c", how, self.path()]);
    }

    /// The host starts again, and remembers nothing.
    pub fn mount_again(&self) {
        // Who was killed may still be on the way out.
        let is_away = (0..100).any(|_| {
            let is_away = Command::new("umount").arg(self.path()).output().unwrap().status.success();
            if !is_away {
                sleep(Duration::from_millis(50));
            }
            is_away
        });
        assert!(is_away, "{} is in use", self.path());
        self.mount_image();
    }

    fn mount_image(&self) {
        run("mount", &["-o", "loop", self.image.to_str().unwrap(), self.path()]);
    }

    fn path(&self) -> &str {
        self.directory.to_str().unwrap()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", self.path()]).status();
    }
}

/// A file system in memory that has as much room as it is given.
pub struct Memory {
    directory: PathBuf,
}

impl Memory {
    /// With room for all.
    pub fn mount(directory: &Path) -> Self {
        fs::create_dir(directory).unwrap();
        let memory = Self { directory: directory.to_owned() };
        run("mount", &["-t", "tmpfs", "-o", "size=256M,mode=755", "none", memory.path()]);
        memory
    }

    /// With room for so many bytes and files more, or for all.
    pub fn leave(&self, bytes_and_files: Option<(u64, u64)>) {
        let (bytes, files) = bytes_and_files.unwrap_or((256 << 20, 1 << 20));
        // Whoever writes meanwhile may need more than there was a moment ago.
        let is_done = (0..100).any(|_| {
            let found = rustix::fs::statvfs(&self.directory).unwrap();
            let used = (found.f_blocks - found.f_bfree) * found.f_frsize;
            let room = format!("remount,size={},nr_inodes={}", used + bytes, found.f_files - found.f_ffree + files);
            Command::new("mount").args(["-o", &room, self.path()]).output().unwrap().status.success()
        });
        assert!(is_done, "{} cannot be made smaller", self.path());
    }

    fn path(&self) -> &str {
        self.directory.to_str().unwrap()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", self.path()]).status();
    }
}

/// Runs a program, which must succeed.
#[track_caller]
pub fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {program}: {error}; ./test installs it"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
