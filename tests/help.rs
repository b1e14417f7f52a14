//! What `--help`, the completions and the manual pages say is true: the examples run, the shells complete, and the
//! programs that read manual pages have nothing to object to.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use antipode::cli::Cli;
use antipode::manual;
use clap::{CommandFactory, Parser};

#[path = "support/place.rs"]
mod place;

use place::Place;

/// The examples that are only checked to be command lines: two write outside of a test's directory, one asks a Barman
/// over ssh.
const NOT_RUN: [&str; 3] = [
    "antipode drill --reports /srv/reports --sign-with /etc/antipode/minisign.key",
    "antipode man /usr/local/share/man/man1",
    "antipode sync-info --primary main -f lisbon.yaml",
];

/// The commands that change a site or its site file.
const CHANGING: [&str; 10] =
    ["apply", "cron", "detach", "init", "restore", "resume", "run", "suspend", "sync-backup", "sync-wals"];

/// Every example of every command that is shown.
fn examples() -> Vec<(String, String)> {
    let program = Cli::command();
    let commands = program.get_subcommands().filter(|command| !command.is_hide_set());
    commands
        .flat_map(|command| manual::examples(command).into_iter().map(|it| (command.get_name().to_owned(), it)))
        .collect()
}

#[test]
fn every_example_is_understood() {
    let examples = examples();
    assert!(examples.len() > 20);
    for (command, line) in examples {
        let words = shell_words::split(line.split(" > ").next().unwrap()).unwrap();
        assert!(words[0] == "antipode" && words.contains(&command), "{line} is no example of {command}");
        if let Err(error) = Cli::try_parse_from(words) {
            panic!("{line}\n{error}");
        }
    }
}

/// A site that lost the data of a backup, with a damaged xlog.db, under the names that examples use.
fn place() -> Place {
    let mut place = Place::new();
    place.second_day();
    assert_eq!(place.antipode("apply --auto-approve").0, 0);
    fs::remove_dir_all(place.path("lisbon/main/base/20261122T030000")).unwrap();
    // Its list of WAL has every line twice.
    let list = place.path("lisbon/main/wals/main-xlog.db");
    fs::write(&list, fs::read_to_string(&list).unwrap().repeat(2)).unwrap();
    for directory in ["root/etc/antipode", "examples", ".zfunc", ".config/fish/completions"] {
        fs::create_dir_all(place.path(directory)).unwrap();
    }
    fs::create_dir_all(place.path(".local/share/bash-completion/completions")).unwrap();
    for copy in ["root/etc/antipode/lisbon.yaml", "examples/minimal.yaml"] {
        fs::copy(place.path("antipode.yaml"), place.path(copy)).unwrap();
    }
    assert_eq!(place.antipode("plan -o plan.json").0, 0);
    place
}

/// `archive`, which an apply left and the site file does not name.
fn copy_that_nobody_asks_for(place: &Place) {
    for directory in [".antipode", "base"] {
        fs::create_dir_all(place.path("lisbon/archive").join(directory)).unwrap();
    }
}

