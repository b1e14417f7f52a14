//! What an rsync that ended has achieved: its exit code and its complaints.
//!
//! Nothing counts as done but exit code 0, and 23 and 24 where every complaint is about a file that the primary does not
//! have. Nothing counts as our own cancellation but a token of ours that fired: exit code 20 also comes when somebody
//! ends the primary's rsync with SIGTERM or SIGHUP, as a reboot does. Whoever is ended from outside, or hears no more of
//! the other side, has lost the connection, and the copy is tried again; every other code is a failure.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind};
use crate::transport::gated;
use crate::transport::process::{Ended, How};
use crate::transport::text::printable_tail;

use super::arguments::told;

const ENOENT: i32 = 2;
const EACCES: i32 = 13;
const EPERM: i32 = 1;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EDQUOT: i32 = 122;
const EFBIG: i32 = 27;

/// Nothing came, from rsync's own view or from ours.
const SILENT: &str = "it fell silent for longer than `timeouts.idle`";

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

impl Asked<'_> {
    /// The path below the directory, of a file that was asked for, by one of these names or as any; `None` of any other.
    ///
    /// The other side tells paths from its root. Of a directory below where a login begins nobody knows here where that is.
    fn below(&self, path: &Path, named: &BTreeSet<&Path>) -> Option<PathBuf> {
        let directory = self.directory.strip_prefix(".").unwrap_or(self.directory);
        let is_directory = |before: &&Path| {
            if self.directory.is_absolute() { *before == directory } else { before.ends_with(directory) }
        };
        let below = |before| path.strip_prefix(before).ok();
        let is_asked_for = |path: &&Path| named.is_empty() || named.contains(path);
        path.ancestors().skip(1).filter(is_directory).filter_map(below).find(is_asked_for).map(Path::to_owned)
    }
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
pub(super) fn judge(ended: &Ended, asked: Asked<'_>) -> Result<Vec<PathBuf>, Error> {
    let (told, stderr) = told(&String::from_utf8_lossy(&ended.stderr));
    let said = || printable_tail(stderr.as_bytes());
    let failure = |kind, what: &str| Error::new(kind, format!("primary {}: {what}", asked.primary)).saying(said());
    if stderr.contains("unknown option") || stderr.contains("invalid option") {
        // Exit code 12 like a lost connection, but trying again does not help.
        return Err(failure(Kind::ProgramTooOld, "its rsync does not know what ours asks of it")
            .hint("upgrade rsync there to 3.2.3 or newer"));
    }
    let complaints: Vec<Complaint> = stderr.lines().filter_map(complaint).collect();
    if let Some(error) = full_or_read_only(&complaints, asked) {
        return Err(error.saying(said()));
    }
    let code = match ended.how {
        How::Exited(code) => code,
        How::Cancelled => return Err(Error::interrupted()),
        How::Silent => return Err(failure(Kind::Lost, SILENT)),
        How::Killed(signal) => {
            let what = format!("rsync was ended here by signal {signal} (is this machine short of memory?)");
            return Err(failure(Kind::Lost, &what));
        }
    };
    if let Some(error) = gated::refusal(asked.primary, stderr.as_bytes()).filter(|_| code != 0) {
        return Err(error);
    }
    if matches!(code, 0 | 23 | 24) && !ended.is_output_whole {
        return Err(failure(Kind::Lost, "the output of rsync was cut off"));
    }
    let is_about_directory = complaints.iter().any(Complaint::is_about_directory);
    // Of a remote shell that ended without ssh's own 255 the connection is not to blame.
    match told.filter(|there| matches!(code, 10 | 12) && !is_about_directory && !matches!(there, 23 | 24 | 255)) {
        Some(there) => exited(there, &complaints, &theirs(&stderr), asked),
        None => exited(code, &complaints, &stderr, asked),
    }
}

