//! The folders keep their directions, and those that compute and nothing else stay pure: what they need of the world is
//! given to them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each module of the program may name besides itself, from the formats up to the commands.
const DIRECTIONS: [(&str, &[&str]); 27] = [
    ("user", &[]),
    ("english", &[]),
    ("barman", &[]),
    ("diag", &["barman"]),
    ("error", &["barman"]),
    ("schedule", &[]),
    ("site", &["barman", "diag", "schedule"]),
    ("gate", &["barman"]),
    ("journal", &["error"]),
    ("store", &["barman", "error", "journal", "schedule", "user"]),
    ("verify", &["barman", "store"]),
    ("transport", &["barman", "error", "site", "user"]),
    ("observe", &["barman", "error", "schedule", "site", "store", "transport", "verify"]),
    ("plan", &["barman", "english", "error", "observe", "schedule", "site", "verify"]),
    ("scrub", &["barman", "observe", "store", "verify"]),
    ("events", &["error", "plan", "transport"]),
    ("render", &["barman", "english", "error", "events", "journal", "observe", "plan", "schedule", "scrub", "site"]),
    ("metrics", &["barman", "error", "events", "plan"]),
    ("plan_file", &["barman", "error", "plan", "render"]),
    ("hooks", &["error", "journal", "plan", "render", "site", "transport"]),
    (
        "apply",
        &[
            "barman",
            "english",
            "error",
            "events",
            "observe",
            "plan",
            "schedule",
            "site",
            "store",
            "transport",
            "verify",
        ],
    ),
    ("cycle", &["apply", "barman", "error", "events", "observe", "plan", "schedule", "site", "store", "transport"]),
    (
        "controller",
        &["barman", "cycle", "drill", "error", "events", "observe", "plan", "schedule", "scrub", "site", "transport"],
    ),
    ("restore", &["barman", "error", "plan", "store", "transport", "verify"]),
    ("drill", &["barman", "error", "observe", "plan", "restore", "site", "store", "transport", "verify"]),
    ("progress", &["error", "events", "plan", "render", "stdout", "transport"]),
    ("demo", &["barman", "verify"]),
];

/// Modules that compute and nothing else.
const PURE: [&str; 10] =
    ["plan", "plan_file", "render", "metrics", "schedule", "site", "barman", "english", "gate", "journal"];

/// Who may touch a file system by itself. A catalog at the site is a matter of the store alone: what observes and what
/// applies see it through [`antipode::store`].
const TOUCHING: [(&str, &str); 11] = [
    ("commands", "files that a user names"),
    ("cycle/lines.rs", "the directory of sockets"),
    ("demo", "catalogs that are made up"),
    ("drill", "the directory that a drill has for itself"),
    ("hooks/webhook.rs", "the file that has an address"),
    ("observe/other_site.rs", "the file of another site over the same catalog"),
    ("observe/site_barman.rs", "barman.conf"),
    ("restore", "the directories that are restored into"),
    ("store", "the catalogs at the site"),
    ("transport", "what a copy brings, where it was told to"),
    ("user.rs", "/etc/passwd"),
];

/// Names and calls that touch a file system.
const TOUCHES: [&str; 9] = [
    "std::fs",
    "unix::fs",
    "rustix::fs",
    "walkdir",
    "tempfile",
    "path.exists()",
    "path.is_file()",
    "path.is_dir()",
    "posix::durable",
];

/// Names and calls that stand for an effect.
const IMPURE: [&str; 18] = [
    "tokio",
    "openssh",
    "rustix",
    "walkdir",
    "std::fs",
    "std::env",
    "std::process",
    "std::net",
    "Timestamp::now",
    "Zoned::now",
    "SystemTime::now",
    "Instant::now",
    ".exists()",
    ".is_file()",
    ".is_dir()",
    ".metadata()",
    ".canonicalize()",
    ".read_dir()",
];

