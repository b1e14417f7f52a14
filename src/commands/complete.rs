//! What a shell offers where an argument names something of the site: what the site file has, and what is remembered in the
//! catalog here. No primary is asked, and whatever cannot be read is offered to nobody.

use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, Command, CommandFactory};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::CompleteEnv;

use super::barman::conf_file::ConfFile;
use super::source;
use crate::barman::ids::{BackupId, ServerName};
use crate::barman::layout::ServerDirs;
use crate::cli::{Cli, SiteFile};
use crate::observe::SiteConf;
use crate::plan::Plan;
use crate::site::Site;
use crate::store::{Place, home};

/// The environment variable by which the script of a shell asks.
pub const ASKED: &str = "ANTIPODE_COMPLETE";

/// The note of the last whole plan of a catalog: its addresses, one a line.
const LAST_PLAN: &str = "last-plan";
/// More are not looked through by anybody who types.
const MOST: usize = 10_000;

/// Answers a shell that asks how a command line could go on; `None` when none does.
pub fn answer() -> Option<ExitCode> {
    let completing = CompleteEnv::with_factory(shown).var(ASKED).bin("antipode");
    match completing.try_complete(env::args_os(), env::current_dir().ok().as_deref()) {
        Ok(false) => None,
        Ok(true) => Some(ExitCode::SUCCESS),
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// The command line without its hidden commands, and with what is offered for each kind of argument.
fn shown() -> Command {
    let whole = Cli::command();
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set());
    Command::new("antipode")
        .version(env!("CARGO_PKG_VERSION"))
        .args(whole.get_arguments().cloned())
        .subcommands(commands.cloned().map(|command| command.mut_args(offering)))
}

/// An argument names what the name of its value says.
fn offering(argument: Arg) -> Arg {
    let names: Vec<&str> =
        argument.get_value_names().unwrap_or_default().iter().map(clap::builder::Str::as_str).collect();
    match names[..] {
        ["ADDRESS"] => argument.add(ArgValueCompleter::new(addresses)),
        ["REPLICA"] => argument.add(ArgValueCompleter::new(replicas)),
        ["SERVER"] => argument.add(ArgValueCompleter::new(servers)),
        ["BACKUP_ID"] => argument.add(ArgValueCompleter::new(backups)),
        _ => argument,
    }
}

/// Remembers which addresses a plan has. One of a part is not what the next command is about.
pub fn remember(plan: &Plan) {
    if plan.narrowed.is_some() {
        return;
    }
    let planned = plan.replicas.iter().flat_map(|replica| {
        let actions = replica.actions.iter().map(|action| &action.address);
        actions.chain(replica.held.iter().map(|held| &held.address))
    });
    let lines: String = planned.take(MOST).map(|address| format!("{address}\n")).collect();
    if let Err(error) = home::note(&plan.catalog, LAST_PLAN, lines.as_bytes()) {
        tracing::debug!("the addresses of the plan are not remembered: {error}");
    }
}

/// The replicas, by their names at the site.
fn replicas(current: &OsStr) -> Vec<CompletionCandidate> {
    beginning(current, site().iter().flat_map(names).map(|name| name.to_string()).collect())
}

/// The replicas, and the servers of this host's barman.conf.
fn servers(current: &OsStr) -> Vec<CompletionCandidate> {
    let file = named(&typed(), "-c", "--config").map(|file| expanded(&file, env::home_dir()));
    let conf = ConfFile::read(file.as_deref()).ok().and_then(|file| file.conf.servers().ok());
    let replicas = site().iter().flat_map(names).collect();
    let names = conf.into_iter().chain([replicas]).flatten();
    beginning(current, names.map(|name| name.to_string()).collect())
}

/// The addresses of the last plan, those of what is here, and their first parts.
fn addresses(current: &OsStr) -> Vec<CompletionCandidate> {
    beginning(current, known())
}

/// The ids of the backups that are in the last plan or here.
fn backups(current: &OsStr) -> Vec<CompletionCandidate> {
    let id = |address: &String| Some(address.split_once("/backup/")?.1.to_owned());
    beginning(current, known().iter().filter_map(id).collect())
}

/// The addresses that are known without a primary; none without a site.
fn known() -> BTreeSet<String> {
    let Some(site) = site() else { return BTreeSet::new() };
    let noted = home::noted(&site.catalog.path, LAST_PLAN).unwrap_or_default();
    let mut known: BTreeSet<String> = String::from_utf8_lossy(&noted).lines().map(str::to_owned).collect();
    for replica in names(&site) {
        known.extend([replica.to_string(), format!("{replica}/backup"), format!("{replica}/wal")]);
        known.extend(backups_here(&site, &replica).iter().map(|id| format!("{replica}/backup/{id}")));
    }
    known
}

/// Those that go on as was begun.
fn beginning(current: &OsStr, offers: BTreeSet<String>) -> Vec<CompletionCandidate> {
    let begun = current.to_string_lossy();
    offers.into_iter().filter(|offer| offer.starts_with(begun.as_ref())).map(CompletionCandidate::new).collect()
}

/// The site of the command line that is being typed.
fn site() -> Option<Site> {
    let file = named(&typed(), "-f", "--file").map(|file| expanded(&file, env::home_dir()));
    Some(source::read(&SiteFile { file }).ok()?.load().ok()?.site)
}

/// The words of that command line.
fn typed() -> Vec<OsString> {
    env::args_os().skip_while(|word| word != "--").collect()
}

/// The file that these words name by a flag.
fn named(words: &[OsString], short: &str, long: &str) -> Option<PathBuf> {
    let behind = |word: &OsString| {
        let word = word.to_str()?;
        let of_long = word.strip_prefix(long).and_then(|rest| rest.strip_prefix('='));
        let file = of_long.or_else(|| word.strip_prefix(short).filter(|file| !file.is_empty()))?;
        Some(PathBuf::from(file))
    };
    let next = |pair: &[OsString]| (pair[0] == short || pair[0] == long).then(|| PathBuf::from(&pair[1]));
    words.windows(2).find_map(next).or_else(|| words.iter().find_map(behind))
}

/// A path as the shell would give it: while a line is being typed, `~` still stands for a home.
fn expanded(path: &Path, home: Option<PathBuf>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(below), Some(home)) => home.join(below),
        _ => path.to_owned(),
    }
}

