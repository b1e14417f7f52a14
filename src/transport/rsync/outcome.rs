//! What an rsync that ended has achieved: its exit code and its complaints.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::transport::process::Ended;
use crate::transport::text::printable_tail;
use crate::transport::{TransportError, TransportErrorKind as Kind};

const ENOENT: i32 = 2;
const EACCES: i32 = 13;
const EPERM: i32 = 1;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EDQUOT: i32 = 122;

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The primary's name.
    pub(super) primary: &'a str,
    /// The directory there.
    pub(super) directory: &'a Path,
    /// The files of it that were asked for by name; empty for all.
    pub(super) paths: &'a [PathBuf],
}

/// Who complains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Primary,
    Here,
}

/// One line of rsync's stderr about one path, such as
/// `rsync: [sender] link_stat "/a" failed: No such file or directory (2)`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Complaint {
    side: Side,
    /// The system call or function.
    call: String,
    path: PathBuf,
    errno: i32,
    line: String,
}

impl Complaint {
    fn is_about_directory(&self) -> bool {
        self.side == Side::Primary && self.call.starts_with("change_dir")
    }
}

/// The files that the primary does not have, or why the copy failed.
pub(super) fn judge(ended: &Ended, asked: Asked<'_>) -> Result<Vec<PathBuf>, TransportError> {
    let stderr = String::from_utf8_lossy(&ended.stderr);
    let failure = |kind, what: &str| {
        TransportError::new(kind, format!("primary {}: {what}", asked.primary)).with_stderr(&ended.stderr)
    };
    if stderr.contains("unknown option") || stderr.contains("invalid option") {
        // Exit code 12 like a lost connection, but trying again does not help.
        return Err(failure(Kind::ProgramTooOld, "its rsync does not know what ours asks of it")
            .with_hint("upgrade rsync there to 3.2.3 or newer"));
    }
    let complaints: Vec<Complaint> = stderr.lines().filter_map(complaint).collect();
    if let Some(error) = full_or_read_only(&complaints, asked) {
        return Err(error.with_stderr(&ended.stderr));
    }
    match ended.code {
        Some(0) => Ok(Vec::new()),
        Some(127) => Err(failure(Kind::ProgramMissing, "there is no program `rsync`").with_hint("install rsync there")),
        Some(2) => Err(failure(Kind::Other, "what answers does not speak rsync's protocol").with_hint(
            "its login shell prints something when ssh runs a command: make ~/.bashrc silent when it is not interactive",
        )),
        Some(20) => Err(TransportError::cancelled()),
        Some(23 | 24) => partial(&complaints, &stderr, asked).map_err(|error| error.with_stderr(&ended.stderr)),
        Some(30) => Err(failure(Kind::Lost, "it fell silent for longer than `timeouts.idle`")),
        // With a list of names, a directory that is not there ends the connection too.
        Some(10 | 12) if complaints.iter().any(Complaint::is_about_directory) => {
            let complaints: Vec<_> = complaints.into_iter().filter(Complaint::is_about_directory).collect();
            Err(refused(&complaints, asked)
                .unwrap_or_else(|| failure(Kind::Other, "rsync cannot enter the directory"))
                .with_stderr(&ended.stderr))
        }
        Some(10 | 12 | 35 | 255) => Err(failure(Kind::Lost, "the connection was lost during a copy")),
        Some(code) => Err(refused(&complaints, asked)
            .unwrap_or_else(|| failure(Kind::Other, &format!("rsync failed with exit code {code}")))
            .with_stderr(&ended.stderr)),
        None => Err(failure(Kind::Other, "rsync was ended by a signal here")),
    }
}

/// Our own disk comes first: whatever else is said follows from it.
fn full_or_read_only(complaints: &[Complaint], asked: Asked<'_>) -> Option<TransportError> {
    complaints.iter().filter(|complaint| complaint.side == Side::Here).find_map(|complaint| {
        let (kind, what) = match complaint.errno {
            ENOSPC => (Kind::NoSpace, "the file system here is full"),
            EDQUOT => (Kind::NoSpace, "the quota here is used up"),
            EROFS => (Kind::ReadOnly, "the file system here is read-only"),
            _ => return None,
        };
        let path = printable_tail(complaint.path.to_string_lossy().as_bytes());
        Some(TransportError::new(kind, format!("primary {}: {what} ({path})", asked.primary)))
    })
}

/// Exit codes 23 and 24: all that could be copied was. Missing files are an answer, anything else is an error.
fn partial(complaints: &[Complaint], stderr: &str, asked: Asked<'_>) -> Result<Vec<PathBuf>, TransportError> {
    let mut missing: BTreeSet<PathBuf> =
        stderr.lines().filter_map(vanished).map(|path| relative(path, asked)).collect();
    let named: BTreeSet<&PathBuf> = asked.paths.iter().collect();
    let mut others = Vec::new();
    for complaint in complaints {
        let path = relative(&complaint.path, asked);
        let is_ours = complaint.side == Side::Primary && complaint.errno == ENOENT && complaint.path != asked.directory;
        if is_ours && (named.is_empty() || named.contains(&path)) {
            missing.insert(path);
        } else {
            others.push(complaint.clone());
        }
    }
    if let Some(error) = refused(&others, asked) {
        return Err(error);
    }
    if missing.is_empty() {
        let message = format!("primary {}: rsync could not copy everything", asked.primary);
        return Err(TransportError::new(Kind::Other, message));
    }
    Ok(missing.into_iter().collect())
}

