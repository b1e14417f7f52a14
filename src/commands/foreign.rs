//! What people write who come from another tool: Terraform's flags behind one dash, and the commands of Terraform and Barman.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory};

use crate::cli::Cli;
use crate::error::{Error, Kind};

const AT_THE_SITE: &str =
    "the site's own Barman does that with what is here, as with any other backup: run `barman` itself";
const AT_THE_PRIMARY: &str = "the primary's Barman does that";
const ON_DISK: &str =
    "there is no state but the disk: `antipode plan` looks at it, `antipode status` says how it stands";
const DELETED: &str = "what may be deleted here is said by `prune` in the site file, and shown by `antipode plan`";

/// Commands of other tools, and what to do here.
const COMMANDS: [(&str, &[&str]); 10] = [
    (
        AT_THE_SITE,
        &[
            "check",
            "check-backup",
            "diagnose",
            "generate-manifest",
            "get-wal",
            "keep",
            "list-backup",
            "list-backups",
            "list-files",
            "show-backup",
            "show-server",
            "show-servers",
            "verify-backup",
        ],
    ),
    ("`antipode restore` does that, and needs no Barman", &["recover"]),
    (
        AT_THE_PRIMARY,
        &["archive-wal", "backup", "put-wal", "receive-wal", "replication-status", "switch-wal", "switch-xlog"],
    ),
    (ON_DISK, &["import", "output", "state", "taint", "untaint"]),
    (DELETED, &["delete", "destroy"]),
    ("`antipode plan --refresh` believes nothing that is remembered", &["refresh"]),
    ("`antipode plan --format dot` draws a plan, and `--format mermaid`", &["graph"]),
    (
        "a lock goes with the process that holds it; `antipode status` tells of a run that is at work",
        &["force-unlock", "unlock"],
    ),
    ("`antipode plan` shows what differs", &["diff"]),
    ("`antipode --version`", &["version"]),
];

/// What is meant by a command line that is understood as something else or not at all; `None` where nothing better is known
/// than what its error says.
pub fn refused(words: impl IntoIterator<Item = OsString>, error: Option<&clap::Error>) -> Option<Error> {
    one_dash(words).or_else(|| error.and_then(word))
}

/// The first long flag behind one dash: `-out=plan.json` would be a file `ut=plan.json`.
fn one_dash(words: impl IntoIterator<Item = OsString>) -> Option<Error> {
    let words = words.into_iter().skip(1).take_while(|word| word != "--");
    words.filter_map(|word| word.into_string().ok()).find_map(|word| {
        let flag = word.strip_prefix('-').filter(|flag| flag.len() > 1 && !flag.starts_with('-'))?;
        let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        let long = if name == "out" { "-o".to_owned() } else { long_flag(name)? };
        let behind = value.map(|value| format!(" {value}")).unwrap_or_default();
        let message = format!("`{word}` has one dash, and begins with the flag `-{}`", &name[..1]);
        Some(Error::new(Kind::Invalid, message).hint(format!("write `{long}{behind}`")))
    })
}

/// A flag of the program or one of its commands.
fn long_flag(name: &str) -> Option<String> {
    let program = Cli::command();
    let commands = std::iter::once(&program).chain(program.get_subcommands());
    let mut longs = commands.flat_map(Command::get_arguments).filter_map(clap::Arg::get_long);
    longs.find(|long| long.len() > 1 && *long == name).map(|long| format!("--{long}"))
}

/// A word that is no command, or one too many behind a command.
fn word(error: &clap::Error) -> Option<Error> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let command = text(ContextKind::InvalidSubcommand)?;
            let (hint, _) = COMMANDS.iter().find(|(_, commands)| commands.contains(&command))?;
            Some(Error::new(Kind::Invalid, format!("there is no command `{command}`")).hint(*hint))
        }
        ErrorKind::UnknownArgument => {
            let word = text(ContextKind::InvalidArg).filter(|word| !word.starts_with('-'))?;
            let is_file = [".yaml", ".yml"].iter().any(|ending| word.ends_with(ending));
            let hint = if is_file {
                format!("a site file is named by `-f {word}`")
            } else {
                format!("`plan` and `apply` take a part of the site by `--target {word}`")
            };
            Some(Error::new(Kind::Invalid, format!("`{word}` is one word too many")).hint(hint))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn meant(line: &str) -> Option<(String, String)> {
        let words = || line.split(' ').map(OsString::from);
        let error = Cli::try_parse_from(words()).err();
        refused(words(), error.as_ref()).map(|error| (error.message, error.hint.unwrap()))
    }

    #[test]
    fn a_long_flag_behind_one_dash_is_named_as_what_it_would_be() {
        for (line, hint) in [
            ("antipode plan -out=plan.json", "write `-o plan.json`"),
            ("antipode plan -out plan.json", "write `-o`"),
            ("antipode apply -auto-approve", "write `--auto-approve`"),
            ("antipode plan -target=main/wal", "write `--target main/wal`"),
            ("antipode plan -detailed-exitcode", "write `--detailed-exitcode`"),
            ("antipode apply -json", "write `--json`"),
            ("antipode -color=never plan", "write `--color never`"),
        ] {
            assert_eq!(meant(line).unwrap().1, hint, "{line}");
        }
    }

    #[test]
    fn short_flags_stay_what_they_are() {
        for line in [
            "antipode plan -vv -f x.yaml -o out",
            "antipode plan -oplan.json",
            "antipode plan -fsite.yaml",
            "antipode explain -- -target",
            "antipode sync-info main -1",
        ] {
            assert_eq!(meant(line), None, "{line}");
        }
    }

    #[test]
    fn what_other_tools_call_it_leads_here() {
        for (line, word) in [
            ("antipode list-backups main", "site's own Barman"),
            ("antipode check", "site's own Barman"),
            ("antipode recover main latest /srv/data", "`antipode restore`"),
            ("antipode backup main", "primary's Barman"),
            ("antipode destroy", "`prune`"),
            ("antipode state list", "`antipode status`"),
            ("antipode version", "--version"),
            ("antipode plan main", "--target main"),
            ("antipode validate lisbon.yaml", "-f lisbon.yaml"),
        ] {
            assert!(meant(line).unwrap().1.contains(word), "{line}: {:?}", meant(line));
        }
        for line in ["antipode nosuch", "antipode plan --nosuch", "antipode plan", "antipode show"] {
            assert_eq!(meant(line), None, "{line}");
        }
    }

    #[test]
    fn no_command_of_ours_is_called_foreign() {
        let program = Cli::command();
        for command in program.get_subcommands() {
            let names = std::iter::once(command.get_name()).chain(command.get_all_aliases());
            for name in names {
                assert!(COMMANDS.iter().all(|(_, foreign)| !foreign.contains(&name)), "{name}");
            }
        }
    }
}