/// The replicas that the file names, and those that its mirrors brought.
fn names(site: &Site) -> BTreeSet<ServerName> {
    let mut names: BTreeSet<ServerName> = site.replicas.keys().cloned().collect();
    if !site.mirrors.is_empty() {
        let here = home::servers(&site.catalog.path).unwrap_or_default().into_iter();
        let is_ours = |name: &ServerName| home::is_ours(&ServerDirs::of_catalog(&site.catalog.path, name.clone()));
        names.extend(here.filter(|name| is_ours(name).unwrap_or(false)));
    }
    names
}

fn backups_here(site: &Site, replica: &ServerName) -> Vec<BackupId> {
    let conf = SiteConf::read(&site.catalog);
    let store = conf.and_then(|conf| conf.store(replica));
    let bases = store.ok().and_then(|store| store.list(Place::Bases.into()).ok()).unwrap_or_default();
    bases.iter().filter_map(|entry| entry.name.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_file_is_found_among_words_that_are_being_typed() {
        for (line, file) in [
            ("antipode explain -f a.yaml main/", Some("a.yaml")),
            ("antipode explain main/ --file b.yaml", Some("b.yaml")),
            ("antipode plan --file=c.yaml --target ", Some("c.yaml")),
            ("antipode plan -fd.yaml", Some("d.yaml")),
            ("antipode plan --target main", None),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(named(&words, "-f", "--file").as_deref(), file.map(Path::new), "{line}");
        }
        let home = || Some(PathBuf::from("/home/eva"));
        assert_eq!(expanded(Path::new("~/s.yaml"), home()), Path::new("/home/eva/s.yaml"));
        assert_eq!(expanded(Path::new("~eva/s.yaml"), home()), Path::new("~eva/s.yaml"));
        assert_eq!(expanded(Path::new("s.yaml"), home()), Path::new("s.yaml"));
    }
}