/// The error that the first of these complaints is.
fn refused(complaints: &[Complaint], asked: Asked<'_>) -> Option<TransportError> {
    let complaint = complaints.first()?;
    let path = printable_tail(complaint.path.to_string_lossy().as_bytes());
    let (there, user) = match complaint.side {
        Side::Primary => ("there", "the user that ssh logs in as"),
        Side::Here => ("here", "our user"),
    };
    let (kind, what) = match complaint.errno {
        EACCES | EPERM => (Kind::PermissionDenied, format!("{user} may not access {path} {there}")),
        ENOENT => (Kind::NotFound, format!("{path} does not exist {there}")),
        _ => (Kind::Other, printable_tail(complaint.line.as_bytes())),
    };
    Some(TransportError::new(kind, format!("primary {}: {what}", asked.primary)))
}

fn relative(path: &Path, asked: Asked<'_>) -> PathBuf {
    path.strip_prefix(asked.directory).unwrap_or(path).to_owned()
}

fn vanished(line: &str) -> Option<&Path> {
    let (_, path) = line.split_once("file has vanished: \"")?;
    Some(Path::new(path.rsplit_once('"')?.0))
}

fn complaint(line: &str) -> Option<Complaint> {
    let rest = line.strip_prefix("rsync: ")?;
    // Before 3.2 rsync did not say which side; it is then an old primary that speaks.
    let (side, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((side, rest)) if side.eq_ignore_ascii_case("sender") => (Side::Primary, rest),
        Some((_, rest)) => (Side::Here, rest),
        None => (Side::Primary, rest),
    };
    let (call, rest) = rest.split_once('"')?;
    let (path, reason) = rest.rsplit_once('"')?;
    let (_, errno) = reason.rsplit_once('(')?;
    let errno = errno.trim_end().strip_suffix(')')?.parse().ok()?;
    Some(Complaint { side, call: call.trim().to_owned(), path: path.into(), errno, line: line.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(code: i32, stderr: &str, paths: &[&str]) -> Result<Vec<PathBuf>, TransportError> {
        let ended = Ended { code: Some(code), stderr: stderr.into(), cancelled: false };
        let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
        judge(&ended, Asked { primary: "p", directory: Path::new("/src"), paths: &paths })
    }

    const PARTIAL: &str = "rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1956) [generator=3.5.0]\n";

    #[test]
    fn files_asked_for_by_name_may_be_missing() {
        let stderr =
            format!("rsync: [sender] link_stat \"/src/w/a \"q\"\" failed: No such file or directory (2)\n{PARTIAL}");
        assert_eq!(judged(23, &stderr, &["w/a \"q\"", "b"]), Ok(vec!["w/a \"q\"".into()]));
        let old = "rsync: link_stat \"/src/b\" failed: No such file or directory (2)\n";
        assert_eq!(judged(23, old, &["b"]), Ok(vec!["b".into()]));
        let gone = "file has vanished: \"/src/d/x\"\nrsync warning: some files vanished before they could be transferred (code 24)\n";
        assert_eq!(judged(24, gone, &[]), Ok(vec!["d/x".into()]));
    }

    #[test]
    fn real_failures_of_rsync_are_understood() {
        for (code, stderr, kind, word) in [
            (
                23,
                "rsync: [sender] change_dir \"/src\" failed: No such file or directory (2)\n",
                Kind::NotFound,
                "/src does not exist there",
            ),
            (
                23,
                "rsync: [sender] send_files failed to open \"/src/secret\": Permission denied (13)\n",
                Kind::PermissionDenied,
                "ssh logs in as may not access /src/secret",
            ),
            (
                3,
                "rsync: [Receiver] change_dir#1 \"/dst\" failed: Permission denied (13)\n",
                Kind::PermissionDenied,
                "our user",
            ),
            (
                11,
                "rsync: [receiver] write failed on \"/dst/big\": No space left on device (28)\n",
                Kind::NoSpace,
                "/dst/big",
            ),
            (
                23,
                "rsync: [receiver] mkstemp \"/dst/.x\" failed: Read-only file system (30)\n",
                Kind::ReadOnly,
                "read-only",
            ),
            (23, "rsync: [receiver] mkstemp \"/dst/.x\" failed: Disk quota exceeded (122)\n", Kind::NoSpace, "quota"),
            (
                23,
                "rsync: [sender] read errors mapping \"/src/x\": Input/output error (5)\n",
                Kind::Other,
                "Input/output",
            ),
            (127, "bash: line 1: rsync: command not found\n", Kind::ProgramMissing, "no program `rsync`"),
            (2, "protocol version mismatch -- is your shell clean?\n", Kind::Other, "protocol"),
            (12, "rsync: --foo: unknown option\n", Kind::ProgramTooOld, "does not know"),
            (12, "rsync: connection unexpectedly closed (0 bytes received so far) [Receiver]\n", Kind::Lost, "lost"),
            (
                12,
                "rsync: [sender] change_dir \"/src\" failed: No such file or directory (2)\n",
                Kind::NotFound,
                "not exist there",
            ),
            (30, "[Receiver] io timeout after 3 seconds -- exiting\n", Kind::Lost, "silent"),
            (255, "Connection closed by UNKNOWN port 65535\n", Kind::Lost, "lost"),
            (23, PARTIAL, Kind::Other, "everything"),
        ] {
            let error = judged(code, stderr, &["x"]).unwrap_err();
            assert_eq!(error.kind, kind, "{stderr}");
            assert!(error.message.contains(word), "{}", error.message);
        }
    }

    #[test]
    fn one_file_that_may_not_be_read_is_not_hidden_by_one_that_is_missing() {
        let stderr = "rsync: [sender] link_stat \"/src/a\" failed: No such file or directory (2)\n\
                      rsync: [sender] send_files failed to open \"/src/b\": Permission denied (13)\n";
        assert_eq!(judged(23, stderr, &["a", "b"]).unwrap_err().kind, Kind::PermissionDenied);
    }
}