/// What an exit code means, of the rsync here or of the remote shell, with what was complained of and said.
fn exited(code: i32, complaints: &[Complaint], stderr: &str, asked: Asked<'_>) -> Result<Vec<PathBuf>, Error> {
    let said = || printable_tail(stderr.as_bytes());
    let failure = |kind, what: &str| Error::new(kind, format!("primary {}: {what}", asked.primary)).saying(said());
    // With a list of names, a directory that is not there ends the connection too.
    if let (10 | 12, Some(complaint)) = (code, complaints.iter().find(|complaint| complaint.is_about_directory())) {
        return Err(refused(complaint, asked).saying(said()));
    }
    match code {
        0 => Ok(Vec::new()),
        2 => Err(failure(Kind::Other, "what answers does not speak rsync's protocol").hint(
            "its login shell prints something when ssh runs a command: make ~/.bashrc silent when it is not interactive",
        )),
        23 | 24 => partial(complaints, stderr, asked).map_err(|error| error.saying(said())),
        126 | 127 => Err(failure(Kind::ProgramMissing, "there is no program `rsync`").hint("install rsync 3.2.3 or newer there")),
        code => Err(match lost(code, stderr) {
            Some(what) => failure(Kind::Lost, what),
            None => match complaints.first() {
                Some(complaint) => refused(complaint, asked).saying(said()),
                None => failure(Kind::Other, &format!("rsync failed with exit code {code}")),
            },
        }),
    }
}

/// What is said besides the complaint of the rsync here that the other side has gone.
fn theirs(stderr: &str) -> String {
    let is_ours = |line: &str| line.starts_with("rsync error: ") || line.starts_with("rsync: connection unexpectedly");
    stderr.lines().filter(|line| !is_ours(line)).map(|line| format!("{line}\n")).collect()
}

/// What ended a copy from outside, by the exit code; `None` for the codes that tell of a fault which stays.
///
/// The codes are those of rsync(1), of ssh (255) and of a shell that tells of a signal (128 and its number).
fn lost(code: i32, stderr: &str) -> Option<&'static str> {
    match code {
        10 | 12 | 35 | 255 => Some("the connection was lost during a copy"),
        30 => Some(SILENT),
        19 | 20 | 129..=159 => Some("rsync was ended by a signal, there or here, during a copy"),
        // Its own processes: no pipe or process could be had, one crashed, one was killed, one could not be waited for.
        14 | 15 | 16 | 21 => Some("a process of rsync was ended, there or here, during a copy"),
        // A list that is longer than it allows stays so.
        22 if !stderr.contains("max-alloc") => Some("rsync ran out of memory, there or here"),
        124 | 125 => Some("ssh was ended during a copy"),
        _ => None,
    }
}

/// Our own disk comes first, and what a file may be: whatever else is said follows from it.
fn full_or_read_only(complaints: &[Complaint], asked: Asked<'_>) -> Option<Error> {
    complaints.iter().filter(|complaint| complaint.side == Side::Here).find_map(|complaint| {
        let (kind, what) = match complaint.errno {
            ENOSPC => (Kind::NoSpace, "the file system here is full"),
            EDQUOT => (Kind::NoSpace, "the quota here is used up"),
            EROFS => (Kind::ReadOnly, "the file system here is read-only"),
            EFBIG => (Kind::Untrusted, "more came of a file than there was"),
            _ => return None,
        };
        let path = printable_tail(complaint.path.to_string_lossy().as_bytes());
        Some(Error::new(kind, format!("primary {}: {what} ({path})", asked.primary)))
    })
}

/// Exit codes 23 and 24: all that could be copied was. Missing files are an answer, anything else is an error: also a path
/// that nobody asked for, as a directory whose name a shell there took apart would else count as empty.
fn partial(complaints: &[Complaint], stderr: &str, asked: Asked<'_>) -> Result<Vec<PathBuf>, Error> {
    let named = asked.paths.iter().map(PathBuf::as_path).collect();
    let mut missing = BTreeSet::new();
    for complaint in complaints {
        let is_theirs = complaint.side == Side::Primary && complaint.errno == ENOENT;
        match asked.below(&complaint.path, &named).filter(|_| is_theirs) {
            Some(path) => missing.insert(path),
            None => return Err(refused(complaint, asked)),
        };
    }
    for path in stderr.lines().filter_map(vanished) {
        let Some(path) = asked.below(&path, &named) else {
            let path = printable_tail(path.to_string_lossy().as_bytes());
            let message = format!("primary {}: rsync there looked for {path}, which was not asked for", asked.primary);
            return Err(Error::new(Kind::Other, message));
        };
        missing.insert(path);
    }
    if let Some(line) = stderr.lines().find(|line| is_other_error(line)) {
        let what = printable_tail(line.as_bytes());
        return Err(Error::new(Kind::Other, format!("primary {}: {what}", asked.primary)));
    }
    if missing.is_empty() {
        let message = format!("primary {}: rsync could not copy everything", asked.primary);
        return Err(Error::new(Kind::Other, message));
    }
    Ok(missing.into_iter().collect())
}

