//! The README shows what the program does: each of its commands is run, each of its blocks is what is printed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

#[path = "support/place.rs"]
mod place;

use place::{Place, blocks, timeless};

fn antipode() -> Command {
    let mut command = Command::cargo_bin("antipode").unwrap();
    command.env_remove("ANTIPODE_FILE").env("NO_COLOR", "1");
    command
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// The one block behind this origin.
#[track_caller]
fn shown(text: &str, language: &str, origin: &str) -> String {
    let comment = format!("<!-- from: {origin} -->");
    let found: Vec<&str> =
        blocks(text, language).into_iter().filter(|(before, _)| *before == comment).map(|(_, block)| block).collect();
    let [block] = found[..] else { panic!("{} blocks behind {comment}", found.len()) };
    block.to_owned()
}

/// A place whose site is a day behind its primary, with the README's file beside it.
fn a_day_behind() -> Place {
    let mut place = Place::new();
    let (code, said) = place.antipode("apply --auto-approve");
    assert_eq!(code, 0, "{said}");
    place.second_day();
    place
}

#[test]
fn its_plan_is_what_the_demo_prints() {
    let output = antipode().arg("demo").output().unwrap();
    let demo = String::from_utf8(output.stdout).unwrap();
    let plan = shown(&readme(), "text", "antipode demo");
    // The room on the disk is that of another machine.
    let lines: Vec<&str> = plan.lines().filter(|line| !line.ends_with(" free.")).collect();
    assert!(lines.len() > 12);
    for line in lines {
        assert!(demo.lines().any(|printed| printed == line), "the demo does not print {line:?}:\n{demo}");
    }
}

#[test]
fn its_status_is_what_a_site_prints_that_is_a_day_behind() {
    let (code, status) = a_day_behind().antipode("status");
    assert_eq!((code, timeless(&status)), (2, timeless(&shown(&readme(), "text", "antipode status"))), "{status}");
}

#[test]
fn every_block_of_text_says_where_it_comes_from() {
    let text = readme();
    for (before, block) in blocks(&text, "text") {
        assert!(["<!-- from: antipode demo -->", "<!-- from: antipode status -->"].contains(&before), "{block}");
    }
}

#[test]
fn its_commands_run_one_after_the_other() {
    let place = a_day_behind();
    let text = readme();
    let consoles: String = blocks(&text, "console").into_iter().map(|(_, block)| block).collect();
    let without_comment = |line: &str| line.split(" #").next().unwrap().trim().to_owned();
    let lines: Vec<String> = consoles.lines().filter_map(|line| line.strip_prefix("$ ")).map(without_comment).collect();
    let mut run = 0;
    for line in lines {
        // Rust's own, what changes the machine, and the suite that this test is a part of.
        if line == "./test" || line.starts_with("cargo ") || line.starts_with("sudo install ") {
            assert!(line != "./test" || root().join("test").exists());
            continue;
        }
        // It writes over no file.
        let is_first = line.starts_with("antipode init");
        if is_first {
            fs::rename(place.path("antipode.yaml"), place.path("kept.yaml")).unwrap();
        }
        let output = if line == "antipode apply" { place.shell_with_yes(&line) } else { place.shell(&line) };
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert!(output.status.success(), "{line}: {}\n{said}", output.status);
        if is_first {
            fs::rename(place.path("kept.yaml"), place.path("antipode.yaml")).unwrap();
        }
        run += 1;
    }
    assert!(run >= 15, "{run}");
    let (code, plan) = place.antipode("plan --detailed-exitcode");
    assert_eq!(code, 0, "after all of them the site has everything:\n{plan}");
}

#[test]
fn its_site_file_is_valid_and_gives_its_section_of_barman_conf() {
    let directory = tempfile::tempdir().unwrap();
    let text = readme();
    let [(_, file)] = blocks(&text, "yaml")[..] else { panic!("one site file") };
    let here = |file: &str| {
        fs::write(directory.path().join("antipode.yaml"), file).unwrap();
        let mut command = antipode();
        command.current_dir(directory.path());
        command
    };
    here(file).arg("validate").assert().success();
    // The catalog of the file is not on this machine, nor is its Barman.
    let catalog = directory.path().display().to_string();
    let moved = file.replace("/var/lib/barman", &catalog);
    let with_version = moved.lines().map(|line| {
        let is_config = line.trim_start().starts_with("config:");
        if is_config { "  barman: \"3.19.1\"\n".to_owned() } else { format!("{line}\n") }
    });
    let printed = here(&with_version.collect::<String>()).arg("barman-conf").output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let [(_, section)] = blocks(&text, "ini")[..] else { panic!("one section") };
    let printed: String =
        printed.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    assert_eq!(printed.trim(), section.trim());
}

#[test]
fn the_schemas_that_it_names_are_printed_as_they_are_checked_in() {
    let text = readme();
    let links = text.split("](schemas/").skip(1).filter_map(|rest| rest.split(')').next());
    let named: BTreeSet<&str> = links.collect();
    for file in &named {
        let name = file.strip_suffix(".schema.json").unwrap();
        let printed = antipode().args(["schema", name]).output().unwrap();
        assert_eq!(printed.stdout, fs::read(root().join("schemas").join(file)).unwrap(), "{file}");
    }
    assert_eq!(named.len(), fs::read_dir(root().join("schemas")).unwrap().count());
}

#[test]
fn the_files_that_it_links_to_exist() {
    let text = readme();
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for link in links.filter(|link| !link.contains("://")) {
        assert!(root().join(link.split('#').next().unwrap()).exists(), "{link}");
    }
}

#[test]
fn the_tests_that_the_pages_about_failures_name_exist() {
    let root = root();
    let page = |name: &str| fs::read_to_string(root.join("docs").join(name)).unwrap();
    let pages = [page("failings.md"), page("reliability.md")];
    let names: Vec<(&str, &str)> =
        pages.iter().flat_map(|page| page.split('`')).filter_map(|word| word.split_once("::")).collect();
    assert!(names.len() > 80);
    for (module, function) in names {
        let is_named =
            |path: &Path| path.ends_with(format!("{module}.rs")) || path.ends_with(format!("{module}/mod.rs"));
        let files = ["src", "tests"].into_iter().flat_map(|top| walkdir::WalkDir::new(root.join(top)));
        let files: Vec<PathBuf> = files.map(|entry| entry.unwrap().into_path()).filter(|path| is_named(path)).collect();
        let text = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect::<String>();
        assert!(text.contains(&format!("fn {function}(")), "there is no test {module}::{function}");
    }
}

#[test]
fn the_files_that_the_architecture_names_exist() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let is_path = |word: &&str| word.starts_with("src/") || word.starts_with("tests/");
    let named: Vec<&str> = page.split('`').filter(is_path).collect();
    assert!(named.len() > 40, "{named:?}");
    for path in named {
        assert!(root().join(path).exists(), "there is no {path}");
    }
}
