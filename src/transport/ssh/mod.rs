//! Barman's commands over ssh.

mod cipher;
mod diagnosis;
mod identity;
mod master;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openssh::{Child, Session, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::barman::ids::ServerName;
use crate::barman::wal::WalName;
use crate::error::{Error, Kind};
use crate::site::model::Primary;

pub(super) use master::{Lease, Masters};

use super::BarmanCommands;
use super::text::{Tail, printable_tail};

/// The longest answer that is believed: more than a million WAL segments. Longer archives are known by their xlog.db.
const ANSWER_LIMIT: usize = 256 << 20;

/// Runs Barman at a primary.
pub(super) struct SshBarman {
    masters: Arc<Masters>,
    /// `barman`, and `-c CONFIG` where it is wanted.
    command: Vec<String>,
    timeout: Duration,
    /// How often it is looked whether the connection still lives while an answer is waited for, and for how long.
    look: (Duration, Duration),
}

impl SshBarman {
    /// Commands through these connections.
    pub(super) fn new(primary: &Primary, masters: Arc<Masters>) -> Self {
        let mut command = primary.barman_command.clone();
        if let Some(config) = &primary.barman_config {
            command.extend(["-c".to_owned(), config.clone()]);
        }
        Self {
            masters,
            command,
            timeout: primary.timeouts.sync_info,
            look: (primary.timeouts.idle, primary.timeouts.connect),
        }
    }

    /// The stdout of Barman with these arguments.
    async fn barman(&self, arguments: &[&str]) -> Result<Vec<u8>, Error> {
        let what = format!("`barman {}`", arguments.join(" "));
        tracing::info!(primary = self.masters.primary(), "runs {what}");
        tokio::select! {
            biased;
            () = self.masters.cancel().cancelled() => Err(Error::interrupted()),
            answer = tokio::time::timeout(self.timeout, self.run(arguments, &what)) => {
                answer.unwrap_or_else(|_elapsed| Err(self.timed_out(&what)))
            }
        }
    }

    async fn run(&self, arguments: &[&str], what: &str) -> Result<Vec<u8>, Error> {
        let lease = self.masters.lease().await?;
        let (every, patience) = self.look;
        tokio::select! {
            answer = self.answer(lease.session(), arguments, what) => answer,
            () = lease.frozen(every, patience) => {
                lease.retire();
                Err(self.lost(what, &"ssh does not answer any more", &[]))
            }
        }
    }

    async fn answer(&self, session: &Session, arguments: &[&str], what: &str) -> Result<Vec<u8>, Error> {
        let mut words = self.command.iter().map(String::as_str).chain(arguments.iter().copied());
        // `command` and `args` quote every word: the remote shell expands nothing.
        let mut child = session
            .command(words.next().unwrap_or("barman"))
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .await
            .map_err(|error| self.lost(what, &error, &[]))?;
        let (stdout, stderr) = (child.stdout().take(), child.stderr().take());
        let (stdout, stderr) = tokio::join!(read_bounded(stdout), read_tail(stderr));
        let stdout = stdout.map_err(|error| self.lost(what, &error, &stderr))?;
        if stdout.len() > ANSWER_LIMIT {
            return Err(self.too_long(what));
        }
        // A wrapper around Barman may send both to one place.
        let said = if stderr.trim_ascii().is_empty() { &stdout } else { &stderr };
        self.end_of(child, session, what, said).await?;
        Ok(stdout)
    }

    /// What the end of a command means. Only this tells: stdout ends in the same way when the connection is lost.
    async fn end_of(&self, child: Child<&Session>, session: &Session, what: &str, stderr: &[u8]) -> Result<(), Error> {
        let primary = self.masters.primary();
        let refused = || super::gated::refusal(primary, stderr);
        let failed = |why: &str| {
            if let Some(error) = refused() {
                return Err(error);
            }
            let message = format!("primary {primary}: {what} {why}");
            Err(Error::new(Kind::CommandFailed, message).saying(printable_tail(stderr)))
        };
        match child.wait().await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) if status.code() == Some(255) => Err(self.lost(what, &"ssh exited with 255", stderr)),
            Ok(status) => match status.code() {
                Some(code) => failed(&format!("exited with {code}")),
                None => failed("was ended by a signal"),
            },
            // How the crate reports exit code 127.
            Err(openssh::Error::Remote(_)) => Err(self.missing(stderr)),
            Err(openssh::Error::RemoteProcessTerminated) if session.check().await.is_ok() => {
                failed("was ended by a signal (is the primary short of memory?)")
            }
            Err(error) => Err(self.lost(what, &error, stderr)),
        }
    }

    fn missing(&self, stderr: &[u8]) -> Error {
        let program = self.command.first().map_or("barman", String::as_str);
        let message = format!("primary {}: there is no program `{program}`", self.masters.primary());
        Error::new(Kind::ProgramMissing, message).saying(printable_tail(stderr)).hint(
            "a login shell may find it where ssh's does not: give its full path as `barman.command` of the primary",
        )
    }

    fn lost(&self, what: &str, why: &dyn std::fmt::Display, stderr: &[u8]) -> Error {
        let message = format!("primary {}: the connection was lost during {what}: {why}", self.masters.primary());
        Error::new(Kind::Lost, message).saying(printable_tail(stderr))
    }

    fn timed_out(&self, what: &str) -> Error {
        let seconds = self.timeout.as_secs();
        let message = format!("primary {}: {what} took longer than {seconds} s", self.masters.primary());
        Error::new(Kind::TimedOut, message)
            .hint("a long WAL archive takes Barman minutes to list: raise `timeouts.sync_info` of the primary")
    }

    fn too_long(&self, what: &str) -> Error {
        let message =
            format!("primary {}: {what} answered more than {} MiB", self.masters.primary(), ANSWER_LIMIT >> 20);
        Error::new(Kind::Untrusted, message)
    }
}

#[async_trait]
impl BarmanCommands for SshBarman {
    async fn sync_info(&self, server: &ServerName, after: Option<(WalName, u64)>) -> Result<Vec<u8>, Error> {
        // 0 is no position to Barman.
        let after = after.map(|(name, position)| [name.to_string(), position.max(1).to_string()]);
        let after = after.iter().flatten().map(String::as_str);
        self.barman(&["sync-info", server.as_str()].into_iter().chain(after).collect::<Vec<_>>()).await
    }

    async fn list_servers(&self) -> Result<Vec<u8>, Error> {
        self.barman(&["list-servers", "--minimal"]).await
    }
}

/// All that comes, and of an answer beyond the limit the first byte beyond it.
async fn read_bounded(source: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    if let Some(source) = source {
        source.take(ANSWER_LIMIT as u64 + 1).read_to_end(&mut answer).await?;
    }
    Ok(answer)
}

async fn read_tail(source: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut tail = Tail::shown();
    if let Some(mut source) = source {
        let mut buffer = vec![0; 8 * 1024];
        while let Ok(length @ 1..) = source.read(&mut buffer).await {
            tail.push(&buffer[..length]);
        }
    }
    tail.into_bytes()
}
