//! The right to pass bytes on, drawn from the taps of every limit that they are under.
//!
//! A tap is a FIFO in which each byte is the right to pass on [`UNIT`] bytes. Whoever passes bytes on draws that right
//! first, from the same tap as all others: nobody has a part, so that none lies idle, and none is exceeded.
//! [`super::bandwidth`] fills it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use rustix::fs::OFlags;
use rustix::io::ioctl_fionbio;
use rustix::pipe::fcntl_setpipe_size;

/// The bytes that a byte of a tap stands for.
pub(super) const UNIT: u64 = 4096;

/// What is drawn and passed on at a time at the most: others draw in between, and each time somebody is to be woken, for which
/// he waits while processors are busy.
const UNITS: usize = 32;

/// What may wait to be passed on, in bytes. More would come over the line before it is held back.
const ROOM: usize = 256 << 10;

/// Taps that are drawn from, each with the right that was drawn and not used yet.
#[derive(Debug)]
pub(super) struct Taps(Vec<(File, u64)>);

impl Taps {
    /// Opens them. Of whoever fills them and was killed meanwhile nothing is waited for: they are empty for ever, and known
    /// to be.
    pub(super) fn open(taps: &[PathBuf]) -> io::Result<Self> {
        let open = |tap| {
            let at_once = OFlags::NONBLOCK.bits().cast_signed();
            let tap = OpenOptions::new().read(true).custom_flags(at_once).open(tap)?;
            ioctl_fionbio(&tap, false)?;
            Ok((tap, 0))
        };
        taps.iter().map(open).collect::<io::Result<_>>().map(Self)
    }

    /// Waits until some of these bytes may be passed on, and says how many.
    pub(super) fn draw(&mut self, bytes: u64) -> io::Result<u64> {
        let mut right = bytes;
        for (tap, drawn) in &mut self.0 {
            if *drawn == 0 {
                let wanted = usize::try_from(right.div_ceil(UNIT)).unwrap_or(UNITS).clamp(1, UNITS);
                let units = tap.read(&mut [0; UNITS][..wanted])?;
                if units == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "whoever limits the bandwidth has ended"));
                }
                *drawn = units as u64 * UNIT;
            }
            right = right.min(*drawn);
        }
        self.0.iter_mut().for_each(|(_, drawn)| *drawn -= right);
        Ok(right)
    }
}

/// The word by which this program is told to run another under limits.
const LET_THROUGH: &str = "let-through";

/// The words of a program that is run under limits, by this program.
pub(super) fn letting_through(taps: &[PathBuf], command: &[OsString]) -> Vec<OsString> {
    // The program itself, also when another was installed in its place meanwhile.
    let this = format!("/proc/{}/exe", std::process::id());
    let mut words = vec![this.into(), LET_THROUGH.into()];
    words.extend(taps.iter().map(|tap| tap.as_os_str().to_owned()));
    words.push("--".into());
    words.extend_from_slice(command);
    words
}

/// Does what these words ask for, if they are those of [`letting_through`]: runs the program, whose standard input is ours,
/// and lets through what it prints as far as the taps give the right to. It ends as the program does.
pub fn let_through(words: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let words: Vec<OsString> = words.into_iter().collect();
    let rest = words.strip_prefix(&[OsString::from(LET_THROUGH)])?;
    let end = rest.iter().position(|word| word == "--")?;
    let taps: Vec<PathBuf> = rest[..end].iter().map(PathBuf::from).collect();
    Some(match run(&taps, &rest[end + 1..]) {
        Ok(status) => {
            let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
            ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
        }
        Err(error) => {
            // It is the standard error of rsync, which is read and told.
            let _unheard = writeln!(io::stderr(), "antipode: the bandwidth cannot be limited: {error}");
            ExitCode::FAILURE
        }
    })
}

fn run(taps: &[PathBuf], command: &[OsString]) -> io::Result<ExitStatus> {
    let [program, arguments @ ..] = command else { return Err(io::ErrorKind::InvalidInput.into()) };
    let mut taps = Taps::open(taps)?;
    let mut child = Command::new(program).args(arguments).stdout(Stdio::piped()).spawn()?;
    if let Some(from) = child.stdout.take() {
        let _as_it_was = fcntl_setpipe_size(&from, ROOM);
        // Not the standard output of the library, which looks for the ends of lines.
        let to = File::from(rustix::stdio::stdout().try_clone_to_owned()?);
        // rsync gives one that does not wait for its reader.
        ioctl_fionbio(&to, false)?;
        let _nobody_reads_any_more = pour(from, to, &mut taps);
    }
    child.wait()
}

fn pour(mut from: impl Read, mut to: impl Write, taps: &mut Taps) -> io::Result<()> {
    let mut buffer = vec![0; ROOM / 2];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
            let right = taps.draw(rest.len() as u64)?;
            let (now, later) = rest.split_at(usize::try_from(right).unwrap_or(rest.len()));
            to.write_all(now)?;
            rest = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// A tap that gives so many units, and then nothing any more.
    fn tap(units: usize) -> (tempfile::NamedTempFile, PathBuf) {
        let tap = tempfile::NamedTempFile::new().unwrap();
        tap.as_file().write_all(&vec![0; units]).unwrap();
        let path = tap.path().to_owned();
        (tap, path)
    }

    #[test]
    fn no_byte_is_passed_on_without_the_right_of_every_tap() {
        let unit = usize::try_from(UNIT).unwrap();
        for (bytes, units, passed) in [
            (10 * unit, vec![], 10 * unit),
            (10 * unit, vec![3], 3 * unit),
            (10 * unit, vec![10], 10 * unit),
            (100 * unit + 1, vec![100], 100 * unit),
            (100 * unit, vec![70, 30], 30 * unit),
            (100 * unit, vec![30, 70], 30 * unit),
            (5, vec![1], 5),
            (5, vec![1, 0], 0),
        ] {
            let taps: Vec<_> = units.iter().map(|units| tap(*units)).collect();
            let paths: Vec<PathBuf> = taps.iter().map(|(_, path)| path.clone()).collect();
            let mut to = Vec::new();
            let poured = pour(vec![7; bytes].as_slice(), &mut to, &mut Taps::open(&paths).unwrap());
            assert_eq!((to.len(), poured.is_ok()), (passed, passed == bytes), "{bytes} {units:?}");
        }
    }

    #[test]
    fn what_was_drawn_and_not_used_serves_the_next_bytes() {
        let (_tap, path) = tap(1);
        let mut taps = Taps::open(&[path]).unwrap();
        let drawn: Vec<u64> = [1000, 3000, 1000].map(|bytes| taps.draw(bytes).unwrap()).into();
        assert_eq!(drawn, [1000, 3000, 96]);
        assert!(taps.draw(1).is_err());
    }

    #[test]
    fn a_tap_that_nobody_fills_any_more_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tap");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert!(Taps::open(&[path]).unwrap().draw(1).is_err());
    }
}
