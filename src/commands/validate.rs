//! `antipode validate`: is the site file right, without connecting to anything.

use crate::cli::{self, TextOrJson};
use crate::diag::{Diagnostic, Diagnostics};
use crate::english::list;
use crate::error::{Error, Exit, Kind};
use crate::observe::is_missing;
use crate::site::Site;
use crate::stdout;

use super::source;
use super::terminal::{self, Terminal};

/// Runs the command.
pub fn run(arguments: &cli::Validate, terminal: &Terminal) -> Result<Exit, Error> {
    match arguments.format {
        TextOrJson::Text => {
            let site = source::load(&arguments.site, terminal)?;
            stdout::print(&praise(&site));
            if !terminal.quiet {
                for note in notes(&site) {
                    terminal::tell(&format!("note: {note}\n"));
                }
            }
            Ok(Exit::Done)
        }
        TextOrJson::Json => json(arguments),
    }
}

fn praise(site: &Site) -> String {
    let count = |n: usize, one: &str, many: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {many}") };
    let mut parts = vec![count(site.primaries.len(), "primary", "primaries")];
    parts.push(count(site.replicas.len(), "replica", "replicas"));
    if !site.mirrors.is_empty() {
        parts.push(count(site.mirrors.len(), "mirror", "mirrors"));
    }
    format!("Success! Site {} is valid: {}.\n", site.name, parts.join(", "))
}

/// What is no mistake, and what somebody may not have meant.
fn notes(site: &Site) -> Vec<String> {
    let missing = site.catalog.config.as_deref().filter(|config| is_missing(config)).map(|config| {
        format!(
            "{}, which `catalog.config` names, does not exist on this host: where it is missing at the site too, the places \
             hold that Barman uses by default, and a site without Barman needs no such line",
            config.display()
        )
    });
    missing.into_iter().chain(unwatched(site)).collect()
}

/// The replicas and mirrors of which nobody said how far behind they may be.
fn unwatched(site: &Site) -> Option<String> {
    let replicas = site.replicas.values().filter(|replica| replica.policy.rpo.is_none());
    let mirrors = site.mirrors.iter().filter(|mirror| mirror.policy.rpo.is_none());
    let names = replicas.map(|replica| replica.name.to_string());
    let names: Vec<String> = names.chain(mirrors.map(|mirror| format!("the mirror of {}", mirror.primary))).collect();
    let what = "no `objective.rpo` says how far behind they may be, so that no status ever calls them late: ";
    (!names.is_empty())
        .then(|| format!("{what}{}; `objective: {{rpo: 1h}}` under `defaults` does for all", list(&names)))
}

/// Prints the mistakes for a program, also the one that there is no file to read.
fn json(arguments: &cli::Validate) -> Result<Exit, Error> {
    let mistakes = match source::read(&arguments.site) {
        Ok(source) => source.load().err().unwrap_or_else(|| Diagnostics::new(&source.name, Vec::new())),
        Err(error) => {
            let name = arguments.site.file.as_ref().map(|path| path.display().to_string());
            let diagnostic = Diagnostic::error("unreadable", error.message);
            let diagnostic = error.hint.into_iter().fold(diagnostic, Diagnostic::help);
            Diagnostics::new(name.as_deref().unwrap_or(source::DEFAULT), vec![diagnostic])
        }
    };
    let text = serde_json::to_string_pretty(&mistakes.json())
        .map_err(|error| Error::new(Kind::Internal, format!("the mistakes have no JSON form: {error}")))?;
    stdout::print(&format!("{text}\n"));
    Ok(if mistakes.list().is_empty() { Exit::Done } else { Exit::Error })
}
