//! What `./test` installs for these tests, and where things are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A path below the root of the source.
pub fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The text of an example.
pub fn example(path: &str) -> String {
    fs::read_to_string(root("examples/gitops").join(path)).unwrap()
}

/// An example as a program that knows only YAML sees it.
pub fn yaml(path: &str) -> serde_json::Value {
    serde_yaml::from_str(&example(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A program of the virtual environment that `./test` makes.
pub fn checker(name: &str) -> Command {
    let path = root("target/laboratory/checkers/bin").join(name);
    assert!(path.exists(), "{} is missing: run ./test, which installs everything that tests need", path.display());
    Command::new(path)
}

/// A program of one of Debian's packages.
pub fn program(name: &str) -> Command {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|part| part.join(name).exists());
    assert!(found, "{name} is missing: run ./test, which installs everything that tests need");
    Command::new(name)
}

/// The antipode of this build.
pub fn antipode() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_antipode"))
}

/// What a command printed, both streams.
pub fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a command that must succeed; what it printed.
#[track_caller]
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, printed(&output));
    printed(&output)
}

/// Runs a command that must fail; what it printed.
#[track_caller]
pub fn fail(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(!output.status.success(), "{command:?} succeeded\n{}", printed(&output));
    printed(&output)
}
