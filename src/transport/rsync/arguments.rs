//! rsync's command line.
//!
//! A directory of the primary goes through the shell there, and may have any printable character in its name. Before
//! 3.2.4 rsync hands it on as it is; since then it quotes for the shell by itself, all but the wildcards, which have a
//! backslash before them where they are meant literally. `--protect-args`, which needs no quoting, is not used: its
//! server expands wildcards too, by rules in which a backslash means this or that, and restricted shells refuse it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::transport::paths::{PARTIAL_DIR, SCRATCH_PREFIX};
use crate::transport::{Compare, Fetch, Look, What};

use super::version::{NONREG, QUOTES, Version};

/// PostgreSQL's page. By default rsync compares a file of 1 GiB in blocks of 32 KiB, of which most differ sooner.
const PAGE: u32 = 8192;

/// What each copy says of files.
const COPYING: [&str; 9] = [
    "--times",
    "--perms",
    // What modes the primary has is its own matter: who else may read it here is decided when it is whole.
    "--chmod=D0700,F0600",
    "--no-owner",
    "--no-group",
    // Times to the nanosecond: by default a file that changed within the same second, in its content only, is skipped.
    "--modify-window=-1",
    // Each file is told when it is there.
    "--outbuf=L",
    "--no-h",
    "--out-format=",
];

/// Runs the remote shell, and tells on stderr how it ended. rsync does not always: it exits with 12 when the other side has
/// closed its pipes, and with the code of ssh only if that has ended by then.
const TELLING: &str = r#""$@"; code=$?; [ $code = 0 ] || echo "remote shell: $code" >&2; exit $code"#;

/// The exit code that [`TELLING`] told, if it is none of success, and the rest of stderr.
pub(super) fn told(stderr: &str) -> (Option<i32>, String) {
    let code = |line: &str| line.strip_prefix("remote shell: ")?.parse().ok();
    // A last line of the primary that has no end runs into ours.
    let told = stderr.lines().rev().find_map(|line| code(&line[line.find("remote shell: ")?..]));
    (told, stderr.lines().filter(|line| code(line).is_none()).map(|line| format!("{line}\n")).collect())
}

/// How the primary is reached.
#[derive(Debug, Clone)]
pub(super) struct Way {
    /// The words of the ssh that goes through the master.
    pub(super) remote_shell: Vec<OsString>,
    /// When silence means that the connection is lost.
    pub(super) idle: Duration,
    /// Of the rsync here.
    pub(super) version: Version,
}

/// The directories in a listed one that a listing passes over: together the two halves list each directory once. The
/// names of an archive's count upwards in hexadecimal digits, so that either has about as many.
pub(super) const HALVES: [&str; 2] = ["/*[0-7]/", "/*[!0-7]/"];

/// Lists a directory and all below it, but for the directories in it whose path a pattern of rsync's matches.
pub(super) fn list_arguments(directory: &Path, passed_over: Option<&str>, way: &Way) -> Vec<OsString> {
    let mut arguments = common(way);
    // Sizes without separators; names with their bytes above 127 as they are. A million lines are not written one by one.
    arguments.extend(["--outbuf=B", "--list-only", "--no-h", "--recursive"].map(OsString::from));
    arguments.extend(passed_over.map(|pattern| format!("--exclude={pattern}").into()));
    arguments.push("--".into());
    arguments.push(source(directory, way));
    arguments
}

/// Looks at what standard input names. rsync asks for a target, although nothing is copied to one.
pub(super) fn look_arguments(request: &Look, way: &Way) -> Vec<OsString> {
    let mut arguments = common(way);
    let listed = ["--outbuf=B", "--list-only", "--no-h", "--dirs", "--no-implied-dirs", "--ignore-missing-args"];
    arguments.extend(listed.map(OsString::from));
    arguments.extend(["--files-from=-", "--from0", "--"].map(OsString::from));
    arguments.push(source(&request.from, way));
    arguments.push("/".into());
    arguments
}

