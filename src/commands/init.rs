//! `antipode init`: a first site file, or one that does what a barman.conf tells Barman's own sync to do.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::barman::secret::without_secrets;
use crate::cli;
use crate::english::count;
use crate::error::{Error, Exit, Kind};
use crate::observe::{SiteConfError, read_conf};
use crate::render::clean;
use crate::site::written::{self, Nothing, Translation};

use super::source;
use super::terminal;

/// Runs the command.
pub fn run(arguments: &cli::Init) -> Result<Exit, Error> {
    let path = arguments.file.clone().unwrap_or_else(|| PathBuf::from(source::DEFAULT));
    let (text, told) = match &arguments.from_barman_conf {
        None => (
            written::minimal(),
            "change its five plain lines: the site, the path, the primary, its destination and the server\n".to_owned(),
        ),
        Some(conf) => {
            // A file that is there already is the end of it, whatever barman.conf says.
            if path.symlink_metadata().is_ok() {
                return Err(exists(&path));
            }
            let translation = translate(conf)?;
            let told = summary(&translation);
            (translation.text, told)
        }
    };
    write_new(&path, &text)?;
    terminal::tell(&format!("Wrote {}: {told}{}", path.display(), next_steps(&path)));
    Ok(Exit::Done)
}

fn translate(conf: &Path) -> Result<Translation, Error> {
    let unreadable = |error: SiteConfError| match error {
        SiteConfError::Unreadable { path, source } => {
            let error = Error::io(format_args!("cannot read {}", path.display()), source);
            error.hint("name the barman.conf that this host's Barman reads, and run as a user who may read it")
        }
        SiteConfError::Invalid { .. } | SiteConfError::OtherCatalog { .. } => error.into(),
    };
    let path = absolute(conf).map_err(|error| Error::io(conf.display(), error))?;
    let read = read_conf(&path).map_err(unreadable)?;
    let name = path.to_str().filter(|name| !name.chars().any(char::is_control));
    let name =
        name.ok_or_else(|| Error::new(Kind::Invalid, format!("{:?} cannot stand in a site file", path.display())))?;
    written::from_barman_conf(&read, name, &site_name()).map_err(|error| {
        let said = Error::new(Kind::Invalid, format!("{}: {error}", path.display()));
        match &error {
            Nothing::NoReplica { left_out } if !left_out.is_empty() => said.hint(clean(&left_out.join("\n        "))),
            _ => said,
        }
    })
}

/// The path from the root on, without `..`.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    let climbs = absolute.components().any(|part| part == std::path::Component::ParentDir);
    if climbs { absolute.canonicalize() } else { Ok(absolute) }
}

/// A name for this site: what this host is called, up to the first dot.
fn site_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let short = host.split('.').next().unwrap_or_default();
    let name: String = short.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).take(63).collect();
    let name = name.trim_start_matches(['-', '_']);
    if name.is_empty() { "site".to_owned() } else { name.to_owned() }
}

fn summary(translation: &Translation) -> String {
    let mut told = format!(
        "{} of {}\n",
        count(translation.replicas as u64, "replica"),
        count(translation.primaries as u64, "primary")
    );
    for remark in &translation.remarks {
        told.push_str(&format!("  {}\n", clean(&without_secrets(remark))));
    }
    told
}

fn next_steps(path: &Path) -> String {
    let option = if path == Path::new(source::DEFAULT) { String::new() } else { format!(" -f {}", path.display()) };
    format!(
        "Next:\n  antipode validate{option}\n  antipode plan{option}      shows what would be copied, and changes nothing\n  \
         antipode schema > {}      lets an editor complete and check it\n",
        path.with_file_name("site.schema.json").display()
    )
}

/// Writes a file that is not there yet, and that its owner alone may read: the way to a primary may hold a secret.
fn write_new(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |error| Error::io(format_args!("cannot write {}", path.display()), error);
    let mut file = match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(exists(path)),
        file => file.map_err(failed)?,
    };
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

fn exists(path: &Path) -> Error {
    Error::new(Kind::Refused, format!("{} is there already, and nothing was written", path.display()))
        .hint("name another file with -f FILE, or move this one away")
}
