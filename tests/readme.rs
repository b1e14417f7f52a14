//! The README shows what the program does.

use std::fs;
use std::path::Path;

use assert_cmd::Command;

fn antipode() -> Command {
    let mut command = Command::cargo_bin("antipode").unwrap();
    command.env_remove("ANTIPODE_FILE").env("NO_COLOR", "1");
    command
}

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The blocks of the README that are in one language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn its_plan_is_what_the_demo_prints() {
    let output = antipode().arg("demo").output().unwrap();
    let demo = String::from_utf8(output.stdout).unwrap();
    let text = readme();
    let [plan] = blocks(&text, "text")[..] else { panic!("the README has one plan") };
    // The room on the disk is that of another machine.
    let lines: Vec<&str> = plan.lines().filter(|line| !line.ends_with(" free.")).collect();
    assert!(lines.len() > 12);
    for line in lines {
        assert!(demo.lines().any(|printed| printed == line), "the demo does not print {line:?}:\n{demo}");
    }
}

#[test]
fn its_site_file_is_valid() {
    let directory = tempfile::tempdir().unwrap();
    let text = readme();
    let files = blocks(&text, "yaml");
    assert!(!files.is_empty());
    for file in files {
        fs::write(directory.path().join("antipode.yaml"), file).unwrap();
        antipode().arg("validate").current_dir(directory.path()).assert().success();
    }
}

#[test]
fn the_tests_that_the_list_of_failings_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = fs::read_to_string(root.join("docs/failings.md")).unwrap();
    let names: Vec<(&str, &str)> = list.split('`').filter_map(|word| word.split_once("::")).collect();
    assert!(names.len() > 20);
    for (module, function) in names {
        let places = ["tests/laboratory", "tests/bad_input", "src/plan/tests"];
        let files = places.map(|place| root.join(place).join(module).with_extension("rs"));
        let text = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect::<String>();
        assert!(text.contains(&format!("fn {function}(")), "there is no test {module}::{function}");
    }
}
