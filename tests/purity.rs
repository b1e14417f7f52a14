//! The pure modules stay pure: what they need of the world is given to them.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules that compute and nothing else.
const PURE: [&str; 4] = ["src/plan", "src/render", "src/site", "src/barman"];

/// Effects that are the purpose of a module.
const EXEMPT: [&str; 0] = [];

/// Names that stand for an effect.
const IMPURE: [&str; 10] = [
    "tokio",
    "openssh",
    "std::fs",
    "std::env",
    "std::process",
    "std::net",
    "Timestamp::now",
    "Zoned::now",
    "SystemTime::now",
    "Instant::now",
];

#[test]
fn pure_modules_name_no_effect() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let exempt: Vec<PathBuf> = EXEMPT.iter().map(|path| root.join(path)).collect();
    let mut found = Vec::new();
    for path in PURE.iter().flat_map(|module| sources(&root.join(module))).filter(|path| !exempt.contains(path)) {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in (1..).zip(text.lines()).take_while(|(_, line)| *line != "mod tests {") {
            let code = line.split("//").next().unwrap_or_default();
            let names = names(code);
            found.extend(
                IMPURE
                    .iter()
                    .filter(|impure| names.contains(*impure))
                    .map(|impure| format!("{}:{number}: {impure}", path.strip_prefix(root).unwrap().display())),
            );
        }
    }
    assert!(found.is_empty(), "an effect in a pure module:\n{}", found.join("\n"));
}

#[test]
fn effects_are_found_however_they_are_imported() {
    for line in ["use std::fs;", "use std::{fs, io};", "let x = std :: fs::read(path);", "use std::{io, env::var};"] {
        let names = names(line);
        assert!(IMPURE.iter().any(|impure| names.contains(impure)), "{line}");
    }
    for line in ["use std::fmt;", "a fsynced file", "use std::{fmt, path::Path};", "let fs = 1;"] {
        let names = names(line);
        assert!(!IMPURE.iter().any(|impure| names.contains(impure)), "{line}: {names}");
    }
}

/// A line without spaces, and the members of `std::{a, b}` each with their path.
fn names(code: &str) -> String {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let Some((_, group)) = code.split_once("std::{") else { return code };
    let members: Vec<String> = group.split([',', '{', '}']).map(|member| format!("std::{member}")).collect();
    members.join(" ")
}

/// The sources below a directory that are compiled into the program; one that is not there yet has none.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "tests" {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
            found.push(path);
        }
    }
    found.sort();
    found
}
