//! rsync as the side that sends, with the options that a site gives it and no others.
//!
//! What an rsync asks of the one at the other side is in "rsync options.c", `server_options`. An option is taken only when
//! it is known here, whole and with a value of the right form, so that neither a shortened name nor a value that is an option
//! gets through. None of them writes, deletes, opens a file that it names, runs a program, or follows a link.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::{Refusal, Sending, shown};

/// Options in one letter: directories, recursively, relative, links as links, times, modes, owners and groups as numbers or
/// not, by checksum, whole files, compressed, on one file system, sparse, hard links, verbosely.
const LETTERS: &[u8] = b"drRltpogcWzxSHIvq";

/// Options without a value.
const FLAGS: [&str; 14] = [
    "--list-only",
    "--files-from=-",
    "--from0",
    "--no-implied-dirs",
    "--no-relative",
    "--no-r",
    "--no-R",
    "--ignore-missing-args",
    "--safe-links",
    "--append",
    "--numeric-ids",
    "--new-compress",
    "--old-compress",
    "--no-W",
];

/// Options with a number.
const NUMBERS: [&str; 6] = ["--timeout=", "--bwlimit=", "--compress-level=", "--modify-window=", "-B", "-@"];

/// Options with one of these words.
const CHOICES: [(&str, &[&str]); 3] = [
    ("--info=", &["NAME", "STATS", "NAME,STATS", "NONREG0", "NONREG"]),
    ("--compress-choice=", &["zstd", "lz4", "zlibx", "zlib", "none"]),
    ("--checksum-choice=", &["auto", "xxh128", "xxh3", "xxh64", "md5"]),
];

/// Reads the words behind `rsync`.
pub fn read(words: &[OsString]) -> Result<Sending, Refusal> {
    let [server, sender, rest @ ..] = words else { return Err(Refusal::NotSending) };
    if server != "--server" || sender != "--sender" {
        return Err(Refusal::NotSending);
    }
    let end = rest.iter().position(|word| !word.as_bytes().starts_with(b"-")).unwrap_or(rest.len());
    let (options, named) = rest.split_at(end);
    if let Some(option) = options.iter().find(|option| !is_harmless(option)) {
        return Err(Refusal::Option(shown(option)));
    }
    match named {
        [dot, directory] if dot == "." && !directory.is_empty() && !directory.as_bytes().starts_with(b"-") => {
            Ok(Sending { options: options.to_vec(), directory: PathBuf::from(directory) })
        }
        _ => Err(Refusal::NotOneDirectory),
    }
}

/// Whether an option only says what is read, and how it is told.
pub fn is_harmless(option: &OsStr) -> bool {
    let Some(option) = option.to_str() else { return false };
    FLAGS.contains(&option)
        || NUMBERS.iter().filter_map(|name| option.strip_prefix(name)).any(is_number)
        || CHOICES.iter().any(|(name, words)| option.strip_prefix(name).is_some_and(|word| words.contains(&word)))
        || is_cluster(option)
}

/// A number as rsync writes one: a window may be negative.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (1..=12).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Letters, and behind `e.` what the other side knows of the protocol, which is no option.
fn is_cluster(option: &str) -> bool {
    let Some(cluster) = option.strip_prefix('-') else { return false };
    let (letters, abilities) = match cluster.split_once('e') {
        Some((letters, abilities)) => (letters, abilities.strip_prefix('.')),
        None => (cluster, Some("")),
    };
    let is_known = |letter: u8| LETTERS.contains(&letter);
    (!letters.is_empty() || cluster.starts_with("e."))
        && letters.bytes().all(is_known)
        && abilities.is_some_and(|abilities| abilities.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_harmless_only_when_they_are_known_whole() {
        for option in ["-re.iLsfxCIvu", "-e.LsfxC", "-rlt", "--timeout=120", "-@-1", "-B8192", "--info=NAME,STATS"] {
            assert!(is_harmless(OsStr::new(option)), "{option}");
        }
        for option in
            ["", "-", "--", "-e", "-e.L/x", "-re.L-x", "--timeout=1x", "-@", "--timeout=--x", "--from", "--FROM0"]
        {
            assert!(!is_harmless(OsStr::new(option)), "{option}");
        }
    }

    #[test]
    fn a_name_that_is_not_text_is_a_directory_and_no_option() {
        let word = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        let words = [word(b"--server"), word(b"--sender"), word(b"-re.L"), word(b"."), word(b"/d\xff/")];
        assert_eq!(read(&words).unwrap().directory.as_os_str(), word(b"/d\xff/"));
        assert!(!is_harmless(&word(b"--\xff")));
    }
}
