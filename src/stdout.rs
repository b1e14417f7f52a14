//! Standard output: the one place that writes to it.
//!
//! What cannot be written is remembered, and told when the command ends ([`failure`]): an apply does its work although
//! nobody can read its report, and no command calls done what its reader never got. After the first failure nothing more
//! is written, as half a line followed by others would read like a whole one. A reader that went away (`plan | head`)
//! has what it wanted, and is no failure.
//!
//! A standard output that was closed before the program began is `/dev/null` by the time that `main` runs: Rust's runtime
//! opens it, and nothing tells it from one that the caller chose. So it is looked at before that ([`WAS_CLOSED`]), and
//! takes nothing when it was closed.

use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::error::Error;

/// Why standard output could not be written, once it could not. Locked while something is written to it.
static FAILED: Mutex<Option<Errno>> = Mutex::new(None);

/// Whether standard output was closed when the program began.
static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

// One system call and one store: they need nothing of the runtime, which is not there yet.
#[ctor::ctor]
fn look_before_the_runtime_does() {
    let is_closed = rustix::io::fcntl_getfd(rustix::stdio::stdout()) == Err(Errno::BADF);
    WAS_CLOSED.store(is_closed, Ordering::Relaxed);
}

/// Writes a text as a whole.
pub fn print(text: &str) {
    print_bytes(text.as_bytes());
}

/// Writes bytes as a whole.
pub fn print_bytes(bytes: &[u8]) {
    // What goes wrong is remembered.
    let _ = Answer.write_all(bytes);
}

/// An answer too large to be held whole. Nothing is buffered, and an error is remembered besides being returned.
#[derive(Debug)]
pub struct Answer;

impl Write for Answer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut failed = failed();
        let written = match *failed {
            None => write(bytes),
            Some(error) => Err(error),
        };
        written.map_err(|error| (*failed.insert(error)).into())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut failed = failed();
        let mut left = bytes;
        while !left.is_empty() && failed.is_none() {
            match write(left) {
                Ok(0) => *failed = Some(Errno::IO),
                Ok(written) => left = left.get(written..).unwrap_or_default(),
                Err(error) => *failed = Some(error),
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gives a pipe more room, for an answer that is long: whoever writes it and whoever reads it wait for each other less
/// often. What is no pipe stays as it is.
pub fn make_room() {
    const ROOM: usize = 1 << 20;
    let _no_pipe = rustix::pipe::fcntl_setpipe_size(handle(), ROOM);
}

/// The error that a command ends with whose output was not written.
pub fn failure() -> Option<Error> {
    let error: io::Error = (*failed())?.into();
    (error.kind() != ErrorKind::BrokenPipe).then(|| {
        Error::io("standard output cannot be written", error)
            .hint("send it elsewhere and run the command again; only what it prints was lost")
    })
}

/// Whether all that was written so far arrived, also at a reader that went away.
pub fn is_whole() -> bool {
    failed().is_none()
}

/// Not through the standard library, which takes a descriptor that cannot be written to for one that took everything.
fn write(bytes: &[u8]) -> Result<usize, Errno> {
    if WAS_CLOSED.load(Ordering::Relaxed) {
        return Err(Errno::BADF);
    }
    let stdout = handle();
    loop {
        match rustix::io::write(&stdout, bytes) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                // Somebody who shares the terminal or the pipe made it non-blocking.
                match poll(&mut [PollFd::new(&stdout, PollFlags::OUT)], None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error),
                }
            }
            written => return written,
        }
    }
}

/// Standard output, to be asked what it is.
#[expect(clippy::disallowed_methods, reason = "nothing is written through it")]
pub fn handle() -> impl AsFd + anstream::stream::RawStream {
    io::stdout()
}

fn failed() -> MutexGuard<'static, Option<Errno>> {
    // A value that is replaced whole.
    FAILED.lock().unwrap_or_else(PoisonError::into_inner)
}
