//! What `rsync --list-only` prints.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::error::{Error, Kind};
use crate::transport::paths::relative_path_fault;
use crate::transport::{RemoteEntry, RemoteFile, check_room};

/// Longer than the line of any path, each byte of it escaped.
const LONGEST_LINE: usize = 64 << 10;

/// A listing that is read while it comes, so that its text is never held whole.
///
/// A line is `-rw------- 16777216 2026/11/22 09:24:35 name`, the size padded to the right, the time in UTC, the name in
/// any bytes.
/// Control characters in a name come as `\#033`, and so does the backslash of a name that looks like that.
pub(super) struct Listing<'a> {
    primary: &'a str,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    entries: Vec<RemoteEntry>,
    /// Whether directories are kept.
    with_directories: bool,
    refused: Option<Error>,
    days: Days,
}

impl<'a> Listing<'a> {
    /// One of files of this primary, of which nothing has come.
    pub(super) fn of_files(primary: &'a str) -> Self {
        let (begun, entries, days) = (Vec::new(), Vec::new(), Days::default());
        Self { primary, begun, entries, with_directories: false, refused: None, days }
    }

    /// One of files and directories.
    pub(super) fn of_entries(primary: &'a str) -> Self {
        Self { with_directories: true, ..Self::of_files(primary) }
    }

    /// Takes what comes next.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest).filter(|_| self.refused.is_none()) {
            let (line, behind) = rest.split_at(end);
            self.end_line(line);
            rest = behind.get(1..).unwrap_or_default();
        }
        if self.refused.is_some() {
            return;
        }
        self.begun.extend_from_slice(rest);
        if self.begun.len() > LONGEST_LINE {
            let begun = std::mem::take(&mut self.begun);
            self.refuse(&begun, "it is too long");
        }
    }

    /// The regular files, in the order of their paths.
    pub(super) fn files(self) -> Result<Vec<RemoteFile>, Error> {
        let file = |RemoteEntry { path, size, mtime, .. }| RemoteFile { path, size, mtime };
        Ok(self.entries()?.into_iter().map(file).collect())
    }

    /// All that is kept, in the order of their paths, each once.
    pub(super) fn entries(mut self) -> Result<Vec<RemoteEntry>, Error> {
        self.end_line(b"");
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        self.entries.sort();
        self.entries.dedup();
        Ok(self.entries)
    }

    /// The line that was begun ends with this.
    fn end_line(&mut self, rest: &[u8]) {
        if self.begun.is_empty() {
            return self.take_line(rest);
        }
        let mut line = std::mem::take(&mut self.begun);
        line.extend_from_slice(rest);
        self.take_line(&line);
        // Its room is for the next one that is begun.
        line.clear();
        self.begun = line;
    }

    fn take_line(&mut self, line: &[u8]) {
        let is_kept = line.starts_with(b"-") || self.with_directories && line.starts_with(b"d");
        if self.refused.is_some() {
            return;
        }
        if line.len() > LONGEST_LINE {
            return self.refuse(line, "it is too long");
        }
        if !is_kept {
            return;
        }
        match entry(line, &mut self.days) {
            Ok(entry) => match check_room(self.primary, self.entries.len()) {
                Ok(()) => self.entries.push(entry),
                Err(full) => self.refused = Some(full),
            },
            Err(why) => self.refuse(line, why),
        }
    }

    /// Refuses the listing for a line.
    fn refuse(&mut self, line: &[u8], why: &str) {
        let line = String::from_utf8_lossy(&line[..line.len().min(300)]).into_owned();
        let message = format!("primary {}: a listing has the line {line:?}: {why}", self.primary);
        self.refused = Some(Error::new(Kind::Untrusted, message));
    }
}

/// What a line is of, or what is wrong with it.
fn entry(line: &[u8], days: &mut Days) -> Result<RemoteEntry, &'static str> {
    let is_directory = line.starts_with(b"d");
    let (size, mtime, name) = fields(line, days).ok_or("it is not in rsync's form")?;
    let path = PathBuf::from(OsString::from_vec(unescaped(name)));
    match relative_path_fault(&path) {
        Some(fault) => Err(fault),
        None => Ok(RemoteEntry { path, size: if is_directory { 0 } else { size }, mtime, is_directory }),
    }
}

/// Size, time and name. A name may begin with spaces, so only one space after the time is not part of it.
fn fields<'l>(line: &'l [u8], days: &mut Days) -> Option<(u64, i64, &'l [u8])> {
    let (_permissions, rest) = split_at_space(line)?;
    let (size, rest) = split_at_space(rest.trim_ascii_start())?;
    let (date, rest) = split_at_space(rest)?;
    let (time, name) = split_at_space(rest)?;
    let text = |bytes| std::str::from_utf8(bytes).ok();
    Some((text(size)?.parse().ok()?, days.seconds(text(date)?, text(time)?).unwrap_or_default(), name))
}

