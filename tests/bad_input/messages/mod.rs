//! A table of causes and messages: what a person reads for each mistake that can be made in a site file, and for each way
//! in which ssh, rsync or a directory can fail.
//!
//! The causes are in the modules below, the messages in `snapshots/`, and [`sources`] holds that no message of the code is
//! missing there: one that nobody can cause would be one that nobody has read.

mod connections;
mod copies;
mod site_files;
mod sources;

use std::path::Path;

use rayon::prelude::*;

use crate::bench::Finished;

/// Something that goes wrong, in words for the table, and what the program wrote of it.
struct Told {
    cause: String,
    output: String,
}

impl Told {
    /// Of a command in a directory, whose name differs from run to run.
    fn new(cause: impl Into<String>, finished: &Finished, directory: &Path) -> Self {
        let cause = cause.into();
        assert_eq!(finished.code, Some(1), "{cause}: {finished}");
        let output = finished.output.replace(&directory.display().to_string(), "DIRECTORY");
        let mut told = Self { cause, output: output.replace("--- stderr\n", "") };
        told.forget(" at path ");
        told
    }

    /// Leaves out what stands between these words in a line, as it differs from user to user.
    fn forget_between(&mut self, before: &str, after: &str) {
        let line =
            |line: &str| match line.split_once(before).and_then(|(start, rest)| Some((start, rest.split_once(after)?)))
            {
                Some((start, (_, end))) => format!("{start}{before}…{after}{end}"),
                None => line.to_owned(),
            };
        self.output = self.output.lines().map(line).collect::<Vec<_>>().join("\n");
    }

    /// Leaves out what follows these words in a line, as it differs from run to run.
    fn forget(&mut self, words: &str) {
        let lines = self.output.lines().map(|line| line.split_once(words).map_or(line, |(before, _)| before));
        self.output = lines.collect::<Vec<_>>().join("\n");
    }
}

/// Tries all causes, several at once.
fn tried<C: Sync>(causes: &[C], told: impl Fn(&C) -> Told + Sync + Send) -> Vec<Told> {
    causes.par_iter().map(told).collect()
}

/// The table: each cause with its message below it.
fn table(told: &[Told]) -> String {
    told.iter().map(|Told { cause, output }| format!("=== {}\n{}\n", cause.trim_end(), output.trim_end())).collect()
}
