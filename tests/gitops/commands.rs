//! Every command line of antipode that an example or a page shows is one that this antipode understands.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use antipode::cli::Cli;
use clap::Parser;

use crate::tools::{root, yaml};

/// Where a shell ends a command.
const ENDS: [&str; 13] = ["|", "||", "&&", ";", ";;", ")", ">", ">>", "<", "2>&1", "&", "2>", "#"];

/// The command lines of antipode in a text of shell or of prose with commands: each as words, the program first.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ");
    let mut said = BTreeMap::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        said.extend(assignment(line));
        let known = |word: String| word.strip_prefix('$').and_then(|name| said.get(name)).cloned().unwrap_or(word);
        lines.extend(command_line(line.trim()).map(|words| words.into_iter().map(known).collect()));
    }
    lines
}

/// What a line says that a name stands for: `TIME="2026-11-22 09:12:03+00:00"`.
fn assignment(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase());
    let value = value.split(" #").next().unwrap_or_default().trim().trim_matches('"');
    is_name.then(|| (name.to_owned(), value.to_owned()))
}

fn command_line(line: &str) -> Option<Vec<String>> {
    if line.starts_with('#') {
        return None;
    }
    let is_start = |start: &usize| {
        let before = line[..*start].trim_end_matches("/usr/local/bin/").trim_end_matches("sudo -u barman ");
        before.is_empty() || before.ends_with([' ', '(', '=', '"', '`'])
    };
    let start = line.match_indices("antipode ").map(|(start, _)| start).find(is_start)?;
    let before = line[..start].trim_end_matches("/usr/local/bin/").trim_end_matches("sudo -u barman ").trim_end();
    // In prose and in messages the program is named, not run.
    let is_run = before.is_empty() || ["$", "|", "$(", "-", "ExecStart="].iter().any(|end| before.ends_with(end));
    is_run.then(|| words(&line[start..]))
}

/// The words of a command up to where the shell ends it.
fn words(command: &str) -> Vec<String> {
    let words = command.split_whitespace().take_while(|word| !ENDS.contains(word));
    words.map(|word| word.trim_end_matches(')').trim_matches(['"', '\'']).to_owned()).collect()
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(directory).into_iter().map(|entry| entry.unwrap());
    walk.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

#[track_caller]
fn understands(words: &[String], place: &str) {
    // A name in angle brackets or braces stands for something else, never for a flag.
    if let Err(error) = Cli::try_parse_from(words) {
        assert!(!error.use_stderr(), "{place}: {}\n{error}", words.join(" "));
    }
}

#[test]
fn antipode_understands_the_commands_of_every_example_and_page() {
    let pages = files(&root("docs")).into_iter().chain([root("README.md")]);
    let mut found = 0;
    for file in files(&root("examples/gitops")).into_iter().chain(pages) {
        let text = fs::read_to_string(&file).unwrap();
        for words in command_lines(&text) {
            understands(&words, &file.display().to_string());
            found += 1;
        }
    }
    assert!(found >= 12, "{found}");
}

#[test]
fn antipode_understands_the_arguments_that_stand_in_lists() {
    let cron = yaml("kubernetes/cronjob.yaml");
    let container = &cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
    let arguments = container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned());
    understands(&[vec!["antipode".to_owned()], arguments.collect()].concat(), "cronjob.yaml");
    let playbook = yaml("ansible/antipode.yml");
    let tasks = playbook[0]["tasks"].as_array().unwrap();
    let lists = tasks.iter().filter_map(|task| task["ansible.builtin.command"]["argv"].as_array());
    let mut found = 0;
    for list in lists {
        understands(&list.iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>(), "antipode.yml");
        found += 1;
    }
    assert_eq!(found, 1);
}

#[test]
fn a_name_stands_for_what_was_said_before() {
    let lines =
        command_lines("SITE=x.yaml   # the site file\nTIME=\"2026 09\"\nantipode plan -f \"$SITE\" $TIME $OTHER\n");
    assert_eq!(lines, [["antipode", "plan", "-f", "x.yaml", "2026 09", "$OTHER"]]);
}

#[test]
fn a_command_is_found_where_it_is_run_and_not_where_it_is_named() {
    let found = |line: &str| command_line(line).map(|words| words.join(" "));
    assert_eq!(found("$ antipode plan -o x"), Some("antipode plan -o x".to_owned()));
    assert_eq!(found("antipode plan > out || status=$?"), Some("antipode plan".to_owned()));
    assert_eq!(found("- antipode apply plan.json"), Some("antipode apply plan.json".to_owned()));
    assert_eq!(found("ExecStart=/usr/local/bin/antipode cron"), Some("antipode cron".to_owned()));
    assert_eq!(found("sudo -u barman antipode plan -f x.yaml"), Some("antipode plan -f x.yaml".to_owned()));
    assert_eq!(found("$ sudo -u barman antipode detach x"), Some("antipode detach x".to_owned()));
    assert_eq!(found("It runs `antipode apply` then"), None);
    assert_eq!(found("# antipode apply --nonsense"), None);
}