#[test]
fn pure_modules_name_no_effect() {
    let found: Vec<String> = PURE
        .iter()
        .flat_map(|module| sources(module))
        .flat_map(|(path, code)| {
            let found: Vec<String> = effects(&code).map(|effect| format!("{}: {effect}", path.display())).collect();
            found
        })
        .collect();
    assert!(found.is_empty(), "an effect in a pure module:\n{}", found.join("\n"));
}

#[test]
fn modules_name_only_those_below_them() {
    let mut found = Vec::new();
    for (module, allowed) in DIRECTIONS {
        for (path, code) in sources(module) {
            let named = named(&code, "crate::");
            let wrong = named.iter().filter(|name| *name != module && !allowed.contains(&name.as_str()));
            found.extend(wrong.map(|name| format!("{}: {name}", path.display())));
        }
    }
    assert!(found.is_empty(), "a module names one that is not below it:\n{}", found.join("\n"));
}

#[test]
fn only_the_store_touches_the_catalogs_at_the_site() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for path in below(&root) {
        let code = compact(&fs::read_to_string(&path).unwrap());
        let Some(touch) = touches(&code) else { continue };
        let path = path.strip_prefix(&root).unwrap();
        match TOUCHING.iter().find(|(may, _)| path.starts_with(may)) {
            Some((may, _)) => drop(seen.insert(*may)),
            None => wrong.push(format!("{}: {touch}", path.display())),
        }
    }
    assert!(wrong.is_empty(), "a file system is touched beside the store:\n{}", wrong.join("\n"));
    let idle: Vec<_> = TOUCHING.iter().filter(|(may, _)| !seen.contains(may)).collect();
    assert!(idle.is_empty(), "these touch none: {idle:?}");
}

#[test]
fn a_touch_is_found_however_it_is_written() {
    for code in ["use std::{fmt, fs};", "std::fs::read(path)", "use walkdir::WalkDir;", "if path\n    .exists() {"] {
        assert!(touches(&compact(code)).is_some(), "{code}");
    }
    for code in ["use crate::store::File;", "entry.kind.is_dir()", "// std::fs"] {
        assert_eq!(touches(&compact(code)), None, "{code}");
    }
}

/// A direction that nothing takes allows what nobody meant to allow.
#[test]
fn every_direction_is_taken() {
    for (module, allowed) in DIRECTIONS {
        let named: BTreeSet<String> =
            sources(module).into_iter().flat_map(|(_, code)| named(&code, "crate::")).collect();
        let idle: Vec<_> = allowed.iter().filter(|name| !named.contains(**name)).collect();
        assert!(idle.is_empty(), "{module} names nothing of {idle:?}");
    }
}

#[test]
fn effects_and_modules_are_found_however_they_are_imported() {
    for code in [
        "use std::fs;",
        "use std::{\n    fmt,\n    fs::{self, File},\n};",
        "let x = std :: fs::read(path);",
        "use std::{io, env::var};",
        "if path\n    .exists()\n{",
        "use rustix::fs::statat;",
    ] {
        assert!(effects(&compact(code)).next().is_some(), "{code}");
    }
    for code in
        ["use std::fmt;", "a fsynced file", "use std::{fmt, path::Path};", "let fs = 1;", "// std::fs\nlet x = 1;"]
    {
        assert_eq!(effects(&compact(code)).next(), None, "{code}");
    }
    let code =
        compact("use crate::{\n    plan::{self, action},\n    render,\n};\nuse crate::site::Site; crate::apply::go()");
    assert_eq!(Vec::from_iter(named(&code, "crate::")), ["apply", "plan", "render", "site"]);
}

#[test]
#[should_panic(expected = "there is no module nowhere")]
fn a_module_that_is_gone_is_missed() {
    sources("nowhere");
}

