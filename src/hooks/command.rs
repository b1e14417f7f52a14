//! A program that is told of an event on its standard input.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::error::{Error, Kind};

/// A program with all that it starts, which does not outlive this.
struct Group(Child);

impl Group {
    /// Ends all of it.
    fn kill(&self) {
        // Reaped, its number may be another's.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            let _gone = kill_process_group(id, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a program to its end. One that takes longer is killed, with all that it started. What it prints is not seen; what
/// it writes to standard error goes where ours does.
pub async fn tell(words: &[String], event: &[u8], limit: Duration) -> Result<(), Error> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(arguments).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit());
    let mut group = Group(command.spawn().map_err(|error| Error::io("it cannot be started", error))?);
    let stdin = group.0.stdin.take();
    let feed = async {
        if let Some(mut stdin) = stdin {
            // One that does not read all of it is judged by its exit code.
            let _closed_early = stdin.write_all(event).await;
        }
    };
    match timeout(limit, async { tokio::join!(feed, group.0.wait()).1 }).await {
        Ok(Ok(status)) => judged(status),
        Ok(Err(error)) => Err(Error::io("it cannot be waited for", error)),
        Err(_) => {
            group.kill();
            let _reaped = group.0.wait().await;
            Err(Error::new(Kind::TimedOut, format!("it took longer than {} s and was killed", limit.as_secs())))
        }
    }
}

fn judged(status: ExitStatus) -> Result<(), Error> {
    if status.success() { Ok(()) } else { Err(Error::new(Kind::CommandFailed, format!("it ended with {status}"))) }
}
