//! Programs of this machine that never outlive the run.
//!
//! A program such as rsync has children of its own (its receiver, its ssh), so it is signalled as a process group.
//! The group's leader is a tiny watchdog: a shell that waits for the end of a pipe which only this process holds open.
//! When this process dies, even of kill -9, the pipe ends and the watchdog ends the group. Without it an rsync whose
//! parent is gone goes on until all is copied. As long as the watchdog is not reaped the group's id is not reused.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio_util::sync::CancellationToken;

use crate::barman::secret::without_secrets;

use super::activity::{self, Allowance};
use super::text::Tail;

/// How long a program may take to put its partial files away before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// How long the children of a program that ended may stay.
const LINGER: Duration = Duration::from_secs(1);

/// From so many bytes on output is read in large pieces: rsync writes each line of a listing by itself, and whoever reads each
/// of a million at once is woken as often.
const SHORT: u64 = 256 << 10;

/// How long output comes together that is not short.
const GATHERING: Duration = Duration::from_millis(5);

/// How much of it has room meanwhile: what Linux gives anybody.
const ROOM: usize = 1 << 20;

/// Enough of stderr to name thousands of missing files.
const STDERR_LIMIT: usize = 16 << 20;

/// What a program needs besides its command line.
pub(super) struct Task<'a> {
    /// Its stdin.
    pub(super) input: Vec<u8>,
    /// Removed when it has ended.
    pub(super) scratch: Option<TempDir>,
    /// A program that does nothing for longer is ended.
    pub(super) silence: Allowance,
    /// Ends it when it fires.
    pub(super) cancel: &'a CancellationToken,
}

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its exit code, or the signal that ended it.
    pub(super) how: How,
    /// The end of what it wrote to stderr, as it came.
    pub(super) stderr: Vec<u8>,
    /// Whether its stdout was read to the end.
    pub(super) is_output_whole: bool,
}

/// Who ended a program, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Itself, with an exit code.
    Exited(i32),
    /// Somebody else, with a signal.
    Killed(i32),
    /// We, because of the token. Nothing else is a cancellation, whatever an exit code says.
    Cancelled,
    /// We, because it did nothing any more.
    Silent,
}

impl How {
    fn of(status: ExitStatus) -> Self {
        // On Unix a status without a code has a signal.
        status.code().map_or_else(|| Self::Killed(status.signal().unwrap_or_default()), Self::Exited)
    }
}

/// Runs a program to its end, until it falls silent, or until it is cancelled; then its group gets SIGTERM, and after a
/// grace SIGKILL.
///
/// `on_output` sees its stdout as it comes. A dropped future ends the program in the same way, in the background.
pub(super) async fn run(
    command: &mut Command,
    task: Task<'_>,
    mut on_output: impl FnMut(&[u8]) + Send,
) -> io::Result<Ended> {
    tracing::debug!(command = %without_secrets(&format!("{:?}", command.as_std())), "starts");
    let Task { input, scratch, silence, cancel } = task;
    let mut group = Group::spawn(command, scratch)?;
    let id = group.id;
    let Some(family) = group.family.as_mut() else { return Err(io::ErrorKind::NotFound.into()) };
    let program = &mut family.program;
    let process = program.id().unwrap_or_default();
    let (stdin, stdout, stderr) = (program.stdin.take(), program.stdout.take(), program.stderr.take());
    let (printed, mut tail, mut is_output_whole) = (AtomicU64::new(0), Tail::new(STDERR_LIMIT), false);
    let count = |bytes: &[u8]| {
        printed.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        on_output(bytes);
    };
    let pipes = async {
        let output = async { is_output_whole = drain(stdout, count).await };
        tokio::join!(feed(stdin, input), output, drain(stderr, |bytes| tail.push(bytes)));
    };
    let stop = async {
        tokio::select! {
            biased;
            () = cancel.cancelled() => How::Cancelled,
            () = activity::silence(process, silence, &printed) => How::Silent,
        }
    };
    let how = until(to_the_end(program, pipes, id), stop, id).await;
    if let Some(family) = group.family.take() {
        family.finish(id).await;
    }
    Ok(Ended { how: how?, stderr: tail.into_bytes(), is_output_whole })
}