/// A kind of change that a wildcard passes over would be free of the budget and unknown to estimates.
#[test]
fn whoever_tells_kinds_of_change_apart_forbids_wildcards() {
    let mut found = Vec::new();
    for (path, code) in DIRECTIONS.iter().flat_map(|(module, _)| sources(module)) {
        let is_asking = ["Change::", "Effect::", "Prerequisite::"].iter().any(|kind| names(&code, kind));
        if is_asking && !code.contains("#![deny(clippy::wildcard_enum_match_arm)]") {
            found.push(format!("{}: wildcards are allowed", path.display()));
        }
        if passes_over(&code) {
            found.push(format!("{}: kinds are passed over", path.display()));
        }
    }
    assert!(found.is_empty(), "a kind of change may be passed over in silence:\n{}", found.join("\n"));
}

#[test]
fn kinds_that_are_passed_over_are_found() {
    for code in [
        "if let Change::AddBackup(copy) = change {}",
        "let Some(Change::CreateServer) = change else { return };",
        "matches!(change, Change::AddBackup(_))",
        "if let Change::AddBackup(copy) | Change::RepairBackup(copy) = change {}",
    ] {
        assert!(passes_over(&compact(code)), "{code}");
    }
    for code in ["match change { Change::CreateServer => 1 }", "let change = Change::CreateServer;", "matches!(x, Y)"] {
        assert!(!passes_over(&compact(code)), "{code}");
    }
    assert!(names("(Change::CreateServer", "Change::") && !names("StaleChange::Key", "Change::"));
}

/// Whether a variant of an enum is named in code without spaces.
fn names(code: &str, kind: &str) -> bool {
    code.match_indices(kind).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Whether code without spaces picks some kinds of change and is silent about the rest.
fn passes_over(code: &str) -> bool {
    let begins = ["let", "letSome("].map(|begin| format!("{begin}Change::"));
    let asks = |at: usize| code[at..].split(')').next().is_some_and(|call| names(call, "Change::"));
    begins.iter().any(|begin| code.contains(begin)) || code.match_indices("matches!(").any(|(at, _)| asks(at))
}

/// The effects that code without spaces names.
fn effects(code: &str) -> impl Iterator<Item = &'static str> + use<> {
    let std: BTreeSet<String> = named(code, "std::").into_iter().map(|name| format!("std::{name}")).collect();
    let code = code.to_owned();
    IMPURE.into_iter().filter(move |effect| match effect.strip_prefix("std::") {
        Some(_) => std.contains(*effect),
        None => code.contains(effect),
    })
}

/// The first thing by which code without spaces touches a file system.
fn touches(code: &str) -> Option<&'static str> {
    let imports_fs = named(code, "std::").contains("fs");
    TOUCHES.into_iter().find(|touch| if *touch == "std::fs" { imports_fs } else { code.contains(touch) })
}

/// The first names behind a prefix in code without spaces, those in braces too.
fn named(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(members(group)),
            None => names.extend(first(rest)),
        }
    }
    names
}

/// The first name of each member of a group, up to its closing brace.
fn members(group: &str) -> Vec<String> {
    let (mut depth, mut begins, mut found) = (0_usize, true, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            _ if begins => {
                found.extend(first(&group[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    found
}

fn first(code: &str) -> Option<String> {
    let name: String = code.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// Code without comments and white space, and without the tests at its end.
fn compact(text: &str) -> String {
    let lines = text.lines().take_while(|line| !line.starts_with("mod tests {"));
    lines.flat_map(|line| line.split("//").next().unwrap_or_default().chars()).filter(|c| !c.is_whitespace()).collect()
}

/// The sources of a module that are compiled into the program, and the code of each without spaces.
fn sources(module: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (file, folder) = (root.join(format!("{module}.rs")), root.join(module));
    assert!(file.exists() || folder.exists(), "there is no module {module}");
    let mut paths = if folder.exists() { below(&folder) } else { Vec::new() };
    paths.extend(file.exists().then_some(file));
    let read = |path: PathBuf| {
        let code = compact(&fs::read_to_string(&path).unwrap());
        (path.strip_prefix(&root).unwrap().to_owned(), code)
    };
    paths.into_iter().map(read).collect()
}

fn below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "tests" {
            found.extend(below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
            found.push(path);
        }
    }
    found.sort();
    found
}
