//! Site files that are written for a person to go on with: a first one, and one that does what a barman.conf tells
//! Barman's own passive node to do.

mod access;
mod from_barman;
mod settings;
mod text;

pub use from_barman::{Nothing, Translation, from_barman_conf};

/// Where an editor finds the schema: beside the site file, where `antipode schema` puts it.
const SCHEMA_LINE: &str = "# yaml-language-server: $schema=site.schema.json\n";

/// The least that says something; the lines that a new user must change are plain, the rest is explained.
pub fn minimal() -> String {
    format!(
        "{SCHEMA_LINE}\
# What this site keeps. Change the five lines that say whose backups go where; then
# `antipode validate`, `antipode plan` (which changes nothing) and `antipode apply`.
version: 1
site: lisbon

catalog:
  # barman_home at this site. If a Barman is installed here, `config: /etc/barman.conf` beside it
  # lets Antipode take the lock and other directories from there.
  path: /var/lib/barman

primaries:
  frankfurt:
    # As ssh takes it; its host key has to be in known_hosts.
    ssh: {{destination: barman@barman.example.com}}

replicas:
  # A server's name at the primary.
  main:
    primary: frankfurt
    # Every backup that the primary has; or for example [{{last: 7}}, {{within: 30d}}].
    backups: all
    # How far behind it may be before `antipode status` ends with exit code 2.
    objective: {{rpo: 1h}}
    # Nothing is deleted here unless `prune` allows it.
"
    )
}

#[cfg(test)]
mod tests;