/// Copies files. `scratch` is a directory for temporary files on the file system of the target; a part needs none.
pub(super) fn fetch_arguments(request: &Fetch, way: &Way, scratch: Option<&Path>) -> Vec<OsString> {
    let mut arguments = common(way);
    arguments.extend(COPYING.map(OsString::from));
    // Bytes so far; the total; links left out. No names, so that none can pose as one of these.
    arguments.push("--info=progress2,stats1,name1".into());
    arguments.extend((way.version >= NONREG).then(|| "--info=nonreg0".into()));
    if let Some(scratch) = scratch {
        // `-W` would discard what a partial file holds. Without an older version nothing is compared, so it costs nothing.
        arguments.push("--no-whole-file".into());
        arguments.push(format!("--partial-dir={PARTIAL_DIR}").into());
        arguments.push(joined("--temp-dir=", scratch.as_os_str()));
    }
    arguments.push(format!("--exclude={SCRATCH_PREFIX}*").into());
    let listed = ["--files-from=-", "--from0"].map(OsString::from);
    match &request.what {
        What::Files { flatten, .. } => {
            arguments.extend(listed);
            arguments.push(if *flatten { "--no-relative" } else { "--no-implied-dirs" }.into());
            if request.limit.skips {
                arguments.push(format!("--max-size={}", request.limit.largest).into());
            }
        }
        What::Directories { exclude } => {
            arguments.extend(["--recursive", "--links", "--safe-links"].map(OsString::from));
            arguments.extend(excludes(exclude));
            // A filter cannot tell a link from a file, but the size of a link is not looked at.
            arguments.push("--max-size=0".into());
        }
        What::Part(_) => {
            arguments.extend(listed);
            arguments.extend(["--no-relative", "--append"].map(OsString::from));
        }
    }
    if let Some(basis) = &request.basis {
        arguments.push(joined("--copy-dest=", basis.as_os_str()));
        arguments.push(format!("--block-size={PAGE}").into());
    }
    if request.compress {
        // The two agree on what both know: zstd from 3.2.3 on, where they are built with it.
        arguments.extend(["--compress", "--compress-level=1"].map(OsString::from));
    }
    if request.compare == Compare::Content {
        arguments.push("--checksum".into());
    }
    if let Some(bytes) = request.bandwidth {
        // In KiB, where 0 would mean unlimited.
        arguments.push(format!("--bwlimit={}", bytes.div_ceil(1024).max(1)).into());
    }
    arguments.push("--".into());
    arguments.push(source(&request.from, way));
    arguments.push(with_slash(request.into.as_os_str().to_owned()));
    arguments
}

/// A slash at its beginning anchors a pattern at the root of the tree.
fn excludes(paths: &[PathBuf]) -> impl Iterator<Item = OsString> {
    paths.iter().map(|path| joined("--exclude=/", path.as_os_str()))
}

fn common(way: &Way) -> Vec<OsString> {
    let telling = ["sh", "-c", TELLING, "sh"].map(OsString::from);
    let remote_shell = shell_text(telling.iter().chain(&way.remote_shell));
    let mut arguments: Vec<OsString> = vec!["-e".into(), remote_shell, "--no-motd".into()];
    arguments.push(format!("--timeout={}", way.idle.as_secs().max(1)).into());
    arguments.push("--8-bit-output".into());
    // Some are built with the opposite as their default.
    arguments.push("--no-protect-args".into());
    arguments
}

/// The host's name is never looked up: the master knows where it goes.
fn source(directory: &Path, way: &Way) -> OsString {
    let is_quoted = |byte: u8| match way.version {
        version if version >= QUOTES => b"*?[]".contains(&byte),
        _ => byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"/._-".contains(&byte),
    };
    let mut text = b"none:".to_vec();
    for byte in directory.as_os_str().as_bytes() {
        text.extend(is_quoted(*byte).then_some(b'\\'));
        text.push(*byte);
    }
    // After the name: a slash that is quoted would be none to rsync.
    with_slash(OsString::from_vec(text))
}

fn joined(prefix: &str, rest: &OsStr) -> OsString {
    let mut text = OsString::from(prefix);
    text.push(rest);
    text
}

/// With a slash at its end: the contents, not the directory.
fn with_slash(mut path: OsString) -> OsString {
    if !path.as_bytes().ends_with(b"/") {
        path.push("/");
    }
    path
}

