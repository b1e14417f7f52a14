//! What `./test` installs for these tests, and where things are.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use antipode::metrics::series::{self, Kind};

/// A path below the root of the source.
pub fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The text of a file below the root of the source.
pub fn text(path: &str) -> String {
    fs::read_to_string(root(path)).unwrap()
}

/// Prometheus' own judge, which `./test` takes out of Debian's package.
pub fn promtool(arguments: &[&str], input: &str) -> Output {
    let program = root("target/laboratory/promtool/usr/bin/promtool");
    assert!(
        program.exists(),
        "{} is missing: run ./test, which installs everything that tests need",
        program.display()
    );
    let mut promtool = Command::new(program);
    promtool.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = promtool.spawn().unwrap();
    running.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    running.wait_with_output().unwrap()
}

/// What a program printed, both streams.
pub fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Every name of a series of ours in a text.
pub fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("antipode_")).collect()
}

/// Every name that samples are written under.
pub fn written() -> BTreeSet<String> {
    let of = |series: series::Series| match series.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"].map(|suffix| format!("{}{suffix}", series.name)).to_vec(),
        Kind::Gauge | Kind::Counter => vec![series.name.to_owned()],
    };
    series::all().flat_map(of).collect()
}

/// Fails for a text that names a series which nobody writes.
#[track_caller]
pub fn assert_written(text: &str) {
    let (names, written) = (names(text), written());
    assert!(!names.is_empty());
    let unknown: Vec<&&str> = names.iter().filter(|name| !written.contains(**name)).collect();
    assert!(unknown.is_empty(), "nobody writes {unknown:?}");
}
