//! The log of what was asked for: a file, or the system's log.

use std::env;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process;

use jiff::Timestamp;

use crate::error::Error;
use crate::gate::{Refusal, shown};

/// Where every process of a host tells its log, in the form of RFC 3164 without a host.
const SYSTEM: &str = "/dev/log";
/// Facility `authpriv`; severities `warning` and `info` ("syslog.h").
const WARNING: u8 = 10 << 3 | 4;
const INFO: u8 = 10 << 3 | 6;

/// A log that is open.
pub enum Log {
    File(File),
    /// `None` where there is no such log, as in a container.
    System(Option<UnixDatagram>),
}

impl Log {
    /// Opens it. A file that was named and cannot be written is an error: nobody would miss its lines.
    pub fn open(file: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = file else {
            let socket = UnixDatagram::unbound().and_then(|socket| {
                socket.set_nonblocking(true)?;
                socket.connect(SYSTEM)?;
                Ok(socket)
            });
            return Ok(Self::System(socket.ok()));
        };
        let opened = OpenOptions::new().append(true).create(true).mode(0o640).open(path);
        let file = opened.map_err(|error| Error::io(format!("the log {} cannot be written", path.display()), error))?;
        Ok(Self::File(file))
    }

    /// Notes what was refused and why.
    pub fn refused(&self, refusal: &Refusal, asked: &OsStr) {
        self.note(WARNING, &format!("{refusal} (asked for: {})", shown(asked)));
    }

    /// Notes what was let through.
    pub fn let_through(&self, asked: &OsStr) {
        self.note(INFO, &format!("let through: {}", shown(asked)));
    }

    fn note(&self, priority: u8, text: &str) {
        let from = env::var("SSH_CONNECTION").unwrap_or_default();
        let from = from.split(' ').next().filter(|address| !address.is_empty()).unwrap_or("unknown");
        // What keeps a line from its log is no reason to keep the site from its backups.
        let _unwritten = match self {
            Self::File(file) => {
                let line = format!("{:.0} {} {text}\n", Timestamp::now(), shown(OsStr::new(from)));
                (&*file).write_all(line.as_bytes())
            }
            Self::System(Some(socket)) => {
                let line = format!("<{priority}>antipode-gate[{}]: {}: {text}", process::id(), shown(OsStr::new(from)));
                socket.send(line.as_bytes()).map(drop)
            }
            Self::System(None) => Ok(()),
        };
    }
}