/// Words as `-e` takes them: rsync splits at spaces, and a quote within quotes is doubled.
fn shell_text<'a>(words: impl Iterator<Item = &'a OsString>) -> OsString {
    let mut text = Vec::new();
    for word in words {
        if !text.is_empty() {
            text.push(b' ');
        }
        text.push(b'\'');
        for byte in word.as_bytes() {
            text.extend(std::iter::repeat_n(*byte, if *byte == b'\'' { 2 } else { 1 }));
        }
        text.push(b'\'');
    }
    OsString::from_vec(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Limit, Part};

    fn way(version: [u32; 3]) -> Way {
        Way {
            remote_shell: ["ssh", "-S", "/run/it's/s"].map(OsString::from).to_vec(),
            idle: Duration::from_secs(120),
            version: Version(version),
        }
    }

    fn fetch(what: What) -> Fetch {
        Fetch {
            from: "/src dir".into(),
            into: "/dst".into(),
            what,
            basis: None,
            compare: Compare::Times,
            bandwidth: None,
            taps: Vec::new(),
            compress: false,
            limit: Limit::of([1 << 40]),
        }
    }

    fn text(arguments: &[OsString]) -> Vec<&str> {
        arguments.iter().map(|word| word.to_str().unwrap()).collect()
    }

    #[test]
    fn the_remote_shell_is_one_quoted_word() {
        let arguments = list_arguments(Path::new("/d"), Some(HALVES[0]), &way([3, 5, 0]));
        assert_eq!(text(&arguments)[0], "-e");
        let shell = text(&arguments)[1];
        assert!(
            shell.starts_with("'sh' '-c' '\"$@\"; ") && shell.ends_with("' 'sh' 'ssh' '-S' '/run/it''s/s'"),
            "{shell}"
        );
        assert_eq!(text(&arguments).last(), Some(&"none:/d/"));
    }

    #[test]
    fn an_old_rsync_leaves_all_quoting_to_us_and_a_newer_one_that_of_wildcards() {
        for (directory, old, new) in [
            ("/d", "none:/d/", "none:/d/"),
            ("/it's a [b]*?", r"none:/it\'s\ a\ \[b\]\*\?/", r"none:/it's a \[b\]\*\?/"),
            (r"/a\b/é$x", r"none:/a\\b/é\$x/", r"none:/a\b/é$x/"),
            (r"/a\", r"none:/a\\/", r"none:/a\/"),
        ] {
            for (version, expected) in [([3, 2, 3], old), ([3, 2, 4], new)] {
                let arguments = list_arguments(Path::new(directory), None, &way(version));
                assert_eq!(text(&arguments).last(), Some(&expected));
                assert!(text(&arguments).contains(&"--no-protect-args"));
            }
        }
    }

    #[test]
    fn an_old_rsync_is_asked_for_nothing_that_it_does_not_know() {
        let request = fetch(What::Files { paths: vec![], flatten: true });
        for (version, is_asked) in [([3, 2, 3], false), ([3, 2, 4], true)] {
            let arguments = fetch_arguments(&request, &way(version), Some(Path::new("/t")));
            assert_eq!(text(&arguments).iter().any(|word| word.contains("nonreg")), is_asked, "{version:?}");
        }
    }

    #[test]
    fn nothing_is_ever_written_in_place_or_linked() {
        let directories = What::Directories { exclude: vec!["backup.info".into()] };
        for what in [What::Files { paths: vec![], flatten: true }, directories] {
            let request = Fetch { basis: Some("/old".into()), bandwidth: Some(1), ..fetch(what) };
            let arguments = fetch_arguments(&request, &way([3, 5, 0]), Some(Path::new("/dst/.antipode-x")));
            let words = text(&arguments);
            for never in ["--inplace", "--append", "--whole-file", "-W", "--owner", "--devices", "--copy-links"] {
                assert!(!words.contains(&never), "{never}");
            }
            assert!(!words.iter().any(|word| word.starts_with("--link-dest") || word.starts_with("--delete")));
            assert!(words.contains(&"--copy-dest=/old") && words.contains(&"--bwlimit=1"));
            assert!(!words.contains(&"--compress"));
            assert!(words.contains(&"--temp-dir=/dst/.antipode-x"));
            assert_eq!(words[words.len() - 3..], ["--", "none:/src dir/", "/dst/"]);
        }
    }

    #[test]
    fn a_part_is_appended_to_what_is_here_and_needs_no_temporary_file() {
        let part = Part { path: "a/b".into(), bytes: 10..20, size: 30 };
        let request = Fetch { bandwidth: Some(1), compress: true, ..fetch(What::Part(part)) };
        let arguments = fetch_arguments(&request, &way([3, 5, 0]), None);
        let words = text(&arguments);
        for word in ["--append", "--no-relative", "--times", "--perms", "--bwlimit=1", "--compress"] {
            assert!(words.contains(&word), "{word}");
        }
        for never in ["--partial-dir", "--temp-dir", "--no-whole-file", "--append-verify"] {
            assert!(!words.iter().any(|word| word.starts_with(never)), "{never}");
        }
    }

    #[test]
    fn directories_follow_no_link_and_a_list_makes_no_directory_of_the_primary() {
        let directories = fetch(What::Directories { exclude: vec!["x".into()] });
        let directories = fetch_arguments(&directories, &way([3, 5, 0]), Some(Path::new("/t")));
        for word in ["--safe-links", "--exclude=/x", "--max-size=0"] {
            assert!(text(&directories).contains(&word), "{word}");
        }
        let nested = fetch(What::Files { paths: vec!["a/b".into()], flatten: false });
        assert!(text(&fetch_arguments(&nested, &way([3, 5, 0]), Some(Path::new("/t")))).contains(&"--no-implied-dirs"));
        let flat = fetch(What::Files { paths: vec!["a/b".into()], flatten: true });
        assert!(text(&fetch_arguments(&flat, &way([3, 5, 0]), Some(Path::new("/t")))).contains(&"--no-relative"));
    }
}
