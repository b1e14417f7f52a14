//! Incremental backups, put together by PostgreSQL's own `pg_combinebackup` (PostgreSQL 17 and later).

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use super::mark::at;
use super::{Places, programs};
use crate::error::{Error, Kind};
use crate::store::{GoOn, Root};

const PROGRAM: &str = "pg_combinebackup";

/// How often it is looked whether it has ended.
const POLL: Duration = Duration::from_millis(50);

/// A chain of backups that is put together.
pub struct Combining<'a> {
    /// The full backup, and the incremental ones in their order; the last one is what comes out.
    pub chain: &'a [Root<'a>],
    /// The release of PostgreSQL, as in `17`.
    pub release: &'a str,
    /// Where its programs are, if somebody said so.
    pub programs: Option<&'a Path>,
    /// Where it goes.
    pub places: &'a Places,
    /// Says no when it is to end.
    pub go_on: GoOn<'a>,
}

impl Combining<'_> {
    /// Puts them together. What an earlier attempt left is removed before: it is not gone on with.
    pub fn run(&self) -> Result<(), Error> {
        let program = self.program()?;
        for directory in std::iter::once(&self.places.data).chain(self.places.tablespaces.values()) {
            match fs::remove_dir_all(directory) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(at(directory, "emptied", &error));
                }
                _ => {}
            }
        }
        let (status, said) = self.ended(&program).map_err(|error| at(&program, "run", &error))?;
        if status.success() {
            return Ok(());
        }
        if !(self.go_on)() {
            return Err(Error::interrupted());
        }
        let said = String::from_utf8_lossy(&said);
        let last: Vec<&str> = said.lines().rev().take(3).collect();
        let said = last.into_iter().rev().collect::<Vec<_>>().join("; ");
        Err(Error::new(Kind::CommandFailed, format!("{PROGRAM} could not put the backups together: {said}")))
    }

    /// How it ended, and what it complained of. It is ended where it is not to go on.
    fn ended(&self, program: &Path) -> io::Result<(ExitStatus, Vec<u8>)> {
        let mut command = Command::new(program);
        command.args(self.arguments()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // A Ctrl-C at the terminal is for us, who end it.
        let mut child = command.process_group(0).spawn()?;
        let complaints = child.stderr.take().map(|mut stderr| {
            thread::spawn(move || {
                let mut said = Vec::new();
                stderr.read_to_end(&mut said).map(|_| said)
            })
        });
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if !(self.go_on)() {
                child.kill()?;
                break child.wait()?;
            }
            thread::sleep(POLL);
        };
        let said = complaints.and_then(|complaints| complaints.join().ok()).transpose()?;
        Ok((status, said.unwrap_or_default()))
    }

    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["--output".into(), self.places.data.clone().into()];
        if let Some(last) = self.chain.last() {
            for (oid, directory) in &self.places.tablespaces {
                let mut mapping = OsString::from("--tablespace-mapping=");
                mapping.push(last.local(Path::new(&oid.to_string())));
                mapping.push("=");
                mapping.push(directory);
                arguments.push(mapping);
            }
        }
        arguments.extend(self.chain.iter().map(|base| base.local(Path::new("data")).into_os_string()));
        arguments
    }

    fn program(&self) -> Result<PathBuf, Error> {
        let found = programs::find(PROGRAM, self.release, self.programs);
        found.ok_or_else(|| {
            let message =
                format!("the backup is incremental, and the {PROGRAM} of PostgreSQL {} is not here", self.release);
            Error::new(Kind::ProgramMissing, message).hint(
                "install that PostgreSQL, or say where its programs are with --bin-dir; --print tells Barman's command",
            )
        })
    }
}