/// Waits for the program and for all that it and its children write.
async fn to_the_end(program: &mut Child, pipes: impl Future<Output = ()>, group: Pid) -> io::Result<ExitStatus> {
    let mut pipes = std::pin::pin!(pipes);
    let status = tokio::select! {
        () = &mut pipes => return program.wait().await,
        status = program.wait() => status,
    };
    // A child that is still busy (rsync's receiver puts a partial file away) holds the pipes; one that hangs does too.
    if tokio::time::timeout(LINGER, &mut pipes).await.is_err() {
        signal(group, Signal::KILL);
        // ssh gives its pipes to its master, which keeps them until the program at the primary ends.
        let _given_up = tokio::time::timeout(LINGER, &mut pipes).await;
    }
    status
}

/// How the program ended: by itself, or because of `stop`.
async fn until(
    work: impl Future<Output = io::Result<ExitStatus>>,
    stop: impl Future<Output = How>,
    group: Pid,
) -> io::Result<How> {
    let mut work = std::pin::pin!(work);
    let how = tokio::select! {
        biased;
        status = &mut work => return status.map(How::of),
        how = stop => how,
    };
    signal(group, Signal::TERM);
    // One that is stopped hears the other signal only now.
    signal(group, Signal::CONT);
    if tokio::time::timeout(GRACE, &mut work).await.is_err() {
        signal(group, Signal::KILL);
        let _ended_or_hung_in_the_kernel = tokio::time::timeout(GRACE, &mut work).await;
    }
    Ok(how)
}

/// A program with everything it started, and the watchdog that leads them.
struct Group {
    id: Pid,
    family: Option<Family>,
}

struct Family {
    program: Child,
    watchdog: Child,
    /// Held until the program has moved its partial files out of it.
    _scratch: Option<TempDir>,
}

impl Group {
    fn spawn(command: &mut Command, scratch: Option<TempDir>) -> io::Result<Self> {
        let watchdog = Command::new("sh")
            .args(["-c", "read _; kill -s TERM 0"])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let raw = watchdog.id().and_then(|id| i32::try_from(id).ok()).unwrap_or(0);
        let id = Pid::from_raw(raw).ok_or(io::ErrorKind::NotFound)?;
        let program = command
            .process_group(raw)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(stdout) = &program.stdout {
            // With less room it is only read more often.
            let _as_it_was = fcntl_setpipe_size(stdout, ROOM);
        }
        Ok(Self { id, family: Some(Family { program, watchdog, _scratch: scratch }) })
    }
}

impl Family {
    /// Ends what is left of the group, and removes the scratch directory.
    async fn finish(mut self, id: Pid) {
        signal(id, Signal::KILL);
        let _reaped = self.watchdog.wait().await;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(mut family) = self.family.take() else { return };
        let id = self.id;
        signal(id, Signal::TERM);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            signal(id, Signal::KILL);
            return;
        };
        // The task owns no `Group`: one that a stopping runtime drops would spawn itself again for ever.
        runtime.spawn(async move {
            let _ended = tokio::time::timeout(GRACE, family.program.wait()).await;
            tokio::time::sleep(LINGER).await;
            family.finish(id).await;
        });
    }
}

/// A group that is gone already is no error.
fn signal(group: Pid, signal: Signal) {
    let _gone = kill_process_group(group, signal);
}

/// A program that ends without reading all its input is judged by its exit code.
async fn feed(stdin: Option<ChildStdin>, input: Vec<u8>) {
    if let Some(mut stdin) = stdin {
        let _closed_early = stdin.write_all(&input).await;
    }
}