/// The error that a complaint is.
fn refused(complaint: &Complaint, asked: Asked<'_>) -> Error {
    let (there, user) = match complaint.side {
        Side::Primary => ("there", "the user that ssh logs in as"),
        Side::Here => ("here", "our user"),
    };
    let path = printable_tail(complaint.path.to_string_lossy().as_bytes());
    let (kind, what) = match complaint.errno {
        EACCES | EPERM => (Kind::PermissionDenied, format!("{user} may not access {path} {there}")),
        ENOENT => (Kind::NotFound, format!("{path} does not exist {there}")),
        _ => (Kind::Other, printable_tail(complaint.line.as_bytes())),
    };
    Error::new(kind, format!("primary {}: {what}", asked.primary))
}

/// An error of rsync that is about no system call: `ERROR: f failed verification -- update discarded.`
///
/// `rsync: [Receiver] write error: Broken pipe (32)` is none: a primary that has nothing to send may end first.
fn is_other_error(line: &str) -> bool {
    line.starts_with("ERROR: ")
}

fn vanished(line: &str) -> Option<PathBuf> {
    let (_, path) = line.split_once("file has vanished: \"")?;
    Some(unescaped(path.rsplit_once('"')?.0))
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
    Some(Complaint { side, call: call.trim().to_owned(), path: unescaped(path), errno, line: line.to_owned() })
}

