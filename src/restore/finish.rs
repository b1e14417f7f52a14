//! The last of a restore: what PostgreSQL needs besides the files of the backup, and that all of it is on the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Places;
use super::mark::at;
use crate::error::Error;

/// Directories that PostgreSQL needs and a backup of the files alone may lack.
const NEEDED: [&str; 2] = ["pg_wal", "pg_tblspc"];

/// What says of the old server that it ran, followed another one, or where its tablespaces were: their links are made.
const GONE: [&str; 4] = ["postmaster.pid", "postmaster.opts", "standby.signal", "tablespace_map"];

/// Has recovery begin at the next start: with these lines, and with the label that only backup.info has.
pub fn prepare(places: &Places, lines: &[String], label: Option<&str>) -> Result<(), Error> {
    let data = &places.data;
    for name in NEEDED {
        let path = data.join(name);
        fs::create_dir_all(&path).map_err(|error| at(&path, "made", &error))?;
    }
    for name in GONE {
        let path = data.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path, "removed", &error)),
            _ => {}
        }
    }
    let own = data.join("backup_label");
    if let Some(label) = label.filter(|_| !own.exists()) {
        fs::write(&own, label).map_err(|error| at(&own, "written", &error))?;
    }
    let conf = data.join("postgresql.auto.conf");
    let text = format!("\n# of the restore\n{}\n", lines.join("\n"));
    let appended = OpenOptions::new().append(true).create(true).open(&conf);
    appended.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| at(&conf, "written", &error))?;
    let signal = data.join("recovery.signal");
    File::create(&signal).map_err(|error| at(&signal, "written", &error))?;
    Ok(())
}

/// Waits until everything is on the disk.
pub fn sync(places: &Places) -> Result<(), Error> {
    for directory in std::iter::once(&places.data).chain(places.tablespaces.values()) {
        let failed = |error: io::Error| at(directory, "brought to the disk", &error);
        let opened = File::open(directory).map_err(failed)?;
        rustix::fs::syncfs(&opened).map_err(|error| failed(error.into()))?;
    }
    Ok(())
}

/// The files of its configuration that a data directory lacks: on Debian they are elsewhere.
pub fn lacks(data: &Path) -> Vec<PathBuf> {
    ["postgresql.conf", "pg_hba.conf"].iter().map(|name| data.join(name)).filter(|path| !path.exists()).collect()
}