/// Whether all of it was read.
async fn drain(source: Option<impl AsyncRead + Unpin>, mut sink: impl FnMut(&[u8])) -> bool {
    let Some(mut source) = source else { return false };
    let (mut buffer, mut all) = (vec![0; 64 * 1024], 0_u64);
    loop {
        match source.read(&mut buffer).await {
            Ok(0) => return true,
            Ok(length) => {
                sink(&buffer[..length]);
                all += length as u64;
                if all > SHORT && length < buffer.len() {
                    tokio::time::sleep(GATHERING).await;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn silence(milliseconds: u64) -> Allowance {
        Allowance { idle: Duration::from_millis(milliseconds), greetings_count: false }
    }

    /// With no input, and time enough.
    fn task(cancel: &CancellationToken) -> Task<'_> {
        Task { input: Vec::new(), scratch: None, silence: silence(60_000), cancel }
    }

    #[tokio::test]
    async fn output_and_exit_code_are_told_apart() {
        let mut output = Vec::new();
        let never = CancellationToken::new();
        let task = Task { input: b"in".to_vec(), ..task(&never) };
        let keep = |bytes: &[u8]| output.extend_from_slice(bytes);
        let ended = run(&mut shell("cat; echo no >&2; exit 3"), task, keep).await.unwrap();
        assert_eq!((ended.how, ended.stderr.as_slice()), (How::Exited(3), b"no\n".as_slice()));
        assert_eq!(output, b"in");
        assert!(ended.is_output_whole);
    }

    #[tokio::test]
    async fn cancelling_ends_the_children_too() {
        let started = Instant::now();
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        // The inner sleep keeps stdout open: only a signal to the group ends the reading.
        let mut command = shell("sleep 60 & echo ready; wait");
        let ended = run(&mut command, task(&cancel), |_| stop.cancel()).await.unwrap();
        assert!(ended.how == How::Cancelled && started.elapsed() < GRACE);
    }

    #[tokio::test]
    async fn what_others_end_is_not_our_cancellation() {
        for (script, how) in
            [("kill -s TERM $$", How::Killed(15)), ("kill -s KILL $$", How::Killed(9)), ("exit 20", How::Exited(20))]
        {
            let ended = run(&mut shell(script), task(&CancellationToken::new()), |_| {}).await.unwrap();
            assert_eq!(ended.how, how, "{script}");
        }
    }

    #[tokio::test]
    async fn a_program_that_does_nothing_any_more_is_ended_even_when_it_is_frozen() {
        let never = CancellationToken::new();
        for script in ["echo begins; sleep 60; true", "kill -s STOP $$"] {
            let task = Task { silence: silence(200), ..task(&never) };
            let ended = run(&mut shell(script), task, |_| {}).await.unwrap();
            assert_eq!(ended.how, How::Silent, "{script}");
        }
    }

    #[tokio::test]
    async fn what_a_finished_program_leaves_behind_does_not_hang_us() {
        let started = Instant::now();
        let ended = run(&mut shell("sleep 60 & exit 0"), task(&CancellationToken::new()), |_| {}).await.unwrap();
        assert_eq!(ended.how, How::Exited(0));
        assert!(started.elapsed() < GRACE);
    }

    #[tokio::test]
    async fn a_dropped_future_ends_the_program() {
        let directory = tempfile::tempdir().unwrap();
        let witness = directory.path().join("ended");
        // Without its stderr, which goes with the future: the shell would die of its own "Terminated".
        let script =
            format!("exec 2>&-; trap 'touch {}; exit' TERM; echo up; while :; do sleep 0.05; done", witness.display());
        let mut command = shell(&script);
        let never = CancellationToken::new();
        let up = CancellationToken::new();
        let future = run(&mut command, task(&never), |_| up.cancel());
        tokio::select! { _ = future => {}, () = up.cancelled() => {} }
        tokio::time::timeout(12 * GRACE, async {
            while !witness.exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap();
    }
}
