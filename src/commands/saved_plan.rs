//! Saved plans on disk: written, read, refused.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli;
use crate::english::list;
use crate::error::{Error, Kind};
use crate::plan::saved::SavedPlan;
use crate::plan::saved::stale::Refusal;
use crate::plan::{Outcome, ReplicaPlan};
use crate::plan_file::{self, FileError};
use crate::store::posix::durable;

use super::terminal::{self, Terminal};

/// Saves a plan, so that the file is there as a whole or not at all, and says how it is applied.
pub fn save(planned: &SavedPlan, file: &Path, site: &cli::SiteFile, terminal: &Terminal) -> Result<(), Error> {
    let failed = format!("cannot save the plan in {}", file.display());
    if is_same_file(file, Path::new(&planned.site_file.name)) {
        return Err(Error::new(Kind::Invalid, "it is the site file").of(failed).hint("name another file with -o"));
    }
    let text = plan_file::write(planned).map_err(|error| Error::from(error).of(&failed))?;
    write(file, text.as_bytes())
        .map_err(|error| Error::io(&failed, error).hint("name a file in a directory that can be written"))?;
    if planned.plan.is_empty() {
        if !terminal.quiet {
            terminal::tell(&format!("Saved the plan in {}; it has no actions.\n", file.display()));
        }
        return Ok(());
    }
    let site = site.file.as_ref().map(|path| format!("-f {} ", word(path))).unwrap_or_default();
    if terminal.quiet {
        return Ok(());
    }
    terminal::tell(&format!(
        "Saved the plan in {}. To do exactly this: antipode apply {site}{}\n",
        file.display(),
        word(file)
    ));
    Ok(())
}

/// A pipe or a device stays what it is; a link is followed. What this process has open already, such as `/dev/stdout`, is
/// added to: it is somebody else's log perhaps, in which much was written before.
fn write(file: &Path, content: &[u8]) -> std::io::Result<()> {
    if ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"].iter().any(|open| file.starts_with(open)) {
        return fs::OpenOptions::new().append(true).open(file)?.write_all(content);
    }
    match fs::canonicalize(file) {
        Ok(existing) if existing.is_file() => durable::write(&existing, content),
        Ok(existing) => fs::write(existing, content),
        Err(_) => durable::write(&std::path::absolute(file)?, content),
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// A path as a shell takes it.
fn word(path: &Path) -> String {
    shell_words::quote(&path.display().to_string()).into_owned()
}

/// Reads a saved plan.
pub fn read(file: &Path) -> Result<SavedPlan, Error> {
    read_with_digest(file).map(|(saved, _)| saved)
}

/// The same with the digest that the file ends with.
pub fn read_with_digest(file: &Path) -> Result<(SavedPlan, String), Error> {
    let bytes = fs::read(file).map_err(|error| {
        Error::io(format_args!("cannot read the plan {}", file.display()), error)
            .hint("name a file that `antipode plan -o FILE` saved; a part of the site is named by `--target`")
    })?;
    let read = text(bytes).and_then(|text| Ok((plan_file::read(&text)?, plan_file::digest(&text)?.to_owned())));
    read.map_err(|error| Error::from(error).of(format_args!("the plan {} cannot be used", file.display())))
}

fn text(bytes: Vec<u8>) -> Result<String, FileError> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let lines: Vec<&[u8]> = valid.split(|byte| *byte == b'\n').collect();
        FileError::NotJson { line: lines.len(), column: lines.last().map_or(0, |line| line.len()) + 1 }
    })
}

/// The site file for a saved plan: the one that is named, else the one that it was made with where that exists, else
/// the usual one.
pub fn site_file(saved: &SavedPlan, named: &cli::SiteFile) -> cli::SiteFile {
    let noted = Some(PathBuf::from(&saved.site_file.name)).filter(|path| path.is_file());
    cli::SiteFile { file: named.file.clone().or(noted) }
}

/// A saved plan that is not applied.
pub fn refused(file: &Path, refusal: &Refusal) -> Error {
    Error::from(refusal).of(format_args!("the plan {} is not applied, nothing was changed", file.display()))
}

/// Names the replicas that a saved plan says nothing about.
pub fn unplanned(saved: &SavedPlan, file: &Path) -> Option<Error> {
    let is_unplanned = |replica: &&ReplicaPlan| matches!(replica.outcome, Outcome::Blocked(_) | Outcome::Unobserved(_));
    let names: Vec<String> = saved.plan.replicas.iter().filter(is_unplanned).map(|r| r.name.to_string()).collect();
    let message =
        format!("nothing was done for {}: what could not be planned is not in {}", list(&names), file.display());
    (!names.is_empty())
        .then(|| Error::new(Kind::Refused, message).hint("`antipode show` says why; settle it and plan again"))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn an_open_file_keeps_what_was_written_to_it_before() {
        let log = tempfile::NamedTempFile::new().unwrap();
        fs::write(log.path(), "before\n").unwrap();
        let descriptor = format!("/proc/self/fd/{}", log.as_file().as_raw_fd());
        write(Path::new(&descriptor), b"plan\n").unwrap();
        assert_eq!(fs::read_to_string(log.path()).unwrap(), "before\nplan\n");
    }
}