/// The day that the last line had: of a million lines most have the day of the one before.
#[derive(Debug, Default)]
struct Days {
    date: String,
    /// Its beginning, in seconds since 1970; `None` for one that no calendar has.
    begins: Option<i64>,
}

impl Days {
    /// The seconds since 1970 of `2026/11/22` and `09:24:35`.
    fn seconds(&mut self, date: &str, time: &str) -> Option<i64> {
        if self.date != date {
            self.begins = beginning(date);
            date.clone_into(&mut self.date);
        }
        let mut parts = time.split(':');
        let mut below = |most: i64| parts.next()?.parse::<i64>().ok().filter(|part| (0..most).contains(part));
        let (hours, minutes, seconds) = (below(24)?, below(60)?, below(60)?);
        Some(self.begins? + (hours * 60 + minutes) * 60 + seconds)
    }
}

/// The seconds from 1970 to the beginning of a day.
fn beginning(date: &str) -> Option<i64> {
    let mut parts = date.split('/');
    let year = parts.next()?.parse::<i16>().ok()?;
    let mut small = || parts.next()?.parse::<i8>().ok();
    let civil = DateTime::new(year, small()?, small()?, 0, 0, 0, 0).ok()?;
    Some(Offset::UTC.to_timestamp(civil).ok()?.as_second())
}

fn split_at_space(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == b' ')?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

/// The name that rsync printed: `\#` and three octal digits stand for one byte.
fn unescaped(mut name: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len());
    while let Some(at) = memchr::memchr(b'\\', name) {
        let (plain, escaped) = name.split_at(at);
        bytes.extend_from_slice(plain);
        let escape = escaped.strip_prefix(b"\\#").and_then(|digits| Some((octal(digits.get(..3)?)?, digits.get(3..)?)));
        let (byte, after) = escape.unwrap_or((b'\\', escaped.get(1..).unwrap_or_default()));
        bytes.push(byte);
        name = after;
    }
    bytes.extend_from_slice(name);
    bytes
}

fn octal(digits: &[u8]) -> Option<u8> {
    let is_octal = digits.iter().all(|digit| matches!(digit, b'0'..=b'7'));
    std::str::from_utf8(digits).ok().filter(|_| is_octal).and_then(|digits| u8::from_str_radix(digits, 8).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(primary: &str, listing: &[u8]) -> Result<Vec<RemoteFile>, Error> {
        // In pieces that end anywhere, as a pipe gives them.
        let mut whole = Listing::of_files(primary);
        listing.chunks(7).for_each(|piece| whole.read(piece));
        whole.files()
    }

    #[test]
    fn times_are_read_as_utc_and_one_that_no_calendar_has_is_none() {
        let of = |time: &str| parse("p", format!("-rw-r--r-- 1 {time} f\n").as_bytes()).unwrap()[0].mtime;
        assert_eq!(of("2026/11/22 13:09:35"), 1_795_352_975);
        assert_eq!(of("1969/12/31 23:59:58"), -2);
        for impossible in ["40000/01/01 00:00:00", "2026/13/22 13:09:35", "2026/11 13:09:35", "? ?"] {
            assert_eq!(of(impossible), 0, "{impossible}");
        }
    }

    #[test]
    fn each_line_has_the_time_of_its_own_day() {
        let listing = "-rw-r--r-- 1 2026/11/22 23:59:59 a\n-rw-r--r-- 1 2026/11/23 00:00:00 b\n\
                       -rw-r--r-- 1 2026/11/23 00:00:61 c\n-rw-r--r-- 1 2026/11/23 12:00 d\n\
                       -rw-r--r-- 1 2026/11/22 00:00:00 e\n";
        let files = parse("p", listing.as_bytes()).unwrap();
        let times: Vec<i64> = files.iter().map(|file| file.mtime).collect();
        assert_eq!(times, [1_795_391_999, 1_795_392_000, 0, 0, 1_795_305_600]);
    }

    #[test]
    fn a_line_without_an_end_is_refused_before_it_fills_the_memory() {
        let error = parse("p", &vec![b'-'; LONGEST_LINE + 1]).unwrap_err();
        assert!(error.message.ends_with("it is too long") && error.message.len() < 1000, "{error}");
    }

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
            assert_eq!(error.kind, Kind::Untrusted, "{name}");
        }
        for line in [&b"-rw-r--r-- 1,000 2026/11/22 13:09:35 x\n"[..], b"-\n"] {
            assert_eq!(parse("p", line).unwrap_err().kind, Kind::Untrusted);
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