/// A path as it is: the rsync of the primary tells each byte that is not ASCII as `\#303`, and a backslash that would be
/// taken for the beginning of one as `\#134`.
fn unescaped(text: &str) -> PathBuf {
    let mut path = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = rest.strip_prefix(b"\\#").and_then(|rest| rest.get(..3));
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        path.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &rest[5..] } else { behind };
    }
    OsString::from_vec(path).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Retry;

    fn judged(code: i32, stderr: &str, paths: &[&str]) -> Result<Vec<PathBuf>, Error> {
        judged_below("/src", code, stderr, paths)
    }

    fn judged_below(directory: &str, code: i32, stderr: &str, paths: &[&str]) -> Result<Vec<PathBuf>, Error> {
        let ended = Ended { how: How::Exited(code), stderr: stderr.into(), is_output_whole: true };
        let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
        judge(&ended, Asked { primary: "p", directory: Path::new(directory), paths: &paths })
    }

    const PARTIAL: &str = "rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1956) [generator=3.5.0]\n";

    #[test]
    fn files_asked_for_by_name_may_be_missing() {
        let stderr =
            format!("rsync: [sender] link_stat \"/src/w/a \"q\"\" failed: No such file or directory (2)\n{PARTIAL}");
        assert_eq!(judged(23, &stderr, &["w/a \"q\"", "b"]), Ok(vec!["w/a \"q\"".into()]));
        let old = "rsync: link_stat \"/src/b\" failed: No such file or directory (2)\n";
        assert_eq!(judged(23, old, &["b"]), Ok(vec!["b".into()]));
        let escaped =
            "rsync: [sender] link_stat \"/src/\\#303\\#251 a\\b\\#134#101\" failed: No such file or directory (2)\n";
        assert_eq!(judged(23, escaped, &["é a\\b\\#101"]), Ok(vec!["é a\\b\\#101".into()]));
        let gone = "file has vanished: \"/src/d/x\"\nrsync warning: some files vanished before they could be transferred (code 24)\n";
        assert_eq!(judged(24, gone, &[]), Ok(vec!["d/x".into()]));
    }

    #[test]
    fn files_below_where_a_login_begins_may_be_missing() {
        let (missing, other) = ("/home/ops/main/wals/xlog.db", "/home/ops/mains/wals/xlog.db");
        for (path, is_missing) in [(missing, true), (other, false)] {
            let stderr =
                format!("rsync: [sender] link_stat \"{path}\" failed: No such file or directory (2)\n{PARTIAL}");
            let judged = judged_below("./main/wals", 23, &stderr, &["main-xlog.db", "xlog.db"]);
            assert_eq!(judged.is_ok_and(|missing| missing == [Path::new("xlog.db")]), is_missing, "{path}");
        }
    }

    #[test]
    fn what_is_missing_outside_of_the_directory_makes_no_list_empty() {
        for (directory, path) in
            [("/src/`id`", "/src/uid=0"), ("/src", "/srcs/a"), ("/src/a", "/src"), ("./a/b", "/home/ops/ab/c")]
        {
            let stderr =
                format!("rsync: [sender] link_stat \"{path}\" failed: No such file or directory (2)\n{PARTIAL}");
            assert_eq!(judged_below(directory, 23, &stderr, &[]).unwrap_err().kind, Kind::NotFound, "{directory}");
            let stderr = format!("file has vanished: \"{path}\"\n{PARTIAL}");
            let error = judged_below(directory, 24, &stderr, &[]).unwrap_err();
            assert!(error.message.contains(&format!("{path}, which was not asked for")), "{error}");
        }
        let stderr =
            format!("rsync: [sender] link_stat \"/home/a/b/c/d\" failed: No such file or directory (2)\n{PARTIAL}");
        assert_eq!(judged_below("./a/b", 23, &stderr, &[]), Ok(vec!["c/d".into()]));
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
            (12, "sh: 1: rsync: nicht gefunden\nremote shell: 127\n", Kind::ProgramMissing, "no program `rsync`"),
            (12, "rsync: cannot be executremote shell: 126\n", Kind::ProgramMissing, "no program `rsync`"),
            (
                12,
                "only sync-info is allowed\nremote shell: 1\nrsync: connection unexpectedly closed (0 bytes received \
                 so far) [Receiver]\nrsync error: error in rsync protocol data stream (code 12) at io.c(285)\n",
                Kind::Other,
                "exit code 1",
            ),
            (12, "remote shell: 20\n", Kind::Lost, "signal"),
            (12, "remote shell: 137\n", Kind::Lost, "signal"),
            (12, "remote shell: 23\n", Kind::Lost, "lost"),
            (12, "Connection to frankfurt closed.\nremote shell: 255\n", Kind::Lost, "lost"),
            (11, "remote shell: 127\n", Kind::Other, "exit code 11"),
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

    #[test]
    fn of_all_exit_codes_only_those_of_a_copy_that_was_ended_from_outside_are_tried_again() {
        let again = [10, 12, 14, 15, 16, 19, 20, 21, 22, 30, 35, 124, 125, 255].into_iter().chain(129..=159);
        let again: BTreeSet<i32> = again.collect();
        for code in 1..=255 {
            let error = judged(code, "", &[]).unwrap_err();
            assert_eq!(error.kind.retry() == Retry::Line, again.contains(&code), "{code}: {error}");
            assert_ne!(error.kind, Kind::Interrupted, "{code}");
        }
        assert_eq!(judged(0, "", &[]), Ok(vec![]));
        let too_long = "[Receiver] exceeded --max-alloc=1073741824 setting (file=flist.c, line=304)\n";
        assert_eq!(judged(22, too_long, &[]).unwrap_err().kind.retry(), Retry::Person);
    }

    #[test]
    fn only_our_own_token_is_a_cancellation_and_an_output_that_broke_off_proves_nothing() {
        let judged = |how, is_output_whole| {
            let ended = Ended { how, stderr: Vec::new(), is_output_whole };
            judge(&ended, Asked { primary: "p", directory: Path::new("/src"), paths: &[] }).map_err(|error| error.kind)
        };
        assert_eq!(judged(How::Cancelled, true), Err(Kind::Interrupted));
        for (how, is_output_whole) in [
            (How::Silent, true),
            (How::Killed(9), true),
            (How::Killed(15), true),
            (How::Exited(20), true),
            (How::Exited(0), false),
        ] {
            assert_eq!(judged(how, is_output_whole), Err(Kind::Lost), "{how:?}");
        }
    }

    #[test]
    fn a_file_that_did_not_arrive_right_is_not_hidden_by_one_that_is_missing() {
        let stderr = format!(
            "rsync: [sender] link_stat \"/src/a\" failed: No such file or directory (2)\n\
             WARNING: c failed verification -- update discarded (will try again).\n{PARTIAL}"
        );
        assert_eq!(judged(23, &stderr, &["a", "b"]), Ok(vec!["a".into()]));
        let ended_first = format!("rsync: [Receiver] write error: Broken pipe (32)\n{stderr}");
        assert_eq!(judged(23, &ended_first, &["a", "b"]), Ok(vec!["a".into()]));
        let stderr = format!("ERROR: b failed verification -- update discarded.\n{stderr}");
        assert!(judged(23, &stderr, &["a", "b"]).unwrap_err().message.contains("b failed verification"));
    }
}
