//! What `rsync --list-only` prints.

use std::path::PathBuf;

use crate::transport::paths::relative_path_fault;
use crate::transport::{RemoteFile, TransportError, TransportErrorKind};

/// The regular files of a listing, in the order of their paths.
///
/// A line is `-rw------- 16777216 2026/11/22 09:24:35 name`, the size padded to the right.
/// Control characters in a name come as `\#033`, and so does the backslash of a name that looks like that.
pub(super) fn parse(primary: &str, listing: &[u8]) -> Result<Vec<RemoteFile>, TransportError> {
    let refused = |line: &[u8], why: &str| {
        let line = String::from_utf8_lossy(&line[..line.len().min(300)]).into_owned();
        let message = format!("primary {primary}: a listing has the line {line:?}: {why}");
        Err(TransportError::new(TransportErrorKind::Untrusted, message))
    };
    let mut files = Vec::new();
    for line in listing.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"-")) {
        let Ok(text) = std::str::from_utf8(line) else { return refused(line, "it is not UTF-8") };
        let Some((size, name)) = fields(text) else { return refused(line, "it is not in rsync's form") };
        if has_escape(name) {
            return refused(line, "the name contains a control character");
        }
        let path = PathBuf::from(name);
        if let Some(fault) = relative_path_fault(&path) {
            return refused(line, fault);
        }
        files.push(RemoteFile { path, size });
    }
    files.sort();
    Ok(files)
}

/// Size and name. A name may begin with spaces, so only one space after the time is not part of it.
fn fields(line: &str) -> Option<(u64, &str)> {
    let (_permissions, rest) = line.split_once(' ')?;
    let (size, rest) = rest.trim_start_matches(' ').split_once(' ')?;
    let (_date, rest) = rest.split_once(' ')?;
    let (_time, name) = rest.split_once(' ')?;
    Some((size.parse().ok()?, name))
}

fn has_escape(name: &str) -> bool {
    let digits = |rest: &str| rest.len() >= 3 && rest.bytes().take(3).all(|byte| byte.is_ascii_digit());
    name.match_indices("\\#").any(|(at, found)| digits(&name[at + found.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_taken_sorted() {
        let listing = "drwxr-xr-x        4096 2026/11/22 13:09:35 .\n\
                       -rw-r--r--           2 2026/11/22 13:09:35 b -> c\n\
                       -rw-r--r-- 1234567890123456 2026/11/22 13:09:35 a dir'q/f 1\n\
                       -rw-r--r--           2 2026/11/22 13:09:35  lead\n\
                       -rw-r--r--           3 2026/11/22 13:09:35 é\n\
                       lrwxrwxrwx           4 2026/11/22 13:09:35 evil\n\
                       prw-r--r--           0 2026/11/22 13:09:35 fifo\n";
        let files = parse("p", listing.as_bytes()).unwrap();
        let found: Vec<_> = files.iter().map(|file| (file.path.to_str().unwrap(), file.size)).collect();
        assert_eq!(found, [(" lead", 2), ("a dir'q/f 1", 1_234_567_890_123_456), ("b -> c", 2), ("é", 3)]);
    }

    #[test]
    fn what_a_primary_must_not_send_is_refused() {
        for name in ["esc\\#033[31m", "lit\\#134#012x", "new\\#012line", "../up", "/abs", "a/../b", "\u{202e}x", ""] {
            let line = format!("-rw-r--r--           1 2026/11/22 13:09:35 {name}\n");
            let error = parse("p", line.as_bytes()).unwrap_err();
            assert_eq!(error.kind, TransportErrorKind::Untrusted, "{name}");
        }
        for line in [
            &b"-rw-r--r--           1 2026/11/22 13:09:35 bad\xff\n"[..],
            b"-rw-r--r-- 1,000 2026/11/22 13:09:35 x\n",
            b"-\n",
        ] {
            assert_eq!(parse("p", line).unwrap_err().kind, TransportErrorKind::Untrusted);
        }
    }

    #[test]
    fn a_backslash_alone_is_a_name() {
        let files = parse("p", b"-rw-r--r--           1 2026/11/22 13:09:35 a\\#b\n").unwrap();
        assert_eq!(files[0].path, PathBuf::from("a\\#b"));
    }
}