/// What a drill said, for people or for programs.
fn said_of_drill(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_examples_run() {
    let mut run = 0;
    let unchanged = place();
    for (command, line) in examples().into_iter().filter(|(_, line)| !NOT_RUN.contains(&line.as_str())) {
        // What one does was not done by another.
        let own = CHANGING.contains(&command.as_str()).then(place);
        let place = own.as_ref().unwrap_or(&unchanged);
        if command == "detach" {
            copy_that_nobody_asks_for(place);
        }
        if command == "init" {
            fs::remove_file(place.path("antipode.yaml")).unwrap();
        }
        let output = match command.as_str() {
            // It goes on until it is told to end.
            "run" => place.shell(&format!("timeout --preserve-status -s TERM 5 {line}")),
            _ if line.ends_with(" --watch") => {
                let watched = format!("timeout --foreground --preserve-status -s INT 5 {line}");
                place.shell(&format!("TERM=xterm script -qec '{watched}' /dev/null"))
            }
            _ if line == "antipode apply" => place.shell_with_yes(&line),
            _ => place.shell(&line),
        };
        let said = String::from_utf8_lossy(&output.stderr);
        let expected = match line.rsplit(' ').next() {
            // The backup that is lost, and the list.
            _ if command == "verify" => 1,
            // What is copied here is no cluster: where PostgreSQL is installed that is found, else it cannot be tried.
            _ if command == "drill" && said_of_drill(&output).contains("disproved") => 2,
            _ if command == "drill" => 1,
            Some("--detailed-exitcode") => 2,
            Some("--watch") => 130,
            _ => 0,
        };
        assert_eq!(output.status.code(), Some(expected), "{line}: {}\n{said}", output.status);
        run += 1;
    }
    assert!(run >= 30, "{run}");
}

/// The script of a shell in a file.
fn script(directory: &Path, shell: &str) -> std::path::PathBuf {
    let output = Command::new(env!("CARGO_BIN_EXE_antipode")).args(["completions", shell]).output().unwrap();
    assert!(output.status.success());
    let path = directory.join(shell);
    fs::write(&path, output.stdout).unwrap();
    path
}

/// What a program prints that `./test` installs.
fn ask(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; run ./test, which installs it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{program} {arguments:?}: {}\n{said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let place = Place::new();
    let complete = |line: &str| completed_by_bash(&place, line);
    assert_eq!(complete("antipode val"), "validate");
    assert_eq!(complete("antipode plan --detailed"), "--detailed-exitcode");
    assert_eq!(complete("antipode plan --format "), "human json markdown dot mermaid");
    assert!(complete("antipode completions ").starts_with("bash zsh fish --"));
    assert!(!complete("antipode ").contains("nothing-to-sync"));
}

/// What bash offers for a line, in a place.
fn completed_by_bash(place: &Place, line: &str) -> String {
    let script = script(&place.path(""), "bash");
    let words: Vec<&str> = line.split(' ').collect();
    let (last, before) = (words.len() - 1, words[words.len() - 2]);
    let quoted = words.iter().map(|word| format!("'{word}' ")).collect::<String>();
    let code = format!(
        "source {}; PATH={}:$PATH; cd {}; COMP_WORDS=({quoted}); COMP_CWORD={last}; COMP_TYPE=9
         _clap_complete_antipode antipode '{}' '{before}'; IFS=' '; echo \"${{COMPREPLY[*]}}\"",
        script.display(),
        place.path("bin").display(),
        place.path("").display(),
        words[last]
    );
    ask("bash", &["--noprofile", "--norc", "-c", &code]).trim().to_owned()
}

#[test]
fn bash_completes_replicas_and_the_addresses_of_the_last_plan_without_a_primary() {
    let place = place();
    fs::remove_dir_all(place.path("frankfurt")).unwrap();
    let complete = |line: &str| completed_by_bash(&place, line);
    let lost = "main/backup/20261122T030000";
    for line in ["antipode explain ", "antipode plan --target ", "antipode apply --auto-approve --exclude "] {
        let offered = complete(line);
        let offered: Vec<&str> = offered.split(' ').collect();
        for address in ["main", "main/wal", "main/xlog.db", lost] {
            assert!(offered.contains(&address), "{line}: {offered:?}");
        }
    }
    assert_eq!(complete("antipode explain main/x"), "main/xlog.db");
    assert_eq!(complete(&format!("antipode plan --target {lost}")), lost);
    assert!(complete("antipode sync-wals ").starts_with("main --"));
    assert!(complete("antipode sync-backup main 20261122").contains("20261122T030000"));
    fs::rename(place.path("antipode.yaml"), place.path("other.yaml")).unwrap();
    assert_eq!(complete("antipode sync-wals m"), "");
    assert_eq!(complete("antipode sync-wals -f other.yaml m"), "main");
    fs::write(place.path("primary.conf"), "[barman]\nbarman_home = /srv\n[sales]\n[stock]\n").unwrap();
    assert_eq!(complete("antipode sync-info -c primary.conf s"), "sales stock");
    // Another shell asks the same program.
    let fish = script(&place.path(""), "fish");
    let code = format!(
        "set -x PATH {} $PATH; cd {}; source {}; complete -C 'antipode explain -f other.yaml main/x'",
        place.path("bin").display(),
        place.path("").display(),
        fish.display()
    );
    assert_eq!(ask("fish", &["--no-config", "-c", &code]), "main/xlog.db\n");
}

#[test]
fn fish_completes_and_zsh_reads_its_script() {
    let directory = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_antipode")).parent().unwrap();
    let fish = format!(
        "set -x PATH {} $PATH; source {}; complete -C 'antipode val'",
        program.display(),
        script(directory.path(), "fish").display()
    );
    let completed = ask("fish", &["--no-config", "-c", &fish]);
    assert!(completed.starts_with("validate\tCheck a site file"), "{completed}");
    let zsh = script(directory.path(), "zsh");
    assert_eq!(ask("zsh", &["-f", "-n", zsh.to_str().unwrap()]), "");
    assert!(fs::read_to_string(zsh).unwrap().starts_with("#compdef antipode\n"));
}

#[test]
fn another_shell_is_a_mistake_that_names_the_three() {
    let output = Command::new(env!("CARGO_BIN_EXE_antipode")).args(["completions", "tcsh"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("[possible values: bash, zsh, fish]"));
}

#[test]
fn manual_pages_are_written_whole_once_and_without_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let man1 = directory.path().join("man/man1");
    let write = || ask(env!("CARGO_BIN_EXE_antipode"), &["man", man1.to_str().unwrap()]);
    let said = write();
    let shown = Cli::command().get_subcommands().filter(|command| !command.is_hide_set()).count();
    assert_eq!(said.lines().count(), shown + 1);
    let mut pages: Vec<_> = fs::read_dir(&man1).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    assert_eq!(pages.len(), shown + 1);
    for page in &pages {
        assert!(said.contains(&format!("wrote {}\n", page.display())), "{said}");
        ask("mandoc", &["-Tlint", "-Wwarning", page.to_str().unwrap()]);
    }
    let plan = ask("mandoc", &["-Tascii", man1.join("antipode-plan.1").to_str().unwrap()]);
    assert!(
        plan.contains("Done, or nothing to do.") && plan.contains("antipode plan -o plan.json --format markdown"),
        "{plan}"
    );
    assert!(write().ends_with("are current.\n"));
}

#[test]
fn a_page_of_somebody_else_is_not_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("antipode.1");
    fs::write(&page, "mine").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_antipode")).arg("man").arg(directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&page).unwrap(), "mine");
}
