//! Programs of this machine that never outlive the run.
//!
//! A program such as rsync has children of its own (its receiver, its ssh), so it is signalled as a process group.
//! The group's leader is a tiny watchdog: a shell that waits for the end of a pipe which only this process holds open.
//! When this process dies, even of kill -9, the pipe ends and the watchdog ends the group. Without it an rsync whose
//! parent is gone goes on until all is copied. As long as the watchdog is not reaped the group's id is not reused.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio_util::sync::CancellationToken;

use super::text::Tail;

/// How long a program may take to put its partial files away before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// How long the children of a program that ended may stay.
const LINGER: Duration = Duration::from_secs(1);

/// Enough of stderr to name thousands of missing files.
const STDERR_LIMIT: usize = 16 << 20;

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub(super) code: Option<i32>,
    /// The end of what it wrote to stderr, as it came.
    pub(super) stderr: Vec<u8>,
    /// Whether we ended it.
    pub(super) cancelled: bool,
}

/// Runs a program to its end, or until `cancel` fires; then its group gets SIGTERM, and after a grace SIGKILL.
///
/// `input` is its stdin, `on_output` sees its stdout as it comes, `scratch` is removed when it has ended. A dropped
/// future ends the program in the same way, in the background.
pub(super) async fn run(
    command: &mut Command,
    input: Vec<u8>,
    scratch: Option<TempDir>,
    cancel: &CancellationToken,
    on_output: impl FnMut(&[u8]) + Send,
) -> io::Result<Ended> {
    tracing::debug!(command = ?command.as_std(), "starts");
    let mut group = Group::spawn(command, scratch)?;
    let id = group.id;
    let Some(family) = group.family.as_mut() else { return Err(io::ErrorKind::NotFound.into()) };
    let program = &mut family.program;
    let (stdin, stdout, stderr) = (program.stdin.take(), program.stdout.take(), program.stderr.take());
    let mut tail = Tail::new(STDERR_LIMIT);
    let pipes = async {
        tokio::join!(feed(stdin, input), drain(stdout, on_output), drain(stderr, |bytes| tail.push(bytes)));
    };
    let (status, cancelled) = until_cancelled(to_the_end(program, pipes, id), id, cancel).await;
    if let Some(family) = group.family.take() {
        family.finish(id).await;
    }
    let status = status.transpose()?;
    Ok(Ended { code: status.and_then(|status| status.code()), stderr: tail.into_bytes(), cancelled })
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

/// The exit status (`None` when not even SIGKILL ended it in time), and whether `cancel` fired before.
async fn until_cancelled(
    work: impl Future<Output = io::Result<ExitStatus>>,
    group: Pid,
    cancel: &CancellationToken,
) -> (Option<io::Result<ExitStatus>>, bool) {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        biased;
        status = &mut work => return (Some(status), false),
        () = cancel.cancelled() => signal(group, Signal::TERM),
    }
    if let Ok(status) = tokio::time::timeout(GRACE, &mut work).await {
        return (Some(status), true);
    }
    signal(group, Signal::KILL);
    (tokio::time::timeout(GRACE, &mut work).await.ok(), true)
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

async fn drain(source: Option<impl AsyncRead + Unpin>, mut sink: impl FnMut(&[u8])) {
    let Some(mut source) = source else { return };
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = source.read(&mut buffer).await {
        sink(&buffer[..length]);
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

    #[tokio::test]
    async fn output_and_exit_code_are_told_apart() {
        let mut output = Vec::new();
        let ended =
            run(&mut shell("cat; echo no >&2; exit 3"), b"in".to_vec(), None, &CancellationToken::new(), |bytes| {
                output.extend_from_slice(bytes);
            })
            .await
            .unwrap();
        assert_eq!((ended.code, ended.stderr.as_slice(), ended.cancelled), (Some(3), b"no\n".as_slice(), false));
        assert_eq!(output, b"in");
    }

    #[tokio::test]
    async fn cancelling_ends_the_children_too() {
        let started = Instant::now();
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        // The inner sleep keeps stdout open: only a signal to the group ends the reading.
        let ended =
            run(&mut shell("sleep 60 & echo ready; wait"), Vec::new(), None, &cancel, |_| stop.cancel()).await.unwrap();
        assert!(ended.cancelled && started.elapsed() < GRACE);
    }

    #[tokio::test]
    async fn what_a_finished_program_leaves_behind_does_not_hang_us() {
        let started = Instant::now();
        let ended =
            run(&mut shell("sleep 60 & exit 0"), Vec::new(), None, &CancellationToken::new(), |_| {}).await.unwrap();
        assert_eq!(ended.code, Some(0));
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
        let future = run(&mut command, Vec::new(), None, &never, |_| up.cancel());
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
