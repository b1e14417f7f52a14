//! `antipode validate --format json`: what editors and pipelines read.

use std::fs;
use std::path::Path;
use std::process::Command;

use antipode::schemas::Name;
use serde_json::{Value, json};

/// Runs it in a directory; the exit code and the report, which follows its schema.
fn report(directory: &Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antipode"));
    command.current_dir(directory).env_remove("ANTIPODE_FILE").args(["validate", "--format", "json"]).args(arguments);
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "a program reads standard output alone");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let schema = serde_json::from_str(&Name::Diagnostics.text()).unwrap();
    jsonschema::validate(&schema, &report).unwrap_or_else(|error| panic!("{error}\n{report:#}"));
    (output.status.code(), report)
}

/// The site files of the corpus.
fn corpus(kind: &str) -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/site").join(kind);
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path().to_str().unwrap().to_owned()).collect()
}

#[test]
fn a_valid_file_has_an_empty_list_and_exit_code_0() {
    for file in corpus("valid") {
        let (code, report) = report(Path::new("/"), &["-f", &file]);
        assert_eq!(
            (code, &report),
            (
                Some(0),
                &json!({
                    "format_version": 1, "source": file, "valid": true, "errors": 0, "diagnostics": []
                })
            )
        );
    }
}

#[test]
fn an_invalid_file_has_every_mistake_with_its_place_and_exit_code_1() {
    for file in corpus("invalid") {
        let (code, report) = report(Path::new("/"), &["-f", &file]);
        assert_eq!(code, Some(1), "{file}");
        let text = fs::read_to_string(&file).unwrap();
        for mistake in report["diagnostics"].as_array().unwrap() {
            let line = usize::try_from(mistake["span"]["line"].as_u64().unwrap()).unwrap();
            assert!((1..=text.lines().count()).contains(&line), "{file}: {mistake}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake_like_another() {
    let directory = tempfile::tempdir().unwrap();
    let (code, absent) = report(directory.path(), &["-f", "lisbon.yaml"]);
    assert_eq!((code, &absent["source"]), (Some(1), &json!("lisbon.yaml")));
    assert_eq!(absent["diagnostics"][0]["code"], "unreadable");
    let (code, unnamed) = report(directory.path(), &[]);
    assert_eq!((code, &unnamed["source"]), (Some(1), &json!("antipode.yaml")));
}

#[test]
fn a_file_in_another_encoding_is_shown_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("antipode.yaml");
    fs::write(&file, b"version: 1\nsite: z\xfcrich\n").unwrap();
    let (code, report) = report(directory.path(), &[]);
    let mistake = &report["diagnostics"][0];
    assert_eq!((code, mistake["code"].as_str()), (Some(1), Some("encoding")));
    assert_eq!(mistake["span"], json!({"line": 2, "column": 8, "offset": 18, "length": 3}));
    let text = Command::new(env!("CARGO_BIN_EXE_antipode")).arg("validate").arg("-f").arg(&file).output().unwrap();
    let said = String::from_utf8(text.stderr).unwrap();
    assert!(said.contains("the file is not UTF-8") && said.contains("site: z\u{fffd}rich"), "{said}");
}
