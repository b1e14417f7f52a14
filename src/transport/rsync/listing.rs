//! What `rsync --list-only` prints.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::transport::paths::relative_path_fault;
use crate::transport::{RemoteFile, TransportError, TransportErrorKind};

/// The regular files of a listing, in the order of their paths.
///
/// A line is `-rw------- 16777216 2026/11/22 09:24:35 name`, the size padded to the right, the name in any bytes.
/// Control characters in a name come as `\#033`, and so does the backslash of a name that looks like that.
pub(super) fn parse(primary: &str, listing: &[u8]) -> Result<Vec<RemoteFile>, TransportError> {
    let refused = |line: &[u8], why: &str| {
        let line = String::from_utf8_lossy(&line[..line.len().min(300)]).into_owned();
        let message = format!("primary {primary}: a listing has the line {line:?}: {why}");
        Err(TransportError::new(TransportErrorKind::Untrusted, message))
    };
    let mut files = Vec::new();
    for line in listing.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"-")) {
        let Some((size, name)) = fields(line) else { return refused(line, "it is not in rsync's form") };
        let path = PathBuf::from(OsString::from_vec(unescaped(name)));
        if let Some(fault) = relative_path_fault(&path) {
            return refused(line, fault);
        }
        files.push(RemoteFile { path, size });
    }
    files.sort();
    Ok(files)
}

/// Size and name. A name may begin with spaces, so only one space after the time is not part of it.
fn fields(line: &[u8]) -> Option<(u64, &[u8])> {
    let (_permissions, rest) = split_at_space(line)?;
    let (size, rest) = split_at_space(rest.trim_ascii_start())?;
    let (_date, rest) = split_at_space(rest)?;
    let (_time, name) = split_at_space(rest)?;
    Some((std::str::from_utf8(size).ok()?.parse().ok()?, name))
}

fn split_at_space(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == b' ')?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

/// The name that rsync printed: `\#` and three octal digits stand for one byte.
fn unescaped(mut name: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len());
    while let Some((first, rest)) = name.split_first() {
        let escape = name.strip_prefix(b"\\#").and_then(|digits| Some((octal(digits.get(..3)?)?, digits.get(3..)?)));
        let (byte, after) = escape.unwrap_or((*first, rest));
        bytes.push(byte);
        name = after;
    }
    bytes
}

fn octal(digits: &[u8]) -> Option<u8> {
    let is_octal = digits.iter().all(|digit| matches!(digit, b'0'..=b'7'));
    std::str::from_utf8(digits).ok().filter(|_| is_octal).and_then(|digits| u8::from_str_radix(digits, 8).ok())
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
        for name in ["../up", "/abs", "a/../b", "nul\\#000", ""] {
            let line = format!("-rw-r--r--           1 2026/11/22 13:09:35 {name}\n");
            let error = parse("p", line.as_bytes()).unwrap_err();
            assert_eq!(error.kind, TransportErrorKind::Untrusted, "{name}");
        }
        for line in [&b"-rw-r--r-- 1,000 2026/11/22 13:09:35 x\n"[..], b"-\n"] {
            assert_eq!(parse("p", line).unwrap_err().kind, TransportErrorKind::Untrusted);
        }
    }

    #[test]
    fn names_in_any_bytes_are_read() {
        for (printed, name) in [
            (&b"a\\#b"[..], &b"a\\#b"[..]),
            (b"esc\\#033[31m", b"esc\x1b[31m"),
            (b"new\\#012line", b"new\nline"),
            (b"lit\\#134#012x", b"lit\\#012x"),
            (b"bad\xff", b"bad\xff"),
            (b"\\#9", b"\\#9"),
        ] {
            let line = [b"-rw-r--r--           1 2026/11/22 13:09:35 ", printed, b"\n"].concat();
            assert_eq!(parse("p", &line).unwrap()[0].path.as_os_str().as_encoded_bytes(), name);
        }
    }
}
