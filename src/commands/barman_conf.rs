//! `antipode barman-conf`: the sections that the site's Barman needs for its replicas, printed or kept as files.

use std::collections::BTreeSet;
use std::path::Path;

use super::kept_files::{self, Kept};
use crate::barman::compression::OF_BACKUPS;
use crate::barman::conf::section::{MARK, ReplicaSection};
use crate::barman::version::BarmanVersion;
use crate::barman::wal_entry::CodecName;
use crate::cli;
use crate::error::{Error, Exit, Kind};
use crate::observe::SiteConf;
use crate::observe::compression::compressed;
use crate::observe::inventory::SiteSection;
use crate::observe::version::{self, VersionSigns};
use crate::render::clean;
use crate::site::model::{Access, Replica, Site};
use crate::stdout;
use crate::store::Posix;

use super::interrupt::Interrupt;
use super::source;
use super::terminal::{self, Terminal};
use crate::cycle::Session;

/// Runs the command.
pub async fn run(arguments: &cli::BarmanConf, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, Error> {
    let site = source::load(&arguments.site, terminal)?;
    let (replicas, mut failures) = replicas(&site, interrupt).await;
    let all_known = failures.is_empty();
    let writer = Writer::new(&site).await?;
    let mut sections = Vec::new();
    for replica in &replicas {
        match writer.section(replica) {
            Ok(text) => sections.push((replica, text)),
            Err(error) => failures.push(error),
        }
    }
    match &arguments.write {
        None => {
            let texts: Vec<&str> = sections.iter().map(|(_, text)| text.as_str()).collect();
            stdout::print(&texts.join("\n"));
        }
        Some(directory) => {
            failures.extend(write(directory, &sections)?);
            if all_known {
                tell_others(directory, &replicas)?;
            }
            writer.tell_directory(directory)?;
        }
    }
    for failure in &failures {
        terminal.error(failure);
    }
    Ok(if failures.is_empty() { Exit::Done } else { Exit::Error })
}

/// Every replica of the site. Only the primaries of mirrors are called, to say which servers they have.
async fn replicas(site: &Site, interrupt: &Interrupt) -> (Vec<Replica>, Vec<Error>) {
    let session = Session::open(site, &interrupt.token, terminal::told()).await;
    let (replicas, unresolved) = (session.replicas.clone(), session.unresolved.clone());
    session.close().await;
    (replicas, unresolved)
}

/// What every section depends on.
struct Writer<'a> {
    site: &'a Site,
    own: SiteConf,
    barman: BarmanVersion,
    antipode: String,
}

impl<'a> Writer<'a> {
    async fn new(site: &'a Site) -> Result<Self, Error> {
        let own = SiteConf::read(&site.catalog)?;
        let declared = site.catalog.barman;
        let installed = if declared.is_some() { None } else { version::installed().await };
        let barman = VersionSigns { declared, installed, ..VersionSigns::default() }.decide();
        let antipode =
            std::env::current_exe().map_err(|error| Error::io("cannot tell where this program is", error))?;
        Ok(Self { site, own, barman, antipode: shell_words::quote(&antipode.to_string_lossy()).into_owned() })
    }

    fn section(&self, replica: &Replica) -> Result<String, Error> {
        let (dirs, own) = self.own.server(&replica.name)?;
        if own.section == SiteSection::Present && own.active && !own.passive {
            let message = format!("replica {0}: the site's own Barman takes backups of a server {0}", replica.name);
            return Err(Error::new(Kind::Refused, message)
                .hint(format!("give the replica another name and say `server: {}`, or leave it out", replica.server)));
        }
        let compressed = compressed(&Posix::new(dirs.clone()))?;
        let backup = compressed.backup.as_ref().map(CodecName::as_str);
        let access = self.site.primaries.get(&replica.primary).map(|primary| &primary.access);
        let section = ReplicaSection {
            name: &replica.name,
            server: &replica.server,
            primary: &replica.primary,
            ssh: match access {
                Some(Access::Ssh { words }) => Some(words),
                Some(Access::Path(_)) | None => None,
            },
            dirs: &dirs,
            compression: compressed.wal.as_ref().map(CodecName::as_str),
            backup_compression: backup.filter(|name| *name != "none" && OF_BACKUPS.contains(name)),
        };
        section
            .text(&self.site.catalog.path, self.barman, &self.antipode)
            .map_err(|error| Error::new(Kind::Invalid, error.to_string()))
    }

    /// Says when Barman does not read what was written.
    fn tell_directory(&self, directory: &Path) -> Result<(), Error> {
        let Some(config) = &self.site.catalog.config else { return Ok(()) };
        if self.own.missing.is_some() {
            terminal::tell(&format!("{} does not exist: no Barman reads what was written\n", config.display()));
            return Ok(());
        }
        let included = self.own.included()?;
        let resolved = |path: &Path| path.canonicalize().ok();
        if included.as_deref().and_then(resolved) != resolved(directory) {
            terminal::tell(&format!(
                "{} does not read {directory}; set `configuration_files_directory = {directory}` in its [barman]\n",
                config.display(),
                directory = directory.display(),
            ));
        }
        Ok(())
    }
}

/// Keeps a file for each section; what went wrong with one does not stop the others.
fn write(directory: &Path, sections: &[(&Replica, String)]) -> Result<Vec<Error>, Error> {
    if !directory.is_dir() {
        return Err(Error::new(Kind::NotFound, format!("{} is no directory", directory.display()))
            .hint("make it, and name it as `configuration_files_directory` in [barman] of barman.conf"));
    }
    let mut failures = Vec::new();
    for (replica, text) in sections {
        let path = directory.join(file_name(replica));
        match kept_files::keep(&path, text, MARK) {
            Ok(Kept::Written) => stdout::print(&format!("{}: written\n", path.display())),
            Ok(Kept::Unchanged) => stdout::print(&format!("{}: unchanged\n", path.display())),
            Err(error) => failures.push(Error::from(error).rewritten(clean)),
        }
    }
    Ok(failures)
}

/// Names the files of servers that are declared no longer: Barman still needs them to show what is here of these.
fn tell_others(directory: &Path, replicas: &[Replica]) -> Result<(), Error> {
    let kept: BTreeSet<String> = replicas.iter().map(file_name).collect();
    let others = kept_files::others(directory, "conf", &kept, MARK)
        .map_err(|error| Error::io(format_args!("cannot read {}", directory.display()), error))?;
    for path in others {
        stdout::print(&format!(
            "{}: no replica of the site any longer; delete it once its backups are not needed\n",
            path.display()
        ));
    }
    Ok(())
}

fn file_name(replica: &Replica) -> String {
    format!("{}.conf", replica.name)
}
